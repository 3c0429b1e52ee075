"""Output formats: TSV, Parquet, VCF and JSON lines, each written in parts and joined."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO, ClassVar, Protocol
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pysam

from data_registry.errors import InputError
from variant_effect.alleles import AlleleTable
from variant_effect.columns import Column
from variant_effect.preparation import Prepared
from variant_effect.vcf import Chunk, Header

INFO_KEY = "CISGRAPH"
INFO_COLUMNS = (
    "alt", "status", "consequence", "impact", "gene", "transcript", "hgvs_c", "hgvs_p",
    "markov_llr", "markov_percentile", "motif_tf", "motif_change", "motif_delta", "cre_n",
    "target_genes", "panel_max_af", "prior_score",
)  # fmt: skip
"""Columns that the VCF's INFO key carries for each ALT, in this order."""

_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


class Format(Protocol):
    """Writes chunks as parts and joins them into one file."""

    name: ClassVar[str]

    def write_part(
        self,
        path: Path,
        scored: pa.Table,
        chunk: Chunk,
        alleles: AlleleTable,
        header: Header,
    ) -> None:
        """Write one chunk."""
        ...

    def join(
        self,
        out: Path,
        parts: Sequence[Path],
        columns: Sequence[Column],
        header: Header,
        prepared: Prepared,
        accounting: Mapping[str, object],
        missing: Sequence[str],
    ) -> None:
        """Write the whole output to ``out``."""
        ...

    def finish(self, out: Path) -> None:
        """Do what needs the final name, such as an index."""
        ...


def find_format(name: str) -> Format:
    """Return the format of that name.

    Raises
    ------
    InputError
        There is none.
    """
    formats: dict[str, Format] = {
        f.name: f for f in (Tsv(), Parquet(), Vcf(), JsonLines())
    }
    if name not in formats:
        raise InputError(f"no format {name!r}; there are: {', '.join(formats)}")
    return formats[name]


def provenance(
    prepared: Prepared, accounting: Mapping[str, object], missing: Sequence[str]
) -> list[str]:
    """Return the lines that head every output: version, workspace, accounting."""
    return [
        f"cisgraph {version('cisgraph')}",
        f"assembly {prepared.assembly}",
        f"workspace digest {prepared.digest}",
        "accounting " + json.dumps(accounting, sort_keys=False),
        *(f"missing layer: {sentence}" for sentence in missing),
    ]


class Tsv:
    """Tab-separated text; lines starting with ``##`` come first, then the column names."""

    name: ClassVar[str] = "tsv"

    def write_part(
        self,
        path: Path,
        scored: pa.Table,
        chunk: Chunk,  # noqa: ARG002
        alleles: AlleleTable,  # noqa: ARG002
        header: Header,  # noqa: ARG002
    ) -> None:
        """Write one chunk."""
        write_tsv(path, scored)

    def join(
        self,
        out: Path,
        parts: Sequence[Path],
        columns: Sequence[Column],
        header: Header,  # noqa: ARG002
        prepared: Prepared,
        accounting: Mapping[str, object],
        missing: Sequence[str],
    ) -> None:
        """Write header lines and all parts."""
        lines = [f"## {line}" for line in provenance(prepared, accounting, missing)]
        lines.append("\t".join(column.name for column in columns))
        with out.open("wb") as file:
            file.write(("\n".join(lines) + "\n").encode())
            _append(file, parts)

    def finish(self, out: Path) -> None:
        """Compress in place where the name asks for it."""
        if out.suffix in {".gz", ".bgz"}:
            beside = out.with_name(f".{out.name}.plain")
            out.rename(beside)
            pysam.tabix_compress(str(beside), str(out), force=True)
            beside.unlink()


def write_tsv(path: Path, table: pa.Table) -> None:
    """Write rows without a header line; nulls are empty, text is not quoted."""
    pa_csv.write_csv(
        _without_controls(table), path,
        pa_csv.WriteOptions(
            include_header=False, delimiter="\t", quoting_style="none", batch_size=65_536
        ),
    )  # fmt: skip


def _without_controls(table: pa.Table) -> pa.Table:
    """Replace quotes, tabs and line ends in text: they would break the rows."""
    for i, field in enumerate(table.schema):
        if field.type == pa.string():
            column = table.column(i)
            if pc.any(pc.match_substring_regex(column, '["\t\r\n]')).as_py():
                clean = pc.replace_substring_regex(column, '["\t\r\n]', " ")
                table = table.set_column(i, field, clean)
    return table


class Parquet:
    """Apache Parquet, zstd; the accounting stands in the schema's metadata."""

    name: ClassVar[str] = "parquet"

    def write_part(
        self,
        path: Path,
        scored: pa.Table,
        chunk: Chunk,  # noqa: ARG002
        alleles: AlleleTable,  # noqa: ARG002
        header: Header,  # noqa: ARG002
    ) -> None:
        """Write one chunk."""
        pq.write_table(scored, path, compression="zstd")

    def join(
        self,
        out: Path,
        parts: Sequence[Path],
        columns: Sequence[Column],
        header: Header,  # noqa: ARG002
        prepared: Prepared,
        accounting: Mapping[str, object],
        missing: Sequence[str],
    ) -> None:
        """Write one row group a part."""
        schema = pa.schema(
            [
                pa.field(
                    c.name, c.type,
                    metadata={"meaning": c.meaning, "unit": c.unit, "range": c.range,
                              "direction": c.direction},
                )
                for c in columns
            ],
            metadata={"cisgraph": "\n".join(provenance(prepared, accounting, missing))},
        )  # fmt: skip
        with pq.ParquetWriter(out, schema, compression="zstd") as writer:
            for part in parts:
                writer.write_table(pq.read_table(part).cast(schema))

    def finish(self, out: Path) -> None:
        """Nothing to do."""


