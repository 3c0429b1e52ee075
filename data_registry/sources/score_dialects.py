"""How GPN, PlantCAD, AlphaGenome, CADD, SpliceAI and others write scores of variants.

Each dialect turns a file into one row an allele, values still as text, with the score
columns named. What is wrong with an allele is judged in ``variant_scores``, in one
place for all of them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data_registry.errors import InputError, MalformedFileError
from data_registry.named_columns import name_columns, names_match
from data_registry.parsing import Request, Tally
from data_registry.row_faults import leave_out_rows
from data_registry.text_files import (
    LINE,
    find_column,
    is_missing,
    is_number,
    read_numbers,
    read_table,
    rename_columns,
    split_head,
)

SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "contig": ("chrom", "chr", "chromosome", "seqid"),
    "position": ("pos", "pos(1-based)", "bp"),
    "ref": ("ref_allele", "reference_allele", "reference"),
    "alt": ("alt_allele", "new_allele", "alternate_allele", "allele", "alternate"),
}
ALLELE: Final = ("contig", "position", "ref", "alt")

_NO_SCORE: Final = frozenset(
    {
        "id", "qual", "transcriptid", "geneid", "genename", "region", "varianttype",
        "aminopos", "positionofaminoacid", "numseqs", "numseqsatposition", "siftmedian",
        "mediansequenceinformation", "start", "end", "strand", "rank", "dbsnp", "aapos",
    }
)  # fmt: skip
_LABEL_ENDINGS: Final = ("prediction", "pred", "class", "label")
_SCORE_ENDINGS: Final = re.compile(r"(score|prob|probability)$")
_VCF: Final = b"##fileformat=VCF"
_PARQUET: Final = b"PAR1"
_INFO_KEYS: Final = re.compile(
    rb"(?:^##INFO=<ID=|[\t;])((?:SpliceAI|plantCAD|GPN|CADD|AlphaGenome)[\w.-]*)[,=]",
    re.IGNORECASE | re.MULTILINE,
)
_SPLICE_FIELDS: Final = (
    "ALLELE", "SYMBOL", "DS_AG", "DS_AL", "DS_DG", "DS_DL",
    "DP_AG", "DP_AL", "DP_DG", "DP_DL",
)  # fmt: skip
_SPLICE_EVENTS: Final = {
    "AG": "acceptor_gain",
    "AL": "acceptor_loss",
    "DG": "donor_gain",
    "DL": "donor_loss",
}
_VARIANT_ID: Final = re.compile(r"^(.+):(\d+):([A-Za-z]*)>([A-Za-z]*)$")
_AGGREGATION: Final = re.compile(r"aggregation_type=(?:\w+\.)?(\w+)")

Scores = dict[str, tuple[str, str | None]]
"""Column of values to the score's name and the column of its class."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a dialect makes of a file.

    Parameters
    ----------
    frame
        ``contig``, ``position`` (1-based), ``ref``, ``alt``, the columns of ``scores``
        and ``_line``, all but the last as text; one row an allele, so that a line of
        several alleles stands several times.
    scores
        The columns of scores.
    """

    frame: pd.DataFrame
    scores: Scores


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of writing scores.

    Parameters
    ----------
    name
        As the notes of the source state it.
    recognises
        ``(path, head) -> bool``.
    read
        ``(request, tally, notes) -> Read``; sets ``tally.read`` to the rows of the file.
    is_default
        Recognised only where the user names the kind.
    """

    name: str
    recognises: Callable[[Path, bytes], bool]
    read: Callable[[Request, Tally, list[str]], Read]
    is_default: bool = False


# --- VCF ------------------------------------------------------------------------------


def score_keys(head: bytes) -> list[str]:
    """Return the INFO keys of known programs in the head of a VCF, sorted.

    PlantCAD's script writes its key into the records and not into the header.
    """
    return sorted({key.decode() for key in _INFO_KEYS.findall(head)})


