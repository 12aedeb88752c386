"""What the benchmarks of quality share: datasets, splits and pairs as in the workflow, scores of a fit."""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
warnings.filterwarnings("ignore", message="var_names are not unique", module="mudata")  # of two modalities
sys.path.insert(0, str(ROOT / "workflow_scripts"))


def catalogue() -> dict:
    """The checked content of config/config.yaml."""
    import yaml

    from jamie import config

    return config.check(yaml.safe_load((ROOT / "config/config.yaml").read_text()))


def dataset(name: str, folder: str | Path):
    """A dataset as the workflow ingests it.

    Parameters
    ----------
    name
        Of an entry under ``datasets:``.
    folder
        Holds its files, under any name and at any depth; they are told by their sha256. Not for simulations.

    Returns
    -------
    MuData, all its pairs, and the number of features to keep per modality.
    """
    from jamie.jobs.checksums import sha256

    entry = catalogue()["datasets"][name]
    if entry["reader"] == "simulate":
        return _simulated(entry)
    there = {sha256(path): path for path in sorted(Path(folder).rglob("*")) if path.is_file()}
    missing = [role for role, source in entry["files"].items() if source["sha256"] not in there]
    if missing:
        sys.exit(
            f"{folder} holds no file with the sha256 that config.yaml gives for {name}: {', '.join(missing)}"
        )
    files = {role: there[source["sha256"]] for role, source in entry["files"].items()}
    return _ingested(entry, files)


def _simulated(entry: dict):
    from jamie import io
    from jamie.data.simulate import simulate_multiome

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simulated.h5mu"
        io.write_h5mu(path, simulate_multiome(**entry["options"])[0])
        return _ingested(entry | {"reader": "h5mu"}, {"data": path})


def _ingested(entry: dict, files: dict):
    from jamie.data import checks, labels, readers

    mdata = readers.read(entry, files)
    pairs = readers.pairs_of(entry, mdata, files)
    labels.lend(mdata, pairs)
    if entry["drop_empty"]:
        mdata = checks.drop_empty(mdata)
    n_top = {m: options["n_top_features"] for m, options in entry["modalities"].items()}
    return mdata, pairs.align(*(a.obs_names for a in mdata.mod.values())), n_top


def prepare(mdata, pairs, n_top: dict, *, held_out: float, known_pairs: float, seed: int):
    """Prepared data and the known F of one scenario and seed, as the rules of the workflow make them."""
    from jamie.data import preprocess, split
    from jamie.data.correspondence import choose_known

    train = split.split_cells(pairs, held_out, seed)
    prepared = preprocess.prepare(mdata, train, n_top)
    return prepared, choose_known(pairs, train[0], train[1], known_pairs, seed)


def fit(prepared, known, options: dict, seed: int, method: str = "jamie"):
    """A method fitted as the rules do it, JAMIE with F~ estimated before, and the seconds of that."""
    from jamie import JAMIE, registry
    from jamie.methods import base

    start = time.perf_counter()
    if method != "jamie":
        model = registry.build(method, seed, options)
        return model.fit(*base.training_part(prepared, known)), time.perf_counter() - start
    model = JAMIE(seed=seed, progress=False, **{"folds": 0} | options).fit(prepared, known, estimated=True)
    return model, time.perf_counter() - start


def scores(prepared, pairs, known, model, cells: str) -> dict[tuple[str, str], float]:
    """The scores of one group of cells ("test", "hidden", ...) that metrics.tsv has too.

    Returns
    -------
    {(metric, modality)}: foscttm and lta of both modalities ("" as modality), pearson of either.
    """
    from jamie.metrics.alignment import foscttm, label_transfer_accuracy
    from jamie.metrics.groups import make_groups

    group = next(g for g in make_groups(prepared, pairs, known, model.embed(prepared)) if g.cells == cells)
    latents = [group.latent[m] for m in group.modalities]
    found = {("foscttm", ""): foscttm(latents, group.pairs)}
    if group.labels is not None:
        accuracy = label_transfer_accuracy(latents, [group.labels[m] for m in group.modalities])
        found["lta", ""] = float(np.mean(accuracy))
    for target, source in (group.modalities, group.modalities[::-1]):
        found["pearson", target] = _mean_pearson(prepared, group, source, target, model)
    return found


def _mean_pearson(prepared, group, source: str, target: str, model) -> float:
    from jamie import contract
    from jamie.metrics.imputation import pearson

    rows = group.paired_rows(target)
    layers = prepared.mod[target].layers
    measured = _dense(prepared.mod[target].X[rows])
    missing = _dense(layers[contract.MISSING][rows]) if contract.MISSING in layers else None
    imputed = model.imputer(prepared, source, target)(group.paired_rows(source))
    return float(np.nanmean(pearson(measured, imputed, missing)))


def _dense(matrix) -> np.ndarray:
    return matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
