"""Recipes: what is registered, in which order, and what a fault does to the rest."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_registry.errors import InputError, MalformedFileError, WorkspaceError
from data_registry.recipes import Recipe, read_recipe, register_recipe
from data_registry.store import open_store

RECIPES = Path(__file__).resolve().parents[2] / "benchmarks" / "recipes"

GFF = (
    "##gff-version 3\n"
    "chr1\tx\tgene\t11\t40\t.\t+\t.\tID=G1;biotype=protein_coding\n"
    "chr1\tx\tmRNA\t11\t40\t.\t+\t.\tID=G1.1;Parent=G1\n"
    "chr1\tx\texon\t11\t40\t.\t+\t.\tParent=G1.1\n"
    "chr1\tx\tCDS\t11\t40\t.\t+\t0\tParent=G1.1\n"
)
HEAD = 'name = "small"\n'
SOURCE = '[[source]]\npath = "{path}"\nkind = "{kind}"\nname = "{name}"\n{more}\n'


def source(path: str, kind: str, name: str, more: str = "") -> str:
    return SOURCE.format(path=path, kind=kind, name=name, more=more)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A genome, a gene, its symbol, a peak and an edge list that knows no gene."""
    folder = tmp_path / "data folder"
    folder.mkdir()
    bases = "ACGTACGTAC" + "ATG" + "GCC" * 8 + "TAA" + "ACGTACGTAC"
    (folder / "small.fa").write_text(f">chr1\n{bases}\n")
    (folder / "genes.gff3").write_text(GFF)
    (folder / "symbols.tsv").write_text("locus\tsymbol\nG1\tABC1\n")
    (folder / "peaks.bed").write_text("1\t1\t5\n1\t6\t9\n")
    (folder / "edges.tsv").write_text("tf\ttarget\nQ1\tQ2\n")
    (folder / "terms.tsv").write_text("ABC1\tGO:0008150\n")
    return folder


def write(data: Path, *parts: str, head: str = HEAD) -> Recipe:
    path = data.parent / "small.toml"
    path.write_text(head + "".join(parts))
    return read_recipe(path, data)


def whole(data: Path) -> Recipe:
    return write(
        data,
        source("terms.tsv", "gene_sets", "go"),
        source("peaks.bed", "intervals", "peaks", "options = { one_based = true }"),
        source("symbols.tsv", "aliases", "symbols"),
        source("genes.gff3", "annotation", "genes", 'licence = "CC0"'),
        source("small.fa", "genome", "small"),
    )


def statuses(outcomes) -> dict[str, str]:
    return {o.source.name: o.status for o in outcomes}


def test_genome_annotation_and_aliases_come_first(data, tmp_path):
    # The terms name the gene by a symbol that only the aliases know.
    recipe = whole(data)
    steps: list[str] = []
    with open_store(tmp_path / "w", write=True) as store:
        outcomes = register_recipe(store, recipe, on_step=steps.append)
        assert list(statuses(outcomes)) == ["small", "genes", "symbols", "go", "peaks"]
        assert set(statuses(outcomes).values()) == {"added"}
        found = store.connection.execute("SELECT gene_id, term_id FROM gene_terms")
        assert found.fetchall() == [("G1", "GO:0008150")]
        # one_based = true reached the parser as one_based=yes: base 1 is base 0
        peaks = store.connection.execute('SELECT start, "end" FROM intervals')
        assert peaks.fetchall() == [(0, 5), (5, 9)]
        assert store.source("genes").licence == "CC0"
    assert "2/5 genes: reading as annotation" in steps


def test_a_second_run_changes_nothing(data, tmp_path):
    recipe = whole(data)
    with open_store(tmp_path / "w", write=True) as store:
        register_recipe(store, recipe)
        before = store.sources(history=True)
        again = register_recipe(store, recipe)
        assert set(statuses(again).values()) == {"unchanged"}
        assert store.sources(history=True) == before
        (data / "peaks.bed").write_text("1\t1\t5\n")
        third = statuses(register_recipe(store, recipe))
        assert third.pop("peaks") == "added"
        assert set(third.values()) == {"unchanged"}


