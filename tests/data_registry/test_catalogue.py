"""The catalogue of public sources."""

from collections import Counter
from urllib.parse import urlsplit

import pytest

from data_registry.catalogue import load_catalogue, read_catalogue
from data_registry.errors import InputError, MalformedFileError

SPECIES = {
    "arabidopsis",
    "rice",
    "maize",
    "tomato",
    "soybean",
    "wheat",
    "pig",
    "cattle",
    "chicken",
    "yeast",
    "human",
}

ONE = """
[provider.here]
name = "Here"
release = "7"
checksum = "md5"
checksum_file = "md5sum.txt"
licence = "CC0-1.0"
licence_url = "https://example.org/licence"
licence_verified = "read"
citation = "nobody"

[species.cress]
latin = "Testus cressus"
taxon = 99
assembly = "T1"
aliases = ["tc"]
gaps = []

[[source]]
key = "cress/genome"
species = ["cress"]
assembly = "T1"
kind = "genome"
provider = "here"
url = "https://example.org/pub/T1%20one.fa.gz?x=1"
sha256 = ""
size = 5
fetch = "always"
verified = "read"

[[source]]
key = "cress/track"
species = ["cress"]
assembly = "T1"
kind = "track"
provider = "here"
url = "https://example.org/pub/T1.bw"
file = "phylop.bw"
release = "6"
sha256 = ""
size = 5
fetch = "on request"
verified = "inferred"
"""


def test_the_shipped_catalogue_has_all_species_with_genome_and_annotation():
    catalogue = load_catalogue()
    assert set(catalogue.species) == SPECIES
    for key, species in catalogue.species.items():
        kinds = Counter(source.kind for source in catalogue.choose_sources(key))
        assert kinds["genome"] == kinds["annotation"] == kinds["ontology"] == 1, key
        assert kinds["motifs"] == kinds["interactions"] == 1, key
        for source in catalogue.choose_sources(key, kinds=["genome", "annotation"]):
            assert source.assembly == species.assembly
            assert source.assembly in source.url


def test_no_address_is_left_to_move_and_none_claims_to_have_been_downloaded():
    for source in load_catalogue().sources:
        # "current" changes under the user's feet; a release does not.
        assert "/current" not in source.url
        assert "//current." not in source.url
        assert source.verified.startswith(("read: ", "inferred: ")), source.key
        assert source.provider.licence
        assert source.provider.citation
        if source.provider.key not in {"ucsc", "plantregmap"}:
            assert source.release in source.url, source.key
        if urlsplit(source.url).scheme == "http":
            assert "no https" in source.note


def test_local_names_never_collide_within_a_species():
    catalogue = load_catalogue()
    for species in catalogue.species:
        sources = catalogue.choose_sources(species, everything=True)
        names = Counter(source.file.casefold() for source in sources)
        assert max(names.values()) == 1, names.most_common(1)


@pytest.mark.parametrize(
    "name",
    ["arabidopsis", "Arabidopsis thaliana", "arabidopsis_thaliana", "3702", "ATH"],
)
def test_a_species_is_found_by_any_of_its_names(name):
    assert load_catalogue().find_species(name).key == "arabidopsis"


def test_no_name_means_two_species():
    catalogue = load_catalogue()
    names = Counter(
        name.casefold()
        for s in catalogue.species.values()
        for name in {s.key, s.latin.casefold(), str(s.taxon), *s.aliases}
    )
    assert max(names.values()) == 1


def test_an_unknown_species_is_refused_with_near_names():
    with pytest.raises(InputError, match=r"'arabidopsos'.*mean arabidopsis.*yeast"):
        load_catalogue().find_species("arabidopsos")


def test_fields_by_hand(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text(ONE)
    catalogue = read_catalogue(path)
    genome, track = catalogue.sources
    assert (genome.file, genome.release) == ("T1 one.fa.gz", "7")
    assert genome.checksum_url == "https://example.org/pub/md5sum.txt"
    assert (track.file, track.release) == ("phylop.bw", "6")
    assert catalogue.choose_sources("tc") == (genome,)
    assert catalogue.choose_sources("tc", everything=True) == (genome, track)
    assert catalogue.choose_sources("tc", kinds=["track"]) == (track,)
    assert catalogue.choose_sources("99", keys=["cress/track"]) == (track,)
    with pytest.raises(InputError, match=r"no public source of kind texts.*genome"):
        catalogue.choose_sources("tc", kinds=["texts"])
    with pytest.raises(InputError, match=r"no source cress/gene.*cress/genome"):
        catalogue.choose_sources("tc", keys=["cress/gene"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "genome"\n', "", "cress/genome lacks kind"),
        ('kind = "genome"', 'kind = "genome"\ncolour = 1', "unknown fields colour"),
        ('provider = "here"', 'provider = "there"', "provider 'there'"),
        ('species = ["cress"]', 'species = ["grass"]', "species grass"),
        ("https://example.org/pub/T1.bw", "ftp://example.org/T1.bw", r"no http"),
        ('file = "phylop.bw"', 'file = "../phylop.bw"', "is no file name"),
        ("cress/track", "cress/genome", "stands twice"),
        ('fetch = "always"', 'fetch = "never"', "fetch 'never'"),
        ('checksum = "md5"', 'checksum = "crc"', "checksum 'crc'"),
        ("[provider.here]", "[provider.here", "not a readable TOML"),
    ],
)
def test_a_faulty_catalogue_is_refused(tmp_path, old, new, message):
    path = tmp_path / "faulty.toml"
    assert old in ONE
    path.write_text(ONE.replace(old, new))
    with pytest.raises(MalformedFileError, match=message):
        read_catalogue(path)


def test_every_kind_is_a_kind_of_the_registry_with_such_options():
    kinds = pytest.importorskip("data_registry.kinds", exc_type=ImportError)
    for source in load_catalogue().sources:
        kind = kinds.find_kind(source.kind)
        assert set(source.options) <= set(kind.options), source.key
