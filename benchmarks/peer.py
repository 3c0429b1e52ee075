"""``bcftools csq`` run on its own, in a process of its own, on Ensembl's GFF.

csq keeps its last position in a static variable, so every run gets a fresh process.
"""

import gzip
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from data_registry.canonical_gff import CODING_BIOTYPES, NONCODING_BIOTYPES
from data_registry.translation import reading_phases
from variant_effect.consequences import SEVERITY, so_term

PROGRAM = """
import sys
from pysam import bcftools
command = getattr(bcftools, sys.argv[1])
command(*sys.argv[2:], catch_stdout=False)
said = command.get_messages()
sys.stderr.write(said if isinstance(said, str) else "".join(said))
"""

_LATE = ("feature_elongation", "feature_truncation")
_RANKED = (*SEVERITY, *(term for term in _LATE if term not in SEVERITY))
_RANK = {term: code for code, term in enumerate(_RANKED)}

NO_TERM = len(_RANKED)
"""Code of an allele without a term, and of upstream, downstream and intergenic."""

TERMS = (*_RANKED, "no term")
"""Term of each code, most severe first: one order for both programs."""

OUTSIDE = frozenset(
    {"upstream_gene_variant", "downstream_gene_variant", "intergenic_variant"}
)
"""Terms csq does not give: with it such alleles have none."""

_ID = re.compile(r"ID=([^;]*)")
_PARENT = re.compile(r"Parent=([^;]*)")
_BIOTYPE = re.compile(r"biotype=([^;\n]*)")


def parent_of(cells: Sequence[str]) -> str:
    """Return a line's parent without its ``gene:`` or ``transcript:``; '' for none."""
    found = _PARENT.search(cells[8])
    return found[1].partition(":")[2] if found else ""


def run_bcftools(command: str, *arguments: str) -> str:
    """Run one command of pysam's bcftools in a new process; return what it said.

    Raises
    ------
    RuntimeError
        It stopped; the message holds its last words.
    """
    done = subprocess.run(  # noqa: S603 - our own interpreter
        bcftools_command(command, *arguments),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"bcftools {command}: {done.stderr[-2000:]}")
    return done.stderr


def bcftools_command(command: str, *arguments: str) -> list[str]:
    """Return the command line that runs pysam's bcftools in a new process."""
    return [sys.executable, "-c", PROGRAM, command, *arguments]


@dataclass(slots=True)
class PeerGff:
    """Ensembl's gene models, made readable for csq and repaired step by step.

    Parameters
    ----------
    lines
        The nine cells of each line kept, contigs renamed.
    counts
        Lines read, lines left out by reason.
    wrong_phase
        Transcripts of which a CDS part's phase disagrees with the lengths before it.
    """

    lines: list[list[str]]
    counts: Counter[str] = field(default_factory=Counter)
    wrong_phase: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, contigs: Mapping[str, str]) -> "PeerGff":
        """Read the file; rename contigs; leave out lines without an end."""
        lines, counts = [], Counter[str]()
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                if line.startswith("#"):
                    continue
                counts["read"] += 1
                cells = line.rstrip("\n").split("\t")
                if not (cells[3].isdigit() and cells[4].isdigit()):
                    counts["left out: no end"] += 1
                    continue
                cells[0] = contigs[cells[0]]
                lines.append(cells)
        found = cls(lines, counts)
        found.wrong_phase = sorted(
            {
                transcript
                for transcript, (parts, phases) in found.coding().items()
                if [int(cells[7]) for cells in parts] != phases
            }
        )
        return found

    def coding(self) -> dict[str, tuple[list[list[str]], list[int]]]:
        """Return each transcript's CDS lines, 5'→3', and their right phases."""
        parts: dict[str, list[list[str]]] = {}
        for cells in self.lines:
            if cells[2] == "CDS":
                parts.setdefault(parent_of(cells), []).append(cells)
        coding = {}
        for name, given in parts.items():
            reverse = given[0][6] == "-"
            ordered = sorted(given, key=lambda c: int(c[3]), reverse=reverse)
            lengths = np.array([int(c[4]) - int(c[3]) + 1 for c in ordered])
            first = np.full(len(ordered), int(ordered[0][7]))
            phases = reading_phases([name] * len(ordered), lengths, first).tolist()
            coding[name] = (ordered, phases)
        return coding

    def with_phases(self) -> "PeerGff":
        """Repair the phase column of CDS lines, and nothing else."""
        right = {
            id(cells): phase
            for parts, phases in self.coding().values()
            for cells, phase in zip(parts, phases, strict=True)
        }
        return PeerGff(
            [
                [*c[:7], str(right[id(c)]), c[8]] if id(c) in right else c
                for c in self.lines
            ]
        )

    def with_biotypes(self) -> "PeerGff":
        """Write misc_RNA where csq does not know the biotype, and nothing else."""
        known = CODING_BIOTYPES | NONCODING_BIOTYPES

        def repaired(text: str) -> str:
            return _BIOTYPE.sub(
                lambda m: m[0] if m[1] in known else "biotype=misc_RNA", text
            )

        return PeerGff([[*c[:8], repaired(c[8])] for c in self.lines])

    def unknown_biotypes(self) -> dict[str, int]:
        """Count the transcripts of each biotype that csq does not know."""
        known = CODING_BIOTYPES | NONCODING_BIOTYPES
        found: Counter[str] = Counter()
        for cells in self.lines:
            name, biotype = _ID.search(cells[8]), _BIOTYPE.search(cells[8])
            if name and biotype and name[1].startswith("transcript:"):
                found[biotype[1]] += biotype[1] not in known
        return {k: n for k, n in found.most_common() if n}

    def with_exon_phases(self) -> "PeerGff":
        """Write phase 0 on exon lines instead of '.', and nothing else."""
        return PeerGff(
            [[*c[:7], "0", c[8]] if c[2] == "exon" else c for c in self.lines]
        )

    def write(self, path: Path) -> Path:
        """Write the lines in the file's order."""
        text = "".join("\t".join(cells) + "\n" for cells in self.lines)
        path.write_text("##gff-version 3\n" + text, encoding="utf-8")
        return path


