"""Relatives' genomes: hand-made changes, slow oracles, another program's calls."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyBigWig
import pytest
from typer.testing import CliRunner

from data_registry import relatives as module
from data_registry.cli import app
from data_registry.errors import (
    InputError,
    MissingLayerError,
    MissingOptionalError,
)
from data_registry.genome import Contig, Genome, write_index
from data_registry.relative_alignment import (
    DELETED,
    UNALIGNED,
    Aligner,
    Alignment,
    Insertions,
    Parameters,
    align_relative,
    contig_offsets,
    letter_codes,
)
from data_registry.relatives import (
    Registered,
    Relatives,
    align_relatives,
    load_relatives,
    write_tracks,
)
from data_registry.store import open_store

pytest.importorskip("mappy")

LENGTHS = {"chrA": 30_000, "chrB": 12_000}
_PAIRS = str.maketrans("ACGTN", "TGCAN")


def random_bases(n: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), n))


REFERENCE = {
    name: random_bases(n, seed) for seed, (name, n) in enumerate(LENGTHS.items())
}


def other(base: str) -> str:
    return "ACGT"["ACGT".index(base) - 3]


def reverse_complement(bases: str) -> str:
    return bases.translate(_PAIRS)[::-1]


def genome_file(path: Path, records: dict[str, str]) -> Genome:
    """A stored FASTA with its index, as the registry writes it."""
    contigs = []
    with path.open("w") as file:
        for name, bases in records.items():
            file.write(f">{name}\n")
            contigs.append(Contig(name, len(bases), file.tell()))
            file.write(f"{bases}\n")
    write_index(contigs, path)
    return Genome(path.stem, path)


Align = Callable[..., tuple[dict[str, np.ndarray], Alignment]]


@pytest.fixture
def align(tmp_path: Path) -> Align:
    """Align records to a reference; give codes by contig, and the counts."""

    def run(
        records: dict[str, str], reference: dict[str, str] = REFERENCE, *,
        workers: int = 1, **parameters: int,
    ) -> tuple[dict[str, np.ndarray], Alignment]:  # fmt: skip
        target = genome_file(tmp_path / "reference.fa", reference)
        relative = genome_file(tmp_path / "relative.fa", records)
        total = sum(target.lengths.values())
        row = np.zeros(total, np.uint8)
        done: list[int] = []
        result = align_relative(
            Aligner(target), relative, row, Parameters(**parameters), workers=workers,
            on_progress=done.append,
        )  # fmt: skip
        assert done[-1] == sum(relative.lengths.values())
        counts = dict(result.counts)
        assert sum(counts.values()) == total
        offsets = contig_offsets(target)
        codes = {
            name: row[offsets[name] : offsets[name] + length]
            for name, length in target.lengths.items()
        }
        return codes, result

    return run


def codes_of(bases: str) -> np.ndarray:
    return letter_codes(np.frombuffer(bases.encode(), np.uint8))


def test_the_reference_itself_is_aligned_to_its_very_ends(align: Align) -> None:
    codes, result = align(REFERENCE)
    for name, bases in REFERENCE.items():
        np.testing.assert_array_equal(codes[name], codes_of(bases))
    assert result.counts["identical"] == sum(LENGTHS.values())
    assert (result.divergence, result.preset) == (0.0, "asm5")
    assert len(result.insertions.at) == 0


# Changes at places of chrA: a base, three bases in a row, five deleted, four put in.
SNP, MNV, GAP, PUT = 5_000, 8_000, 12_000, 20_000
INSERTED = "GATTACAT"


def changed_record() -> tuple[str, np.ndarray, int]:
    """The changed chrA, its codes along the reference, and where the insertion stands."""
    bases = list(REFERENCE["chrA"])
    expected = codes_of(REFERENCE["chrA"])
    for place in (SNP, MNV, MNV + 1, MNV + 2):
        bases[place] = other(bases[place])
        expected[place] = "ACGT".index(bases[place])
    start = GAP
    # minimap2 writes a gap as far left as it goes.
    while REFERENCE["chrA"][start - 1] == REFERENCE["chrA"][start + 4]:
        start -= 1
    expected[start : start + 5] = DELETED
    at, inserted = PUT, INSERTED
    while REFERENCE["chrA"][at - 1] == inserted[-1]:
        at, inserted = at - 1, inserted[-1] + inserted[:-1]
    text = "".join(bases[:GAP] + bases[GAP + 5 : PUT]) + INSERTED + "".join(bases[PUT:])
    return text, expected, at


@pytest.mark.parametrize("strand", ["+", "-"])
def test_changes_by_hand_on_either_strand(align: Align, strand: str) -> None:
    text, expected, at = changed_record()
    record = text if strand == "+" else reverse_complement(text)
    codes, result = align({"scaffold": record})
    np.testing.assert_array_equal(codes["chrA"], expected)
    assert (codes["chrB"] == UNALIGNED).all()
    assert dict(result.counts) == {
        "identical": 30_000 - 9, "different": 4, "deleted": 5, "unaligned": 12_000,
        "disputed": 0, "no_letter": 0,
    }  # fmt: skip
    held = result.insertions
    assert held.at.tolist() == [at]
    assert held.offsets.tolist() == [0, 8]
    assert held.find(np.array([at - 1, at, at + 1])).tolist() == [-1, 0, -1]
    letters = "".join("ACGT"[code] for code in held.bases)
    whole = REFERENCE["chrA"][:at] + letters + REFERENCE["chrA"][at:PUT]
    assert whole == REFERENCE["chrA"][:PUT] + INSERTED


def test_soft_masked_bases_are_bases(align: Align) -> None:
    codes, result = align({"a": REFERENCE["chrA"].lower()})
    np.testing.assert_array_equal(codes["chrA"], codes_of(REFERENCE["chrA"]))
    assert result.counts["identical"] == 30_000


def test_an_inversion_is_aligned_inside(align: Align) -> None:
    bases = REFERENCE["chrA"]
    a, b = 10_000, 16_000
    codes, result = align({"a": bases[:a] + reverse_complement(bases[a:b]) + bases[b:]})
    expected = codes_of(bases)
    edge = 20  # where it turns round, bases may fit either strand by chance
    clear = np.ones(len(bases), bool)
    for turn in (a, b):
        clear[turn - edge : turn + edge] = False
    np.testing.assert_array_equal(codes["chrA"][clear], expected[clear])
    assert result.counts["different"] <= 2 * edge


def test_a_run_of_n_says_nothing(align: Align) -> None:
    bases = REFERENCE["chrA"]
    holed = bases[:7_000] + "N" * 60 + bases[7_060:]
    codes, result = align({"a": holed})
    assert (codes["chrA"][7_000:7_060] == UNALIGNED).all()
    assert result.counts["no_letter"] == 60
    assert result.counts["identical"] == 30_000 - 60
    # A run in the reference: the relative's bases stand there, identical to nothing.
    codes, result = align({"a": bases}, {"chrA": holed})
    assert result.counts["different"] == (codes["chrA"][7_000:7_060] < UNALIGNED).sum()
    assert result.counts["identical"] == 30_000 - 60


def test_a_stretch_the_relative_has_twice_says_nothing(align: Align) -> None:
    bases = REFERENCE["chrA"]
    second = random_bases(3_000, 9) + bases[5_000:9_000] + random_bases(3_000, 10)
    codes, result = align({"a": bases, "b": second})
    assert (codes["chrA"][5_000:9_000] == UNALIGNED).all()
    around = np.r_[0:4_980, 9_020:30_000]
    np.testing.assert_array_equal(codes["chrA"][around], codes_of(bases)[around])
    assert 4_000 <= result.counts["disputed"] <= 4_040


def test_a_stretch_the_reference_has_twice_is_not_told_twice(align: Align) -> None:
    bases = REFERENCE["chrA"]
    twice = bases[:20_000] + bases[5_000:9_000] + bases[20_000:]
    codes, _ = align({"a": bases}, {"chrA": twice})
    # It stands in its own surroundings once; the copy is a gap, or not aligned.
    np.testing.assert_array_equal(codes["chrA"][:19_900], codes_of(bases)[:19_900])
    assert (codes["chrA"][20_100:23_900] >= UNALIGNED).all()
    # Without surroundings it could be either: neither is told.
    codes, result = align({"a": bases[5_000:9_000]}, {"chrA": twice})
    assert (codes["chrA"] == UNALIGNED).all()
    assert result.counts["disputed"] == 4_000


def test_a_relative_that_starts_late_leaves_the_end_open(align: Align) -> None:
    codes, _ = align({"a": REFERENCE["chrA"][300:-200]})
    assert (codes["chrA"][:300] == UNALIGNED).all()
    assert (codes["chrA"][-200:] == UNALIGNED).all()
    assert (codes["chrA"][300:-200] < UNALIGNED).all()


@pytest.mark.parametrize("workers", [1, 3])
def test_long_records_in_pieces_give_the_same(align: Align, workers: int) -> None:
    text, expected, at = changed_record()
    codes, result = align(
        {"a": text, "b": reverse_complement(REFERENCE["chrB"])},
        chunk_bp=7_000, overlap_bp=1_500, workers=workers,
    )  # fmt: skip
    np.testing.assert_array_equal(codes["chrA"], expected)
    np.testing.assert_array_equal(codes["chrB"], codes_of(REFERENCE["chrB"]))
    assert result.insertions.at.tolist() == [at]


def test_the_preset_follows_the_divergence(align: Align) -> None:
    rng = np.random.default_rng(4)
    bases = np.array(list(REFERENCE["chrA"]))
    where = rng.choice(30_000, 2_400, replace=False)
    bases[where] = [other(base) for base in bases[where]]
    codes, result = align({"a": "".join(bases)})
    assert result.preset == "asm20"
    assert result.divergence == pytest.approx(0.08, abs=0.01)
    called = codes["chrA"] < UNALIGNED
    truth = codes_of("".join(bases))
    assert called.mean() > 0.95
    assert (codes["chrA"][called] == truth[called]).mean() > 0.99


# -- the arithmetic ----------------------------------------------------------------------


@pytest.fixture
def drawn(tmp_path: Path) -> Relatives:
    """Codes drawn at random, on a reference with N and soft-masked bases."""
    rng = np.random.default_rng(6)
    bases = {"c1": list(random_bases(700, 3)), "c2": list(random_bases(15, 4))}
    bases["c1"][100:130] = "N" * 30
    bases["c1"][200:240] = [base.lower() for base in bases["c1"][200:240]]
    text = {name: "".join(letters) for name, letters in bases.items()}
    genome = genome_file(tmp_path / "drawn.fa", text)
    letters = np.concatenate([letter_codes(genome.contig(name)) for name in genome])
    codes = np.where(
        rng.random((4, 715)) < 0.6, letters, rng.integers(0, 6, (4, 715))
    ).astype(np.uint8)
    codes[:, 300:360] = UNALIGNED
    nothing = Insertions(
        np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.uint8)
    )
    return Relatives(
        genome, ("a", "b", "c", "d"), ("outgroup", "ingroup", "outgroup", "outgroup"),
        (nothing,) * 4, ({},) * 4, contig_offsets(genome), "", codes,
    )  # fmt: skip


@pytest.mark.parametrize("block", [50, 1 << 20])
@pytest.mark.parametrize("flank", [0, 3, 20])
def test_identity_by_a_slow_oracle(
    drawn: Relatives, flank: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK_BP", block)
    for contig in drawn.genome:
        sites, letters = drawn.sites(contig), letter_codes(drawn.genome.contig(contig))
        length = len(letters)
        expected = np.full((4, length), np.nan)
        for i in range(4):
            for site in range(length):
                window = range(max(site - flank, 0), min(site + flank + 1, length))
                aligned = [j for j in window if sites[i, j] != 4 and letters[j] != 4]
                if aligned and 2 * len(aligned) >= len(window):
                    same = [j for j in aligned if sites[i, j] == letters[j]]
                    expected[i, site] = len(same) / len(aligned)
        found = drawn.identity_by_relative(contig, flank)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        mean = [
            np.mean(known) if len(known := column[~np.isnan(column)]) else np.nan
            for column in expected.T
        ]
        np.testing.assert_allclose(drawn.identity(contig, flank), mean, atol=1e-6)
        assert drawn.identity(contig, flank).dtype == np.float32
    assert np.isnan(drawn.identity("c1")[320:340]).all()


def test_polarity_by_a_slow_oracle(drawn: Relatives) -> None:
    sites = drawn.sites("c1")
    expected = []
    for site in range(sites.shape[1]):
        said = {int(sites[i, site]) for i in (0, 2, 3)} - {UNALIGNED}
        expected.append(said.pop() if len(said) == 1 else UNALIGNED)
    assert drawn.polarity("c1").tolist() == expected
    assert len(set(expected)) == 6


def test_tracks_hold_what_the_relatives_say(drawn: Relatives, tmp_path: Path) -> None:
    identity, aligned, identical = write_tracks(drawn, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    letters = letter_codes(drawn.genome.contig("c1"))
    compared = (drawn.sites("c1") != UNALIGNED) & (letters != UNALIGNED)
    same = (drawn.sites("c1") == letters) & compared
    n = compared.sum(axis=0)
    for path, expected in (
        (identity, drawn.identity("c1")),
        (aligned, n),
        (identical, np.where(n > 0, same.sum(axis=0), np.nan)),
    ):
        with pyBigWig.open(str(path)) as file:
            assert file.chroms() == {"c1": 700, "c2": 15}
            found = file.values("c1", 0, 700, numpy=True)
        np.testing.assert_allclose(found, expected, atol=1e-6)


# -- the workspace -----------------------------------------------------------------------


def write_fasta(path: Path, records: dict[str, str]) -> Path:
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in records.items()))
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A reference with two relatives: ``near`` has one base changed, ``far`` two."""
    folder = tmp_path / "w"
    near, far = list(REFERENCE["chrA"]), list(REFERENCE["chrA"])
    near[SNP] = far[SNP] = other(near[SNP])
    far[MNV] = other(far[MNV])
    with open_store(folder, write=True) as store:
        store.add(
            write_fasta(tmp_path / "ref.fa", REFERENCE), options={"assembly": "r1"}
        )
        for name, bases, role in (("near", near, "ingroup"), ("far", far, "outgroup")):
            store.add(
                write_fasta(tmp_path / f"{name}.fa", {"one": "".join(bases)}),
                kind="relative_genome", options={"role": role},
            )  # fmt: skip
    return folder


