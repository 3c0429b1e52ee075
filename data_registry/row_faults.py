"""Leaving rows out, counted by reason, and refusing a file that is mostly faulty."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from data_registry.errors import MalformedFileError
from data_registry.parsing import LISTED_PER_REASON, LeftOut, Tally
from data_registry.text_files import LINE

MAX_FAULTY = 0.5
"""Share of rows that may be left out for faults before the whole file is refused."""


def leave_out_rows(
    tally: Tally, frame: pd.DataFrame, faulty: "pd.Series[bool]", reason: str
) -> pd.DataFrame:
    """Return the rows that are not ``faulty``; count and list the others.

    Parameters
    ----------
    frame
        Rows with their 1-based line in ``_line``; one row of it is one row of the file.
    faulty
        Row by row; a missing value counts as not faulty.
    """
    lost = faulty.fillna(value=False).to_numpy(dtype=bool)
    n_lost = int(lost.sum())
    if not n_lost:
        return frame
    room = max(0, LISTED_PER_REASON - tally.left_out[reason])
    tally.left_out[reason] += n_lost
    at = np.flatnonzero(lost)[:room]
    shown = frame.iloc[at]
    lines = [int(line) for line in shown[LINE]]
    texts = shown.drop(columns=LINE).iloc[:, :8].astype(str)
    tally.examples.extend(
        LeftOut(line, reason, "\t".join(row)[:500])
        for line, row in zip(
            lines, texts.itertuples(index=False, name=None), strict=True
        )
    )
    return frame[~lost]


def refuse_mostly_faulty(path: Path, tally: Tally, reasons: Collection[str]) -> None:
    """Refuse the file when more than half of its rows were left out for ``reasons``.

    Raises
    ------
    MalformedFileError
        They were; the message names the reasons and the first line of the commonest.
    """
    counts = {reason: tally.left_out[reason] for reason in reasons}
    n_faulty = sum(counts.values())
    if not tally.read or n_faulty <= MAX_FAULTY * tally.read:
        return
    named = ", ".join(
        f"{reason} {n:,}"
        for reason, n in sorted(counts.items(), key=lambda c: -c[1])
        if n
    )
    worst = max(counts, key=lambda reason: counts[reason])
    lines = [e.line for e in tally.examples if e.reason == worst]
    raise MalformedFileError(
        path,
        f"{n_faulty:,} of {tally.read:,} rows cannot be used ({named})",
        line=lines[0] if lines else None,
        remedy="Check the kind, the columns (--column) and the build of this file",
    )
