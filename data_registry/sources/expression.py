"""Expression of genes in samples or cells, and the samples' metadata."""

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.io
import scipy.sparse

from data_registry.errors import InputError, MalformedFileError, MissingOptionalError
from data_registry.named_columns import (
    HEADER_OPTION,
    name_columns,
    names_match,
    read_named_table,
)
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.row_faults import leave_out_rows, refuse_mostly_faulty
from data_registry.text_files import (
    GENE_PATTERN,
    LINE,
    MISSING,
    find_column,
    is_missing,
    is_number,
    open_binary,
    open_text,
    read_first_row,
    read_head,
    read_numbers,
    read_table,
    split_head,
)

UNITS: Final = ("tpm", "fpkm", "rpkm", "cpm", "rpm", "counts", "log2", "unknown")
_SIGNED_UNITS: Final = frozenset({"log2", "unknown"})
_UNIT: Final = re.compile(
    r"((?<![A-Za-z])(?i:tpm|fpkm|rpkm|cpm|rpm|counts?|log2)|TPM|FPKM|RPKM|CPM|RPM)"
    r"(?![a-z])"
)
_GENE_NAMES: Final = (
    "gene_id",
    "gene",
    "geneid",
    "tracking_id",
    "locus",
    "locus_name",
    "target_id",
    "transcript_id",
    "ensembl_gene_id",
)
TRIPLET_SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "gene_id": _GENE_NAMES,
    "sample_id": ("cell", "sample", "barcode", "cell_id", "run"),
    "value": ("count", "umi", "umis", "tpm", "fpkm", "expression"),
}
SAMPLE_SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "sample_id": (
        "sample",
        "run",
        "cell",
        "barcode",
        "cell_id",
        "cell_barcode",
        "library",
        "accession",
        "ecotype_id",
        "line",
        "id",
        "row_name",
        "index",
    ),
    "tissue": ("organ", "organism_part", "tissue_type", "source_name"),
    "condition": ("treatment", "stress", "growth_condition", "genotype_condition"),
    "cell_type": (
        "celltype",
        "cluster",
        "cluster_id",
        "seurat_clusters",
        "leiden",
        "louvain",
        "annotation",
    ),
    "time": ("time_point", "timepoint", "hours", "hour", "day", "days", "zt", "age"),
    "x": ("spatial_x", "x_coord", "array_row", "pxl_row"),
    "y": ("spatial_y", "y_coord", "array_col", "pxl_col"),
}
_SURE_METADATA: Final = (
    "tissue", "organ", "organism_part", "condition", "treatment", "cell_type",
    "celltype", "cluster", "seurat_clusters", "leiden", "louvain", "time_point",
    "timepoint", "latitude", "population", "country",
)  # fmt: skip
# Columns of numbers that many tables carry beside their samples.
_NO_SAMPLE: Final = re.compile(
    r"^(log.*|chr|start|end|strand|length|gene_?length|eff(ective)?_?length|id)$"
    r"|(^|[^a-z])(mean|average|median|max|min|total)([^a-z]|$)|MaxTPM",
    re.IGNORECASE,
)


def detect_expression(path: Path, head: bytes) -> bool:
    """A gene × sample table, triplets, MatrixMarket, scipy ``.npz`` or ``.h5ad``."""
    if head.startswith(b"\x89HDF"):
        return path.suffix == ".h5ad"
    if head.startswith(b"PK"):
        return path.suffix == ".npz"
    if head.startswith(b"%%MatrixMarket"):
        return True
    rows = split_head(head)
    if len(rows) < 2:
        return False
    names = rows[0]
    if names_match(names, TRIPLET_SYNONYMS, "gene_id", "sample_id", "value"):
        return True
    body = rows[1:]
    is_gene = find_column(names[:1], *_GENE_NAMES) is not None or (
        find_column(names[:1], "id", "name", "") is not None
        and all(GENE_PATTERN.match(row[0]) for row in body)
    )
    # Signal of histone marks per gene, and tables of sequences, have this shape too.
    is_signal = (
        re.search(r"(?i)chip(?!.*rna)|histone|atac|dnase|h3k\d", path.name)
        or re.search(r"(?i)k\d+(me|ac)\d?(\s|$)|_h3(\s|$)", "\n".join(names))
        or find_column(names, "seq", "sequence", "peak_start") is not None
    )
    if not is_gene or is_signal or len(names) < 2:
        return False
    numeric = [
        all(is_number(row[i]) or row[i].lower() in ("", "na", "nan") for row in body)
        for i in range(1, len(names))
        if all(len(row) > i for row in body)
    ]
    return sum(numeric) > 0 and sum(numeric) >= 0.5 * (len(names) - 1)


