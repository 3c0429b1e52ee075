"""Gene models: GFF3 and GTF in the dialects of Ensembl, NCBI, Phytozome, MSU and TAIR.

One reader for all: rows are sorted into genes, transcripts and their parts by type and
by who names whom as parent; what a dialect leaves out (a gene or mRNA level, exons,
UTRs, phases) is derived from what it gives, and each such step is counted in the notes.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from data_registry.coordinates import start_from_one_based
from data_registry.errors import MalformedFileError
from data_registry.parsing import LISTED_PER_REASON, Kind, Parsed, Request, Tally
from data_registry.text_files import LINE, read_text
from data_registry.translation import order_parts, parse_codon_tables, reading_phases

_COLUMNS = (
    "contig", "source", "type", "start", "end", "score", "strand", "phase", "attributes"
)  # fmt: skip

PART_KINDS: Final = {
    "exon": "exon",
    "noncoding_exon": "exon",
    "pseudogenic_exon": "exon",
    "coding_exon": "exon",
    "cds": "cds",
    "five_prime_utr": "utr5",
    "5utr": "utr5",
    "5'utr": "utr5",
    "utr_5": "utr5",
    "utr5": "utr5",
    "three_prime_utr": "utr3",
    "3utr": "utr3",
    "3'utr": "utr3",
    "utr_3": "utr3",
    "utr3": "utr3",
    "utr": "utr",
    "stop_codon": "stop_codon",
}
"""Type of a part in a file (lower case) to its kind here; ``utr`` gets a side later."""

IMPLIED: Final = frozenset({"start_codon", "stop_codon", "intron"})
"""Types that say nothing which exons and CDS do not say already."""

_GENE = re.compile(r"(?:^|_)(?:pseudo)?gene$", re.IGNORECASE)
_TRANSCRIPT = re.compile(
    r"(?:rna|transcript|gene_segment|transcript_region|ribozyme|_cluster_member)$",
    re.IGNORECASE,
)
_PREFIX = r"^(?:(?:gene|transcript|mRNA|ncRNA|tRNA|rRNA):|(?:gene|rna)-)"
_SPACED_ROW = re.compile(r"^\S+ +\S+ +\S+ +\d+ +\d+ ")

ROW_FAULTS: Final = frozenset(
    {
        "wrong_column_count",
        "unreadable_coordinate",
        "negative_coordinate",
        "end_before_start",
        "no_id",
        "no_parent",
        "orphan_parent",
        "parent_on_other_contig",
    }
)
"""Reasons that are the file's fault; above half of the rows they stop the reading."""


def detect(path: Path, head: bytes) -> bool:
    """Tell GFF3 or GTF gene models: nine tab columns and a gene, exon or CDS type."""
    del path
    lines = [
        line
        for line in head.decode("utf-8", "replace").splitlines()[:-1]
        if line and not line.startswith("#")
    ] or head.decode("utf-8", "replace").splitlines()
    for line in lines[:200]:
        fields = line.split("\t")
        if len(fields) != 9 or not (fields[3].isdigit() or fields[4].isdigit()):
            if line and not line.startswith("#"):
                return False
            continue
        kind = fields[2].lower()
        if _GENE.search(kind) or kind in PART_KINDS or kind in ("mrna", "transcript"):
            return True
    return False


def parse(request: Request) -> Parsed:
    """Read gene models.

    Parameters
    ----------
    request
        Option ``codon_tables`` (``chrM=3,chrC=11``) is checked here and used by the
        store, which translates every transcript once contig names are mapped.

    Returns
    -------
    Parsed
        ``genes``, ``transcripts``, ``features``, ``gene_aliases``; 0-based half-open.
        ``transcripts.is_canonical`` is True where the file tags the transcript so, and
        phases are worked out anew from the first part's. Spans are as the file gives
        them.

    Raises
    ------
    MalformedFileError
        The file is truncated or binary, has no gene models, has no row of nine columns,
        or more than half of its rows cannot be used.
    InputError
        ``codon_tables`` cannot be read.
    """
    parse_codon_tables(request.options.get("codon_tables", ""))
    return _Reading(request.path).parsed()


