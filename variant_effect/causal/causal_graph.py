"""Causal graphs: what is believed to act on what, against data, and what it identifies.

Identification is by d-separation (Pearl 2009, Causality, chapters 3 and 4): adjustment for
confounders (backdoor), full mediation (front-door), instruments. These three are looked for
among observed nodes; what none of them identifies is refused.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Final, Literal

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from data_registry.errors import (
    InputError,
    MalformedFileError,
    MissingOptionalError,
    NotIdentifiedError,
)
from data_registry.text_files import LINE, is_missing, read_table
from graph_builder.manifest import read_manifest
from graph_builder.schema import EDGE_TYPES

Reals = NDArray[np.float64]
Role = Literal["variant", "expression", "phenotype", "confounder", "other"]
Origin = Literal["knowledge", "data", "assumption"]

ROLES: Final[tuple[Role, ...]] = (
    "variant", "expression", "phenotype", "confounder", "other",
)  # fmt: skip
STRUCTURE: Final = "population_structure"
BATCH: Final = "batch"
_SHAPES: Final[Mapping[Role, str]] = {
    "variant": "box", "expression": "ellipse", "phenotype": "doubleoctagon",
    "confounder": "diamond", "other": "plaintext",
}  # fmt: skip
_LINES: Final[Mapping[Origin, str]] = {
    "knowledge": "solid", "data": "bold", "assumption": "dotted",
}  # fmt: skip
_MAX_MEDIATORS = 3


@dataclass(frozen=True, slots=True)
class Node:
    """A quantity.

    Parameters
    ----------
    observed
        False for what was not measured: it can confound and cannot be adjusted for.
    """

    name: str
    role: Role = "other"
    observed: bool = True


@dataclass(frozen=True, slots=True)
class Edge:
    """A direct effect of one node on another, and why it is believed."""

    source: str
    target: str
    origin: Origin = "assumption"
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class CausalGraph:
    """Nodes and direct effects, without cycles.

    Raises
    ------
    InputError
        An edge names no node, or the effects run in a circle.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    digraph: "nx.DiGraph[str]" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = [node.name for node in self.nodes]
        if len(set(names)) < len(names):
            raise InputError("a node stands twice in the causal graph")
        graph: nx.DiGraph[str] = nx.DiGraph()
        for node in self.nodes:
            graph.add_node(node.name, role=node.role, observed=node.observed)
        for edge in self.edges:
            if unknown := {edge.source, edge.target} - set(names):
                raise InputError(
                    f"edge {edge.source} -> {edge.target}: no node {sorted(unknown)[0]}"
                )
            graph.add_edge(
                edge.source, edge.target, origin=edge.origin, evidence=edge.evidence
            )
        if not nx.is_directed_acyclic_graph(graph):
            circle = [step[0] for step in nx.find_cycle(graph)]
            raise InputError(
                f"effects run in a circle: {' -> '.join([*circle, circle[0]])}. A causal "
                "graph has none; name one moment of time or leave an edge out"
            )
        object.__setattr__(self, "digraph", graph)

    @property
    def observed(self) -> frozenset[str]:
        """Names of the measured nodes."""
        return frozenset(node.name for node in self.nodes if node.observed)

    def require(self, *names: str) -> None:
        """Refuse names that are no nodes.

        Raises
        ------
        InputError
            One is not.
        """
        for name in names:
            if name not in self.digraph:
                known = ", ".join(sorted(self.digraph)[:20])
                raise InputError(
                    f"no node {name!r} in the causal graph; there are {known}"
                )

    def intervene(self, name: str) -> "CausalGraph":
        """Return the graph under do(name): nothing else acts on it any more."""
        self.require(name)
        kept = tuple(edge for edge in self.edges if edge.target != name)
        return CausalGraph(self.nodes, kept)

    def to_dot(self) -> str:
        """Return the graph for Graphviz: dashed what is not observed, dotted assumptions."""
        lines = ["digraph causal {", "  rankdir=LR;"]
        for node in self.nodes:
            style = "solid" if node.observed else "dashed"
            lines.append(
                f"  {_quote(node.name)} [shape={_SHAPES[node.role]}, style={style}];"
            )
        for edge in self.edges:
            label = f", tooltip={_quote(edge.evidence)}" if edge.evidence else ""
            lines.append(
                f"  {_quote(edge.source)} -> {_quote(edge.target)} "
                f"[style={_LINES[edge.origin]}{label}];"
            )
        return "\n".join([*lines, "}"]) + "\n"

    def to_json(self) -> str:
        """Return networkx's node-link form; ``nx.node_link_graph`` reads it back."""
        content = nx.node_link_data(self.digraph, edges="links")
        return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'


