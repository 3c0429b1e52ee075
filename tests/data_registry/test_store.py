"""The store: counts by hand on a file of every kind, and the laws of adding."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from data_registry.errors import (
    ContigMappingError,
    GeneMappingError,
    InputError,
    MalformedFileError,
    MissingLayerError,
    WorkspaceError,
)
from data_registry.parsing import Parsed, Request, Tally
from data_registry.schema import TABLES
from data_registry.store import Store, open_store
from tests.data_registry import small_files
from tests.data_registry.small_files import dump, files_in, rows_of


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    small_files.build_workspace(folder)
    small_files.cases(folder)
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    """A copy of a workspace ``w`` with genome and genes, beside the small files."""
    return Path(shutil.copytree(prepared, tmp_path / "copy"))


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    with open_store(folder / "w", write=True) as store:
        yield store


def count(store: Store, table: str, source_id: int) -> int:
    found = store.connection.execute(
        f'SELECT count(*) FROM "{table}" WHERE source_id = ?',  # noqa: S608
        [source_id],
    ).fetchone()
    assert found
    return int(found[0])


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def bed(folder: Path, *rows: str, name: str = "x.bed") -> Path:
    return put(folder, name, "".join(row + "\n" for row in rows))


TEN = [f"chrI\t{i * 10}\t{i * 10 + 5}\tn{i}" for i in range(10)]


# --- counts --------------------------------------------------------------------------


def test_counts_of_every_kind_by_hand(folder, store):
    for case in small_files.cases(folder):
        added = store.add(case.path, kind=case.kind, options=case.options)
        source = added.source
        assert added.is_new
        assert (case.kind, source.rows_read) == (case.kind, case.read)
        assert (case.kind, source.left_out) == (case.kind, case.left_out)
        assert source.rows_read == source.rows_kept + sum(source.left_out.values())
        rows = {name: count(store, name, source.source_id) for name in TABLES}
        found = {name: n for name, n in rows.items() if n}
        assert (case.kind, found) == (case.kind, case.rows)
        listed = store.left_out(source)["reason"].value_counts()
        if case.kind != "track":  # counts contigs, which have no line
            assert {r: listed[r] for r in case.left_out} == case.left_out
        assert source.path == case.path.as_posix()
    assert store.verify() == []


def test_a_lost_row_is_listed_with_its_line_and_own_text(folder, store):
    path = bed(folder, *TEN, *TEN, "chrX\t1\t9\tlost", "chrII\t1995\t2001\tover")
    listed = store.left_out(store.add(path).source).to_dict("records")
    assert [(row["line"], row["reason"]) for row in listed] == [
        (22, "off_contig"),
        (21, "unknown_contig"),
    ]
    assert "chrII" in listed[0]["text"]
    assert "chrX" in listed[1]["text"]


def test_a_line_that_keeps_some_genes_is_kept_and_the_lost_ones_are_noted(
    folder, store
):
    path = put(folder, "s.gmt", "S1\td\tYAL001C\tnobody\nS2\td\tnobody\tnoone\n")
    source = store.add(path, kind="gene_sets").source
    assert (source.rows_read, source.rows_kept) == (2, 1)
    assert source.left_out == {"unknown_gene": 1}
    assert any("1 of 4 entries left out as unknown_gene" in n for n in source.notes)
    listed = store.left_out(source)
    assert dict(zip(listed["reason"], listed["line"], strict=True)) == {
        "unknown_gene": 2,
        "unknown_gene_in_kept_row": 1,
    }


def test_a_line_lost_for_two_reasons_is_counted_once(folder, store):
    store.add(
        put(folder, "a.tsv", "gene_id\talias\nYAL001C\tB\nYAL002W\tB\n"), kind="aliases"
    )
    path = put(folder, "s.gmt", "S1\td\tYAL001C\tYAL002W\nS2\td\tnobody\tB\n")
    source = store.add(path, kind="gene_sets").source
    assert source.rows_kept == 1
    assert sum(source.left_out.values()) == 1


def test_genes_off_the_assembly_take_their_parts_and_names_with_them(tmp_path):
    gff = small_files.gff_text({})
    gff += gff.splitlines()[1].replace("chrI", "chrQ").replace("YAL001C", "LOST") + "\n"
    with open_store(tmp_path / "w", write=True) as store:
        store.add(small_files.write_genome(tmp_path))
        source = store.add(put(tmp_path, "g.gff3", gff)).source
        assert source.left_out == {"unknown_contig": 1}
        assert sorted(store.gene_names().resolve(["LOST"]).unknown) == ["LOST"]
        for table in ("genes", "transcripts", "gene_aliases"):
            genes = store.connection.execute(f"SELECT gene_id FROM {table}").fetchall()  # noqa: S608
            assert {gene for (gene,) in genes} == set(small_files.GENES)


# --- names -----------------------------------------------------------------------


def test_contig_map_is_kept(store):
    assert store.source("genes").contig_map == {
        "I": "chrI", "II": "chrII", "chrIII": "chrIII",
    }  # fmt: skip
    spans = store.connection.execute(
        'SELECT gene_id, contig, start, "end" FROM genes ORDER BY gene_id'
    ).fetchall()
    assert spans == [
        (gene, contig, start - 1, end)
        for gene, (contig, start, end) in sorted(small_files.GENES.items())
    ]


def test_below_ninety_percent_both_name_lists_stand_side_by_side(folder, store):
    before = dump(store), files_in(folder / "w")
    path = bed(folder, *TEN[:8], "scaffold_7\t1\t2\ta", "scaffold_9\t1\t2\ta")
    with pytest.raises(ContigMappingError) as caught:
        store.add(path)
    message = str(caught.value)
    assert "only 8 of 10 rows" in message
    lines = [line.split() for line in message.splitlines()]
    assert ["scaffold_7", "chrI"] in lines
    assert ["scaffold_9", "chrII"] in lines
    assert ["chrIII"] in lines
    assert "--kind contig_synonyms" in message
    assert (dump(store), files_in(folder / "w")) == before


def test_ninety_percent_itself_is_enough(folder, store):
    source = store.add(bed(folder, *TEN[:9], "scaffold_7\t1\t2\ta")).source
    assert (source.rows_kept, source.left_out) == (9, {"unknown_contig": 1})


def test_names_given_as_synonyms_let_the_same_file_pass(folder, store):
    path = bed(folder, *[row.replace("chrI", "BK006935.2") for row in TEN])
    with pytest.raises(ContigMappingError):
        store.add(path)
    names = put(folder, "n.tsv", "contig\tsynonym\nBK006935.2\tone\tchrI\n")
    store.add(names)
    assert store.add(path).source.contig_map == {"BK006935.2": "chrI"}


def test_every_name_of_a_synonym_row_stands_for_the_assemblys_own(folder, store):
    """Only the third name of the row is ours: the first two are synonyms of it."""
    names = put(folder, "n.tsv", "contig\tsynonym\na\tb\tchrII\nchrI\tchrII\n")
    source = store.add(names).source
    assert source.left_out == {"names_several_contigs": 1}
    assert (source.rows_read, source.rows_kept) == (2, 1)
    assert store.contig_names().resolve(["a", "b"]) == {"a": "chrII", "b": "chrII"}


def test_an_assembly_report_is_read(folder, store):
    report = (
        "# Assembly name:  R64\n# Sequence-Name\tSequence-Role\tGenBank-Accn\t"
        "RefSeq-Accn\tUCSC-style-name\nI\tassembled-molecule\tBK006935.2\tNC_001133.9\t"
        "chrI\nXX\tassembled-molecule\tBK0.2\tna\tna\n"
    )
    source = store.add(put(folder, "report.txt", report)).source
    assert source.kind == "contig_synonyms"
    assert (source.rows_read, source.left_out) == (2, {"unknown_contig": 1})
    assert store.contig_names().resolve(["BK006935.2"]) == {"BK006935.2": "chrI"}


def test_another_build_is_told_by_rows_beyond_the_ends(folder, store):
    rows = [f"chrIII\t{i * 400}\t{i * 400 + 9}\tn" for i in range(10)]
    with pytest.raises(ContigMappingError, match=r"7 of 10 rows.*another build"):
        store.add(bed(folder, *rows))


def test_the_last_base_of_a_contig_is_on_it(folder, store):
    path = bed(folder, *TEN, "chrIII\t999\t1000\tlast", "chrIII\t1000\t1001\tbeyond")
    assert store.add(path).source.left_out == {"off_contig": 1}


def test_unknown_genes_stop_a_file_with_both_lists(folder, store):
    path = put(folder, "e.tsv", "gene_id\ts1\nAT1G01010\t1\nAT1G01020\t2\n")
    with pytest.raises(GeneMappingError) as caught:
        store.add(path, kind="expression", options={"unit": "tpm"})
    assert "AT1G01010" in str(caught.value)
    assert "YAL001C" in str(caught.value)


def test_missing_layers_say_how_to_add_them(tmp_path):
    with open_store(tmp_path / "w", write=True) as store:
        with pytest.raises(MissingLayerError, match=r"cisgraph add GENOME.fa"):
            store.genome()
        with pytest.raises(MissingLayerError, match=r"cisgraph add GENOME.fa"):
            store.add(bed(tmp_path, *TEN))
        store.add(small_files.write_genome(tmp_path))
        with pytest.raises(MissingLayerError, match=r"cisgraph add GENES.gff3"):
            store.add(put(tmp_path, "s.gmt", "S\td\tYAL001C\n"), kind="gene_sets")


def test_texts_of_traits_need_no_genes(tmp_path):
    with open_store(tmp_path / "w", write=True) as store:
        store.add(small_files.write_genome(tmp_path))
        path = put(tmp_path, "t.tsv", "subject_id\ttext\nheight\tcm of stem\n")
        added = store.add(path, kind="texts", options={"subject_kind": "phenotype"})
        assert added.source.rows_kept == 1


# --- laws of adding, superseding and removing -------------------------------------


def test_segments_are_mapped_and_may_have_no_place(folder, store):
    """A pangenome calls chrI "I"; what lies off the reference has no contig at all."""
    tags = "\tSN:Z:{}\tSO:i:{}\tSR:i:{}\n"
    rows = [("s1", "I", 0, 0), ("s2", "I", 4, 0), ("s3", "II", 1996, 0)]
    rows += [(f"t{i}", "I", 8 + 4 * i, 0) for i in range(20)]
    rows += [("s4", "strain", 0, 1)]  # another strain's bases: no place
    rows += [("s5", "II", 1997, 0)]  # its last base lies beyond the contig's end
    rows += [("s6", "plasmid", 0, 0)]  # not in this assembly
    path = put(
        folder,
        "x.gfa",
        "H\tVN:Z:1.0\n"
        + "".join(f"S\t{n}\tACGT" + tags.format(*place) for n, *place in rows)
        + "L\ts1\t+\ts6\t+\t0M\n",
    )
    source = store.add(path).source
    found = {
        name: place
        for name, *place in store.connection.execute(
            'SELECT segment_id, contig, "start" FROM segments'
        ).fetchall()
    }
    assert [found[f"s{i}"] for i in range(1, 7)] == [
        ["chrI", 0], ["chrI", 4], ["chrII", 1996],
        [None, None], [None, None], [None, None],
    ]  # fmt: skip
    assert source.left_out == {}
    assert source.rows_kept == source.rows_read == 27
    assert source.contig_map == {"I": "chrI", "II": "chrII"}
    (note,) = (note for note in source.notes if "without their place" in note)
    assert "2 of 26 rows" in note
    assert "1 unknown_contig, 1 off_contig" in note


def test_a_pangenome_of_another_assembly_is_refused(folder, store):
    path = put(folder, "x.gfa", "S\ts1\tACGT\tSN:Z:utg1\tSO:i:0\tSR:i:0\n")
    with pytest.raises(ContigMappingError, match="only 0 of 1 rows"):
        store.add(path)


def test_large_tables_are_loaded_in_batches(folder, store, monkeypatch):
    monkeypatch.setattr("data_registry.store._INSERTED_AT_ONCE", 3)
    store.add(bed(folder, *TEN))
    starts = store.connection.execute('SELECT "start" FROM intervals').fetchall()
    assert [start for (start,) in starts] == list(range(0, 100, 10))


def test_adding_twice_is_a_no_op(folder, store):
    path = bed(folder, *TEN)
    first = store.add(path)
    before = dump(store), files_in(folder / "w")
    again = store.add(path)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.source == first.source
    assert (dump(store), files_in(folder / "w")) == before


def test_the_same_bytes_under_another_path_are_a_no_op(folder, store):
    store.add(bed(folder, *TEN), name="cres")
    other = bed(folder, *TEN, name="renamed.bed")
    assert not store.add(other, name="cres").is_new


def test_the_same_bytes_read_otherwise_are_a_new_version(folder, store):
    path = bed(folder, *TEN)
    store.add(path)
    added = store.add(path, options={"interval_kind": "enhancer"})
    assert (added.is_new, added.source.version) == (True, 2)
    kinds = store.connection.execute("SELECT DISTINCT kind FROM intervals").fetchall()
    assert kinds == [("enhancer",)]
    assert store.verify() == []


def test_another_side_file_is_another_version(folder, store):
    """Groups of samples stand in a file of their own: the counts hang on it."""
    panel = small_files.cases(folder)[0].path
    groups = put(folder, "groups.tsv", "a\twild\nb\tcrop\n")
    options = {"groups": str(groups)}
    first = store.add(panel, options=options)
    assert not store.add(panel, options=options).is_new
    put(folder, "groups.tsv", "a\twild\nb\twild\n")
    second = store.add(panel, options=options)
    assert second.is_new
    assert second.superseded == first.source.source_id
    counted = store.connection.execute(
        "SELECT DISTINCT group_name, an FROM panel_frequencies ORDER BY ALL"
    ).fetchall()
    assert counted == [("", 4), ("wild", 4)]
    (kept,) = (name for name in second.source.files if name.startswith("option-"))
    stored = store.workspace.sources / second.source.sha256 / kept
    assert stored.read_text() == "a\twild\nb\twild\n"
    assert store.verify() == []
    stored.write_text("a\tcrop\n")
    assert [what for _, what in store.verify()] == [
        f"{stored} has changed since it was registered"
    ]


def test_a_new_version_supersedes_and_history_stays(folder, store):
    first = store.add(bed(folder, *TEN)).source
    second = store.add(bed(folder, *TEN[:4])).source
    third = store.add(bed(folder, *TEN[:3])).source
    assert [first.version, second.version, third.version] == [1, 2, 3]
    assert count(store, "intervals", first.source_id) == 0
    assert count(store, "intervals", second.source_id) == 0
    assert count(store, "intervals", third.source_id) == 3
    history = {s.source_id: s for s in store.sources(history=True)}
    assert history[first.source_id].superseded_by == second.source_id
    assert history[second.source_id].superseded_by == third.source_id
    assert history[first.source_id].rows_kept == 10
    assert [s.source_id for s in store.sources() if s.name == "x"] == [third.source_id]
    # the bytes of the older versions are still there
    for source in history.values():
        assert (folder / "w" / source.stored).is_file()


def test_going_back_to_old_bytes_gives_the_old_rows(folder, store):
    store.add(bed(folder, *TEN))
    rows = rows_of(store)
    store.add(bed(folder, *TEN[:4]))
    assert rows_of(store) != rows
    assert store.add(bed(folder, *TEN)).source.version == 3
    assert rows_of(store) == rows


def test_removing_and_adding_again_gives_the_same_rows(folder, store):
    empty, files = rows_of(store), files_in(folder / "w")
    for case in small_files.cases(folder):
        store.add(case.path, kind=case.kind, options=case.options)
    rows = rows_of(store)
    names = [s.name for s in store.sources() if s.name not in {"genome", "genes"}]
    for name in reversed(names):
        assert store.remove(name).name == name
    assert rows_of(store) == empty
    assert files_in(folder / "w") == files
    assert {s.name for s in store.sources(history=True)} >= set(names)
    for case in small_files.cases(folder):
        added = store.add(case.path, kind=case.kind, options=case.options)
        assert added.source.version == 2
    assert rows_of(store) == rows


def test_order_of_independent_sources_does_not_change_the_rows(prepared, tmp_path):
    kinds = {"intervals", "gwas", "motifs", "contacts", "expression"}
    found = []
    for step in (1, -1):
        folder = Path(shutil.copytree(prepared, tmp_path / f"copy{step}"))
        with open_store(folder / "w", write=True) as store:
            for case in small_files.cases(folder)[::step]:
                if case.kind in kinds:
                    store.add(case.path, kind=case.kind, options=case.options)
            found.append(rows_of(store))
    assert found[0] == found[1]


def test_the_genome_stays_while_layers_lie_on_it(folder, store):
    with pytest.raises(InputError, match="1 layers lie on genome"):
        store.remove("genome")
    with pytest.raises(InputError, match="one workspace is one assembly"):
        store.add(put(folder, "other.fa", ">chrI\nACGT\n"))
    with pytest.raises(InputError, match="contigs or lengths differ"):
        store.add(put(folder, "genome.fa", ">chrI\nACGT\n"))
    assert not (folder / "w" / "tmp").exists() or not list(
        (folder / "w" / "tmp").iterdir()
    )
    store.remove("genes")
    store.remove("genome")
    assert store.sources() == []
    assert not any(files_in(folder / "w"))


def test_a_name_belongs_to_one_kind(folder, store):
    store.add(bed(folder, *TEN), name="thing")
    path = put(folder, "m.tsv", "gene_id\tsymbol\nYAL001C\tX\n")
    with pytest.raises(InputError, match=r"registered as intervals; give .* --name"):
        store.add(path, kind="aliases", name="thing")


def test_an_unknown_source_lists_the_known_ones(store):
    with pytest.raises(InputError, match=r"no source 'x'.*genome, genes"):
        store.remove("x")


def test_options_are_checked_before_anything_is_read(folder, store):
    with pytest.raises(InputError, match=r"has no option colour; it takes: .*sample"):
        store.add(bed(folder, *TEN), options={"colour": "red"})


def test_licence_and_citation_are_kept(store):
    assert store.source("genes").citation == "nobody, 2026"


def test_a_link_is_named_by_its_own_name(folder, store):
    bed(folder, *TEN, name="9f8e7d")
    (folder / "peaks.bed").symlink_to("9f8e7d")
    assert store.add(folder / "peaks.bed").source.name == "peaks"


# --- verify, sweep, damage --------------------------------------------------------


@pytest.mark.parametrize("name", ["x.bed", "genome.fa", "genome.fa.fai", "genes.gff3"])
def test_verify_finds_one_changed_byte(name, folder, store):
    store.add(bed(folder, *TEN))
    assert store.verify() == []
    (path,) = (folder / "w" / "sources").glob(f"*/{name}")
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(bytes(data))
    ((source, fault),) = store.verify()
    assert f"{name} has changed" in fault
    assert name in source.files
    path.unlink()
    ((_, fault),) = store.verify()
    assert f"{name} is missing" in fault


def test_the_writers_leftovers_are_swept(folder):
    workspace = folder / "w"
    before = files_in(workspace)
    (workspace / "tmp").mkdir(exist_ok=True)
    (workspace / "tmp" / "half.fa").write_text("x")
    (workspace / "sources" / ("0" * 64)).mkdir()
    (workspace / "sources" / ("0" * 64) / "x.bed").write_text("x")
    known = next(p for p in (workspace / "sources").iterdir() if p.name[:3] != "000")
    (known / ".writing-abc").write_text("half")
    (known / "folder").mkdir()
    with open_store(workspace, write=True) as store:
        assert store.verify() == []
    assert files_in(workspace) == before


def test_an_empty_registry_says_what_to_do(tmp_path):
    import duckdb

    duckdb.connect(str(tmp_path / "registry.duckdb")).close()
    with (
        pytest.raises(WorkspaceError, match=r"cisgraph add GENOME.fa"),
        open_store(tmp_path),
    ):
        pass


@pytest.mark.parametrize("write", [True, False])
def test_a_registry_of_another_version_is_told(write, folder):
    import duckdb

    with duckdb.connect(str(folder / "w" / "registry.duckdb")) as connection:
        connection.execute("ALTER TABLE sources DROP COLUMN notes")
    before = files_in(folder / "w")
    with (
        pytest.raises(WorkspaceError, match="written by another version"),
        open_store(folder / "w", write=write),
    ):
        pass
    assert files_in(folder / "w") == before


def test_a_failing_load_leaves_nothing(folder, store, monkeypatch):
    """The table before the last is written when the fault comes."""
    before = dump(store), files_in(folder / "w")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "_insert", fail)
    with pytest.raises(WorkspaceError, match="free some space"):
        store.add(bed(folder, *TEN))
    assert (dump(store), files_in(folder / "w")) == before
    monkeypatch.undo()
    assert store.add(bed(folder, *TEN)).is_new


def test_dropping_counts_lines_not_rows():
    """Six rows of three lines: line 1 keeps one, line 2 none, line 3 both."""
    table = pd.DataFrame({"gene_id": list("abcdef"), "_line": [1, 1, 2, 2, 3, 3]})
    parsed = Parsed({"gene_terms": table}, Tally(read=3))
    lost = {
        "ambiguous_gene": (table["gene_id"] == "c").to_numpy(),
        "unknown_gene": table["gene_id"].isin(["b", "d"]).to_numpy(),
    }
    Store._drop(parsed, "gene_terms", lost, ("gene_id",))
    assert parsed.tally.left_out == {"ambiguous_gene": 1}
    assert parsed.tally.kept == 2
    assert [(e.line, e.reason, e.text) for e in parsed.tally.examples] == [
        (2, "ambiguous_gene", "c"),
        (1, "unknown_gene_in_kept_row", "b"),
    ]


def test_parsers_that_give_foreign_columns_are_caught(folder, store, monkeypatch):
    from data_registry.kinds import KINDS
    from data_registry.parsing import Kind

    def parse(_: Request) -> Parsed:
        table = pd.DataFrame({"term_id": ["a"], "colour": ["red"], "_line": [1]})
        return Parsed({"terms": table}, Tally(read=1))

    kind = Kind("odd", "odd", lambda _p, _h: False, parse, ("terms",))
    monkeypatch.setitem(KINDS, "odd", kind)
    before = dump(store), files_in(folder / "w")
    with pytest.raises(Exception, match="colour"):
        store.add(bed(folder, *TEN), kind="odd")
    assert (dump(store), files_in(folder / "w")) == before


def test_a_file_without_rows_is_refused(folder, store):
    path = put(folder, "e.bed", "# only a comment\ntrack name=x\n")
    with pytest.raises(MalformedFileError):
        store.add(path, kind="intervals")


@pytest.mark.realdata
def test_yeast_contigs_are_mapped_between_ucsc_and_ensembl(shared_data, tmp_path):
    yeast = shared_data / "yeast"
    with open_store(tmp_path / "w", write=True) as store:
        store.add(next((yeast / "genome").glob("sacCer3.fa.gz")))
        source = store.add(next((yeast / "annotation").glob("*R64*gff3.gz"))).source
        assert source.contig_map["I"] == "chrI"
        assert source.contig_map["X"] == "chrX"
        assert source.contig_map["Mito"] == "chrM"
        assert len(source.contig_map) == 17
        assert source.rows_read == source.rows_kept + sum(source.left_out.values())
        assert "unknown_contig" not in source.left_out
        assert store.verify() == []