class _Reading:
    """One file on its way into tables; ``reason`` says why a row is not kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self.lint: Counter[str] = Counter()
        self.rows, self.bad_lines = self._read_rows()
        self.reason = np.full(len(self.rows), "", dtype=object)

    # ------------------------------------------------------------------ the rows

    def _read_rows(self) -> tuple[pd.DataFrame, dict[int, str]]:
        lines = read_text(self.path).split("\n")
        numbers, texts, bad = [], [], {}
        for number, line in enumerate(lines, 1):
            if not line or line[0] == "#":
                if line.startswith("##FASTA"):
                    self._note_fasta(len(lines) - number)
                    break
                continue
            if line[0] == ">":
                self._note_fasta(len(lines) - number + 1)
                break
            if line.count("\t") == 8:
                numbers.append(number)
                texts.append(line)
            elif line.strip():
                bad[number] = line
        if not texts:
            self._refuse_without_rows(bad)
        table = pacsv.read_csv(
            pa.BufferReader("\n".join(texts).encode()),
            read_options=pacsv.ReadOptions(
                column_names=list(_COLUMNS), block_size=1 << 26
            ),
            parse_options=pacsv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(_COLUMNS, pa.string()),
                strings_can_be_null=False,
            ),
        )
        rows = table.select(
            ["contig", "type", "start", "end", "strand", "phase", "attributes"]
        ).to_pandas()
        rows[LINE] = np.array(numbers, dtype=np.int64)
        return rows, bad

    def _note_fasta(self, n_lines: int) -> None:
        self.notes.append(
            f"the file ends with sequences ({n_lines:,} lines), which are not read; "
            "register a FASTA with --kind genome"
        )

    def _refuse_without_rows(self, bad: dict[int, str]) -> None:
        if not bad:
            raise MalformedFileError(
                self.path,
                "there is no row of data in it",
                remedy="Give a GFF3 or GTF file with gene models",
            )
        line, text = next(iter(bad.items()))
        separator = "spaces" if _SPACED_ROW.match(text) else "something else"
        raise MalformedFileError(
            self.path,
            f"no row has nine tab-separated columns; this one has "
            f"{text.count(chr(9)) + 1} ({separator} stands between its fields)",
            line=line,
            remedy="GFF3 and GTF have nine columns with one tab between them",
        )

    def _leave_out(self, where: npt.NDArray[np.bool_], reason: str) -> None:
        self.reason[where & (self.reason == "")] = reason

    # ------------------------------------------------------------------ the whole

    def parsed(self) -> Parsed:
        rows = self.rows
        self._read_coordinates()
        lower = rows["type"].str.lower()
        kinds = lower.map(PART_KINDS)
        self.is_gtf = self._tell_dialect()
        self._link_rows()
        is_gene = lower.map(_by_value(lower, _GENE)).to_numpy(dtype=bool)
        is_part = kinds.notna().to_numpy()
        # Ensembl writes the transcript of a pseudogene as a second "pseudogene" row.
        is_below = rows["parent"].isin(set(rows.loc[is_gene, "id"]) - {""}).to_numpy()
        is_gene &= ~is_below | (rows["id"] == rows["parent"]).to_numpy()
        is_transcript = lower.map(_by_value(lower, _TRANSCRIPT)).to_numpy(dtype=bool)
        is_transcript |= self._is_parent_of_parts(is_gene, is_part)
        is_transcript &= ~is_gene & ~is_part

        is_implied = lower.isin(IMPLIED - {"stop_codon"}).to_numpy()
        self._leave_out(is_implied, "implied_by_exons")
        self._leave_out(
            ~(is_gene | is_part | is_transcript | is_implied), "not_a_gene_model"
        )
        genes = self._genes(is_gene)
        transcripts = self._transcripts(is_transcript)
        parts = self._parts(is_part, kinds.to_numpy(dtype=object), genes, transcripts)
        transcripts, parts = self._add_missing_transcripts(genes, transcripts, parts)
        if not len(transcripts) and not len(genes):
            self._refuse_without_models()
        transcripts = self._find_genes_of_transcripts(genes, transcripts)
        parts = self._settle_strands(genes, transcripts, parts)
        parts = self._add_stop_codons(parts)
        parts = self._side_utrs(parts)
        self._lint_transcript_spans(transcripts, parts)
        parts = self._derive_exons(transcripts, parts)
        self._lint_exons(parts)
        parts = self._derive_utrs(parts)
        parts = self._recompute_phases(parts)
        genes = self._add_missing_genes(genes, transcripts)
        return self._tables(genes, transcripts, parts)

    def _refuse_without_models(self) -> None:
        other = ("", "not_a_gene_model", "implied_by_exons")
        is_lost = ~np.isin(self.reason.astype(str), other)
        if is_lost.any():
            reasons = Counter(self.reason[is_lost].tolist())
            named = ", ".join(f"{why} {n:,}" for why, n in reasons.most_common())
            raise MalformedFileError(
                self.path,
                f"no gene model is left: {int(is_lost.sum()):,} of "
                f"{len(self.rows):,} rows cannot be used ({named})",
                line=int(self.rows[LINE].to_numpy()[is_lost][0]),
                remedy="Columns 4 and 5 are start and end, 1-based, start <= end",
            )
        counts = self.rows["type"].value_counts().head(5)
        found = ", ".join(f"{name} ({n:,})" for name, n in counts.items())
        raise MalformedFileError(
            self.path,
            f"it holds no gene models; its feature types are {found}",
            remedy="If these are features along the genome, add it as --kind intervals",
        )

    def _read_coordinates(self) -> None:
        rows = self.rows
        start = pd.to_numeric(rows["start"], errors="coerce")
        end = pd.to_numeric(rows["end"], errors="coerce")
        unreadable = (start.isna() | end.isna()).to_numpy()
        if unreadable.all():
            raise MalformedFileError(
                self.path,
                f"columns 4 and 5 are no numbers in any row ({rows['start'].iloc[0]!r},"
                f" {rows['end'].iloc[0]!r})",
                line=int(rows[LINE].iloc[0]),
                remedy="GFF3 and GTF hold start and end there, 1-based",
            )
        start, end = start.fillna(1), end.fillna(1)
        unreadable |= ((start % 1 != 0) | (end % 1 != 0)).to_numpy()
        rows["start"] = start.astype(np.int64).map(start_from_one_based)
        rows["end"] = end.to_numpy().astype(np.int64)
        self._leave_out(unreadable, "unreadable_coordinate")
        self._leave_out((rows["start"] < 0).to_numpy(), "negative_coordinate")
        self._leave_out((rows["end"] <= rows["start"]).to_numpy(), "end_before_start")
        strand = rows["strand"].where(rows["strand"].isin(["+", "-"]), ".")
        rows["strand"] = strand

    def _tell_dialect(self) -> bool:
        sample = self.rows["attributes"].head(2000)
        n_gtf = int(sample.str.contains(r"\b(?:gene_id|transcript_id)\s+\S").sum())
        n_gff = int(sample.str.contains(r"(?:^|;)\s*(?:ID|Parent)\s*=").sum())
        if not n_gtf and not n_gff:
            raise MalformedFileError(
                self.path,
                "column 9 has neither ID= and Parent= (GFF3) nor gene_id and "
                f"transcript_id (GTF); it reads {sample.iloc[0][:80]!r}",
                line=int(self.rows[LINE].iloc[0]),
                remedy="Features without genes are added as --kind intervals",
            )
        is_gtf = n_gtf > n_gff
        self.notes.append(f"dialect: {self._dialect_name(is_gtf=is_gtf)}")
        return is_gtf

    def _dialect_name(self, *, is_gtf: bool) -> str:
        if is_gtf:
            return "GTF"
        text = "\n".join(self.rows["attributes"].head(2000))
        for name, mark in (
            ("Ensembl", r"\bID=(?:gene|transcript):"),
            ("NCBI RefSeq", r"\bID=(?:gene|rna|cds)-|\bgbkey="),
            ("Phytozome", r"\bpacid="),
            ("MSU", r"\bID=(?:LOC_Os|13\d{3}\.)"),
            ("TAIR/Araport", r"\bParent=AT[1-5CM]G\d{5}\.\d|\bID=AT[1-5CM]G\d{5}"),
        ):
            if re.search(mark, text):
                return f"GFF3, {name}"
        return "GFF3"

    # ------------------------------------------------------------------ who is whose

    def _link_rows(self) -> None:
        """Add ``id``, ``parent`` and, of GTF, ``gene``; ``""`` where not given."""
        rows, attributes = self.rows, pa.array(self.rows["attributes"])
        rows["gene"] = ""
        if not self.is_gtf:
            rows["id"] = _attribute(attributes, "ID")
            rows["parent"] = _attribute(attributes, "Parent")
            return
        gene = _attribute(attributes, "gene_id", is_gtf=True)
        transcript = _attribute(attributes, "transcript_id", is_gtf=True)
        bare = rows["attributes"].str.strip(' ;"')
        is_bare = (gene == "") & (transcript == "") & ~bare.str.contains(r"[\s=]")
        lower = rows["type"].str.lower()
        is_gene = lower.map(_by_value(lower, _GENE)).to_numpy(dtype=bool)
        is_transcript = lower.map(_by_value(lower, _TRANSCRIPT)).to_numpy(dtype=bool)
        # AUGUSTUS writes "g1" and "g1.t1" alone in column 9 of genes and transcripts.
        gene = gene.where(~(is_bare & is_gene), bare)
        transcript = transcript.where(~(is_bare & is_transcript), bare)
        if (is_bare & is_transcript).any():
            named = pd.Series(gene.to_numpy(), index=transcript.to_numpy())
            named = named[(named != "") & (named.index != "")]
            named = named[~named.index.duplicated()]
            gene = gene.where(gene != "", transcript.map(named).fillna(""))
        rows["gene"] = gene
        rows["id"] = np.where(is_gene, gene, np.where(is_transcript, transcript, ""))
        rows["parent"] = np.where(
            is_gene, "", np.where(is_transcript, gene, transcript)
        )

    def _is_parent_of_parts(
        self, is_gene: npt.NDArray[np.bool_], is_part: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Rows of any type that have a gene above them and exons or CDS below."""
        rows = self.rows
        above = set(rows.loc[is_gene, "id"]) - {""}
        below = set(rows.loc[is_part, "parent"])
        is_gene_type = rows["type"].str.contains(_GENE)
        found: npt.NDArray[np.bool_] = (
            (rows["id"].isin(below) | is_gene_type) & rows["parent"].isin(above)
        ).to_numpy()
        return found

    def _genes(self, is_gene: npt.NDArray[np.bool_]) -> pd.DataFrame:
        rows = self.rows
        without = is_gene & (rows["id"] == "").to_numpy() & (self.reason == "")
        if without.any():
            attributes = pa.array(rows.loc[without, "attributes"])
            other = _attribute(attributes, "gene_id")
            for key in ("locus_tag", "Name"):
                other = other.where(other != "", _attribute(attributes, key))
            rows.loc[without, "id"] = other.to_numpy()
            self._leave_out(is_gene & (rows["id"] == "").to_numpy(), "no_id")
        return self._first_of_each_id(is_gene)

    def _transcripts(self, is_transcript: npt.NDArray[np.bool_]) -> pd.DataFrame:
        self._leave_out(is_transcript & (self.rows["id"] == "").to_numpy(), "no_id")
        return self._first_of_each_id(is_transcript)

    def _first_of_each_id(self, where: npt.NDArray[np.bool_]) -> pd.DataFrame:
        found = self.rows.loc[where & (self.reason == "")]
        again = found["id"].duplicated().to_numpy()
        mask = np.zeros(len(self.rows), dtype=bool)
        mask[found.index[again]] = True
        self._leave_out(mask, "duplicate_id")
        first: pd.DataFrame = found.loc[~again].copy()
        return first

    def _parts(
        self,
        is_part: npt.NDArray[np.bool_],
        kinds: npt.NDArray[np.object_],
        genes: pd.DataFrame,
        transcripts: pd.DataFrame,
    ) -> pd.DataFrame:
        """One row a part and parent, with the parent known (``level`` says as what)."""
        rows = self.rows
        self._leave_out(is_part & (rows["parent"] == "").to_numpy(), "no_parent")
        parts = rows.loc[is_part & (self.reason == "")].copy()
        parts["kind"] = kinds[parts.index]
        self._note_cds_identifiers(parts)
        parts["row"] = parts.index
        if parts["parent"].str.contains(",", regex=False).any():
            parts["parent"] = parts["parent"].str.split(",")
            parts = parts.explode("parent", ignore_index=True)
        is_known = parts["parent"].isin(transcripts["id"]).to_numpy()
        is_of_gene = parts["parent"].isin(genes["id"]).to_numpy() & ~is_known
        parts["level"] = np.where(
            is_known, "transcript", np.where(is_of_gene, "gene", "")
        )
        if self.is_gtf:
            parts.loc[parts["level"] == "", "level"] = "new"
        else:
            self._drop_parts(parts, parts["level"] == "", "orphan_parent")
            parts = parts.loc[parts["level"] != ""]
        key = ["parent", "kind", "start", "end", "strand", "contig"]
        again = parts.duplicated(key)
        self._drop_parts(parts, again, "duplicate_row")
        parts = parts.loc[~again]

        homes = pd.concat([genes, transcripts]).drop_duplicates("id", keep="last")
        home = parts["parent"].map(homes.set_index("id")["contig"])
        elsewhere = home.notna() & (home != parts["contig"])
        self._drop_parts(parts, elsewhere, "parent_on_other_contig")
        at_home: pd.DataFrame = parts.loc[~elsewhere].reset_index(drop=True)
        return at_home

    def _drop_parts(self, parts: pd.DataFrame, where: pd.Series, reason: str) -> None:
        """Leave a row out when none of its parents keeps it."""
        gone = parts.loc[where, "row"]
        if len(gone):
            kept = set(parts.loc[~where, "row"])
            mask = np.zeros(len(self.rows), dtype=bool)
            mask[[row for row in gone if row not in kept]] = True
            self._leave_out(mask, reason)

    def _note_cds_identifiers(self, parts: pd.DataFrame) -> None:
        cds = parts.loc[(parts["kind"] == "cds") & (parts["id"] != "")]
        if not len(cds) or self.is_gtf:
            return
        n_ids = cds["id"].nunique()
        if n_ids < len(cds):
            per = cds.groupby("id")["parent"].nunique().max()
            self.notes.append(
                f"CDS of several lines share one ID ({len(cds):,} lines, {n_ids:,} IDs)"
                + ("; some IDs serve several transcripts" if per > 1 else "")
            )
        elif len(cds) > cds["parent"].nunique():
            self.notes.append(
                "every CDS line has an ID of its own; lines are joined by Parent"
            )

    # ------------------------------------------------------------------ what is missing

    def _add_missing_transcripts(
        self, genes: pd.DataFrame, transcripts: pd.DataFrame, parts: pd.DataFrame
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        transcripts = transcripts.assign(
            is_derived=np.zeros(len(transcripts), dtype=bool)
        )
        on_gene = (parts["level"] == "gene").to_numpy()
        if on_gene.any():
            # Old files hang CDS on the gene and exons on its only mRNA.
            per_gene = transcripts.drop_duplicates("parent", keep=False)
            only = per_gene.set_index("parent")["id"]
            target = parts.loc[on_gene, "parent"].map(only)
            n_moved = int(target.notna().sum())
            self.lint["parts_of_gene_given_to_its_only_transcript"] += n_moved
            parts.loc[on_gene, "parent"] = target.fillna(parts.loc[on_gene, "parent"])
            of_gene = parts.loc[target.index[target.isna()]]
            owners = genes.loc[genes["id"].isin(of_gene["parent"])]
            taken = owners["id"].isin(transcripts["id"])
            new_ids = owners["id"].where(~taken, owners["id"] + ".derived")
            made = owners.assign(id=new_ids, parent=owners["id"], is_derived=True)
            made["type"] = np.where(
                made["parent"].isin(of_gene.loc[of_gene["kind"] == "cds", "parent"]),
                "mRNA",
                "transcript",
            )
            renamed = of_gene["parent"].map(dict(zip(owners["id"], new_ids)))  # noqa: B905
            parts.loc[of_gene.index, "parent"] = renamed
            self.lint["mrna_level_derived_from_gene"] += len(made)
            transcripts = pd.concat([transcripts, made], ignore_index=True)
        new = parts.loc[parts["level"] == "new"]
        if len(new):
            span = new.groupby("parent", sort=False).agg(
                contig=("contig", "first"),
                start=("start", "min"),
                end=("end", "max"),
                strand=("strand", "first"),
                gene=("gene", "first"),
                row=("row", "first"),
                attributes=("attributes", "first"),
                n_contigs=("contig", "nunique"),
            )
            self._refuse_on_several_contigs(span, new)
            made = span.rename_axis("id").reset_index()
            made = made.assign(parent=made["gene"], type="transcript", is_derived=True)
            made["phase"] = "."
            made[LINE] = self.rows[LINE].to_numpy()[made["row"]]
            columns = [name for name in transcripts if name in made]
            transcripts = pd.concat([transcripts, made[columns]], ignore_index=True)
            self.lint["transcript_derived_from_parts"] += len(made)
        return transcripts.reset_index(drop=True), parts

    def _refuse_on_several_contigs(
        self, span: pd.DataFrame, parts: pd.DataFrame
    ) -> None:
        several = span.index[span["n_contigs"] > 1]
        if len(several):
            first = parts.loc[parts["parent"] == several[0]]
            places = ", ".join(sorted(first["contig"].unique())[:4])
            raise MalformedFileError(
                self.path,
                f"transcript_id {several[0]!r} stands on several contigs ({places}), "
                f"and {len(several) - 1} more do so",
                line=int(first[LINE].iloc[-1]),
                remedy="Give every transcript an identifier of its own",
            )

    def _find_genes_of_transcripts(
        self, genes: pd.DataFrame, transcripts: pd.DataFrame
    ) -> pd.DataFrame:
        """Replace ``parent`` by the gene at the root, however many levels up."""
        parent = transcripts["parent"].str.split(",").str[0].to_numpy(dtype=object)
        above = dict(zip(transcripts["id"], parent, strict=True))
        known = set(genes["id"])
        for _ in range(8):
            nested = np.array([p not in known and p in above for p in parent])
            if not nested.any():
                break
            parent = np.where(nested, [above.get(p, "") for p in parent], parent)
        is_missing = parent == ""
        if is_missing.any():
            attributes = pa.array(transcripts.loc[is_missing, "attributes"])
            named = transcripts.loc[is_missing, "gene"].reset_index(drop=True)
            for key in ("gene_id", "geneID", "locus_tag", "gene"):
                named = named.where(
                    named != "", _attribute(attributes, key, is_gtf=self.is_gtf)
                )
            own = transcripts.loc[is_missing, "id"].reset_index(drop=True)
            parent[is_missing] = named.where(named != "", own).to_numpy()
        # AUGUSTUS/BRAKER: the gene row says "jg169", its transcripts "file_1_jg169".
        orphan = np.array([p not in known for p in parent])
        if orphan.any() and self.is_gtf:
            parent = self._match_bare_genes(genes, transcripts, parent, orphan)
        return transcripts.assign(parent=parent)

    def _match_bare_genes(
        self,
        genes: pd.DataFrame,
        transcripts: pd.DataFrame,
        parent: npt.NDArray[np.object_],
        orphan: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.object_]:
        empty = genes.loc[~genes["id"].isin(parent)]
        place = ["contig", "start", "end", "strand"]
        spans = (
            transcripts.assign(parent=parent)
            .loc[orphan]
            .groupby("parent", sort=False)
            .agg(
                contig=("contig", "first"),
                start=("start", "min"),
                end=("end", "max"),
                strand=("strand", "first"),
            )
            .reset_index()
        )
        matched = spans.merge(empty[[*place, "id"]], on=place)
        matched = matched.loc[
            [
                p.endswith(i)
                for p, i in zip(matched["parent"], matched["id"], strict=True)
            ]
        ].drop_duplicates("id")
        if not len(matched):
            return parent
        self.lint["gene_row_matched_by_place_and_suffix"] += len(matched)
        # The longer name is the unambiguous one: several runs may each have a "jg1".
        longer = dict(zip(matched["id"], matched["parent"], strict=True))
        genes["id"] = genes["id"].map(longer).fillna(genes["id"])
        return parent

    def _add_missing_genes(
        self, genes: pd.DataFrame, transcripts: pd.DataFrame
    ) -> pd.DataFrame:
        without = transcripts.loc[~transcripts["parent"].isin(genes["id"])]
        if not len(without):
            return genes
        made = (
            without.groupby("parent", sort=False)
            .agg(
                contig=("contig", "first"),
                start=("start", "min"),
                end=("end", "max"),
                strand=("strand", "first"),
                attributes=("attributes", "first"),
                _line=(LINE, "first"),
            )
            .rename_axis("id")
            .reset_index()
            .assign(type="gene", parent="", gene="", phase=".")
        )
        if not self.is_gtf:
            # A transcript's own Name and description are not its gene's.
            made["attributes"] = ""
        self.lint["gene_derived_from_transcripts"] += len(made)
        return pd.concat([genes, made], ignore_index=True)

    # ------------------------------------------------------------------ parts

    def _settle_strands(
        self, genes: pd.DataFrame, transcripts: pd.DataFrame, parts: pd.DataFrame
    ) -> pd.DataFrame:
        strand = transcripts["strand"].to_numpy(dtype=object).copy()
        of_gene = transcripts["parent"].map(genes.set_index("id")["strand"])
        strand = np.where((strand == ".") & of_gene.notna(), of_gene, strand)
        signed = parts.loc[parts["strand"] != "."].drop_duplicates("parent")
        of_part = transcripts["id"].map(signed.set_index("parent")["strand"])
        is_taken = (strand == ".") & of_part.notna().to_numpy()
        self.lint["strand_taken_from_parts"] += int(is_taken.sum())
        transcripts["strand"] = np.where(is_taken, of_part, strand)
        known = parts["parent"].map(transcripts.set_index("id")["strand"])
        parts["strand"] = parts["strand"].where(parts["strand"] != ".", known)
        differs = (parts["strand"] != known).to_numpy() & (known != ".").to_numpy()
        self.lint["strand_conflict"] += int(differs.sum())
        return parts.rename(columns={"parent": "transcript_id"})

    def _add_stop_codons(self, parts: pd.DataFrame) -> pd.DataFrame:
        """Join stop codons to the CDS where the CDS leaves them out, as GTF 2 does."""
        is_stop = (parts["kind"] == "stop_codon").to_numpy()
        if not is_stop.any():
            return parts
        cds, stops = parts.loc[parts["kind"] == "cds"], parts.loc[is_stop]
        outside = ~_is_inside(stops, cds)
        outside &= stops["transcript_id"].isin(cds["transcript_id"]).to_numpy()
        mask = np.zeros(len(self.rows), dtype=bool)
        mask[stops.loc[~outside, "row"]] = True
        self._leave_out(mask, "implied_by_exons")
        rest = parts.loc[~is_stop]
        added = stops.loc[outside].assign(kind="cds")
        if not len(added):
            return rest.reset_index(drop=True)
        self.lint["stop_codon_joined_to_cds"] += added["transcript_id"].nunique()
        grown = (rest["kind"] == "cds") & rest["transcript_id"].isin(
            added["transcript_id"]
        )
        joined = _merge_touching(pd.concat([rest.loc[grown], added]))
        return pd.concat([rest.loc[~grown], joined], ignore_index=True)

    def _side_utrs(self, parts: pd.DataFrame) -> pd.DataFrame:
        is_utr = (parts["kind"] == "utr").to_numpy()
        if not is_utr.any():
            return parts
        spans = _cds_spans(parts)
        utr = parts.loc[is_utr].join(spans, on="transcript_id")
        lost = utr["cds_start"].isna()
        self._drop_parts(parts.assign(_=1), lost.reindex(parts.index, fill_value=False),
                         "utr_without_cds")  # fmt: skip
        is_left = utr["end"] <= utr["cds_start"]
        is_five = is_left == (utr["strand"] == "+")
        parts.loc[is_utr, "kind"] = np.where(is_five, "utr5", "utr3")
        drop = lost.reindex(parts.index, fill_value=False)
        return parts.loc[~drop].reset_index(drop=True)

    def _lint_transcript_spans(
        self, transcripts: pd.DataFrame, parts: pd.DataFrame
    ) -> None:
        spans = transcripts.set_index("id")[["start", "end"]].rename(
            columns={"start": "from", "end": "to"}
        )
        of = parts[["transcript_id", "start", "end"]].join(spans, on="transcript_id")
        beyond = (of["start"] < of["from"]) | (of["end"] > of["to"])
        self.lint["part_outside_its_transcript"] += int(beyond.sum())

    def _derive_exons(
        self, transcripts: pd.DataFrame, parts: pd.DataFrame
    ) -> pd.DataFrame:
        with_exons = set(parts.loc[parts["kind"] == "exon", "transcript_id"])
        is_bare = ~parts["transcript_id"].isin(with_exons)
        made = _merge_touching(parts.loc[is_bare]).assign(kind="exon", phase=".")
        n_made = made["transcript_id"].nunique()
        self.lint["exons_derived_from_cds_and_utr"] += n_made
        empty = transcripts.loc[~transcripts["id"].isin(parts["transcript_id"])]
        whole = empty.rename(columns={"id": "transcript_id"}).assign(
            kind="exon", phase=".", id=""
        )
        self.lint["single_exon_derived_from_transcript_span"] += len(whole)
        whole = whole[[name for name in parts if name in whole]]
        return pd.concat([parts, made, whole], ignore_index=True)

    def _lint_exons(self, parts: pd.DataFrame) -> None:
        exons = parts.loc[parts["kind"] == "exon"].sort_values(
            ["transcript_id", "start", "end"]
        )
        reach = exons.groupby("transcript_id")["end"].cummax().shift()
        same = exons["transcript_id"] == exons["transcript_id"].shift()
        overlapping = same & (exons["start"] < reach)
        self.lint["overlapping_exons"] += int(overlapping.sum())
        cds = parts.loc[parts["kind"] == "cds"]
        self.lint["cds_outside_exon"] += int((~_is_inside(cds, exons)).sum())
        cds = cds.sort_values(["transcript_id", "start", "end"])
        same = cds["transcript_id"] == cds["transcript_id"].shift()
        overlapping = same & (cds["start"] < cds["end"].shift())
        self.lint["overlapping_cds_parts"] += int(overlapping.sum())

    def _derive_utrs(self, parts: pd.DataFrame) -> pd.DataFrame:
        is_utr = parts["kind"].isin(["utr5", "utr3"])
        with_utrs = set(parts.loc[is_utr, "transcript_id"])
        exons = parts.loc[
            (parts["kind"] == "exon") & ~parts["transcript_id"].isin(with_utrs)
        ].join(_cds_spans(parts), on="transcript_id", how="inner")
        left = exons.assign(end=np.minimum(exons["end"], exons["cds_start"]))
        right = exons.assign(start=np.maximum(exons["start"], exons["cds_end"]))
        pieces = []
        for side, forward, reverse in ((left, "utr5", "utr3"), (right, "utr3", "utr5")):
            piece = side.loc[side["end"] > side["start"]]
            kind = np.where(piece["strand"] == "-", reverse, forward)
            pieces.append(
                piece.assign(kind=kind).drop(columns=["cds_start", "cds_end"])
            )
        made = pd.concat(pieces).astype({"start": "int64", "end": "int64"})
        self.lint["utrs_derived_from_exons"] += made["transcript_id"].nunique()
        return pd.concat([parts, made], ignore_index=True)

    def _recompute_phases(self, parts: pd.DataFrame) -> pd.DataFrame:
        is_cds = (parts["kind"] == "cds").to_numpy()
        cds = order_parts(parts.loc[is_cds])
        written = pd.to_numeric(cds["phase"], errors="coerce")
        written = written.where(written.isin([0, 1, 2])).fillna(-1)
        given = written.to_numpy(dtype=np.int64)
        names = cds["transcript_id"].to_numpy(dtype=object)
        lengths = (cds["end"] - cds["start"]).to_numpy(dtype=np.int64)
        if len(cds):
            # The phase of the first part, or what the first given phase says it is.
            offset = reading_phases(names, lengths, np.zeros(len(cds), dtype=np.int64))
            implied = pd.Series(np.where(given < 0, np.nan, (given - offset) % 3))
            first = implied.groupby(pd.Series(names)).transform("first").fillna(0)
            phases: npt.NDArray[np.int64] = (
                first.to_numpy(dtype=np.int64) + offset
            ) % 3
        else:
            phases = given
        wrong = (given >= 0) & (given != phases)
        self.lint["phase_missing"] += int((given < 0).sum())
        self.lint["phase_wrong"] += int(wrong.sum())
        self.lint["transcripts_with_wrong_phase"] += len(set(names[wrong]))
        cds["phase"] = phases
        rest = parts.loc[~is_cds].assign(phase=np.nan)
        return pd.concat([rest, cds.drop(columns="_key")], ignore_index=True)

    # ------------------------------------------------------------------ the tables

    def _tables(
        self, genes: pd.DataFrame, transcripts: pd.DataFrame, parts: pd.DataFrame
    ) -> Parsed:
        gene_attributes = [self._attributes_of(t) for t in genes["attributes"]]
        transcript_attributes = [
            self._attributes_of(t) for t in transcripts["attributes"]
        ]
        raw_genes = genes["id"].to_numpy(dtype=object)
        gene_ids = _clean_ids(raw_genes, gene_attributes)
        raw_transcripts = transcripts["id"].to_numpy(dtype=object)
        transcript_ids = _clean_ids(raw_transcripts, transcript_attributes)
        gene_of = dict(zip(raw_genes, gene_ids, strict=True))
        transcript_of = dict(zip(raw_transcripts, transcript_ids, strict=True))

        coding = set(parts.loc[parts["kind"] == "cds", "transcript_id"])
        is_coding = np.array([name in coding for name in raw_transcripts], dtype=bool)
        gene_kind = transcripts["parent"].map(
            dict(zip(raw_genes, genes["type"], strict=True))
        )
        transcript_biotypes = [
            _transcript_biotype(attributes, kind, above, is_coding=bool(codes))
            for attributes, kind, above, codes in zip(
                transcript_attributes,
                transcripts["type"],
                gene_kind,
                is_coding,
                strict=True,
            )
        ]
        is_mrna = (transcripts["type"].str.lower() == "mrna").to_numpy()
        self.lint["mrna_without_cds"] += int((is_mrna & ~is_coding).sum())
        by_gene: dict[object, str] = {}
        for gene, biotype in zip(
            transcripts["parent"], transcript_biotypes, strict=True
        ):
            if biotype == "protein_coding" or gene not in by_gene:
                by_gene[gene] = biotype
        symbols = [
            _symbol(attributes, gene, raw)
            for attributes, gene, raw in zip(
                gene_attributes, gene_ids, raw_genes, strict=True
            )
        ]
        gene_table = pd.DataFrame(
            {
                "gene_id": gene_ids,
                "symbol": symbols,
                "biotype": [
                    _gene_biotype(attributes, kind, by_gene.get(raw, ""))
                    for attributes, kind, raw in zip(
                        gene_attributes, genes["type"], raw_genes, strict=True
                    )
                ],
                "contig": genes["contig"].to_numpy(dtype=object),
                "start": genes["start"].to_numpy(dtype=np.int64),
                "end": genes["end"].to_numpy(dtype=np.int64),
                "strand": genes["strand"].to_numpy(dtype=object),
                "description": [_description(a) for a in gene_attributes],
                LINE: genes[LINE].to_numpy(dtype=np.int64),
            }
        )
        transcript_table = pd.DataFrame(
            {
                "transcript_id": transcript_ids,
                "gene_id": [gene_of[raw] for raw in transcripts["parent"]],
                "biotype": transcript_biotypes,
                "contig": transcripts["contig"].to_numpy(dtype=object),
                "start": transcripts["start"].to_numpy(dtype=np.int64),
                "end": transcripts["end"].to_numpy(dtype=np.int64),
                "strand": transcripts["strand"].to_numpy(dtype=object),
                "is_canonical": [_is_tagged(a) for a in transcript_attributes],
                LINE: transcripts[LINE].to_numpy(dtype=np.int64),
            }
        )
        features = order_parts(parts)
        feature_table = pd.DataFrame(
            {
                "transcript_id": features["transcript_id"].map(transcript_of),
                "kind": features["kind"],
                "contig": features["contig"],
                "start": features["start"].astype("int64"),
                "end": features["end"].astype("int64"),
                "strand": features["strand"],
                "phase": features["phase"].astype("Int8"),
                LINE: features[LINE].astype("int64"),
            }
        )
        aliases = _aliases(gene_ids, raw_genes, symbols, gene_attributes, gene_table)
        n_tagged = int(transcript_table["is_canonical"].sum())
        if n_tagged:
            self.notes.append(f"{n_tagged:,} transcripts are tagged as canonical")
        self.notes.append(
            f"{len(gene_table):,} genes, {len(transcript_table):,} transcripts, "
            f"{int(is_coding.sum()):,} of them coding"
        )
        tally = self._count()
        self.notes += [
            f"lint: {name} {n:,}" for name, n in sorted(self.lint.items()) if n
        ]
        return Parsed(
            tables={
                "genes": gene_table,
                "transcripts": transcript_table,
                "features": feature_table,
                "gene_aliases": aliases,
            },
            tally=tally,
            notes=self.notes,
        )

    def _attributes_of(self, text: str) -> dict[str, str]:
        return _gtf_attributes(text) if self.is_gtf else _gff_attributes(text)

    def _count(self) -> Tally:
        tally = Tally(read=len(self.rows) + len(self.bad_lines))
        for line, text in self.bad_lines.items():
            tally.leave_out("wrong_column_count", line=line, text=text)
        by_reason = pd.Series(self.reason).groupby(self.reason).indices
        for reason in sorted({str(reason) for reason in by_reason} - {""}):
            where = by_reason[reason]
            listed = self.rows.iloc[where[:LISTED_PER_REASON]]
            for line, contig, kind, text in zip(
                listed[LINE],
                listed["contig"],
                listed["type"],
                listed["attributes"],
                strict=True,
            ):
                tally.leave_out(reason, line=int(line), text=f"{contig} {kind} {text}")
            if len(where) > LISTED_PER_REASON:
                tally.leave_out(reason, n=len(where) - LISTED_PER_REASON)
        n_faults = sum(tally.left_out[reason] for reason in ROW_FAULTS)
        if n_faults * 2 > tally.read:
            worst = max(ROW_FAULTS, key=lambda reason: tally.left_out[reason])
            first = next(e for e in tally.examples if e.reason == worst)
            raise MalformedFileError(
                self.path,
                f"{n_faults:,} of {tally.read:,} rows cannot be used, most of them for "
                f"{worst} (for example {first.text[:80]!r})",
                line=first.line,
                remedy="Check that the file is whole and of the kind it is given as",
            )
        return tally


# ---------------------------------------------------------------------- attributes


def _by_value(values: pd.Series, pattern: re.Pattern[str]) -> dict[str, bool]:
    return {value: bool(pattern.search(value)) for value in values.unique()}


def _attribute(attributes: pa.Array, key: str, *, is_gtf: bool = False) -> pd.Series:
    """The first value of an attribute, ``""`` where there is none; percent-decoded."""
    if is_gtf:
        pattern = rf'(?:^|;)\s*{re.escape(key)}\s+"?(?P<value>[^";]*)"?'
    else:
        pattern = rf"(?:^|;)\s*{re.escape(key)}\s*=\s*(?P<value>[^;]*)"
    found = pc.struct_field(pc.extract_regex(attributes, pattern), "value")
    values = pd.Series(pc.utf8_trim_whitespace(found).to_pandas(), dtype=object)
    values = values.where(values.notna(), "")
    if not is_gtf:
        escaped = values.str.contains("%", regex=False)
        if escaped.any():
            values[escaped] = values[escaped].map(unquote)
    return values


def _gff_attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in text.split(";"):
        key, equals, value = item.partition("=")
        if equals:
            found.setdefault(key.strip(), value.strip().strip('"'))
    return found


_GTF_ITEM = re.compile(r'\s*([^\s;"]+)\s+(?:"([^"]*)"|([^;"]*))\s*(?:;|$)')


def _gtf_attributes(text: str) -> dict[str, str]:
    """GTF attributes; a repeated key (``tag``) joins its values by commas."""
    found: dict[str, str] = {}
    for key, quoted, plain in _GTF_ITEM.findall(text):
        value = quoted or plain.strip()
        found[key] = f"{found[key]},{value}" if key in found else value
    return found


def _clean_ids(
    raw: npt.NDArray[np.object_], attributes: list[dict[str, str]]
) -> npt.NDArray[np.object_]:
    """Identifiers without the file's prefixes, and raw where that would join two.

    Phytozome's IDs end in the annotation's version (``AT1G01010.TAIR10``); its Name is
    the identifier that people use.
    """
    clean = pd.Series(raw, dtype=object).str.replace(_PREFIX, "", regex=True)
    names = np.array(
        [
            a.get("Name", "") if "pacid" in a or _is_phytozome(a) else ""
            for a in attributes
        ],
        dtype=object,
    )
    is_named = [
        bool(n) and i.startswith(f"{n}.") for n, i in zip(names, clean, strict=True)
    ]
    short = np.where(np.array(is_named, dtype=bool), names, clean.to_numpy())
    short = np.where(short == "", raw, short)
    clash = pd.Series(short).duplicated(keep=False).to_numpy()
    return np.where(clash, raw, short)


def _is_phytozome(attributes: dict[str, str]) -> bool:
    identifier, name = attributes.get("ID", ""), attributes.get("Name", "")
    suffix = identifier.removeprefix(f"{name}.")
    return bool(re.fullmatch(r"(?:[A-Z][A-Za-z_]*)?v\d+(?:\.\d+)*\w*|TAIR10|Araport11",
                             suffix)) and suffix != identifier  # fmt: skip


_BIOTYPE_KEYS = (
    "biotype", "gene_biotype", "gene_type", "transcript_biotype", "transcript_type",
    "locus_type",
)  # fmt: skip
_BIOTYPE_NAMES = {
    "protein_coding_gene": "protein_coding",
    "mrna": "protein_coding",
    "protein-coding": "protein_coding",
    "pseudogenic_transcript": "pseudogene",
    "pseudogenic_trna": "pseudogene",
    "pseudogenic_rrna": "pseudogene",
}


def _named_biotype(name: str) -> str:
    return _BIOTYPE_NAMES.get(name.lower(), name)


def _transcript_biotype(
    attributes: dict[str, str], kind: str, gene_kind: str, *, is_coding: bool
) -> str:
    for key in ("biotype", "transcript_biotype", "transcript_type", "gene_biotype",
                "gene_type"):  # fmt: skip
        if value := attributes.get(key):
            return _named_biotype(value)
    # TAIR and Araport call transcripts of pseudogenes and transposons mRNA as well.
    if not is_coding and gene_kind in ("pseudogene", "transposable_element_gene"):
        return gene_kind
    if kind.lower() not in ("transcript", "primary_transcript"):
        return _named_biotype(kind)
    return "protein_coding" if is_coding else "transcript"


def _gene_biotype(attributes: dict[str, str], kind: str, of_transcripts: str) -> str:
    for key in _BIOTYPE_KEYS:
        if value := attributes.get(key):
            return _named_biotype(value)
    if kind.lower() in ("pseudogene", "transposable_element_gene"):
        return kind
    if kind.lower() != "gene" and kind.lower().endswith("_gene"):
        return _named_biotype(kind[: -len("_gene")])
    return of_transcripts or "gene"


def _symbol(attributes: dict[str, str], gene: str, raw: str) -> str | None:
    for key in ("symbol", "gene_name", "gene_symbol", "Name", "gene"):
        value = unquote(attributes.get(key, "")).strip()
        if value and value not in (gene, raw):
            return value
        if value and key in ("symbol", "gene_name"):
            return None
    return None


def _description(attributes: dict[str, str]) -> str | None:
    for key in ("description", "full_name", "product", "Note", "curator_summary",
                "computational_description"):  # fmt: skip
        if value := attributes.get(key):
            return unquote(value)
    return None


_CANONICAL_TAGS = frozenset(
    {"ensembl_canonical", "mane_select", "mane select", "refseq select",
     "appris_principal_1", "canonical", "representative"}
)  # fmt: skip


def _is_tagged(attributes: dict[str, str]) -> bool:
    tags = {tag.strip().lower() for tag in attributes.get("tag", "").split(",")}
    yes = {"1", "true", "yes"}
    return bool(tags & _CANONICAL_TAGS) or any(
        attributes.get(key, "").lower() in yes
        for key in ("longest", "canonical_transcript", "is_canonical", "representative")
    )


_ALIAS_KEYS = {
    "Alias": "alias",
    "alias": "alias",
    "gene_synonym": "synonym",
    "synonym": "synonym",
    "synonyms": "synonym",
    "locus": "locus_tag",
    "locus_tag": "locus_tag",
    "old_locus_tag": "old_locus_tag",
    "full_name": "full_name",
    "gene": "symbol",
    "gene_name": "symbol",
    "Name": "name",
    "gene_id": "gene_id",
    "ID": "file_id",
}
_VERSIONED = re.compile(r"^(.+\d)\.\d+$")


def _aliases(
    genes: npt.NDArray[np.object_],
    raw: npt.NDArray[np.object_],
    symbols: list[str | None],
    attributes: list[dict[str, str]],
    table: pd.DataFrame,
) -> pd.DataFrame:
    found: list[tuple[str, str, str, int]] = []
    lines = table[LINE].to_numpy()
    unversioned = Counter(
        match.group(1) for gene in genes if (match := _VERSIONED.match(gene))
    )
    known = set(genes)
    for gene, identifier, symbol, of, line in zip(
        genes, raw, symbols, attributes, lines, strict=True
    ):
        number = int(line)
        if symbol:
            found.append((gene, symbol, "symbol", number))
        found.append((gene, identifier, "file_id", number))
        for key, kind in _ALIAS_KEYS.items():
            if key in of:
                found += [
                    (gene, unquote(value.strip()), kind, number)
                    for value in of[key].split(",")
                ]
        for key in ("Dbxref", "db_xref", "Ontology_xref"):
            for reference in filter(None, of.get(key, "").split(",")):
                base, _, accession = unquote(reference.strip()).partition(":")
                if base.lower() in ("geneid", "entrezgene", "entrez"):
                    found.append((gene, accession, "entrez", number))
                elif accession:
                    name = accession.removeprefix(f"{base}:")
                    found.append((gene, name, base.lower(), number))
        if of.get("version") and not _VERSIONED.match(gene):
            found.append((gene, f"{gene}.{of['version']}", "versioned", number))
        match = _VERSIONED.match(gene)
        if match and unversioned[match[1]] == 1 and match[1] not in known:
            found.append((gene, match[1], "unversioned", number))
    aliases = pd.DataFrame(found, columns=["gene_id", "alias", "kind", LINE])
    aliases = aliases.loc[
        (aliases["alias"] != aliases["gene_id"]) & (aliases["alias"] != "")
    ]
    return aliases.drop_duplicates(["gene_id", "alias"]).reset_index(drop=True)


# ---------------------------------------------------------------------- intervals


def _merge_touching(parts: pd.DataFrame) -> pd.DataFrame:
    """Join parts of a transcript that overlap or touch; the 5' part's phase stays."""
    if not len(parts):
        return parts
    ordered = parts.sort_values(["transcript_id", "start", "end"], kind="stable")
    reach = ordered.groupby("transcript_id")["end"].cummax().shift()
    is_new = (ordered["transcript_id"] != ordered["transcript_id"].shift()) | (
        ordered["start"] > reach
    )
    block = is_new.cumsum().to_numpy()
    merged = ordered.groupby(block).head(1).copy()
    tail = ordered.groupby(block).tail(1)
    merged["end"] = ordered.groupby(block)["end"].max().to_numpy()
    is_reverse = (merged["strand"] == "-").to_numpy()
    merged["phase"] = np.where(
        is_reverse, tail["phase"].to_numpy(), merged["phase"].to_numpy()
    )
    return merged


def _is_inside(inner: pd.DataFrame, outer: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether each interval lies inside one of its transcript's outer intervals."""
    if not len(inner):
        return np.zeros(0, dtype=bool)
    columns = ["transcript_id", "start", "end"]
    hosts = outer[columns].sort_values(columns)
    hosts["reach"] = hosts.groupby("transcript_id")["end"].cummax()
    hosts = hosts.sort_values("start", kind="stable")
    asked = inner[columns].assign(position=np.arange(len(inner)))
    found = pd.merge_asof(
        asked.sort_values("start", kind="stable"),
        hosts[["transcript_id", "start", "reach"]],
        on="start",
        by="transcript_id",
    ).sort_values("position")
    inside: npt.NDArray[np.bool_] = (found["end"] <= found["reach"]).to_numpy(
        dtype=bool
    )
    return inside


def _cds_spans(parts: pd.DataFrame) -> pd.DataFrame:
    cds = parts.loc[parts["kind"] == "cds"]
    return cds.groupby("transcript_id").agg(
        cds_start=("start", "min"), cds_end=("end", "max")
    )


KINDS: tuple[Kind, ...] = (
    Kind(
        name="annotation",
        meaning="gene models in GFF3 or GTF (Ensembl, NCBI, Phytozome, MSU, TAIR)",
        detect=detect,
        parse=parse,
        tables=("genes", "transcripts", "features", "gene_aliases"),
        options={
            "codon_tables": (
                "genetic code by contig where it is not the standard one, by NCBI's "
                "number: chrM=3,chrC=11"
            )
        },
    ),
)
