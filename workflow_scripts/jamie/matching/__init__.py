"""The estimated correspondence F~: which cells of two modalities may be the same, from their geometry."""

from jamie.matching.estimate import estimate
from jamie.matching.problem import Estimate

__all__ = ["Estimate", "estimate"]