# -- making graphs -----------------------------------------------------------------------


def read_edges(path: Path) -> CausalGraph:
    """Read a graph from a table with columns ``source`` and ``target``.

    Optional columns: ``source_role`` and ``target_role`` (``ROLES``), ``origin``,
    ``evidence``. A node whose name starts with ``U_`` or ``*`` was not observed; the ``*``
    is no part of its name.

    Raises
    ------
    MalformedFileError
        A column or a value is missing, or a role is none.
    """
    frame = read_table(path)
    for name in ("source", "target"):
        if name not in frame:
            raise MalformedFileError(
                path, f"no column {name}", line=1,
                remedy="Give a header with source and target, one direct effect a row",
            )  # fmt: skip
    roles: dict[str, Role] = {}
    hidden: set[str] = set()
    edges = []
    for row in frame.to_dict("records"):
        ends = []
        for side in ("source", "target"):
            text = str(row[side])
            name = text.removeprefix("*")
            role = str(row.get(f"{side}_role", "") or "other")
            if not name or role not in ROLES:
                raise MalformedFileError(
                    path, f"{side} {text!r} with role {role!r}", line=int(row[LINE]),
                    remedy=f"Name a node; roles are {', '.join(ROLES)}",
                )  # fmt: skip
            if text.startswith(("*", "U_")):
                hidden.add(name)
            if role != "other" or name not in roles:
                roles[name] = next(r for r in ROLES if r == role)
            ends.append(name)
        origin = str(row.get("origin", "") or "assumption")
        if origin not in _LINES:
            raise MalformedFileError(
                path, f"origin {origin!r}", line=int(row[LINE]),
                remedy=f"Origins are {', '.join(_LINES)}",
            )  # fmt: skip
        kind = next(o for o in _LINES if o == origin)
        edges.append(Edge(ends[0], ends[1], kind, str(row.get("evidence", ""))))
    nodes = tuple(Node(name, role, name not in hidden) for name, role in roles.items())
    return CausalGraph(nodes, tuple(edges))


def expression_graph(
    variants: Sequence[str],
    genes: Mapping[str, Sequence[str]],
    phenotypes: Mapping[str, Sequence[str]],
    *,
    evidence: Mapping[tuple[str, str], str] | None = None,
    structure_observed: bool = True,
    batch_observed: bool = True,
) -> CausalGraph:
    """Build variant -> expression -> phenotype with the usual confounders.

    Population structure acts on variants, expression and phenotypes; batch on expression
    and phenotypes.

    Parameters
    ----------
    genes
        Gene to the variants that act on its expression.
    phenotypes
        Phenotype to the genes and variants that act on it.
    evidence
        Why an edge is believed; edges without are assumptions.
    """
    why = evidence or {}
    nodes = [
        *(Node(v, "variant") for v in variants),
        *(Node(g, "expression") for g in genes),
        *(Node(p, "phenotype") for p in phenotypes),
        Node(STRUCTURE, "confounder", structure_observed),
        Node(BATCH, "confounder", batch_observed),
    ]
    pairs = [(v, g) for g, causes in genes.items() for v in causes]
    pairs += [(c, p) for p, causes in phenotypes.items() for c in causes]
    edges = [
        Edge(a, b, "knowledge" if (a, b) in why else "assumption", why.get((a, b), ""))
        for a, b in pairs
    ]
    edges += [Edge(STRUCTURE, name) for name in (*variants, *genes, *phenotypes)]
    edges += [Edge(BATCH, name) for name in (*genes, *phenotypes)]
    return CausalGraph(tuple(nodes), tuple(edges))


