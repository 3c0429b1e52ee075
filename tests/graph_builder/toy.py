"""A registry of a few rows, small enough to work its graph out by hand."""

import duckdb
import numpy as np

from data_registry.errors import UnknownContigError
from data_registry.schema import TABLES

# two contigs of A; what matters is planted by `ToyGenome`
LENGTHS = {"c1": 20_000, "c2": 5_000}

ROWS = {
    "contigs": [
        {"contig": name, "length": length, "ordinal": i}
        for i, (name, length) in enumerate(LENGTHS.items())
    ],
    "genes": [
        {"gene_id": "g1", "symbol": "ABF", "biotype": "protein_coding", "contig": "c1",
         "start": 2000, "end": 3000, "strand": "+", "description": "binds boxes"},
        {"gene_id": "g2", "contig": "c1", "start": 6000, "end": 7000, "strand": "-"},
        {"gene_id": "g3", "contig": "c2", "start": 1000, "end": 1500, "strand": "+"},
        {"gene_id": "g4", "contig": "c1", "start": 12000, "end": 13000, "strand": "+"},
    ],
    "gene_aliases": [{"gene_id": "g2", "alias": "Zinc2", "kind": "symbol"}],
    "transcripts": [
        {"transcript_id": "t1", "gene_id": "g1", "contig": "c1", "start": 2000,
         "end": 3000, "strand": "+", "is_canonical": True, "cds_length": 600},
        {"transcript_id": "t1b", "gene_id": "g1", "contig": "c1", "start": 2000,
         "end": 3000, "strand": "+", "is_canonical": False, "cds_length": 900},
    ],
    "features": [
        {"transcript_id": "t1", "contig": "c1", "kind": kind, "start": s, "end": e,
         "strand": "+"}
        for kind, s, e in [
            ("exon", 2000, 2400), ("exon", 2600, 3000), ("utr5", 2000, 2100),
            ("cds", 2100, 2400), ("cds", 2600, 2900), ("utr3", 2900, 3000),
        ]
    ],
    "intervals": [
        {"kind": "peak", "contig": "c1", "start": 1500, "end": 1800, "signal": 4.0,
         "sample": "s1"},
        {"kind": "peak", "contig": "c1", "start": 1700, "end": 1900, "signal": 2.0,
         "sample": "s1"},
        {"kind": "peak", "contig": "c1", "start": 5000, "end": 5200, "signal": 8.0,
         "sample": "s2"},
        {"kind": "chromatin_state", "contig": "c1", "start": 1400, "end": 1600,
         "state": "closed"},
        {"kind": "chromatin_state", "contig": "c1", "start": 1600, "end": 2000,
         "state": "open"},
    ],
    "tf_sites": [
        {"tf": "abf", "contig": "c1", "start": 1550, "end": 1560, "signal": 5.0},
        {"tf": "abf", "contig": "c1", "start": 1850, "end": 1860, "signal": 7.0},
        {"tf": "XYZ", "contig": "c1", "start": 18000, "end": 18010, "signal": 1.0},
    ],
    "motifs": [
        {"motif_id": "M1", "tf": "ABF", "family": "bZIP", "width": 8, "n_sites": 100.0,
         # CGTGACCA
         "matrix": [0.0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0,
                    0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0]},
    ],
    "contacts": [
        # bins of 1 kb; g1's start is in bin 2, the peak at 5000 in bin 5
        {"contig1": "c1", "start1": a * 1000, "end1": (a + 1) * 1000, "contig2": "c1",
         "start2": b * 1000, "end2": (b + 1) * 1000, "count": n, "kind": "matrix",
         "sample": "hic"}
        for a, b, n in [
            (1, 1, 8), (2, 2, 8), (5, 5, 8), (1, 2, 6), (2, 5, 4), (1, 5, 1), (5, 6, 2),
        ]
    ] + [
        {"contig1": "c1", "start1": 1000, "end1": 2000, "contig2": "c1",
         "start2": 6000, "end2": 7000, "count": 9.0, "kind": "loop", "sample": "loops"},
    ],
    "expression": [
        {"dataset": "lines", "gene_id": gene, "sample_id": f"l{i}", "value": value,
         "unit": "log2"}
        for gene, values in {
            "g1": [1.0, 2, 3, 4, 5],
            "g2": [2.0, 4, 6, 8, 10],
            "g3": [5.0, 4, 3, 2, 2],
            "g4": [3.0, 3, 3, 3, 3],
        }.items()
        for i, value in enumerate(values)
    ],
    "interactions": [
        {"gene_a": "g2", "gene_b": "g1", "kind": "physical", "directed": False,
         "score": 0.5, "evidence": "y2h"},
        {"gene_a": "g1", "gene_b": "g2", "kind": "physical", "directed": False,
         "score": 0.9, "evidence": "apms"},
        {"gene_a": "g1", "gene_b": "nobody", "kind": "physical", "directed": False},
        {"gene_a": "g3", "gene_b": "g4", "kind": "complex", "directed": False},
        {"gene_a": "g3", "gene_b": "g1", "kind": "genetic", "directed": False},
        {"gene_a": "g1", "gene_b": "g3", "kind": "regulatory", "directed": True,
         "sign": 1, "evidence": "chip"},
        {"gene_a": "g1", "gene_b": "g3", "kind": "regulatory", "directed": True,
         "sign": -1, "evidence": "rna"},
        {"gene_a": "g2", "gene_b": "g4", "kind": "regulatory", "directed": True,
         "sign": -1},
        {"gene_a": "g4", "gene_b": "g1", "kind": "coexpression", "score": 0.8},
    ],
    "terms": [
        {"term_id": "T:1", "name": "root", "namespace": "pathway",
         "definition": "all of it"},
        {"term_id": "T:2", "name": "leaf", "namespace": "pathway"},
    ],
    "term_relations": [{"term_a": "T:2", "term_b": "T:1", "kind": "is_a"}],
    "gene_terms": [
        {"gene_id": g, "term_id": t, "evidence": e, "role": "", "rank": None}
        for g, t, e in [
            ("g1", "T:1", "IDA"), ("g2", "T:1", "IDA"), ("g3", "T:1", "IEA"),
            ("g1", "T:2", "IDA"), ("g1", "T:2", "IMP"), ("g2", "T:2", "IDA"),
            ("g3", "T:2", "IDA"), ("g4", "T:3", "IDA"),
        ]
    ],
    "phenotypes": [
        {"phenotype_id": "height", "name": "plant height", "unit": "cm",
         "description": "from soil to tip"},
    ],
    "phenotype_values": [
        {"phenotype_id": "height", "sample_id": "l0", "value": 10.0},
        {"phenotype_id": "height", "sample_id": "l1", "value": 12.0},
    ],
    "gene_phenotypes": [
        {"gene_id": "g1", "phenotype_id": "height", "evidence": "mutant", "score": 0.7},
    ],
    "associations": [
        # the effect allele is what the genome reads: turned round
        {"phenotype_id": "height", "contig": "c1", "start": 1602, "ref": "C",
         "alt": "T", "beta": 2.0, "se": 0.5, "p_value": 1e-6, "n": 100.0},
        {"phenotype_id": "height", "contig": "c1", "start": 2150, "ref": None,
         "alt": None, "beta": 1.0, "se": 0.5, "p_value": 1e-5, "n": 100.0},
        {"phenotype_id": "height", "contig": "c1", "start": 9000, "ref": "A",
         "alt": "C", "beta": 0.1, "se": 0.5, "p_value": 0.8, "n": 100.0},
    ],
    "variant_scores": [
        {"contig": "c1", "start": 2950, "ref": "A", "alt": "G", "name": "SIFT",
         "value": 0.1},
    ],
    "panel_frequencies": [
        {"panel": "p", "group_name": g, "contig": "c1", "start": s, "ref": r,
         "alt": a, "ac": ac, "an": n}
        for g, s, r, a, ac, n in [
            ("", 1602, "T", "C", 3, 10), ("x", 1602, "T", "C", 3, 6),
            ("", 2500, "A", "", 1, 10), ("", 1990, "", "G", 2, 10),
            ("", 9500, "A", "T", 5, 10),
        ]
    ],
    "orthologs": [
        {"gene_id": "g1", "other_gene": "h1", "other_species": "x", "ka": 0.1,
         "ks": 0.5},
        {"gene_id": "g1", "other_gene": "h2", "other_species": "x", "ka": 0.2,
         "ks": 0.5},
    ],
    "texts": [
        {"subject_kind": "gene", "subject_id": "ABF", "title": "a", "text": "a factor"},
        {"subject_kind": "gene", "subject_id": "?", "title": "b", "text": "no gene"},
        {"subject_kind": "document", "subject_id": None, "title": "c", "text": "paper"},
        {"subject_kind": "gene", "subject_id": "g1", "title": "d", "text": " "},
    ],
}  # fmt: skip