class JsonLines:
    """One JSON object an allele; keys without a value are left out."""

    name: ClassVar[str] = "jsonl"

    def write_part(
        self,
        path: Path,
        scored: pa.Table,
        chunk: Chunk,  # noqa: ARG002
        alleles: AlleleTable,  # noqa: ARG002
        header: Header,  # noqa: ARG002
    ) -> None:
        """Write one chunk."""
        with path.open("w", encoding="utf-8") as file:
            for row in scored.to_pylist():
                shown = {
                    k: round(v, 6) if isinstance(v, float) and abs(v) > 1e-3 else v
                    for k, v in row.items()
                    if v is not None
                }
                file.write(json.dumps(shown, ensure_ascii=False) + "\n")

    def join(
        self,
        out: Path,
        parts: Sequence[Path],
        columns: Sequence[Column],  # noqa: ARG002
        header: Header,  # noqa: ARG002
        prepared: Prepared,
        accounting: Mapping[str, object],
        missing: Sequence[str],
    ) -> None:
        """Write a first object with the provenance, then all parts."""
        head = {"cisgraph": provenance(prepared, accounting, missing)}
        with out.open("wb") as file:
            file.write((json.dumps(head) + "\n").encode())
            _append(file, parts)

    def finish(self, out: Path) -> None:
        """Nothing to do."""


class Vcf:
    """The input records with one more INFO key, bgzipped and indexed."""

    name: ClassVar[str] = "vcf"

    def write_part(
        self,
        path: Path,
        scored: pa.Table,
        chunk: Chunk,
        alleles: AlleleTable,
        header: Header,  # noqa: ARG002
    ) -> None:
        """Write the chunk's records; every record comes out, in order."""
        value = info_values(scored)
        keep = alleles.source_record
        first = np.searchsorted(alleles.record, np.arange(len(keep)))
        last = np.searchsorted(alleles.record, np.arange(len(keep)), side="right")
        lines = [line for line in chunk.lines.split(b"\n") if line.strip()]
        with pysam.BGZFile(str(path), "wb", None) as file:
            for row, a, b in zip(
                keep.tolist(), first.tolist(), last.tolist(), strict=True
            ):
                cells = lines[row].rstrip(b"\r").split(b"\t", 8)
                added = f"{INFO_KEY}={','.join(value[a:b])}".encode()
                cells[7] = added if cells[7] in {b".", b""} else cells[7] + b";" + added
                file.write(b"\t".join(cells) + b"\n")

    def join(
        self,
        out: Path,
        parts: Sequence[Path],
        columns: Sequence[Column],  # noqa: ARG002
        header: Header,
        prepared: Prepared,
        accounting: Mapping[str, object],
        missing: Sequence[str],
    ) -> None:
        """Write the header and the parts' compressed blocks."""
        head = [
            line
            for line in header.lines
            if not line.startswith(f"##INFO=<ID={INFO_KEY},")
        ]
        head.append(
            f'##INFO=<ID={INFO_KEY},Number=A,Type=String,Description="One entry an ALT. '
            f'Format: {"|".join(INFO_COLUMNS)}; special characters are percent-encoded">'
        )
        head += [
            "##cisgraph=" + line for line in provenance(prepared, accounting, missing)
        ]
        fixed = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
        if header.samples or header.has_format:
            fixed += "\tFORMAT" + "".join(f"\t{name}" for name in header.samples)
        with pysam.BGZFile(str(out), "wb", None) as compressed:
            text = "\n".join([*head, fixed]) + "\n"
            compressed.write(text.encode("utf-8", "surrogateescape"))
        with out.open("r+b") as file:
            _drop_end(file)
            for part in parts:
                with part.open("rb") as piece:
                    shutil.copyfileobj(piece, file)
                _drop_end(file)
            file.write(_BGZF_END)

    def finish(self, out: Path) -> None:
        """Index; contigs beyond 512 Mb get a CSI. An unsorted VCF cannot be indexed."""
        try:
            pysam.tabix_index(str(out), preset="vcf", force=True, csi=True)
        except OSError:
            out.with_name(out.name + ".csi").unlink(missing_ok=True)


def info_values(scored: pa.Table) -> list[str]:
    """Return the INFO entry of each allele: the chosen columns joined by '|'."""
    texts = []
    for name in INFO_COLUMNS:
        column = scored[name].combine_chunks()
        if pa.types.is_floating(column.type):
            column = pc.round(column.cast(pa.float64()), 5)
        text = pc.fill_null(column.cast(pa.string()), "")
        if pc.any(pc.match_substring_regex(text, _SPECIAL)).as_py():
            text = pa.array(
                [
                    _ENCODE.sub(lambda m: quote(m[0], safe=""), t)
                    for t in text.to_pylist()
                ]
            )
        texts.append(text)
    joined: list[str] = pc.binary_join_element_wise(*texts, "|").to_pylist()
    return joined


_SPECIAL = r"[;=,|%\s]"
_ENCODE = re.compile(_SPECIAL)


def _append(file: BinaryIO, parts: Sequence[Path]) -> None:
    for part in parts:
        with part.open("rb") as piece:
            shutil.copyfileobj(piece, file, 1 << 20)


def _drop_end(file: BinaryIO) -> None:
    """Cut BGZF's empty end block off, so that more blocks may follow."""
    file.seek(-len(_BGZF_END), 2)
    if file.read() == _BGZF_END:
        file.seek(-len(_BGZF_END), 2)
        file.truncate()
    file.seek(0, 2)
