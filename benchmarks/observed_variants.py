"""Yeast's observed SNVs and simulated ones, for benchmarks of scores without labels.

The panel is ``yeast12.norm.vcf.gz``: assemblies of seven *S. cerevisiae* strains (one of
them the reference strain itself) and five *S. paradoxus*. It lists differences only, so
what a strain holds elsewhere is worked out here:

* A base of a strain is known at its records, and between two neighbouring records if the
  strain is covered at both, they lie at most ``MAX_GAP_BP`` apart and it carries no
  deletion there; else it is unknown.
* A site is **eligible** if its reference base is A, C, G or T, it lies at least ``END_BP``
  from both chromosome ends (the panel's README: 36 % of S288C's false calls lie there, and
  26-65 % of it is covered), S288C's own assembly and at least ``MIN_STRAINS`` of the six
  other *S. cerevisiae* are covered at the records on both sides of it, and S288C's own
  assembly holds the reference base (so its errors and drift take no part).
* An SNV is **observed** if the site is eligible and at least one of the six carries it.
* **Unmatched** simulated SNVs are drawn evenly from all unobserved SNVs at eligible sites
  of a contig, in the observed proportions of the six strand-symmetric changes.
* **Matched** simulated SNVs are drawn without replacement, one an observed SNV, with the
  same change, trinucleotide, most severe consequence and 50 kb window.

*S. paradoxus* is the outgroup. A simulated SNV may be an allele of *S. paradoxus*.
"""

import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from data_registry.errors import PlatformError
from data_registry.genome import Genome
from data_registry.normalisation import Alleles, Strings
from data_registry.recipes import read_recipe, register_source
from data_registry.store import open_store
from encoders.nucleotides import encode
from variant_effect.consequences import SEVERITY, ConsequenceCaller
from variant_effect.preparation import Prepared, make_caller, prepare, table_of

RECIPE = Path(__file__).resolve().parent / "recipes" / "yeast.toml"
PANEL = "yeast/variants/yeast12.norm.vcf.gz"
NUCLEAR = (
    "chrI", "chrII", "chrIII", "chrIV", "chrV", "chrVI", "chrVII", "chrVIII",
    "chrIX", "chrX", "chrXI", "chrXII", "chrXIII", "chrXIV", "chrXV", "chrXVI",
)  # fmt: skip
REFERENCE_STRAIN = "S288C"
STRAINS = ("SK1", "DBVPG6044", "DBVPG6765", "Y12", "YPS128", "UWOPS034614")
OUTGROUP = ("CBS432", "N44", "UFRJ50816", "YPS138", "UWOPS919171")
SAMPLES = (REFERENCE_STRAIN, *STRAINS, *OUTGROUP)

END_BP = 20_000
MAX_GAP_BP = 200
MIN_STRAINS = 5
WINDOW_BP = 50_000
SIMULATED_PER_OBSERVED = 4
SEED = 20_260_301

TERMS = (*SEVERITY, "")
"""Most severe Sequence Ontology term by code; '' where none was called."""
NO_TERM = len(TERMS) - 1
UNKNOWN = 4

Codes = NDArray[np.uint8]
Flags = NDArray[np.bool_]


# -- the panel -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Haplotypes:
    """What each assembly of the panel holds along one contig.

    Parameters
    ----------
    reference
        The reference's codes, ``(length,)``.
    bases
        Each sample's code by position, ``(samples, length)``; rows in the order of
        ``SAMPLES``, 4 where it is not known.
    flanked
        Whether the sample is covered at the nearest records strictly before and strictly
        after a position, ``(samples, length)``: a criterion that a record at the position
        itself has no part in.
    """

    reference: Codes
    bases: Codes
    flanked: Flags

    def eligible(self) -> Flags:
        """Return the sites at which SNVs are observed and simulated, ``(length,)``."""
        length = len(self.reference)
        inside = np.zeros(length, dtype=bool)
        inside[END_BP : max(length - END_BP, END_BP)] = True
        ours = self.bases[0] == self.reference
        return (
            (self.reference < UNKNOWN) & inside & ours & self.flanked[0]
            & (self.flanked[1 : 1 + len(STRAINS)].sum(axis=0) >= MIN_STRAINS)
        )  # fmt: skip

    def counts(self, who: Sequence[str]) -> NDArray[np.uint8]:
        """Return how many of the named samples hold each base, ``(length, 5)``."""
        rows = self.bases[[SAMPLES.index(name) for name in who]]
        return np.stack([(rows == b).sum(axis=0) for b in range(5)], axis=1).astype(
            np.uint8
        )


