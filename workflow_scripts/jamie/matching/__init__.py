"""The estimated correspondence F~: which cells of two modalities may be the same, from their geometry."""

from jamie.matching.estimate import Estimate, estimate

__all__ = ["Estimate", "estimate"]