def knowledge_graph(graph: Path, variant: str) -> CausalGraph:
    """Build the causal graph of one variant from a stored graph.

    Taken are its edges to genes, the genes' phenotypes, and the variant's own
    phenotypes where none of its genes has them.

    Parameters
    ----------
    graph
        Folder of a graph (``graph_builder``).
    variant
        Identifier of a variant node.

    Raises
    ------
    InputError
        There is no such variant, or nothing ties it to a gene or phenotype.
    """
    manifest = read_manifest(graph)
    names = {
        kind: dict(zip(*(manifest.table(kind)[c].to_pylist() for c in ("id", "identifier")),
                       strict=True))
        for kind in ("variant", "gene", "phenotype") if kind in manifest.nodes
    }  # fmt: skip
    if variant not in names.get("variant", {}).values():
        some = ", ".join(list(names.get("variant", {}).values())[:3])
        raise InputError(f"the graph has no variant {variant!r}; there are e.g. {some}")

    def links(source: str, target: str, wanted: set[str]) -> dict[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        for name, record in manifest.edges.items():
            kind = EDGE_TYPES[name]
            if (kind.source, kind.target) != (source, target) or not record.count:
                continue
            table = manifest.table(name)
            for a, b in zip(
                table["source"].to_pylist(), table["target"].to_pylist(), strict=True
            ):
                pair = names[source][a], names[target][b]
                if pair[0] in wanted:
                    found[pair] = "; ".join(
                        dict.fromkeys([*filter(None, [found.get(pair)]), kind.relation])
                    )
        return found

    to_genes = links("variant", "gene", {variant})
    genes = sorted({gene for _, gene in to_genes})
    to_phenotypes = links("gene", "phenotype", set(genes))
    reached = {phenotype for _, phenotype in to_phenotypes}
    direct = {
        pair: why for pair, why in links("variant", "phenotype", {variant}).items()
        if pair[1] not in reached
    }  # fmt: skip
    if not to_genes and not direct:
        raise InputError(f"the graph ties {variant} to no gene and no phenotype")
    causes: dict[str, list[str]] = {}
    for cause, phenotype in [*to_phenotypes, *direct]:
        causes.setdefault(phenotype, []).append(cause)
    return expression_graph(
        [variant], {gene: [variant] for gene in genes}, causes,
        evidence={**to_genes, **to_phenotypes, **direct},
    )  # fmt: skip


# -- identification ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identification:
    """One way to have an effect from observed data.

    Parameters
    ----------
    strategy
        ``none`` (no directed path: the effect is 0), ``backdoor``, ``front-door``,
        ``instrument``.
    adjust
        What is held fixed.
    through
        Mediators of a front-door, or the instrument.
    """

    strategy: Literal["none", "backdoor", "front-door", "instrument"]
    treatment: str
    outcome: str
    adjust: tuple[str, ...] = ()
    through: tuple[str, ...] = ()

    @property
    def statement(self) -> str:
        """In words."""
        held = f" holding {', '.join(self.adjust)} fixed" if self.adjust else ""
        match self.strategy:
            case "none":
                return f"{self.treatment} does not act on {self.outcome} in this graph"
            case "backdoor":
                return f"compare {self.outcome} by {self.treatment}{held or ' as observed'}"
            case "front-door":
                return (
                    f"effect on {', '.join(self.through)}, times theirs on "
                    f"{self.outcome} holding {self.treatment} fixed"
                )
            case "instrument":
                return (
                    f"{self.through[0]} as an instrument{held}; the effect is taken as "
                    "linear"
                )


def identify(graph: CausalGraph, treatment: str, outcome: str) -> list[Identification]:
    """Find the ways to identify a total effect, the most direct first.

    Raises
    ------
    NotIdentifiedError
        There is none; the message shows an open path that cannot be closed.
    InputError
        Treatment or outcome is no observed node, or they are the same.
    """
    graph.require(treatment, outcome)
    if treatment == outcome:
        raise InputError(f"{treatment}: treatment and outcome are the same")
    for name in (treatment, outcome):
        if name not in graph.observed:
            raise NotIdentifiedError(
                f"{name} is not observed: its effect cannot be had"
            )
    if not nx.has_path(graph.digraph, treatment, outcome):
        return [Identification("none", treatment, outcome)]
    ways = [
        *_backdoor(graph, treatment, outcome),
        *_front_door(graph, treatment, outcome),
        *_instruments(graph, treatment, outcome),
    ]
    if not ways:
        path = _open_backdoor(graph, treatment, outcome)
        raise NotIdentifiedError(
            f"the effect of {treatment} on {outcome} is not identified by adjustment, "
            f"front-door or instrument: {path} stays open. Measure a node on it, or find "
            "an instrument"
        )
    return ways


def _on_causal_paths(
    graph: "nx.DiGraph[str]", treatment: str, outcome: str
) -> set[str]:
    between: set[str] = nx.descendants(graph, treatment) & nx.ancestors(graph, outcome)
    return between | {outcome}


def _without_causal_paths(
    graph: "nx.DiGraph[str]", treatment: str, outcome: str
) -> "nx.DiGraph[str]":
    """Return the proper backdoor graph: first edges of causal paths removed."""
    cut = graph.copy()
    on_path = _on_causal_paths(graph, treatment, outcome)
    cut.remove_edges_from(
        [(treatment, n) for n in graph.successors(treatment) if n in on_path]
    )
    return cut


def _separator(
    graph: "nx.DiGraph[str]", a: str, b: str, allowed: Iterable[str]
) -> tuple[str, ...] | None:
    """Return a minimal set of allowed nodes that d-separates a and b, or None."""
    if b in graph.successors(a) or a in graph.successors(b):
        return None
    found = nx.find_minimal_d_separator(graph, a, b, restricted=set(allowed) - {a, b})
    return None if found is None else tuple(sorted(found))


def _backdoor(graph: CausalGraph, treatment: str, outcome: str) -> list[Identification]:
    g = graph.digraph
    on_path = _on_causal_paths(g, treatment, outcome)
    forbidden = {treatment}.union(on_path, *(nx.descendants(g, n) for n in on_path))
    cut = _without_causal_paths(g, treatment, outcome)
    found = _separator(cut, treatment, outcome, graph.observed - forbidden)
    if found is None:
        return []
    return [Identification("backdoor", treatment, outcome, found)]


def _front_door(
    graph: CausalGraph, treatment: str, outcome: str
) -> list[Identification]:
    g = graph.digraph
    candidates = sorted(
        (_on_causal_paths(g, treatment, outcome) - {outcome}) & graph.observed
    )
    for size in range(1, min(_MAX_MEDIATORS, len(candidates)) + 1):
        for chosen in combinations(candidates, size):
            if _is_front_door(g, treatment, outcome, set(chosen)):
                return [Identification("front-door", treatment, outcome, (), chosen)]
    return []


def _is_front_door(
    g: "nx.DiGraph[str]", treatment: str, outcome: str, mediators: set[str]
) -> bool:
    open_without = g.subgraph(set(g) - mediators)
    if nx.has_path(open_without, treatment, outcome):
        return False
    no_out = g.copy()
    no_out.remove_edges_from(list(g.out_edges(treatment)))
    if not nx.is_d_separator(no_out, {treatment}, mediators, set()):
        return False
    no_mediated = g.copy()
    no_mediated.remove_edges_from(list(g.out_edges(mediators)))
    return bool(nx.is_d_separator(no_mediated, mediators, {outcome}, {treatment}))


def _instruments(
    graph: CausalGraph, treatment: str, outcome: str
) -> list[Identification]:
    g = graph.digraph
    cut = _without_causal_paths(g, treatment, outcome)
    later = nx.descendants(g, treatment) | {treatment, outcome}
    ways = []
    for name in sorted(graph.observed - later):
        allowed = graph.observed - later - nx.descendants(g, name)
        held = _separator(cut, name, outcome, allowed)
        if held is None or nx.is_d_separator(g, {name}, {treatment}, set(held)):
            continue
        ways.append(Identification("instrument", treatment, outcome, held, (name,)))
    return sorted(ways, key=lambda way: (len(way.adjust), way.through))


def _open_backdoor(graph: CausalGraph, treatment: str, outcome: str) -> str:
    """Show a backdoor path that the best adjustment leaves open."""
    g = _without_causal_paths(graph.digraph, treatment, outcome)
    for path in nx.all_simple_paths(g.to_undirected(), treatment, outcome, cutoff=6):
        has_collider = any(
            g.has_edge(a, b) and g.has_edge(c, b)
            for a, b, c in zip(path, path[1:], path[2:], strict=False)
        )
        if not has_collider and not set(path[1:-1]) & graph.observed:
            return " - ".join(path)
    return "a path through what was not observed"


def identify_mediation(
    graph: CausalGraph, treatment: str, mediator: str, outcome: str
) -> tuple[str, ...]:
    """Find what to hold fixed so that direct and indirect effect are identified.

    Needed are (Pearl 2001; VanderWeele 2015): no unobserved confounding of treatment and
    outcome, of treatment and mediator, of mediator and outcome, and no confounder of the
    last two that the treatment acts on.

    Returns
    -------
    tuple of str
        Observed nodes; empty where none is needed.

    Raises
    ------
    NotIdentifiedError
        Which of the four fails.
    """
    graph.require(treatment, mediator, outcome)
    g = graph.digraph
    if not nx.has_path(g, treatment, mediator) or not nx.has_path(g, mediator, outcome):
        raise NotIdentifiedError(
            f"{treatment} -> {mediator} -> {outcome} is no path of the graph: nothing is "
            "mediated"
        )
    later = nx.descendants(g, treatment) | {treatment}
    relevant = set().union(
        *(nx.ancestors(g, n) for n in (treatment, mediator, outcome))
    )
    held = sorted((relevant & graph.observed) - later - {mediator, outcome})

    def failure(fixed: Iterable[str]) -> str:
        w = set(fixed)
        for a, b, given in (
            (treatment, outcome, w), (treatment, mediator, w),
            (mediator, outcome, w | {treatment}),
        ):  # fmt: skip
            cut = _without_causal_paths(g, a, b)
            if not nx.is_d_separator(cut, {a}, {b}, given):
                return f"{a} and {b} share a cause that is not observed or that {treatment} acts on"
        return ""

    if problem := failure(held):
        raise NotIdentifiedError(
            f"direct and indirect effect of {treatment} on {outcome} through {mediator} are "
            f"not identified: {problem}"
        )
    for name in list(held):
        fewer = [n for n in held if n != name]
        if not failure(fewer):
            held = fewer
    return tuple(held)


# -- the graph against data --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Check:
    """One statement of the graph against data: partial correlation and its p-value.

    Parameters
    ----------
    kind
        ``edge``: the graph has it, so a small p agrees. ``independence``: the graph says
        that there is none, so a small p contradicts.
    """

    kind: Literal["edge", "independence"]
    first: str
    second: str
    given: tuple[str, ...]
    r: float
    p: float


def compare_with_data(graph: CausalGraph, data: pd.DataFrame) -> list[Check]:
    """Test each edge and each implied independence between observed nodes.

    Partial correlations with Fisher's z: linear relations only. An edge is tested given the
    target's other observed parents.

    Parameters
    ----------
    data
        A column a node, rows independent; rows with missing values are left out.
    """
    g = graph.digraph
    named = sorted(graph.observed & set(data.columns))
    table = data[named].dropna()
    checks = []
    for a, b in combinations(named, 2):
        if g.has_edge(a, b) or g.has_edge(b, a):
            source, target = (a, b) if g.has_edge(a, b) else (b, a)
            given = tuple(sorted((set(g.predecessors(target)) - {source}) & set(named)))
            kind: Literal["edge", "independence"] = "edge"
        else:
            found = _separator(g, a, b, named)
            if found is None:
                continue
            source, target, given, kind = a, b, found, "independence"
        r, p = _partial_correlation(table, source, target, given)
        checks.append(Check(kind, source, target, given, r, p))
    return checks


def _partial_correlation(
    data: pd.DataFrame, a: str, b: str, given: Sequence[str]
) -> tuple[float, float]:
    base = np.column_stack([np.ones(len(data)), *(data[g] for g in given)])
    left = [
        data[v] - base @ np.linalg.lstsq(base, data[v], rcond=None)[0] for v in (a, b)
    ]
    freedom = len(data) - len(given) - 3
    if freedom < 1:
        raise NotIdentifiedError(
            f"{len(data)} rows are too few to hold {len(given)} fixed"
        )
    r = float(np.corrcoef(*left)[0, 1])
    z = np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12)) * np.sqrt(freedom)
    return r, float(2 * stats.norm.sf(abs(z)))