def parse_expression(request: Request) -> Parsed:
    """Read expression values, or another signal over genes (``--option assay=histone``).

    A signal that is not RNA goes into the table ``gene_signals``, so that it is never
    taken for expression or co-expression.

    Raises
    ------
    MalformedFileError, InputError, MissingOptionalError
        As ``_parse_values``.
    """
    parsed = _parse_values(request)
    assay = request.options.get("assay", "rna").lower()
    if assay != "rna":
        values = parsed.tables.pop("expression")
        parsed.tables["gene_signals"] = values.assign(assay=assay)
        parsed.notes.append(f"{assay} signal over genes, not expression")
    return parsed


def _parse_values(request: Request) -> Parsed:
    """Read expression values, told by content: matrix, triplets, sparse or ``.h5ad``.

    Matrices have a row a gene, unless ``--option orientation=samples``. Columns of text
    and summaries (mean, max, log…, length) are no samples and are noted. Zeros of
    sparse files are not stored; empty cells are not values.

    Raises
    ------
    MalformedFileError
        No samples, a damaged file, or most genes are unusable.
    InputError
        An option has a value that it cannot take.
    MissingOptionalError
        ``.h5ad`` is given and anndata is not installed.
    """
    unit = request.options.get("unit", "")
    if unit and unit not in UNITS:
        raise InputError(f"option unit={unit}: say {', '.join(UNITS)}")
    magic = _read_magic(request.path)
    if magic.startswith(b"\x89HDF"):
        parsed = _parse_h5ad(request)
    elif magic.startswith(b"PK"):
        parsed = _parse_npz(request)
    elif read_head(request.path, 14) == b"%%MatrixMarket":
        parsed = _parse_matrix_market(request)
    else:
        names = [*read_first_row(request.path), *request.columns]
        if names_match(names, TRIPLET_SYNONYMS, "gene_id", "sample_id", "value"):
            parsed = _parse_triplets(request)
        else:
            parsed = _parse_matrix(request)
    if "samples" in request.options:
        _add_samples(request, parsed)
    return parsed


def _read_magic(path: Path) -> bytes:
    try:
        with path.open("rb") as raw:
            return raw.read(8)
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error


def _guess_unit(
    request: Request,
    values: npt.NDArray[np.float64],
    names: Sequence[str],
    notes: list[str],
) -> str:
    """Return the unit by option, header, comments, file name or whole numbers."""
    if asked := request.options.get("unit"):
        return asked
    finite = values[np.isfinite(values)]
    is_whole = bool(finite.size) and bool(np.all(finite % 1 == 0))
    is_text = not _read_magic(request.path).startswith((b"PK", b"\x89HDF"))
    head = read_head(request.path).decode(errors="replace") if is_text else ""
    comments = " ".join(row for row in head.splitlines() if row.startswith("#"))
    places = (
        ("the header", " ".join(names)),
        ("the comments", comments),
        ("the file name", request.path.name),
    )
    for place, text in places:
        for found in _UNIT.findall(text):
            unit = "counts" if found.lower().startswith("count") else found.lower()
            if unit == "counts" and not is_whole:
                notes.append(
                    f"{place} says counts, but the values are no whole numbers"
                )
                continue
            notes.append(f"unit {unit}, by {place}")
            return str(unit)
    if is_whole:
        notes.append("unit counts: all values are whole numbers")
        return "counts"
    notes.append("unit unknown: say it with --option unit=tpm")
    return "unknown"


