"""The graph of the toy registry by hand, and the laws of building."""

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_registry.errors import InputError, WorkspaceError
from data_registry.schema import TABLES
from graph_builder.build import STEPS, build_graph
from graph_builder.manifest import current_graph
from graph_builder.parameters import BuildParameters
from graph_builder.schema import EDGE_TYPES, NODE_TYPES, TYPES
from graph_builder.validation import validate
from tests.graph_builder.toy import ROWS, ToyGenome, make_registry

ROOT = Path(__file__).parents[2]


def nodes(graph, name):
    return {row["identifier"]: row for row in graph.table(name).to_pylist()}


def edges(graph, name):
    """Edges by the identifiers of their ends."""
    kind = EDGE_TYPES[name]
    source = graph.table(kind.source)["identifier"].to_pylist()
    target = graph.table(kind.target)["identifier"].to_pylist()
    return {
        (source[row["source"]], target[row["target"]], *(row[k] for k in kind.key)): row
        for row in graph.table(name).to_pylist()
    }


# --------------------------------------------------------------------------------
# worked out by hand from ROWS


def test_genes(toy_graph):
    genes = nodes(toy_graph, "gene")
    assert list(genes) == ["g1", "g2", "g3", "g4"]
    g1 = genes["g1"]
    assert (g1["tss"], genes["g2"]["tss"]) == (2000, 6999)
    assert (g1["n_transcripts"], g1["cds_length_bp"]) == (2, 600)
    # means 3, 6, 3.2 and 3: two of four genes are at most 3
    assert [one["expression_percentile"] for one in genes.values()] == [
        0.5, 1.0, 0.75, 0.5,
    ]  # fmt: skip
    assert (g1["n_orthologs"], g1["ka_ks"]) == (2, pytest.approx(0.3))
    assert genes["g3"]["ka_ks"] is None


def test_elements(toy_graph):
    cres = nodes(toy_graph, "cre")
    assert set(cres) == {
        "c1:1501-1900:peak",
        "c1:5001-5200:peak",
        "c1:1001-2200:promoter:derived",
        "c1:6801-8000:promoter:derived",
        "c1:11001-12200:promoter:derived",
        "c2:1-1200:promoter:derived",
    }
    merged = cres["c1:1501-1900:peak"]
    assert (merged["start"], merged["end"], merged["n_intervals"]) == (1500, 1900, 2)
    # 4 over the median 3 of s1, none in s2
    assert merged["activity"] == pytest.approx(4 / 3 / 2)
    assert cres["c1:5001-5200:peak"]["activity"] == 0.5
    assert cres["c2:1-1200:promoter:derived"]["activity"] == 0
    assert merged["chromatin_state"] == "open"  # 300 bp against 100


def test_variants(toy_graph):
    variants = nodes(toy_graph, "variant")
    assert set(variants) == {
        "c1:1603:T:C", "c1:1991:-:G", "c1:2151:.:.", "c1:2501:A:-", "c1:2951:A:G",
    }  # fmt: skip
    both = variants["c1:1603:T:C"]  # GWAS wrote it C > T; the genome reads T
    assert (both["from_association"], both["from_panel"]) == (True, True)
    assert both["allele_frequency"] == 0.3  # the group is part of the whole
    assert {name: one["kind"] for name, one in variants.items()} == {
        "c1:1603:T:C": "snv",
        "c1:1991:-:G": "insertion",
        "c1:2151:.:.": "unknown",
        "c1:2501:A:-": "deletion",
        "c1:2951:A:G": "snv",
    }
    assert toy_graph.nodes["variant"].left_out == {
        "p_value_above_limit": 1,
        "panel_allele_outside_genes_and_cres": 1,
    }
    hits = edges(toy_graph, "variant__associated_with__phenotype")
    assert hits["c1:1603:T:C", "height"]["beta"] == -2.0
    assert hits["c1:2151:.:.", "height"]["beta"] == 1.0


