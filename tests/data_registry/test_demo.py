"""The demo organism: what it promises, checked on the files it writes."""

import gzip
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import cooler
import numpy as np
import pandas as pd
import pysam
import pytest
from Bio.motifs.matrix import FrequencyPositionMatrix
from Bio.Seq import Seq

from data_registry.demo import DemoFiles, build_demo
from data_registry.demo_organism import files as demo_files
from data_registry.demo_organism.contact_matrix import list_loops
from data_registry.demo_organism.effects import Change, RuleBook
from data_registry.demo_organism.elements import (
    BIN_BP,
    Landscape,
    assign_modules,
    draw_landscape,
)
from data_registry.demo_organism.gene_models import Chromosome, Gene, draw_chromosomes
from data_registry.demo_organism.motif_models import MotifModel, read_motifs
from data_registry.demo_organism.population import Mutation, join_records
from data_registry.demo_organism.sequence import draw_background, draw_repeats
from data_registry.demo_organism.traits import TRAITS, associate
from data_registry.errors import MissingOptionalError
from data_registry.kinds import find_kind
from data_registry.parsing import Request

pytest.importorskip("msprime")

World = tuple[list[Chromosome], list[Gene], Landscape, tuple[MotifModel, ...]]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoFiles:
    return build_demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def world() -> World:
    """The same steps in memory, from another seed."""
    rng = np.random.default_rng(7)
    motifs = read_motifs()
    background = draw_background(rng)
    chromosomes, genes = draw_chromosomes(background, rng)
    modules = assign_modules(genes, motifs, rng)
    repeats = draw_repeats(background, rng)
    scape = draw_landscape(chromosomes, genes, motifs, modules, repeats, rng)
    return chromosomes, genes, scape, motifs


def find(demo: DemoFiles, name: str) -> Path:
    (path,) = [file.path for file in demo.files if file.name == f"simulated_{name}"]
    return path


def read_table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", comment="#", keep_default_na=False)


@pytest.fixture(scope="module")
def genome(demo: DemoFiles) -> dict[str, str]:
    records: dict[str, list[str]] = {}
    for line in find(demo, "genome").read_text().splitlines():
        if line.startswith(">"):
            name = line[1:].split()[0]
            records[name] = []
        else:
            records[name].append(line)
    return {name: "".join(parts) for name, parts in records.items()}


@pytest.fixture(scope="module")
def truth(demo: DemoFiles) -> pd.DataFrame:
    return read_table(demo.truth)


def gff_rows(demo: DemoFiles) -> list[tuple[list[str], dict[str, str]]]:
    rows = []
    for line in find(demo, "genes").read_text().splitlines():
        if not line.startswith("#"):
            cells = line.split("\t")
            rows.append((cells, dict(p.split("=", 1) for p in cells[8].split(";"))))
    return rows


# --- values worked out by hand -------------------------------------------------------


def test_association_by_hand():
    # Within groups x is -1, 0, 1 and y is -1, 0, 1 and -2, 0, 2:
    # beta = (2 + 4) / 4; residual sum = 10 - 1.5^2 * 4 = 1 on 6 - 2 - 1 = 3 degrees.
    y = np.array([1.0, 2.0, 3.0, 10.0, 12.0, 14.0])
    x = np.array([[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]])
    found = associate(y, x, ["a", "a", "a", "b", "b", "b"])
    np.testing.assert_allclose(found.beta, [1.5])
    np.testing.assert_allclose(found.se, [np.sqrt(1 / 3 / 4)])
    np.testing.assert_allclose(
        found.p_value,
        [
            0.0138,
        ],
        atol=2e-4,
    )


def test_snp_inside_a_deletion_reads_star():
    def mutation(start: int, ref: str, alt: str, carriers: list[int]) -> Mutation:
        return Mutation(Change(0, start, ref, alt), np.array(carriers, dtype=np.int8))

    records, written = join_records(
        [
            mutation(10, "ACG", "A", [1, 0, 0, 0]),
            mutation(12, "G", "T", [1, 1, 0, 0]),
            mutation(20, "C", "T", [0, 1, 1, 0]),
            mutation(20, "C", "A", [0, 0, 1, 1]),
        ]
    )
    shown = [(r.start, r.ref, r.alts, r.alleles.tolist()) for r in records]
    assert shown == [
        (10, "ACG", ["A"], [1, 0, 0, 0]),
        (12, "G", ["T", "*"], [2, 1, 0, 0]),
        (20, "C", ["A", "T"], [0, 2, 2, 1]),
    ]
    # The T at 12 lost the copy that lies on the deleted haplotype.
    assert [m.carriers.tolist() for m in written][1] == [0, 1, 0, 0]


