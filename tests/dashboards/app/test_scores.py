"""Filters and questions against a slow oracle: the same in pandas, row by row."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dashboards.app.filters import Filter, describe_filter, read_filter, write_filter
from dashboards.app.offer import Result
from dashboards.app.scores import Scores, open_scores
from data_registry.errors import InputError, MalformedFileError


@pytest.fixture(scope="module")
def scores(result: Result) -> Scores:
    return open_scores(result)


def passes(
    row: dict[str, object], chosen: Filter, thresholds: dict[str, float]
) -> bool:
    """The filter in plain Python."""
    text = {k: ("" if v is None or v != v else str(v)) for k, v in row.items()}
    if chosen.status != "any" and text["status"] != chosen.status:
        return False
    if chosen.region:
        contig, start, end = re.split("[:-]", chosen.region)
        if text["chrom"] != contig or not int(start) <= row["pos"] <= int(end):
            return False
    if chosen.consequence and not {*text["consequence"].split("&")} & {
        *chosen.consequence
    }:
        return False
    if chosen.impact and text["impact"] not in chosen.impact:
        return False
    if chosen.gene and not {text["gene"], text["symbol"]} & {*chosen.gene.split(",")}:
        return False
    for bound, sign in (("above", 1), ("below", -1)):
        if bound in thresholds:
            value = row["prior_score"]
            if (
                value is None
                or value != value
                or sign * value < sign * thresholds[bound]
            ):
                return False
    if chosen.asks_frequency:
        frequency = row["panel_max_af"]
        if chosen.group:
            held = dict(
                part.split("=") for part in text["panel_counts"].split(";") if part
            )
            ac, an = map(int, held.get(chosen.group, "0/0").split("/"))
            frequency = ac / an if an else None
        if frequency is None or frequency != frequency:
            return False
        if not chosen.maf_from <= min(frequency, 1 - frequency) <= chosen.maf_to:
            return False
    classes = {part.rpartition(":")[2] for part in text["cre"].split(",") if part}
    if chosen.element == "any" and not classes:
        return False
    if chosen.element == "none" and classes:
        return False
    if chosen.element not in {"", "any", "none"} and chosen.element not in classes:
        return False
    if chosen.tf:
        bound_here = re.split(r"[,\s]+", text["tf_bound"].lower())
        if chosen.tf.lower() not in {text["motif_tf"].lower(), *bound_here}:
            return False
    return True


FILTERS = (
    Filter(),
    Filter(status="any"),
    Filter(status="ref_mismatch"),
    Filter(region="chr1:2000-2900"),
    Filter(consequence=("missense_variant", "stop_gained")),
    Filter(impact=("HIGH", "LOW")),
    Filter(gene="ALPHA,gB"),
    Filter(above=90.0),
    Filter(above=20.0, below=60.5),
    Filter(maf_from=0.3),
    Filter(group="panel", maf_to=0.4),
    Filter(element="any"),
    Filter(element="none", impact=("MODIFIER",)),
    Filter(element="peak"),
    Filter(tf="tfx"),
    Filter(status="any", region="chr2:300-500", impact=("MODERATE",)),
)


@pytest.mark.parametrize("chosen", FILTERS, ids=describe_filter)
def test_a_filter_takes_what_the_oracle_takes(
    scores: Scores, frame: pd.DataFrame, chosen: Filter
) -> None:
    known = scores.known(chosen)
    scored = frame.loc[frame["status"] == "scored", "prior_score"].dropna()
    thresholds = {
        bound: float(np.quantile(scored, getattr(chosen, bound) / 100))
        for bound, end in (("above", 0.0), ("below", 100.0))
        if getattr(chosen, bound) != end
    }
    expected = [
        (row["chrom"], row["pos"], row["ref"], row["alt"])
        for row in frame.to_dict("records")
        if passes(row, chosen, thresholds)
    ]
    page = scores.page(
        chosen, known, columns=("chrom", "pos", "ref", "alt"), limit=len(frame)
    )
    assert list(page.itertuples(index=False, name=None)) == expected
    assert scores.count(chosen, known) == len(expected)
    assert scores.histogram("prior_score", chosen, known).n_chosen == len(expected)
    assert sum(scores.counts("status", chosen, known).values()) == len(expected)


def test_filters_that_should_differ_do(scores: Scores) -> None:
    # Guards the oracle test: a filter that takes nothing agrees with anything.
    found = {chosen: scores.count(chosen, scores.known(chosen)) for chosen in FILTERS}
    assert all(found.values())
    assert len({*found.values()}) > 10


@pytest.mark.parametrize("chosen", FILTERS, ids=describe_filter)
def test_an_address_gives_its_filter_back(chosen: Filter) -> None:
    assert read_filter(write_filter(chosen)) == chosen


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ({"above": ["high"]}, "above='high' is no number"),
        ({"maf_to": ["nan"]}, "is no number"),
        ({"element": ["moon"]}, "is none of"),
    ],
)
def test_an_address_with_a_wrong_value_is_refused(
    address: dict[str, list[str]], told: str
) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        read_filter(address)


def test_pages_laid_end_to_end_are_the_sorted_whole(
    scores: Scores, frame: pd.DataFrame
) -> None:
    chosen = Filter(status="any")
    known = scores.known(chosen)
    pages = [
        scores.page(
            chosen, known, columns=("pos", "prior_score"), sort="prior_score",
            offset=at, limit=200,
        )
        for at in range(0, len(frame), 200)
    ]  # fmt: skip
    whole = pd.concat(pages, ignore_index=True)
    ordered = frame.sort_values(
        "prior_score", ascending=False, na_position="last", kind="stable"
    )
    assert whole["pos"].tolist() == ordered["pos"].tolist()


def test_percentiles_are_shares_of_lower_scores(
    scores: Scores, frame: pd.DataFrame
) -> None:
    values = frame.loc[frame["status"] == "scored", "prior_score"].dropna().to_numpy()
    for value in np.quantile(values, [0.03, 0.5, 0.77, 0.99]):
        below, upto = (values < value).mean() * 100, (values <= value).mean() * 100
        found = scores.percentile("prior_score", value)
        assert found is not None
        assert below - 0.2 <= found <= upto + 0.2
    assert scores.percentile("prior_score", None) is None


def test_a_histogram_counts_every_value_once(
    scores: Scores, frame: pd.DataFrame
) -> None:
    chosen = Filter(impact=("MODERATE",))
    held = scores.histogram("markov_llr", chosen, scores.known(chosen), bins=10)
    values = frame.loc[
        (frame["status"] == "scored") & (frame["impact"] == "MODERATE"), "markov_llr"
    ].dropna()
    inside = np.clip(values, held.edges[0], np.nextafter(held.edges[-1], -np.inf))
    expected, _ = np.histogram(inside, held.edges)
    np.testing.assert_array_equal(held.chosen, expected)
    assert held.everything.sum() == frame.loc[
        frame["status"] == "scored", "markov_llr"
    ].notna().sum()  # fmt: skip


def test_two_scores_are_counted_and_correlated(
    scores: Scores, frame: pd.DataFrame
) -> None:
    held = scores.compare("prior_score", "markov_llr", Filter(), scores.known(Filter()))
    both = frame.loc[
        frame["status"] == "scored", ["prior_score", "markov_llr"]
    ].dropna()
    assert held.n == len(both) == held.cells["n"].sum()
    assert held.pearson == pytest.approx(both.corr().iloc[0, 1])


@pytest.mark.parametrize("form", ["csv", "tsv", "parquet"])
def test_an_export_holds_what_the_page_shows(
    scores: Scores, tmp_path: Path, form: str
) -> None:
    chosen = Filter(impact=("HIGH", "MODERATE"))
    known = scores.known(chosen)
    columns = ("chrom", "pos", "ref", "alt", "consequence", "prior_score")
    target = tmp_path / f"out.{form}"
    n = scores.export(target, form, chosen, known, columns=columns, sort="prior_score")
    if form == "parquet":
        held = pd.read_parquet(target)
    else:
        held = pd.read_csv(target, sep="," if form == "csv" else "\t")
    page = scores.page(chosen, known, columns=columns, sort="prior_score", limit=10_000)
    assert n == len(held) == len(page)
    pd.testing.assert_frame_equal(held, page, check_dtype=False)


def test_a_bed_export_is_half_open(scores: Scores, tmp_path: Path) -> None:
    chosen = Filter(region="chr1:12019-12019")
    target = tmp_path / "out.bed"
    scores.export(target, "bed", chosen, scores.known(chosen))
    contig, start, end, name, score, strand = target.read_text().split()
    assert (contig, start, end, name, strand) == (
        "chr1", "12018", "12021", "chr1:12019:ACA:A", "."
    )  # fmt: skip
    assert 0 <= int(score) <= 1000


def test_the_accounting_adds_up(scores: Scores, frame: pd.DataFrame) -> None:
    held = scores.accounting
    assert held["input_alleles"] == len(frame)
    assert held["scored"] + sum(held["reasons"].values()) == len(frame)
    assert {"ref_mismatch", "unknown_contig", "spanning_deletion"} <= held[
        "reasons"
    ].keys()


def test_column_names_from_an_address_cannot_become_sql(scores: Scores) -> None:
    known = scores.known(Filter())
    for column in ('pos"; DROP TABLE x; --', "nothing"):
        with pytest.raises(InputError, match="no column"):
            scores.page(Filter(), known, columns=(column,))
        with pytest.raises(InputError, match="no column"):
            scores.page(Filter(), known, columns=("pos",), sort=column)
    odd = Filter(score='x" OR 1=1 --', above=5.0)
    known = scores.known(odd)
    with pytest.raises(InputError, match="no column"):
        scores.count(odd, known)


def test_a_file_that_is_no_result_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("nothing")
    with pytest.raises(MalformedFileError, match="cannot be read as Parquet"):
        Scores(tmp_path / "text.parquet")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(MalformedFileError, match="has no column chrom"):
        Scores(tmp_path / "other.parquet")