def test_factors(toy_graph):
    tfs = nodes(toy_graph, "tf")
    assert set(tfs) == {"g1", "g2", "XYZ"}
    assert tfs["g1"]["names"] == "ABF\tabf\tg1"
    assert (tfs["g1"]["name"], tfs["g1"]["family"]) == ("ABF", "bZIP")
    assert set(edges(toy_graph, "tf__encoded_by__gene")) == {("g1", "g1"), ("g2", "g2")}
    bound = edges(toy_graph, "tf__binds__cre")
    assert {pair: (e["signal"], e["n_sites"]) for pair, e in bound.items()} == {
        ("g1", "c1:1501-1900:peak"): (7.0, 2),
        ("g1", "c1:1001-2200:promoter:derived"): (7.0, 2),
    }
    assert toy_graph.edges["tf__binds__cre"].left_out == {"site_outside_elements": 1}


def test_motifs(toy_graph):
    hits = edges(toy_graph, "tf__motif_in__cre")
    assert set(hits) == {
        ("g1", "c1:1001-2200:promoter:derived", "M1"),
        ("g1", "c1:1501-1900:peak", "M1"),
    }
    for hit in hits.values():
        assert (hit["hit_start"], hit["hit_end"], hit["hit_strand"]) == (
            1600,
            1608,
            "+",
        )
        assert hit["p_value"] == pytest.approx(4**-8)
    changes = edges(toy_graph, "variant__in__cre")
    lost = changes["c1:1603:T:C", "c1:1501-1900:peak"]
    assert (lost["n_motifs_gained"], lost["n_motifs_lost"]) == (0, 1)
    assert lost["motif_change"] < -8
    assert (lost["motif_id"], lost["offset_bp"]) == ("M1", 102)
    unknown = changes["c1:2151:.:.", "c1:1001-2200:promoter:derived"]
    assert unknown["n_motifs_lost"] is None


def test_variants_and_genes(toy_graph):
    near = edges(toy_graph, "variant__near__gene")
    place = {pair: one["location"] for pair, one in near.items()}
    assert place == {
        ("c1:1603:T:C", "g1"): "upstream",
        ("c1:1991:-:G", "g1"): "upstream",
        ("c1:2151:.:.", "g1"): "cds",
        ("c1:2501:A:-", "g1"): "intron",
        ("c1:2951:A:G", "g1"): "utr3",
        # through elements linked to g4, the only gene besides with activity in reach
        ("c1:1603:T:C", "g4"): "distal",
        ("c1:1991:-:G", "g4"): "distal",
        ("c1:2151:.:.", "g4"): "distal",
    }
    links = edges(toy_graph, "gene__linked_to__cre")
    one = near["c1:1603:T:C", "g1"]
    assert one["distance_bp"] == 2000 - 1602
    assert one["regulatory_potential"] == max(
        links["g1", "c1:1501-1900:peak"]["score"],
        links["g1", "c1:1001-2200:promoter:derived"]["score"],
    )
    assert one["contact_oe"] == 1.5  # bins 1 and 2: 6 contacts, mean (6 + 2) / 2
    assert near["c1:2501:A:-", "g1"]["regulatory_potential"] is None
    assert one["consequence"] is None


def test_links(toy_graph):
    links = edges(toy_graph, "gene__linked_to__cre")
    # g2: the peak at 5,000 in the next bin, 2 contacts, mean 4; own promoter inactive
    g2 = links["g2", "c1:5001-5200:peak"]
    assert (g2["evidence"], g2["distance_bp"]) == ("activity_by_contact", 6999 - 5199)
    assert (g2["contact"], g2["contact_oe"], g2["score"]) == (0.5, 0.5, 1.0)
    assert links["g1", "c1:1501-1900:peak"]["evidence"] == "activity_by_distance"
    assert toy_graph.edges["gene__linked_to__cre"].left_out == {
        "link_below_min_score": 6
    }


def test_gene_pairs(toy_graph):
    physical = edges(toy_graph, "gene__physical__gene")
    assert list(physical) == [("g1", "g2")]
    one = physical["g1", "g2"]
    assert (one["score"], one["n_evidence"], one["evidence"]) == (0.9, 2, "apms;y2h")
    assert toy_graph.edges["gene__physical__gene"].left_out == {
        "gene_not_in_annotation": 1
    }
    assert list(edges(toy_graph, "gene__complex__gene")) == [("g3", "g4")]
    assert list(edges(toy_graph, "gene__genetic__gene")) == [("g1", "g3")]
    regulation = edges(toy_graph, "gene__regulates__gene")
    assert {pair: e["sign"] for pair, e in regulation.items()} == {
        ("g1", "g3"): 0,  # both signs are claimed
        ("g2", "g4"): -1,
    }
    assert set(edges(toy_graph, "tf__regulates__gene")) == set(regulation)
    correlated = edges(toy_graph, "gene__coexpressed__gene")
    assert {key: e["mutual_rank"] for key, e in correlated.items()} == {
        ("g1", "g2", "lines"): 1.0,
        ("g1", "g3", "lines"): pytest.approx(np.sqrt(2)),  # second for g1, first for g3
        ("g2", "g3", "lines"): 2.0,
        ("g1", "g4", "(registered)"): None,
    }
    assert correlated["g1", "g2", "lines"]["correlation"] == 1.0


