"""Contacts: ``.cool`` and ``.mcool`` matrices, BEDPE loops, tables of pairs, triplets.

Anchors are 0-based half-open. Anchor 1 lies before anchor 2: within a contig by start,
between contigs by the name as the file spells it. ``balanced`` is the count times (or,
for Juicer's vectors, divided by) the weights of both bins, as ``cooler`` computes it.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import cooler
import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.row_faults import leave_out_rows
from data_registry.sources.intervals import (
    find_named_column,
    head_rows,
    is_bed_row,
    is_gff_row,
    is_pair_row,
    leave_out_faults,
    looks_whole,
    numeric_or_missing,
    read_rows,
)
from data_registry.text_files import (
    LINE,
    is_missing,
    is_number,
    open_text,
    read_head,
    read_numbers,
    read_table,
)

_HDF5_MAGIC: Final = b"\x89HDF\r\n\x1a\n"
_DIVISIVE: Final = frozenset({"KR", "VC", "VC_SQRT"})
"""Weights written by Juicer: counts are divided by them, not multiplied."""

_CHUNK: Final = 5_000_000
_MIN_MIRRORED: Final = 3
_PAIR_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "contig1": ("contig1", "chrom1", "chr1", "chr_ann1", "chromosome1"),
    "start1": ("start1", "start_ann1", "x1", "bin1_start"),
    "end1": ("end1", "end_ann1", "x2", "bin1_end"),
    "contig2": ("contig2", "chrom2", "chr2", "chr_ann2", "chromosome2"),
    "start2": ("start2", "start_ann2", "y1", "bin2_start"),
    "end2": ("end2", "end_ann2", "y2", "bin2_end"),
}
_COUNT_COLUMNS: Final = (
    "count", "counts", "chin", "contacts", "pets", "petcount", "freq", "frequency",
    "observed", "score", "value",
)  # fmt: skip
_TRIPLET_NAME: Final = re.compile(r"\.(matrix|coo|mat|triplets?)(\.|$)")


def parse(request: Request) -> Parsed:
    """Read contacts; see the module's docstring for the formats.

    Raises
    ------
    MalformedFileError
        The file is damaged or of another format, or more than half of its rows are at
        fault.
    InputError
        A choice is missing (which resolution, which bins) or has an unknown value.
    """
    path = request.path
    magic = _read_magic(path)
    if magic.startswith(b"HIC\x00"):
        raise MalformedFileError(
            path,
            "a Juicer .hic file, which is not read here",
            remedy="Convert it first, e.g. with hictk or hic2cool, to .mcool",
        )
    if magic == _HDF5_MAGIC:
        return _parse_cooler(request)
    rows = head_rows(read_head(path))
    if not rows:
        read_rows(path, {})  # says what is wrong with the file
        raise MalformedFileError(path, "no row of data", remedy="Give another file")
    if _is_triplet(rows):
        return _parse_triplets(request)
    if len(rows[0]) == 5 and _is_point_pair(rows[0]):
        return _parse_points(request)
    return _parse_pairs(request)


def _read_magic(path: Path) -> bytes:
    try:
        with path.open("rb") as raw:
            return raw.read(len(_HDF5_MAGIC))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be opened ({error.strerror}). Check the path and its "
            "permissions"
        ) from error


def _read_number_option(request: Request, name: str) -> float | None:
    given = request.options.get(name)
    if given is None:
        return None
    try:
        value = float(given.replace(",", ""))
    except ValueError as error:
        raise InputError(f"--option {name}={given}: write a number") from error
    if not value >= 0:
        raise InputError(f"--option {name}={given}: write a number from 0 on")
    return value


def _read_resolution(request: Request) -> int | None:
    value = _read_number_option(request, "resolution")
    if value is not None and (value < 1 or value % 1):
        raise InputError(
            f"--option resolution={request.options['resolution']}: write it in bp"
        )
    return None if value is None else int(value)


# --- cooler ------------------------------------------------------------------------


def _parse_cooler(request: Request) -> Parsed:
    path = request.path
    tally, notes = Tally(), list[str]()
    try:
        uri = _choose_cooler(request, notes)
        matrix = cooler.Cooler(uri)
        wanted = _read_resolution(request)
        # a matrix of an .mcool was chosen by this number and may have uneven bins
        if wanted not in {None, matrix.binsize} and uri == str(path):
            size = f"{matrix.binsize:,} bp" if matrix.binsize else "of differing size"
            raise InputError(
                f"{path}: its bins are {size}, not the {wanted:,} bp of --option "
                "resolution"
            )
        table = _read_pixels(request, matrix, tally, notes)
    except (OSError, KeyError, RuntimeError) as error:
        raise MalformedFileError(
            path,
            f"a cooler that cannot be read to the end ({error})",
            remedy="Fetch the file again; check it with `cooler info`",
        ) from error
    return Parsed({"contacts": table}, tally, notes)


def _choose_cooler(request: Request, notes: list[str]) -> str:
    path = request.path
    with h5py.File(path, "r") as file:
        form = str(file.attrs.get("format", ""))
        groups = [str(name) for name in file]
        resolutions = (
            sorted((str(name) for name in file["resolutions"]), key=int)
            if "resolutions" in groups
            else []
        )
    if form == "HDF5::SCOOL":
        raise MalformedFileError(
            path,
            "a cooler of single cells",
            remedy="Add up or take out cells with cooler, and give that .cool",
        )
    if {"bins", "pixels", "chroms"} <= set(groups):
        return str(path)
    if not resolutions:
        raise MalformedFileError(
            path,
            f"an HDF5 file that is no cooler (it holds {', '.join(groups[:8])})",
            remedy="Give a .cool or .mcool file, or another --kind",
        )
    wanted = request.options.get("resolution")
    if wanted is None and len(resolutions) > 1:
        raise InputError(
            f"{path}: holds {len(resolutions)} resolutions "
            f"({', '.join(resolutions)} bp). Choose one with --option "
            f"resolution={resolutions[-1]}"
        )
    chosen = resolutions[0] if wanted is None else str(_read_resolution(request))
    if chosen not in resolutions:
        raise InputError(
            f"{path}: no resolution of {chosen} bp; it holds {', '.join(resolutions)}"
        )
    notes.append(f"of the resolutions {', '.join(resolutions)} bp, {chosen} bp is read")
    return f"{path}::resolutions/{chosen}"


def _read_pixels(
    request: Request, matrix: cooler.Cooler, tally: Tally, notes: list[str]
) -> pd.DataFrame:
    bins: pd.DataFrame = matrix.bins()[:]
    weights = _read_weights(request, bins, notes)
    if weights is not None and _is_cis_only(matrix, request.options.get("weight")):
        notes.append(
            "its weights were fitted within contigs only (cis_only): balanced values "
            "between contigs are not comparable with those within"
        )
    min_count = _read_number_option(request, "min_count")
    n_pixels = int(matrix.info["nnz"])
    if not n_pixels:
        raise MalformedFileError(
            request.path, "a cooler without pixels", remedy="Give another file"
        )
    selector = matrix.pixels(join=False)
    kept: list[pd.DataFrame] = []
    for low in range(0, n_pixels, _CHUNK):
        chunk = selector[low : min(low + _CHUNK, n_pixels)]
        tally.read += len(chunk)
        count = chunk["count"]
        if n_nan := int(count.isna().sum()):
            tally.leave_out("count_missing", n=n_nan)
        if min_count is not None:
            is_low = count < min_count
            if n_low := int(is_low.sum()):
                tally.leave_out("below_min_count", n=n_low)
            count = count[~is_low]
        kept.append(chunk.loc[count.dropna().index, ["bin1_id", "bin2_id", "count"]])
    pixels = pd.concat(kept, ignore_index=True)
    is_square = matrix.storage_mode == "square"
    first = pixels["bin1_id"].to_numpy(dtype=np.int64)
    second = pixels["bin2_id"].to_numpy(dtype=np.int64)
    count_values = pixels["count"].to_numpy(dtype=np.float64)
    if is_square:
        # square is how cooler stores a matrix whose halves are different contacts
        first, second, count_values = _fold(
            first, second, count_values, tally, notes, may_be_mirrored=False
        )
    size = f"{matrix.binsize:,} bp" if matrix.binsize else "differing size"
    notes.append(
        f"cooler, {len(bins):,} bins of {size}, {n_pixels:,} pixels, stored as "
        f"{matrix.storage_mode}"
    )
    table = _name_bins(bins, first, second)
    table["count"] = count_values
    balanced = np.full(len(table), np.nan)
    if weights is not None:
        balanced = count_values * weights[first] * weights[second]
    table["balanced"] = balanced
    table["kind"] = "matrix"
    table["sample"] = request.options.get("sample", request.name)
    return table


def _read_weights(
    request: Request, bins: pd.DataFrame, notes: list[str]
) -> npt.NDArray[np.float64] | None:
    """Return the factor of each bin, or None where the file is not balanced."""
    wanted = request.options.get("weight")
    name = wanted or "weight"
    if name not in bins:
        others = sorted(set(bins.columns) - {"chrom", "start", "end"})
        if wanted is not None:
            raise InputError(
                f"{request.path}: no weights {wanted!r}; its bins have "
                f"{', '.join(others) or 'none'}"
            )
        known = [other for other in others if other in _DIVISIVE]
        notes.append(
            "not balanced: the bins have no column weight"
            + (f"; choose with --option weight={known[0]}" if known else "")
        )
        return None
    weights = bins[name].to_numpy(dtype=np.float64)
    if name in _DIVISIVE:
        weights = 1 / weights
    n_masked = int(np.isnan(weights).sum())
    notes.append(
        f"balanced with the bins' column {name}"
        f"{' (counts are divided by it)' if name in _DIVISIVE else ''}; "
        f"{n_masked:,} of {len(weights):,} bins are masked and have no balanced value"
    )
    return weights


def _is_cis_only(matrix: cooler.Cooler, weight: str | None) -> bool:
    with matrix.open("r") as group:
        return bool(group[f"bins/{weight or 'weight'}"].attrs.get("cis_only", False))


def _fold(
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    count: npt.NDArray[np.float64],
    tally: Tally,
    notes: list[str],
    *,
    may_be_mirrored: bool,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Fold a square matrix onto its upper triangle.

    The cells of one pair of bins are added. Only in a text file, which does not say how
    it is stored, a lower half that repeats the upper one throughout is left out.
    """
    cells = pd.DataFrame(
        {
            "low": np.minimum(first, second),
            "high": np.maximum(first, second),
            "count": count,
        }
    )
    groups = cells.groupby(["low", "high"], sort=True)["count"]
    summary = groups.agg(["size", "min", "max", "sum"]).reset_index()
    is_below = first > second
    twice = summary[summary["size"] > 1]
    off_diagonal = summary["low"] < summary["high"]
    is_mirrored = (
        may_be_mirrored
        and len(twice) >= _MIN_MIRRORED
        and bool((twice["size"] == 2).all())
        and bool((twice["min"] == twice["max"]).all())
        and len(twice) == int(off_diagonal.sum())
        and int(is_below.sum()) == len(twice)
    )
    if is_mirrored:
        tally.leave_out("mirror_of_another_cell", n=len(twice))
        notes.append("a symmetric matrix written out whole: its lower half is left out")
        counted = summary["min"]
    else:
        if is_below.any() or len(twice):
            notes.append(
                f"{int(is_below.sum()):,} cells below the diagonal are turned over; "
                f"{int(summary['size'].sum() - len(summary)):,} cells are added to "
                "another of the same pair of bins"
            )
        counted = summary["sum"]
    return (
        summary["low"].to_numpy(dtype=np.int64),
        summary["high"].to_numpy(dtype=np.int64),
        counted.to_numpy(dtype=np.float64),
    )