def read_panel(data: Path) -> pd.DataFrame:
    """Read the panel: ``chrom pos ref alt`` (1-based) and one column a sample.

    A sample's value is 1 where it carries ALT, 0 where it is covered and does not, -1
    where it is not covered.
    """
    table = pa_csv.read_csv(
        data / PANEL,
        parse_options=pa_csv.ParseOptions(delimiter="\t"),
        convert_options=pa_csv.ConvertOptions(
            include_columns=["#CHROM", "POS", "REF", "ALT", *SAMPLES],
            column_types=dict.fromkeys(SAMPLES, "string"),
            strings_can_be_null=False,
        ),
        read_options=pa_csv.ReadOptions(skip_rows=_meta_lines(data / PANEL)),
    )
    frame = (
        table.to_pandas()
        .rename(columns=str.lower)
        .rename(columns={"#chrom": "chrom", **{name.lower(): name for name in SAMPLES}})
    )
    for name in SAMPLES:
        frame[name] = frame[name].map({"0": 0, "1": 1, ".": -1}).astype(np.int8)
    return frame


def lay_out(panel: pd.DataFrame, reference: Codes) -> Haplotypes:
    """Work out each sample's bases along a contig from its records.

    Parameters
    ----------
    panel
        The records of one contig, as ``read_panel`` returns them.
    reference
        The contig's codes.
    """
    length = len(reference)
    start = panel["pos"].to_numpy(np.int64) - 1
    sites, site_of = np.unique(start, return_inverse=True)
    edges = np.concatenate([[-1], sites, [length]])
    gap_is_short = np.diff(edges) <= MAX_GAP_BP
    # gap k lies between edges k and k + 1; a site is flanked by its neighbours instead
    gap = np.searchsorted(edges, np.arange(length), side="right") - 1
    is_snv = ((panel["ref"].str.len() == 1) & (panel["alt"].str.len() == 1)).to_numpy()
    alt = encode("".join(panel.loc[is_snv, "alt"]))
    n_deleted = (panel["ref"].str.len() - panel["alt"].str.len()).to_numpy()

    bases = np.full((len(SAMPLES), length), UNKNOWN, dtype=np.uint8)
    flanked = np.zeros((len(SAMPLES), length), dtype=bool)
    for row, name in enumerate(SAMPLES):
        called = panel[name].to_numpy()
        covered = np.zeros(len(edges), dtype=bool)
        covered[1:-1] = np.bincount(site_of, called >= 0, len(sites)) > 0
        open_gap = covered[:-1] & covered[1:] & gap_is_short
        known = open_gap[gap]
        known[sites] = covered[1:-1]
        flanked[row] = open_gap[gap]
        flanked[row, sites] = (
            covered[:-2] & covered[2:] & (edges[2:] - edges[:-2] <= 2 * MAX_GAP_BP)
        )
        for i in np.flatnonzero((called == 1) & (n_deleted > 0)):
            known[start[i] + 1 : start[i] + 1 + n_deleted[i]] = False
        bases[row, known] = reference[known]
        carried = called[is_snv] == 1
        bases[row, start[is_snv][carried]] = alt[carried]
    return Haplotypes(reference, bases, flanked)


def _meta_lines(path: Path) -> int:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return next(i for i, line in enumerate(file) if not line.startswith("##"))


# -- consequences ----------------------------------------------------------------------


def register_yeast(data: Path, work: Path) -> Prepared:
    """Make a workspace with yeast's genome and annotation under ``work``, or reuse it."""
    return register_genes(RECIPE, data, work)