def _refuse_headless(path: Path) -> None:
    """Refuse a table whose first row is a gene and its values, not a header.

    Names of samples may be numbers (the accessions of the 1001 Genomes), so numbers
    alone say nothing: the first field must be a locus name, or be built as the next
    row's, or a number must not be whole.
    """
    first, *body = split_head(read_head(path), n_rows=2) or [[]]
    if len(first) < 2 or find_column(first[:1], *_GENE_NAMES) is not None:
        return
    if not all(is_number(field) or field.lower() in MISSING for field in first[1:]):
        return
    shapes = [re.sub(r"\d+", "9", row[0]) for row in (first, *body) if row]
    is_gene = bool(GENE_PATTERN.match(first[0])) or (
        "9" in shapes[0] and len(shapes) > 1 and shapes[0] == shapes[1]
    )
    is_value = any(is_number(f) and not f.strip("+-").isdigit() for f in first[1:])
    if first[0] and (is_gene or is_value):
        raise MalformedFileError(
            path,
            f"the first row, {' '.join(first)[:60]!r}, is a gene and its values: the "
            "table has no header",
            line=1,
            remedy="Put a row above it with gene_id and the names of the samples",
        )


def _parse_matrix(request: Request) -> Parsed:
    notes: list[str] = []
    orientation = request.options.get("orientation", "genes")
    if orientation not in ("genes", "samples"):
        raise InputError(f"option orientation={orientation}: say genes or samples")
    _refuse_headless(request.path)
    frame = read_table(request.path, columns=request.columns)
    given = [str(name) for name in frame.columns if name != LINE]
    if "gene_id" not in frame:
        found = find_column(given[:1], *_GENE_NAMES) or find_column(given, *_GENE_NAMES)
        row_name = found if orientation == "genes" and found else given[0]
        frame = frame.rename(columns={row_name: "gene_id"})
        notes.append(f"row names from column {row_name!r}")
    tally = Tally(read=len(frame))
    frame = leave_out_rows(tally, frame, is_missing(frame["gene_id"]), "no_gene")
    if blank := request.options.get("blank"):
        if not is_number(blank):
            raise InputError(f"option blank={blank}: give a number")
        samples = frame.columns.difference(["gene_id", LINE])
        frame = frame.assign(
            **{str(n): frame[n].where(frame[n] != "", blank) for n in samples}
        )
        notes.append(f"empty cells are taken as {blank}")
    values, frame = _sample_values(request, tally, frame, notes)
    doubled = frame["gene_id"].duplicated()
    reason = "duplicate_gene" if orientation == "genes" else "duplicate_sample"
    frame = leave_out_rows(tally, frame, doubled, reason)
    values = values.loc[frame.index]
    numbers = values.to_numpy(dtype=np.float64)
    unit = _guess_unit(request, numbers, given, notes)
    absent = pd.Series(np.isnan(numbers).all(axis=1), index=frame.index)
    frame = leave_out_rows(tally, frame, absent, "no_value")
    infinite = pd.Series(np.isinf(numbers).any(axis=1), index=values.index)
    frame = leave_out_rows(tally, frame, infinite.loc[frame.index], "not_finite")
    if unit not in _SIGNED_UNITS:
        negative = pd.Series((numbers < 0).any(axis=1), index=values.index)
        frame = leave_out_rows(
            tally, frame, negative.loc[frame.index], "negative_value"
        )
    faults = ("no_gene", "not_numeric", "duplicate_gene", "duplicate_sample")
    refuse_mostly_faulty(request.path, tally, (*faults, "not_finite", "negative_value"))
    values = values.loc[frame.index]
    numbers = values.to_numpy(dtype=np.float64)
    n_rows, n_columns = numbers.shape
    row_names = np.repeat(frame["gene_id"].to_numpy(dtype=object), n_columns)
    column_names = np.tile(np.asarray(values.columns, dtype=object), n_rows)
    is_genes = orientation == "genes"
    table = pd.DataFrame(
        {
            "dataset": request.name,
            "gene_id": row_names if is_genes else column_names,
            "sample_id": column_names if is_genes else row_names,
            "value": numbers.ravel(),
            "unit": unit,
            LINE: np.repeat(frame[LINE].to_numpy(), n_columns),
        }
    )
    table = table[table["value"].notna()].reset_index(drop=True)
    notes.append(f"{n_rows:,} rows × {n_columns:,} columns ({orientation} are rows)")
    return Parsed({"expression": table}, tally, notes)


