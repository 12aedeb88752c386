"""The completed dataset: the input as it was, every cell placed in one space, and a matrix over all cells.

``completed.h5mu`` holds, in this order:

``mod[m]``, the two modalities as measured
    Exactly the input: its cells, features, ``X``, layers, obsm, varm, obsp, uns, raw. No imputed value is
    here, so a test of differences on it (``sc.tl.rank_genes_groups(md["rna"], layer="normalised",
    use_raw=False)``) asks measured cells only. Added are ``layers["normalised"]`` (the model's scale, all
    features), ``obsm["X_jamie"]``, ``["X_umap"]`` (of the modality alone), ``["X_umap_joint"]`` (both
    modalities' latents side by side), ``obs["leiden", "measured_in"]``.
other modalities of the input
    As they were.
``mod["{m}_completed"]``, one for each of the two
    All cells (a pair of cells once), one scale: ``X`` is measured where measured and imputed elsewhere,
    on the model's scale, features of the model. ``obs["values"]`` says which ("measured" or "imputed"),
    ``obs["imputed_from"]`` from what; where single values of measured cells are missing,
    ``layers["is_imputed"]`` says it value by value. ``layers["native"]``: the same in native units: what
    was measured, elsewhere expected counts, fractions, physical units (`jamie.model.native`);
    ``layers["open"]``: of peaks, the chance that a cell has a count there. Intervals, a mask of values not
    to use and cells unlike training: `jamie.report.trust`.
    ``obsm["X_umap"]`` and ``["X_jamie"]`` are of the joint space. ``var["pearson"]``: how well a feature
    was imputed for held-out cells, or, failing these, hidden pairs.
the whole
    ``obs``: joint ``cell_type``, ``batch``, ``leiden``, ``measured_in``; ``obsm["X_umap"]``,
    ``["X_jamie"]``: the mean latent over the modalities a cell has; what the input had there;
    ``uns["jamie"]``: how to read all this.

Why two: with imputed cells inside ``mod["rna"]``, every tool that takes ``X`` for measurements would be
misled, and the input's layers and graphs would no longer fit. Why no modality of imputed cells alone: it
is ``a[a.obs["values"] == "imputed"]`` of the completed one.

Names. muon looks a name up in every modality at once, so no two may share one: features of a completed
modality are called ``rna_completed:CD4`` (plain name in ``var["feature"]``, so that
``gene_symbols="feature"`` works), and a name that two modalities of the input share gets its modality in
front in the second (``adt:CD4``). What the input has under a name that is added here stays as
``original_...``, as ``obsm["original_X_umap"]``.

Sparse modalities are completed as CSR, written in blocks, so memory grows with neither imputed nor
carried values.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie import io
from jamie.data.originals import Originals
from jamie.report import joined, trust
from jamie.report.placed import SEED, place
from jamie.report.values import CompletedValues

ABOUT = {
    "scale": "layers['normalised'] of measured and X of completed modalities: the scale of the model; "
    "layers['native']: counts, fractions, physical units",
    "differences": "Imputed values are conditional means: they vary less than measured ones and repeat what "
    "the other modality shows, so tests between groups on them call differences that are not there. Test on "
    "measured cells (the modalities without _completed), or take results/{dataset}/differences.tsv, in which "
    "measured cells correct imputed ones.",
    "names": "A feature of a completed modality is called modality:feature, as one that two modalities of "
    "the input share is in the second; original_... is what the input had under a name that is used here.",
}


def write_completed(
    path: str | Path,
    mdata,
    pairs,
    model,
    scores: pd.DataFrame | None = None,
    originals: Originals | None = None,
) -> None:
    """Complete a dataset and write it; imputed values are made and written in blocks of cells.

    Parameters
    ----------
    mdata
        The dataset as ingested: raw values.
    pairs
        `Correspondence` of its cells: a cell with a partner lacks nothing.
    model
        A fitted `JAMIE`.
    scores
        Feature scores of the model (FEATURE_SCORE_COLUMNS), or None.
    originals
        Where the input is stored, whose other contents are carried over (`jamie.data.originals.find`); None:
        all there is, is in ``mdata``.
    """
    originals = originals or Originals()
    inputs = model.inputs(mdata)
    latent = {name: model.encode(x, name) for name, x in inputs.items()}
    imputed = {name: model.imputed(x, name) for name, x in inputs.items()}  # of the other modality
    first, second = c.check_two_modalities(mdata)
    f = pairs.align(mdata.mod[first].obs_names, mdata.mod[second].obs_names).matrix
    sides = {first: (second, f), second: (first, f.T.tocsr())}
    skeletons = {c.completed_name(m): _skeleton(mdata, model, m, *sides[m], scores) for m in sides}
    completed = joined.assemble(mdata, originals, skeletons)
    places = originals.layers or dict.fromkeys(sides, "X")
    if model.calibration is not None:
        _say_how_far_to_trust(completed, mdata, model, sides)
    completed.uns["jamie"] = ABOUT | {"modalities": list(sides), "raw_values": places, "umap_seed": SEED}
    place(completed, inputs, latent)
    with io.atomic(path) as temporary:
        completed.write(str(temporary), compression="lzf")
        for m, (other, partners) in sides.items():
            guess = _of_partners(model.components(latent[m], m), imputed[other], partners)
            lacking = imputed[other][_without_partner(partners.T)]
            CompletedValues(mdata.mod[m], model, m, guess, lacking).write(temporary)
        joined.carry_over(temporary, mdata, originals)


def _say_how_far_to_trust(completed, mdata, model, sides: dict) -> None:
    """Intervals, mask and unlikeness of both completed modalities."""
    group = {m: model.groups(mdata, m) for m in sides}
    unlike, threshold = {}, {}
    for m in sides:
        unlike[m], limit = model.unlikeness(mdata, m)
        threshold[m] = np.full(mdata.mod[m].n_obs, limit)
    for m, (other, partners) in sides.items():
        lacking = _without_partner(partners.T)
        of_cells = (np.append(part[m], part[other][lacking]) for part in (group, unlike, threshold))
        trust.describe(completed.mod[c.completed_name(m)], model, m, *of_cells)


def _without_partner(f) -> np.ndarray:
    """Rows of a sparse matrix without an entry: those cells that have no partner."""
    return np.flatnonzero(np.diff(f.tocsr().indptr) == 0)


def _of_partners(own: np.ndarray, other: np.ndarray, partners) -> np.ndarray:
    """Components (n, k) of what a cell misses: as imputed from its partners, else from its own latent."""
    weight = np.asarray(partners.sum(axis=1))
    return np.where(weight > 0, (partners @ other) / np.maximum(weight, 1e-12), own).astype(np.float32)


def _skeleton(mdata, model, target: str, source: str, partners, scores):
    """AnnData of all cells and the model's features of a modality, without values."""
    import anndata
    from scipy import sparse

    measured, lacking = mdata.mod[target].obs, mdata.mod[source].obs.iloc[_without_partner(partners.T)]
    origin = {"values": ["measured", "imputed"], "imputed_from": ["", source]}
    obs = pd.concat([measured, lacking])
    for name in obs.select_dtypes(include=object).columns:
        obs[name] = obs[name].astype(str).where(obs[name].notna()).astype("category")
    for name, words in origin.items():
        each = np.repeat(words, [len(measured), len(lacking)])
        joined.put(obs, name, pd.Categorical(each, [word for word in words if word]))
    plain = model.feature_names(target)
    var = mdata.mod[target].var.reindex(plain)
    joined.put(var, joined.FEATURE, plain)
    var.index = joined.prefixed(c.completed_name(target), plain)
    adata = anndata.AnnData(sparse.csr_matrix((len(obs), len(var)), dtype=np.float32), obs=obs, var=var)
    adata.uns[c.KIND] = model.states[target]["kind"]
    best = _best_scores(scores, target)
    if best is not None:
        joined.put(adata.var, "pearson", best["pearson"].reindex(plain).to_numpy(float))
        adata.uns["pearson_of"] = f"{best['cells'].iloc[0]} cells of {best['scenario'].iloc[0]}"
    return adata


def _best_scores(scores, target: str):
    """Per-feature scores of held-out cells, else of hidden pairs; None if there are neither."""
    if scores is None:
        return None
    for cells in (c.TEST, c.HIDDEN):
        part = scores[(scores["modality"] == target) & (scores["cells"] == cells)]
        if len(part):
            return part.set_index("feature")
    return None