# --- the whole build -----------------------------------------------------------------


def test_same_seed_gives_same_bytes(demo: DemoFiles, tmp_path: Path):
    again = build_demo(tmp_path / "a folder ü", seed=demo.seed)
    names = sorted(
        p.relative_to(demo.folder) for p in demo.folder.rglob("*") if p.is_file()
    )
    assert names == sorted(
        p.relative_to(again.folder) for p in again.folder.rglob("*") if p.is_file()
    )
    differing = [
        str(name)
        for name in names
        if (demo.folder / name).read_bytes() != (again.folder / name).read_bytes()
    ]
    assert differing == []


def test_unchanged_build_is_kept_and_a_changed_one_is_not(
    demo: DemoFiles, tmp_path: Path
):
    before = {p: p.stat().st_mtime_ns for p in demo.folder.rglob("*") if p.is_file()}
    assert build_demo(demo.folder) == demo
    assert before == {p: p.stat().st_mtime_ns for p in before}
    copy = tmp_path / "copy"
    shutil.copytree(demo.folder, copy)
    inputs = demo_files._digest_inputs(demo.seed)
    assert demo_files._read_unchanged(copy, inputs) == demo.counts
    assert demo_files._read_unchanged(copy, demo_files._digest_inputs(1)) is None
    with (copy / "simulated" / "simulated.tads.bed").open("a") as file:
        file.write("chr1\t0\t10\tadded\n")
    assert demo_files._read_unchanged(copy, inputs) is None


def test_every_file_says_that_it_is_simulated(demo: DemoFiles):
    binary = {".bw", ".tbi"}
    total = 0
    for path in (p for p in demo.folder.rglob("*") if p.is_file()):
        total += path.stat().st_size
        if path.suffix == ".cool":
            assert "simulated" in str(cooler.Cooler(str(path)).info["metadata"])
            continue
        if path.suffix in binary:
            assert path.name.startswith("simulated")
            continue
        data = path.read_bytes()
        text = gzip.decompress(data) if path.suffix == ".gz" else data
        assert b"simulated" in text[:400].lower(), path.name
    assert total < 25e6


def test_truth_is_not_offered_for_registration(demo: DemoFiles):
    offered = {file.path for file in demo.files} | {demo.vcf, demo.samples}
    assert all(path.is_file() for path in offered)
    assert {path.parent.name for path in offered} == {"simulated"}
    assert demo.truth.parent == demo.decoys.parent
    assert demo.truth.parent.name == "simulated_truth"
    for path in offered:
        data = path.read_bytes()
        text = gzip.decompress(data) if path.suffix == ".gz" else data
        assert b"motif_loss" not in text
        assert b"stop_gained" not in text


