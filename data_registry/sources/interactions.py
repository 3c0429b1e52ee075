"""Gene–gene interactions: STRING, BioGRID, TF–target lists and other edge lists."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from data_registry.errors import InputError, MalformedFileError
from data_registry.named_columns import (
    HEADER_OPTION,
    name_columns,
    names_match,
    read_named_table,
)
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.row_faults import leave_out_rows, refuse_mostly_faulty
from data_registry.text_files import (
    LINE,
    find_column,
    is_missing,
    read_first_row,
    read_numbers,
    read_table,
    split_head,
)

KINDS_OF_EDGE: Final = (
    "physical",
    "regulatory",
    "coexpression",
    "complex",
    "genetic",
    "functional",
    "chromatin",
)
"""``functional`` is STRING's association of any evidence, ``chromatin`` a contact."""

_DIRECTED_NAMES: Final = {
    "gene_a": ("tf", "regulator", "tf_id", "tfgene", "regulatorgene", "source_tf"),
    "gene_b": ("target", "target_gene", "targetgene", "targetid", "regulated_gene"),
}
_BIOGRID_IDS: Final = {
    "systematic": "Systematic Name",
    "entrez": "Entrez Gene",
    "symbol": "Official Symbol",
}
SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "gene_a": (
        *_DIRECTED_NAMES["gene_a"],
        "protein1",
        "gene1",
        "genea",
        "annotation1",
        "node1",
        "node_a",
        "source",
        "from",
        "a",
    ),
    "gene_b": (
        *_DIRECTED_NAMES["gene_b"],
        "protein2",
        "gene2",
        "geneb",
        "annotation2",
        "node2",
        "node_b",
        "to",
        "b",
    ),
    "score": ("combined_score", "weight", "confidence", "probability"),
    "sign": ("effect", "mode", "regulation", "action", "activation_repression"),
    "n_activating": ("experimentos_pos", "experiments_pos", "n_positive"),
    "n_repressing": ("experimentos_neg", "experiments_neg", "n_negative"),
    "evidence": ("type", "experimental_system", "method", "source_db", "assay"),
    "edge_kind": ("interaction_type", "experimental_system_type"),
    "taxon_a": ("organism_id_interactor_a", "organism_interactor_a"),
    "taxon_b": ("organism_id_interactor_b", "organism_interactor_b"),
}
_SIGNS: Final = {
    "+": 1, "1": 1, "+1": 1, "activation": 1, "activates": 1, "activator": 1,
    "activate": 1, "up": 1, "positive": 1, "induces": 1, "-->": 1, "->": 1,
    "-": -1, "-1": -1, "repression": -1, "represses": -1, "repressor": -1,
    "repress": -1, "inhibition": -1, "inhibits": -1, "inhibitor": -1, "down": -1,
    "negative": -1, "--|": -1, "-|": -1,
}  # fmt: skip


