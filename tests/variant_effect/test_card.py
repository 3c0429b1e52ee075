"""The evidence card: every statement names its source."""

from pathlib import Path

import pytest

from data_registry.errors import InputError
from data_registry.store import open_store
from tests.organisms import snv
from variant_effect.card import Card, card_as_json, explain_variant, read_variant
from variant_effect.preparation import Prepared


@pytest.fixture
def card_of(workspace: Path, prepared: Prepared):
    def make(*variant: object) -> Card:
        with open_store(workspace) as store:
            return explain_variant(":".join(map(str, variant)), store, prepared)

    return make


def test_variants_as_typed() -> None:
    assert read_variant("chr1:1,234:A:G") == ("chr1", 1234, "A", "G")
    assert read_variant("a:b:7:AT:A") == ("a:b", 7, "AT", "A")
    for text in ("chr1:12", "chr1:x:A:G", "rs12"):
        with pytest.raises(InputError, match="1-based"):
            read_variant(text)


def test_a_coding_variant_is_explained_with_sources(card_of) -> None:
    card = card_of(*snv("chr2", 307))
    assert card.status == "scored"
    assert card.prior_score is not None
    sections = {s.section for s in card.statements}
    assert {"sequence", "consequence", "sequence model", "gene"} <= sections
    assert all(s.source for s in card.statements)
    said = {s.section: s for s in card.statements}
    assert "gD" in said["gene"].text
    assert "(annotation, sha256 " in said["gene"].source
    ref, alt = [s.text for s in card.statements if s.section == "sequence"][:2]
    assert ref.startswith("REF")
    assert alt.startswith("ALT")
    # The two haplotypes differ in the bracketed base alone.
    assert ref[3:].partition("[")[0] == alt[3:].partition("[")[0]
    assert ref.partition("]")[2] == alt.partition("]")[2]
    assert len(card_as_json(card)["evidence"]) == len(card.statements)


def test_an_unscored_variant_says_why(card_of) -> None:
    card = card_of("chr9", 5, "A", "G")
    assert card.status == "unknown_contig"
    assert card.prior_score is None
    assert "no such contig" in card.statements[0].text