def test_missing_msprime_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def absent(name: str) -> str:
        if name == "msprime":
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(demo_files, "version", absent)
    with pytest.raises(MissingOptionalError, match=r"msprime.*cisgraph\[demo\]"):
        build_demo(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


# --- sequence and genes --------------------------------------------------------------


def test_every_cds_is_valid(demo: DemoFiles, genome: dict[str, str]):
    cds: dict[str, list[list[str]]] = defaultdict(list)
    others: dict[str, list[list[str]]] = defaultdict(list)
    for cells, attributes in gff_rows(demo):
        if cells[2] == "CDS":
            cds[attributes["Parent"]].append(cells)
        elif cells[2] in {"exon", "five_prime_UTR", "three_prime_UTR"}:
            others[attributes["Parent"]].append(cells)
    assert len(cds) >= 250
    for transcript, parts in cds.items():
        strand = parts[0][6]
        parts.sort(key=lambda c: int(c[3]), reverse=strand == "-")
        coding, phases = "", []
        for cells in parts:
            piece = genome[f"chr{cells[0]}"][int(cells[3]) - 1 : int(cells[4])].upper()
            phases.append((-len(coding)) % 3)
            coding += piece if strand == "+" else str(Seq(piece).reverse_complement())
        assert [int(c[7]) for c in parts] == phases, transcript
        protein = str(Seq(coding).translate())
        assert len(coding) % 3 == 0, transcript
        assert protein[0] == "M", transcript
        assert protein.find("*") == len(protein) - 1, transcript
        length = Counter()
        for cells in others[transcript]:
            length[cells[2]] += int(cells[4]) - int(cells[3]) + 1
        n_utr = length["five_prime_UTR"] + length["three_prime_UTR"]
        assert length["exon"] == n_utr + len(coding), transcript


def test_introns_are_gt_ag(world: World):
    chromosomes, genes, *_ = world
    n_introns = 0
    for gene in genes:
        for start, end in gene.introns():
            text = chromosomes[gene.chromosome].bases[start:end].tobytes().decode()
            if gene.strand == "-":
                text = str(Seq(text).reverse_complement())
            assert (text[:2], text[-2:]) == ("GT", "AG")
            n_introns += 1
    assert n_introns > 300
    assert {gene.strand for gene in genes} == {"+", "-"}
    assert sum(len(gene.transcripts) > 1 for gene in genes) > 20


def test_background_can_be_learned(genome: dict[str, str]):
    """Order-4 counts of one chromosome predict another better than its composition."""

    def count(text: str, width: int) -> Counter[str]:
        return Counter(text[i : i + width] for i in range(len(text) - width))

    train = re.sub("[a-zN]", "N", genome["chr1"])
    test = re.sub("[a-zN]", "N", genome["chr2"])[:100_000]
    words, contexts, single = count(train, 5), count(train, 4), count(train, 1)
    total = sum(single[b] for b in "ACGT")
    gain = [
        np.log2((words[w] + 0.25) / (contexts[w[:4]] + 1) / (single[w[4]] / total))
        for w in (test[i : i + 5] for i in range(len(test) - 5))
        if "N" not in w
    ]
    assert np.mean(gain) > 0.02


def test_repeats_are_soft_masked(demo: DemoFiles, genome: dict[str, str]):
    bed = pd.read_csv(find(demo, "repeats"), sep="\t", skiprows=1, header=None)
    n_lower = sum(sum(b.islower() for b in text) for text in genome.values())
    assert n_lower == int((bed[2] - bed[1]).sum())
    for row in bed.head(50).itertuples():
        assert genome[row[1]][row[2] : row[3]].islower()


# --- motifs --------------------------------------------------------------------------


def biopython_pssm(motif: MotifModel):
    counts = {b: motif.counts[:, i].tolist() for i, b in enumerate("ACGT")}
    background = {"A": 0.325, "C": 0.175, "G": 0.175, "T": 0.325}
    pwm = FrequencyPositionMatrix("ACGT", counts).normalize(background)
    return pwm.log_odds(background), background


def test_planted_motifs_score_above_threshold(world: World):
    chromosomes, _, scape, motifs = world
    for motif in (m for m in motifs if m.sign):
        pssm, background = biopython_pssm(motif)
        limit = pssm.distribution(background, precision=500).threshold_fpr(1e-4)
        scores = defaultdict(list)
        for site in (s for s in scape.sites if s.motif is motif):
            text = chromosomes[site.chromosome].bases[site.start : site.end].tobytes()
            forward = Seq(text.decode())
            seen = forward if site.strand == "+" else forward.reverse_complement()
            score = float(np.atleast_1d(pssm.calculate(seen))[0])
            assert score == pytest.approx(motif.score(site.read(
                chromosomes[site.chromosome].bases)), abs=1e-3)  # fmt: skip
            scores[site.role].append(score)
        assert min(scores["functional"]) > limit, motif.tf
        assert min(scores["silent"]) > limit, motif.tf
        assert np.median(scores["latent"]) < np.median(scores["functional"]) - 3


def test_only_functional_sites_act(world: World):
    chromosomes, genes, scape, _ = world
    rules = RuleBook(chromosomes, genes, scape)
    for number, site in enumerate(scape.sites):
        effect = rules.find_effect(rules.strongest_snp(number))
        if site.role == "silent":
            assert effect is None
        elif effect is not None:
            element = scape.elements[site.element]
            lost = site.role == "functional"
            assert effect.mechanism.endswith("motif_loss" if lost else "motif_gain")
            assert effect.gene == element.gene
            assert effect.expression * site.motif.sign * (-1 if lost else 1) > 0


# --- variants and truth --------------------------------------------------------------


def test_vcf_refs_are_the_genome_and_counts_are_right(
    demo: DemoFiles, genome: dict[str, str]
):
    seen: Counter[str] = Counter()
    last = ("", 0)
    deletions: list[tuple[str, int, int]] = []
    with pysam.VariantFile(str(demo.vcf)) as vcf:
        assert len(vcf.header.samples) == 200
        for record in vcf:
            assert record.alts is not None
            start, end = record.start, record.start + len(record.ref)
            assert genome[record.chrom][start:end].upper() == record.ref
            assert (record.chrom, start) > last
            last = (record.chrom, start)
            seen["indel"] += any(len(a) != len(record.ref) for a in record.alts)
            seen["multi"] += len(record.alts) > 1
            if len(record.ref) > 1:
                deletions.append((record.chrom, start, end))
            if "*" in record.alts:
                seen["star"] += 1
                assert any(c == record.chrom and a < start < b for c, a, b in deletions)
            assert min(record.info["AC"]) > 0
    assert min(seen["indel"], seen["multi"], seen["star"]) >= 20
    assert {"chr1"} <= set(pysam.TabixFile(str(demo.vcf)).contigs)


def dosages(demo: DemoFiles, wanted: set[tuple[str, int, str, str]]):
    found = {}
    with pysam.VariantFile(str(demo.vcf)) as vcf:
        for record in vcf:
            for number, alt in enumerate(record.alts or (), start=1):
                key = (record.chrom, record.pos, record.ref, alt)
                if key in wanted:
                    calls = [sample["GT"] for sample in record.samples.values()]
                    found[key] = np.array([call.count(number) for call in calls])
    return found


@pytest.fixture(scope="module")
def causal_dosages(demo: DemoFiles, truth: pd.DataFrame):
    keys = set(truth[["chrom", "pos", "ref", "alt"]].itertuples(index=False, name=None))
    return dosages(demo, keys), keys


def test_causal_variants_are_in_the_vcf(truth: pd.DataFrame, causal_dosages):
    found, keys = causal_dosages
    assert found.keys() == keys
    for row in truth.itertuples():
        copies = found[row.chrom, row.pos, row.ref, row.alt]
        assert copies.mean() / 2 == pytest.approx(row.af, abs=1e-4)


def test_truth_makes_the_traits(demo: DemoFiles, truth: pd.DataFrame, causal_dosages):
    """Effects times dosages give the genetic value: 65 % of each trait's variance."""
    found, _ = causal_dosages
    measured = read_table(find(demo, "phenotypes"))
    for trait in TRAITS:
        rows = truth[truth["trait"] == trait.trait_id]
        value = sum(
            float(r.effect) * found[r.chrom, r.pos, r.ref, r.alt]
            for r in rows.itertuples()
        )
        assert np.std(value) == pytest.approx(trait.spread * np.sqrt(0.65), rel=0.01)
        noise = measured[trait.trait_id] - value
        assert np.std(noise) == pytest.approx(trait.spread * np.sqrt(0.35), rel=0.15)
        n_large = int((rows["size"] == "large").sum())
        assert 2 <= n_large <= 12
        assert len(rows) - n_large > 3 * n_large


def test_decoys_outnumber_and_do_nothing(demo: DemoFiles, truth: pd.DataFrame):
    decoys = read_table(demo.decoys)
    key = ["chrom", "pos", "ref", "alt"]
    assert len(decoys.merge(truth, on=key)) == 0
    common = decoys[decoys["af"] >= 0.05]
    kinds = common["resembles"].value_counts()
    assert set(kinds.index) == {
        "missense", "silent_motif_in_element", "motif_outside_elements"
    }  # fmt: skip
    assert kinds.min() >= 20
    assert len(common) > len(truth.drop_duplicates(key))


def test_motif_losses_lose_motifs(
    genome: dict[str, str], truth: pd.DataFrame, world: World
):
    """Biopython sees the best match around the variant change as stated."""
    pssms = {m.tf: (biopython_pssm(m)[0], m.width) for m in world[3] if m.sign}
    n_checked = 0
    rows = truth.drop_duplicates(["chrom", "pos", "ref", "alt"])
    for row in rows[rows["mechanism"].str.contains("motif")].itertuples():
        if len(row.ref) != 1 or len(row.alt) != 1:
            continue
        pssm, width = pssms[row.tf]
        start = row.pos - 1
        before = genome[row.chrom][start - width + 1 : start + width].upper()
        after = before[: width - 1] + row.alt + before[width:]
        best = [
            max(
                np.max(pssm.calculate(strand))
                for strand in (Seq(text), Seq(text).reverse_complement())
            )
            for text in (before, after)
        ]
        difference = best[1] - best[0]
        assert difference < -1 if row.mechanism.endswith("loss") else difference > 2
        n_checked += 1
    assert n_checked >= 20


def test_mechanisms_agree_with_bcftools_csq(
    demo: DemoFiles, truth: pd.DataFrame, tmp_path: Path
):
    """Another program reads the same consequences from the files alone."""
    fasta, gff = tmp_path / "genome.fa", tmp_path / "genes.gff3"
    shutil.copy(find(demo, "genome"), fasta)
    pysam.faidx(str(fasta))
    text = find(demo, "genes").read_text()
    gff.write_text(re.sub(r"(?m)^(\d\t)", r"chr\1", text))
    out = tmp_path / "out.vcf"
    # In a process of its own: csq remembers its last position (a static variable).
    arguments = [
        "-f", str(fasta), "-g", str(gff), "-p", "a", "-l", str(demo.vcf), "-Ov",
        "-o", str(out),
    ]  # fmt: skip
    program = (
        "import sys, pysam.bcftools as b; b.csq(*sys.argv[1:], catch_stdout=False)"
    )
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", program, *arguments], check=True
    )
    said: dict[tuple[str, int], str] = {}
    for line in out.read_text().splitlines():
        found = re.search(r"BCSQ=([^;\t]+)", line)
        if found and not line.startswith("#"):
            cells = line.split("\t")
            said[cells[0], int(cells[1])] = found[1]
    coding = {
        "missense", "stop_gained", "frameshift", "splice_donor", "splice_acceptor",
        "start_lost", "stop_lost",
    }  # fmt: skip
    rows = truth.drop_duplicates(["chrom", "pos", "ref", "alt"])
    rows = rows[rows["mechanism"].isin(coding)]
    assert rows["mechanism"].nunique() >= 5
    agree = [r.mechanism in said.get((r.chrom, r.pos), "") for r in rows.itertuples()]
    # csq calls deletions across a CDS border otherwise than by the first codon hit.
    assert np.mean(agree) > 0.98


