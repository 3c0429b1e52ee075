"""The tiny organism with a graph and a result, as the pages show it."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from dashboards.app import offer
from data_registry.store import open_store
from graph_builder.cli import build_workspace
from tests.organisms import base, make_workspace, other, snv, vcf_text
from variant_effect.preparation import prepare
from variant_effect.run import Choices, score_vcf


def input_records() -> list[tuple[object, ...]]:
    """SNVs along chr1 and chr2, an indel, and alleles that cannot be scored."""
    found: list[tuple[object, ...]] = [snv("chr1", at) for at in range(1001, 12_000, 7)]
    found += [snv("chr1", 2101), ("chr1", 12_019, "ACA", "A")]
    found.append(("chr1", 12_030, base("chr1", 12_030), "*"))
    wrong = other(base("chr1", 12_040))
    found.append(("chr1", 12_040, wrong, base("chr1", 12_040)))
    found += [snv("chr2", at) for at in range(310, 900, 11)]
    found.append(("chr9", 5, "A", "G"))
    order = {"chr1": 1, "chr2": 2, "chr9": 3}
    return sorted(set(found), key=lambda row: (order[str(row[0])], int(str(row[1]))))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with every layer, its graph and one result."""
    folder = tmp_path_factory.mktemp("pages")
    workspace = make_workspace(folder, layers=True)
    build_workspace(workspace)
    vcf = folder / "in.vcf"
    vcf.write_text(vcf_text(input_records()))
    out = workspace / "scores" / "tiny" / "all.parquet"
    out.parent.mkdir(parents=True)
    with open_store(workspace) as store:
        prepared = prepare(store)
    score_vcf(vcf, out, prepared, Choices(format="parquet"))
    return workspace


@pytest.fixture(scope="session")
def result(tiny: Path) -> offer.Result:
    return offer.Result("tiny/all.parquet", tiny / "scores" / "tiny" / "all.parquet")


@pytest.fixture(scope="session")
def frame(result: offer.Result) -> pd.DataFrame:
    """All rows of the result, for slow oracles."""
    return pd.read_parquet(result.path)


@pytest.fixture
def shown(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[offer.Offer]:
    """The workspace published, with a notebook of its own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    found = offer.publish([tiny])
    yield found
    monkeypatch.setattr(offer, "_current", None)
