"""Consequences of alleles that stand on one haplotype, called together.

Two alleles in one codon, or a frameshift and the indel that mends it, say something else
together than alone. Where genotypes are phased, haploid or homozygous, ``bcftools csq``
walks every haplotype through every transcript and reports such groups.
"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from data_registry.canonical_gff import decode_identifier
from variant_effect.alleles import AlleleTable
from variant_effect.consequences import (
    ConsequenceCaller,
    Consequences,
    factorised,
    joined_bytes,
    run_csq,
    so_term,
)
from variant_effect.layers import spread

MAX_LISTED = 5
"""Groups listed for one allele."""

_COLUMNS = ("joint_consequence", "joint_amino_acids", "joint_alleles")
_CODING = (
    "frameshift", "stop", "start", "inframe", "protein_altering", "missense",
    "synonymous", "coding_sequence", "splice",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class JointCaller:
    """Calls alleles of one haplotype together, chunk by chunk."""

    caller: ConsequenceCaller

    def call(
        self,
        alleles: AlleleTable,
        consequences: Consequences,
        lines: bytes,
        table: pa.Table | None,
    ) -> dict[str, pa.Array]:
        """Return the joint columns, one value an allele.

        Parameters
        ----------
        alleles, consequences
            The chunk and what its alleles do alone.
        lines
            The chunk's records; empty to skip joint calling.
        table
            The records as read, for their number.
        """
        n = len(alleles)
        empty = {name: pa.nulls(n, pa.string()) for name in _COLUMNS}
        if not lines or table is None:
            return empty
        n_alts = pc.count_substring(table["ALT"], ",").to_numpy() + 1
        genotypes = read_genotypes(lines, n_alts)
        if genotypes is None or len(genotypes[0]) != len(table):
            return empty
        codes, terms = factorised(consequences.term)
        coding = np.array(
            [any(word in term for word in _CODING) for term in terms] or [False]
        )
        rows = (
            np.flatnonzero(alleles.small & coding[codes])
            if len(terms)
            else np.zeros(0, int)
        )
        if len(rows) < 2:
            return empty
        found: dict[int, set[tuple[str, str, str]]] = {}
        tables = np.array([self.caller.codon_tables.get(c, 1) for c in alleles.contigs])
        for code in np.unique(tables[alleles.contig[rows]]).tolist():
            part = rows[tables[alleles.contig[rows]] == code]
            self._call_code(alleles, consequences, part, genotypes, code, found)
        listed = {i: sorted(groups)[:MAX_LISTED] for i, groups in sorted(found.items())}
        where = np.array(list(listed), dtype=np.int64)
        return {
            name: spread(
                pa.array([",".join(g[k] for g in groups) for groups in listed.values()],
                         pa.string()),
                where, n,
            )
            for k, name in enumerate(_COLUMNS)
        }  # fmt: skip

    def _call_code(
        self,
        alleles: AlleleTable,
        consequences: Consequences,
        rows: np.ndarray,
        genotypes: tuple[pa.Array, int],
        code: int,
        found: dict[int, set[tuple[str, str, str]]],
    ) -> None:
        record = np.unique(alleles.record[rows])
        first = np.searchsorted(alleles.record, record)
        order = np.lexsort((alleles.pos[first], alleles.contig[first]))
        record, first = record[order], first[order]
        names = pa.array(alleles.contigs)
        alt = _alts_by_record(alleles, record)
        text = pc.binary_join_element_wise(
            names.take(pa.array(alleles.contig[first])),
            pc.cast(pa.array(alleles.pos[first]), pa.string()),
            ".",
            alleles.ref.take(pa.array(first)),
            alt,
            ".\t.\t.\tGT",
            genotypes[0].take(pa.array(alleles.source_record[record])),
            "\t",
        )
        with tempfile.TemporaryDirectory(prefix="cisgraph-csq-") as folder:
            sites, gff, out = (
                Path(folder) / x for x in ("in.vcf", "g.gff3", "out.vcf")
            )
            if not self.caller.write_genes(alleles, rows, gff):
                return
            used = [
                alleles.contigs[c] for c in np.unique(alleles.contig[rows]).tolist()
            ]
            samples = "\t".join(f"s{i}" for i in range(genotypes[1]))
            body = joined_bytes(pc.binary_join_element_wise(text, "", "\n"))
            run_csq(
                self.caller.fasta, gff, sites, out, used, body,
                "-p", "s", "-C", str(code), "-n", "64", columns=f"\tFORMAT\t{samples}",
            )  # fmt: skip
            compounds = _read_compounds(out)
        self._assign(alleles, consequences, rows, compounds, found)

    @staticmethod
    def _assign(
        alleles: AlleleTable,
        consequences: Consequences,
        rows: np.ndarray,
        compounds: list[tuple[str, str]],
        found: dict[int, set[tuple[str, str, str]]],
    ) -> None:
        """Hand each group to the alleles it names, on the transcript they are shown on."""
        order = np.lexsort((alleles.pos[rows], alleles.contig[rows]))
        rows = rows[order]
        code_of = {name: code for code, name in enumerate(alleles.contigs)}
        reach = int(alleles.pos[rows].max()) + 1
        places = alleles.contig[rows].astype(np.int64) * reach + alleles.pos[rows]
        for chrom, entry in compounds:
            cells = entry.split("|")
            transcript = decode_identifier(cells[2])
            group = (so_term(cells[0]), cells[5], cells[6])
            for part in cells[6].split("+"):
                place, _, new = part.partition(">")
                old = place.lstrip("0123456789")
                at = int(place[: len(place) - len(old)])
                key = code_of[chrom] * reach + at
                first = int(np.searchsorted(places, key))
                while first < len(rows) and places[first] == key:
                    i = int(rows[first])
                    first += 1
                    if (
                        consequences.transcript[i] == transcript
                        and alleles.alt[i].as_py().upper() == new.upper()
                        and alleles.ref[i].as_py().upper() == old.upper()
                    ):
                        found.setdefault(i, set()).add(group)


def read_genotypes(lines: bytes, n_alts: np.ndarray) -> tuple[pa.Array, int] | None:
    """Return the GT columns of each record joined by tabs, and the number of columns.

    A record whose first FORMAT field is not GT has none called. None where that is so of
    all, or the records have no samples.

    Parameters
    ----------
    lines
        The records.
    n_alts
        How many ALTs each has; a genotype that names another is not called.
    """
    n_columns = lines.split(b"\n", 1)[0].rstrip(b"\r").count(b"\t") + 1
    n_samples = n_columns - 9
    if n_samples < 1:
        return None
    names = [f"c{i}" for i in range(n_columns)]
    table = pa_csv.read_csv(
        pa.BufferReader(lines),
        read_options=pa_csv.ReadOptions(
            column_names=names, block_size=max(len(lines) + 1, 1 << 20), use_threads=False
        ),
        parse_options=pa_csv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=pa_csv.ConvertOptions(
            include_columns=names[8:], column_types=dict.fromkeys(names[8:], pa.string()),
            strings_can_be_null=False, check_utf8=False,
        ),
    ).combine_chunks()  # fmt: skip
    formats = pc.unique(table["c8"]).to_pylist()
    given = [f for f in formats if f == "GT" or f.startswith("GT:")]
    if not given:
        return None
    without = pc.invert(pc.is_in(table["c8"], pa.array(given)))
    columns = []
    for name in names[9:]:
        column = table[name]
        if formats != ["GT"]:
            column = pc.replace_substring_regex(column, "[:\r].*", "")
        if len(given) < len(formats):
            column = pc.if_else(without, ".", column)
        columns += _columns_for_csq(column.combine_chunks(), n_alts)
    if len(columns) == 1:
        return columns[0], 1
    return pc.binary_join_element_wise(*columns, "\t"), len(columns)


_GENOTYPE = re.compile(r"[|/]?((\.|\d{1,4})([|/](\.|\d{1,4}))*)")


def _columns_for_csq(column: pa.Array, n_alts: np.ndarray) -> list[pa.Array]:
    """Return one sample's genotypes in one column, or in one a haplotype.

    Genotypes that are malformed or name an ALT that is not there become ``.``: csq ends
    the whole process at the latter. Beyond two copies csq skips the record, so every
    haplotype becomes a haploid sample; where the phase is unknown it has no allele.
    """
    encoded = column.dictionary_encode()
    index = encoded.indices.to_numpy(zero_copy_only=False)
    found = [_GENOTYPE.fullmatch(cell) for cell in encoded.dictionary.to_pylist()]
    cells = [match[1] if match else "." for match in found]
    copies = [re.split(r"[|/]", cell) for cell in cells]
    highest = np.array(
        [max((int(k) for k in row if k != "."), default=0) for row in copies], np.int64
    )
    bad = pa.array(highest[index] > n_alts)
    ploidy = max(map(len, copies), default=1)
    if ploidy <= 2:
        kept = [cells]
    else:
        known = [
            row if "/" not in cell or len(set(row)) == 1 else ["."] * len(row)
            for row, cell in zip(copies, cells, strict=True)
        ]
        kept = [
            [row[k] if k < len(row) else "." for row in known] for k in range(ploidy)
        ]
    return [
        pc.if_else(bad, ".", pa.array(values, pa.string()).take(encoded.indices))
        for values in kept
    ]


def _alts_by_record(alleles: AlleleTable, record: np.ndarray) -> pa.Array:
    first = np.searchsorted(alleles.record, record, side="left")
    last = np.searchsorted(alleles.record, record, side="right")
    sizes = last - first
    rows = np.repeat(first, sizes) + (
        np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    )
    lists = pa.ListArray.from_arrays(
        pa.array(np.r_[0, np.cumsum(sizes)].astype(np.int32)),
        # csq takes whatever else stands there, such as a breakend, for bases.
        pc.if_else(pa.array(alleles.small), alleles.alt, "*").take(pa.array(rows)),
    )
    return pc.binary_join(lists, ",")


def _read_compounds(path: Path) -> list[tuple[str, str]]:
    """Return ``(contig, entry)`` of csq's entries that join several alleles."""
    out: list[tuple[str, str]] = []
    with path.open() as file:
        for line in file:
            if line.startswith("#"):
                continue
            chrom, _, _, _, _, _, _, info, _ = line.split("\t", 8)
            if "+" not in info:
                continue
            start = info.find("BCSQ=")
            if start < 0:
                continue
            entries = info[start + 5 :].split(";", 1)[0].split(",")
            out += [
                (chrom, entry)
                for entry in entries
                if entry.count("|") == 6 and "+" in entry.rpartition("|")[2]
            ]
    return out