# --- other layers --------------------------------------------------------------------


def test_gwas_agrees_with_least_squares(demo: DemoFiles):
    """A slow oracle: full regression with a column for each group."""
    groups = read_table(demo.samples)["group"]
    for trait in TRAITS:
        table = read_table(find(demo, f"gwas_{trait.trait_id}"))
        assert table["p_value"].between(0, 1).all()
        picked = table.sample(8, random_state=3)
        keys = {
            (
                f"chr{r.chromosome}",
                r.base_pair_location,
                r.other_allele,
                r.effect_allele,
            )
            for r in picked.itertuples()
        }
        found = dosages(demo, keys)
        y = read_table(find(demo, "phenotypes"))[trait.trait_id].to_numpy()
        for r in picked.itertuples():
            x = found[
                f"chr{r.chromosome}",
                r.base_pair_location,
                r.other_allele,
                r.effect_allele,
            ]
            design = np.column_stack([x, groups == "NORTH", groups == "SOUTH"])
            fit, rest, *_ = np.linalg.lstsq(design.astype(float), y)
            error = rest[0] / (200 - 3) * np.linalg.inv(design.T @ design.astype(float))
            assert r.beta == pytest.approx(fit[0], rel=2e-3, abs=1e-3)
            assert r.standard_error == pytest.approx(np.sqrt(error[0, 0]), rel=2e-3)


