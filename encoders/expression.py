"""Vectors of genes from an expression matrix: log, scale, principal components.

Rows are genes, columns samples or cells. Counts are brought to counts per million;
linear values are taken as ``log(1 + x)``; each sample is centred and scaled to unit
variance over genes; the components are those of the genes' profiles (Jolliffe 2002).
The centring is never carried out on the matrix, so sparse single-cell tables stay sparse.

For models of the scBERT, scGPT or Geneformer kind, whose vocabulary is genes, see
``GeneTokenEncoder``.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds

from data_registry.errors import InputError, MalformedFileError, MissingLayerError
from data_registry.store import Store
from data_registry.workspace import sha256_of, written_beside
from encoders.cache import digest_of

Floats = NDArray[np.float32]

COMPONENTS = 32
PER_MILLION = 1e6
VERSION = "1"


@dataclass(frozen=True, slots=True)
class Matrix:
    """One registered data set.

    Parameters
    ----------
    values
        ``(genes, samples)``, sparse; what is not stored is 0.
    """

    dataset: str
    genes: tuple[str, ...]
    samples: tuple[str, ...]
    unit: str
    values: sparse.csr_matrix


def read_matrices(store: Store, dataset: str | None = None) -> list[Matrix]:
    """Read the expression data sets of a registry; a repeated value is averaged.

    Raises
    ------
    MissingLayerError
        There are none, or not that one.
    """
    known = [
        str(name)
        for (name,) in store.connection.execute(
            "SELECT DISTINCT dataset FROM expression ORDER BY dataset"
        ).fetchall()
    ]
    if not known or (dataset is not None and dataset not in known):
        raise MissingLayerError(
            f"no expression data set {dataset or ''} is registered (there are: "
            f"{', '.join(known) or 'none'}); add one: 'cisgraph add EXPRESSION.tsv'"
        )
    return [_read(store, name) for name in known if dataset in (None, name)]


def _read(store: Store, dataset: str) -> Matrix:
    rows = store.connection.execute(
        "SELECT gene_id, sample_id, avg(value) AS value, "
        "min(lower(coalesce(unit, ''))) AS unit FROM expression "
        "WHERE dataset = ? AND isfinite(value) GROUP BY 1, 2",
        [dataset],
    ).fetchnumpy()
    gene, sample = (np.asarray(rows[n]).astype(str) for n in ("gene_id", "sample_id"))
    genes, row = np.unique(gene, return_inverse=True)
    samples, column = np.unique(sample, return_inverse=True)
    values = sparse.csr_matrix(
        (rows["value"], (row, column)), shape=(len(genes), len(samples))
    )
    unit = str(rows["unit"][0]) if len(row) else ""
    return Matrix(dataset, tuple(genes), tuple(samples), unit, values)


class ExpressionEncoder:
    """A fitted log-scale-PCA; ``fit`` once, ``embed`` any genes of the same samples.

    Parameters
    ----------
    means, deviations
        Of each sample over genes, after the logarithm.
    components
        ``(samples, width)``; a component's largest weight is positive.
    spread
        Standard deviation of each component over the fitted genes, by which it is
        divided.
    explained
        Share of the variance of each component.
    digest
        Of the matrix it was fitted on, and the settings.
    """

    def __init__(
        self,
        *,
        samples: Sequence[str],
        unit: str,
        means: NDArray[np.float64],
        deviations: NDArray[np.float64],
        library: NDArray[np.float64],
        components: NDArray[np.float64],
        spread: NDArray[np.float64],
        explained: NDArray[np.float64],
        digest: str,
    ) -> None:
        self.samples = tuple(samples)
        self.unit = unit
        self.means, self.deviations, self.library = means, deviations, library
        self.components, self.spread = components, spread
        self.explained = explained
        self.width = components.shape[1]
        self.digest = digest

    @classmethod
    def fit(cls, matrix: Matrix, n_components: int = COMPONENTS) -> Self:
        """Fit on all genes of a matrix.

        Raises
        ------
        InputError
            There are fewer than three genes or two samples, or nothing varies.
        """
        n_genes, n_samples = matrix.values.shape
        if n_genes < 3 or n_samples < 2:
            raise InputError(
                f"expression data set {matrix.dataset!r} has {n_genes} genes and "
                f"{n_samples} samples; components need at least 3 and 2"
            )
        library = np.asarray(matrix.values.sum(axis=0), np.float64).ravel()
        logged = _logged(matrix.values, matrix.unit, library)
        means = np.asarray(logged.mean(axis=0)).ravel()
        squares = np.asarray(logged.multiply(logged).mean(axis=0)).ravel()
        variance = np.maximum(squares - means**2, 0)
        # A constant sample's variance is what rounding leaves of it.
        variance[variance < 1e-12 * squares] = 0
        deviations = np.sqrt(variance)
        if not (deviations > 0).any():
            raise InputError(
                f"expression data set {matrix.dataset!r}: no sample varies over genes"
            )
        deviations[deviations == 0] = 1.0
        width = min(n_components, n_samples, n_genes - 1)
        s, vt = _centred_svd(logged, means, deviations, width)
        signs = np.sign(vt[np.arange(width), np.abs(vt).argmax(axis=1)])
        total = n_genes * float((variance > 0).sum())
        return cls(
            samples=matrix.samples,
            unit=matrix.unit,
            means=means,
            deviations=deviations,
            library=library,
            components=(vt * signs[:, None]).T,
            spread=np.maximum(s / np.sqrt(n_genes), 1e-12),
            explained=s**2 / total,
            digest=digest_of(
                "expression", VERSION, n_components, matrix.unit, matrix.genes,
                matrix.samples, _content(matrix.values),
            ),
        )  # fmt: skip

    def embed(self, values: sparse.csr_matrix | NDArray[np.float64]) -> Floats:
        """Return one vector a gene, ``(genes, width)``.

        Parameters
        ----------
        values
            ``(genes, samples)``, of the samples fitted, in their order.

        Raises
        ------
        InputError
            There are other samples.
        """
        if values.shape[1] != len(self.samples):
            raise InputError(
                f"{values.shape[1]} samples; the encoder was fitted on "
                f"{len(self.samples)}"
            )
        logged = _logged(sparse.csr_matrix(values), self.unit, self.library)
        weights = self.components / self.deviations[:, None]
        scores = logged @ weights - self.means @ weights
        return np.asarray(scores / self.spread, np.float32)

    def save(self, path: Path) -> None:
        """Write the fit (safetensors); the same fit has the same digest again."""
        arrays = {
            name: np.ascontiguousarray(getattr(self, name))
            for name in ("means", "deviations", "library", "components", "spread",
                         "explained")
        }  # fmt: skip
        metadata = {
            "samples": json.dumps(self.samples), "unit": self.unit, "digest": self.digest
        }  # fmt: skip
        with written_beside(path) as beside:
            save_file(arrays, beside, metadata=metadata)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote.

        Raises
        ------
        MalformedFileError
            It is something else.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
            return cls(
                samples=json.loads(metadata["samples"]),
                unit=metadata["unit"],
                digest=metadata["digest"],
                **load_file(path),
            )
        except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise MalformedFileError(
                path,
                f"is no fitted expression encoder ({error})",
                remedy="Fit it again",
            ) from error


def _content(values: sparse.csr_matrix) -> str:
    whole = values.tocsr(copy=True)
    whole.sort_indices()
    digest = hashlib.sha256(np.asarray(whole.data, np.float64).tobytes())
    digest.update(whole.indices.astype(np.int64).tobytes())
    digest.update(whole.indptr.astype(np.int64).tobytes())
    return digest.hexdigest()


def _logged(
    values: sparse.csr_matrix, unit: str, library: NDArray[np.float64]
) -> sparse.csr_matrix:
    """Bring values to a log scale: counts by library size, logs as they are."""
    if unit.startswith(("log", "ln")) or (values.nnz and values.data.min() < 0):
        return values.tocsr()
    out = values.tocsr(copy=True).astype(np.float64)
    if unit.startswith("count"):
        factor = np.divide(
            PER_MILLION, library, out=np.zeros_like(library), where=library > 0
        )
        out = (out @ sparse.diags(factor)).tocsr()
    out.data = np.log1p(out.data)
    return out


def _centred_svd(
    values: sparse.csr_matrix,
    means: NDArray[np.float64],
    deviations: NDArray[np.float64],
    width: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Decompose ``(values - means) / deviations``.

    Returns
    -------
    tuple
        The largest singular values, falling, and their right vectors, ``(width, samples)``.
    """
    if width >= min(values.shape) - 1:
        dense = (values.toarray() - means) / deviations
        _, s, vt = np.linalg.svd(dense, full_matrices=False)
        return s[:width].astype(np.float64), vt[:width].astype(np.float64)
    scaled = (values @ sparse.diags(1 / deviations)).tocsr()
    shift = means / deviations
    ones = np.ones(values.shape[0])
    operator = LinearOperator(
        values.shape,
        matvec=lambda x: scaled @ np.ravel(x) - ones * (shift @ np.ravel(x)),
        rmatvec=lambda y: scaled.T @ np.ravel(y) - shift * np.sum(y),
        dtype=np.float64,
    )
    start = np.random.default_rng(0).standard_normal(min(values.shape))
    _, s, vt = svds(operator, k=width, v0=start)
    order = np.argsort(-s)
    return np.asarray(s[order], np.float64), np.asarray(vt[order], np.float64)


