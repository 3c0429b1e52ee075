"""One file a scorer; each adds named columns with unit, direction and range.

To add a scorer, write ``variant_effect/scorers/<name>.py`` with a class that keeps the
``Scorer`` protocol below, and name it in ``ALL``; ``tests/contracts.py`` then holds it to
the common laws. ``docs/scorers.md`` walks through an example.
"""

from variant_effect.material import Material
from variant_effect.scorers.base import Scorer
from variant_effect.scorers.conservation import ConservationScorer
from variant_effect.scorers.frequency import FrequencyScorer
from variant_effect.scorers.genes import GeneScorer
from variant_effect.scorers.graph import GraphScorer
from variant_effect.scorers.gwas import GwasScorer
from variant_effect.scorers.language import LanguageScorer
from variant_effect.scorers.markov import MarkovScorer
from variant_effect.scorers.motif import MotifScorer
from variant_effect.scorers.prior import PriorScorer
from variant_effect.scorers.promoter import PromoterScorer
from variant_effect.scorers.regulatory import RegulatoryScorer
from variant_effect.scorers.relatives import RelativesScorer
from variant_effect.scorers.structural import StructuralScorer
from variant_effect.scorers.tables import TableScorer

ALL: tuple[type[Scorer], ...] = (
    MarkovScorer,
    MotifScorer,
    RegulatoryScorer,
    ConservationScorer,
    RelativesScorer,
    FrequencyScorer,
    GwasScorer,
    TableScorer,
    GeneScorer,
    StructuralScorer,
    LanguageScorer,
    PromoterScorer,
    PriorScorer,
    GraphScorer,
)
"""In this order: the prior reads the columns of those before it, and the graph model the
prior's."""

__all__ = ["ALL", "Material", "Scorer"]