def test_expression_is_tpm_and_follows_cis_variants(
    demo: DemoFiles, truth: pd.DataFrame, causal_dosages
):
    tpm = read_table(find(demo, "expression")).set_index("gene_id")
    np.testing.assert_allclose(tpm.sum(axis=0), 1e6, rtol=1e-4)
    found, _ = causal_dosages
    level = np.log2(tpm + 0.01)
    rows = truth.drop_duplicates(["chrom", "pos", "ref", "alt"])
    rows = rows[(rows["expression_log2"].abs() > 0.5) & (rows["af"].between(0.1, 0.9))]
    slopes = [
        np.polyfit(found[r.chrom, r.pos, r.ref, r.alt], level.loc[r.target_gene], 1)[0]
        for r in rows.itertuples()
        if tpm.loc[r.target_gene].max() > 0
    ]
    stated = [
        r.expression_log2 for r in rows.itertuples() if tpm.loc[r.target_gene].max() > 0
    ]
    assert len(stated) >= 10
    assert np.corrcoef(slopes, stated)[0, 1] > 0.8


def test_contacts_hold_loops_and_domains(demo: DemoFiles):
    clr = cooler.Cooler(str(find(demo, "contacts")))
    assert clr.binsize == BIN_BP
    loops = pd.read_csv(find(demo, "loops"), sep="\t", comment="#", header=None)
    tads = pd.read_csv(find(demo, "tads"), sep="\t", skiprows=1, header=None)
    at_loops: list[float] = []
    within: list[float] = []
    across: list[float] = []
    for name in clr.chromnames:
        matrix = clr.matrix(balance=False).fetch(name).astype(float)
        n = len(matrix)
        expected = np.ones((n, n))
        for d in range(n):
            mean = np.diagonal(matrix, d).mean()
            expected[range(n - d), range(d, n)] = mean
            expected[range(d, n), range(n - d)] = mean
        ratio = matrix / np.maximum(expected, 0.05)
        # Contacts fall with distance.
        assert expected[0, 1] > 2 * expected[0, 10] > 4 * expected[0, 60]
        here = loops[loops[0] == name]
        at_loops += [
            ratio[a // BIN_BP, b // BIN_BP]
            for a, b in zip(here[1], here[4], strict=True)
        ]
        for row in tads[tads[0] == name].itertuples():
            a, b = row[2] // BIN_BP + 3, row[3] // BIN_BP - 3
            within += ratio[a : b - 6, a + 6 : b].diagonal().tolist()
            if b + 9 < n:
                across += [ratio[b, b + 9], ratio[b + 1, b + 8]]
    # Three loops in four are true; the others are false calls.
    assert np.mean(at_loops) > 2.0
    assert np.mean(within) > 1.5 * np.mean(across)


def test_loops_join_enhancers_to_their_targets(world: World):
    _, genes, scape, _ = world
    loops = list_loops(scape, genes)
    assert len(loops) > 50
    for element, (chromosome, a, b) in loops:
        bins = {
            (element.start + element.end) // 2 // BIN_BP,
            genes[element.gene].tss // BIN_BP,
        }
        assert chromosome == element.chromosome == genes[element.gene].chromosome
        assert {a, b} == bins
    # Many enhancers do not act on the gene next to them, or distance would tell it all.
    skipping = 0
    for element, _ in loops:
        near = min(
            (
                i
                for i, g in enumerate(genes)
                if g.is_coding and g.chromosome == element.chromosome
            ),
            key=lambda i: abs(genes[i].tss - element.start),
        )
        skipping += near != element.gene
    assert skipping > 0.3 * len(loops)


def test_every_file_is_read_by_its_kind(demo: DemoFiles, tmp_path: Path):
    """The registry's own parsers keep every row and know every option."""
    for file in demo.files:
        kind = find_kind(file.kind)
        assert set(file.options) <= set(kind.options), file.path.name
        parsed = kind.parse(
            Request(file.path, file.name, file.options, workspace=tmp_path)
        )
        assert parsed.tally.read > 0, file.path.name
        assert parsed.tally.read == parsed.tally.kept, file.path.name
        if file.kind == "variants":
            samples = parsed.tables["panel_samples"]
            assert samples["group_name"].value_counts().to_dict() == {
                "NORTH": 110,
                "SOUTH": 90,
            }


def test_contig_names_differ_on_purpose(demo: DemoFiles, genome: dict[str, str]):
    assert set(genome) == {"chr1", "chr2", "chr3"}
    assert {cells[0] for cells, _ in gff_rows(demo)} == {"1", "2", "3"}
    with pysam.VariantFile(str(demo.vcf)) as vcf:
        assert list(vcf.header.contigs) == list(genome)


def test_factors_have_genes(demo: DemoFiles):
    text = find(demo, "motifs").read_text()
    factors = set(re.findall(r"(?m)^MOTIF \S+ (\S+)", text))
    named = {a.get("Name") for cells, a in gff_rows(demo) if cells[2] == "gene"}
    assert len(factors) == 20
    assert factors <= named