def test_the_rest_goes_on_after_a_failure(data, tmp_path):
    recipe = write(
        data,
        source("small.fa", "genome", "small"),
        source("genes.gff3", "annotation", "genes"),
        source("edges.tsv", "interactions", "edges"),
        source("gone.bed", "intervals", "gone"),
        source("peaks.bed", "intervals", "peaks"),
    )
    with open_store(tmp_path / "w", write=True) as store:
        outcomes = register_recipe(store, recipe)
        names = [s.name for s in store.sources()]
    assert statuses(outcomes) == {
        "small": "added", "genes": "added", "edges": "failed", "gone": "failed",
        "peaks": "added",
    }  # fmt: skip
    assert names == ["small", "genes", "peaks"]
    by_name = {o.source.name: o for o in outcomes}
    assert "none of its gene names" in by_name["edges"].error
    assert "gone.bed: no such file" in by_name["gone"].error
    with open_store(tmp_path / "w2", write=True) as store:
        stopped = register_recipe(store, recipe, keep_going=False)
    assert statuses(stopped) == {
        "small": "added", "genes": "added", "edges": "failed", "gone": "not_tried",
        "peaks": "not_tried",
    }  # fmt: skip
    assert stopped[-1].error == "edges failed before it"


def test_without_its_genome_nothing_is_tried(data, tmp_path):
    (data / "small.fa").write_text(">chr1\nACG!\n")
    with open_store(tmp_path / "w", write=True) as store:
        outcomes = register_recipe(store, whole(data))
        assert store.sources(history=True) == []
    assert [o.status for o in outcomes] == ["failed", *["not_tried"] * 4]
    assert "'!' is no base" in outcomes[0].error


def test_a_workspace_that_cannot_be_written_stops_the_run(data, tmp_path):
    with open_store(tmp_path / "w", write=True):
        pass
    with (
        open_store(tmp_path / "w") as store,  # opened to read
        pytest.raises(WorkspaceError, match="nothing was changed"),
    ):
        register_recipe(store, whole(data))


def test_options_can_name_files_of_the_data_and_of_the_recipe(data, tmp_path):
    (data.parent / "sizes.tsv").write_text("chr1\t50\n")
    (data / "pairs.txt").write_text("0\t1\t7\n")
    more = (
        'options = { chrom_sizes = "{recipe}/sizes.tsv", resolution = 10, '
        "index_base = 0 }"
    )
    recipe = write(
        data,
        source("small.fa", "genome", "small"),
        source("pairs.txt", "contacts", "pairs", more),
    )
    with open_store(tmp_path / "w", write=True) as store:
        outcomes = register_recipe(store, recipe)
        assert [o.error for o in outcomes] == ["", ""]
        found = store.connection.execute("SELECT start1, start2, count FROM contacts")
        assert found.fetchall() == [(0, 10, 7.0)]
        given = store.source("pairs").options["chrom_sizes"]
    assert given == str(data.parent / "sizes.tsv")


def test_files_that_are_listed_nowhere_are_found(data):
    skipped = '[[skipped]]\npath = "{}"\nreason = "why"\n'
    recipe = write(
        data,
        source("small.fa", "genome", "small"),
        source("jaspar:CORE/plants", "motifs", "jaspar"),
        skipped.format("edges.tsv"),
        skipped.format("none.txt"),
        head=HEAD + 'covers = ["."]\n',
    )
    assert recipe.unlisted() == ["genes.gff3", "peaks.bed", "symbols.tsv", "terms.tsv"]
    assert recipe.absent() == ["none.txt"]


GENOME = source("small.fa", "genome", "small")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not TOML"),
        ('name = "x"\n', "top of the recipe: no 'source'"),
        (HEAD + "colour = 1\n" + GENOME, "unknown key 'colour'"),
        (HEAD + "source = 3\n", "source = 3.*Give source as a list"),
        (HEAD + "source = [3]\n", "source number 1 is no table"),
        (HEAD + source("x", "fasta", "x"), r"number 1 \(x\): kind = 'fasta'. Kinds: "),
        (HEAD + '[[source]]\nkind = "genome"\nname = "x"\n', r"\(x\): no 'path'"),
        (HEAD + source("x", "genome", "x", "licence = 1"), "licence = 1.*a string"),
        (HEAD + source("x", "genome", "x", "options = { a = 1 }"), "no option 'a'"),
        (HEAD + source("x", "genome", "x", "options = { assembly = [] }"), r"= \[\]"),
        (
            HEAD + source("x", "genome", "x", 'options = { assembly = "{home}" }'),
            r"assembly = '\{home\}'. Placeholders: \{data\}, \{recipe\}",
        ),
        (HEAD + source("../x", "genome", "x"), "'../x' leaves the data folder"),
        (HEAD + source("/etc/x", "genome", "x"), "'/etc/x' leaves the data folder"),
        (HEAD + GENOME + GENOME, "name 'small' stands twice"),
        (HEAD + GENOME + '[[skipped]]\npath = "x"\n', "skipped number 1: no 'reason'"),
        (
            HEAD + GENOME + '[[skipped]]\npath = "small.fa"\nreason = "x"\n',
            "small.fa is a source and skipped",
        ),
        (HEAD + "covers = [1]\n" + GENOME, "covers holds 1"),
        (HEAD + 'covers = [".."]\n' + GENOME, "'..' leaves the data folder"),
    ],
)
def test_faults_name_the_file_and_the_key(tmp_path, text, message):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(MalformedFileError, match=message) as caught:
        read_recipe(path, tmp_path)
    assert str(caught.value).startswith(f"{path}: ")