# -- estimation --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Effect:
    """A linear effect with its bootstrap interval.

    Parameters
    ----------
    low, high
        95 % percentile interval.
    """

    identification: Identification
    n: int
    estimate: float
    se: float
    low: float
    high: float


def estimate_effect(
    graph: CausalGraph,
    data: pd.DataFrame,
    treatment: str,
    outcome: str,
    rng: np.random.Generator,
    *,
    draws: int = 1_000,
) -> Effect:
    """Estimate a total effect by the first way that identifies it, as linear.

    Rows are resampled whole. Identification comes first: what is refused there is not
    estimated.
    """
    way = identify(graph, treatment, outcome)[0]
    needed = [treatment, outcome, *way.adjust, *way.through]
    if lacking := [name for name in needed if name not in data]:
        raise InputError(f"the data lack the column {lacking[0]!r}")
    table = data[list(dict.fromkeys(needed))].dropna()
    values = table.to_numpy(np.float64)
    column = {name: i for i, name in enumerate(table.columns)}
    if len(values) < len(needed) + 3:
        raise NotIdentifiedError(f"{len(values)} complete rows are too few")
    solve = _solver(way, column)
    found = solve(values)
    drawn = np.array([
        solve(values[rng.integers(len(values), size=len(values))]) for _ in range(draws)
    ])  # fmt: skip
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Effect(
        way, len(values), found, float(np.std(drawn, ddof=1)), float(low), float(high)
    )


