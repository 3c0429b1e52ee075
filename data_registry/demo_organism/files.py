"""Building the demo organism on disk."""

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

from data_registry.coordinates import one_based_from_start
from data_registry.demo_organism import tables
from data_registry.demo_organism.contact_matrix import (
    draw_contacts,
    list_loops,
    write_cool,
)
from data_registry.demo_organism.effects import RuleBook
from data_registry.demo_organism.elements import assign_modules, draw_landscape
from data_registry.demo_organism.gene_models import Chromosome, draw_chromosomes
from data_registry.demo_organism.knowledge import describe_gene, draw_knowledge
from data_registry.demo_organism.motif_models import read_motifs
from data_registry.demo_organism.population import (
    Mutation,
    Record,
    count_dosages,
    draw_mutations,
    join_records,
    line_groups,
    seat_planted,
    simulate_trees,
)
from data_registry.demo_organism.sequence import draw_background, draw_repeats
from data_registry.demo_organism.traits import (
    LARGE_SHARE,
    TRAITS,
    Floats,
    associate,
    choose_targets,
    draw_architecture,
    measure_lines,
)
from data_registry.errors import MissingOptionalError

DEFAULT_SEED: Final = 20261121
DATA_FOLDER: Final = "simulated"
TRUTH_FOLDER: Final = "simulated_truth"
_MANIFEST: Final = "manifest.json"
_LIBRARIES: Final = (
    "biopython", "cooler", "h5py", "msprime", "numpy", "pandas", "pyBigWig", "pyjaspar",
    "pysam", "scipy", "tskit",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DemoFile:
    """One file for ``cisgraph add PATH --kind KIND --name NAME --option KEY=VALUE``."""

    path: Path
    kind: str
    name: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """The demo organism on disk.

    Parameters
    ----------
    files
        What is to be registered, the genome first and the annotation second. The truth
        is not among it.
    vcf
        The lines' variants: the file to score.
    truth
        Alleles that act, one row an allele and trait. Nothing but the final comparison
        may read it.
    decoys
        Alleles that look as if they acted and do not.
    counts
        What was built, by plain name.
    """

    folder: Path
    seed: int
    files: tuple[DemoFile, ...]
    vcf: Path
    samples: Path
    truth: Path
    decoys: Path
    counts: Mapping[str, int]


def _list_files(folder: Path) -> tuple[DemoFile, ...]:
    data = folder / DATA_FOLDER
    plan: list[tuple[str, str, str, dict[str, str]]] = [
        ("simulated.genome.fa", "genome", "simulated_genome",
         {"assembly": "simulated"}),
        ("simulated.genes.gff3", "annotation", "simulated_genes", {}),
        ("simulated.lines.vcf.gz", "variants", "simulated_lines",
         {"groups": str(data / "simulated.line_groups.tsv")}),
        ("simulated.promoters.bed", "intervals", "simulated_promoters",
         {"interval_kind": "promoter"}),
        ("simulated.enhancers.bed", "intervals", "simulated_enhancers",
         {"interval_kind": "enhancer"}),
        ("simulated.atac_peaks.narrowPeak", "intervals", "simulated_atac",
         {"interval_kind": "peak"}),
        ("simulated.repeats.bed", "intervals", "simulated_repeats",
         {"interval_kind": "repeat"}),
        ("simulated.tads.bed", "intervals", "simulated_tads", {"interval_kind": "tad"}),
        ("simulated.tf_peaks.tsv", "tf_sites", "simulated_tf_peaks", {}),
        ("simulated.conservation.bw", "track", "simulated_conservation",
         {"role": "conservation"}),
        ("simulated.contacts.cool", "contacts", "simulated_contacts", {}),
        ("simulated.loops.bedpe", "contacts", "simulated_loops", {}),
        ("simulated.motifs.meme", "motifs", "simulated_motifs", {}),
        ("simulated.ontology.obo", "ontology", "simulated_ontology", {}),
        ("simulated.gene_terms.gaf", "gene_sets", "simulated_gene_terms", {}),
        ("simulated.pathways.tsv", "pathways", "simulated_pathways", {}),
        ("simulated.pathway_relations.tsv", "pathways",
         "simulated_pathway_relations", {}),
        ("simulated.protein_interactions.tsv", "interactions", "simulated_interactions",
         {"kind": "physical"}),
        ("simulated.tf_targets.tsv", "interactions", "simulated_tf_targets",
         {"kind": "regulatory"}),
        ("simulated.expression_tpm.tsv.gz", "expression", "simulated_expression",
         {"unit": "tpm"}),
        ("simulated.traits.tsv", "phenotypes", "simulated_traits", {}),
        ("simulated.phenotypes.tsv", "phenotypes", "simulated_phenotypes", {}),
        ("simulated.gene_phenotypes.tsv", "gene_phenotypes",
         "simulated_gene_phenotypes", {}),
    ]  # fmt: skip
    plan += [
        (f"simulated.gwas.{trait.trait_id}.tsv.gz", "gwas",
         f"simulated_gwas_{trait.trait_id}", {"phenotype": trait.trait_id})
        for trait in TRAITS
    ]  # fmt: skip
    plan.append(("simulated.gene_texts.tsv", "texts", "simulated_gene_texts", {}))
    return tuple(DemoFile(data / file, kind, name, o) for file, kind, name, o in plan)


def _digest_inputs(seed: int) -> str:
    """Digest of the seed, this package's code and the versions of what it calls."""
    digest = hashlib.sha256(str(seed).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + source.read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library} {version(library)}".encode())
    return digest.hexdigest()


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def build_demo(folder: Path, *, seed: int = DEFAULT_SEED) -> DemoFiles:
    """Build the demo organism, or return it where it already stands unchanged.

    The same seed, code and library versions give the same bytes. Files are built beside
    their place and moved there at the end, so a killed build leaves the old state.

    Parameters
    ----------
    folder
        Where ``README.txt``, ``simulated/`` and ``simulated_truth/`` go; created when
        missing.
    seed
        Starts every random draw.

    Raises
    ------
    MissingOptionalError
        msprime is not installed (``pip install 'cisgraph[demo]'``).
    """
    try:
        inputs = _digest_inputs(seed)
    except ModuleNotFoundError as error:  # PackageNotFoundError is one
        raise MissingOptionalError(
            f"the demo organism needs {error.name}: pip install 'cisgraph[demo]'"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    counts = _read_unchanged(folder, inputs)
    if counts is None:
        with tempfile.TemporaryDirectory(prefix=".building_", dir=folder) as beside:
            counts = _build(Path(beside), seed)
            _finish(Path(beside), folder, inputs, counts)
    data = folder / DATA_FOLDER
    return DemoFiles(
        folder,
        seed,
        _list_files(folder),
        data / "simulated.lines.vcf.gz",
        data / "simulated.line_groups.tsv",
        folder / TRUTH_FOLDER / "simulated.truth.tsv",
        folder / TRUTH_FOLDER / "simulated.decoys.tsv",
        counts,
    )


def _read_unchanged(folder: Path, inputs: str) -> dict[str, int] | None:
    """Return the counts of a build of the same inputs that stands untouched."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if manifest.get("inputs") != inputs:
        return None
    for name, digest in manifest["files"].items():
        path = folder / name
        if not path.is_file() or _digest_file(path) != digest:
            return None
    counts: dict[str, int] = manifest["counts"]
    return counts


def _finish(beside: Path, folder: Path, inputs: str, counts: dict[str, int]) -> None:
    """Move a finished build to its place; the manifest goes last."""
    digests = {
        str(path.relative_to(beside)): _digest_file(path)
        for path in sorted(beside.rglob("*"))
        if path.is_file()
    }
    manifest = {
        "note": tables.NOTICE, "inputs": inputs, "counts": counts, "files": digests,
    }  # fmt: skip
    (folder / _MANIFEST).unlink(missing_ok=True)
    for name in (DATA_FOLDER, TRUTH_FOLDER):
        if (folder / name).exists():
            shutil.rmtree(folder / name)
        (beside / name).rename(folder / name)
    (beside / "README.txt").replace(folder / "README.txt")
    text = json.dumps(manifest, indent=1) + "\n"
    (beside / _MANIFEST).write_text(text, encoding="utf-8")
    (beside / _MANIFEST).replace(folder / _MANIFEST)


def _build(folder: Path, seed: int) -> dict[str, int]:
    data, truth = folder / DATA_FOLDER, folder / TRUTH_FOLDER
    data.mkdir()
    truth.mkdir()
    # One stream a step, so that a change in one step does not move the others.
    steps = (
        "genome", "repeats", "modules", "elements", "traits", "targets", "trees",
        "seats", "alleles", "lines", "contacts", "knowledge", "texts", "peaks",
        "tf_peaks", "conservation", "loops",
    )  # fmt: skip
    streams = np.random.SeedSequence(seed).spawn(len(steps))
    rng = {
        step: np.random.default_rng(stream)
        for step, stream in zip(steps, streams, strict=True)
    }
    motifs = read_motifs()
    background = draw_background(rng["genome"])
    chromosomes, genes = draw_chromosomes(background, rng["genome"])
    repeats = draw_repeats(background, rng["repeats"])
    preferred = assign_modules(genes, motifs, rng["modules"])
    scape = draw_landscape(
        chromosomes, genes, motifs, preferred, repeats, rng["elements"]
    )
    rules = RuleBook(chromosomes, genes, scape)
    design = draw_architecture(genes, scape, rng["traits"])
    targets = choose_targets(genes, scape, design, rules, rng["targets"])
    trees = simulate_trees(chromosomes, rng["trees"])

    records: list[Record] = []
    mutations: list[Mutation] = []
    for number, (chromosome, tree) in enumerate(zip(chromosomes, trees, strict=True)):
        here = [t for t in targets if t.chromosome == number]
        planted, used = seat_planted(here, tree, rng["seats"])
        drawn = draw_mutations(
            number, chromosome, tree, planted, used, rules, rng["alleles"]
        )
        some_records, some_mutations = join_records(drawn)
        records += some_records
        mutations += some_mutations
    known = draw_knowledge(genes, scape, design, rng["knowledge"])
    found = measure_lines(genes, design, rules, mutations, rng["lines"])

    tables.write_genome(data / "simulated.genome.fa", chromosomes)
    tables.write_annotation(data / "simulated.genes.gff3", chromosomes, genes)
    tables.write_variants(data / "simulated.lines.vcf.gz", chromosomes, records)
    tables.write_samples(data / "simulated.line_groups.tsv")
    tables.write_beds(data, chromosomes, scape, rng["peaks"])
    tables.write_tf_sites(
        data / "simulated.tf_peaks.tsv", chromosomes, scape, rng["tf_peaks"]
    )
    levels = tables.compute_conservation(chromosomes, genes, scape, rng["conservation"])
    tables.write_conservation(data / "simulated.conservation.bw", chromosomes, levels)
    contacts = draw_contacts(chromosomes, scape, genes, rng["contacts"])
    write_cool(data / "simulated.contacts.cool", chromosomes, contacts)
    loops = [pair for _, pair in list_loops(scape, genes)]
    tables.write_loops(data / "simulated.loops.bedpe", chromosomes, loops, rng["loops"])
    tables.write_motifs(data / "simulated.motifs.meme", motifs)
    tables.write_measurements(data, genes, found)
    _write_associations(data, chromosomes, records, found.phenotypes)
    texts = [describe_gene(gene, rng["texts"]) for gene in genes]
    tables.write_knowledge(data, genes, known, texts)
    n_rows = tables.write_truth(
        truth / "simulated.truth.tsv",
        chromosomes,
        genes,
        scape,
        found.causal,
        LARGE_SHARE,
    )
    lookalikes = [
        (m, what) for m in mutations if (what := rules.name_lookalike(m.change))
    ]
    tables.write_rows(
        truth / "simulated.decoys.tsv",
        ("chrom", "pos", "ref", "alt", "resembles", "af"),
        (
            (chromosomes[m.change.chromosome].name,
             one_based_from_start(m.change.start), m.change.ref, m.change.alt, what,
             f"{m.frequency:.4f}")
            for m, what in lookalikes
        ),
    )  # fmt: skip
    resembles = Counter(what for _, what in lookalikes)
    counts = {
        "chromosomes": len(chromosomes),
        "base pairs": sum(len(c.bases) for c in chromosomes),
        "genes": len(genes),
        "coding genes": sum(gene.is_coding for gene in genes),
        "promoters": sum(e.kind == "promoter" for e in scape.elements),
        "enhancers": sum(e.kind == "enhancer" for e in scape.elements),
        "planted motifs": len(scape.sites),
        "planted motifs that act": sum(site.weight > 0 for site in scape.sites),
        "loops": len(loops),
        "lines": len(line_groups()),
        "VCF records": len(records),
        "ALT alleles": sum(len(record.alts) for record in records),
        "acting alleles": len(found.causal),
        "acting alleles of traits": sum(
            bool(v.trait_effects.any()) for v in found.causal
        ),
        "large trait effects": sum(
            int((v.shares >= LARGE_SHARE).sum()) for v in found.causal
        ),
        "truth rows": n_rows,
        **{f"idle alleles like {what}": n for what, n in sorted(resembles.items())},
    }
    tables.write_text(folder / "README.txt", _readme(seed, counts))
    return counts


def _write_associations(
    data: Path,
    chromosomes: list[Chromosome],
    records: list[Record],
    phenotypes: Floats,
) -> None:
    """Test each allele with frequency of at least 2 % that varies within a group."""
    groups = line_groups()
    member = np.array([[g == name for g in groups] for name in sorted(set(groups))])
    alleles: list[tuple[Record, int]] = []
    dosages: list[Floats] = []
    for record in records:
        for number, alt in enumerate(record.alts, start=1):
            carriers = (record.alleles == number).astype(np.int8)
            dosage = count_dosages(carriers).astype(np.float64)
            varies = any(np.ptp(dosage[rows]) > 0 for rows in member)
            if alt != "*" and 0.02 <= carriers.mean() <= 0.98 and varies:
                alleles.append((record, number))
                dosages.append(dosage)
    matrix = np.array(dosages)
    frequencies = matrix.mean(axis=1) / 2.0
    for row, trait in enumerate(TRAITS):
        tables.write_associations(
            data / f"simulated.gwas.{trait.trait_id}.tsv.gz",
            chromosomes,
            alleles,
            frequencies,
            associate(phenotypes[row], matrix, groups),
        )


def _readme(seed: int, counts: Mapping[str, int]) -> list[str]:
    text = f"""\
SIMULATED DATA. Everything in this folder was made by a random number generator.
It describes no plant, animal or person, and nothing may be concluded from it about any.

Made by: cisgraph, data_registry.demo.build_demo, seed {seed}.
The same seed, code and library versions give the same bytes.

simulated/        files to register (cisgraph add), as a user would have them
simulated_truth/  the answers; no scorer reads this folder
  simulated.truth.tsv   alleles that act, one row for each allele and trait (1-based
                        pos; effect in the trait's unit per copy of ALT;
                        variance_share of the trait's genetic variance; large is
                        {LARGE_SHARE:.0%} or more; trait "." acts on a gene that has
                        no part in any trait)
  simulated.decoys.tsv  alleles that look as if they acted and do not

How it was made
* Sequence: order-4 Markov chain, open reading frames by Arabidopsis codon usage,
  diverged repeats (lower case). FASTA and VCF say chr1, GFF and GWAS tables say 1,
  on purpose.
* Promoters and enhancers carry instances of JASPAR plant matrices (JASPAR2024 CORE,
  CC BY 4.0; the matrices are real, their sites are not). Some matches do nothing, and
  some lie outside all elements. One base short of a match are the latent sites.
* Lines: msprime, two populations, recombination, 200 phased diploids. An allele that
  acts is mostly removed, as selection would; the planted ones sit on common mutations
  nearby.
* An allele acts when it breaks a frame, stop, start, splice site or a key codon of a
  domain (radical change), or takes or gives 3 bits or more of a motif that acts.
* Expression = base + direct + trans effects + module + noise. Traits = weighted gene
  activity + noise, heritability 0.65. GWAS: regression on each allele, groups taken
  out. All heritability sits in under 2 Mb, so linkage inflates the statistics
  (lambda near 2) far more than in a real genome.
* Contacts: distance decay, domains, enhancer-promoter loops, Poisson counts.
* Conservation: computed from the planted function plus noise, with false stretches.
* Knowledge (terms, pathways, edges, texts): drawn from the truth with gaps and errors.

Counts
"""
    return [*text.splitlines(), *(f"  {what}: {n:,}" for what, n in counts.items())]
