"""The relatives scorer: the common laws, and alleles worked out by hand."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_registry.relatives import Registered, align_relatives
from data_registry.store import Store, open_store
from tests.contracts import check_missing_layer, check_scorer
from tests.organisms import (
    SEQUENCES,
    base,
    make_workspace,
    other,
    reverse_complement,
    snv,
    vcf_text,
)
from tests.variant_effect.conftest import records_of, score_lines
from tests.variant_effect.test_scorers import LINES
from variant_effect.preparation import prepare
from variant_effect.run import Choices, Engine
from variant_effect.scorers import ALL
from variant_effect.scorers.relatives import RelativesScorer

pytest.importorskip("mappy")

ONE = SEQUENCES["chr1"].upper()
PUT = "TCTAC"
NUMBER = ALL.index(RelativesScorer)


def changed(edits: dict[int, tuple[str, str]], sequence: str = ONE) -> str:
    """Replace REF by ALT at 1-based places, from the right so that places stay true."""
    for pos in sorted(edits, reverse=True):
        ref, alt = edits[pos]
        assert sequence[pos - 1 : pos - 1 + len(ref)] == ref
        sequence = sequence[: pos - 1] + alt + sequence[pos - 1 + len(ref) :]
    return sequence


def third(letter: str) -> str:
    return other(other(letter))


def plain(near: int) -> int:
    """The next place where none of the changes below can be shifted or trimmed."""
    pos = near
    while not (
        ONE[pos - 1] in "AG"
        and ONE[pos - 1] != ONE[pos + 3]
        and other(ONE[pos - 1]) != ONE[pos + 1]
    ):
        pos += 1
    return pos


def edit(pos: int, kind: str = "snv") -> tuple[str, str]:
    """REF and ALT at a place of chr1."""
    here = ONE[pos - 1]
    return {
        "snv": (here, other(here)),
        "third": (here, third(here)),
        "mnv": (ONE[pos - 1 : pos + 2], "".join(map(other, ONE[pos - 1 : pos + 2]))),
        "deletion": (ONE[pos - 1 : pos + 4], here),
        "insertion": (here, here + PUT),
        "other insertion": (here, here + PUT[::-1]),
        "complex": (ONE[pos - 1 : pos + 2], other(here)),
    }[kind]


# Places of chr1 with a change, and which relatives have it: i ingroup, a and b outgroups.
PLAN = {
    plain(3000): {"i": "snv"},
    plain(3200): {"a": "snv", "b": "snv"},
    plain(3400): {"a": "snv", "b": "third"},
    plain(3600): {"a": "third", "b": "third"},
    plain(3800): {"i": "snv", "a": "snv", "b": "snv"},
    plain(4000): {"i": "mnv"},
    plain(4200): {"a": "mnv", "b": "mnv"},
    plain(7000): {"i": "deletion"},
    plain(7200): {"a": "deletion", "b": "deletion"},
    plain(7400): {"i": "insertion"},
    plain(7600): {"a": "insertion", "b": "insertion"},
    plain(7800): {"a": "insertion", "b": "other insertion"},
}


def relative(letter: str) -> str:
    own = {
        pos: edit(pos, kinds[letter]) for pos, kinds in PLAN.items() if letter in kinds
    }
    return changed(own)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The tiny organism with three relatives; ``b`` ends after 12 kb of chr1."""
    folder = tmp_path_factory.mktemp("family")
    workspace = make_workspace(folder, layers=False)
    texts = {
        "i": relative("i"),
        "a": reverse_complement(relative("a")),
        "b": relative("b")[:12_000],
    }
    with open_store(workspace, write=True) as store:
        for name, text in texts.items():
            path = folder / f"{name}.fa"
            path.write_text(f">{name}\n{text}\n")
            role = "ingroup" if name == "i" else "outgroup"
            store.add(path, kind="relative_genome", options={"role": role})
        align_relatives(Registered.of(store))
    with open_store(workspace) as store:
        prepared = prepare(store)
    engine = Engine.open(prepared, Choices())
    with engine.connection:
        yield engine


def score(engine: Engine, *records: tuple[object, ...]) -> pd.DataFrame:
    frame = score_lines(engine, records_of(vcf_text(records)))
    assert (frame["status"] == "scored").all()
    return frame


def told(row: pd.Series) -> tuple[object, ...]:
    names = ("aligned", "with_alt")
    numbers = [None if pd.isna(v := row[f"relatives_{n}"]) else int(v) for n in names]
    texts = [row[n] for n in ("outgroup_allele", "derived_allele", "derived_note")]
    return (*numbers, *(None if pd.isna(text) else text for text in texts))


def test_laws(family: Engine) -> None:
    more = [("chr1", pos, *edit(pos, next(iter(kinds.values())))) for pos, kinds in PLAN.items()]  # fmt: skip
    more += [
        ("chr1", plain(7000), *edit(plain(7000), "complex")),
        ("chr1", 1, base("chr1", 1), "GG"),
    ]
    lines = records_of(vcf_text(more)).splitlines(keepends=True) + LINES
    check_scorer(family, family.scorers[NUMBER], lines)


