"""``python -m models.sites``: tables of sites and matched background, regions held out.

Peaks and a genome become the tables that ``python -m encoders.finetune`` learns from.
Windows of one length stand around the middle of each peak; background windows have no
peak and the same GC content. Whole regions are held out, and what resembles a window of a
region that judges is left out of what teaches.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from data_registry.console import new_app, run_app, say, show_table
from data_registry.contigs import ContigNames
from data_registry.errors import InputError, MalformedFileError, UnknownContigError
from data_registry.text_files import open_text
from data_registry.workspace import written_beside
from encoders.nucleotides import UNKNOWN, decode, reverse_complement
from models.promoter.baselines import gc_content
from models.promoter.inputs import read_fasta
from models.promoter.splits import similarity_clusters

Codes = NDArray[np.uint8]
Genome = Mapping[str, Codes]

TRAIN, VALIDATION, TEST = 0, 1, 2
PARTS = "train", "validation", "test"
BACKGROUND = "background"
GC_STEP = 0.02
"""Width of the strata within which background has the GC content of sites."""
SUMMARY_FILE = "sites.json"
_SUMMIT = 9
"""Column of narrowPeak that gives the summit from the start; -1 where there is none."""
_REGION = re.compile(r"^(?P<contig>.+?)(?::(?P<first>[\d,]+)-(?P<last>[\d,]+))?$")

app = new_app("Make training tables from peaks, with regions held out.")


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of a contig, 0-based, half-open; ``end`` None is the contig's end."""

    contig: str
    start: int = 0
    end: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Region":
        """Read ``chr5`` or ``chr5:1-1,000,000``: 1-based, both ends within.

        Raises
        ------
        InputError
            The last base stands before the first.
        """
        found = _REGION.match(text)
        assert found is not None  # noqa: S101  the pattern takes any text
        if found["first"] is None:
            return cls(found["contig"])
        first, last = (int(found[k].replace(",", "")) for k in ("first", "last"))
        if not 1 <= first <= last:
            raise InputError(f"region {text!r}: write contig:first-last, from 1")
        return cls(found["contig"], first - 1, last)

    def holds(
        self, contig: NDArray[np.str_], start: NDArray[np.int64], end: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Tell which windows lie within, and which across one of the ends."""
        last = np.iinfo(np.int64).max if self.end is None else self.end
        meets = (contig == self.contig) & (end > self.start) & (start < last)
        within = meets & (start >= self.start) & (end <= last)
        return within, meets & ~within


def part_of(
    contig: NDArray[np.str_], start: NDArray[np.int64], end: NDArray[np.int64],
    *, validation: Sequence[Region], test: Sequence[Region],
) -> NDArray[np.int64]:  # fmt: skip
    """Return each window's part: TRAIN, VALIDATION, TEST, or -1 across a border.

    Raises
    ------
    InputError
        A window lies in a region of both kinds.
    """
    part = np.full(len(contig), TRAIN)
    torn = np.zeros(len(contig), bool)
    for number, regions in ((VALIDATION, validation), (TEST, test)):
        for region in regions:
            within, across = region.holds(contig, start, end)
            if (within & (part != TRAIN) & (part != number)).any():
                raise InputError(
                    f"{region} is for testing and for validation; give regions apart"
                )
            part[within] = number
            torn |= across
    part[torn] = -1
    return part


def windows_of(
    genome: Genome,
    contig: NDArray[np.str_],
    start: NDArray[np.int64],
    bp: int,
    reverse: NDArray[np.bool_] | None = None,
) -> Codes:
    """Return the bases of windows ``[start, start + bp)``, ``(n, bp)``, unknown beyond ends.

    Parameters
    ----------
    reverse
        Which are read on the other strand.

    Raises
    ------
    UnknownContigError
        The genome lacks a contig.
    """
    codes = np.full((len(contig), bp), UNKNOWN, np.uint8)
    for name in np.unique(contig).tolist():
        if name not in genome:
            raise UnknownContigError(
                f"the genome has no contig {name!r}; it has {', '.join(list(genome)[:5])}"
            )
        rows = np.flatnonzero(contig == name)
        at = start[rows, None] + np.arange(bp)
        inside = (at >= 0) & (at < len(genome[name]))
        found = genome[name][np.clip(at, 0, len(genome[name]) - 1)]
        codes[rows] = np.where(inside, found, UNKNOWN)
    if reverse is not None:
        codes[reverse] = reverse_complement(codes[reverse])
    return codes


def gc_matched(
    wanted: Codes, offered: Codes, ratio: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], int]:
    """Draw ``ratio`` of the offered windows for each wanted one of the same GC content.

    Returns
    -------
    tuple
        Rows of ``offered``, sorted, and how many could not be had.
    """
    of_wanted, of_offered = (
        np.floor(gc_content(codes)[:, 0] / GC_STEP + 1e-6).astype(np.int64)
        for codes in (wanted, offered)
    )
    drawn, short = [], 0
    for stratum, n in Counter(of_wanted.tolist()).items():
        rows = np.flatnonzero(of_offered == stratum)
        n *= ratio
        short += max(n - len(rows), 0)
        drawn.append(rng.permutation(rows)[:n])
    return np.sort(np.concatenate(drawn)).astype(np.intp), short


def without_relatives(
    codes: Codes, part: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Tell which windows may stay where they are, so that no cluster is in two parts.

    Those of a cluster that is also in a part further towards the test are left out; the
    test keeps all of its own. Clusters are ``similarity_clusters``: reverse complements,
    overlaps, copies of a transposon.
    """
    cluster = similarity_clusters(codes)
    highest = np.full(cluster.max(initial=-1) + 1, TRAIN)
    np.maximum.at(highest, cluster, part)
    kept = part >= highest[cluster]
    counts = {
        f"like one of {PARTS[further]}, left out of {PARTS[own]}": int(
            ((part == own) & (highest[cluster] == further)).sum()
        )
        for own, further in ((TRAIN, VALIDATION), (TRAIN, TEST), (VALIDATION, TEST))
    }
    return kept, counts


def read_peaks(path: Path) -> pd.DataFrame:
    """Read a BED file or narrowPeak: ``contig, start, end, middle``, 0-based, half-open.

    The middle is the summit where narrowPeak gives one.

    Raises
    ------
    MalformedFileError
        A row has no contig, start and end, or ends before it starts.
    """
    rows = []
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            fields = line.rstrip("\r\n").split("\t")
            if not line.strip() or fields[0].split(" ")[0] in ("track", "browser"):
                continue
            if line.startswith("#"):
                continue
            try:
                start, end = int(fields[1]), int(fields[2])
                summit = int(fields[_SUMMIT]) if len(fields) > _SUMMIT else -1
            except (IndexError, ValueError):
                start, end, summit = 0, 0, -1
            if not 0 <= start < end:
                raise MalformedFileError(
                    path, f"{line.strip()[:60]!r} is no contig, start and end",
                    line=number, remedy="Give BED: tabs, 0-based, half-open",
                )  # fmt: skip
            middle = start + summit if summit >= 0 else (start + end) // 2
            rows.append((fields[0], start, end, middle))
    if not rows:
        raise MalformedFileError(path, "holds no peak", remedy="Give a BED file")
    return pd.DataFrame(rows, columns=["contig", "start", "end", "middle"])


@dataclass(frozen=True, slots=True)
class Sites:
    """Labelled windows in three parts.

    Parameters
    ----------
    table
        ``sequence, label, contig, start, end, part``, sorted by place.
    left_out
        Windows that are in no part, by reason.
    """

    table: pd.DataFrame
    left_out: dict[str, int]


def make_sites(
    genome: Genome, peaks: Mapping[str, pd.DataFrame], *, bp: int, ratio: int,
    validation: Sequence[Region], test: Sequence[Region], rng: np.random.Generator,
) -> Sites:  # fmt: skip
    """Cut windows around peaks, draw background, and hold regions out.

    Parameters
    ----------
    peaks
        By class, as of ``read_peaks``; contigs may be named otherwise (``chr1``, ``1``).
    ratio
        Background windows a site.

    Raises
    ------
    InputError, UnknownContigError
        A part has no site of a class, a contig is missing, regions overlap.
    """
    names = ContigNames(tuple(genome))
    validation, test = (_named(regions, names) for regions in (validation, test))
    own = [frame.assign(label=name) for name, frame in peaks.items()]
    sites = pd.concat(own, ignore_index=True)
    sites["contig"] = sites["contig"].map(names.resolve(sites["contig"].unique()))
    left_out: Counter[str] = Counter()
    left_out["on a contig that the genome lacks"] = int(sites["contig"].isna().sum())
    sites = sites.dropna(subset="contig")
    place = sites.groupby(["contig", "middle"])["label"]
    left_out["in the middle of peaks of two classes"] = int(
        (place.transform("nunique") > 1).sum()
    )
    sites = sites[place.transform("nunique") == 1]
    left_out["same middle as another peak"] = int(
        sites.duplicated(["contig", "middle"]).sum()
    )
    sites = sites.drop_duplicates(["contig", "middle"])
    frames = [
        pd.DataFrame({
            "contig": sites["contig"], "start": sites["middle"] - bp // 2,
            "label": sites["label"],
        }),
        _candidates(genome, sites, bp, rng, ratio * 20 * len(sites)),
    ]  # fmt: skip
    table = pd.concat(frames, ignore_index=True)
    table["end"] = table["start"] + bp
    contig, start, end = (table[c].to_numpy() for c in ("contig", "start", "end"))
    codes = windows_of(genome, contig.astype(str), start, bp)
    part = part_of(contig.astype(str), start, end, validation=validation, test=test)
    is_site = (table["label"] != BACKGROUND).to_numpy()
    known = (codes < UNKNOWN).all(axis=1)
    left_out["unknown bases"] = int((is_site & ~known).sum())
    left_out["across a border of a region"] = int((is_site & known & (part < 0)).sum())
    rows: list[NDArray[np.intp]] = []
    for number, name in enumerate(PARTS):
        here = known & (part == number)
        mine, offered = np.flatnonzero(here & is_site), np.flatnonzero(here & ~is_site)
        if missing := set(peaks) - set(table["label"].iloc[mine]):
            raise InputError(
                f"{name} has no site of {sorted(missing)[0]!r}; choose other regions"
            )
        drawn, short = gc_matched(codes[mine], codes[offered], ratio, rng)
        left_out[f"background of that GC content not found for {name}"] = short
        rows += [mine, offered[drawn]]
    chosen = np.concatenate(rows)
    kept, relatives = without_relatives(codes[chosen], part[chosen])
    chosen = chosen[kept]
    found = table.iloc[chosen].assign(
        sequence=[decode(each) for each in codes[chosen]],
        part=[PARTS[i] for i in part[chosen]],
    )
    found = found.sort_values(["contig", "start"], kind="stable")
    columns = ["sequence", "label", "contig", "start", "end", "part"]
    return Sites(found[columns], {k: v for k, v in (left_out | relatives).items() if v})


def _named(regions: Sequence[Region], names: ContigNames) -> list[Region]:
    """Return regions with the genome's own names of contigs.

    Raises
    ------
    UnknownContigError
        It has no such contig.
    """
    found = []
    for region in regions:
        name = names.resolve([region.contig])[region.contig]
        if name is None:
            raise UnknownContigError(
                f"the genome has no contig {region.contig!r} to hold out; it has "
                f"{', '.join(names.names[:5])}"
            )
        found.append(replace(region, contig=name))
    return found


def _candidates(
    genome: Genome, sites: pd.DataFrame, bp: int, rng: np.random.Generator, n: int
) -> pd.DataFrame:
    """Return windows that overlap no peak and no site's window, in random places.

    No two of them overlap: they lie on a grid of ``bp``.
    """
    frames = []
    for name, codes in genome.items():
        starts = np.arange(int(rng.integers(bp)), len(codes) - bp + 1, bp)
        mine = sites[sites["contig"] == name]
        window = mine["middle"] - bp // 2
        edges = np.zeros(len(codes) + 1, np.int64)
        for ends, step in (
            (np.minimum(mine["start"], window), 1),
            (np.maximum(mine["end"], window + bp), -1),
        ):
            np.add.at(edges, np.clip(ends, 0, len(codes)), step)
        taken = np.concatenate([[0], np.cumsum(np.cumsum(edges[:-1]) > 0)])
        free = taken[starts + bp] == taken[starts]
        frames.append(pd.DataFrame({"contig": name, "start": starts[free]}))
    every = pd.concat(frames, ignore_index=True).assign(label=BACKGROUND)
    if len(every) > n:
        every = every.iloc[np.sort(rng.permutation(len(every))[:n])]
    return every


@app.command()
def sites(
    *,
    fasta: Annotated[Path, typer.Option(help="The genome, plain or gzipped.")],
    peaks: Annotated[
        list[Path],
        typer.Option(help="BED or narrowPeak of a class; its name is the class."),
    ],
    test_region: Annotated[
        list[str], typer.Option(help="chr5 or chr5:1-1000000; may be repeated.")
    ],
    validation_region: Annotated[list[str], typer.Option(help="The same.")],
    out: Annotated[Path, typer.Option(help="Folder for the tables.")],
    bp: Annotated[int, typer.Option(help="Length of the windows.")] = 200,
    background: Annotated[int, typer.Option(help="Background windows a site.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the background.")] = 0,
) -> None:
    """Write train.csv, validation.csv, test.csv and what was left out.

    Example:

        python -m models.sites --fasta G.fa --peaks ABF2.bed --test-region chr5
        --validation-region chr4 --out abf2

        python -m encoders.finetune --model M --train abf2/train.csv
        --validation abf2/validation.csv --test abf2/test.csv --out abf2_head
    """
    if bp < 1 or background < 1:
        raise InputError("--bp and --background are at least 1")
    names = [path.name.split(".")[0] for path in peaks]
    if len(set(names)) < len(names) or BACKGROUND in names:
        raise InputError(
            f"classes {', '.join(names)}: each file needs a name of its own, none "
            f"{BACKGROUND!r}"
        )
    found = make_sites(
        dict(read_fasta(fasta)),
        {n: read_peaks(path) for n, path in zip(names, peaks, strict=True)},
        bp=bp, ratio=background,
        validation=[Region.parse(text) for text in validation_region],
        test=[Region.parse(text) for text in test_region],
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    for part, frame in found.table.groupby("part"):
        with written_beside(out / f"{part}.csv") as beside:
            frame.drop(columns="part").to_csv(beside, index=False)
    counts = pd.crosstab(found.table["label"], found.table["part"])[list(PARTS)]
    with written_beside(out / SUMMARY_FILE) as beside:
        summary = {
            "fasta": str(fasta), "peaks": [str(path) for path in peaks], "bp": bp,
            "test": [asdict(Region.parse(text)) for text in test_region],
            "validation": [asdict(Region.parse(text)) for text in validation_region],
            "background": background, "seed": seed,
            "windows": counts.to_dict(), "left_out": found.left_out,
        }  # fmt: skip
        beside.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    for reason, n in found.left_out.items():
        say(f"left out: {n:,} {reason}")
    rows = [(str(label), *map(str, row)) for label, row in zip(counts.index, counts.to_numpy(), strict=True)]  # fmt: skip
    show_table(f"windows of {bp} bp in {out}", ("class", *PARTS), rows)


def main() -> None:
    """Run the command."""
    run_app(app)


if __name__ == "__main__":
    main()
