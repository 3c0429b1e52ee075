"""Conversions between 0-based half-open and 1-based inclusive positions.

Everything inside is 0-based half-open; VCF, GFF, GWAS tables and ``--region`` are
1-based inclusive. This is the one place where a 1 is added or taken away.
"""

import re
from dataclasses import dataclass

from data_registry.errors import InputError


def start_from_one_based(position: int) -> int:
    """Return the 0-based start of a 1-based position."""
    return position - 1


def one_based_from_start(start: int) -> int:
    """Return the 1-based position of a 0-based start."""
    return start + 1


@dataclass(frozen=True, slots=True, order=True)
class Region:
    """A stretch of one contig, 0-based half-open; ``end`` None: to the contig's end."""

    contig: str
    start: int = 0
    end: int | None = None

    def __str__(self) -> str:
        if self.end is None:
            return f"{self.contig}:{one_based_from_start(self.start)}-"
        return f"{self.contig}:{one_based_from_start(self.start)}-{self.end}"


_SPAN = re.compile(r"^(?P<contig>.+):(?P<start>\d[\d,]*)(?:-(?P<end>(?:\d[\d,]*)?))?$")


def parse_region(text: str, *, contigs: frozenset[str] = frozenset()) -> Region:
    """Read ``chr``, ``chr:pos``, ``chr:start-`` or ``chr:start-end`` (1-based).

    Parameters
    ----------
    text
        The region as typed; thousands separators are allowed.
    contigs
        Known contig names: a name that itself holds a colon is recognised whole.

    Raises
    ------
    InputError
        The text is no region, or its end lies before its start.
    """
    if text in contigs:
        return Region(text)
    found = _SPAN.match(text)
    if not found:
        if ":" in text or not text.strip():
            raise InputError(f"{text!r} is no region; write chr:start-end, 1-based")
        return Region(text)
    start = int(found["start"].replace(",", ""))
    written_end = found["end"]
    if written_end is None:
        end: int | None = start
    elif written_end == "":
        end = None
    else:
        end = int(written_end.replace(",", ""))
    if start < 1 or (end is not None and end < start):
        raise InputError(
            f"{text!r}: a region starts at 1 or later and ends at or after its start"
        )
    return Region(found["contig"], start_from_one_based(start), end)
