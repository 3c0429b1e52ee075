"""Genotype panels: VCF and BCF, PLINK 1 (bed, bim, fam) and PLINK 2 (pgen, pvar, psam).

Genotypes stay in their files. What is kept is one row of allele counts for each ALT
allele and group of samples. Its key ``(contig, start, ref, alt)`` is 0-based, in upper
case and trimmed of shared bases at both ends, so that ``ref`` is ``""`` for an
insertion and ``alt`` is ``""`` for a deletion; the store, which has the genome, then
moves insertions and deletions to the left
(:func:`data_registry.normalisation.left_align_frequencies`).
"""

import contextlib
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cyvcf2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from data_registry.coordinates import start_from_one_based
from data_registry.errors import InputError, MalformedFileError, MissingOptionalError
from data_registry.normalisation import Alleles, Strings, trim
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.sources.score_dialects import is_score_vcf
from data_registry.text_files import (
    detect_compression,
    open_binary,
    open_text,
    read_head,
    read_table,
)

_GENOTYPES_AT_ONCE = 8_000_000
_PER_MILLION = 1_000_000
_TABLES = ("panels", "panel_samples", "panel_frequencies")
_VCF_COLUMNS = (
    "#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT",
)  # fmt: skip
_HTSLIB_USUAL = 3
"""htslib's own log level: errors and warnings."""

_VCF_REMEDY = "Check the file with 'bcftools view', or write it again"
_SAMPLE_HEADERS = frozenset({"sample", "sample_id", "iid", "id", "name"})
_PLAIN = np.zeros(256, np.bool_)
_PLAIN[list(b"ACGTacgt")] = True


# --- samples and groups -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Groups:
    """Samples of a panel and the groups they are counted in; the first is all."""

    samples: tuple[str, ...]
    group_of: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return ("", *sorted(set(self.group_of) - {""}))

    def columns(self) -> list[slice | npt.NDArray[np.int64]]:
        """Return the samples of each group, for indexing."""
        group_of = np.array(self.group_of, object)
        return [
            slice(None),
            *(np.flatnonzero(group_of == name) for name in self.names[1:]),
        ]

    def table(self, panel: str) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "panel": panel,
                "sample_id": list(self.samples),
                "group_name": list(self.group_of),
            },
            dtype=object,
        )


def _read_groups(request: Request, samples: list[str]) -> _Groups:
    """Read option ``groups``: sample and group, tab-separated, no header needed."""
    if "groups" not in request.options:
        return _Groups(tuple(samples), ("",) * len(samples))
    path = Path(request.options["groups"])
    table = read_table(path, delimiter="\t", header=False)
    if len(table.columns) < 3:
        raise MalformedFileError(
            path,
            "one column found",
            line=1,
            remedy="Give two columns parted by a tab: sample, group",
        )
    known = set(samples)
    given = dict(zip(table["0"], table["1"], strict=True))
    for name, rows in table.groupby("0", sort=False):
        if len(set(rows["1"])) > 1:
            raise MalformedFileError(
                path,
                f"sample {name!r} stands in {len(set(rows['1']))} groups",
                line=int(rows["_line"].iloc[1]),
                remedy="Give each sample one group",
            )
    foreign = [name for name in given if name not in known]
    first = str(table["0"].iloc[0])
    if first in foreign and first.lower() in _SAMPLE_HEADERS:
        foreign.remove(first)
    if not known & set(given):
        raise MalformedFileError(
            path,
            f"none of its {len(given)} samples are in {request.path.name} "
            f"(there: {', '.join(samples[:3])} …; here: {', '.join(foreign[:3])} …)",
            remedy="Spell the samples as the panel does",
        )
    notes = []
    if foreign:
        notes.append(
            f"{len(foreign)} samples of {path.name} are not in the panel, "
            f"e.g. {foreign[0]}"
        )
    without = [name for name in samples if name not in given]
    if without:
        notes.append(f"{len(without)} samples have no group, e.g. {without[0]}")
    return _Groups(
        tuple(samples), tuple(given.get(name, "") for name in samples), tuple(notes)
    )


# --- counting -----------------------------------------------------------------------


