"""Fixtures of the toy registry and its graph."""

import copy

import pytest

from graph_builder.build import build_graph
from tests.graph_builder.toy import ROWS, ToyGenome, make_registry


@pytest.fixture
def rows():
    return copy.deepcopy(ROWS)


@pytest.fixture(scope="session")
def toy_genome():
    return ToyGenome()


@pytest.fixture(scope="session")
def toy_graph(tmp_path_factory, toy_genome):
    """The graph of ``ROWS``; tests only read it."""
    return build_graph(
        make_registry(ROWS), toy_genome, tmp_path_factory.mktemp("graph")
    )