def call(fasta: Path, gff: Path, vcf: Path, out: Path, *options: str) -> str:
    """Run ``csq --local-csq --force``; return what it said."""
    return run_bcftools(
        "csq", "--local-csq", "--force", "--verbosity", "2", "-f", str(fasta),
        "-g", str(gff), *options, "-O", "v", "-o", str(out), str(vcf),
    )  # fmt: skip


def read_columns(path: Path, names: Iterable[str]) -> pa.Table:
    """Read columns of a VCF's body (``CHROM POS ID REF ALT QUAL FILTER INFO`` only)."""
    data = path.read_bytes()
    body = data.index(b"\n", data.index(b"\n#CHROM") + 1) + 1
    columns = ["CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
    first = data[body : data.find(b"\n", body)]
    extra = [f"x{i}" for i in range(first.count(b"\t") + 1 - len(columns))]
    return pa_csv.read_csv(
        pa.BufferReader(memoryview(data)[body:]),
        read_options=pa_csv.ReadOptions(
            column_names=columns + extra, block_size=max(len(data), 1 << 20),
            use_threads=False,
        ),
        parse_options=pa_csv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=pa_csv.ConvertOptions(
            include_columns=list(names), strings_can_be_null=False,
            column_types={c: pa.string() for c in columns if c != "POS"},
        ),
    ).combine_chunks()  # fmt: skip


def entries_of(info: str) -> Iterator[list[str]]:
    """Give the cells of csq's entries in one INFO field."""
    start = info.find("BCSQ=")
    if start < 0:
        return
    for entry in info[start + 5 :].split(";", 1)[0].split(","):
        yield entry.split("|")


def rank(consequence: str) -> int:
    """Return the code of the most severe of the terms joined by ``&``.

    Raises
    ------
    ValueError
        A term is not of the list that both programs are ranked by.
    """
    terms = consequence.split("&")
    if unknown := [term for term in terms if term not in _RANK]:
        raise ValueError(f"{consequence!r}: no rank for {unknown[0]!r}")
    code = min(_RANK[term] for term in terms)
    return NO_TERM if TERMS[code] in OUTSIDE else code


def term_code(terms: str) -> int:
    """Return the code of the most severe of csq's terms, ``NO_TERM`` without any.

    Parameters
    ----------
    terms
        Terms of each entry, joined by ``,``. An entry ``@pos`` points to another record
        and says nothing itself.
    """
    given = [term for term in terms.split(",") if term and not term.startswith("@")]
    return min((rank(so_term(term)) for term in given), default=NO_TERM)


def term_codes(info: pa.Array) -> NDArray[np.int8]:
    """Return ``term_code`` of each INFO field that csq wrote."""
    called = pc.extract_regex(info, r"(?:^|;)BCSQ=(?P<entries>[^;]*)").field(0)
    terms = pc.replace_substring_regex(pc.fill_null(called, ""), r"\|[^,]*", "")
    encoded = terms.dictionary_encode()
    codes = [term_code(term) for term in encoded.dictionary.to_pylist()]
    found: NDArray[np.int8] = np.array(codes, dtype=np.int8)[
        encoded.indices.to_numpy(zero_copy_only=False)
    ]
    return found
