"""Small data that several test files share, built once per run. Copy before changing anything."""

import os
from pathlib import Path

import pytest

# several workers share the cores: what small arrays gain from threads, waiting for each other costs
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")


def pytest_collection_modifyitems(items):
    """Begin with what takes longest: each worker of pytest-xdist takes one file after the other."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


@pytest.fixture(scope="session")
def one_torch_thread():
    """Tiny networks are fastest on one thread, and results do not hang on the number of cores."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def raw_multiome():
    """Raw counts of a simulated RNA + ATAC dataset of 120 cells, 84 of them measured in both."""
    from jamie.data.simulate import simulate_multiome

    mdata, _ = simulate_multiome(n_cells=120, n_types=3, n_genes=60, n_peaks=150, paired_fraction=0.7, seed=1)
    return mdata


@pytest.fixture(scope="session")
def multiome_roles(raw_multiome):
    """Bool arrays by position of the modality, False for the fifth of the paired cells that is held out."""
    from jamie.data.correspondence import from_names
    from jamie.data.split import split_cells

    return split_cells(from_names(raw_multiome), held_out=0.2, seed=0)


@pytest.fixture(scope="session")
def prepared_multiome(raw_multiome, multiome_roles):
    """The same, preprocessed with the statistics of its training cells."""
    from jamie.data.preprocess import prepare

    return prepare(raw_multiome, multiome_roles)


@pytest.fixture(scope="session")
def small_options():
    """Options of a fit that takes a fraction of a second; none that matters is left to the preset.

    Change some with ``small_options | {...}``.
    """
    return {
        "n_components": 8,
        "n_latent": 4,
        "hidden_layers": (16,),
        "hidden_relative": False,
        "dropout": 0.1,
        "batch_size": 32,
        "optimizer": "adamw",
        "schedule": "constant",
        "learning_rate": 3e-3,
        "weight_decay": 0.0,
        "gradient_clip": 1.0,
        "max_epochs": 4,
        "min_steps": 0,
        "folds": 0,
        "min_epochs": 0,
        "patience": None,
        "validation_fraction": 0.2,
        "kl_weight": 0.05,
        "kl_midpoint": 2,
        "alpha": 3.0,
        "beta": 1.0,
        "gamma": 0.7,
        "cross_reconstruction": 0.9,
        "contrastive": 0.4,
        "temperature": 0.3,
        "max_steps": None,
        "estimated": "auto",
        "estimated_in": ("alignment",),
        "device": "cpu",
    }


@pytest.fixture(scope="session")
def real():
    """A function from the name of a real dataset to its path, which skips a test where it is not at hand."""

    def path(name: str) -> Path:
        folder = os.environ.get("JAMIE_DATA")
        if not folder:
            pytest.skip("JAMIE_DATA is not set to a folder of real datasets")
        if not (Path(folder) / name).exists():
            pytest.skip(f"{name} is not in JAMIE_DATA")
        return Path(folder) / name

    return path
