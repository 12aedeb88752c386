"""JAMIE: joint variational autoencoders for multimodal imputation and embedding.

>>> from jamie import JAMIE
>>> model = JAMIE().fit(mdata)                      # doctest: +SKIP
>>> z = model.embed(mdata)                          # doctest: +SKIP
>>> atac = model.impute(mdata, "rna", "atac")       # doctest: +SKIP
"""

from jamie.errors import InputError

__all__ = ["JAMIE", "InputError", "bounds"]
__version__ = "0.1.0"


def __getattr__(name):
    # torch is imported only by those who use the model
    if name == "JAMIE":
        from jamie.model.estimator import JAMIE

        return JAMIE
    if name == "bounds":
        from jamie.report.trust import bounds

        return bounds
    raise AttributeError(f"module 'jamie' has no attribute {name!r}")