class GeneTokenEncoder:
    """Rows of a pretrained model's table of genes (scBERT, scGPT, Geneformer).

    Parameters
    ----------
    folder
        ``vocab.json`` (gene name to row) and a ``*.safetensors`` whose only table with at
        least that many rows, or the one named ``tensor``, holds the vectors.
    """

    def __init__(self, folder: Path, *, tensor: str | None = None) -> None:
        vocabulary, weights = (
            folder / "vocab.json",
            sorted(folder.glob("*.safetensors")),
        )
        if not vocabulary.is_file() or not weights:
            raise MalformedFileError(
                folder,
                "needs vocab.json (gene name to row) and *.safetensors",
                remedy="Write the model's gene dictionary as JSON; pickled weights: "
                "python -m encoders.published convert FOLDER",
            )
        self.rows: dict[str, int] = json.loads(vocabulary.read_text(encoding="utf-8"))
        tables = {
            name: value
            for file in weights
            for name, value in load_file(file).items()
            if value.ndim == 2 and value.shape[0] > max(self.rows.values())
        }
        if tensor is not None:
            tables = {name: tables[name] for name in tables if name == tensor}
        if len(tables) != 1:
            raise InputError(
                f"{folder}: {len(tables)} tensors could be the table of genes "
                f"({', '.join(sorted(tables)[:4])}); name one with --tensor"
            )
        ((self.tensor, self.table),) = tables.items()
        self.name = folder.resolve().name
        self.width = int(self.table.shape[1])
        self.digest = digest_of(
            "gene_token", VERSION, self.tensor, sha256_of(vocabulary),
            *map(sha256_of, weights),
        )  # fmt: skip

    def embed(self, genes: Sequence[str]) -> tuple[Floats, tuple[str, ...]]:
        """Return the vectors of known genes in the given order, and the unknown genes."""
        unknown = tuple(gene for gene in genes if gene not in self.rows)
        rows = [self.rows[gene] for gene in genes if gene in self.rows]
        return self.table[rows].astype(np.float32), unknown