def is_score_vcf(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """A VCF without samples and allele counts whose INFO holds scores we know."""
    if not head.startswith(_VCF) or b"##INFO=<ID=AC," in head:
        return False
    header = re.search(rb"^#CHROM\t[^\r\n]*", head, re.MULTILINE)
    has_samples = header is None or header[0].count(b"\t") > 8
    return not has_samples and bool(score_keys(head))


def _is_splice_vcf(path: Path, head: bytes) -> bool:  # noqa: ARG001
    return head.startswith(_VCF) and any(
        k.lower() == "spliceai" for k in score_keys(head)
    )


def _info_value(info: "pd.Series[str]", key: str) -> "pd.Series[str]":
    pattern = rf"(?:^|;){re.escape(key)}=([^;]*)"
    return info.str.extract(pattern, expand=False, flags=re.IGNORECASE).fillna("")


def _read_records(request: Request, tally: Tally) -> pd.DataFrame:
    frame = read_table(request.path, columns=request.columns)
    tally.read = len(frame)
    names = {"CHROM": "contig", "POS": "position", "REF": "ref", "ALT": "alt"}
    if lacking := sorted({*names, "INFO"} - {*frame.columns}):
        raise MalformedFileError(
            request.path,
            f"no column {', '.join(lacking)}",
            remedy="Give a VCF with its #CHROM line",
        )
    return frame.rename(columns=names)


def _read_splice(request: Request, tally: Tally, notes: list[str]) -> Read:
    """SpliceAI (Jaganathan 2019): one entry a gene and allele, its greatest delta first.

    ``SpliceAI=ALLELE|SYMBOL|DS_AG|DS_AL|DS_DG|DS_DL|DP_AG|DP_AL|DP_DG|DP_DL,…``.
    """
    records = _read_records(request, tally)
    entry = _info_value(records["INFO"], "SpliceAI").str.split(",")
    frame = records[["contig", "position", "ref", "alt", LINE]].assign(entry=entry)
    frame = frame.explode("entry", ignore_index=True)
    fields = frame["entry"].str.split("|", expand=True)
    fields = fields.reindex(columns=range(len(_SPLICE_FIELDS))).fillna("")
    fields.columns = pd.Index(_SPLICE_FIELDS)
    is_listed = pd.Series(
        [
            not allele or allele.upper() in alts.upper().split(",")
            for allele, alts in zip(fields["ALLELE"], frame["alt"], strict=True)
        ],
        index=frame.index,
    )
    if not is_listed.all():
        at = int((~is_listed).to_numpy().argmax())
        raise MalformedFileError(
            request.path,
            f"SpliceAI scores allele {fields['ALLELE'].iloc[at]!r}, and ALT is "
            f"{frame['alt'].iloc[at]!r}",
            line=int(frame[LINE].iloc[at]),
            remedy="Run SpliceAI on the file as it is, or keep INFO of each ALT with it",
        )
    # A record without an entry keeps its ALT: it is counted as having no score.
    frame["alt"] = fields["ALLELE"].where(
        fields["ALLELE"] != "", frame["alt"].str.split(",").str[0]
    )
    deltas = pd.DataFrame(
        {event: read_numbers(fields[f"DS_{event}"]) for event in _SPLICE_EVENTS}
    )
    greatest = deltas.max(axis="columns")
    top = deltas.fillna(-1.0).to_numpy().argmax(axis=1)
    offsets = fields[[f"DP_{event}" for event in _SPLICE_EVENTS]].to_numpy()
    offset = offsets[np.arange(len(top)), top]
    event = np.array([*_SPLICE_EVENTS.values()], object)[top]
    frame = frame.assign(
        max=greatest.map(str).where(greatest.notna(), ""),
        event=fields["SYMBOL"] + " " + event + " at " + offset,
        symbol=fields["SYMBOL"],
        **{name: fields[name] for name in _SPLICE_FIELDS[2:]},
    )
    scores: Scores = {"max": ("SpliceAI_max", "event")}
    scores |= {name: (f"SpliceAI_{name}", "symbol") for name in _SPLICE_FIELDS[2:]}
    notes.append("SpliceAI: SpliceAI_max is the greatest of the four delta scores")
    return Read(frame.drop(columns="entry"), _wanted(request, scores))


def _wanted(request: Request, scores: Scores) -> Scores:
    """Return those of fixed scores that ``--option scores`` names, or all."""
    asked = listed(request, "scores")
    if unknown := [name for name in asked if name not in scores]:
        raise InputError(
            f"{request.path}: no score {unknown[0]!r}; there are {', '.join(scores)}"
        )
    return {name: scores[name] for name in asked or scores}


def listed(request: Request, option: str) -> list[str]:
    """Return the parts of an option that lists names with commas."""
    parts = request.options.get(option, "").split(",")
    return [part.strip() for part in parts if part.strip()]


def _read_info(request: Request, tally: Tally, notes: list[str]) -> Read:
    """Any VCF: INFO keys of one number an ALT (``Number=A``)."""
    keys = listed(request, "info")
    records = _read_records(request, tally)
    if not keys:
        found = records["INFO"].head(1000).str.cat(sep=";").encode()
        keys = score_keys(b";" + found)
        notes.append(f"scores found in INFO: {', '.join(keys) or 'none'}")
    if not keys:
        raise InputError(
            f"{request.path}: name the scores in INFO with --option info=KEY,KEY"
        )
    found_values = [_info_value(records["INFO"], key) for key in keys]
    numbers: list[int] = []
    alts: list[str] = []
    rows: list[tuple[str, ...]] = []
    for number, (alt, *values) in enumerate(
        zip(records["alt"], *found_values, strict=True)
    ):
        alleles = alt.split(",")
        lists = [value.split(",") if value else [""] * len(alleles) for value in values]
        # One number for several alleles does not say whose it is: the record stays
        # whole, and is left out as such.
        if any(len(scores) != len(alleles) for scores in lists):
            alleles, lists = [alt], [[value] for value in values]
        numbers += [number] * len(alleles)
        alts += alleles
        rows += zip(*lists, strict=True)
    frame = records[["contig", "position", "ref", LINE]].iloc[numbers]
    scores = pd.DataFrame(rows, columns=keys, dtype=object)
    frame = frame.reset_index(drop=True).assign(alt=alts).join(scores)
    return Read(frame, {key: (_prefix(request) + key, None) for key in keys})


# --- AlphaGenome ----------------------------------------------------------------------


def _is_alphagenome(path: Path, head: bytes) -> bool:
    names = _names(path, head)
    return {"variant_id", "output_type", "raw_score"} <= {*names}


def _read_alphagenome(request: Request, tally: Tally, notes: list[str]) -> Read:
    """AlphaGenome's ``tidy_scores``: a row a variant, scorer, track and gene.

    Kept is the strongest track (by absolute raw score) of each variant and scorer, its
    raw and quantile score, and which gene and track it was; the others are counted.
    ``variant_id`` is ``chr22:36201698:A>C``, 1-based.
    """
    frame = _read_rows(request)
    tally.read = len(frame)
    for name in ("variant_scorer", "quantile_score", "gene_name", "gene_id",
                 "biosample_name", "track_name"):  # fmt: skip
        if name not in frame:
            frame[name] = ""
    parts = frame["variant_id"].str.extract(_VARIANT_ID)
    if parts[0].isna().all():
        raise MalformedFileError(
            request.path,
            f"variant_id {frame['variant_id'].iloc[0]!r} is not CHROM:POS:REF>ALT",
            line=int(frame[LINE].iloc[0]),
            remedy="Write variants as AlphaGenome does, e.g. chr22:36201698:A>C",
        )
    frame = frame.assign(contig=parts[0], position=parts[1], ref=parts[2], alt=parts[3])
    frame = leave_out_rows(tally, frame, parts[0].isna(), "bad_variant_id")
    raw = read_numbers(frame["raw_score"])
    frame = leave_out_rows(tally, frame, raw.isna(), "no_score")
    aggregation = frame["variant_scorer"].str.extract(_AGGREGATION, expand=False)
    scorer = aggregation.fillna(frame["variant_scorer"].str.partition("(")[0])
    output: pd.Series[str] = "AlphaGenome_" + frame["output_type"]
    score = output.where(scorer == "", output + "_" + scorer)
    gene = frame["gene_name"].where(~is_missing(frame["gene_name"]), frame["gene_id"])
    track = frame["biosample_name"].where(
        ~is_missing(frame["biosample_name"]), frame["track_name"]
    )
    label = (
        gene.where(~is_missing(gene), "") + " " + track.where(~is_missing(track), "")
    )
    frame = frame.assign(_score=score, _label=label.str.strip(), _size=raw.abs())
    order = frame.sort_values(["_size", LINE], ascending=[False, True], kind="stable")
    weaker = order.duplicated(["variant_id", "_score"]).reindex(frame.index)
    frame = leave_out_rows(tally, frame, weaker, "weaker_track")
    scores: Scores = {}
    columns = {}
    for found in sorted(frame["_score"].unique()):
        here = frame["_score"] == found
        for column, ending in (("raw_score", ""), ("quantile_score", "_quantile")):
            columns[found + ending] = frame[column].where(here, "")
            if not is_missing(columns[found + ending]).all():
                scores[found + ending] = (found + ending, "_label")
    notes.append("AlphaGenome: the strongest track of each variant and scorer is kept")
    kept = frame[[*ALLELE, "_label", LINE]]
    return Read(kept.assign(**columns), _wanted(request, scores))


# --- tables ---------------------------------------------------------------------------


def _names(path: Path, head: bytes) -> list[str]:
    """Return the column names of a table, text or Parquet."""
    if head.startswith(_PARQUET):
        try:
            return [str(name) for name in pq.read_schema(path).names]
        except (pa.ArrowException, OSError):
            return []
    rows = split_head(head)
    return rows[0] if rows else []


def _read_rows(request: Request) -> pd.DataFrame:
    """Read a text or Parquet table as text; a Parquet file's line is its row's number.

    Raises
    ------
    MalformedFileError
        A damaged Parquet file, or as ``read_table``.
    """
    with request.path.open("rb") as file:
        is_parquet = file.read(4) == _PARQUET
    if not is_parquet:
        return read_table(request.path, columns=request.columns)
    try:
        given = pq.read_table(request.path).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise MalformedFileError(
            request.path,
            f"a Parquet file that cannot be read ({error})",
            remedy="Write or fetch it again",
        ) from error
    text = {
        str(name): values.astype(str).where(values.notna(), "")
        for name, values in given.items()
    }
    frame = rename_columns(request.path, pd.DataFrame(text), request.columns)
    return frame.assign(**{LINE: range(1, len(given) + 1)})


def _prefix(request: Request, default: str = "") -> str:
    tool = request.options.get("tool", default)
    return f"{tool}_" if tool else ""


def _has_alleles(names: Sequence[str]) -> bool:
    return names_match(names, SYNONYMS, "position", "ref", "alt")


def _is_cadd(path: Path, head: bytes) -> bool:
    names = {name.lower() for name in _names(path, head)}
    return {"chrom", "pos", "ref", "alt", "rawscore", "phred"} <= names


def _read_cadd(request: Request, tally: Tally, notes: list[str]) -> Read:
    """CADD: ``#Chrom Pos Ref Alt … RawScore PHRED``, with or without annotations.

    With annotations an allele stands once a consequence, with the same two scores.
    """
    frame = _read_alleles(request, tally, notes)
    others = [str(c) for c in frame.columns]
    wanted = listed(request, "scores") or [
        name for name in others if name.lower() in ("rawscore", "phred")
    ]
    return _choose(request, frame, wanted, default_tool="CADD")


def _is_plantcad(path: Path, head: bytes) -> bool:
    names = _names(path, head)
    return "zeroShotScore" in names and _has_alleles(names)


def _read_plantcad(request: Request, tally: Tally, notes: list[str]) -> Read:
    """PlantCAD's ``zero_shot_score.py``: ``chr start end pos ref alt sequences …``.

    ``start`` and ``end`` are those of the window, not of the variant.
    """
    frame = _read_alleles(request, tally, notes)
    wanted = listed(request, "scores") or ["zeroShotScore"]
    return _choose(request, frame, wanted, default_tool="PlantCAD")


def _is_headerless(path: Path, head: bytes) -> bool:  # noqa: ARG001
    rows = split_head(head)
    return len(rows) > 1 and all(
        len(row) == 5
        and row[1].isdigit()
        and {*row[2].upper(), *row[3].upper()} <= {*"ACGTN"}
        and "" not in row
        and is_number(row[4])
        for row in rows
    )


def _read_headerless(request: Request, tally: Tally, notes: list[str]) -> Read:
    """GPN-MSA's genome-wide scores: contig, position, ref, alt, score; no header."""
    frame = read_table(request.path, header=(*ALLELE, "score"))
    tally.read = len(frame)
    notes.append("no header: read as contig, position, ref, alt, score")
    return Read(frame, {"score": (_own_name(request), None)})


def _is_bare(path: Path, head: bytes) -> bool:
    """Only a column of scores, as GPN's ``run_vep`` writes; no text file can be told."""
    return head.startswith(_PARQUET) and _names(path, head) == ["score"]


def _read_bare(request: Request, tally: Tally, notes: list[str]) -> Read:
    """GPN's ``run_vep``: scores alone, in the order of the variants it was given."""
    given = request.options.get("alleles")
    if given is None:
        raise MalformedFileError(
            request.path,
            "only a column of scores, without the alleles they belong to",
            remedy="Name the table that was scored with --option alleles=FILE",
        )
    frame = _read_rows(request)
    of_alleles = Request(Path(given), request.name)
    alleles = _read_alleles(of_alleles, tally, notes)
    if len(alleles) != len(frame):
        raise MalformedFileError(
            request.path,
            f"{len(frame):,} scores, and {given} holds {len(alleles):,} alleles",
            remedy="Name the table these scores were made from",
        )
    joined = alleles[[c for c in ALLELE if c in alleles]].reset_index(drop=True)
    joined = joined.assign(score=frame["score"], **{LINE: frame[LINE]})
    return Read(joined, {"score": (_own_name(request), None)})


def _own_name(request: Request) -> str:
    """Return the name of a score that its file calls score, or nothing at all."""
    return request.options.get("tool") or request.name


def is_score_table(path: Path, head: bytes) -> bool:
    """A table of position, ref and alt with a column of numbers; no VCF."""
    if head.startswith(_VCF):
        return False
    names = _names(path, head)
    if not _has_alleles(names):
        return False
    if head.startswith(_PARQUET):
        return True
    rows = split_head(head)
    taken = {find_column(names, wanted, *SYNONYMS[wanted]) for wanted in ALLELE}
    others = [i for i, name in enumerate(names) if name not in taken]
    return any(
        any(len(row) > i and row[i] and is_number(row[i]) for row in rows[1:])
        for i in others
    )


def _read_alleles(request: Request, tally: Tally, notes: list[str]) -> pd.DataFrame:
    """Read a table and give the columns of the allele their names."""
    frame = _read_rows(request)
    tally.read = len(frame)
    if find_column(frame.columns, "INFO") and find_column(frame.columns, "FILTER"):
        raise InputError(
            f"{request.path}: a VCF; name the scores in INFO with --option info=KEY,KEY"
        )
    return name_columns(
        request, frame, SYNONYMS, required=("position", "ref", "alt"), notes=notes
    )


def _read_any_table(request: Request, tally: Tally, notes: list[str]) -> Read:
    """Any table: all columns of numbers that are no coordinate, or those named."""
    frame = _read_alleles(request, tally, notes)
    others = [str(c) for c in frame.columns if c not in (*ALLELE, LINE)]
    wanted = listed(request, "scores")
    wanted = wanted or [name for name in others if _is_score(name, frame[name])]
    return _choose(request, frame, wanted)


def _is_vcf_like(path: Path, head: bytes) -> bool:
    names = _names(path, head)
    return (
        find_column(names, "INFO") is not None
        and find_column(names, "FILTER") is not None
    )


def _choose(
    request: Request, frame: pd.DataFrame, wanted: Sequence[str], default_tool: str = ""
) -> Read:
    """Return the wanted columns of scores, each with the column of its class."""
    others = [str(c) for c in frame.columns if c not in (*ALLELE, LINE)]
    if unknown := [name for name in wanted if name not in others]:
        raise InputError(
            f"{request.path}: no column {unknown[0]!r} for option scores; there are "
            f"{', '.join(map(repr, others[:20]))}"
        )
    if not wanted:
        raise MalformedFileError(
            request.path,
            "no column of scores",
            line=1,
            remedy="Name the columns of scores with --option scores=A,B",
        )
    given = request.options.get("label")
    if given is not None and given not in others:
        raise InputError(f"{request.path}: no column {given!r} for option label")
    prefix = _prefix(request, default_tool)
    single = len(wanted) == 1
    scores: Scores = {}
    for score in wanted:
        own = _own_name(request) if score.lower() == "score" else prefix + score
        scores[score] = own, given or _label_of(score, others, single=single)
    return Read(frame, scores)


def _is_score(name: str, values: "pd.Series[str]") -> bool:
    if re.sub(r"[\s._\-]+", "", name).lower() in _NO_SCORE:
        return False
    numbers = read_numbers(values)
    is_text = numbers.isna() & ~is_missing(values)
    return bool(numbers.notna().any() and is_text.mean() < 0.01)


def _label_of(score: str, columns: Sequence[str], *, single: bool) -> str | None:
    stem = _SCORE_ENDINGS.sub("", re.sub(r"[\s._\-]+", "", score).lower())
    found = find_column(columns, *(stem + ending for ending in _LABEL_ENDINGS))
    if found is None and single:
        return find_column(columns, *_LABEL_ENDINGS)
    return found


DIALECTS: Final = (
    Dialect("SpliceAI VCF", _is_splice_vcf, _read_splice),
    Dialect("VCF with scores in INFO", is_score_vcf, _read_info),
    Dialect("VCF, keys named", _is_vcf_like, _read_info, is_default=True),
    Dialect("AlphaGenome", _is_alphagenome, _read_alphagenome),
    Dialect("CADD", _is_cadd, _read_cadd),
    Dialect("PlantCAD", _is_plantcad, _read_plantcad),
    Dialect("GPN, scores alone", _is_bare, _read_bare),
    Dialect("table without header (GPN-MSA)", _is_headerless, _read_headerless),
    Dialect("table", is_score_table, _read_any_table),
)
"""In this order a file is tried; what none recognises is read as a table."""


def find_dialect(path: Path, head: bytes) -> Dialect:
    """Return the first dialect that recognises a file the user calls variant scores."""
    return next((d for d in DIALECTS if d.recognises(path, head)), DIALECTS[-1])
