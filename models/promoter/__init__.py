"""Expression from promoter sequence: tables, splits, models, training, ensembles."""

from models.promoter.ensemble import Ensemble, load_ensemble

__all__ = ["Ensemble", "load_ensemble"]