def register_genes(recipe_file: Path, data: Path, work: Path) -> Prepared:
    """Make a workspace with a recipe's genome and annotation, or reuse it."""
    recipe = read_recipe(recipe_file, data)
    with open_store(work / "workspace", write=True) as store:
        for source in recipe.sources:
            if source.kind in ("genome", "annotation"):
                outcome = register_source(store, recipe, source)
                if outcome.error:
                    raise PlatformError(outcome.error)
        return prepare(store)


def all_terms(prepared: Prepared, contig: str, work: Path) -> Codes:
    """Return each SNV's most severe term, ``(length, 4)`` indices into ``TERMS``.

    Columns are the alternative A, C, G, T; ``NO_TERM`` at the reference base and where
    the reference is none of them. Kept under ``work`` by the digest of what it rests on.
    """
    kept = work / f"terms-{prepared.consequence.name}-{contig}.npy"
    if kept.is_file():
        return np.load(kept)
    with open_store(prepared.workspace) as store:
        genome = store.genome()
        caller = make_caller(
            store.connection, genome, prepared.consequence / "canonical.gff3",
            prepared.codon_tables,
        )  # fmt: skip
        terms = call_all(caller, genome, contig)
    _save(kept, terms)
    return terms


def call_all(caller: ConsequenceCaller, genome: Genome, contig: str) -> Codes:
    """Call every possible SNV of a contig; see ``all_terms``."""
    reference = encode(genome.contig(contig))
    code_of = {term: code for code, term in enumerate(TERMS)}
    terms = np.full((len(reference), 4), NO_TERM, dtype=np.uint8)
    site, alt = np.nonzero(
        (reference[:, None] != np.arange(4)) & (reference[:, None] < UNKNOWN)
    )
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    for first in range(0, len(site), 200_000):
        at, to = site[first : first + 200_000], alt[first : first + 200_000]
        single = np.arange(len(at) + 1, dtype=np.int64)
        alleles = Alleles(
            at.astype(np.int64),
            Strings(letters[reference[at]], single),
            Strings(letters[to], single),
        )
        called, names = pd.factorize(
            caller.call(table_of(contig, genome, alleles)).term
        )
        codes = np.array(
            [code_of[str(name).split("&", 1)[0]] for name in names], dtype=np.uint8
        )
        terms[at, to] = codes[called]
    return terms


# -- observed and simulated ------------------------------------------------------------