@dataclass(slots=True)
class _Frequencies:
    """Allele counts, built up batch by batch."""

    panel: str
    groups: _Groups
    tally: Tally
    alleles_left_out: Counter[str] = field(default_factory=Counter)
    n_alleles: int = 0
    n_uncounted: int = 0
    parts: list[pa.Table] = field(default_factory=list)

    def add(
        self,
        contigs: list[str],
        starts: list[int],
        refs: list[str],
        alts: list[list[str]],
        lines: list[int],
        ac: npt.NDArray[np.int64],
        an: npt.NDArray[np.int64],
    ) -> None:
        """Add a batch of records.

        Parameters
        ----------
        alts
            ALT alleles of each record, none or more.
        ac
            Copies of each ALT, shape (groups, all ALTs of the batch); -1 unknown.
        an
            Alleles called, shape (groups, records).
        """
        self.tally.read += len(starts)
        n_alts = np.fromiter(map(len, alts), np.int64, len(alts))
        self.n_alleles += int(n_alts.sum())
        record = np.repeat(np.arange(len(alts)), n_alts)
        ref = _pack(refs).take(record)
        alt = _pack(list(itertools.chain.from_iterable(alts)))
        start = np.array(starts, np.int64)[record]
        found = trim(start, ref, alt)
        bad = ~_is_plain(ref) | ~_is_plain(alt) | _is_same(found) | (start < 0)
        kept_records = np.zeros(len(alts), np.bool_)
        kept_records[record[~bad]] = True
        why: dict[int, str] = {}
        for i in np.flatnonzero(bad).tolist():
            reason = _reason(ref[i], alt[i], int(start[i]))
            self.alleles_left_out[reason] += 1
            why.setdefault(int(record[i]), reason)
        for i in np.flatnonzero(~kept_records).tolist():
            text = (
                f"{contigs[i]}\t{starts[i] + 1}\t{refs[i]}\t{','.join(alts[i]) or '.'}"
            )
            self.tally.leave_out(why.get(i, "no_alt"), line=lines[i], text=text)
        good = np.flatnonzero(~bad)
        if len(good) == 0:
            return
        contig = pa.array(contigs, pa.large_string()).dictionary_encode()
        contig = contig.take(pa.array(record[good]))
        line = np.array(lines, np.int64)[record[good]]
        trimmed_ref = found.ref.take(good).to_arrow().dictionary_encode()
        trimmed_alt = found.alt.take(good).to_arrow().dictionary_encode()
        for g, name in enumerate(self.groups.names):
            count, called = ac[g, good], an[g, record[good]]
            self.n_uncounted += int((count < 0).sum()) if g == 0 else 0
            part = pa.table(
                {
                    "panel": _repeated(self.panel, len(good)),
                    "group_name": _repeated(name, len(good)),
                    "contig": contig,
                    "start": found.start[good],
                    "ref": trimmed_ref,
                    "alt": trimmed_alt,
                    "ac": count.astype(np.int32),
                    "an": called.astype(np.int32),
                    "_line": line,
                }
            )
            self.parts.append(part if g == 0 else part.filter(pa.array(called > 0)))

    def table(self) -> pd.DataFrame:
        """Return all rows; the columns of text are categorical, as they are long."""
        if not self.parts:
            names = ["panel", "group_name", "contig", "start", "ref", "alt", "ac", "an"]
            return pd.DataFrame(columns=[*names, "_line"])
        whole = pa.concat_tables(self.parts).unify_dictionaries().combine_chunks()
        self.parts.clear()
        table: pd.DataFrame = whole.to_pandas(self_destruct=True, split_blocks=True)
        unknown = table["ac"] < 0
        if unknown.any():
            for column in ("ac", "an"):
                table[column] = table[column].astype("Int32").mask(unknown)
        return table

    def notes(self) -> list[str]:
        notes = list(self.groups.notes)
        if self.alleles_left_out:
            reasons = ", ".join(
                f"{reason} {n:,}" for reason, n in self.alleles_left_out.most_common()
            )
            notes.append(
                f"{self.alleles_left_out.total():,} of {self.n_alleles:,} ALT alleles "
                f"get no frequency: {reasons}"
            )
        if self.n_uncounted:
            notes.append(
                f"{self.n_uncounted:,} alleles have neither genotypes nor AC and AN "
                "nor AF: they are listed without counts"
            )
        return notes