def _solver(way: Identification, column: Mapping[str, int]) -> Callable[[Reals], float]:
    x, y = column[way.treatment], column[way.outcome]
    held = [column[name] for name in way.adjust]
    through = [column[name] for name in way.through]

    def slopes(values: Reals, target: int, causes: Sequence[int]) -> Reals:
        design = np.column_stack([np.ones(len(values)), values[:, causes]])
        return np.asarray(np.linalg.lstsq(design, values[:, target], rcond=None)[0][1:])

    match way.strategy:
        case "none":
            return lambda _: 0.0
        case "backdoor":
            return lambda v: float(slopes(v, y, [x, *held])[0])
        case "front-door":
            return lambda v: float(
                sum(slopes(v, m, [x])[0] * b
                    for m, b in zip(through, slopes(v, y, [*through, x]), strict=False))
            )  # fmt: skip
        case "instrument":
            return lambda v: float(
                slopes(v, y, [*through, *held])[0] / slopes(v, x, [*through, *held])[0]
            )


# -- DoWhy -------------------------------------------------------------------------------


def identify_with_dowhy(
    graph: CausalGraph, data: pd.DataFrame, treatment: str, outcome: str
) -> str:
    """Ask DoWhy for its estimands; the text that it prints.

    DoWhy is not part of any extra of this package: it asks for older versions of scipy than
    ours, so it needs an environment of its own.

    Raises
    ------
    MissingOptionalError
        It is not installed.
    NotIdentifiedError
        It identifies nothing.
    """
    try:
        from dowhy import CausalModel
    except ImportError as error:
        raise MissingOptionalError(
            "DoWhy is not installed. It pins an older scipy: install it in an environment "
            "of its own (python -m venv dowhy; dowhy/bin/pip install dowhy cisgraph)"
        ) from error
    graph.require(treatment, outcome)
    plain: nx.DiGraph[str] = nx.DiGraph()
    for node in graph.nodes:
        plain.add_node(node.name, observed="yes" if node.observed else "no")
    plain.add_edges_from(graph.digraph.edges)
    model: Any = CausalModel(
        data=data, treatment=treatment, outcome=outcome, graph=plain
    )
    found = model.identify_effect(proceed_when_unidentifiable=False)
    if all(value is None for value in found.estimands.values()):
        raise NotIdentifiedError(
            f"DoWhy identifies no effect of {treatment} on {outcome}"
        )
    return str(found)


def read_data(path: Path) -> pd.DataFrame:
    """Read a table of numbers, a column a node, a row a sample; missing values are NaN.

    Columns that hold text in every filled cell are left out (sample names); a column with
    text in some cells is refused.

    Raises
    ------
    MalformedFileError
        A column mixes numbers and text.
    """
    frame = read_table(path)
    kept: dict[str, pd.Series[float]] = {}
    for name in frame.columns:
        if name == LINE:
            continue
        numbers = pd.to_numeric(frame[name], errors="coerce").astype("float64")
        bad = numbers.isna() & ~is_missing(frame[name])
        if bad.all() or numbers.isna().all():
            continue
        if bad.any():
            row = frame[bad].iloc[0]
            raise MalformedFileError(
                path, f"column {name!r} holds {row[name]!r} among numbers",
                line=int(row[LINE]), remedy="Write missing values as NA",
            )  # fmt: skip
        kept[str(name)] = numbers
    if not kept:
        raise MalformedFileError(
            path, "no column of numbers", remedy="Give one column a quantity"
        )
    return pd.DataFrame(kept)
