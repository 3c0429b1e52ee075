"""The tiny organism with a graph and a stored score run, and an API that serves it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from data_registry.store import open_store
from graph_builder.cli import build_workspace
from tests.organisms import make_workspace, snv, vcf_text
from variant_effect.preparation import prepare
from variant_effect.run import Choices, score_vcf

if TYPE_CHECKING:
    from starlette.testclient import TestClient

SCORED = (
    [snv("chr1", p) for p in (1, 101, 2051, 2101, 5003, 6150, 9100)]
    + [
        ("1", 12_019, "ACA", "A"),  # (CA)10 shortened by one copy
        ("1", 15_005, "N", "A"),
        (*snv("chr2", 307)[:3], "A,C,G,T".replace(f"{snv('chr2', 307)[2]},", "")),
        ("chrZ", 5, "A", "C"),
    ]
)
"""Seven places on chr1, more under its other name, three alleles in one record, and two
that cannot be scored."""


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every layer of the tiny organism, its graph, and a score run."""
    folder = make_workspace(tmp_path_factory.mktemp("screens"), layers=True)
    build_workspace(folder)
    vcf = folder.parent / "scored.vcf"
    vcf.write_text(vcf_text(SCORED))
    with open_store(folder) as store:
        prepared = prepare(store)
    out = folder / "scores" / prepared.digest[:16] / "lines.parquet"
    score_vcf(vcf, out, prepared, Choices(format="parquet", max_mismatched=1.0))
    return folder


@pytest.fixture(scope="session")
def scores(workspace: Path) -> pd.DataFrame:
    """The stored score run."""
    (path,) = (workspace / "scores").rglob("*.parquet")
    return pd.read_parquet(path)


@pytest.fixture(scope="session")
def client(workspace: Path) -> Iterator["TestClient"]:
    """A client of the API, in this process."""
    pytest.importorskip("fastapi")
    from starlette.testclient import TestClient

    from dashboards.api.application import make_application
    from dashboards.api.settings import Limits, Settings

    app = make_application(Settings(workspace, limits=Limits(waiting_jobs=2)))
    with TestClient(app, base_url="http://127.0.0.1:8000") as found:
        wait_for_panels(found)
        yield found


def wait_for_panels(client: "TestClient") -> None:
    """Wait until the panels have been read for the first time, on a busy machine too."""
    while client.get("/brapi/v2/variants?pageSize=1").status_code == 503:
        continue
