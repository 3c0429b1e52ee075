"""Per-variant scores of other tools: SIFT, CADD, SpliceAI, GPN, PlantCAD, AlphaGenome."""

from collections import Counter
from pathlib import Path

import pandas as pd

from data_registry.coordinates import start_from_one_based
from data_registry.errors import MalformedFileError
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.row_faults import leave_out_rows, refuse_mostly_faulty
from data_registry.sources.score_dialects import DIALECTS, find_dialect
from data_registry.text_files import LINE, read_head, read_numbers

_FAULTS = ("bad_variant_id", "bad_position", "several_alleles", "bad_allele")


def detect_variant_scores(path: Path, head: bytes) -> bool:
    """Scores per allele as one of the known programs writes them."""
    return any(d.recognises(path, head) for d in DIALECTS if not d.is_default)


def parse_variant_scores(request: Request) -> Parsed:
    """Read scores per allele; positions are 1-based in the file.

    In a table every column of numbers that is no coordinate or count is a score, unless
    ``--option scores`` names them. The class of a score stands in the column of the
    same name ending in pred, prediction, class or label. Rows of several transcripts
    stay apart where their score or class differ. A line with several alleles is left
    out when none of them can be kept; what it loses else is noted.

    Raises
    ------
    MalformedFileError
        No column of positions, alleles or scores, or most rows are unusable.
    InputError
        An option names a column that is not there.
    """
    notes: list[str] = []
    tally = Tally()
    dialect = find_dialect(request.path, read_head(request.path))
    notes.append(f"written as: {dialect.name}")
    read = dialect.read(request, tally, notes)
    frame, scores = read.frame, read.scores
    if contig := request.options.get("contig"):
        frame = frame.assign(contig=contig)
    if "contig" not in frame:
        raise MalformedFileError(
            request.path,
            "no column of contigs",
            line=1,
            remedy="Name the contig with --option contig=NAME, or --column contig=NAME",
        )
    frame = frame.assign(
        position=read_numbers(frame["position"]),
        ref=frame["ref"].str.upper(),
        alt=frame["alt"].str.upper(),
    )
    parts_lost: Counter[str] = Counter()

    def leave_out(faulty: "pd.Series[bool]", reason: str) -> pd.DataFrame:
        """Leave alleles out; a line counts once, when the last of its alleles goes."""
        kept, lost = frame[~faulty], frame[faulty]
        whole = lost[~lost[LINE].isin(kept[LINE])].drop_duplicates(LINE)
        parts_lost[reason] += int(lost[LINE].isin(kept[LINE]).sum())
        leave_out_rows(tally, whole, pd.Series(data=True, index=whole.index), reason)
        return kept

    whole = (frame["position"] >= 1) & (frame["position"] % 1 == 0)
    frame = leave_out(~whole, "bad_position")
    several = frame["alt"].str.contains(r"[,/|;]", regex=True)
    frame = leave_out(several, "several_alleles")
    plain = frame["ref"].str.fullmatch("[ACGTN]+") & frame["alt"].str.fullmatch(
        "[ACGTN]+"
    )
    frame = leave_out(~plain, "bad_allele")
    frame = leave_out(frame["ref"] == frame["alt"], "ref_is_alt")
    refuse_mostly_faulty(request.path, tally, _FAULTS)
    numbers = pd.DataFrame(
        {score: read_numbers(frame[score]) for score in scores}, index=frame.index
    )
    without = numbers.isna().all(axis="columns")
    frame, numbers = leave_out(without, "no_score"), numbers[~without]

    start = frame["position"].astype("int64").map(start_from_one_based)
    table = pd.concat(
        pd.DataFrame(
            {
                "contig": frame["contig"],
                "start": start,
                "ref": frame["ref"],
                "alt": frame["alt"],
                "name": name,
                "value": numbers[score],
                "label": frame[label] if label else "",
                LINE: frame[LINE],
            }
        )
        for score, (name, label) in scores.items()
    )
    table = table[table["value"].notna()]
    keys = ["contig", "start", "ref", "alt", "name", "value", "label"]
    unique = table.drop_duplicates(keys)
    leave_out(~frame[LINE].isin(unique[LINE]), "duplicate_row")
    unique = unique.sort_values(LINE, kind="stable").reset_index(drop=True)
    notes += [
        f"{n:,} alleles left out as {reason} of lines that keep another"
        for reason, n in parts_lost.items()
        if n
    ]
    notes.append(
        "scores: "
        + ", ".join(
            f"{name} from {score}" + (f" with class {label}" if label else "")
            for score, (name, label) in scores.items()
        )
    )
    return Parsed({"variant_scores": unique}, tally, notes)


KINDS = (
    Kind(
        name="variant_scores",
        meaning="scores per allele of other tools (SIFT, CADD, SpliceAI, GPN, …), 1-based",
        detect=detect_variant_scores,
        parse=parse_variant_scores,
        tables=("variant_scores",),
        options={
            "scores": "columns of scores, comma-separated (default: all of numbers)",
            "label": "column of the class (default: the score's own)",
            "contig": "contig, for tables of one contig without that column",
            "info": "VCF: INFO keys that are scores, comma-separated",
            "tool": "prefix of the scores' names",
            "alleles": "the table that was scored, for files of scores alone (GPN)",
        },
        side_files=("alleles",),
    ),
)
