"""Registering sources: parse, map names, check, count, and load in one transaction."""

import errno
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from data_registry.contigs import ContigNames
from data_registry.errors import (
    ContigMappingError,
    GeneMappingError,
    InputError,
    MalformedFileError,
    MissingLayerError,
    PlatformError,
    WorkspaceError,
)
from data_registry.genome import Genome
from data_registry.identifiers import GeneNames
from data_registry.kinds import detect_kind, find_kind
from data_registry.normalisation import left_align_frequencies, reference_mismatches
from data_registry.parsing import (
    LISTED_PER_REASON,
    Kind,
    LeftOut,
    Parsed,
    Request,
)
from data_registry.row_faults import refuse_mostly_faulty
from data_registry.schema import TABLES, Table
from data_registry.sources.genome import GENOME_FILE
from data_registry.text_files import LINE
from data_registry.translation import (
    check_transcripts,
    choose_canonical,
    parse_codon_tables,
)
from data_registry.workspace import (
    Workspace,
    copy_into,
    disk_error,
    pinned,
    require_file,
    sha256_of,
)

Bools = NDArray[np.bool_]

MIN_MAPPED = 0.9
"""Share of a file's rows that must lie on contigs of the assembly."""

_INSERTED_AT_ONCE = 500_000
"""Rows handed to DuckDB at a time, all in one transaction; bounds the memory."""

_SELF_NAMING = frozenset({"genome", "annotation"})
_COMPANIONS = {
    ".bed": (".bim", ".fam"),
    ".pgen": (".pvar", ".pvar.zst", ".psam"),
}
_INDEXES = (".tbi", ".csi")

