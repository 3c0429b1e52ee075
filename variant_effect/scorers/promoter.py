"""How an allele changes the activity that a promoter model predicts for a gene."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_registry.genome import Bases, Genome
from encoders.nucleotides import UNKNOWN, encode, reverse_complement
from graph_builder.intervals import Spans, overlap_pairs
from variant_effect.alleles import AlleleTable
from variant_effect.columns import REAL, TEXT, Column
from variant_effect.consequences import Consequences
from variant_effect.layers import allele_spans, real, spread
from variant_effect.material import Material
from variant_effect.scorers.base import nulls
from variant_effect.trained_models import (
    CONFIG,
    NO_PROMOTER_MODEL,
    TrainedModel,
    find_model,
    missing_library,
    open_promoter,
)

if TYPE_CHECKING:
    from models.promoter import Ensemble

CONDITIONS = (
    "leaf_no_enh_dark", "leaf_no_enh_light", "leaf_with_enh_light", "proto_no_enh",
)  # fmt: skip
"""Conditions that have columns: those of the model that ships."""

SHORT_BP, SHORT_DOWNSTREAM_BP = 200, 5
"""Models of up to the first length read to +5 of the transcription start, as the elements
of Jores et al. (2021, Nat. Plants 7:842) do; longer ones are centred on it."""

_BATCH = 64

Codes = NDArray[np.uint8]
Integers = NDArray[np.int64]


@dataclass(slots=True)
class _Opened:
    """An ensemble opened when it is first needed, as its single networks."""

    model: TrainedModel
    members: "tuple[Ensemble, ...]" = ()

    def get(self) -> "tuple[Ensemble, ...]":
        if not self.members:
            # One thread: workers share the cores, and numbers must not depend on them.
            whole = open_promoter(self.model, n_threads=1)
            self.members = tuple(
                replace(whole, networks=(network,), standardisations=(standard,))
                for network, standard in zip(
                    whole.networks, whole.standardisations, strict=True
                )
            )
        return self.members


@dataclass(frozen=True, slots=True)
class Promoters:
    """Stretches around transcription starts, one a gene, in the order of the genes.

    Parameters
    ----------
    spans
        The stretches; ``contig`` numbers the assembly's contigs.
    tss
        0-based first transcribed base.
    is_reverse
        Genes on the reverse strand.
    genes
        Their identifiers.
    """

    spans: Spans
    tss: Integers
    is_reverse: NDArray[np.bool_]
    genes: pa.Array

    @classmethod
    def read(
        cls,
        connection: duckdb.DuckDBPyConnection,
        contigs: Sequence[str],
        length_bp: int,
    ) -> Self:
        """Place a stretch of ``length_bp`` at each gene's canonical transcript."""
        table = connection.execute(
            'SELECT gene_id, contig, start, "end", strand FROM transcripts '
            "WHERE is_canonical AND strand IN ('+', '-') "
            "AND list_contains(?, contig) ORDER BY gene_id, contig, start",
            [list(contigs)],
        ).df()
        is_reverse = (table["strand"] == "-").to_numpy(bool)
        first, last = (table[c].to_numpy(np.int64) for c in ("start", "end"))
        tss: Integers = np.where(is_reverse, last - 1, first).astype(np.int64)
        down = SHORT_DOWNSTREAM_BP if length_bp <= SHORT_BP else -(-length_bp // 2)
        start: Integers = np.where(
            is_reverse, tss - down + 1, tss - length_bp + down
        ).astype(np.int64)
        number = {name: i for i, name in enumerate(contigs)}
        contig: Integers = np.array(
            [number[name] for name in table["contig"]], np.int64
        )
        return cls(
            Spans(contig, start, start + length_bp), tss, is_reverse,
            pa.array(table["gene_id"].tolist(), pa.string()),
        )  # fmt: skip

    def nearest(
        self, alleles: AlleleTable, rows: Integers
    ) -> tuple[Integers, Integers]:
        """Return alleles that touch a stretch, and the one with the nearest start.

        Ties go to the gene whose identifier sorts first.
        """
        asked = allele_spans(alleles, rows)
        owner, promoter = overlap_pairs(asked, self.spans)
        apart = np.abs(asked.start[owner] - self.tss[promoter])
        order = np.lexsort((promoter, apart, owner))
        owner, promoter = owner[order], promoter[order]
        first = np.r_[True, owner[1:] != owner[:-1]][: len(owner)]
        return rows[owner[first]], promoter[first]

    def sequences(
        self, contig: Bases, promoter: int, start: int, end: int, alt: str
    ) -> tuple[Codes, Codes]:
        """Return the stretch with REF and with ALT, read on the gene's strand.

        An allele that changes the length moves the far end: upstream of the start the
        bases beyond the upstream end come in or go out, else those beyond the other.
        Unknown bases stand beyond the contig's ends.
        """
        low, high = int(self.spans.start[promoter]), int(self.spans.end[promoter])
        length, tss = high - low, int(self.tss[promoter])
        ref = _window(contig, low, high)
        middle = encode(alt)
        # Upstream of the start the downstream end stays, and the other way round.
        on_left = start <= tss if self.is_reverse[promoter] else end <= tss
        if on_left:
            right = _window(contig, min(end, high), high)
            changed = np.concatenate([
                _window(contig, start - length, start), middle, right
            ])[-length:]  # fmt: skip
        else:
            left = _window(contig, low, max(start, low))
            changed = np.concatenate([
                left, middle, _window(contig, end, end + length)
            ])[:length]  # fmt: skip
        if self.is_reverse[promoter]:
            return reverse_complement(ref), reverse_complement(changed)
        return ref, changed


def _window(contig: Bases, start: int, end: int) -> Codes:
    """Codes of ``[start, end)``; unknown beyond the contig."""
    inside = encode(contig[max(start, 0) : max(end, 0)])
    out = np.full(end - start, UNKNOWN, dtype=np.uint8)
    at = max(-start, 0)
    out[at : at + len(inside)] = inside
    return out


@dataclass(frozen=True, slots=True)
class PromoterScorer:
    """Predicted enrichment with ALT minus with REF, of the gene whose start is nearest."""

    name: ClassVar[str] = "promoter"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("promoter_gene", TEXT, "gene whose promoter, as the promoter model reads "
               "it around the transcription start, holds the allele; the nearest start"),
        *(
            Column(f"promoter_delta_{name}", REAL,
                   f"promoter model: enrichment with ALT minus with REF, {name}",
                   "the training table's", "any", "positive: more active with ALT")
            for name in CONDITIONS
        ),
        *(
            Column(f"promoter_sd_{name}", REAL,
                   f"standard deviation of promoter_delta_{name} between the model's "
                   "networks, which differ in their seed", "the training table's", ">=0",
                   "the networks agree less")
            for name in CONDITIONS
        ),
    )  # fmt: skip
    genome: Genome
    model: _Opened | None = None
    promoters: Promoters | None = None
    lacking: tuple[str, ...] = ()
    problem: str = field(default_factory=missing_library)

    @classmethod
    def make(cls, material: Material) -> Self:
        """Find the model and place its windows; it is opened when first needed."""
        model = find_model(material.workspace, "promoter")
        if model is None:
            return cls(material.genome)
        config = json.loads((model.folder / CONFIG).read_text(encoding="utf-8"))
        has = {*config["conditions"], *config["stand_ins"]}
        promoters = Promoters.read(
            material.connection, list(material.genome), config["length_bp"]
        )
        lacking = tuple(name for name in CONDITIONS if name not in has)
        return cls(material.genome, _Opened(model), promoters, lacking)

    @property
    def missing(self) -> str:
        """There is no model, it cannot be opened, or it lacks conditions."""
        if self.model is None:
            return NO_PROMOTER_MODEL
        if self.problem:
            return f"{self.problem}; then run 'cisgraph score' again"
        if self.lacking:
            return (
                f"the promoter model was not trained on {', '.join(self.lacking)}: "
                "their columns are empty; 'cisgraph models list' names other models"
            )
        return ""

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,  # noqa: ARG002
        before: Mapping[str, pa.Array],  # noqa: ARG002
        connection: duckdb.DuckDBPyConnection,  # noqa: ARG002
    ) -> dict[str, pa.Array]:
        """Predict each promoter with and without the allele."""
        n = len(alleles)
        out = nulls(self.columns, n)
        small = np.flatnonzero(alleles.small)
        if self.model is None or self.promoters is None or self.problem:
            return out
        rows, promoter = self.promoters.nearest(alleles, small)
        if not len(rows):
            return out
        out["promoter_gene"] = spread(
            self.promoters.genes.take(pa.array(promoter)), rows, n
        )
        numbers: dict[bytes, int] = {}
        pairs = np.empty((len(rows), 2), dtype=np.int64)
        for i, (row, place) in enumerate(
            zip(rows.tolist(), promoter.tolist(), strict=True)
        ):
            contig = self.genome.contig(alleles.contigs[int(alleles.contig[row])])
            both = self.promoters.sequences(
                contig, place, int(alleles.start[row]), int(alleles.end[row]),
                alleles.min_alt[row],
            )  # fmt: skip
            for side, codes in enumerate(both):
                pairs[i, side] = numbers.setdefault(codes.tobytes(), len(numbers))
        distinct = np.frombuffer(b"".join(numbers), np.uint8).reshape(len(numbers), -1)
        members = self.model.get()
        level = np.stack([_predict(member, distinct) for member in members])
        delta = level[:, pairs[:, 1]] - level[:, pairs[:, 0]]
        for column, name in enumerate(members[0].conditions):
            if name in CONDITIONS:
                each = delta[:, :, column]
                out[f"promoter_delta_{name}"] = real(each.mean(axis=0), rows, n)
                if len(members) > 1:
                    spreads = each.std(axis=0, ddof=1)
                    out[f"promoter_sd_{name}"] = real(spreads, rows, n)
        return out


def _predict(member: "Ensemble", codes: Codes) -> NDArray[np.float64]:
    """Predict in batches of one size, so that batch-mates do not matter."""
    padded = np.concatenate(
        [codes, np.repeat(codes[-1:], -len(codes) % _BATCH, axis=0)]
    )
    parts = [
        member.predict(padded[i : i + _BATCH])[0] for i in range(0, len(padded), _BATCH)
    ]
    return np.concatenate(parts)[: len(codes)]
