"""Contig names: pairs known to be the same, and pairs that must not be mixed up."""

import pytest

from data_registry.contigs import ContigNames, roman_value, synonyms_in_header

ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII",
         "XIII", "XIV", "XV", "XVI")  # fmt: skip
YEAST = ContigNames((*(f"chr{n}" for n in ROMAN), "chrM"))
TAIR = ContigNames(("Chr1", "Chr2", "Chr3", "Chr4", "Chr5", "ChrC", "ChrM"))
HUMAN = ContigNames((*(f"chr{n}" for n in range(1, 23)), "chrX", "chrY", "chrM"))
WORM = ContigNames(("I", "II", "III", "IV", "V", "X", "MtDNA"))
POPLAR = ContigNames(tuple(f"LG_{n}" for n in ("I", "II", "III", "IV")))
BEE = ContigNames(tuple(f"LG{n}" for n in range(1, 17)))
RICE = ContigNames(tuple(f"Chr{n}" for n in range(1, 13)))


def one(names: ContigNames, given: str) -> str | None:
    return names.resolve([given])[given]


@pytest.mark.parametrize(
    ("names", "given", "own"),
    [
        (YEAST, "chrI", "chrI"),
        (YEAST, "I", "chrI"),
        (YEAST, "NC_001133.9", "chrI"),
        (YEAST, "NC_001133", "chrI"),
        (YEAST, "NC_001148.4", "chrXVI"),
        (YEAST, "NC_001224.1", "chrM"),
        (YEAST, "1", "chrI"),
        (YEAST, "chr1", "chrI"),
        (YEAST, "chr01", "chrI"),
        (YEAST, "chr10", "chrX"),
        (YEAST, "X", "chrX"),
        (YEAST, "chr16", "chrXVI"),
        (YEAST, "chromosome_4", "chrIV"),
        (YEAST, "Mito", "chrM"),
        (YEAST, "MT", "chrM"),
        (YEAST, "mitochondrion", "chrM"),
        (YEAST, "chr17", None),
        (YEAST, "XVII", None),
        (YEAST, "NC_003070.9", None),
        (TAIR, "1", "Chr1"),
        (TAIR, "chr1", "Chr1"),
        (TAIR, "01", "Chr1"),
        (TAIR, "Chr05", "Chr5"),
        (TAIR, "CHROMOSOME3", "Chr3"),
        (TAIR, "NC_003076.8", "Chr5"),
        (TAIR, "Pt", "ChrC"),
        (TAIR, "chloroplast", "ChrC"),
        (TAIR, "NC_000932.1", "ChrC"),
        (TAIR, "Mt", "ChrM"),
        (TAIR, "I", None),  # Arabidopsis counts in arabic numbers
        (TAIR, "NC_001133.9", None),  # yeast's first chromosome
        (HUMAN, "X", "chrX"),
        (HUMAN, "10", "chr10"),
        (HUMAN, "MT", "chrM"),
        (HUMAN, "I", None),
        (HUMAN, "V", None),
        (HUMAN, "NC_001133.9", None),
        (WORM, "chrX", "X"),
        (WORM, "chrV", "V"),
        (WORM, "5", "V"),
        (WORM, "10", None),  # a worm's X is a letter
        (RICE, "NC_003070.9", None),
        (RICE, "chr01", "Chr1"),
        (RICE, "chr", None),
        # a linkage group is a chromosome of that number only where they are the contigs
        (YEAST, "LG1", None),
        (YEAST, "LGI", None),
        (RICE, "LG_1", None),
        (BEE, "LG1", "LG1"),
        (BEE, "lg01", "LG1"),
        (BEE, "linkage group 16", "LG16"),
        (BEE, "chr2", "LG2"),
        (BEE, "2", "LG2"),
        (BEE, "LG17", None),
        (BEE, "LG", None),
        (POPLAR, "LG_II", "LG_II"),
        (POPLAR, "LG2", "LG_II"),
        (POPLAR, "2", "LG_II"),
        (RICE, "", None),
    ],
)
def test_names_by_hand(names, given, own):
    assert one(names, given) == own


def test_one_chromosome_of_arabidopsis_still_knows_its_accession():
    assert one(ContigNames(("Chr5",)), "NC_003076.8") == "Chr5"
    assert one(ContigNames(("Chr5",)), "NC_003070.9") is None


def test_a_plain_form_of_two_contigs_resolves_nothing():
    names = ContigNames(("chr1", "1", "chr2"))
    assert names.resolve(["chr1", "1", "Chr1", "01", "2"]) == {
        "chr1": "chr1",
        "1": "1",
        "Chr1": None,
        "01": None,
        "2": "chr2",
    }


def test_registered_synonyms_come_before_plain_forms():
    names = ContigNames(("chr1", "chr2"), {"1": "chr2", "CM0001.1": "chr1"})
    assert one(names, "1") == "chr2"
    assert one(names, "CM0001.1") == "chr1"
    # "01" could be chr1 by its own name or chr2 by its synonym
    assert one(names, "01") is None


def test_genome_with_accessions_is_known_by_the_synonyms_of_its_headers():
    own = tuple(f"NC_{1133 + i:06d}.9" for i in range(16))
    names = ContigNames(own, dict(zip(ROMAN, own, strict=True)))
    assert one(names, "chrIV") == "NC_001136.9"
    assert one(names, "4") == "NC_001136.9"
    assert one(names, "X") == one(names, "chr10") == "NC_001142.9"


def test_order_of_contigs_does_not_matter():
    backwards = ContigNames(tuple(reversed(YEAST.names)))
    given = [*ROMAN, "Mito", "NC_001140.6", "chr7", "nothing"]
    assert backwards.resolve(given) == YEAST.resolve(given)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("I", 1), ("IV", 4), ("IX", 9), ("XIV", 14), ("XXXIX", 39), ("IIII", None),
        ("", None), ("1", None), ("M", None), ("i", None),
    ],
)  # fmt: skip
def test_roman_numerals(text, value):
    assert roman_value(text) == value


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("NC_001133.9 Saccharomyces cerevisiae S288C chromosome I, complete sequence",
         ["I"]),
        ("NC_000001.11 Homo sapiens chromosome 1, GRCh38.p14 Primary Assembly", ["1"]),
        ("NT_187361.1 Homo sapiens chromosome 1 unlocalized genomic scaffold, GRCh38",
         []),
        ("NW_009646194.1 Homo sapiens chromosome 1 genomic patch of type FIX", []),
        ("NC_001224.1 Saccharomyces cerevisiae S288c mitochondrion, complete genome",
         ["mitochondrion"]),
        ("NC_000932.1 Arabidopsis thaliana chloroplast, complete genome",
         ["chloroplast"]),
        ("1 dna:chromosome chromosome:TAIR10:1:1:30427671:1 REF", []),
        ("Chr1", []),
        ("chrI made up", []),
    ],
)  # fmt: skip
def test_names_in_headers(header, names):
    assert synonyms_in_header(header) == names


def test_a_registered_linkage_group_does_not_speak_for_the_others():
    names = ContigNames(("chr1", "chr2", "chr3"), {"LG1": "chr3"})
    assert names.resolve(["LG1", "LG2", "1"]) == {
        "LG1": "chr3",
        "LG2": None,
        "1": "chr1",
    }