def detect_interactions(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """A header of STRING, BioGRID, TF–target or another list of pairs of genes."""
    rows = split_head(head)
    if len(rows) < 2:
        return False
    names = rows[0]
    if find_column(names, *(f"{n} Interactor A" for n in _BIOGRID_IDS.values())):
        return True
    short = {"a", "b", "from", "to", "source"}
    sure = {w: [n for n in SYNONYMS[w] if n not in short] for w in ("gene_a", "gene_b")}
    return names_match(names, sure, "gene_a", "gene_b")


def parse_interactions(request: Request) -> Parsed:
    """Read a list of pairs; an edge stated twice (either way round) is kept once.

    Raises
    ------
    MalformedFileError
        The columns of the two genes are not to be found.
    InputError
        An option has a value that it cannot take.
    """
    notes: list[str] = []
    frame, names = _read(request, notes)
    tally = Tally(read=len(frame))
    frame = frame.assign(
        gene_a=_strip_taxon(frame["gene_a"]), gene_b=_strip_taxon(frame["gene_b"])
    )
    unnamed = is_missing(frame["gene_a"]) | is_missing(frame["gene_b"])
    frame = leave_out_rows(tally, frame, unnamed, "no_gene")
    refuse_mostly_faulty(request.path, tally, ("no_gene",))
    if taxon := request.options.get("taxon"):
        frame = leave_out_rows(
            tally, frame, _is_foreign(request, frame, taxon), "other_taxon"
        )

    directed = _is_directed(request, names)
    kind = _edge_kinds(request, frame, names, directed=directed)
    score = _scores(request, frame, names, notes)
    table = pd.DataFrame(
        {
            "gene_a": frame["gene_a"],
            "gene_b": frame["gene_b"],
            "kind": kind,
            "directed": directed,
            "score": score,
            "sign": _signs(frame, notes),
            "evidence": frame.get("evidence", ""),
            LINE: frame[LINE],
        }
    )
    if text := request.options.get("min_score"):
        limit = _number_option("min_score", text)
        table = leave_out_rows(
            tally, table, ~(table["score"] >= limit), "below_min_score"
        )
    table = _once(tally, table, directed=directed)
    notes.append(
        f"{'directed' if directed else 'undirected'} edges of kind "
        f"{', '.join(sorted(table['kind'].unique()))}"
    )
    return Parsed({"interactions": table.reset_index(drop=True)}, tally, notes)


def _read(request: Request, notes: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows with ``gene_a`` and ``gene_b``, and the header's names."""
    first = read_first_row(request.path)
    ends = {"A": "gene_a", "B": "gene_b"}
    given = {
        end: {
            spelling: find_column(first, f"{name} Interactor {end}")
            for spelling, name in _BIOGRID_IDS.items()
        }
        for end in ends
    }
    if not any(given["A"].values()) or {"gene_a", "gene_b"} & set(request.columns):
        frame = read_named_table(
            request,
            SYNONYMS,
            required=("gene_a", "gene_b"),
            positions=("gene_a", "gene_b"),
            notes=notes,
        )
        return frame, first
    asked = request.options.get("id", "")
    if asked and asked not in _BIOGRID_IDS:
        raise InputError(f"option id={asked}: say {', '.join(_BIOGRID_IDS)}")
    frame = read_table(request.path, columns=request.columns)
    others = {name: s for name, s in SYNONYMS.items() if name not in ends.values()}
    frame = name_columns(request, frame, others, required=(), notes=notes)
    for end, wanted in ends.items():
        spellings = [asked] if asked else list(_BIOGRID_IDS)
        columns = [c for s in spellings if (c := given[end][s]) is not None]
        if not columns:
            raise MalformedFileError(
                request.path,
                f"no column of {asked} names for interactor {end}",
                line=1,
                remedy=f"Take another id than {asked}",
            )
        gene = frame[columns[0]]
        for column in columns[1:]:
            gene = gene.where(~is_missing(gene), frame[column])
        frame[wanted] = gene
        notes.append(f"{wanted} from {', else '.join(columns)}")
    return frame, first


def _strip_taxon(genes: "pd.Series[str]") -> "pd.Series[str]":
    """Take STRING's taxon number off (``3702.AT1G01010.1``)."""
    head = genes.iloc[:1000].str.match(r"^\d+\.\S")
    if not len(head) or not head.all():
        return genes
    return genes.str.replace(r"^\d+\.", "", regex=True)


def _is_foreign(request: Request, frame: pd.DataFrame, taxon: str) -> "pd.Series[bool]":
    if "taxon_a" not in frame or "taxon_b" not in frame:
        raise InputError(f"{request.path}: option taxon={taxon}, but no taxon columns")
    return (frame["taxon_a"] != taxon) | (frame["taxon_b"] != taxon)


def _is_directed(request: Request, names: Sequence[str]) -> bool:
    asked = request.options.get("directed", "").lower()
    if asked not in ("", "yes", "no"):
        raise InputError(f"option directed={asked}: say yes or no")
    if asked:
        return asked == "yes"
    if request.options.get("kind"):
        return request.options["kind"] == "regulatory"
    return names_match(names, _DIRECTED_NAMES, "gene_a", "gene_b")


def _edge_kinds(
    request: Request, frame: pd.DataFrame, names: Sequence[str], *, directed: bool
) -> "pd.Series[str] | str":
    asked = request.options.get("kind", "")
    if asked and asked not in KINDS_OF_EDGE:
        raise InputError(f"option kind={asked}: say {', '.join(KINDS_OF_EDGE)}")
    if asked:
        return asked
    if directed:
        return "regulatory"
    if "edge_kind" in frame:
        given = frame["edge_kind"].str.lower()
        if unknown := sorted(set(given.unique()) - set(KINDS_OF_EDGE)):
            raise MalformedFileError(
                request.path,
                f"kinds of interaction {', '.join(map(repr, unknown[:5]))}",
                remedy=f"Write {', '.join(KINDS_OF_EDGE)}, or give --option kind",
            )
        return given
    if find_column(names, *(f"{n} Interactor A" for n in _BIOGRID_IDS.values())):
        return "physical"
    if "protein1" in names and "physical" in request.path.name.lower():
        return "physical"
    return "functional"


def _number_option(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"option {name}={text}: give a number") from None


def _scores(
    request: Request, frame: pd.DataFrame, names: Sequence[str], notes: list[str]
) -> "pd.Series[float]":
    if "score" not in frame:
        return pd.Series(np.nan, index=frame.index, dtype="float64")
    score = read_numbers(frame["score"])
    if text := request.options.get("scale"):
        score = score / _number_option("scale", text)
    elif find_column(names, "combined_score") is not None:
        score = score / 1000
        notes.append("score = combined_score / 1000")
    if score.notna().any() and not score.dropna().between(0, 1).all():
        notes.append(
            f"score spans {score.min():g} to {score.max():g}, not 0 to 1: left empty; "
            "give --option scale=MAX to divide by"
        )
        return pd.Series(np.nan, index=frame.index, dtype="float64")
    return score


def _signs(frame: pd.DataFrame, notes: list[str]) -> "pd.Series[float] | None":
    if "sign" not in frame:
        return _signs_by_count(frame, notes)
    given = frame["sign"].str.lower()
    sign = given.map(_SIGNS).astype("float64")
    n_unread = int((sign.isna() & ~is_missing(given)).sum())
    if n_unread:
        notes.append(f"{n_unread:,} signs that say neither + nor - are left empty")
    return sign


def _signs_by_count(frame: pd.DataFrame, notes: list[str]) -> "pd.Series[float] | None":
    """Return the sign on which all experiments agree; ``2/3`` says two of three."""
    if not {"n_activating", "n_repressing"} <= {*frame.columns}:
        return None
    up, down = (
        read_numbers(frame[name].str.replace(r"/\d+$", "", regex=True)) > 0
        for name in ("n_activating", "n_repressing")
    )
    notes.append(
        f"sign by the experiments: {int((up & ~down).sum()):,} activate, "
        f"{int((down & ~up).sum()):,} repress, {int((up & down).sum()):,} disagree"
    )
    sign = up.astype("float64") - down.astype("float64")
    return sign.where(up != down)


def _once(tally: Tally, table: pd.DataFrame, *, directed: bool) -> pd.DataFrame:
    """Keep each edge once, the row of the highest score."""
    a, b = (
        table["gene_a"].to_numpy(dtype=object),
        table["gene_b"].to_numpy(dtype=object),
    )
    if not directed:
        is_ordered = a <= b
        a, b = np.where(is_ordered, a, b), np.where(is_ordered, b, a)
    keys = pd.DataFrame(
        {"a": a, "b": b, "kind": table["kind"], "evidence": table["evidence"]},
        index=table.index,
    )
    if table["score"].notna().any():
        order = table["score"].fillna(-1.0).sort_values(ascending=False, kind="stable")
        keys = keys.loc[order.index]
    doubled = keys.duplicated().reindex(table.index)
    return leave_out_rows(tally, table, doubled, "duplicate_edge")


KINDS = (
    Kind(
        name="interactions",
        meaning="pairs of genes: STRING, BioGRID, TF–target and other edge lists",
        detect=detect_interactions,
        parse=parse_interactions,
        tables=("interactions",),
        options={
            "kind": f"kind of edge: {', '.join(KINDS_OF_EDGE)}",
            "directed": "yes or no (default: yes for TF–target headers)",
            "scale": "number to divide the score by, to bring it to 0–1",
            "min_score": "leave out edges scored lower (0–1) or not at all",
            "taxon": "leave out pairs with a gene of another taxon (BioGRID)",
            "id": f"which of BioGRID's names: {', '.join(_BIOGRID_IDS)}",
            "header": HEADER_OPTION,
        },
    ),
)
