"""Conservation at an allele, from bigWig tracks and interval tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyBigWig

from variant_effect.alleles import AlleleTable
from variant_effect.columns import REAL, TEXT, Column
from variant_effect.consequences import Consequences
from variant_effect.layers import IntervalLayer, allele_spans, real, spread
from variant_effect.material import Material
from variant_effect.scorers.base import nulls

_GAP_BP = 20_000


@dataclass(frozen=True, slots=True)
class Track:
    """One conservation bigWig: its name, file, mean, and the contig names it uses."""

    name: str
    path: Path
    mean: float
    contig_names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ConservationScorer:
    """Highest conservation over the allele's bases, and the track it comes from."""

    name: ClassVar[str] = "conservation"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("conservation", REAL, "highest value over the allele's bases, of the first "
               "track that covers them", "the track's", "", "high: more conserved"),
        Column("conservation_track", TEXT, "that track"),
    )  # fmt: skip
    tracks: tuple[Track, ...]
    intervals: IntervalLayer | None
    values: np.ndarray

    @classmethod
    def make(cls, material: Material) -> Self:
        """Find registered conservation tracks and tables."""
        db = material.connection
        tracks = []
        for name, path, mean in db.execute(
            "SELECT track, path, mean FROM tracks WHERE role = 'conservation' ORDER BY track"
        ).fetchall():
            with pyBigWig.open(str(material.workspace / path)) as file:
                theirs = list(file.chroms())
            own = material.contig_names.resolve(theirs)
            names = {mine: theirs_ for theirs_, mine in own.items() if mine}
            tracks.append(Track(name, material.workspace / path, mean, names))
        layer = IntervalLayer.read(
            db, list(material.genome),
            "SELECT contig, start, \"end\", track || '=' || score AS label FROM conservation",
        )  # fmt: skip
        values = np.array(
            [float(text.rpartition("=")[2]) for text in layer.labels.to_pylist()]
        )
        return cls(tuple(tracks), layer if len(layer) else None, values)

    @property
    def missing(self) -> str:
        """No conservation layer is registered."""
        if self.tracks or self.intervals is not None:
            return ""
        return (
            "no conservation is registered; 'cisgraph add FILE.bw --option "
            "role=conservation' adds a bigWig or bedGraph track"
        )

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,  # noqa: ARG002
        before: Mapping[str, pa.Array],  # noqa: ARG002
        connection: duckdb.DuckDBPyConnection,  # noqa: ARG002
    ) -> dict[str, pa.Array]:
        """Read the tracks around the chunk's alleles."""
        n = len(alleles)
        if self.missing:
            return nulls(self.columns, n)
        best = np.full(n, np.nan)
        source = np.full(n, -1, dtype=np.int64)
        names = [track.name for track in self.tracks]
        for k, track in enumerate(self.tracks):
            for name, index in alleles.by_contig(alleles.small):
                if name not in track.contig_names:
                    continue
                open_rows = index[np.isnan(best[index])]
                best[open_rows] = _track_maximum(track, name, alleles, open_rows)
                source[open_rows[~np.isnan(best[open_rows])]] = k
        if self.intervals is not None:
            rows = np.flatnonzero(alleles.small & np.isnan(best))
            left, right = self.intervals.hits(alleles, rows)
            value = np.full(len(rows), -np.inf)
            np.maximum.at(value, left, self.values[self.intervals.label[right]])
            found = value > -np.inf
            best[rows[found]] = value[found]
            source[rows[found]] = len(names)
            names.append("intervals")
        rows = np.flatnonzero(source >= 0)
        label = pa.array(names, pa.string()).take(pa.array(source[rows]))
        return {
            "conservation": real(best[rows], rows, n),
            "conservation_track": spread(label, rows, n),
        }


def _track_maximum(
    track: Track, contig: str, alleles: AlleleTable, rows: np.ndarray
) -> np.ndarray:
    """Highest value over each allele; alleles near to each other are read together."""
    if not len(rows):
        return np.zeros(0)
    spans = allele_spans(alleles, rows)
    out = np.full(len(rows), np.nan)
    order = np.argsort(spans.start, kind="stable")
    reach = np.maximum.accumulate(spans.end[order])
    breaks = np.flatnonzero(spans.start[order][1:] > reach[:-1] + _GAP_BP) + 1
    with pyBigWig.open(str(track.path)) as file:
        theirs = track.contig_names[contig]
        length = file.chroms()[theirs]
        for group in np.split(order, breaks):
            low = int(spans.start[group].min())
            high = min(int(spans.end[group].max()), length)
            if high <= low:
                continue
            values = np.asarray(file.values(theirs, low, high, numpy=True))
            for i in group.tolist():
                part = values[spans.start[i] - low : spans.end[i] - low]
                part = part[~np.isnan(part)]
                if len(part):
                    out[i] = part.max()
    return out
