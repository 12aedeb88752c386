"""A small problem to fit, and how two fits are compared."""

import numpy as np
from scipy import sparse

from jamie.model.trainer import train

N_1, N_2, N_PAIRS = 110, 95, 80


def problem(noise=0.1):
    """Two linear views of a few shared factors; the first 80 cells of both are the same cells."""
    rng = np.random.default_rng(3)
    shared = rng.normal(size=(N_PAIRS, 3))
    factors = [np.vstack([shared, rng.normal(size=(n - N_PAIRS, 3))]) for n in (N_1, N_2)]
    views = [z @ rng.normal(size=(3, p)) / np.sqrt(3) for z, p in zip(factors, (10, 8), strict=True)]
    x = tuple((v + noise * rng.normal(size=v.shape)).astype(np.float32) for v in views)
    pairs = np.arange(N_PAIRS)
    return x, sparse.csr_matrix((np.ones(N_PAIRS, np.float32), (pairs, pairs)), shape=(N_1, N_2))


def fit(options, x=None, f=None, **arguments):
    easy = problem()
    return train(
        easy[0] if x is None else x, easy[1] if f is None else f, options, progress=False, **arguments
    )


def parameters(result):
    return {name: value.numpy() for name, value in result.model.state_dict().items()}


def equal(a, b):
    a, b = parameters(a), parameters(b)
    return all(np.array_equal(a[name], b[name]) for name in a)