def _name_bins(
    bins: pd.DataFrame,
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
) -> pd.DataFrame:
    """Return the anchors of pairs of bins, in order."""
    contigs = bins["chrom"].astype(str).to_numpy(dtype=object)
    starts = bins["start"].to_numpy(dtype=np.int64)
    ends = bins["end"].to_numpy(dtype=np.int64)
    # one number a contig name, in the order of the names
    rank = pd.Categorical(contigs, categories=sorted(set(contigs))).codes
    swap = (rank[first] > rank[second]) | (
        (rank[first] == rank[second]) & (starts[first] > starts[second])
    )
    low, high = np.where(swap, second, first), np.where(swap, first, second)
    return pd.DataFrame(
        {
            "contig1": contigs[low], "start1": starts[low], "end1": ends[low],
            "contig2": contigs[high], "start2": starts[high], "end2": ends[high],
        }
    )  # fmt: skip


# --- triplets of bins --------------------------------------------------------------


def _is_triplet(rows: list[list[str]]) -> bool:
    return all(
        len(row) == 3
        and looks_whole(row[0])
        and looks_whole(row[1])
        and is_number(row[2])
        for row in rows
    )


def _parse_triplets(request: Request) -> Parsed:
    """Read rows of bin, bin, count; the bins come from another file."""
    path = request.path
    frame = read_table(path, header=["bin1", "bin2", "count"])
    tally, notes = Tally(read=len(frame)), list[str]()
    bins, ids = _read_bins(request, notes)
    numbers = frame[["bin1", "bin2", "count"]].apply(read_numbers)
    whole = (numbers[["bin1", "bin2"]] % 1 == 0).all(axis=1)
    keep = leave_out_faults(
        path,
        frame,
        tally,
        {
            "bin_not_whole_number": ~whole,
            "negative_bin": (numbers[["bin1", "bin2"]] < 0).any(axis=1),
            "count_missing": numbers["count"].isna(),
        },
    )
    numbers, frame = numbers[keep], frame[keep]
    ids, why = _find_ids(request, numbers, ids, len(bins))
    notes.append(f"triplets of bin, bin and count over {len(bins):,} bins, {why}")
    position = pd.Series(np.arange(len(bins)), index=ids)
    both = numbers[["bin1", "bin2"]].astype("int64")
    unknown = ~both.isin(position.index).all(axis=1)
    if unknown.any():
        raise MalformedFileError(
            path,
            f"{int(unknown.sum()):,} of {len(frame):,} rows name bins beyond the "
            f"{len(bins):,} that are given (highest {int(both.to_numpy().max()):,})",
            line=int(frame.loc[unknown, LINE].iloc[0]),
            remedy="Give the bins or the contig sizes and the resolution this matrix "
            "was made with",
        )
    min_count = _read_number_option(request, "min_count")
    if min_count is not None:
        is_low = numbers["count"] < min_count
        leave_out_rows(tally, frame, is_low, "below_min_count")
        numbers, both = numbers[~is_low], both[~is_low]
    first, second, count = _fold(
        position.loc[both["bin1"]].to_numpy(dtype=np.int64),
        position.loc[both["bin2"]].to_numpy(dtype=np.int64),
        numbers["count"].to_numpy(dtype=np.float64),
        tally,
        notes,
        may_be_mirrored=True,
    )
    table = _name_bins(bins, first, second)
    table["count"] = count
    table["balanced"] = np.nan
    table["kind"] = "matrix"
    table["sample"] = request.options.get("sample", request.name)
    return Parsed({"contacts": table}, tally, notes)


