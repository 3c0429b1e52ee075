"""The tiny organism, registered and prepared once."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest

from data_registry.genome import Genome
from data_registry.store import open_store
from tests.organisms import make_workspace, vcf_text
from variant_effect.preparation import Prepared, prepare
from variant_effect.run import Choices, ContigMapper, Engine
from variant_effect.vcf import Chunk

Score = Callable[..., pd.DataFrame]


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with every layer a scorer reads but the graph."""
    return make_workspace(tmp_path_factory.mktemp("tiny"), layers=True)


@pytest.fixture(scope="session")
def prepared(workspace: Path) -> Prepared:
    with open_store(workspace) as store:
        return prepare(store)


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Genome and annotation alone."""
    folder = make_workspace(tmp_path_factory.mktemp("bare"), layers=False)
    with open_store(folder) as store:
        return prepare(store)


@pytest.fixture(scope="session")
def engine(prepared: Prepared) -> Iterator[Engine]:
    engine = Engine.open(prepared, Choices())
    with engine.connection:
        yield engine


@pytest.fixture(scope="session")
def genome(prepared: Prepared) -> Genome:
    return Genome(prepared.assembly, prepared.genome)


def records_of(text: str) -> bytes:
    return "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith("#")
    ).encode()


def score_lines(engine: Engine, lines: bytes) -> pd.DataFrame:
    """Score VCF lines in this process, without files."""
    mapper = ContigMapper(engine.prepared.contig_names)
    _, scored, _, _ = engine.run(Chunk(0, 1, lines), Path("in.vcf"), mapper)
    frame: pd.DataFrame = scored.to_pandas()
    return frame


@pytest.fixture(scope="session")
def score(engine: Engine) -> Score:
    """Score rows ``(chrom, pos, ref, alt[, info[, genotypes…]])``; one row an allele."""

    def run(
        records: Sequence[Sequence[object]], samples: Sequence[str] = ()
    ) -> pd.DataFrame:
        return score_lines(engine, records_of(vcf_text(records, samples=samples)))

    return run