def _repeated(name: str, n: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(n, np.int32)), pa.array([name], pa.large_string())
    )


def _pack(values: list[str]) -> Strings:
    """Pack alleles; what is not ASCII becomes ``?``, which no allele may hold."""
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, values), np.int64, len(values)), out=offsets[1:])
    data = "".join(values).encode("ascii", "replace")
    return Strings(np.frombuffer(data, np.uint8), offsets)


def _is_plain(alleles: Strings) -> npt.NDArray[np.bool_]:
    """Return whether an allele is made of A, C, G, T alone (and not empty)."""
    bad = np.concatenate([[0], np.cumsum(~_PLAIN[alleles.data])])
    n_bad: npt.NDArray[np.int64] = np.diff(bad[alleles.offsets])
    return np.asarray((n_bad == 0) & (alleles.lengths > 0))


def _is_same(found: Alleles) -> npt.NDArray[np.bool_]:
    """Return where REF equals ALT; others, once trimmed, differ in the first base."""
    n_ref = found.ref.lengths
    same = np.asarray((n_ref == found.alt.lengths) & (n_ref > 0))
    at = np.flatnonzero(same)
    same[at] = (
        found.ref.data[found.ref.offsets[at]] == found.alt.data[found.alt.offsets[at]]
    )
    return same


def _reason(ref: str, alt: str, start: int) -> str:
    """Say why an allele gets no frequency; the names are those of the scorer."""
    if start < 0:
        return "off_contig"
    if alt == "*":
        return "spanning_deletion"
    if "[" in alt or "]" in alt:
        return "breakend"
    if alt.startswith("<"):
        return "symbolic_allele"
    if len(alt) > 1 and (alt[0] == "." or alt[-1] == "."):
        return "breakend"
    if ref in ("", "."):
        return "missing_ref"
    if alt in ("", ".", "0"):
        return "missing_alt"
    if ref.upper() == alt.upper():
        return "alt_equals_ref"
    letters = set((ref + alt).upper())
    return "ambiguous_base" if letters <= set("ACGTNRYKMSWBDHVU") else "not_bases"


