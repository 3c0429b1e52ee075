"""The pages' logic, run by Streamlit's own test harness: no browser."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("streamlit", reason="the extra 'dashboard' is not installed")

from streamlit.testing.v1 import AppTest

from dashboards import jobs
from dashboards.app import accounting, exports, notebook
from dashboards.app.navigation import ORDERS, SCREENS
from dashboards.app.offer import Offer, Result, publish
from dashboards.app.screens.score_file import check_start, duration, keep_upload
from dashboards.app.screens.variant import group_table, summary
from dashboards.app.words import CONSEQUENCES
from data_registry.errors import InputError, MalformedFileError, WorkspaceError
from data_registry.store import open_store
from data_registry.workspace import Workspace
from tests.organisms import snv
from variant_effect.scorers.prior import WEIGHTS

# An event loop talks to itself over a pair of sockets; nothing connects anywhere.
pytestmark = pytest.mark.enable_socket

Open = Callable[..., AppTest]
ALLELE = ":".join(map(str, snv("chr1", 2101)))


@pytest.fixture
def page(shown: Offer) -> Open:  # noqa: ARG001  # published first
    """Open a page at an address."""

    def run(name: str, **address: str | list[str]) -> AppTest:
        script = f"from dashboards.app.shell import run\nrun({name!r})"
        held = AppTest.from_string(script, default_timeout=60)
        for key, value in address.items():
            held.query_params[key] = value
        held.run()
        assert not held.exception
        return held

    return run


def words(held: AppTest) -> str:
    """All text on a page."""
    kinds = ("markdown", "caption", "info", "warning", "error", "subheader", "html")
    return "\n".join(str(one.value) for kind in kinds for one in getattr(held, kind))


@pytest.mark.parametrize("door", list(ORDERS))
@pytest.mark.parametrize("name", list(SCREENS))
def test_every_page_opens_through_both_doors(page: Open, name: str, door: str) -> None:
    held = page(name, door=door, variant=ALLELE, gene="gA", region="chr1:2000-3000")
    assert not held.error
    assert held.title[0].value == SCREENS[name].title
    menu = [link.value for link in held.sidebar.page_link]
    assert menu == [SCREENS[one].title for one in ORDERS[door]]


def test_pages_to_come_are_named_and_not_linked(page: Open) -> None:
    held = page("help")
    assert "Manhattan" in words(held)
    assert not [link for link in held.page_link if "Manhattan" in link.value]


def test_the_workspace_page_counts_what_was_kept_and_left_out(
    page: Open, tiny: Path
) -> None:
    held = page("workspace")
    table = held.dataframe[0].value
    with open_store(tiny) as store:
        sources = store.sources()
    assert table["name"].tolist() == [source.name for source in sources]
    assert (table["rows read"] - table["rows kept"] == table["left out"]).all()
    assert table["licence"].eq("not stated").all()
    graph = "\n".join(str(frame.value) for frame in held.dataframe)
    assert "gene – linked_to – cre" in graph
    missing = [frame.value for frame in held.dataframe if "would add" in frame.value]
    assert "gene – complex – gene" in missing[0]["missing"].tolist()
    assert missing[0]["would add"].str.len().gt(0).all()


def test_the_variants_page_shows_what_its_address_asks(
    page: Open, frame: pd.DataFrame
) -> None:
    held = page("variants", impact=["HIGH", "MODERATE"], region="chr1:2000-2900")
    wanted = frame[
        (frame["status"] == "scored") & frame["impact"].isin(["HIGH", "MODERATE"])
        & (frame["chrom"] == "chr1") & frame["pos"].between(2000, 2900)
    ]  # fmt: skip
    assert f"### {len(wanted):,}" in words(held)
    shown = held.dataframe[0].value
    ordered = wanted.sort_values("prior_score", ascending=False, kind="stable")
    assert shown["pos"].tolist() == ordered["pos"].tolist()[:50]
    assert held.pills(key="f_impact").value == ["HIGH", "MODERATE"]


def test_a_filter_set_by_hand_is_written_to_the_address(page: Open) -> None:
    held = page("variants", page="2")
    held.text_input(key="f_gene").set_value("ALPHA").run()
    assert (
        held.query_params["gene"] == ["ALPHA"] or held.query_params["gene"] == "ALPHA"
    )
    assert "page" not in held.query_params
    assert set(held.dataframe[0].value["gene"]) == {"gA"}
    held.slider(key="f_percentiles").set_value((90.0, 100.0)).run()
    assert held.query_params["above"] in ("90", ["90"])
    held.button(key="clear_filters").click().run()
    assert "gene" not in held.query_params
    assert "above" not in held.query_params


def test_the_order_is_of_all_alleles_and_not_of_the_page(
    page: Open, frame: pd.DataFrame
) -> None:
    held = page("variants", sort="markov_llr", order="up", status="any")
    lowest = frame["markov_llr"].min()
    columns = held.dataframe[0].value
    first = frame[frame["markov_llr"] == lowest]["pos"].iloc[0]
    assert columns["pos"].iloc[0] == first


def test_filters_are_saved_used_and_forgotten(page: Open) -> None:
    held = page("variants", gene="gB")
    held.text_input(key="filter_name").set_value("beta only").run()
    held.button(key="save_filter").click().run()
    assert notebook.filters("workspace") == {"beta only": {"gene": ["gB"]}}
    other = page("variants")
    other.button(key="use_beta only").click().run()
    assert set(other.dataframe[0].value["gene"]) == {"gB"}
    other.button(key="forget_beta only").click().run()
    assert notebook.filters("workspace") == {}


def test_a_list_keeps_each_allele_once_and_filters(page: Open) -> None:
    contig, pos, ref, alt = snv("chr1", 2101)
    notebook.keep_list("workspace", "mine", ((contig, pos, ref, alt),) * 2)
    assert notebook.lists("workspace") == {"mine": ((contig, pos, ref, alt),)}
    held = page("variants", picked="mine")
    assert held.dataframe[0].value["pos"].tolist() == [pos]


@pytest.mark.parametrize(
    ("name", "address", "told"),
    [
        ("variants", {"above": "high"}, "is no number"),
        ("variants", {"region": "chr1:9-5"}, "starts at 1 or later"),
        ("variant", {"variant": "chr1-5-A-G"}, "is no variant"),
        ("region", {"region": "nowhere"}, "neither a contig"),
        ("graph", {"node": "gene:gA", "to": "gene:zz"}, "holds no gene 'zz'"),
        ("score", {"job": "../../etc"}, "there is no job"),
        ("workspace", {"workspace": "/etc"}, "shows no workspace '/etc'"),
        ("workspace", {"scores": "/etc/passwd"}, "no result '/etc/passwd'"),
    ],
)
def test_a_wrong_address_gets_one_clear_sentence(
    page: Open, name: str, address: dict[str, str], told: str
) -> None:
    held = page(name, **address)
    (error,) = held.error
    assert told in error.value
    assert "Traceback" not in words(held)


def test_the_card_names_evidence_and_its_source(page: Open) -> None:
    held = page("variant", variant=ALLELE)
    text = words(held)
    assert "Evidence, statement by statement" in text
    assert "height" in text
    assert "sha256" in text
    assert "panel" in str([frame.value for frame in held.dataframe])
    saved = {button.proto.label for button in held.get("download_button")}
    assert {"HTML", "JSON", "FASTA", "BED", "TSV"} <= saved


def test_the_card_of_an_allele_not_scored_says_why(
    page: Open, frame: pd.DataFrame
) -> None:
    row = frame[frame["status"] == "ref_mismatch"].iloc[0]
    held = page("variant", variant=f"chr1:{row['pos']}:{row['ref']}:{row['alt']}")
    assert "ref_mismatch" in held.warning[0].value
    assert "the genome reads" in words(held).lower()


def test_an_allele_outside_the_result_still_has_a_card(page: Open) -> None:
    held = page("variant", variant=":".join(map(str, snv("chr1", 15_500))))
    assert "not in the result" in words(held)
    assert "intergenic_variant" in words(held)


def test_a_link_to_the_page_itself_changes_the_address(page: Open) -> None:
    held = page("graph", node="gene:")
    (choice,) = [one for one in held.button if one.label == "ALPHA (gA)"]
    choice.click().run()
    assert held.query_params["node"] in ("gene:gA", ["gene:gA"])
    assert "edges" in words(held)


def test_a_gene_page_holds_its_variants_alone(page: Open) -> None:
    held = page("gene", gene="beta")
    text = words(held)
    assert "BETA" in text
    tables = [frame.value for frame in held.dataframe]
    genes = [table for table in tables if "hgvs_p" in table.columns]
    assert set(genes[0]["gene"]) == {"gB"}


def test_the_graph_page_draws_counts_and_saves(page: Open) -> None:
    held = page("graph", node="gene:gA", hops="2")
    table = held.dataframe[0].value
    assert {"from", "edge", "to", "weight", "weight is"} <= set(table.columns)
    assert f"{len(table):,} edges" in words(held)
    path = page("graph", node="gene:gB", to="gene:gA")
    assert "shortest paths of 1 edges" in words(path)


def test_while_somebody_writes_pages_wait_and_say_so(
    page: Open, tiny: Path, tmp_path: Path
) -> None:
    import subprocess
    import sys

    copy = tmp_path / "held"
    copy.mkdir()
    (copy / "registry.duckdb").write_bytes((tiny / "registry.duckdb").read_bytes())
    publish([copy])
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from data_registry.workspace import Workspace\n"
        "held = Workspace(Path(sys.argv[1])).connect(read_only=False)\n"
        "print('held', flush=True)\ntime.sleep(60)"
    )
    writer = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", code, str(copy)], stdout=subprocess.PIPE
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline()
        held = page("gene", gene="gA")
        assert "in use by another process" in held.error[0].value
    finally:
        writer.kill()
        writer.communicate()
    held.button(key="try_again").click().run()
    assert "ALPHA" in words(held)


# -- parts ---------------------------------------------------------------------------


def test_every_consequence_that_is_weighed_has_plain_words() -> None:
    assert set(WEIGHTS) - set(CONSEQUENCES) == set()


def test_a_summary_says_what_the_row_says() -> None:
    row = {
        "consequence": "stop_gained", "impact": "HIGH", "gene": "g1", "symbol": "ABC",
        "panel_max_af": 0.25, "motif_tf": "TF1", "motif_change": "loss", "cre_n": 1,
    }  # fmt: skip
    text = summary(row, 99.1)
    assert "In ABC: stop_gained, an early stop" in text
    assert "breaks a binding motif of TF1 inside a regulatory element" in text
    assert "0.250" in text
    assert "99.1 %" in text


def test_group_counts_are_read() -> None:
    table = group_table("p=3/10;p/north=0/0")
    assert table["group"].tolist() == ["p", "p/north"]
    assert table["ALT frequency"].tolist()[0] == pytest.approx(0.3)
    assert pd.isna(table["ALT frequency"].tolist()[1])
    assert group_table(None).empty


def test_an_accounting_adds_up_and_is_drawn() -> None:
    counts = {
        "input_alleles": 10,
        "scored": 7,
        "reasons": {"too_long": 1, "ref_mismatch": 2},
    }
    table = accounting.accounting_table(counts)
    assert table["alleles"].tolist() == [7, 2, 1, 10]
    drawn = accounting.accounting_picture(counts)
    assert "7 + 2 + 1 = 10" in drawn
    assert drawn.count("<rect") == 6


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 s"), (42, "42 s"), (200, "3 min"), (9000, "2.5 h")]
)
def test_times_are_said_as_people_do(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_fasta_and_bed_are_written_as_their_formats_say() -> None:
    assert exports.fasta_bytes({"a": "ACGT"}, width=3) == b">a\nACG\nT\n"
    assert exports.bed_bytes([("c", 4, 5, "n", 10, ".")]) == b"c\t4\t5\tn\t10\t.\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the file is empty"),
        (b"hello\n", "expected a header line"),
        (b"##fileformat=VCFv4.2\n#CHROM\tPOS\n", "eight fixed columns"),
        (b"\x1f\x8b\x08\x00broken", "lines.vcf"),
        (b"\x00\x01\x02" * 50, "lines.vcf"),
    ],
)
def test_a_bad_upload_is_refused_by_its_own_name(
    tmp_path: Path, content: bytes, told: str
) -> None:
    import io

    def refused() -> None:
        kept = keep_upload(tmp_path, io.BytesIO(content), "lines.vcf")
        check_start(kept, "lines.vcf")

    with pytest.raises(MalformedFileError, match=told) as caught:
        refused()
    assert "lines.vcf" in str(caught.value)
    assert not [p for p in tmp_path.glob("uploads/*") if p.is_file()]


def test_an_upload_is_kept_under_a_name_made_here(tmp_path: Path) -> None:
    import io

    first, second = (
        keep_upload(tmp_path, io.BytesIO(b"##x\n"), "../../evil.vcf") for _ in range(2)
    )
    assert first != second
    assert first.parent == second.parent == jobs.uploads_of(tmp_path)
    assert first.read_bytes() == b"##x\n"


def test_workspaces_of_one_name_are_told_apart(tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "workspace"
    other.mkdir(parents=True)
    (other / "registry.duckdb").write_bytes((tiny / "registry.duckdb").read_bytes())
    held = publish([tiny, other])
    assert list(held.workspaces) == ["workspace", "other-workspace"]
    with pytest.raises(InputError, match="shows no workspace"):
        held.workspace("../workspace")
    with pytest.raises(WorkspaceError, match="no workspace"):
        publish([tmp_path])


def test_results_are_named_and_nothing_else_opens(shown: Offer, tiny: Path) -> None:
    names = [result.name for result in shown.results(tiny)]
    assert "tiny/all.parquet" in names
    with pytest.raises(InputError, match="no result"):
        shown.result(tiny, str(tiny / "scores" / "tiny" / "all.parquet"))


def test_a_job_that_finished_is_a_result(
    shown: Offer, tiny: Path, result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = jobs.Request("/x/a.vcf", "a.vcf", (), "parquet", 0.0)
    job = jobs.Job(
        "20260101-000000-aaaaaaaaaaaa", result.path.parent, request, "finished", "finished",
        outputs=(jobs.Output(result.path.name, 1),),
    )  # fmt: skip
    monkeypatch.setattr("dashboards.app.offer.list_jobs", lambda _: [job])
    names = [found.name for found in shown.results(tiny)]
    assert f"a.vcf, job {job.id}" in names


def test_a_page_holds_no_lock_on_the_registry(page: Open, tiny: Path) -> None:
    page("gene", gene="gA")
    Workspace(tiny).connect(read_only=False).close()
