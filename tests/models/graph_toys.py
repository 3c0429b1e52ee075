"""Small random graphs for the tests of the graph model."""

import torch

from models.graph.network import (
    NEAR,
    GraphTransformer,
    Layout,
    NetworkSettings,
    Queries,
    VariantHead,
)
from models.graph.structure import Edges, Graph, Nodes

SIZES = {"gene": 12, "cre": 9, "pathway": 4}
WIDTHS = {"gene": 3, "cre": 2, "pathway": 0}
EDGES = {
    ("cre", "back_linked_to", "gene"): (20, 2),
    ("gene", "linked_to", "cre"): (20, 2),
    ("pathway", "back_member_of", "gene"): (15, 1),
    ("gene", "member_of", "pathway"): (15, 1),
    ("gene", "physical", "gene"): (18, 0),
}
VOCABULARY = {"pathway": [f"pathway{i}" for i in range(4)]}


def draw(*shape: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(*shape, generator=generator)


def numbers(n: int, high: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randint(high, (n,), generator=generator)


def toy_graph(seed: int = 0) -> Graph:
    g = torch.Generator().manual_seed(seed)
    nodes, edges = {}, {}
    for name, n in SIZES.items():
        known = draw(n, WIDTHS[name], generator=g) > -0.8
        member = torch.arange(n) if name == "pathway" else torch.full((n,), -1)
        nodes[name] = Nodes(draw(n, WIDTHS[name], generator=g) * known, known, member)
    for key, (n, width) in EDGES.items():
        known = draw(n, width, generator=g) > -0.8
        edges[key] = Edges.of(
            numbers(n, SIZES[key[0]], g), numbers(n, SIZES[key[2]], g), SIZES[key[2]],
            draw(n, width, generator=g) * known, known,
        )  # fmt: skip
    names = {name: [f"{name}{i}" for i in range(n)] for name, n in SIZES.items()}
    return Graph(nodes, edges, names)


def toy_queries(n: int = 7, seed: int = 1) -> Queries:
    g = torch.Generator().manual_seed(seed)
    known = draw(n, 4, generator=g) > -0.8
    nodes = Nodes(draw(n, 4, generator=g) * known, known, torch.full((n,), -1))
    edges = {}
    for key, width in ((NEAR, 2), (("cre", "holds", "variant"), 0)):
        many = 2 * n
        seen = torch.ones(many, width, dtype=torch.bool)
        edges[key] = Edges.of(
            numbers(many, SIZES[key[0]], g), numbers(many, n, g), n,
            draw(many, width, generator=g), seen,
        )  # fmt: skip
    return Queries(nodes, edges)


def toy_network(graph: Graph, queries: Queries, seed: int = 0, **settings: int) -> GraphTransformer:  # fmt: skip
    edges = {
        key: e.x.shape[1] for key, e in (*graph.edges.items(), *queries.edges.items())
    }
    layout = Layout(
        {name: each.x.shape[1] for name, each in graph.nodes.items()},
        edges,
        4,
        VOCABULARY,
    )
    chosen = {"width": 8, "heads": 2, "blocks": 2, "slots": 3} | settings
    with torch.random.fork_rng():
        torch.random.manual_seed(seed)
        network = GraphTransformer(
            NetworkSettings(closed=("pathway",), **chosen), layout,
            {"variant": VariantHead(chosen["width"], edges[NEAR])},
        )  # fmt: skip
        for parameter in network.parameters():  # nothing may hide behind a zero
            parameter.data += 0.3 * torch.randn(parameter.shape)
    return network.double().eval()


def as_double(nodes: Nodes) -> Nodes:
    return Nodes(nodes.x.double(), nodes.known, nodes.member)


def doubled(graph: Graph) -> Graph:
    edges = {
        k: Edges(e.source, e.target, e.start, e.x.double(), e.known)
        for k, e in graph.edges.items()
    }
    return Graph({n: as_double(x) for n, x in graph.nodes.items()}, edges, graph.names)


def doubled_queries(queries: Queries) -> Queries:
    return Queries(
        as_double(queries.nodes),
        {k: Edges(e.source, e.target, e.start, e.x.double(), e.known)
         for k, e in queries.edges.items()},
    )  # fmt: skip


def renumbered(graph: Graph, seed: int = 3) -> tuple[Graph, dict[str, torch.Tensor]]:
    """Give the nodes other numbers; return the graph and each node's new number."""
    g = torch.Generator().manual_seed(seed)
    new = {name: torch.randperm(len(x), generator=g) for name, x in graph.nodes.items()}
    nodes = {n: x.take(torch.argsort(new[n])) for n, x in graph.nodes.items()}
    edges = {}
    for key, e in graph.edges.items():
        order = torch.randperm(len(e), generator=g)
        edges[key] = Edges.of(
            new[key[0]][e.source][order], new[key[2]][e.target][order],
            len(nodes[key[2]]), e.x[order], e.known[order],
        )  # fmt: skip
    return Graph(nodes, edges), new
