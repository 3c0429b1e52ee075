"""The evidence on variants as the table that the graph model reads.

The columns are the features of ``variant_effect.combined``, so the graph model and the
fitted prior see the same of a variant. Neither frequencies nor associations are among them.
"""

from typing import TYPE_CHECKING

import pandas as pd

from variant_effect.combined import Evidence

if TYPE_CHECKING:
    from variant_effect.prior_training import Sample

KEYS = ("contig", "start", "end")


def evidence_frame(evidence: Evidence) -> pd.DataFrame:
    """Return one column a feature: numbers, NaN where missing; levels as text or None."""
    return pd.DataFrame({**evidence.numbers, **evidence.levels})


def sample_frame(sample: "Sample") -> pd.DataFrame:
    """Return observed and simulated SNVs with their evidence.

    Returns
    -------
    pandas.DataFrame
        ``contig``, ``start``, ``end`` (0-based half-open), ``label`` (1 simulated, 0
        observed), then the evidence.
    """
    keys = pd.DataFrame({
        "contig": sample.contig, "start": sample.start, "end": sample.start + 1,
        "label": sample.simulated.astype(float),
    })  # fmt: skip
    return pd.concat([keys, evidence_frame(sample.evidence)], axis=1)