def _find_ids(
    request: Request,
    numbers: pd.DataFrame,
    ids: npt.NDArray[np.int64] | None,
    n_bins: int,
) -> tuple[npt.NDArray[np.int64], str]:
    """Return the identifier of each bin and where it is from.

    Raises
    ------
    InputError
        Nothing tells whether the bins are numbered from 0 or from 1.
    """
    given = request.options.get("index_base")
    if given is not None and given not in {"0", "1"}:
        raise InputError(f"--option index_base={given}: write 0 or 1")
    if ids is not None and given is None:
        return ids, "numbered in the file of bins"
    lowest = int(numbers[["bin1", "bin2"]].to_numpy().min())
    highest = int(numbers[["bin1", "bin2"]].to_numpy().max())
    if given is not None:
        base, why = int(given), "as index_base says"
    elif lowest == 0:
        base, why = 0, "since bin 0 occurs"
    elif highest == n_bins:
        base, why = 1, "since the highest is their number"
    else:
        raise InputError(
            f"{request.path}: its bins run from {lowest} to {highest} of {n_bins}: "
            "that does not tell whether they count from 0 or 1. Say so with --option "
            "index_base=0 or index_base=1"
        )
    return np.arange(base, base + n_bins), f"numbered from {base} {why}"


def _read_bins(
    request: Request, notes: list[str]
) -> tuple[pd.DataFrame, npt.NDArray[np.int64] | None]:
    """Return the bins (chrom, start, end) and their identifiers where they have some.

    Raises
    ------
    InputError
        Neither bins nor contig sizes with a resolution are given.
    """
    given, sizes = request.options.get("bins"), request.options.get("chrom_sizes")
    resolution = _read_resolution(request)
    if given is not None:
        rows = read_rows(Path(given), {})
        names = rows.names
        if rows.has_header:
            columns = [
                find_named_column(names, "chrom", "chr", "contig"),
                find_named_column(names, "start"),
                find_named_column(names, "end", "stop"),
            ]
        else:
            columns = list(names[:3])
        if None in columns or len(names) < 3:
            raise MalformedFileError(
                given, "no bins: contig, start and end are needed", remedy="Give BED"
            )
        bins = rows.frame[columns].set_axis(["chrom", "start", "end"], axis=1)
        for name in ("start", "end"):
            values = read_numbers(bins[name])
            if values.isna().any():
                line = int(rows.frame.loc[values.isna(), LINE].iloc[0])
                raise MalformedFileError(
                    given, f"a bin without a {name}", line=line, remedy="Give BED"
                )
            bins[name] = values.astype("int64")
        ids = None
        if not rows.has_header and len(names) == 4:
            numbers = read_numbers(rows.frame[names[3]])
            if numbers.notna().all() and numbers.is_unique:
                ids = numbers.to_numpy().astype(np.int64)
        return bins, ids
    if sizes is None or resolution is None:
        raise InputError(
            f"{request.path}: its rows name bins by number. Give the bins with "
            "--option bins=FILE (BED), or --option chrom_sizes=FILE (name and length, "
            "e.g. a .fai) and --option resolution=BP"
        )
    bins = pd.concat(
        [
            pd.DataFrame(
                {
                    "chrom": name,
                    "start": starts,
                    "end": np.minimum(starts + resolution, length),
                }
            )
            for name, length in _read_sizes(Path(sizes)).items()
            for starts in [np.arange(0, length, resolution, dtype=np.int64)]
        ],
        ignore_index=True,
    )
    notes.append(f"bins of {resolution:,} bp over the contigs of {sizes}, in its order")
    return bins, None