@pytest.mark.parametrize(
    ("near", "kind", "expected"),
    [
        # Nobody has it: the outgroups have REF, ALT is derived.
        (2500, "snv", (3, 0, "REF", "alt", None)),
        (3000, "snv", (3, 1, "REF", "alt", None)),
        (3000, "third", (3, 0, "REF", "alt", None)),
        # Both outgroups have ALT: the reference's base is the new one.
        (3200, "snv", (3, 2, "ALT", "ref", None)),
        (3400, "snv", (3, 1, None, "unknown", "outgroups_differ")),
        (3600, "snv", (3, 0, "third", "unknown", "third_allele")),
        (3800, "snv", (3, 3, "ALT", "ref", None)),
        (4000, "mnv", (3, 1, "REF", "alt", None)),
        (4200, "mnv", (3, 2, "ALT", "ref", None)),
        (7000, "deletion", (3, 1, "REF", "alt", None)),
        (7200, "deletion", (3, 2, "----", "ref", None)),
        (7400, "insertion", (3, 1, "-", "alt", None)),
        (7600, "insertion", (3, 2, "PUT", "ref", None)),
        (7800, "insertion", (3, 1, None, "unknown", "outgroups_differ")),
        (7600, "other insertion", (3, 0, "PUT", "unknown", "third_allele")),
        (2500, "complex", (3, None, "REF", "alt", None)),
        (4200, "complex", (3, None, "MNV", "unknown", "complex_allele")),
        # b ends at 12 kb: one outgroup is left.
        (13_000, "snv", (2, 0, "REF", "alt", None)),
    ],
)
def test_alleles_by_hand(family: Engine, near: int, kind: str, expected: tuple) -> None:
    pos = plain(near)
    row = score(family, ("chr1", pos, *edit(pos, kind))).iloc[0]
    ref, alt = edit(pos, kind)
    words = {"REF": ref, "ALT": alt, "third": edit(pos, "third")[1],
             "MNV": edit(pos, "mnv")[1], "PUT": PUT}  # fmt: skip
    outgroup = words.get(expected[2], expected[2])
    if kind == "deletion" and outgroup == ref:
        outgroup = ref[1:]
    assert told(row) == (*expected[:2], outgroup, *expected[3:])


def test_identity_counts_bases_around_the_allele(family: Engine) -> None:
    one, shared = plain(3000), plain(3800)
    places = (one, one + 20, one + 21, shared, 12_500)
    frame = score(family, *(snv("chr1", pos) for pos in places))
    in_one, in_all = (2 + 40 / 41) / 3, 40 / 41
    expected = [in_one, in_one, 1, in_all, 1]
    assert frame["relatives_identity"].tolist() == pytest.approx(expected)
    # Four bases gone in one relative: 44 bases are looked at, 40 are there.
    pos = plain(7000)
    gone = score(family, ("chr1", pos, *edit(pos, "deletion"))).iloc[0]
    assert gone["relatives_identity"] == pytest.approx((2 + 40 / 44) / 3)
    # Dense and sparse ways of working it out are the same.
    relatives = family.scorers[NUMBER].relatives
    assert relatives is not None
    places = np.arange(2_900, 16_000, 97)
    places = places[[base("chr1", int(p) + 1) != "N" for p in places]]
    frame = score(family, *(snv("chr1", int(p) + 1) for p in places))
    np.testing.assert_array_equal(
        frame["relatives_identity"].to_numpy(), relatives.identity("chr1")[places]
    )


def test_where_no_relative_is_aligned(family: Engine) -> None:
    row = score(family, snv("chr2", 700)).iloc[0]
    assert told(row) == (0, None, None, "unknown", "no_outgroup_aligned")
    assert np.isnan(row["relatives_identity"])


def test_contig_ends(family: Engine) -> None:
    first, last = base("chr1", 1), base("chr1", 16_000)
    frame = score(
        family,
        ("chr1", 1, first, other(first)),
        ("chr1", 1, ONE[:3], ONE[2]),
        ("chr1", 16_000, last, last + "ACGT"),
        ("chr1", 15_996, ONE[15_995:], ONE[15_995]),
    )
    assert frame["relatives_aligned"].tolist() == [3, 3, 2, 2]
    assert frame["derived_allele"].tolist() == ["alt"] * 4
    assert frame["relatives_identity"].tolist() == [1.0] * 4


def test_many_alleles_are_taken_in_parts(
    family: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [("chr1", pos, *edit(pos, kind)) for pos in PLAN for kind in
               ("snv", "mnv", "deletion", "insertion")]  # fmt: skip
    whole = score(family, *records)
    monkeypatch.setattr("variant_effect.scorers.relatives._BASES_AT_ONCE", 100)
    pd.testing.assert_frame_equal(score(family, *records), whole)


def test_the_layer_that_is_missing(family: Engine, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, layers=False)
    with open_store(workspace) as store:
        scorer = RelativesScorer.make(_material(family, store))
        assert "--kind relative_genome" in scorer.missing
        check_missing_layer(family, scorer, LINES)
    path = tmp_path / "kin.fa"
    path.write_text(f">k\n{ONE}\n")
    with open_store(workspace, write=True) as store:
        store.add(path, kind="relative_genome", options={"role": "ingroup"})
        scorer = RelativesScorer.make(_material(family, store))
        assert "1 relatives' genomes are registered and not aligned" in scorer.missing
        check_missing_layer(family, scorer, LINES)
        align_relatives(Registered.of(store))
        scorer = RelativesScorer.make(_material(family, store))
    assert scorer.missing == ""
    assert scorer.relatives is not None
    assert scorer.relatives.roles == ("ingroup",)


def _material(engine: Engine, store: Store) -> object:
    """The engine's material, of another workspace."""
    from dataclasses import replace

    return replace(
        engine.material, workspace=store.workspace.path, connection=store.connection
    )