def test_pathways(toy_graph):
    assert set(nodes(toy_graph, "pathway")) == {"T:1", "T:2", "T:3"}
    members = edges(toy_graph, "gene__member_of__pathway")
    assert members["g1", "T:2"]["evidence"] == "IDA;IMP"
    assert members["g1", "T:2"]["relevance"] == pytest.approx(np.log(4 / 3))
    assert members["g4", "T:3"]["relevance"] == pytest.approx(np.log(4))
    assert set(edges(toy_graph, "pathway__related_to__pathway")) == {
        ("T:2", "T:1", "is_a")
    }
    shared = edges(toy_graph, "pathway__shares_genes__pathway")
    assert shared["T:1", "T:2"]["similarity"] == 1.0


def test_texts_and_phenotypes(toy_graph):
    titles = toy_graph.table("text")["title"].to_pylist()
    described = toy_graph.table("gene__described_by__text").to_pylist()
    assert {titles[e["target"]]: e["source_kind"] for e in described} == {
        "a": "registered",
        None: "description",
    }
    record = toy_graph.edges["gene__described_by__text"]
    assert record.left_out == {"text_about_unknown_subject": 1}
    assert toy_graph.edges["phenotype__described_by__text"].count == 1
    assert toy_graph.edges["pathway__described_by__text"].count == 1
    assert nodes(toy_graph, "phenotype")["height"]["n_samples"] == 2
    acts = edges(toy_graph, "gene__associated_with__phenotype")
    assert acts["g1", "height"]["score"] == 0.7


def test_bins(toy_graph):
    assert list(nodes(toy_graph, "contact_bin")) == [
        "c1:1001-2000", "c1:2001-3000", "c1:5001-6000", "c1:6001-7000",
    ]  # fmt: skip
    contacts = edges(toy_graph, "contact_bin__contacts__contact_bin")
    assert {pair: (e["contact_oe"], e["loop"]) for pair, e in contacts.items()} == {
        ("c1:1001-2000", "c1:2001-3000"): (1.5, False),
        ("c1:1001-2000", "c1:6001-7000"): (0.0, True),
    }
    in_bins = edges(toy_graph, "cre__in__contact_bin")
    assert {pair: e["overlap_bp"] for pair, e in in_bins.items()} == {
        ("c1:1001-2200:promoter:derived", "c1:1001-2000"): 1000,
        ("c1:1001-2200:promoter:derived", "c1:2001-3000"): 200,
        ("c1:1501-1900:peak", "c1:1001-2000"): 400,
        ("c1:5001-5200:peak", "c1:5001-6000"): 200,
        ("c1:6801-8000:promoter:derived", "c1:6001-7000"): 200,
    }


# --------------------------------------------------------------------------------
# laws


def test_every_type_of_the_design_is_built_and_reads_only_what_came_before(toy_graph):
    assert list(STEPS) == list(TYPES)
    assert len(NODE_TYPES) == 8
    assert len(EDGE_TYPES) >= 14
    known = list(TYPES)
    for name, kind in TYPES.items():
        assert set(kind.inputs.types) <= set(known[: known.index(name)])
        for table, columns in kind.inputs.tables.items():
            if table in TABLES:
                assert set(columns) <= set(TABLES[table].names)
    assert toy_graph.missing == ()
    assert all(record.count for record in toy_graph.types.values())


def test_digests_do_not_depend_on_order_source_numbers_or_time(
    toy_graph, toy_genome, tmp_path
):
    for seed in (1, 2):
        registry = make_registry(ROWS, source_id=seed + 40, seed=seed)
        again = build_graph(registry, toy_genome, tmp_path / str(seed))
        assert again.digest == toy_graph.digest
        assert [r.input_digest for r in again.types.values()] == [
            r.input_digest for r in toy_graph.types.values()
        ]