def _read_sizes(path: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    with open_text(path) as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.split()
            if not fields or line.startswith("#"):
                continue
            if len(fields) < 2 or not looks_whole(fields[1]):
                raise MalformedFileError(
                    path,
                    f"no contig size: {line.strip()[:80]!r}",
                    line=number,
                    remedy="Write a name and a length in bp on each line",
                )
            sizes[fields[0]] = int(fields[1])
    if not sizes:
        raise MalformedFileError(path, "no contig sizes", remedy="Give another file")
    return sizes


# --- pairs of anchors --------------------------------------------------------------


def _is_point_pair(row: list[str]) -> bool:
    """Tell whether a row is contig, position, contig, position, count."""
    return (
        looks_whole(row[1])
        and looks_whole(row[3])
        and is_number(row[4])
        and not looks_whole(row[2])
    )


def _parse_points(request: Request) -> Parsed:
    """Read rows of contig, position, contig, position, count into bins."""
    resolution = _read_resolution(request)
    if resolution is None:
        raise InputError(
            f"{request.path}: its anchors are single positions. Give the size of their "
            "bins with --option resolution=BP"
        )
    names = ["contig1", "start1", "contig2", "start2", "count"]
    frame = read_table(request.path, header=names)
    for side in "12":
        at = read_numbers(frame[f"start{side}"])
        # text again, so that one place judges all coordinates
        start = at // resolution * resolution
        is_known = at.notna() & (at % 1 == 0)
        frame[f"end{side}"] = _as_text((start + resolution).where(is_known))
        frame[f"start{side}"] = _as_text(start.where(is_known))
    notes = [f"positions put into bins of {resolution:,} bp"]
    return _finish_pairs(request, frame, "count", notes)


def _as_text(values: "pd.Series[float]") -> "pd.Series[str]":
    return values.map(lambda value: "" if np.isnan(value) else str(int(value)))


def _parse_pairs(request: Request) -> Parsed:
    path = request.path
    rows = read_rows(path, request.columns)
    frame, names = rows.frame, rows.names
    notes: list[str] = []
    if rows.has_header:
        found = {
            wanted: find_named_column(names, *spellings)
            for wanted, spellings in _PAIR_COLUMNS.items()
        }
        if lacking := [wanted for wanted, name in found.items() if name is None]:
            is_genes = find_named_column(names, "Annotation1", "gene_a", "gene1")
            raise MalformedFileError(
                path,
                f"no column for {', '.join(lacking)}; the header names "
                f"{', '.join(map(repr, names[:10]))}",
                line=1,
                remedy="A table of pairs of genes is added with --kind interactions"
                if is_genes
                else "Name it, e.g. --column start1=x1 (or its 0-based position)",
            )
        columns = {wanted: name for wanted, name in found.items() if name is not None}
        count = find_named_column(names, *_COUNT_COLUMNS)
    else:
        columns = {
            wanted: wanted if wanted in names else str(i)
            for i, wanted in enumerate(_PAIR_COLUMNS)
        }
        if lacking := [name for name in columns.values() if name not in names]:
            raise MalformedFileError(
                path,
                f"{rows.width} columns where two anchors need six",
                line=int(frame[LINE].iloc[0]),
                remedy="Give BEDPE, a .cool file or a table of bin, bin, count",
            )
        # BEDPE has a name and then the score; other tables the count alone
        candidates = [name for name in ("count", "6", "7") if name in names]
        count = next(
            (
                name
                for name in candidates
                if numeric_or_missing(frame[name]) and not is_missing(frame[name]).all()
            ),
            None,
        )
    pairs = pd.DataFrame({wanted: frame[name] for wanted, name in columns.items()})
    if count is not None:
        pairs["count"] = frame[count]
    for extra in ("balanced",):
        if rows.has_header and extra in names:
            pairs[extra] = frame[extra]
    pairs[LINE] = frame[LINE]
    shown = (
        count if count is None or not count.isdigit() else f"column {int(count) + 1}"
    )
    notes.append(f"pairs of anchors; count: {shown or 'none in the file'}")
    return _finish_pairs(request, pairs, count, notes)


def _finish_pairs(
    request: Request, pairs: pd.DataFrame, count: str | None, notes: list[str]
) -> Parsed:
    """Check, order and label pairs of anchors given as text."""
    path = request.path
    tally = Tally(read=len(pairs))
    number = {
        name: read_numbers(pairs[name]) for name in ("start1", "end1", "start2", "end2")
    }
    coordinates = pd.DataFrame(number)
    faults = {
        "no_contig": is_missing(pairs["contig1"]) | is_missing(pairs["contig2"]),
        "coordinate_not_whole_number": (coordinates % 1 != 0).any(axis=1),
        "negative_coordinate": (coordinates < 0).any(axis=1),
        "empty_anchor": (coordinates["end1"] <= coordinates["start1"])
        | (coordinates["end2"] <= coordinates["start2"]),
    }
    if count is not None:
        counts = read_numbers(pairs["count"])
        faults["count_missing"] = counts.isna()
    else:
        counts = pd.Series(np.nan, index=pairs.index)
    keep = leave_out_faults(path, pairs, tally, faults)
    min_count = _read_number_option(request, "min_count")
    if min_count is not None:
        if count is None:
            raise InputError(
                f"{path}: has no count for --option min_count; name its column with "
                "--column count=…"
            )
        is_low = keep & (counts < min_count)
        leave_out_rows(tally, pairs, is_low, "below_min_count")
        keep &= ~is_low
    pairs = pairs[keep]
    spans = coordinates[keep].astype("int64")
    swap = (pairs["contig1"] > pairs["contig2"]) | (
        (pairs["contig1"] == pairs["contig2"]) & (spans["start1"] > spans["start2"])
    )
    table = pd.DataFrame(index=pairs.index)
    for one, two in (("1", "2"), ("2", "1")):
        contig, other = pairs[f"contig{one}"], pairs[f"contig{two}"]
        table[f"contig{one}"] = contig.where(~swap, other)
        for edge in ("start", "end"):
            here, there = spans[f"{edge}{one}"], spans[f"{edge}{two}"]
            table[f"{edge}{one}"] = here.where(~swap, there)
    table["count"] = counts[keep]
    table["balanced"] = (
        read_numbers(pairs["balanced"]) if "balanced" in pairs else np.nan
    )
    table["kind"] = _read_contact_kind(request, table, notes)
    table["sample"] = request.options.get("sample", request.name)
    table[LINE] = pairs[LINE]
    if n_swapped := int(swap.sum()):
        notes.append(f"{n_swapped:,} pairs turned over, so that anchor 1 comes first")
    return Parsed({"contacts": table.reset_index(drop=True)}, tally, notes)


def _read_contact_kind(request: Request, table: pd.DataFrame, notes: list[str]) -> str:
    wanted = request.options.get("contact_kind")
    if wanted is not None:
        if wanted not in {"matrix", "loop"}:
            raise InputError(f"--option contact_kind={wanted}: write matrix or loop")
        return wanted
    width = table["end1"] - table["start1"]
    size = int(width.mode().iloc[0]) if len(width) else 0
    on_grid = (
        size > 0
        and bool(((table["start1"] % size == 0) & (table["start2"] % size == 0)).all())
        and bool((width <= size).all())
    )
    is_self = (table["contig1"] == table["contig2"]) & (
        table["start1"] == table["start2"]
    )
    if on_grid and bool(is_self.any()):
        notes.append(
            f"taken as a matrix: all anchors lie on one grid of {size:,} bp and some "
            "bins meet themselves; say otherwise with --option contact_kind=loop"
        )
        return "matrix"
    notes.append("taken as loops; say otherwise with --option contact_kind=matrix")
    return "loop"


# --- detection ---------------------------------------------------------------------


def detect(path: Path, head: bytes) -> bool:
    """Tell whether a file looks like contacts."""
    if head.startswith(b"HIC\x00"):
        return True
    if head.startswith(_HDF5_MAGIC):
        try:
            with h5py.File(path, "r") as file:
                form = str(file.attrs.get("format", ""))
                is_cooler = form.startswith("HDF5::") and form.upper().endswith(
                    ("COOL", "COOLER")
                )
                return is_cooler or {"bins", "pixels"} <= set(file)
        except OSError:
            # cut short; by its name it was meant as one, and parse says what is wrong
            return path.suffix.lower() in {".cool", ".mcool", ".scool"}
    rows = head_rows(head)
    if not rows or is_gff_row(rows[0]):
        return False
    if _is_triplet(rows):
        return bool(_TRIPLET_NAME.search(path.name.lower()))
    if is_bed_row(rows[0]):
        return all(is_pair_row(row) for row in rows)
    if len(rows[0]) == 5 and all(len(row) == 5 and _is_point_pair(row) for row in rows):
        return True
    names = rows[0]
    return len(rows) > 1 and all(
        find_named_column(names, *spellings) is not None
        for spellings in _PAIR_COLUMNS.values()
    )


KINDS: tuple[Kind, ...] = (
    Kind(
        name="contacts",
        meaning="Hi-C and loops: .cool, .mcool, BEDPE, tables of pairs, triplets",
        detect=detect,
        parse=parse,
        tables=("contacts",),
        options={
            "resolution": "bp; which matrix of an .mcool, or the size of the bins",
            "min_count": "leave out pairs with fewer contacts",
            "weight": "column of the bins to balance with (default: weight)",
            "contact_kind": "matrix or loop",
            "bins": "BED file of the bins that triplets number",
            "chrom_sizes": "file of contig names and lengths, for bins of triplets",
            "index_base": "0 or 1: the number of the first bin of triplets",
            "sample": "library (default: the data set's name)",
        },
        side_files=("bins", "chrom_sizes"),
    ),
)
