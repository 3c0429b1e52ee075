"""Gene names resolved by hand, and the rule that nothing ambiguous is guessed."""

import pytest

from data_registry.identifiers import GeneNames

NAMES = GeneNames(
    ["AT1G01010", "AT1G01020", "YFL039C", "ENSG00000141510", "Zm1", "zm1"],
    [
        ("AT1G01010", "NAC001"),
        ("AT1G01010", "839580"),  # Entrez
        ("AT1G01010", "AT1G01010.1"),
        ("AT1G01020", "ARV1"),
        ("YFL039C", "ACT1"),
        ("YFL039C", "END7"),
        ("AT1G01020", "END7"),
        ("ENSG00000141510", "TP53"),
        ("YFL039C", "Abc"),
        ("AT1G01020", "ABC"),
        ("gone", "PHANTOM"),  # an alias of a gene that the annotation lacks
    ],
)


@pytest.mark.parametrize(
    ("given", "gene"),
    [
        ("AT1G01010", "AT1G01010"),
        ("at1g01010", "AT1G01010"),
        ("At1g01010.2", "AT1G01010"),
        ("gene:AT1G01010", "AT1G01010"),
        ("transcript:AT1G01010.1", "AT1G01010"),
        ("rna-AT1G01010", "AT1G01010"),
        ("NAC001", "AT1G01010"),
        ("nac001", "AT1G01010"),
        ("839580", "AT1G01010"),
        ("ENSG00000141510.17", "ENSG00000141510"),
        ("ACT1", "YFL039C"),
        ("YFL039C_mRNA", None),
        (" YFL039C ", "YFL039C"),
        ("Zm1", "Zm1"),
        ("zm1", "zm1"),
        ("Abc", "YFL039C"),  # the letter case tells them apart
        ("ABC", "AT1G01020"),
        ("PHANTOM", None),
        ("gone", None),
        ("", None),
        ("nan", None),
    ],
)
def test_names_by_hand(given, gene):
    found = NAMES.resolve([given])
    assert dict(found.known) == ({given: gene} if gene else {})
    assert found.unknown == (frozenset() if gene else {given})
    assert not found.ambiguous


@pytest.mark.parametrize("given", ["END7", "end7", "abc", "ZM1"])
def test_a_name_of_two_genes_is_ambiguous(given):
    found = NAMES.resolve([given])
    assert found.ambiguous == {given}
    assert not found.known
    assert not found.unknown


def test_an_identifier_outweighs_an_alias():
    names = GeneNames(["A", "B"], [("A", "B"), ("B", "A")])
    assert dict(names.resolve(["A", "B", "a"]).known) == {"A": "A", "B": "B", "a": "A"}


def test_every_given_name_gets_one_answer():
    given = ["AT1G01010", "END7", "nothing", "END7", "AT1G01010"]
    found = NAMES.resolve(given)
    parts = [set(found.known), set(found.ambiguous), set(found.unknown)]
    assert set().union(*parts) == set(given)
    assert sum(map(len, parts)) == len(set(given))


def test_order_of_aliases_does_not_matter():
    pairs = [("A", "x"), ("B", "x"), ("A", "y")]
    one = GeneNames("AB", pairs).resolve("xy")
    assert one == GeneNames("BA", pairs[::-1]).resolve("xy")
    assert (dict(one.known), one.ambiguous) == ({"y": "A"}, {"x"})
