"""Per-variant scores of other tools: SIFT, PolyPhen, CADD and the like."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from data_registry.coordinates import start_from_one_based
from data_registry.errors import InputError, MalformedFileError
from data_registry.named_columns import name_columns, names_match
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.row_faults import leave_out_rows, refuse_mostly_faulty
from data_registry.text_files import (
    LINE,
    find_column,
    is_missing,
    is_number,
    read_numbers,
    read_table,
    split_head,
)

SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "contig": ("chrom", "chr", "chromosome", "seqid"),
    "position": ("pos", "pos(1-based)", "bp"),
    "ref": ("ref_allele", "reference_allele", "reference"),
    "alt": ("alt_allele", "new_allele", "alternate_allele", "allele", "alternate"),
}
_SURE: Final = ("contig", "position", "ref", "alt")
_NO_SCORE: Final = frozenset(
    {
        "id", "qual", "transcriptid", "geneid", "genename", "region", "varianttype",
        "aminopos", "positionofaminoacid", "numseqs", "numseqsatposition", "siftmedian",
        "mediansequenceinformation", "end", "strand", "rank", "dbsnp", "aapos",
    }
)  # fmt: skip
_LABEL_ENDINGS: Final = ("prediction", "pred", "class", "label")
_SCORE_ENDINGS: Final = re.compile(r"(score|prob|probability)$")


def detect_variant_scores(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """A table of contig, position, ref and alt with a column of numbers; no VCF."""
    if head.startswith(b"##fileformat=VCF"):
        return False
    rows = split_head(head)
    if len(rows) < 2 or not names_match(rows[0], SYNONYMS, "position", "ref", "alt"):
        return False
    taken = {find_column(rows[0], w, *SYNONYMS[w]) for w in _SURE}
    others = [i for i, name in enumerate(rows[0]) if name not in taken]
    return any(
        any(len(row) > i and row[i] and is_number(row[i]) for row in rows[1:])
        for i in others
    )


def parse_variant_scores(request: Request) -> Parsed:
    """Read scores per allele; positions are 1-based in the file.

    Every column of numbers that is no coordinate or count is a score, unless
    ``--option scores`` names them. The class of a score stands in the column of the
    same name ending in pred, prediction, class or label. Rows of several transcripts
    stay apart where their score or class differ.

    Raises
    ------
    MalformedFileError
        No column of positions, alleles or scores, or most rows are unusable.
    InputError
        An option names a column that is not there.
    """
    notes: list[str] = []
    frame = read_table(request.path, columns=request.columns)
    if find_column(frame.columns, "INFO") and find_column(frame.columns, "FILTER"):
        frame = _split_info(request, frame)
    frame = name_columns(
        request, frame, SYNONYMS, required=("position", "ref", "alt"), notes=notes
    )
    if contig := request.options.get("contig"):
        frame = frame.assign(contig=contig)
    if "contig" not in frame:
        raise MalformedFileError(
            request.path,
            "no column of contigs",
            line=1,
            remedy="Name the contig with --option contig=NAME, or --column contig=NAME",
        )
    tally = Tally(read=len(frame))
    frame = frame.assign(
        position=read_numbers(frame["position"]),
        ref=frame["ref"].str.upper(),
        alt=frame["alt"].str.upper(),
    )
    whole = (frame["position"] >= 1) & (frame["position"] % 1 == 0)
    frame = leave_out_rows(tally, frame, ~whole, "bad_position")
    several = frame["alt"].str.contains(r"[,/|;]", regex=True)
    frame = leave_out_rows(tally, frame, several, "several_alleles")
    plain = frame["ref"].str.fullmatch("[ACGTN]+") & frame["alt"].str.fullmatch(
        "[ACGTN]+"
    )
    frame = leave_out_rows(tally, frame, ~plain, "bad_allele")
    frame = leave_out_rows(tally, frame, frame["ref"] == frame["alt"], "ref_is_alt")
    faults = ("bad_position", "several_alleles", "bad_allele")
    refuse_mostly_faulty(request.path, tally, faults)

    scores = _score_columns(request, frame)
    start = frame["position"].astype("int64").map(start_from_one_based)
    parts = []
    for score, (name, label) in scores.items():
        part = pd.DataFrame(
            {
                "contig": frame["contig"],
                "start": start,
                "ref": frame["ref"],
                "alt": frame["alt"],
                "name": name,
                "value": read_numbers(frame[score]),
                "label": frame[label] if label else "",
                LINE: frame[LINE],
            }
        )
        parts.append(part[part["value"].notna()])
    table = pd.concat(parts)
    without = ~frame[LINE].isin(table[LINE])
    leave_out_rows(tally, frame, without, "no_score")
    keys = ["contig", "start", "ref", "alt", "name", "value", "label"]
    unique = table.drop_duplicates(keys)
    doubled = ~frame[LINE].isin(unique[LINE]) & ~without
    leave_out_rows(tally, frame, doubled, "duplicate_row")
    unique = unique.sort_values(LINE, kind="stable").reset_index(drop=True)
    notes.append(
        "scores: "
        + ", ".join(
            f"{name} from {score}" + (f" with class {label}" if label else "")
            for score, (name, label) in scores.items()
        )
    )
    return Parsed({"variant_scores": unique}, tally, notes)


def _split_info(request: Request, frame: pd.DataFrame) -> pd.DataFrame:
    """Make the keys of a VCF's INFO named by ``--option info`` columns."""
    info = find_column(frame.columns, "INFO")
    keys = [k.strip() for k in request.options.get("info", "").split(",") if k.strip()]
    if info is None or not keys:
        raise InputError(
            f"{request.path}: name the scores in INFO with --option info=KEY,KEY"
        )
    values = {
        key: frame[info]
        .str.extract(rf"(?:^|;){re.escape(key)}=([^;]*)", expand=False)
        .fillna("")
        for key in keys
    }
    return frame.drop(columns=info).assign(**values)


def _score_columns(
    request: Request, frame: pd.DataFrame
) -> dict[str, tuple[str, str | None]]:
    """Return each score column with its name and the column of its class."""
    others = [str(c) for c in frame.columns if c not in (*_SURE, LINE)]
    wanted = [
        s.strip() for s in request.options.get("scores", "").split(",") if s.strip()
    ]
    if unknown := [name for name in wanted if name not in others]:
        raise InputError(
            f"{request.path}: no column {unknown[0]!r} for option scores; there are "
            f"{', '.join(map(repr, others[:20]))}"
        )
    if not wanted:
        wanted = [name for name in others if _is_score(name, frame[name])]
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
    prefix = f"{request.options['tool']}_" if "tool" in request.options else ""
    return {
        score: (
            prefix + score,
            given or _label_of(score, others, single=len(wanted) == 1),
        )
        for score in wanted
    }


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


KINDS = (
    Kind(
        name="variant_scores",
        meaning="scores per allele of other tools (SIFT, PolyPhen, CADD, …), 1-based",
        detect=detect_variant_scores,
        parse=parse_variant_scores,
        tables=("variant_scores",),
        options={
            "scores": "columns of scores, comma-separated (default: all of numbers)",
            "label": "column of the class (default: the score's own)",
            "contig": "contig, for tables of one contig without that column",
            "info": "VCF-like tables: INFO keys that are scores, comma-separated",
            "tool": "prefix of the scores' names",
        },
    ),
)