def _count(
    alleles: npt.NDArray[Any], n_alts: npt.NDArray[np.int64], groups: _Groups
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count alleles of some records in each group.

    Parameters
    ----------
    alleles
        Allele numbers, shape (records, samples, ploidy): 0 REF, 1 … ALT, negative where
        not called.
    n_alts
        ALT alleles of each record.

    Returns
    -------
    ac
        Shape (groups, all ALTs, record by record).
    an
        Shape (groups, records).
    """
    first = np.concatenate([[0], np.cumsum(n_alts)])
    ac = np.zeros((len(groups.names), int(first[-1])), np.int64)
    an = np.zeros((len(groups.names), len(alleles)), np.int64)
    for g, samples in enumerate(groups.columns()):
        own = alleles[:, samples]
        an[g] = np.count_nonzero(own >= 0, axis=(1, 2))
        for k in range(1, int(n_alts.max(initial=0)) + 1):
            rows = np.flatnonzero(n_alts >= k)
            some = own if len(rows) == len(own) else own[rows]
            ac[g, first[rows] + k - 1] = np.count_nonzero(some == k, axis=(1, 2))
    return ac, an


def _panel_tables(
    request: Request,
    form: str,
    found: _Frequencies,
    ploidy: int,
) -> dict[str, pd.DataFrame]:
    panel = pd.DataFrame(
        {
            "panel": [request.name],
            "path": [str(request.path)],
            "format": [form],
            "n_samples": [len(found.groups.samples)],
            "n_variants": [found.tally.read],
            "ploidy": [ploidy],
        }
    )
    return {
        "panels": panel,
        "panel_samples": found.groups.table(request.name),
        "panel_frequencies": found.table(),
    }


# --- VCF and BCF --------------------------------------------------------------------


def detect_variants(path: Path, head: bytes) -> bool:
    """Return whether the file is VCF or BCF, and no VCF of scores alone."""
    is_variants = head.startswith((b"##fileformat=VCF", b"BCF\x02"))
    return is_variants and not is_score_vcf(path, head)


@contextlib.contextmanager
def _readable_by_htslib(path: Path) -> Iterator[Path]:
    """Give the file itself, or a plain copy where htslib cannot read it as it is."""
    form = detect_compression(path)
    with open_binary(path) as stream:  # also refuses bgzip without its end block
        has_mark = stream.read(3) == b"\xef\xbb\xbf"
    if form not in ("xz", "bz2") and not has_mark:
        yield path.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="cisgraph-") as folder:
        copy = Path(folder) / "copy.vcf"
        with copy.open("w", encoding="utf-8") as out, open_text(path) as lines:
            while block := lines.read(1 << 20):
                out.write(block)
        yield copy


@contextlib.contextmanager
def _quiet_htslib() -> Iterator[None]:
    """Keep htslib from writing to stderr; what matters is raised as an error here."""
    set_level = getattr(cyvcf2.cyvcf2, "set_htslib_log_level", lambda _: None)
    set_level(0)
    try:
        yield
    finally:
        set_level(_HTSLIB_USUAL)


def _check_header(path: Path) -> int | None:
    """Return the number of header lines of a VCF, None for BCF.

    Raises
    ------
    MalformedFileError
        There is no ``##fileformat=VCF`` on top, no line ``#CHROM``, it lacks a column,
        or a sample stands twice.
    """
    if read_head(path).startswith(b"BCF"):
        return None
    with open_text(path) as lines:
        first = next(lines, "").rstrip("\n")
        if not first.startswith("##fileformat=VCF"):
            raise MalformedFileError(
                path,
                f"it starts with {first[:40]!r}, not with ##fileformat=VCF",
                line=1,
                remedy="Give a VCF or BCF with its header",
            )
        number = 1
        for number, line in enumerate(lines, start=2):
            if line.startswith("#CHROM"):
                _check_columns(path, line.rstrip("\n").split("\t"), number)
                return number
            if not line.startswith("##"):
                raise MalformedFileError(
                    path,
                    "no line #CHROM above the first record",
                    line=number,
                    remedy="Give a VCF with its whole header",
                )
    raise MalformedFileError(
        path,
        "the header ends without a line #CHROM",
        line=number,
        remedy="The file is cut short: fetch it again",
    )


def _check_columns(path: Path, names: list[str], line: int) -> None:
    if wrong := [
        f"column {i + 1} is {found!r}, not {wanted}"
        for i, (found, wanted) in enumerate(
            itertools.zip_longest(names[: len(_VCF_COLUMNS)], _VCF_COLUMNS)
        )
        if found != wanted and not (wanted == "FORMAT" and found is None)
    ]:
        raise MalformedFileError(
            path,
            f"the line #CHROM is wrong: {wrong[0]}",
            line=line,
            remedy="It has #CHROM POS ID REF ALT QUAL FILTER INFO, and with samples "
            "FORMAT and their names, parted by tabs",
        )
    samples = Counter(names[len(_VCF_COLUMNS) :])
    if doubled := [name for name, n in samples.items() if n > 1]:
        raise MalformedFileError(
            path,
            f"sample {doubled[0]!r} stands twice",
            line=line,
            remedy="Give each sample a name of its own (bcftools reheader)",
        )


def _unreadable_record(
    path: Path,
    n_samples: int,
    n_header: int | None,
    n: int,
    error: Exception,
) -> MalformedFileError:
    """Say what is wrong with the ``n``-th record, which htslib has refused."""
    if n_header is None:
        return MalformedFileError(
            path, f"record {n:,} cannot be read (htslib: {error})", remedy=_VCF_REMEDY
        )
    with open_text(path) as lines:
        text = next(itertools.islice(lines, n_header + n - 1, None), "").rstrip("\n")
    fields = text.split("\t")
    width = len(_VCF_COLUMNS) + n_samples if n_samples else 8
    if len(fields) < width:
        what = f"{len(fields)} columns where the header has {width}"
    elif not fields[1].isdigit():
        what = f"POS is {fields[1][:20]!r}, no whole number from 0 on"
    else:
        what = f"htslib cannot read {text[:80]!r} ({error})"
    return MalformedFileError(
        path, f"record {n:,}: {what}", line=n_header + n, remedy=_VCF_REMEDY
    )


def parse_variants(request: Request) -> Parsed:
    """Read a VCF or BCF: its samples, and allele counts of every ALT in every group.

    Counts come from the genotypes, of whatever ploidy (``AN`` is the number of alleles
    called, half-called genotypes included). Records without genotypes use INFO AC and
    AN, or AF alone: then counts are per million alleles, as the real number is not
    known. With option ``counts=info`` INFO is believed first. Records that have ALT
    alleles but none made of A, C, G, T are left out; so are single such alleles of
    other records, which a note counts by reason.

    Raises
    ------
    MalformedFileError
        The header or a record cannot be read, or the file is truncated or empty.
    InputError
        Unknown value of ``counts``; groups asked for together with ``counts=info``.
    """
    path, choice = request.path, request.options.get("counts", "genotypes")
    if choice not in ("genotypes", "info"):
        raise InputError(f"option counts={choice}; it is 'genotypes' or 'info'")
    if choice == "info" and "groups" in request.options:
        raise InputError("INFO holds no counts by group; drop counts=info or groups")
    with _readable_by_htslib(path) as source, _quiet_htslib():
        n_header = _check_header(path)
        try:
            vcf = cyvcf2.VCF(str(source))
        except Exception as error:
            raise MalformedFileError(
                path, f"the VCF header cannot be read ({error})", remedy=_VCF_REMEDY
            ) from error
        try:
            found, ploidy, source_of = _read_records(request, vcf, n_header, choice)
        finally:
            vcf.close()
    if found.tally.read == 0:
        raise MalformedFileError(
            path, "a header and no records", remedy="Give a file with variants"
        )
    form = "bcf" if n_header is None else "vcf"
    notes = [
        f"{len(found.groups.samples)} samples, highest ploidy {ploidy}; counts of "
        + ", ".join(
            f"{n:,} records from {name}" for name, n in sorted(source_of.items())
        ),
        *found.notes(),
    ]
    return Parsed(_panel_tables(request, form, found, ploidy), found.tally, notes)


def _read_records(
    request: Request,
    vcf: Any,  # noqa: ANN401
    n_header: int | None,
    choice: str,
) -> tuple[_Frequencies, int, Counter[str]]:
    samples = [str(name) for name in vcf.samples]
    groups = _read_groups(request, samples)
    found = _Frequencies(request.name, groups, Tally())
    source_of: Counter[str] = Counter()
    ploidy = 0
    size = int(np.clip(_GENOTYPES_AT_ONCE // max(3 * len(samples), 1), 64, 8_192))
    first_line = 0 if n_header is None else n_header
    for batch in _batches(request.path, vcf, n_header, choice, size):
        genotypes, infos, alts = batch.genotypes, batch.infos, batch.alts
        lines = list(range(first_line + 1, first_line + 1 + len(batch)))
        first_line += len(batch)
        n_alts = np.fromiter(map(len, alts), np.int64, len(alts))
        first: npt.NDArray[np.int64] = np.concatenate([[0], np.cumsum(n_alts)])
        ac = np.full((len(groups.names), int(first[-1])), -1, np.int64)
        an = np.full((len(groups.names), len(alts)), -1, np.int64)
        by_ploidy: dict[int, list[int]] = {}
        for i, (calls, info) in enumerate(zip(genotypes, infos, strict=True)):
            stated = None if info is None else _stated(info, len(alts[i]))
            if stated is not None:
                name, counts, called = stated
                ac[:, first[i] : first[i + 1]], an[:, i] = counts, called
                source_of[name] += 1
            elif calls is not None:
                by_ploidy.setdefault(calls.shape[1] - 1, []).append(i)
            else:
                source_of["nothing"] += 1
        for width, members in by_ploidy.items():
            ploidy = max(ploidy, width)
            calls = np.concatenate([genotypes[i] for i in members])
            stack = calls.reshape(len(members), len(samples), -1)[:, :, :width]
            rows = np.array(members)
            counted, n_called = _count(stack, n_alts[rows], groups)
            flat = np.repeat(first[rows], n_alts[rows]) + (
                np.arange(int(n_alts[rows].sum()))
                - np.repeat(np.cumsum(n_alts[rows]) - n_alts[rows], n_alts[rows])
            )
            ac[:, flat], an[:, rows] = counted, n_called
            source_of["genotypes"] += len(members)
        found.add(batch.contigs, batch.starts, batch.refs, alts, lines, ac, an)
    return found, ploidy, source_of


@dataclass(slots=True)
class _Batch:
    """Some records, column by column.

    ``genotypes`` are None where there are none; ``infos`` (AC, AN, AF of INFO) are None
    where they are not needed.
    """

    contigs: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    refs: list[str] = field(default_factory=list)
    alts: list[list[str]] = field(default_factory=list)
    genotypes: list[Any] = field(default_factory=list)
    infos: list[tuple[Any, Any, Any] | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.refs)


def _batches(
    path: Path,
    vcf: Any,  # noqa: ANN401
    n_header: int | None,
    choice: str,
    size: int,
) -> Iterator[_Batch]:
    """Yield the records, ``size`` at a time.

    Raises
    ------
    MalformedFileError
        A record cannot be read.
    """
    has_samples, wants_info, n = bool(vcf.samples), choice == "info", 0
    records = iter(vcf)
    while True:
        batch = _Batch()
        while len(batch.refs) < size:
            try:
                record = next(records)
            except StopIteration:
                break
            except Exception as error:
                raise _unreadable_record(
                    path, len(vcf.samples), n_header, n + len(batch) + 1, error
                ) from error
            genotypes = info = None
            if has_samples:
                try:
                    genotypes = record.genotype.array()
                except Exception:  # noqa: BLE001 - cyvcf2 says so of a record without GT
                    genotypes = None
            if genotypes is None or wants_info:
                given = record.INFO
                info = given.get("AC"), given.get("AN"), given.get("AF")
            batch.contigs.append(record.CHROM)
            batch.starts.append(start_from_one_based(record.POS))
            batch.refs.append(record.REF)
            batch.alts.append(record.ALT)
            batch.genotypes.append(genotypes)
            batch.infos.append(info)
        if not batch.refs:
            return
        n += len(batch)
        yield batch


def _stated(
    info: tuple[Any, Any, Any], n_alts: int
) -> tuple[str, list[int], int] | None:
    """Return the source, copies of each ALT, and alleles called, as in INFO."""
    ac, an, af = info
    called = an if isinstance(an, int) and an >= 0 else None
    counts = ac if isinstance(ac, tuple) else (ac,)
    if called is not None and len(counts) == n_alts and None not in counts:
        return "INFO AC and AN", [int(count) for count in counts], called
    shares = af if isinstance(af, tuple) else (af,)
    if len(shares) != n_alts or not all(
        isinstance(share, float) and 0.0 <= share <= 1.0 for share in shares
    ):
        return None
    if called is not None:
        return "INFO AF and AN", [round(share * called) for share in shares], called
    return (
        "INFO AF (counts per million alleles, real number unknown)",
        [round(share * _PER_MILLION) for share in shares],
        _PER_MILLION,
    )


# --- PLINK --------------------------------------------------------------------------

_BED_MAGIC, _PGEN_MAGIC = b"\x6c\x1b\x01", b"\x6c\x1b"
_BIM = ("contig", "id", "cm", "position", "a1", "a2")
_FAM = ("family", "sample", "father", "mother", "sex", "phenotype")


def detect_panel(path: Path, head: bytes) -> bool:
    """Return whether the file is a PLINK ``.bed`` or ``.pgen``."""
    return head.startswith(_PGEN_MAGIC) and path.suffix.lower() in (".bed", ".pgen")


def parse_panel(request: Request) -> Parsed:
    """Read a PLINK 1 ``.bed`` or PLINK 2 ``.pgen`` with the files beside it.

    PLINK 1 does not say which allele is the reference: A2 is taken as REF and A1 as
    ALT, and the store turns round those that the genome contradicts. Genotypes are
    diploid as PLINK stores them, haploid chromosomes included.

    Raises
    ------
    MalformedFileError
        A companion is missing, or sizes do not agree.
    MissingOptionalError
        bed-reader or pgenlib is not installed.
    """
    head = read_head(request.path, 3)
    if head == _BED_MAGIC and request.path.suffix.lower() != ".pgen":
        return _parse_bed(request)
    if head.startswith(_PGEN_MAGIC):
        if request.path.suffix.lower() != ".pgen":
            raise MalformedFileError(
                request.path,
                "it is a PLINK bed with one sample after another, an old layout",
                remedy="Write it again with 'plink --make-bed'",
            )
        return _parse_pgen(request)
    raise MalformedFileError(
        request.path,
        f"starts with {head.hex()!r}, not with PLINK's mark 6c1b",
        remedy="Give the .bed or the .pgen of a PLINK fileset",
    )


def _companion(path: Path, *suffixes: str) -> Path:
    for suffix in suffixes:
        beside = path.with_suffix(suffix)
        if beside.exists():
            return beside
    raise MalformedFileError(
        path,
        "there is no "
        + " or ".join(path.with_suffix(suffix).name for suffix in suffixes)
        + " beside it",
        remedy="Keep the files of a PLINK fileset in one folder, with one stem",
    )


def _positions(
    path: Path, column: pd.Series, lines: pd.Series
) -> npt.NDArray[np.int64]:
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.isna().any():
        i = int(np.argmax(numbers.isna().to_numpy()))
        raise MalformedFileError(
            path,
            f"position {column.iloc[i]!r} is no number",
            line=int(lines.iloc[i]),
            remedy="Give base-pair positions",
        )
    return numbers.to_numpy(np.int64) - 1


def _parse_bed(request: Request) -> Parsed:
    try:
        import bed_reader
    except ImportError as error:
        raise MissingOptionalError(
            "PLINK panels need bed-reader: pip install 'cisgraph[panels]'"
        ) from error
    path = request.path
    bim_path, fam_path = _companion(path, ".bim"), _companion(path, ".fam")
    bim = read_table(bim_path, delimiter=" ", header=_BIM, comment="")
    fam = read_table(fam_path, delimiter=" ", header=_FAM, comment="")
    n, m = len(fam), len(bim)
    wanted, size = 3 + m * ((n + 3) // 4), path.stat().st_size
    if size != wanted:
        raise MalformedFileError(
            path,
            f"holds {size:,} bytes; {m:,} variants of {n:,} samples take {wanted:,}",
            remedy="It is truncated, or the .bim or .fam belong to another .bed",
        )
    groups = _read_groups(request, fam["sample"].tolist())
    found = _Frequencies(request.name, groups, Tally())
    starts = _positions(bim_path, bim["position"], bim["_line"])
    step = max(_GENOTYPES_AT_ONCE // max(n, 1), 1)
    columns = groups.columns()
    with bed_reader.open_bed(path, iid_count=n, sid_count=m, num_threads=1) as bed:
        for a in range(0, m, step):
            b = min(a + step, m)
            copies = bed.read(np.s_[:, a:b], dtype="int8").T  # of A1; -127 missing
            ac = np.empty((len(columns), b - a), np.int64)
            an = np.empty((len(columns), b - a), np.int64)
            for g, samples in enumerate(columns):
                own = copies[:, samples]
                an[g] = 2 * np.count_nonzero(own >= 0, axis=1)
                ac[g] = own.clip(min=0).sum(axis=1, dtype=np.int64)
            rows = bim.iloc[a:b]
            found.add(
                rows["contig"].tolist(),
                starts[a:b].tolist(),
                rows["a2"].tolist(),
                [[allele] for allele in rows["a1"]],
                rows["_line"].tolist(),
                ac,
                an,
            )
    notes = [
        f"{n:,} samples; A2 read as REF and A1 as ALT, turned round where the genome "
        "contradicts",
        *found.notes(),
    ]
    return Parsed(_panel_tables(request, "plink", found, 2), found.tally, notes)


def _read_plink2(path: Path, old: tuple[str, ...]) -> pd.DataFrame:
    """Read a .pvar or .psam (or .bim, .fam): columns named as PLINK 2 names them."""
    if path.suffix == ".zst":
        with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as stream:
            text = stream.read()
        with tempfile.TemporaryDirectory(prefix="cisgraph-") as folder:
            plain = Path(folder) / path.stem
            plain.write_bytes(text)
            return _read_plink2(plain, old)
    head: list[str] = []
    with open_text(path) as lines:
        for line in lines:
            if not line.startswith("#"):
                break
            head = line.strip("\n").lstrip("#").split()
    table = read_table(path, delimiter=" ", header=False)
    names = head or list(old)
    given = [column for column in table.columns if column != "_line"]
    if len(given) != len(names):
        raise MalformedFileError(
            path,
            f"{len(given)} columns, {len(names)} expected ({' '.join(names)})",
            remedy="Write the fileset again with plink2",
        )
    return table.rename(columns=dict(zip(given, names, strict=True)))


def _parse_pgen(request: Request) -> Parsed:
    try:
        import pgenlib
    except ImportError as error:
        raise MissingOptionalError(
            "PGEN panels need pgenlib: pip install 'cisgraph[panels]'"
        ) from error
    path = request.path
    psam_path = _companion(path, ".psam", ".fam")
    pvar_path = _companion(path, ".pvar", ".pvar.zst", ".bim")
    psam = _read_plink2(psam_path, ("FID", "IID", "PAT", "MAT", "SEX", "PHENO"))
    pvar = _read_plink2(pvar_path, ("CHROM", "ID", "CM", "POS", "ALT", "REF"))
    missing = {"CHROM", "POS", "REF", "ALT"} - set(pvar.columns)
    if missing or "IID" not in psam:
        raise MalformedFileError(
            pvar_path if missing else psam_path,
            f"no column {', '.join(sorted(missing or {'IID'}))}",
            remedy="Write the fileset again with plink2",
        )
    groups = _read_groups(request, psam["IID"].tolist())
    found = _Frequencies(request.name, groups, Tally())
    starts = _positions(pvar_path, pvar["POS"], pvar["_line"])
    alts = [text.split(",") for text in pvar["ALT"]]
    n_alts = np.fromiter(map(len, alts), np.int64, len(alts))
    n, m = len(psam), len(pvar)
    offsets = np.concatenate([[0], np.cumsum(n_alts + 1)]).astype(np.uintp)
    try:
        reader = pgenlib.PgenReader(
            str(path).encode(),
            raw_sample_ct=n,
            variant_ct=m,
            allele_idx_offsets=offsets if (n_alts > 1).any() else None,
        )
    except RuntimeError as error:
        raise MalformedFileError(
            path,
            f"cannot be read with {m:,} variants of {n:,} samples ({error})",
            remedy="It is damaged, or the .pvar or .psam belong to another .pgen",
        ) from error
    step = max(_GENOTYPES_AT_ONCE // max(2 * n, 1), 1)
    try:
        for a in range(0, m, step):
            b = min(a + step, m)
            calls = np.empty((b - a, 2 * n), np.int32)
            try:
                reader.read_alleles_range(a, b, calls)
            except RuntimeError as error:
                raise MalformedFileError(
                    path,
                    f"variants {a + 1:,}-{b:,} cannot be read ({error})",
                    remedy="Write the fileset again with plink2",
                ) from error
            ac, an = _count(calls.reshape(b - a, n, 2), n_alts[a:b], groups)
            rows = pvar.iloc[a:b]
            found.add(
                rows["CHROM"].tolist(),
                starts[a:b].tolist(),
                rows["REF"].tolist(),
                alts[a:b],
                rows["_line"].tolist(),
                ac,
                an,
            )
    finally:
        reader.close()
    notes = [f"{n:,} samples", *found.notes()]
    return Parsed(_panel_tables(request, "pgen", found, 2), found.tally, notes)


_GROUPS_OPTION = "file of sample and group, tab-separated: counts for each group too"

KINDS: tuple[Kind, ...] = (
    Kind(
        "variants",
        "VCF or BCF, with or without genotypes, any ploidy; read by reference",
        detect_variants,
        parse_variants,
        _TABLES,
        {
            "groups": _GROUPS_OPTION,
            "counts": "genotypes (default) or info: believe INFO AC and AN, faster",
        },
        side_files=("groups",),
    ),
    Kind(
        "panel",
        "PLINK 1 (.bed) or PLINK 2 (.pgen) fileset; read by reference",
        detect_panel,
        parse_panel,
        _TABLES,
        {"groups": _GROUPS_OPTION},
        side_files=("groups",),
    ),
)