def registered_in(workspace: Path) -> Registered:
    with open_store(workspace) as store:
        return Registered.of(store)


@pytest.fixture
def aligned_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The relatives that were aligned, not taken over."""
    names: list[str] = []

    def noted(aligner: Aligner, relative: Genome, *rest, **named) -> Alignment:
        names.append(relative.assembly)
        return align_relative(aligner, relative, *rest, **named)

    monkeypatch.setattr(module, "align_relative", noted)
    return names


def test_from_files_to_sites(workspace: Path) -> None:
    assert load_relatives(workspace) is None  # registered, not aligned
    align_relatives(registered_in(workspace))
    relatives = load_relatives(workspace)
    assert relatives is not None
    assert (relatives.names, relatives.roles) == (
        ("far", "near"),
        ("outgroup", "ingroup"),
    )
    sites = relatives.sites("chrA")
    assert sites.shape == (2, 30_000)
    assert isinstance(sites, np.memmap)
    assert not sites.flags.writeable
    reference = codes_of(REFERENCE["chrA"])
    assert np.flatnonzero(sites[0] != reference).tolist() == [SNP, MNV]
    assert np.flatnonzero(sites[1] != reference).tolist() == [SNP]
    assert (relatives.sites("chrB") == UNALIGNED).all()
    # One of 41 differs in both, so at its place 40/41; 21 bp on, none.
    identity = relatives.identity("chrA")
    assert identity[SNP] == identity[SNP + 20] == np.float32(40 / 41)
    assert identity[SNP + 21] == identity[MNV - 21] == 1
    assert identity[MNV] == pytest.approx((40 / 41 + 1) / 2)
    # At the contig's start the window holds 21 bases.
    assert identity[0] == 1
    assert np.isnan(relatives.identity("chrB")).all()
    assert relatives.polarity("chrA")[MNV] == sites[0, MNV]
    assert (relatives.polarity("chrB") == UNALIGNED).all()


def test_only_what_changed_is_aligned_again(
    workspace: Path, tmp_path: Path, aligned_names: list[str]
) -> None:
    before = align_relatives(registered_in(workspace))
    first = np.array(before.sites("chrA"))
    assert aligned_names == ["far", "near"]
    align_relatives(registered_in(workspace))
    assert aligned_names == ["far", "near"]
    bases = {"one": REFERENCE["chrB"]}
    with open_store(workspace, write=True) as store:
        store.add(
            write_fasta(tmp_path / "kin.fa", bases), kind="relative_genome",
            options={"role": "ingroup"},
        )  # fmt: skip
        # The role is no matter of the alignment.
        store.add(
            tmp_path / "near.fa", kind="relative_genome", options={"role": "outgroup"}
        )
    assert load_relatives(workspace) is None
    after = align_relatives(registered_in(workspace))
    assert aligned_names == ["far", "near", "kin"]
    assert after.roles == ("outgroup", "ingroup", "outgroup")
    np.testing.assert_array_equal(after.sites("chrA")[[0, 2]], first)
    assert (after.sites("chrB")[1] == codes_of(REFERENCE["chrB"])).all()
    assert after.digest != before.digest
    # The old folder is gone, and nothing half written stays.
    (folder,) = (workspace / "relatives").iterdir()
    assert folder.name == after.digest


def test_a_killed_run_goes_on_with_the_next_relative(
    workspace: Path, aligned_names: list[str]
) -> None:
    def killed(_: int, name: str) -> None:
        if name == "near":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        align_relatives(registered_in(workspace), on_progress=killed)
    assert load_relatives(workspace) is None
    assert aligned_names == ["far"]
    align_relatives(registered_in(workspace))
    assert aligned_names == ["far", "near"]
    assert load_relatives(workspace) is not None


def test_the_same_input_gives_the_same_bytes(workspace: Path) -> None:
    registered = registered_in(workspace)

    def contents() -> dict[str, bytes]:
        folder = registered.folder / registered.digest
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    align_relatives(registered)
    first = contents()
    for path in (registered.folder / registered.digest).iterdir():
        path.unlink()
    align_relatives(registered, workers=2)
    assert contents() == first


def test_the_command(workspace: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    done = run(
        app, ["relatives", "-w", str(workspace), "--tracks", str(tmp_path / "t")]
    )
    assert done.exit_code == 0, done.output
    assert "29,998" in done.output  # identical bases of far
    with open_store(workspace, write=True) as store:
        store.add(
            tmp_path / "t/relatives_identity.bw", options={"role": "conservation"}
        )
        assert store.connection.execute("SELECT role FROM tracks").fetchall() == [
            ("conservation",)
        ]
        store.remove("far")
    done = run(app, ["relatives", "-w", str(workspace)])
    assert "no outgroup" in done.output


def test_faults_are_told_with_the_remedy(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = write_fasta(tmp_path / "stranger.fa", {"x": random_bases(20_000, 77)})
    with open_store(workspace, write=True) as store:
        with pytest.raises(InputError, match="no role; say --option role=outgroup"):
            store.add(stranger, kind="relative_genome")
        with pytest.raises(InputError, match="role='cousin'"):
            store.add(stranger, kind="relative_genome", options={"role": "cousin"})
        store.add(stranger, kind="relative_genome", options={"role": "outgroup"})
        rows = store.connection.execute(
            "SELECT relative, record, length FROM relative_records ORDER BY ALL"
        ).fetchall()
        assert rows[-1] == ("stranger", "x", 20_000)
    with pytest.raises(InputError, match=r"stranger: none of 4 stretches .*remove"):
        align_relatives(registered_in(workspace))
    with open_store(workspace, write=True) as store:
        for name in ("stranger", "near", "far"):
            store.remove(name)
    assert load_relatives(workspace) is None
    with pytest.raises(MissingLayerError, match="--kind relative_genome"):
        align_relatives(registered_in(workspace))
    kin = write_fasta(tmp_path / "kin.fa", {"x": REFERENCE["chrB"]})
    with open_store(workspace, write=True) as store:
        store.add(kin, kind="relative_genome", options={"role": "outgroup"})
    monkeypatch.setitem(sys.modules, "mappy", None)
    with pytest.raises(
        MissingOptionalError, match=r"pip install 'cisgraph\[relatives\]'"
    ):
        align_relatives(registered_in(workspace))


# -- real genomes ------------------------------------------------------------------------


@pytest.mark.realdata
def test_bases_agree_with_genotypes_that_another_program_called(
    shared_data: Path, align: Align
) -> None:
    """SNPs of chrIII, one strain of each role: calls from minimap2's command line."""
    import gzip

    from cyvcf2 import VCF

    yeast = shared_data / "yeast"

    def chromosome(path: Path) -> dict[str, str]:
        with gzip.open(path, "rt") as file:
            records = dict(
                record.split("\n", 1) for record in file.read().split(">")[1:]
            )
        return {"chrIII": records["chrIII"].replace("\n", "")}

    reference = chromosome(yeast / "genome/sacCer3.fa.gz")
    for name, covered in (("SK1", 0.85), ("CBS432", 0.75)):
        codes, _ = align(
            chromosome(yeast / f"assemblies/{name}.genome.fa.gz"), reference
        )
        row = codes["chrIII"]
        assert (row < UNALIGNED).mean() > covered
        vcf = VCF(str(yeast / "variants/yeast12.norm.vcf.gz"), samples=[name])
        found = [
            (record.start, "ACGT".index(record.ALT[0]), record.genotype.array()[0, 0])
            for record in vcf("chrIII")
            if len(record.REF) == len(record.ALT[0]) == 1
        ]
        place, alt, genotype = np.array(found).T

        def agreement(place: np.ndarray, row=row, alt=alt, genotype=genotype) -> float:
            both = (row[place] < UNALIGNED) & (genotype >= 0)
            assert both.sum() > 0.8 * (genotype >= 0).sum()
            return ((row[place] == alt) == (genotype == 1))[both].mean()

        assert agreement(place) > 0.99
        # One base further on they would not agree.
        carried = genotype == 1
        shifted = (row[place[carried] + 1] == alt[carried]).mean()
        assert shifted < 0.5
