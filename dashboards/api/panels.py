"""Genotypes of registered panels, so laid out that any part is found at once.

A panel stays in its own VCF or BCF. The first time somebody asks for its variants, a
process reads it once and writes ``workspace/panels/<sha256>.parquet``: a row a record, in
the file's order, with its genotypes as bytes. PLINK and PGEN panels are listed with their
samples; their variants are not part of this version.
"""

import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dashboards.api.problems import Problem
from dashboards.api.snapshots import Query, Snapshot
from data_registry.coordinates import start_from_one_based
from data_registry.errors import WorkspaceError
from data_registry.workspace import written_beside

READABLE = frozenset({"vcf", "bcf"})
"""Formats of panels whose records are served."""

_FORMAT = 1
_ROWS = 2_000
"""Records a row group: what is read for one of them."""
_WAIT_S = 10.0
_SCHEMA = pa.schema(
    {
        "row": pa.int64(),
        "contig": pa.string(),
        "start": pa.int64(),
        "name": pa.string(),
        "ref": pa.string(),
        "alts": pa.list_(pa.string()),
        "filter": pa.string(),
        "ploidy": pa.int16(),
        "alleles": pa.binary(),
        "phased": pa.binary(),
    }
)


@dataclass(frozen=True, slots=True)
class Panel:
    """A registered panel.

    Parameters
    ----------
    path
        The file inside the workspace.
    sha256
        Of the file as registered.
    """

    name: str
    path: Path
    form: str
    sha256: str
    n_samples: int
    n_variants: int
    ploidy: int
    added_at: str


def panels_of(snapshot: Snapshot, query: Query) -> list[Panel]:
    """Return the panels of a snapshot, by name."""
    sources = {s.source_id: s for s in snapshot.sources}
    return [
        Panel(
            row["panel"], snapshot.folder / row["path"], row["format"],
            sources[row["source_id"]].sha256, row["n_samples"] or 0,
            row["n_variants"] or 0, row["ploidy"] or 0,
            sources[row["source_id"]].added_at.isoformat() + "Z",
        )
        for row in query.rows("SELECT * FROM panels ORDER BY panel")
        if row["source_id"] in sources
    ]  # fmt: skip


class Panels:
    """The panels' Parquet files, made when first asked for, each in its own process."""

    def __init__(self, workspace: Path) -> None:
        self._folder = workspace.resolve() / "panels"
        self._lock = threading.Lock()
        self._under_way: dict[Path, subprocess.Popen[bytes]] = {}

    def table(self, panel: Panel) -> Path:
        """Return the Parquet file of a panel.

        Raises
        ------
        Problem
            It is still being made, or its format is not read here.
        """
        if panel.form not in READABLE:
            raise Problem(
                "not-here",
                f"panel {panel.name!r} is {panel.form}: variants and calls are served from "
                "VCF and BCF alone; register it as VCF ('plink2 --export vcf bgz')",
            )
        path = self._folder / f"{panel.sha256}-{_FORMAT}.parquet"
        if path.is_file():
            return path
        with self._lock:
            if path not in self._under_way:
                self._under_way[path] = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-m", "dashboards.api.panels", str(panel.path.resolve()), str(path)],
                    cwd=Path(__file__).resolve().parents[2], stdin=subprocess.DEVNULL,
                )  # fmt: skip
            process = self._under_way[path]
        try:
            status = process.wait(_WAIT_S)
        except subprocess.TimeoutExpired:
            raise Problem(
                "busy",
                f"panel {panel.name!r} is being read for the first time "
                f"({panel.n_variants:,} records); ask again",
                headers={"Retry-After": "10"},
            ) from None
        with self._lock:
            self._under_way.pop(path, None)
        if status:
            raise WorkspaceError(f"panel {panel.name} could not be read into {path}")
        return path

    def close(self) -> None:
        """End what is under way."""
        with self._lock:
            for process in self._under_way.values():
                process.kill()
                process.wait()


def write_panel(vcf: Path, out: Path) -> None:
    """Write a panel's records and genotypes as Parquet.

    ``alleles`` are int8, shape (samples, ploidy), row by row: 0 REF, 1 … ALT, -1 not
    called, -2 where a sample has fewer copies; ``phased`` is a byte a sample. CHROM is as
    in the file; positions are 0-based.
    """
    from cyvcf2 import VCF

    with (
        written_beside(out) as beside,
        pq.ParquetWriter(beside, _SCHEMA, compression="zstd") as writer,
    ):
        rows: list[dict[str, object]] = []
        reader = VCF(str(vcf))
        has_samples = bool(reader.samples)
        for number, record in enumerate(reader):
            genotypes = record.genotype.array() if has_samples else np.empty((0, 1))
            rows.append({
                "row": number, "contig": record.CHROM,
                "start": start_from_one_based(record.POS), "name": record.ID,
                "ref": record.REF, "alts": list(record.ALT), "filter": record.FILTER,
                "ploidy": genotypes.shape[1] - 1,
                "alleles": genotypes[:, :-1].astype(np.int8).tobytes(),
                "phased": genotypes[:, -1].astype(np.int8).tobytes(),
            })  # fmt: skip
            if len(rows) == _ROWS:
                writer.write_table(pa.Table.from_pylist(rows, _SCHEMA))
                rows.clear()
        writer.write_table(pa.Table.from_pylist(rows, _SCHEMA))
        reader.close()


@dataclass(frozen=True, slots=True)
class Spelling:
    """How BrAPI writes a genotype.

    Parameters
    ----------
    expand_homozygotes
        Write ``0/0`` and not ``0``.
    unknown
        What stands for an allele that was not called.
    """

    expand_homozygotes: bool = True
    unknown: str = "."
    sep_phased: str = "|"
    sep_unphased: str = "/"

    def of(self, alleles: NDArray[np.int8], *, is_phased: bool) -> str:
        """Spell one sample's alleles."""
        own = [self.unknown if a < 0 else str(a) for a in alleles.tolist() if a != -2]
        if not self.expand_homozygotes and len(set(own)) == 1:
            return own[0]
        return (self.sep_phased if is_phased else self.sep_unphased).join(own)


def spelled(
    alleles: bytes, phased: bytes, ploidy: int, spelling: Spelling
) -> list[str]:
    """Return the genotypes of one record, a word a sample."""
    phases = np.frombuffer(phased, np.int8)
    calls = np.frombuffer(alleles, np.int8).reshape(len(phases), ploidy)
    return [
        spelling.of(call, is_phased=bool(phase))
        for call, phase in zip(calls, phases, strict=True)
    ]


if __name__ == "__main__":
    write_panel(Path(sys.argv[1]), Path(sys.argv[2]))
