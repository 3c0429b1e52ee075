"""Vectors of windows of a bigWig track: summary statistics and profiles at three scales.

Values are scaled by the track's own mean, ``asinh(x / mean of |x|)``, so that tracks of
different units and depths are comparable; bases without a value count as 0 in means and
lower the covered share beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyBigWig
from numpy.typing import NDArray

from data_registry.errors import MalformedFileError, UnknownContigError
from data_registry.workspace import sha256_of
from encoders.cache import digest_of

Floats = NDArray[np.float32]

HALF_WIDTHS_BP = (256, 1_024, 4_096)
BINS = 16
SUMMARY = ("mean", "sd", "max", "q10", "q50", "q90")
VERSION = "1"


@dataclass(frozen=True, slots=True)
class Window:
    """Where to look.

    Parameters
    ----------
    centre
        0-based; the first base right of the middle.
    strand
        ``-`` turns the profile round, so that it runs 5' to 3'.
    """

    contig: str
    centre: int
    strand: str = "+"


class SignalEncoder:
    """Encodes windows of one track; close it, or use it in a ``with``.

    Columns: of the innermost window the summaries of ``SUMMARY``; then for each half
    width the covered share and ``BINS`` means from left to right.
    """

    width = len(SUMMARY) + len(HALF_WIDTHS_BP) * (1 + BINS)

    def __init__(self, path: Path) -> None:
        try:
            self._file = pyBigWig.open(str(path))
            header = self._file.header()
        except RuntimeError as error:
            raise MalformedFileError(
                path, f"is not a bigWig ({error})", remedy="Register the track again"
            ) from error
        self.path = path
        self.lengths: dict[str, int] = dict(self._file.chroms())
        covered = max(int(header["nBasesCovered"]), 1)
        # Of a signed track the mean may vanish; the root mean square does not.
        signed = header["minVal"] < 0
        scale = (
            np.sqrt(header["sumSquared"] / covered)
            if signed
            else header["sumData"] / covered
        )
        self.scale = float(scale) or 1.0
        self.digest = digest_of(
            "signal", VERSION, sha256_of(path), HALF_WIDTHS_BP, BINS, SUMMARY
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def embed(self, windows: Sequence[Window]) -> Floats:
        """Return one vector a window, ``(windows, width)``.

        Raises
        ------
        UnknownContigError
            The track has no such contig.
        """
        out = np.empty((len(windows), self.width), np.float32)
        for row, window in enumerate(windows):
            out[row] = self._encode(window)
        return out

    def _encode(self, window: Window) -> NDArray[np.float64]:
        if window.contig not in self.lengths:
            raise UnknownContigError(f"{self.path} has no contig {window.contig!r}")
        widest = HALF_WIDTHS_BP[-1]
        values = np.full(2 * widest, np.nan)
        start, end = window.centre - widest, window.centre + widest
        low, high = max(start, 0), min(end, self.lengths[window.contig])
        if low < high:
            read = self._file.values(window.contig, low, high, numpy=True)
            values[low - start : high - start] = read
        if window.strand == "-":
            values = values[::-1]
        known = np.isfinite(values)
        scaled = np.arcsinh(np.where(known, values, 0) / self.scale)
        parts: list[NDArray[np.float64]] = []
        for half in HALF_WIDTHS_BP:
            inner = slice(widest - half, widest + half)
            here, covered = scaled[inner], known[inner]
            if half == HALF_WIDTHS_BP[0]:
                low_q, middle, high_q = np.quantile(here, (0.1, 0.5, 0.9))
                parts.append(
                    np.array(
                        [here.mean(), here.std(), here.max(), low_q, middle, high_q]
                    )
                )
            parts.append(np.array([covered.mean()]))
            parts.append(here.reshape(BINS, -1).mean(axis=1))
        return np.concatenate(parts)