_MANIFEST = """
CREATE SEQUENCE IF NOT EXISTS source_ids;
CREATE TABLE IF NOT EXISTS sources (
    source_id INTEGER PRIMARY KEY DEFAULT nextval('source_ids'),
    name VARCHAR NOT NULL, kind VARCHAR NOT NULL, version INTEGER NOT NULL,
    path VARCHAR NOT NULL, stored VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL, size_bytes BIGINT NOT NULL,
    options VARCHAR NOT NULL, columns VARCHAR NOT NULL,
    licence VARCHAR NOT NULL, citation VARCHAR NOT NULL,
    rows_read BIGINT NOT NULL, rows_kept BIGINT NOT NULL,
    left_out VARCHAR NOT NULL, notes VARCHAR NOT NULL, contig_map VARCHAR NOT NULL,
    added_at TIMESTAMP NOT NULL, code_version VARCHAR NOT NULL,
    superseded_by INTEGER, removed_at TIMESTAMP,
    files VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS left_out (
    source_id INTEGER NOT NULL, line BIGINT,
    reason VARCHAR NOT NULL, text VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS runs (
    started TIMESTAMP NOT NULL, command VARCHAR NOT NULL, detail VARCHAR NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Source:
    """One registered file, as the manifest holds it.

    Parameters
    ----------
    files
        Names of the files kept below ``sources/<sha256>/`` to their own sha256: the
        file as registered, its companions, the files that its options name, and what
        its parser made of it.
    """

    source_id: int
    name: str
    kind: str
    version: int
    path: str
    stored: str
    sha256: str
    size_bytes: int
    options: dict[str, str]
    columns: dict[str, str]
    licence: str
    citation: str
    rows_read: int
    rows_kept: int
    left_out: dict[str, int]
    notes: list[str]
    contig_map: dict[str, str]
    added_at: datetime
    code_version: str
    superseded_by: int | None
    removed_at: datetime | None
    files: dict[str, str]

    @property
    def is_current(self) -> bool:
        """Whether its rows are in the tables now."""
        return self.superseded_by is None and self.removed_at is None


@dataclass(frozen=True, slots=True)
class Added:
    """What ``Store.add`` did; not ``is_new`` where the same bytes were there.

    The bytes of the files that options name count as the source's own.
    """

    source: Source
    is_new: bool
    superseded: int | None = None


class Store:
    """The registry of one workspace.

    Parameters
    ----------
    workspace
        The workspace.
    connection
        An open connection from ``Workspace.connect``.
    """

    def __init__(
        self, workspace: Workspace, connection: duckdb.DuckDBPyConnection
    ) -> None:
        self.workspace = workspace
        self.connection = connection

    # -- reading ---------------------------------------------------------------------

    def sources(self, *, history: bool = False) -> list[Source]:
        """Return the registered sources in the order they were added.

        Parameters
        ----------
        history
            Include superseded and removed versions.
        """
        rows = self.connection.execute(
            "SELECT * FROM sources ORDER BY source_id"
        ).fetchall()
        names = [column[0] for column in self.connection.description or []]
        found = [_source(dict(zip(names, row, strict=True))) for row in rows]
        return [source for source in found if history or source.is_current]

    def source(self, name: str) -> Source:
        """Return the current source of that name.

        Raises
        ------
        InputError
            There is none.
        """
        for source in self.sources():
            if source.name == name:
                return source
        known = ", ".join(source.name for source in self.sources()) or "none"
        raise InputError(f"no source {name!r} is registered; there are: {known}")

    def left_out(self, source: Source) -> pd.DataFrame:
        """Return the listed rows that a source lost: line, reason, text."""
        return self.connection.execute(
            "SELECT line, reason, text FROM left_out WHERE source_id = ? "
            "ORDER BY reason, line",
            [source.source_id],
        ).df()

    def genome(self) -> Genome:
        """Return the assembly's sequence.

        Raises
        ------
        MissingLayerError
            No genome is registered.
        """
        for source in self.sources():
            if source.kind == "genome":
                folder = self.workspace.sources / source.sha256
                return Genome(source.options["assembly"], folder / GENOME_FILE)
        raise MissingLayerError(
            f"{self.workspace.path} holds no genome; add one first: "
            f"'cisgraph add GENOME.fa --workspace {self.workspace.path}'"
        )

    def contig_names(self) -> ContigNames:
        """Return the resolver of contig names."""
        own = self.connection.execute(
            "SELECT contig FROM contigs ORDER BY ordinal"
        ).fetchall()
        other = self.connection.execute(
            "SELECT synonym, min(contig) FROM contig_synonyms GROUP BY synonym "
            "HAVING count(DISTINCT contig) = 1 ORDER BY synonym"
        ).fetchall()
        return ContigNames(tuple(name for (name,) in own), dict(other))

    def gene_names(self) -> GeneNames:
        """Return the resolver of gene names."""
        genes = self.connection.execute("SELECT gene_id FROM genes").fetchall()
        aliases = self.connection.execute(
            "SELECT gene_id, alias FROM gene_aliases "
            "UNION SELECT gene_id, transcript_id FROM transcripts"
        ).fetchall()
        return GeneNames((gene for (gene,) in genes), aliases)

    # -- writing ---------------------------------------------------------------------

    def add(
        self,
        path: Path,
        *,
        kind: str | None = None,
        name: str | None = None,
        options: Mapping[str, str] | None = None,
        columns: Mapping[str, str] | None = None,
        licence: str = "",
        citation: str = "",
        on_step: Callable[[str], None] = lambda _: None,
    ) -> Added:
        """Register one file: all of it, or nothing.

        Parameters
        ----------
        path
            The file.
        kind
            Its kind; detected from the content where not given.
        name
            Name of the source; a second file under the same name supersedes the first.
            Default: the file's name without endings.
        options, columns
            The kind's options, and column renaming (``data_registry.parsing.Request``).
        licence, citation
            As stated by the source; kept in the manifest.
        on_step
            Called with a short sentence before each step.

        Raises
        ------
        InputError
            The file is refused; nothing has changed.
        WorkspaceError
            The workspace cannot be written; nothing has changed.
        """
        _require_utf8(path)
        if path.as_posix().startswith("jaspar:"):
            resolved, sha = path, _builtin_sha(path)
        else:
            resolved = require_file(path)
            on_step("checksum")
            sha = _sha_with_companions(resolved)
        found = find_kind(kind) if kind else detect_kind(resolved)
        options = dict(options or {})
        columns = dict(columns or {})
        if unknown := set(options) - set(found.options):
            takes = ", ".join(sorted(found.options)) or "none"
            raise InputError(
                f"{found.name} has no option {', '.join(sorted(unknown))}; "
                f"it takes: {takes}"
            )
        source_name = name or name_of_file(path)
        if found.name == "genome":
            options.setdefault("assembly", source_name)
        side_files = _side_files(found, resolved, options)
        previous = next((s for s in self.sources() if s.name == source_name), None)
        if (
            previous
            and (previous.sha256, previous.kind) == (sha, found.name)
            and (previous.options, previous.columns) == (options, columns)
            # The name of a side file's copy holds its checksum.
            and previous.files.keys() >= side_files.keys()
        ):
            return Added(previous, is_new=False)
        self._refuse_clash(found, previous, source_name)

        on_step(f"reading as {found.name}")
        request = Request(
            resolved, source_name, options, columns, workspace=self.workspace.path
        )
        try:
            parsed = found.parse(request)
        except OSError as error:
            raise disk_error(error, self._culprit(error, path)) from error
        folder = self.workspace.sources / sha
        made: list[Path] = []
        try:
            contig_map = self._check(found, parsed, path, options, on_step)
            on_step("storing the file")
            stored, files = self._keep_files(parsed, resolved, side_files, folder, made)
            on_step("loading the tables")
            source_id = self._load(
                found, parsed, resolved=path, stored=stored, sha=sha,
                name=source_name, previous=previous, options=options,
                columns=columns, contig_map=contig_map, licence=licence,
                citation=citation, files=files,
            )  # fmt: skip
        except BaseException as error:
            for file in made:
                file.unlink(missing_ok=True)
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
            if isinstance(error, OSError):
                raise disk_error(error, self._culprit(error, path)) from error
            raise
        finally:
            for file in parsed.files.values():
                file.unlink(missing_ok=True)
        added = next(s for s in self.sources() if s.source_id == source_id)
        superseded = previous.source_id if previous else None
        return Added(added, is_new=True, superseded=superseded)

    def remove(self, name: str) -> Source:
        """Take a source's rows out of the tables; its line stays in the history.

        Raises
        ------
        InputError
            There is no such source, or other layers lie on this genome.
        """
        source = self.source(name)
        if source.kind == "genome":
            others = [s.name for s in self.sources() if s.kind != "genome"]
            if others:
                raise InputError(
                    f"{len(others)} layers lie on genome {name!r}; remove them first, "
                    "or start a new workspace"
                )
        with self._transaction():
            self._delete_rows(source.source_id)
            self.connection.execute(
                "UPDATE sources SET removed_at = ? WHERE source_id = ?",
                [datetime.now(UTC).replace(tzinfo=None), source.source_id],
            )
        if not any(s.sha256 == source.sha256 for s in self.sources()):
            shutil.rmtree(self.workspace.sources / source.sha256, ignore_errors=True)
        return source

    def verify(self) -> list[tuple[Source, str]]:
        """Compare each stored file with its checksum; return the faults found.

        Companions and what the parsers made (the genome as it is read) count too.
        """
        faults = []
        for source in self.sources():
            for name, sha in source.files.items():
                path = self.workspace.sources / source.sha256 / name
                if not path.is_file():
                    faults.append((source, f"{path} is missing"))
                elif sha256_of(path) != sha:
                    what = "has changed since it was registered"
                    faults.append((source, f"{path} {what}"))
        return faults

    def log_run(self, command: str, detail: str) -> None:
        """Add a line to the run log."""
        with self._transaction():
            self.connection.execute(
                "INSERT INTO runs VALUES (?, ?, ?)",
                [datetime.now(UTC).replace(tzinfo=None), command, detail],
            )

    # -- steps of add ----------------------------------------------------------------

    def _culprit(self, error: OSError, path: Path) -> Path:
        """Return what an error is about: a full or closed disk is the workspace's."""
        if isinstance(error.filename, str) and error.filename:
            return Path(error.filename)
        full = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
        return self.workspace.path if error.errno in full else path

    def _refuse_clash(self, kind: Kind, previous: Source | None, name: str) -> None:
        if previous and previous.kind != kind.name:
            raise InputError(
                f"{name!r} is registered as {previous.kind}; "
                "give this file another --name"
            )
        if kind.name == "genome":
            other = next((s for s in self.sources() if s.kind == "genome"), None)
            if other and other != previous:
                raise InputError(
                    f"the workspace holds genome {other.name!r}; one workspace is one "
                    "assembly: start another workspace, or, if this is a relative's "
                    "genome, give --kind relative_genome"
                )

    def _check(
        self,
        kind: Kind,
        parsed: Parsed,
        path: Path,
        options: Mapping[str, str],
        on_step: Callable[[str], None],
    ) -> dict[str, str]:
        """Map names, drop what cannot be placed, run the kind's own checks."""
        before = {name: len(table) for name, table in parsed.tables.items()}
        if kind.name == "genome":
            self._refuse_moved_contigs(parsed, path)
            return {}
        on_step("mapping names")
        if kind.name == "contig_synonyms":
            self._orient_synonyms(parsed, path)
            contig_map: dict[str, str] = {}
        else:
            contig_map = self._map_contigs(parsed, path)
        if kind.name not in _SELF_NAMING:
            self._map_genes(parsed, path)
        if kind.name == "annotation":
            on_step("checking translations")
            self._check_translations(parsed, options)
        if "variant_scores" in parsed.tables:
            on_step("comparing REF with the genome")
            scores = parsed.tables["variant_scores"]
            wrong = reference_mismatches(scores, self.genome().contig)
            self._drop(parsed, "variant_scores", {"ref_mismatch": wrong})
            refuse_mostly_faulty(path, parsed.tally, ("ref_mismatch",))
            parsed.tables["variant_scores"] = scores[~wrong]
        for name in ("panel_frequencies", "variant_scores"):
            if name in parsed.tables and len(parsed.tables[name]):
                on_step("left-aligning alleles")
                aligned = left_align_frequencies(
                    parsed.tables[name], self.genome().contig
                )
                counts = aligned.attrs.get("left_alignment", {})
                if any(counts.values()):
                    parsed.notes.append(
                        "alleles against the genome: "
                        + ", ".join(f"{n:,} {what}" for what, n in counts.items() if n)
                    )
                parsed.tables[name] = aligned
        if any(before.values()) and not any(map(len, parsed.tables.values())):
            reasons = ", ".join(
                f"{n:,} {reason}" for reason, n in parsed.tally.left_out.most_common(3)
            )
            raise MalformedFileError(
                path,
                f"no row could be kept ({reasons})",
                remedy="Check names and build",
            )
        if not any(map(len, parsed.tables.values())):
            raise MalformedFileError(
                path, "the file holds no rows", remedy="Give a file with data"
            )
        return contig_map

    def _refuse_moved_contigs(self, parsed: Parsed, path: Path) -> None:
        old = dict(
            self.connection.execute("SELECT contig, length FROM contigs").fetchall()
        )
        table = parsed.tables["contigs"]
        new = dict(zip(table["contig"], table["length"], strict=True))
        if old and old != new and len(self.sources()) > 1:
            raise InputError(
                f"{path}: contigs or lengths differ from the registered genome, on "
                "which other layers lie; start a new workspace for a new assembly"
            )

    def _orient_synonyms(self, parsed: Parsed, path: Path) -> None:
        table = parsed.tables["contig_synonyms"]
        names = self.contig_names()
        if not names.names:
            raise self._no_genome(path)
        known = names.resolve([*table["contig"], *table["synonym"]])
        oriented: set[tuple[str, str]] = set()
        for line, rows in table.groupby("_line", sort=True):
            given = list(dict.fromkeys([*rows["contig"], *rows["synonym"]]))
            # A name of the assembly's own outweighs what a plain form may suggest.
            owns = {name for name in given if name in names.names} or {
                own for name in given if (own := known[name]) is not None
            }
            if len(owns) == 1:
                (own,) = owns
                oriented |= {(own, name) for name in given if name != own}
            else:
                reason = "names_several_contigs" if owns else "unknown_contig"
                text = "\t".join(given)
                parsed.tally.leave_out(reason, line=int(str(line)), text=text)
        parsed.tables["contig_synonyms"] = pd.DataFrame(
            sorted(oriented), columns=["contig", "synonym"]
        )

    def _no_genome(self, path: Path) -> MissingLayerError:
        return MissingLayerError(
            f"{path} has positions, and the workspace holds no genome to place them "
            "on; add one first: 'cisgraph add GENOME.fa "
            f"--workspace {self.workspace.path}'"
        )

    def _map_contigs(self, parsed: Parsed, path: Path) -> dict[str, str]:
        """Rename contigs to the assembly's names; stop below ``MIN_MAPPED``."""
        placed = {
            name: table
            for name, table in parsed.tables.items()
            if TABLES[name].contigs and len(table)
        }
        if not placed:
            return {}
        lengths = dict(
            self.connection.execute("SELECT contig, length FROM contigs").fetchall()
        )
        if not lengths:
            raise self._no_genome(path)
        given = {
            contig
            for name, table in placed.items()
            for column in TABLES[name].contigs
            for contig in _distinct(table[column])
        }
        mapping = self.contig_names().resolve(sorted(map(str, given)))
        total = lost_unknown = lost_off = 0
        for name, table in placed.items():
            keep = np.ones(len(table), dtype=bool)
            off = np.zeros(len(table), dtype=bool)
            table = table.copy(deep=False)
            placeless = np.zeros(len(table), dtype=bool)
            for column in TABLES[name].contigs:
                if TABLES[name].may_lack_contig:
                    placeless = table[column].isna().to_numpy()
                table[column] = _renamed(table[column], mapping)
                keep &= table[column].notna().to_numpy()
                suffix = column.removeprefix("contig")
                start = table[f"start{suffix}"].to_numpy(dtype=np.float64)
                if f"end{suffix}" in table:
                    end = table[f"end{suffix}"].to_numpy(dtype=np.float64)
                elif TABLES[name].may_lack_contig:
                    end = start + table["length"].fillna(1).to_numpy(dtype=np.float64)
                else:
                    end = start + 1
                limit = _looked_up(table[column], lengths)
                off |= (start < 0) | (end > limit)
            keep |= placeless
            off &= keep & ~placeless
            n_placed = len(table) - int(placeless.sum())
            total += n_placed
            lost_unknown += int((~keep).sum())
            lost_off += int(off.sum())
            if TABLES[name].may_lack_contig:
                parsed.tables[name] = self._unplace(parsed, name, table, ~keep, off)
                continue
            lost = {"unknown_contig": ~keep, "off_contig": off}
            self._drop(parsed, name, lost)
            keep &= ~off
            parsed.tables[name] = table if keep.all() else table[keep]
        if total - lost_unknown < MIN_MAPPED * total:
            missing = sorted(name for name, own in mapping.items() if own is None)
            raise ContigMappingError(
                f"{path}: only {total - lost_unknown:,} of {total:,} rows lie on "
                "contigs of this assembly.\n"
                + _side_by_side(missing, list(lengths))
                + "\nGive the names of the same contigs with 'cisgraph add NAMES.tsv "
                "--kind contig_synonyms' (two columns), or use the right assembly."
            )
        if total - lost_unknown - lost_off < MIN_MAPPED * total:
            raise ContigMappingError(
                f"{path}: {lost_off:,} of {total:,} rows lie beyond the ends of their "
                "contigs: the file is probably written against another build of the "
                "genome. Use the file for this assembly, or lift it over first"
            )
        return {name: own for name, own in mapping.items() if own is not None}

    @staticmethod
    def _unplace(
        parsed: Parsed, name: str, table: pd.DataFrame, unknown: Bools, off: Bools
    ) -> pd.DataFrame:
        """Take the place from rows that are of use without one, and note how many."""
        lost = unknown | off
        if not lost.any():
            return table
        reasons = {"unknown_contig": unknown, "off_contig": off}
        counted = ", ".join(
            f"{n.sum():,} {why}" for why, n in reasons.items() if n.any()
        )
        parsed.notes.append(
            f"{name}: {int(lost.sum()):,} of {len(table):,} rows are kept without their "
            f"place ({counted})"
        )
        return table.assign(
            contig=table["contig"].where(~lost, None),
            start=table["start"].astype("Int64").mask(lost),
        )

    def _map_genes(self, parsed: Parsed, path: Path) -> None:
        """Rename genes to the annotation's identifiers; stop when none is known."""
        named = {
            name: table
            for name, table in parsed.tables.items()
            if len(table) and (TABLES[name].genes or name in {"texts", "tf_sites"})
        }
        if not named:
            return
        genes = self.gene_names()
        total = kept = 0
        shown: list[str] = []
        for name, table in named.items():
            columns = TABLES[name].genes
            if name == "texts" and not (table["subject_kind"] == "gene").any():
                continue
            if not len(genes) and (columns or name == "texts"):
                raise MissingLayerError(
                    f"{path} names genes, and no annotation is registered; add the GFF "
                    "first: 'cisgraph add GENES.gff3'"
                )
            table = table.copy(deep=False)
            if name == "tf_sites":
                if "tf_gene_id" in table:
                    found = genes.resolve(table["tf_gene_id"].dropna().unique())
                    table["tf_gene_id"] = table["tf_gene_id"].map(found.known)
                else:
                    found = genes.resolve(table["tf"].unique())
                    table["tf_gene_id"] = table["tf"].map(found.known)
                parsed.tables[name] = table
                continue
            ambiguous = np.zeros(len(table), dtype=bool)
            unknown = np.zeros(len(table), dtype=bool)
            of_gene = np.ones(len(table), dtype=bool)
            if name == "texts":
                columns = ("subject_id",)
                of_gene = (table["subject_kind"] == "gene").to_numpy()
            for column in columns:
                given = table[column].astype(str)
                found = genes.resolve(given[of_gene].unique())
                ambiguous |= of_gene & given.isin(found.ambiguous).to_numpy()
                unknown |= of_gene & given.isin(found.unknown).to_numpy()
                shown += sorted(found.unknown)[:5]
                table[column] = given.where(~of_gene, given.map(found.known))
            unknown &= ~ambiguous
            lost = {"ambiguous_gene": ambiguous, "unknown_gene": unknown}
            self._drop(parsed, name, lost, columns)
            keep = ~(ambiguous | unknown)
            total += len(table)
            kept += int(keep.sum())
            parsed.tables[name] = table[keep]
        if total and not kept:
            raise GeneMappingError(
                f"{path}: none of its gene names are known to the annotation.\n"
                + _side_by_side(shown, genes.examples)
                + "\nAdd a table of other names first (--kind aliases), or use the "
                "right annotation."
            )

    @staticmethod
    def _drop(
        parsed: Parsed,
        name: str,
        lost: Mapping[str, Bools],
        columns: tuple[str, ...] = (),
    ) -> None:
        """Count the file rows behind the lost rows of a table, each for one reason.

        A file row may stand behind several table rows (a gene set, a row of a matrix).
        One that keeps any of them is kept; what it lost is noted, and listed under
        ``<reason>_in_kept_row``.
        """
        table, tally = parsed.tables[name], parsed.tally
        any_lost = np.logical_or.reduce(list(lost.values()))
        if not any_lost.any():
            return
        shown = [c for c in (columns or table.columns[:4]) if c != LINE]
        is_in_kept_row = np.zeros(len(table), dtype=bool)
        is_first = any_lost
        if LINE in table:
            lines = table[LINE].to_numpy()
            is_in_kept_row = np.isin(lines, np.unique(lines[~any_lost]))
            is_first = np.zeros(len(table), dtype=bool)
            gone = np.flatnonzero(any_lost & ~is_in_kept_row)
            is_first[gone[np.unique(lines[gone], return_index=True)[1]]] = True
        for reason, rows in lost.items():
            whole = rows & is_first & ~is_in_kept_row
            part = rows & is_in_kept_row
            for label, which in ((reason, whole), (f"{reason}_in_kept_row", part)):
                listed = table[which].head(LISTED_PER_REASON)
                at = listed[LINE] if LINE in listed else [None] * len(listed)
                texts = listed[shown].itertuples(index=False)
                tally.examples += [
                    LeftOut(line, label, "\t".join(map(str, row))[:500])
                    for line, row in zip(at, texts, strict=True)
                ]
            if whole.any():
                tally.left_out[reason] += int(whole.sum())
            if part.any():
                example = " ".join(map(str, table[part][shown].iloc[0]))[:100]
                parsed.notes.append(
                    f"{name}: {int(part.sum()):,} of {len(table):,} entries left out "
                    f"as {reason} within rows that are kept, e.g. {example}"
                )

    def _check_translations(self, parsed: Parsed, options: Mapping[str, str]) -> None:
        transcripts, features = parsed.tables["transcripts"], parsed.tables["features"]
        kept = parsed.tables["genes"]["gene_id"]
        transcripts = transcripts[transcripts["gene_id"].isin(kept)]
        if "gene_aliases" in parsed.tables:
            aliases = parsed.tables["gene_aliases"]
            parsed.tables["gene_aliases"] = aliases[aliases["gene_id"].isin(kept)]
        features = features[
            features["transcript_id"].isin(transcripts["transcript_id"])
        ]
        genome = self.genome()
        given = parse_codon_tables(options.get("codon_tables", ""))
        own = self.contig_names().resolve(given)
        codon_tables = {own[name] or name: code for name, code in given.items()}
        checked = check_transcripts(
            transcripts, features, genome.fetch_inside, codon_tables=codon_tables
        )
        drop = [c for c in checked.columns if c != "transcript_id" and c in transcripts]
        merged = transcripts.drop(columns=drop).merge(
            checked, on="transcript_id", how="left", validate="one_to_one"
        )
        coding = merged[merged["cds_length"].fillna(0) > 0]
        valid = int(coding["cds_valid"].fillna(value=False).astype(bool).sum())
        problems = coding["cds_problem"].fillna("").str.split(";").explode().str.strip()
        counts = problems[problems != ""].value_counts()
        parsed.notes.append(
            f"translation check: {valid:,} of {len(coding):,} coding transcripts are "
            "valid"
            + (
                "; " + ", ".join(f"{n:,} {p}" for p, n in counts.items())
                if len(counts)
                else ""
            )
        )
        merged["is_canonical"] = choose_canonical(merged)
        parsed.tables["transcripts"] = merged
        parsed.tables["features"] = features

    def _keep_files(
        self,
        parsed: Parsed,
        path: Path,
        side_files: Mapping[str, Path],
        folder: Path,
        made: list[Path],
    ) -> tuple[str, dict[str, str]]:
        """Copy the file, what goes with it and the parser's products into the workspace.

        Files that were not there before are added to ``made`` before they are written.
        Returns the file's path inside the workspace, and the sha256 of each file kept.
        """
        if path.as_posix().startswith("jaspar:"):
            return path.as_posix(), {}
        products = parsed.files.items()
        copies = {copy.name: copy for copy in (path, *_companions(path))}
        copies |= side_files
        names = [name for name, _ in products] + list(copies)
        made += [folder / name for name in names if not (folder / name).exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for name, temporary in products:
            temporary.replace(folder / name)
        for name, copy in copies.items():
            target = folder / name
            if not target.is_file() or sha256_of(target) != sha256_of(copy):
                copy_into(copy, target)
        stored = (folder / path.name).relative_to(self.workspace.path).as_posix()
        for table in ("tracks", "panels"):
            if table in parsed.tables:
                parsed.tables[table] = parsed.tables[table].assign(path=stored)
        return stored, {name: sha256_of(folder / name) for name in names}

    def _load(
        self, kind: Kind, parsed: Parsed, *, resolved: Path, stored: str, sha: str,
        name: str, previous: Source | None, options: Mapping[str, str],
        columns: Mapping[str, str], contig_map: Mapping[str, str],
        licence: str, citation: str, files: Mapping[str, str],
    ) -> int:  # fmt: skip
        tally = parsed.tally
        size = (
            0
            if stored.startswith("jaspar:")
            else (self.workspace.path / stored).stat().st_size
        )
        with self._transaction():
            row = self.connection.execute(
                "INSERT INTO sources (name, kind, version, path, stored, sha256,"
                " size_bytes, options, columns, licence, citation, rows_read,"
                " rows_kept, left_out, notes, contig_map, added_at, code_version,"
                " files) VALUES"
                " (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING source_id",
                [
                    name, kind.name, self._next_version(name),
                    resolved.as_posix(), stored, sha, size,
                    json.dumps(dict(options), sort_keys=True),
                    json.dumps(dict(columns), sort_keys=True),
                    licence, citation, tally.read, tally.kept,
                    json.dumps(dict(tally.left_out), sort_keys=True),
                    json.dumps(parsed.notes), json.dumps(dict(contig_map)),
                    datetime.now(UTC).replace(tzinfo=None), version("cisgraph"),
                    json.dumps(dict(files), sort_keys=True),
                ],
            ).fetchone()  # fmt: skip
            if row is None:
                raise WorkspaceError("the manifest row was not written")
            source_id = int(row[0])
            if previous:
                self._delete_rows(previous.source_id)
                self.connection.execute(
                    "UPDATE sources SET superseded_by = ? WHERE source_id = ?",
                    [source_id, previous.source_id],
                )
            for table_name, frame in sorted(parsed.tables.items()):
                self._insert(TABLES[table_name], frame, source_id)
            listed = pd.DataFrame(
                [(source_id, e.line, e.reason, e.text) for e in tally.examples],
                columns=["source_id", "line", "reason", "text"],
            )
            if len(listed):
                listed["line"] = listed["line"].astype("Int64")
                self.connection.register("incoming", pa.Table.from_pandas(listed))
                self.connection.execute("INSERT INTO left_out SELECT * FROM incoming")
                self.connection.unregister("incoming")
        return source_id

    def _insert(self, table: Table, frame: pd.DataFrame, source_id: int) -> None:
        if not len(frame):
            return
        if unknown := set(frame.columns) - set(table.names) - {"_line"}:
            raise PlatformError(
                f"parser gave columns {sorted(unknown)} for {table.name}"
            )
        columns = [column for column in table.columns if column.name in frame]
        listed = ", ".join(f'"{column.name}"' for column in columns)
        for at in range(0, len(frame), _INSERTED_AT_ONCE):
            rows = frame.iloc[at : at + _INSERTED_AT_ONCE]
            arrays = {c.name: _to_arrow(rows[c.name], c.type) for c in columns}
            self.connection.register("incoming", pa.table(arrays))
            self.connection.execute(
                f'INSERT INTO "{table.name}" ({listed}, source_id) '  # noqa: S608
                f"SELECT {listed}, {source_id} FROM incoming"
            )
            self.connection.unregister("incoming")

    def _next_version(self, name: str) -> int:
        """Count on from all versions of a name, removed ones too."""
        versions = [s.version for s in self.sources(history=True) if s.name == name]
        return max(versions, default=0) + 1

    def _delete_rows(self, source_id: int) -> None:
        for name in TABLES:
            self.connection.execute(
                f'DELETE FROM "{name}" WHERE source_id = ?',  # noqa: S608
                [source_id],
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException as error:
            # A failed COMMIT (full disk) has ended the transaction already.
            with suppress(duckdb.Error):
                self.connection.execute("ROLLBACK")
            if isinstance(error, duckdb.Error):
                raise WorkspaceError(
                    f"{self.workspace.registry}: {str(error).splitlines()[0]}; "
                    "nothing was changed"
                ) from error
            raise


@contextmanager
def open_store(path: Path, *, write: bool = False) -> Iterator[Store]:
    """Open the registry of a workspace; a writer makes one where there is none.

    Raises
    ------
    WorkspaceError
        No workspace there, in use by another process, damaged, or not writable.
    """
    workspace = Workspace(pinned(path))
    connection = workspace.connect(read_only=not write)
    try:
        if write:
            _make_tables(connection)
        columns = _manifest_columns(connection)
        if not columns:
            raise WorkspaceError(
                f"{workspace.registry} holds no registry yet; add a genome first: "
                f"'cisgraph add GENOME.fa --workspace {path}'"
            )
        if columns != {field.name for field in fields(Source)}:
            raise WorkspaceError(
                f"{workspace.registry} was written by another version of cisgraph; "
                "open it with that version, or register the sources again in a new "
                "workspace"
            )
        if write:
            _sweep(workspace, connection)
        yield Store(workspace, connection)
    except _DAMAGE as error:
        raise WorkspaceError(
            f"{workspace.registry} cannot be read or written: "
            f"{str(error).splitlines()[0]}. Check the disk; restore the file from a "
            "copy, or register the sources again in a new workspace"
        ) from error
    finally:
        connection.close()


_DAMAGE = (
    duckdb.IOException,
    duckdb.SerializationException,
    duckdb.InternalException,
    duckdb.FatalException,
)


def _make_tables(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("BEGIN")
    connection.execute(_MANIFEST)
    for table in TABLES.values():
        columns = ", ".join(f'"{c.name}" {c.type}' for c in table.columns)
        connection.execute(
            f'CREATE TABLE IF NOT EXISTS "{table.name}" '
            f"({columns}, source_id INTEGER NOT NULL)"
        )
    connection.execute("COMMIT")


def _manifest_columns(connection: duckdb.DuckDBPyConnection) -> set[str]:
    found = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = 'sources'"
    ).fetchall()
    return {name for (name,) in found}


def _sweep(workspace: Workspace, connection: duckdb.DuckDBPyConnection) -> None:
    """Delete what a killed writer left: temporary files, and files no source names."""
    shutil.rmtree(workspace.tmp, ignore_errors=True)
    if not workspace.sources.is_dir():
        return
    known: dict[str, set[str]] = {}
    for sha, files in connection.execute(
        "SELECT sha256, files FROM sources WHERE removed_at IS NULL"
    ).fetchall():
        known.setdefault(sha, set()).update(json.loads(files))
    for folder in workspace.sources.iterdir():
        if folder.name not in known:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        for file in folder.iterdir():
            if file.is_file() and file.name not in known[folder.name]:
                file.unlink()


def _to_arrow(values: pd.Series, sql_type: str) -> pa.Array:
    arrow_type = {
        "VARCHAR": pa.string(), "BIGINT": pa.int64(), "INTEGER": pa.int32(),
        "TINYINT": pa.int8(), "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_(),
        "DOUBLE[]": pa.list_(pa.float64()),
    }[sql_type]  # fmt: skip
    if isinstance(values.dtype, pd.CategoricalDtype):
        encoded = pa.Array.from_pandas(values)
        return encoded.cast(pa.dictionary(encoded.type.index_type, arrow_type))
    if sql_type == "VARCHAR" and values.dtype == object:
        try:
            return _whole(pa.Array.from_pandas(values, type=arrow_type))
        except (pa.ArrowTypeError, pa.ArrowInvalid):  # not all of it is text
            values = values.map(
                lambda v: v if v is None or isinstance(v, str) or v != v else str(v)
            )
    if sql_type in {"BIGINT", "INTEGER", "TINYINT"} and values.dtype.kind == "f":
        values = values.astype("Int64")
    return _whole(pa.Array.from_pandas(values, type=arrow_type))


def _whole(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _distinct(values: pd.Series) -> Iterable[str]:
    """Return the names in a column; of a categorical, those that it uses."""
    return (str(value) for value in values.dropna().unique())


def _renamed(values: pd.Series, names: Mapping[str, str | None]) -> pd.Series:
    """Give a column other names; a name that maps to None becomes missing."""
    if not isinstance(values.dtype, pd.CategoricalDtype):
        return values.astype(str).map(names)
    own = [names.get(str(category)) for category in values.cat.categories]
    known = list(dict.fromkeys(name for name in own if name is not None))
    codes = [-1 if name is None else known.index(name) for name in own]
    mapped = np.array([*codes, -1], dtype=np.int32)[values.cat.codes.to_numpy()]
    return pd.Series(
        pd.Categorical.from_codes(mapped, pd.Index(known)), index=values.index
    )


def _looked_up(values: pd.Series, numbers: Mapping[str, int]) -> NDArray[np.int64]:
    """Return the number of each name, 0 where it has none."""
    codes, names = pd.factorize(values)
    return np.array([*(numbers.get(str(n), 0) for n in names), 0], np.int64)[codes]


def _side_by_side(given: list[str], ours: list[str]) -> str:
    """Two name lists in two columns, the first twelve of each."""
    left, right = ([_cut(name) for name in names[:12]] for names in (given, ours))
    rows = [("in the file", "in this workspace")]
    rows += zip_longest(left, right, fillvalue="")
    more_given, more_ours = (
        f"… {len(names) - 12} more" if len(names) > 12 else ""
        for names in (given, ours)
    )
    if more_given or more_ours:
        rows.append((more_given, more_ours))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {left:<{width}}  {right}" for left, right in rows)


def _cut(name: str) -> str:
    return name if len(name) <= 50 else f"{name[:49]}…"


def name_of_file(path: Path) -> str:
    """Return the name a file is registered under unless told: that without endings."""
    name = path.name
    for ending in (".gz", ".bgz", ".xz", ".bz2", ".zip"):
        name = name.removesuffix(ending)
    stem, dot, ending = name.rpartition(".")
    return (stem if dot and stem else name) or ending


def _require_utf8(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise MalformedFileError(
            str(path).encode(errors="backslashreplace").decode(),
            "the name is not UTF-8 and cannot be kept",
            remedy="Rename the file",
        ) from None


def _is_companion(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name with its ending is too long to be one
        return False


def _companions(path: Path) -> list[Path]:
    found = [path.with_name(path.name + ending) for ending in _INDEXES]
    found += [path.with_suffix(ending) for ending in _COMPANIONS.get(path.suffix, ())]
    return [companion for companion in found if _is_companion(companion)]


def _side_files(kind: Kind, path: Path, options: Mapping[str, str]) -> dict[str, Path]:
    """Return the files that options name, by the name under which each is kept.

    A relative name is also looked for beside the source, as the parsers do. One that
    is not there is the parser's to complain of.
    """
    found = {}
    for option in kind.side_files:
        if option not in options:
            continue
        given = Path(options[option])
        for candidate in (given, path.parent / given):
            if _is_companion(candidate):
                found[f"option-{option}-{sha256_of(candidate)[:16]}"] = candidate
                break
    return found


def _sha_with_companions(path: Path) -> str:
    """The file's sha256; for PLINK and PGEN sets, of the parts' checksums together."""
    parts = [path.with_suffix(e) for e in _COMPANIONS.get(path.suffix, ())]
    present = [part for part in parts if part.is_file()]
    if not present:
        return sha256_of(path)
    import hashlib

    joined = "".join(sha256_of(part) for part in (path, *present))
    return hashlib.sha256(joined.encode()).hexdigest()


def _builtin_sha(path: Path) -> str:
    import hashlib

    return hashlib.sha256(
        f"{path.as_posix()} {version('pyjaspar')}".encode()
    ).hexdigest()


def _source(row: dict[str, Any]) -> Source:
    for key in ("options", "columns", "left_out", "notes", "contig_map", "files"):
        row[key] = json.loads(row[key])
    return Source(**row)