def _sample_values(
    request: Request, tally: Tally, frame: pd.DataFrame, notes: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the sample columns as numbers, and the rows all of whose cells are."""
    skipped = {n.strip() for n in request.options.get("skip", "").split(",")} - {""}
    wanted = [
        n.strip() for n in request.options.get("take", "").split(",") if n.strip()
    ]
    others = [str(n) for n in frame.columns if n not in ("gene_id", LINE)]
    if unknown := sorted(({*wanted} | skipped) - set(others)):
        raise InputError(
            f"{request.path}: no column {unknown[0]!r} to skip or take; there are "
            f"{', '.join(map(repr, others[:20]))}"
        )
    numbers: dict[str, pd.Series[float]] = {}
    faulty = pd.Series(data=False, index=frame.index)
    no_sample = sorted(skipped)
    for name in wanted or others:
        if name in skipped:
            continue
        if not wanted and _NO_SAMPLE.search(name):
            no_sample.append(name)
            continue
        column = read_numbers(frame[name])
        is_given = ~is_missing(frame[name])
        is_text = column.isna() & is_given
        if not wanted and is_text.sum() >= 0.5 * is_given.sum():
            no_sample.append(name)
            continue
        faulty |= is_text
        numbers[name] = column
    if not numbers:
        raise MalformedFileError(
            request.path,
            "no column of numbers beside the genes",
            line=1,
            remedy="Give a table of genes × samples, or name columns (--option take)",
        )
    if no_sample:
        notes.append(
            f"columns not taken as samples: {', '.join(no_sample[:20])}"
            " (--option take=A,B names them)"
        )
    frame = leave_out_rows(tally, frame, faulty, "not_numeric")
    return pd.DataFrame(numbers).loc[frame.index], frame


def _parse_triplets(request: Request) -> Parsed:
    notes: list[str] = []
    frame = read_table(request.path, columns=request.columns)
    frame = name_columns(
        request,
        frame,
        TRIPLET_SYNONYMS,
        required=("gene_id", "sample_id", "value"),
        notes=notes,
    )
    tally = Tally(read=len(frame))
    unnamed = is_missing(frame["gene_id"]) | is_missing(frame["sample_id"])
    frame = leave_out_rows(tally, frame, unnamed, "no_gene_or_sample")
    frame = frame.assign(value=read_numbers(frame["value"]))
    frame = leave_out_rows(tally, frame, ~np.isfinite(frame["value"]), "not_numeric")
    frame = leave_out_rows(tally, frame, frame["value"] == 0, "zero")
    doubled = frame.duplicated(["gene_id", "sample_id"])
    frame = leave_out_rows(tally, frame, doubled, "duplicate_row")
    unit = _guess_unit(request, frame["value"].to_numpy(), [], notes)
    if unit not in _SIGNED_UNITS:
        frame = leave_out_rows(tally, frame, frame["value"] < 0, "negative_value")
    faults = ("no_gene_or_sample", "not_numeric", "negative_value", "duplicate_row")
    refuse_mostly_faulty(request.path, tally, faults)
    table = pd.DataFrame(
        {
            "dataset": request.name,
            "gene_id": frame["gene_id"],
            "sample_id": frame["sample_id"],
            "value": frame["value"],
            "unit": unit,
            LINE: frame[LINE],
        }
    ).reset_index(drop=True)
    notes.append(
        f"{table['gene_id'].nunique():,} genes × "
        f"{table['sample_id'].nunique():,} samples, zeros not stored"
    )
    return Parsed({"expression": table}, tally, notes)


def _parse_npz(request: Request) -> Parsed:
    """Read a sparse matrix written with ``scipy.sparse.save_npz`` or its parts."""
    try:
        with (
            request.path.open("rb") as raw,
            np.load(raw, allow_pickle=False) as archive,
        ):
            parts = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise MalformedFileError(
            request.path,
            f"no readable .npz ({error})",
            remedy="Write it with scipy.sparse.save_npz",
        ) from error
    if lacking := {"indices", "indptr", "data", "shape"} - set(parts):
        raise MalformedFileError(
            request.path,
            f"a .npz without {', '.join(sorted(lacking))}",
            remedy="Write a CSC or CSR matrix with scipy.sparse.save_npz",
        )
    shape = tuple(int(n) for n in parts["shape"])
    written = parts["format"].item() if "format" in parts else b""
    layout = written.decode() if isinstance(written, bytes) else str(written)
    n_slots = len(parts["indptr"]) - 1
    if not layout and len(set(shape)) == 2 and n_slots in shape:
        layout = "csc" if n_slots == shape[1] else "csr"
    kinds = {"csc": scipy.sparse.csc_matrix, "csr": scipy.sparse.csr_matrix}
    if layout not in kinds:
        raise MalformedFileError(
            request.path,
            f"sparse format {layout or 'not told'}",
            remedy="Write a CSC or CSR matrix with scipy.sparse.save_npz",
        )
    try:
        matrix = kinds[layout](
            (parts["data"], parts["indices"], parts["indptr"]), shape=shape
        )
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise MalformedFileError(
            request.path,
            f"no valid {layout} matrix ({error})",
            remedy="Write it again with scipy.sparse.save_npz",
        ) from error
    genes = parts["genes"].astype(str) if "genes" in parts else None
    cells = parts["cells"].astype(str) if "cells" in parts else None
    return _from_sparse(request, matrix, genes, cells)


def _parse_matrix_market(request: Request) -> Parsed:
    try:
        with open_binary(request.path) as stream:
            matrix = scipy.io.mmread(stream)
    except MalformedFileError:
        raise
    except (ValueError, OverflowError, TypeError) as error:
        raise MalformedFileError(
            request.path,
            f"no readable MatrixMarket file ({error})",
            remedy="Write it again, or give a table",
        ) from error
    return _from_sparse(request, scipy.sparse.coo_matrix(matrix), None, None)


def _names_file(request: Request, option: str, stems: Sequence[str]) -> list[str]:
    """Read the names of genes or cells that lie beside a matrix."""
    folder = request.path.parent
    if given := request.options.get(option):
        candidates = [Path(given), folder / given]
    else:
        prefix = re.sub(r"matrix\.mtx(\.gz)?$", "", request.path.name)
        candidates = [
            folder / f"{start}{stem}{end}"
            for start in dict.fromkeys((prefix, ""))
            for stem in stems
            for end in (".tsv", ".tsv.gz", ".txt", ".txt.gz")
        ]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise InputError(
            f"{request.path}: no file with the names of its {option}; name it with "
            f"--option {option}=FILE (looked for {candidates[0].name})"
        )
    with open_text(found) as lines:
        return [
            line.rstrip("\n").split("\t")[0].strip() for line in lines if line.strip()
        ]


def _from_sparse(
    request: Request,
    matrix: Any,  # noqa: ANN401 - any scipy sparse matrix
    genes: Sequence[str] | npt.NDArray[Any] | None,
    cells: Sequence[str] | npt.NDArray[Any] | None,
) -> Parsed:
    """Build the table from a genes × cells matrix."""
    notes: list[str] = []
    if genes is None:
        genes = _names_file(request, "genes", ("features", "genes"))
    if cells is None:
        cells = _names_file(request, "cells", ("barcodes", "cells"))
    if matrix.shape == (len(cells), len(genes)) and len(cells) != len(genes):
        matrix = matrix.T
        notes.append("the matrix is cells × genes; turned")
    if matrix.shape != (len(genes), len(cells)):
        raise MalformedFileError(
            request.path,
            f"a matrix of {matrix.shape[0]} × {matrix.shape[1]} with {len(genes)} "
            f"names of genes and {len(cells)} of cells",
            remedy="Give the names that belong to this matrix",
        )
    if len(set(cells)) != len(cells):
        raise MalformedFileError(
            request.path, "names of cells stand twice", remedy="Make them unique"
        )
    triplets = scipy.sparse.coo_matrix(matrix)
    triplets.sum_duplicates()
    rows, columns = triplets.row, triplets.col
    values = triplets.data.astype(np.float64)
    unit = _guess_unit(request, values, [], notes)
    tally = Tally(read=len(genes))
    named = pd.DataFrame({"gene_id": np.asarray(genes, dtype=object)})
    named[LINE] = np.arange(1, len(genes) + 1)
    bad = ~np.isfinite(values)
    if unit not in _SIGNED_UNITS:
        bad |= values < 0
    checks = {
        "no_gene": is_missing(named["gene_id"]),
        "duplicate_gene": named["gene_id"].duplicated(),
        "bad_value": named.index.to_series().isin(rows[bad]),
        "no_value": ~named.index.to_series().isin(rows[values != 0]),
    }
    for reason, faulty in checks.items():
        named = leave_out_rows(tally, named, faulty.loc[named.index], reason)
    refuse_mostly_faulty(
        request.path, tally, ("no_gene", "duplicate_gene", "bad_value")
    )
    is_kept = np.zeros(len(genes), dtype=bool)
    is_kept[named.index] = True
    keep = is_kept[rows] & (values != 0)
    order = np.lexsort((columns[keep], rows[keep]))
    rows, columns, values = rows[keep][order], columns[keep][order], values[keep][order]
    table = pd.DataFrame(
        {
            "dataset": request.name,
            "gene_id": np.asarray(genes, dtype=object)[rows],
            "sample_id": np.asarray(cells, dtype=object)[columns],
            "value": values,
            "unit": unit,
            LINE: rows + 1,
        }
    )
    notes.append(f"{len(named):,} genes × {len(cells):,} cells, zeros not stored")
    return Parsed({"expression": table}, tally, notes)


def _parse_h5ad(request: Request) -> Parsed:
    try:
        import anndata
    except ImportError as error:
        raise MissingOptionalError(
            "reading .h5ad needs anndata; install it with "
            "pip install 'cisgraph[single-cell]'"
        ) from error
    try:
        data = anndata.read_h5ad(request.path)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise MalformedFileError(
            request.path,
            f"cannot be read as AnnData ({error})",
            remedy="Write it again with anndata, or give a table",
        ) from error
    layer = request.options.get("layer")
    if layer is not None and layer not in data.layers:
        raise InputError(
            f"{request.path}: no layer {layer!r}; there are {', '.join(data.layers)}"
        )
    matrix = data.layers[layer] if layer is not None else data.X
    if matrix is None:
        raise MalformedFileError(
            request.path, "it holds no matrix X", remedy="Name one with --option layer"
        )
    column = request.columns.get("gene_id")
    if column is not None and column not in data.var:
        raise InputError(
            f"{request.path}: var has no column {column!r}; there are "
            f"{', '.join(map(repr, data.var.columns))}"
        )
    names = data.var_names if column is None else data.var[column]
    genes = [str(name) for name in names]
    cells = [str(name) for name in data.obs_names]
    # sparse of a dense matrix drops its zeros too: cells hold mostly zeros
    parsed = _from_sparse(request, scipy.sparse.coo_matrix(matrix).T, genes, cells)
    parsed.tables["samples"] = _describe_cells(request, data.obs, data.obsm)
    return parsed


def _describe_cells(
    request: Request, obs: pd.DataFrame, obsm: Mapping[str, Any]
) -> pd.DataFrame:
    frame = obs.astype(str).reset_index(names="sample_id_")
    frame[LINE] = np.arange(1, len(frame) + 1)
    if "spatial" in obsm:
        points = np.asarray(obsm["spatial"], dtype=np.float64)
        frame = frame.assign(x=points[:, 0].astype(str), y=points[:, 1].astype(str))
    synonyms = {name: s for name, s in SAMPLE_SYNONYMS.items() if name != "sample_id"}
    plain = Request(request.path, request.name, request.options, {})
    frame = name_columns(plain, frame, synonyms, required=(), notes=[])
    frame = frame.drop(columns="sample_id", errors="ignore")
    frame = frame.rename(columns={"sample_id_": "sample_id"})
    return _sample_table(request.name, frame, []).drop(columns=LINE)


def _add_samples(request: Request, parsed: Parsed) -> None:
    """Read the file of ``--option samples`` and add its rows to the samples."""
    given = Path(request.options["samples"])
    path = given if given.is_file() else request.path.parent / given
    described = parse_samples(Request(path, request.name)).tables["samples"]
    known = set(parsed.tables["expression"]["sample_id"].unique())
    n_known = len(known & set(described["sample_id"]))
    if not n_known:
        raise InputError(
            f"{path}: none of its samples ({', '.join(described['sample_id'][:3])}, …) "
            f"is in {request.path} ({', '.join(sorted(known)[:3])}, …)"
        )
    parsed.notes.append(
        f"{n_known:,} of {len(known):,} samples are described in {path.name}"
    )
    parsed.tables["samples"] = described[described["sample_id"].isin(known)].drop(
        columns=LINE
    )


def detect_samples(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """A header with a sample or cell and its tissue, condition, cell type or place."""
    rows = split_head(head)
    if len(rows) < 2:
        return False
    names = [name for name in rows[0] if name]
    return names_match(names, SAMPLE_SYNONYMS, "sample_id") and (
        find_column(names, *_SURE_METADATA) is not None
    )


def parse_samples(request: Request) -> Parsed:
    """Read metadata of samples or cells; columns without a name of ours become JSON.

    Raises
    ------
    MalformedFileError
        No column of samples.
    """
    notes: list[str] = []
    frame = read_named_table(
        request, SAMPLE_SYNONYMS, required=("sample_id",), notes=notes
    )
    tally = Tally(read=len(frame))
    frame = leave_out_rows(tally, frame, is_missing(frame["sample_id"]), "no_sample")
    doubled = frame["sample_id"].duplicated()
    frame = leave_out_rows(tally, frame, doubled, "duplicate_sample")
    refuse_mostly_faulty(request.path, tally, ("no_sample", "duplicate_sample"))
    dataset = request.options.get("dataset", request.name)
    table = _sample_table(dataset, frame, notes)
    return Parsed({"samples": table.reset_index(drop=True)}, tally, notes)


def _sample_table(dataset: str, frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    known = [name for name in SAMPLE_SYNONYMS if name in frame]
    others = [str(n) for n in frame.columns if n not in known and n != LINE]
    table = frame[[*known, LINE]].copy()
    table["dataset"] = dataset
    for name in ("time", "x", "y"):
        if name not in table:
            continue
        numbers = read_numbers(frame[name])
        is_text = numbers.isna() & ~is_missing(frame[name])
        if n_text := int(is_text.sum()):
            notes.append(f"{n_text:,} values of {name}, no numbers, are in metadata")
            frame = frame.assign(**{name: frame[name].where(is_text, "")})
            others.append(name)
        table[name] = numbers
    # without further columns pandas gives no records at all
    records = frame[others].to_dict("records") if others else [{}] * len(frame)
    table["metadata"] = [
        json.dumps(
            {key: value for key, value in record.items() if value != ""},
            ensure_ascii=False,
            sort_keys=True,
        )
        for record in records
    ]
    return table


KINDS = (
    Kind(
        name="expression",
        meaning="expression: gene × sample tables, triplets, MatrixMarket, npz, h5ad",
        detect=detect_expression,
        parse=parse_expression,
        tables=("expression", "gene_signals", "samples"),
        options={
            "assay": "rna (default), or what the signal is: histone, accessibility, …",
            "unit": f"{', '.join(UNITS)} (default: by header, comments, file name)",
            "orientation": "genes or samples: what the rows are (default: genes)",
            "blank": "value of an empty cell (Expression Atlas: 0; default: missing)",
            "skip": "columns that are no samples, comma-separated",
            "take": "columns that are samples, comma-separated (default: all numbers)",
            "samples": "table that describes the samples (as kind samples)",
            "genes": "sparse matrices: file with the names of the genes, one a line",
            "cells": "sparse matrices: file with the names of the cells, one a line",
            "layer": "h5ad: layer to read instead of X",
        },
        side_files=("samples", "genes", "cells"),
    ),
    Kind(
        name="samples",
        meaning="samples or cells: tissue, condition, cell type, time, place",
        detect=detect_samples,
        parse=parse_samples,
        tables=("samples",),
        options={
            "dataset": "name of the expression source that they belong to",
            "header": HEADER_OPTION,
        },
    ),
)
