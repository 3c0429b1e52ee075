"""Saving exactly what a page shows: tables, sequences, places, pictures."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import pandas as pd
import streamlit as st

_MIME: Final = {
    "csv": "text/csv", "tsv": "text/tab-separated-values",
    "parquet": "application/vnd.apache.parquet", "bed": "text/plain",
    "fasta": "text/plain", "svg": "image/svg+xml", "json": "application/json",
    "html": "text/html",
}  # fmt: skip


def table_bytes(frame: pd.DataFrame, form: str) -> bytes:
    """Return a table as csv, tsv or parquet; missing values stay empty."""
    if form == "parquet":
        held = io.BytesIO()
        frame.to_parquet(held, index=False)
        return held.getvalue()
    text: str = frame.to_csv(index=False, sep="," if form == "csv" else "\t")
    return text.encode()


def bed_bytes(rows: Iterable[tuple[str, int, int, str, int, str]]) -> bytes:
    """Return BED6: contig, start (0-based), end (exclusive), name, score, strand."""
    return "".join("\t".join(map(str, row)) + "\n" for row in rows).encode()


def fasta_bytes(sequences: Mapping[str, str], *, width: int = 60) -> bytes:
    """Return FASTA with lines of ``width`` bases."""
    lines: list[str] = []
    for name, bases in sequences.items():
        lines.append(f">{name}")
        lines += [bases[i : i + width] for i in range(0, len(bases), width)]
    return ("\n".join(lines) + "\n").encode()


def offer_files(
    stem: str,
    files: Mapping[str, bytes | Callable[[], bytes]],
    *,
    key: str,
    note: str = "",
) -> None:
    """Draw one row of download buttons.

    Parameters
    ----------
    stem
        Name of the files without ending.
    files
        Ending to the content, or to what makes it once somebody asks. An ending may
        carry a word before it (``genes.tsv``).
    """
    with st.container(
        horizontal=True, key=f"noprint_{key}", vertical_alignment="center"
    ):
        st.caption(
            "Save what is shown" + (f" ({note})" if note else ""), width="content"
        )
        for ending, content in files.items():
            form = ending.rpartition(".")[2]
            st.download_button(
                ending.rpartition(".")[2].upper()
                if "." not in ending
                else f"{ending.rpartition('.')[0].replace('_', ' ')} {form.upper()}",
                content,
                file_name=f"{stem}.{ending}",
                mime=_MIME.get(form, "application/octet-stream"),
                key=f"save_{key}_{ending}",
                on_click="ignore",
                type="tertiary",
                icon=":material/download:",
            )


def offer_table(
    frame: pd.DataFrame, stem: str, *, key: str, forms: Sequence[str] = ("csv", "tsv", "parquet")
) -> None:  # fmt: skip
    """Draw download buttons for a table as it is shown."""
    offer_files(
        stem,
        {form: partial(table_bytes, frame, form) for form in forms},
        key=key,
    )


def links(where: Mapping[str, str]) -> None:
    """Draw export links that the server answers: for results too large for a page."""
    from html import escape

    parts = [
        f'<a class="cg-export" href="{escape(address)}" download>{escape(name)}</a>'
        for name, address in where.items()
    ]
    st.html(f'<div class="cg-noprint">{"".join(parts)}</div>')
