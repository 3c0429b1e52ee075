"""Every rule of a graph, broken one at a time."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_registry.errors import WorkspaceError
from graph_builder.validation import validate


@pytest.fixture
def graph(toy_graph, tmp_path):
    folder = tmp_path / "graph"
    shutil.copytree(toy_graph.path, folder)
    return folder


def rewrite(path, change):
    table = pq.read_table(path, partitioning=None)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


def test_a_graph_just_built_has_no_problem(toy_graph):
    assert validate(toy_graph.path) == []


@pytest.mark.parametrize(
    ("file", "change", "problem"),
    [
        ("nodes/gene", lambda r: r[0].update(start=1), "content of start differs"),
        ("nodes/gene", lambda r: r[0].update(start=-1), "start is below 0 in 1 rows"),
        ("nodes/gene", lambda r: r[0].update(id=7), "ids do not count from 0"),
        ("nodes/gene", lambda r: r[1].update(identifier="g1"), "not unique and sorted"),
        ("nodes/gene", list.reverse, "not unique and sorted"),
        ("nodes/gene", list.pop, "edges have a source that is no gene (of 4)"),
        ("nodes/cre", lambda r: r[0].update({"class": "x"}), "class holds ['x']"),
        ("nodes/variant", lambda r: r[0].update(allele_frequency=1.5), "above 1"),
        ("edges/gene__physical__gene", lambda r: r[0].update(target=4),
         "1 edges have a target that is no gene (of 4)"),
        ("edges/gene__physical__gene", lambda r: r[0].update(source=1, target=0),
         "1 symmetric edges have source > target"),
        ("edges/gene__physical__gene", lambda r: r.append(dict(r[0])),
         "1 edges stand twice"),
        ("edges/gene__linked_to__cre", list.reverse, "edges are not sorted"),
        ("edges/gene__linked_to__cre", lambda r: r[0].update(score=float("nan")),
         "score is not finite in 1 rows"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named(graph, file, change, problem):
    path = graph / f"{file}.parquet"
    if change is list.pop:
        # the edges name four genes: say in the manifest that there are three
        content = json.loads((graph / "manifest.json").read_text())
        content["nodes"]["gene"]["count"] = 3
        (graph / "manifest.json").write_text(json.dumps(content))
        problem = problem.replace("of 4", "of 3")
    rewrite(path, change)
    found = validate(graph)
    assert any(problem in str(one) for one in found), [str(one) for one in found]


def test_missing_and_unreadable_files_are_named(graph):
    (graph / "nodes/gene.parquet").unlink()
    (graph / "nodes/cre.parquet").write_bytes(b"PAR1")
    found = [one for one in validate(graph) if "cannot be read" in one.problem]
    assert [one.type for one in found] == ["gene", "cre"]


def test_other_columns_are_named(graph):
    path = graph / "edges/tf__encoded_by__gene.parquet"
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.append_column("more", pa.nulls(table.num_rows)), path)
    assert "has other columns" in str(validate(graph)[0])


def test_a_changed_digest_is_named(graph):
    content = json.loads((graph / "manifest.json").read_text())
    content["parameters"]["near_gene_bp"] = 5
    (graph / "manifest.json").write_text(json.dumps(content))
    assert [one.type for one in validate(graph)] == ["graph"]


def test_a_folder_without_a_graph_is_refused(tmp_path):
    with pytest.raises(WorkspaceError, match="holds no graph"):
        validate(tmp_path)