def changes(reference: Codes) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return change and change with neighbours of every SNV, each ``(length, 4)``.

    Both strands count as one: the reference base is read on the strand where it is a
    pyrimidine. Changes are numbered 0-5 (C>A, C>G, C>T, T>A, T>C, T>G), with the bases on
    either side 0-95; -1 where a base is not known or nothing changes.
    """
    padded = np.concatenate([[UNKNOWN], reference, [UNKNOWN]]).astype(np.int16)
    before, here, after = padded[:-2, None], padded[1:-1, None], padded[2:, None]
    alt = np.arange(4, dtype=np.int16)[None, :]
    turned = (here == 0) | (here == 2)
    left = np.where(turned, 3 - after, before)
    right = np.where(turned, 3 - before, after)
    ref, to = np.where(turned, 3 - here, here), np.where(turned, 3 - alt, alt)
    change = np.where(ref == 1, to - (to > 1), 3 + to)
    change = np.where((here < UNKNOWN) & (here != alt), change, -1).astype(np.int16)
    known = (change >= 0) & (before < UNKNOWN) & (after < UNKNOWN)
    context = np.where(known, change * 16 + left * 4 + right, -1).astype(np.int16)
    return change, context


def choose(
    contig: str,
    haplotypes: Haplotypes,
    terms: Codes,
    rng: np.random.Generator,
    *,
    per_observed: int = SIMULATED_PER_OBSERVED,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return a contig's observed and simulated SNVs, and counts of what was left out.

    Parameters
    ----------
    terms
        As ``all_terms`` returns them.
    per_observed
        Unmatched simulated SNVs an observed one.

    Returns
    -------
    pandas.DataFrame
        One row an SNV of one ``kind``, sorted by kind and position:

        * ``contig``, ``start`` (0-based), ``ref``, ``alt`` (codes 0-3);
        * ``kind``: ``observed``, ``unmatched`` or ``matched``;
        * ``change`` (0-5), ``context`` (0-95), ``term`` (index into ``TERMS``),
          ``window`` (50 kb);
        * ``ac``, ``an``: carriers and known bases among the six strains;
        * ``outgroup_ref``, ``outgroup_alt``, ``outgroup_an``: of *S. paradoxus*;
        * ``pair``: same number for an observed SNV and its matched one, else -1.
    """
    reference = haplotypes.reference
    change, context = changes(reference)
    counts = haplotypes.counts(STRAINS)
    n_known = counts[:, :4].sum(axis=1)
    eligible = haplotypes.eligible() & (context.max(axis=1) >= 0)
    possible = eligible[:, None] & (context >= 0)
    is_observed = possible & (counts[:, :4] > 0)
    # an unobserved allele where hardly any strain is known is no absence
    free = possible & (counts[:, :4] == 0) & (n_known[:, None] >= MIN_STRAINS)
    windows = np.arange(len(reference)) // WINDOW_BP

    observed = np.flatnonzero(is_observed)
    unobserved = np.flatnonzero(free)
    flat_change, flat_context = change.ravel(), context.ravel()
    unmatched = _draw_unmatched(
        flat_change[observed], unobserved, flat_change[unobserved], per_observed, rng
    )

    def stratum(snv: NDArray[np.int64]) -> NDArray[np.int64]:
        window = windows[snv // 4]
        return (window * 96 + flat_context[snv]) * 64 + terms.ravel()[snv]

    left, right = _draw_matched(stratum(observed), stratum(unobserved), rng)
    pair_of = np.full(len(observed), -1, dtype=np.int64)
    pair_of[left] = np.arange(len(left))

    snv = np.concatenate([observed, unmatched, unobserved[right]])
    kind = np.repeat(
        ["observed", "unmatched", "matched"],
        [len(observed), len(unmatched), len(right)],
    )
    pair = np.concatenate(
        [pair_of, np.full(len(unmatched), -1), np.arange(len(right), dtype=np.int64)]
    )
    site, alt = snv // 4, snv % 4
    outgroup = haplotypes.counts(OUTGROUP)
    frame = pd.DataFrame(
        {
            "contig": contig,
            "start": site,
            "ref": reference[site],
            "alt": alt.astype(np.uint8),
            "kind": kind,
            "change": flat_change[snv],
            "context": flat_context[snv],
            "term": terms.ravel()[snv],
            "window": windows[site],
            "ac": counts[site, alt],
            "an": n_known[site].astype(np.uint8),
            "outgroup_ref": outgroup[site, reference[site]],
            "outgroup_alt": outgroup[site, alt],
            "outgroup_an": outgroup[site, :4].sum(axis=1).astype(np.uint8),
            "pair": pair,
        }
    )
    everything = (counts[:, :4] > 0) & (reference[:, None] != np.arange(4))
    everything &= reference[:, None] < UNKNOWN
    inside = np.zeros(len(reference), dtype=bool)
    inside[END_BP : max(len(reference) - END_BP, END_BP)] = True
    summary = {
        "bases": len(reference),
        "eligible_sites": int(eligible.sum()),
        "snvs_of_the_six_strains": int(everything.sum()),
        "snvs_within_20_kb_of_an_end": int(everything[~inside].sum()),
        "snvs_at_other_sites_not_eligible": int(everything[inside & ~eligible].sum()),
        "observed": len(observed),
        "unmatched": len(unmatched),
        "matched_pairs": len(right),
        "observed_without_match": len(observed) - len(left),
    }
    order = frame.sort_values(["kind", "start", "alt"], kind="stable")
    return order.reset_index(drop=True), summary


def _draw_unmatched(
    observed_change: NDArray[np.int16],
    snv: NDArray[np.int64],
    change: NDArray[np.int16],
    per_observed: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw from ``snv`` without replacement, in the observed proportions of changes."""
    wanted = per_observed * np.bincount(observed_change, minlength=6)
    drawn = []
    for kind in range(6):
        there = snv[change == kind]
        drawn.append(rng.choice(there, min(wanted[kind], len(there)), replace=False))
    return np.concatenate(drawn)


def _draw_matched(
    observed: NDArray[np.int64], unobserved: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair members of the same stratum at random, each used once.

    Returns
    -------
    tuple of numpy.ndarray
        Row numbers in ``observed`` and in ``unobserved``, pair by pair. Where a stratum
        has fewer of one, that many of the other take part.
    """
    shuffled = [rng.permutation(len(observed)), rng.permutation(len(unobserved))]
    keys = []
    for rows, strata in zip(shuffled, (observed, unobserved), strict=True):
        order = np.argsort(strata[rows], kind="stable")
        rows[:] = rows[order]
        ordered = strata[rows]
        rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
        keys.append(ordered * (1 << 20) + rank)
    _, left, right = np.intersect1d(*keys, assume_unique=True, return_indices=True)
    return shuffled[0][left], shuffled[1][right]


# -- the whole -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variants:
    """Observed and simulated SNVs of some contigs.

    Parameters
    ----------
    frame
        As ``choose`` returns it, contigs one after another; ``pair`` is unique over all.
    counts
        Contig to what was counted.
    eligible
        Contig to its eligible sites, ``(length,)``.
    """

    frame: pd.DataFrame
    counts: dict[str, dict[str, int]]
    eligible: dict[str, Flags]


def build(
    data: Path,
    work: Path,
    contigs: Sequence[str] = NUCLEAR,
    *,
    per_observed: int = SIMULATED_PER_OBSERVED,
    seed: int = SEED,
) -> Variants:
    """Return the SNVs of some contigs of yeast, made once and kept under ``work``.

    A contig's rows depend on the data, this file, ``per_observed`` and ``seed`` alone,
    not on what other contigs are asked for.

    Parameters
    ----------
    data
        The data folder.
    work
        Where the workspace and all that takes time is kept.
    """
    work.mkdir(parents=True, exist_ok=True)
    prepared = register_yeast(data, work)
    panel: pd.DataFrame | None = None
    frames, counts, eligible = [], {}, {}
    for contig in contigs:
        what = [
            _sha256(data / PANEL), _sha256(Path(__file__)), prepared.consequence.name,
            contig, per_observed, seed,
        ]  # fmt: skip
        digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
        kept = work / f"variants-{contig}-{digest}.parquet"
        if not kept.is_file():
            if panel is None:
                panel = read_panel(data)
            genome = Genome(prepared.assembly, prepared.genome)
            layout = lay_out(
                panel[panel["chrom"] == contig], encode(genome.contig(contig))
            )
            rng = np.random.default_rng([seed, NUCLEAR.index(contig)])
            frame, summary = choose(
                contig, layout, all_terms(prepared, contig, work), rng,
                per_observed=per_observed,
            )  # fmt: skip
            kept.with_suffix(".json").write_text(json.dumps(summary, indent=1))
            np.save(kept.with_suffix(".npy"), layout.eligible())
            beside = kept.with_suffix(".part")
            frame.to_parquet(beside)
            beside.rename(kept)
        frames.append(pd.read_parquet(kept))
        counts[contig] = json.loads(kept.with_suffix(".json").read_text())
        eligible[contig] = np.load(kept.with_suffix(".npy"))
    n_pairs = 0
    for frame in frames:
        frame.loc[frame["pair"] >= 0, "pair"] += n_pairs
        n_pairs = max(n_pairs, int(frame["pair"].max()) + 1)
    return Variants(pd.concat(frames, ignore_index=True), counts, eligible)


def _save(path: Path, array: Codes) -> None:
    beside = path.with_suffix(".part")
    with beside.open("wb") as file:
        np.save(file, array)
    beside.rename(path)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