def test_a_second_build_takes_everything_over(toy_genome, tmp_path):
    first = build_graph(make_registry(ROWS), toy_genome, tmp_path)
    second = build_graph(make_registry(ROWS, seed=4), toy_genome, tmp_path)
    assert {step.state for step in second.steps} == {"reused"}
    assert (second.digest, second.path) == (first.digest, first.path)
    assert current_graph(tmp_path) == first.path
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["CURRENT", first.path.name]
    )


# one changed row per table, and types that must be taken over all the same
CHANGES = {
    "contigs": ("length", 15_000),
    "genes": ("start", 1900),
    "gene_aliases": ("alias", "XYZ"),
    "transcripts": ("gene_id", "g4"),
    "features": ("end", 2450),
    "intervals": ("end", 1950),
    "tf_sites": ("start", 1000),
    "motifs": ("tf", "Zinc2"),
    "contacts": ("count", 11.0),
    "expression": ("value", 9.0),
    "interactions": ("gene_a", "g4"),
    "terms": ("definition", "other words"),
    "term_relations": ("kind", "part_of"),
    "gene_terms": ("gene_id", "g4"),
    "phenotypes": ("name", "size"),
    "phenotype_values": ("sample_id", "l1"),
    "gene_phenotypes": ("score", 0.1),
    "associations": ("beta", 5.0),
    "variant_scores": ("start", 2900),
    "panel_frequencies": ("ac", 7),
    "orthologs": ("ka", 0.3),
    "texts": ("text", "another"),
}
UNTOUCHED = {
    "interactions": {"gene", "cre", "variant", "tf__motif_in__cre", "text"},
    "contacts": {"gene", "cre", "tf", "tf__motif_in__cre", "gene__member_of__pathway"},
    "texts": set(TYPES) - {
        "text", "gene__described_by__text", "phenotype__described_by__text",
        "pathway__described_by__text",
    },
    "expression": set(TYPES) - {"gene", "gene__coexpressed__gene"},
    "associations": {"gene", "cre", "tf", "tf__motif_in__cre", "gene__linked_to__cre"},
}  # fmt: skip


@pytest.fixture(scope="module")
def built_before(tmp_path_factory, toy_genome):
    out = tmp_path_factory.mktemp("before")
    build_graph(make_registry(ROWS), toy_genome, out)
    return out


@pytest.mark.parametrize("table", sorted(CHANGES))
def test_an_incremental_build_equals_a_full_one(
    table, rows, toy_genome, built_before, tmp_path
):
    column, value = CHANGES[table]
    rows[table][0][column] = value
    shutil.copytree(built_before, tmp_path / "graphs")
    registry = make_registry(rows)
    quick = build_graph(registry, toy_genome, tmp_path / "graphs")
    whole = build_graph(registry, toy_genome, tmp_path / "new")
    assert quick.digest == whole.digest
    assert {r.digest for r in quick.types.values()} == {
        r.digest for r in whole.types.values()
    }
    reused = {step.type for step in quick.steps if step.state == "reused"}
    assert reused >= UNTOUCHED.get(table, set())
    assert reused < set(TYPES)


def test_every_table_that_is_read_is_changed_above():
    read = {table for kind in TYPES.values() for table in kind.inputs.tables}
    assert read - {"variant_consequences"} == set(CHANGES)


def test_a_changed_sequence_rebuilds_what_reads_it(built_before, tmp_path):
    shutil.copytree(built_before, tmp_path / "graphs")
    genome = ToyGenome()
    genome.bases["c1"][5050:5058] = np.frombuffer(b"CGTGACCA", np.uint8)
    quick = build_graph(make_registry(ROWS), genome, tmp_path / "graphs")
    assert len(edges(quick, "tf__motif_in__cre")) == 3
    built = {step.type for step in quick.steps if step.state == "built"}
    assert "gene__linked_to__cre" not in built
    assert (
        quick.digest
        == build_graph(make_registry(ROWS), genome, tmp_path / "new").digest
    )