def test_missing_folder_and_recipe(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        read_recipe(RECIPES / "yeast.toml", tmp_path / "none")
    with pytest.raises(MalformedFileError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml", tmp_path)


# --- the recipes that come with the benchmarks --------------------------------------

NAMES = ["yeast", "arabidopsis", "arabidopsis_region"]


@pytest.mark.realdata
@pytest.mark.parametrize("name", NAMES)
def test_every_real_file_is_a_source_or_skipped_with_a_reason(shared_data, name):
    recipe = read_recipe(RECIPES / f"{name}.toml", shared_data)
    assert recipe.covers == (name,)
    assert recipe.unlisted() == []
    assert recipe.absent() == []
    assert recipe.sources[0].kind == "genome"


@pytest.mark.realdata
def test_the_region_registers_whole(shared_data, tmp_path):
    recipe = read_recipe(RECIPES / "arabidopsis_region.toml", shared_data)
    with open_store(tmp_path / "w", write=True) as store:
        outcomes = register_recipe(store, recipe)
        assert [o.error for o in outcomes if o.error] == []
        genome = store.genome()
        starts = store.connection.execute(
            "SELECT DISTINCT contig, start FROM intervals "
            "JOIN sources USING (source_id) WHERE sources.name = 'dmr_by_accession'"
        ).fetchall()
        genes = store.connection.execute(
            'SELECT min(start), max("end"), count(*) FROM genes'
        ).fetchone()
    # Differentially methylated regions start at a cytosine of either strand: true of
    # 42 of 42 when the file counts from 1, of 26 when it is read as BED.
    assert len(starts) == 42
    assert {chr(genome.contig(c)[s]).upper() for c, s in starts} == {"C", "G"}
    # native coordinates, not those of the cut FASTA
    assert genes is not None
    assert genes[0] > 25_900_000


@pytest.mark.realdata
def test_duan_bins_number_the_chromosomes_in_numeric_order(shared_data):
    # The FASTA's order has chrIX fifth (44 bins); the matrix has 58 bins there: chrV.
    sizes = pd.read_csv(RECIPES / "sacCer3_numeric.sizes", sep="\t", header=None)
    bounds = np.cumsum(-(-sizes[1].to_numpy() // 10_000))
    assert bounds.tolist() == [24, 106, 138, 292, 350]
    lengths: dict[str, int] = {}
    with gzip.open(shared_data / "yeast/genome/sacCer3.fa.gz", "rt") as lines:
        for line in lines:
            if line.startswith(">"):
                name = line[1:].split()[0]
                lengths[name] = 0
            else:
                lengths[name] += len(line.strip())
    assert dict(zip(sizes[0], sizes[1], strict=True)) == {
        name: lengths[name] for name in sizes[0]
    }
    path = shared_data / "yeast/hic/duan.SC.10000.raw_sub.matrix.gz"
    i, j, count = pd.read_csv(path, sep="\t", header=None).to_numpy().T
    assert max(i.max(), j.max()) == 348  # 350 bins, the last one empty

    def across(bound: int) -> float:
        near = (i < bound) & (i >= bound - 5) & (j >= bound) & (j < bound + 5)
        return float(count[near].sum()) / 25

    inside = np.median([across(b) for b in range(30, 345) if b not in bounds])
    assert all(across(int(b)) < 0.5 * inside for b in bounds[:4])
    assert across(336) > 0.5 * inside  # where chrIX would end