class ToyGenome:
    """All A, but for the motif's word CGTGACCA at c1:1600."""

    def __init__(self):
        self.bases = {
            name: np.full(length, ord("A"), np.uint8)
            for name, length in LENGTHS.items()
        }
        self.bases["c1"][1600:1608] = np.frombuffer(b"cGTGACCA", np.uint8)

    def contig(self, name):
        if name not in self.bases:
            raise UnknownContigError(name)
        return self.bases[name]


def make_registry(rows, *, source_id=1, seed=None, path=":memory:"):
    """Create all registry tables and fill them, shuffled when a seed is given."""
    # one thread: the toy is too small to share out
    db = duckdb.connect(str(path), config={"threads": 1})
    db.execute(
        "CREATE TABLE sources (source_id INTEGER, name VARCHAR, kind VARCHAR, "
        "sha256 VARCHAR, superseded_by INTEGER)"
    )
    db.execute("INSERT INTO sources VALUES (?, 'toy', 'all', 'ab', NULL)", [source_id])
    for table in TABLES.values():
        columns = ", ".join(f'"{one.name}" {one.type}' for one in table.columns)
        db.execute(f"CREATE TABLE {table.name} (source_id INTEGER, {columns})")
        given = list(rows.get(table.name, []))
        if seed is not None:
            order = np.random.default_rng(seed).permutation(len(given))
            given = [given[i] for i in order]
        marks = ", ".join("?" for _ in table.columns)
        if given:
            db.executemany(
                f"INSERT INTO {table.name} VALUES ({source_id}, {marks})",  # noqa: S608
                [[row.get(one.name) for one in table.columns] for row in given],
            )
    return db