def test_parameters_rebuild_the_steps_that_name_them(
    built_before, toy_genome, tmp_path
):
    shutil.copytree(built_before, tmp_path / "graphs")
    wide = BuildParameters(near_gene_bp=0)
    quick = build_graph(
        make_registry(ROWS), toy_genome, tmp_path / "graphs", parameters=wide
    )
    built = {step.type for step in quick.steps if step.state == "built"}
    assert built == {"variant__near__gene"}
    assert quick.digest != current_graph(built_before).name


def test_registered_consequences_are_carried(rows, toy_genome, tmp_path):
    registry = make_registry(rows)
    registry.execute(
        "CREATE TABLE variant_consequences (contig VARCHAR, start BIGINT, ref VARCHAR, "
        "alt VARCHAR, gene_id VARCHAR, consequence VARCHAR, impact VARCHAR)"
    )
    registry.execute("""
        INSERT INTO variant_consequences VALUES
        ('c1', 2950, 'A', 'G', 'g1', 'synonymous_variant', 'LOW'),
        ('c1', 2950, 'A', 'G', 'g1', 'missense_variant', 'MODERATE')
    """)
    graph = build_graph(registry, toy_genome, tmp_path)
    one = edges(graph, "variant__near__gene")["c1:2951:A:G", "g1"]
    assert (one["consequence"], one["impact"]) == ("missense_variant", "MODERATE")


def test_missing_layers_leave_their_types_empty_and_say_so(rows, toy_genome, tmp_path):
    only = {"genes": rows["genes"], "contigs": rows["contigs"]}
    graph = build_graph(make_registry(only), toy_genome, tmp_path)
    assert graph.edges["gene__linked_to__cre"].count > 0  # derived promoters
    missing = {one.type: one for one in graph.missing}
    assert set(missing) == {n for n, r in graph.types.items() if not r.count}
    assert missing["contact_bin"].problem == "nothing in tables contacts"
    assert missing["gene__physical__gene"].problem == "nothing in tables interactions"
    assert missing["variant__near__gene"].problem == "nothing in type variant"
    assert ".cool" in missing["contact_bin"].remedy
    links = edges(graph, "gene__linked_to__cre")
    assert {one["evidence"] for one in links.values()} == {"distance"}
    empty = build_graph(make_registry({}), None, tmp_path)
    assert len(empty.missing) == len(TYPES)
    assert validate(empty.path) == []


def test_limits_are_counted(rows, toy_genome, tmp_path):
    few = BuildParameters(max_panel_variants=1, motif_max_bp=500)
    graph = build_graph(make_registry(rows), toy_genome, tmp_path, parameters=few)
    assert graph.nodes["variant"].left_out["panel_alleles_beyond_limit"] == 2
    assert graph.edges["tf__motif_in__cre"].left_out["element_beyond_scan_limit"] > 0


def test_without_a_genome_the_rest_is_built(rows, tmp_path):
    graph = build_graph(make_registry(rows), None, tmp_path)
    assert graph.edges["tf__motif_in__cre"].count == 0
    assert "c1:1603:C:T" in nodes(graph, "variant")  # as the GWAS table wrote it
    assert graph.edges["gene__linked_to__cre"].count > 0


def test_repeated_genes_keep_one_place(rows, toy_genome, tmp_path):
    rows["genes"].append({**rows["genes"][0], "start": 9000, "end": 9500})
    graph = build_graph(make_registry(rows), toy_genome, tmp_path)
    assert nodes(graph, "gene")["g1"]["start"] == 2000
    assert graph.nodes["gene"].left_out == {"repeated_gene_id": 1}


def test_odd_parameters_are_refused():
    with pytest.raises(InputError, match="decay_floor_bp is 0"):
        BuildParameters(decay_floor_bp=0)
    with pytest.raises(InputError, match="fewer samples give no usable correlation"):
        BuildParameters(coexpression_min_samples=3)


# --------------------------------------------------------------------------------
# folders


def test_the_registry_is_only_read(rows, toy_genome, tmp_path):
    import duckdb

    path = tmp_path / "registry.duckdb"
    make_registry(rows, path=path).close()
    before = path.read_bytes()
    with duckdb.connect(str(path), read_only=True) as db:
        build_graph(db, toy_genome, tmp_path / "graph")
        assert db.execute("SELECT count(*) FROM genes").fetchall() == [(4,)]
    assert path.read_bytes() == before


