"""Promoters of a workspace's genes with their registered expression."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_registry.errors import InputError, MissingLayerError
from data_registry.store import open_store
from encoders.nucleotides import UNKNOWN, encode, reverse_complement
from models.promoter.data import Promoters

_LINEAR_UNITS = frozenset({"tpm", "fpkm", "rpkm", "counts", "cpm"})


def read_registered(
    workspace: Path, expression: str, *, length_bp: int, log2p1: bool
) -> Promoters:
    """Read windows around transcription starts, on the strand of the gene.

    The first transcribed base of the canonical transcript stands at
    ``length_bp // 2``. Beyond a contig's end bases are unknown; they never wrap round.
    With ``log2p1`` values become ``log2(1 + value)``. The species is the assembly.

    Raises
    ------
    MissingLayerError
        There is no such expression source.
    InputError
        None of its genes has a canonical transcript, or ``log2p1`` is asked of a unit
        that is not linear.
    """
    with open_store(workspace) as store:
        genome = store.genome()
        table = store.connection.execute(
            "SELECT gene_id, sample_id, avg(value) AS value, any_value(unit) AS unit "
            "FROM expression WHERE dataset = ? GROUP BY ALL ORDER BY ALL",
            [expression],
        ).df()
        if table.empty:
            held = store.connection.execute(
                "SELECT DISTINCT dataset FROM expression ORDER BY ALL"
            ).fetchall()
            names = ", ".join(name for (name,) in held) or "none"
            raise MissingLayerError(
                f"{workspace} holds no expression source {expression!r} (it has {names}); "
                "register one with 'cisgraph add'"
            )
        places = store.connection.execute(
            'SELECT gene_id, contig, start, "end", strand FROM transcripts '
            "WHERE is_canonical AND strand IN ('+', '-') ORDER BY ALL"
        ).df()
        if log2p1:
            if odd := set(table["unit"].dropna().str.lower()) - _LINEAR_UNITS:
                raise InputError(
                    f"{expression!r} is in {', '.join(sorted(odd))}: set log2p1 = false"
                )
            table["value"] = np.log2(1 + table["value"])
        wide = table.pivot_table(index="gene_id", columns="sample_id", values="value")
        places = places[places["contig"].isin(list(genome))]
        places = places.drop_duplicates("gene_id").set_index("gene_id")
        genes = wide.index.intersection(places.index).sort_values()
        if genes.empty:
            raise InputError(
                f"no gene of {expression!r} has a canonical transcript on the genome"
            )
        windows = np.stack([
            _window(genome.contig(contig), start, end, strand, length_bp)
            for contig, start, end, strand in places.loc[
                genes, ["contig", "start", "end", "strand"]
            ].itertuples(index=False)
        ])  # fmt: skip
        assembly = genome.assembly
    return Promoters(
        identifiers=genes.to_numpy(dtype=str),
        species=np.full(len(genes), assembly),
        codes=windows,
        values=wide.loc[genes].to_numpy(np.float32),
        conditions=tuple(map(str, wide.columns)),
        changes={"without a canonical transcript": len(wide) - len(genes)},
    )


def _window(
    contig: NDArray[np.uint8], start: int, end: int, strand: str, length_bp: int
) -> NDArray[np.uint8]:
    """Return codes around the start of a transcript that spans ``[start, end)``."""
    before = length_bp // 2
    # On the reverse strand the window's first base is the rightmost.
    left = start - before if strand == "+" else end + before - length_bp
    inside = encode(contig[max(left, 0) : max(left + length_bp, 0)])
    window = np.full(length_bp, UNKNOWN, dtype=np.uint8)
    at = max(-left, 0)
    window[at : at + len(inside)] = inside
    return window if strand == "+" else reverse_complement(window)
