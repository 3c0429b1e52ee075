"""The tiny organism with a graph, for the screens and the API."""

from pathlib import Path

import pytest

from graph_builder.cli import build_workspace
from tests.organisms import make_workspace


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every layer of the tiny organism, and its graph."""
    folder = make_workspace(tmp_path_factory.mktemp("screens"), layers=True)
    build_workspace(folder)
    return folder