KILLED = """
import sys
sys.path.insert(0, {root!r})
from tests.graph_builder.toy import ROWS, ToyGenome, make_registry
from graph_builder.build import build_graph
from pathlib import Path
import time

def stop(event):
    if event.type == "tf__binds__cre":
        print("half way", flush=True)
        time.sleep(60)

rows = dict(ROWS, texts=[])
build_graph(make_registry(rows), ToyGenome(), Path({out!r}), on_step=stop)
"""


def test_a_killed_build_leaves_the_old_graph(toy_genome, tmp_path):
    first = build_graph(make_registry(ROWS), toy_genome, tmp_path)
    program = KILLED.format(root=str(ROOT), out=str(tmp_path))
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "half way\n"
        half = list(tmp_path.glob(".building-*"))
        # a build beside it does not disturb the running one
        build_graph(make_registry(ROWS), toy_genome, tmp_path)
        assert half == list(tmp_path.glob(".building-*"))
        os.kill(child.pid, signal.SIGKILL)
    assert current_graph(tmp_path) == first.path
    assert validate(first.path) == []
    build_graph(make_registry(ROWS), toy_genome, tmp_path)
    assert list(tmp_path.glob(".building-*")) == []


def test_a_damaged_file_is_not_taken_over(toy_genome, tmp_path):
    first = build_graph(make_registry(ROWS), toy_genome, tmp_path)
    target = first.path / "edges" / "gene__physical__gene.parquet"
    target.write_bytes(target.read_bytes()[:-7] + b"damaged")
    assert validate(first.path)
    second = build_graph(make_registry(ROWS), toy_genome, tmp_path)
    assert [s.type for s in second.steps if s.state == "built"] == [
        "gene__physical__gene"
    ]
    assert second.digest == first.digest
    assert validate(second.path) == []


def test_a_damaged_manifest_means_a_full_build(toy_genome, tmp_path):
    first = build_graph(make_registry(ROWS), toy_genome, tmp_path)
    (first.path / "manifest.json").write_text("{")
    with pytest.raises(WorkspaceError, match=r"remove .* and build again"):
        validate(first.path)
    second = build_graph(make_registry(ROWS), toy_genome, tmp_path)
    assert {s.state for s in second.steps} == {"built"}
    assert second.digest == first.digest


def test_a_folder_that_cannot_be_written_is_named(rows, toy_genome, tmp_path):
    place = tmp_path / "file"
    place.write_text("in the way")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        build_graph(make_registry(rows), toy_genome, place)


def test_a_full_disk_leaves_nothing_behind(rows, toy_genome, tmp_path, monkeypatch):
    first = build_graph(make_registry(rows), toy_genome, tmp_path)
    rows["texts"] = []

    def fail(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("graph_builder.build.pq.write_table", fail)
    with pytest.raises(WorkspaceError, match="No space left on device"):
        build_graph(make_registry(rows), toy_genome, tmp_path)
    assert list(tmp_path.glob(".building-*")) == []
    assert current_graph(tmp_path) == first.path


def test_progress_is_told_step_by_step(rows, toy_genome, tmp_path):
    events = []
    graph = build_graph(
        make_registry(rows), toy_genome, tmp_path, on_step=events.append
    )
    assert [(e.type, e.state != "started") for e in events] == [
        (name, done) for name in TYPES for done in (False, True)
    ]
    assert events[-1].index == events[-1].total == len(TYPES)
    assert [e.count for e in events[1::2]] == [r.count for r in graph.types.values()]


def test_the_manifest_file_holds_what_was_built(toy_graph):
    content = json.loads((toy_graph.path / "manifest.json").read_text())
    assert content["digest"] == toy_graph.digest
    assert content["sources"] == [{"name": "toy", "kind": "all", "sha256": "ab"}]
    assert content["nodes"]["gene"]["count"] == 4
    assert content["parameters"]["promoter_upstream_bp"] == 1000


def test_sources_superseded_are_not_listed(rows, toy_genome, tmp_path):
    registry = make_registry(copy.deepcopy(rows))
    registry.execute("INSERT INTO sources VALUES (2, 'old', 'all', 'cd', 1)")
    graph = build_graph(registry, toy_genome, tmp_path)
    assert [source.name for source in graph.sources] == ["toy"]
