"""Whether F~ is used where it should be: 12 true matches and 30 that are none, no pair known.

    python tests/benchmarks/trust.py DATA

DATA is a folder with the datasets' files, told by their sha256 in config/config.yaml. Prints for each case
what the evidence is, the probability that F~ beats none, whether it is used, and the share of it that lies
between cells of one label, where both sides have it. Ends with how many of both kinds were used.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import cases
import numpy as np
import pandas as pd

LABELS = "cell_type"


@dataclass
class Case:
    """Two modalities without a known pair.

    Attributes
    ----------
    name
        In words.
    is_match
        Whether they tell of each other, so that F~ should be used.
    sides
        AnnData as ingested; cells of one name are one cell.
    n_top
        Features to keep, of either.
    """

    name: str
    is_match: bool
    sides: tuple
    n_top: tuple


class Datasets:
    """Ingested datasets, each read once."""

    def __init__(self, folder: str):
        self.read = cache(lambda name: cases.dataset(name, folder))

    def side(self, name: str, modality: str):
        """One modality, and how many of its features to keep."""
        mdata, _, n_top = self.read(name)
        return mdata.mod[modality], n_top[modality]

    def case(
        self, name: str, first: tuple[str, str], second: tuple[str, str], is_match: bool, *changes
    ) -> Case:
        """Modalities (dataset, modality), changed one after the other by functions of two AnnData."""
        (a, n_a), (b, n_b) = self.side(*first), self.side(*second)
        a, b = a.copy(), b.copy()
        if first[0] != second[0]:
            a.obs_names, b.obs_names = first[0] + ":" + a.obs_names, second[0] + ":" + b.obs_names
        for change in changes:
            a, b = change(a, b)
        return Case(name, is_match, (a, b), (n_a, n_b))


def drawn(n: int, seed: int = 0) -> Callable:
    """Some cells, the same of both."""
    return lambda a, b: _same(a, b, np.random.default_rng(seed).permutation(a.n_obs)[:n])


def _same(a, b, rows: np.ndarray):
    shared = a.obs_names[np.sort(rows)].intersection(b.obs_names)
    return a[shared].copy(), b[shared].copy()


def apart(a, b):
    """Half of the cells of the first, the other half of the second."""
    first = np.random.default_rng(0).random(a.n_obs) < 0.5
    return a[first].copy(), b[~b.obs_names.isin(a.obs_names[first])].copy()


def without_most_frequent(a, b):
    """The second lacks the most frequent type of the first."""
    return a, b[b.obs[LABELS] != a.obs[LABELS].value_counts().index[0]].copy()


def placed_as(var: pd.DataFrame) -> Callable:
    """Genes of the first lie where another table has them."""

    def change(a, b):
        where = var.reindex(a.var_names)
        a.var = a.var.assign(**{column: where[column] for column in ("chrom", "start", "end", "strand")})
        return a, b

    return change


def unlabelled(a, b):
    for side in (a, b):
        side.obs = side.obs.drop(columns=LABELS, errors="ignore")
    return a, b


def renamed(seed: int) -> Callable:
    """Features of the first change names and places among them: every link is a wrong one."""

    def change(a, b):
        order = np.random.default_rng(seed).permutation(a.n_vars)
        a.var = a.var.iloc[order].copy()
        return a, b

    return change


def labels_renamed(seed: int) -> Callable:
    """Labels of the second change names among them."""

    def change(a, b):
        names = b.obs[LABELS].astype(str)
        old = np.unique(names)
        b.obs[LABELS] = names.map(dict(zip(old, np.random.default_rng(seed).permutation(old), strict=True)))
        return a, b

    return change


def depth_alone(a, b):
    """Nothing but depth is left: counts drawn anew from one profile, to the depth of each cell."""
    from scipy import sparse

    for seed, side in enumerate((a, b)):
        rng = np.random.default_rng(seed)
        depth, profile = (np.asarray(side.X.sum(axis=axis)).ravel() for axis in (1, 0))
        drawn_anew = [rng.multinomial(int(d), profile / profile.sum()) for d in depth]
        side.X = sparse.csr_matrix(np.array(drawn_anew, dtype=np.float32))
        kept = np.asarray(side.X.sum(axis=0)).ravel() > 0
        if seed == 0:
            a = side[:, kept].copy()
        else:
            b = side[:, kept].copy()
    return a, b


def true_matches(data: Datasets) -> Iterator[Case]:
    simulated = ("simulated_multiome", "rna"), ("simulated_multiome", "atac")
    pbmc = ("pbmc_mosaic", "rna"), ("pbmc_mosaic", "adt")
    snareseq = ("snareseq_mop", "rna"), ("snareseq_mop", "atac")
    yield data.case("simulation, 1,000 cells", *simulated, True)
    yield data.case("simulation, 400 cells", *simulated, True, drawn(400))
    yield data.case("simulation, other cells of either", *simulated, True, apart)
    yield data.case(
        "simulation, a type on one side only", *simulated, True, without_most_frequent, unlabelled
    )
    yield data.case("PBMC", *pbmc, True)
    yield data.case("PBMC, 300 cells, no labels", *pbmc, True, drawn(300), unlabelled)
    yield data.case("PBMC, other cells of either, no labels", *pbmc, True, apart, unlabelled)
    yield data.case("SNARE-seq, no labels", *snareseq, True, unlabelled)
    yield data.case("SNARE-seq, 800 cells, no labels", *snareseq, True, drawn(800), unlabelled)
    yield data.case("SNARE-seq, other cells of either, no labels", *snareseq, True, apart, unlabelled)
    placed = placed_as(data.side(*snareseq[0])[0].var)
    yield data.case("RNA of Patch-seq, ATAC of SNARE-seq", ("patchseq_m1", "rna"), snareseq[1], True, placed)
    yield data.case("scGEM, by labels alone", ("scgem", "rna"), ("scgem", "methylation"), True)


STRANGERS = (
    (("pbmc_mosaic", "rna"), ("scgem", "methylation")),
    (("pbmc_mosaic", "rna"), ("simulated_multiome", "atac")),
    (("pbmc_mosaic", "rna"), ("snareseq_mop", "atac")),
    (("pbmc_mosaic", "rna"), ("patchseq_m1", "ephys")),
    (("patchseq_m1", "rna"), ("pbmc_mosaic", "adt")),
    (("patchseq_m1", "rna"), ("scgem", "methylation")),
    (("snareseq_mop", "rna"), ("pbmc_mosaic", "adt")),
    (("snareseq_mop", "rna"), ("scgem", "methylation")),
    (("scgem", "rna"), ("pbmc_mosaic", "adt")),
    (("simulated_multiome", "rna"), ("pbmc_mosaic", "adt")),
    (("simulated_multiome", "rna"), ("snareseq_mop", "atac")),
    (("simulated_multiome", "rna"), ("scgem", "methylation")),
)


def no_matches(data: Datasets) -> Iterator[Case]:
    for first, second in STRANGERS:
        yield data.case(f"{' '.join(first)}, {' '.join(second)}", first, second, False)
    linked = {"simulated_multiome": "atac", "pbmc_mosaic": "adt", "snareseq_mop": "atac"}
    for name, other in linked.items():
        sides = (name, "rna"), (name, other)
        for seed in range(3):
            change = renamed(seed), unlabelled
            yield data.case(f"{name}, links shuffled ({seed})", *sides, False, *change)
        yield data.case(f"{name}, depth alone", *sides, False, depth_alone, unlabelled)
        yield data.case(f"{name}, links and labels shuffled", *sides, False, renamed(3), labels_renamed(0))
    patchseq, scgem = ("patchseq_m1", "ephys"), ("scgem", "methylation")
    yield data.case("Patch-seq: its geometries do not match", ("patchseq_m1", "rna"), patchseq, False)
    yield data.case("Patch-seq, no labels", ("patchseq_m1", "rna"), patchseq, False, unlabelled)
    yield data.case("scGEM, labels shuffled", ("scgem", "rna"), scgem, False, labels_renamed(1))


def decided(case: Case, seed: int) -> dict:
    """What `estimate_prepared` says of a case, and how good F~ is."""
    import mudata
    from scipy import sparse

    from jamie.data import preprocess
    from jamie.data.correspondence import Correspondence
    from jamie.matching.prepared import estimate_prepared

    names = ("first", "second")
    mdata = mudata.MuData(dict(zip(names, case.sides, strict=True)))
    train = [np.ones(side.n_obs, dtype=bool) for side in case.sides]
    prepared = preprocess.prepare(mdata, train, dict(zip(names, case.n_top, strict=True)))
    sides = tuple(prepared.mod.values())
    shape = tuple(side.n_obs for side in sides)
    nobody = Correspondence(sparse.csr_matrix(shape), *(side.obs_names for side in sides))
    start = time.process_time()
    estimated = estimate_prepared(prepared, nobody, seed=seed)
    info = estimated.info
    return {
        "case": case.name,
        "match": case.is_match,
        "used": info["trusted"],
        "probability": info["confidence"],
        "evidence": info["regime"],
        "links": info["n_linked"],
        "z": info.get("links", {}).get("z", np.nan),
        "kappa": info.get("labels", {}).get("kappa", np.nan),
        "on partner's label": _same_label(estimated.f.matrix, sides),
        "CPU s": time.process_time() - start,
    }


def _same_label(matrix, sides) -> float:
    """Share of the mass between cells of one label, of cells whose label both sides have."""
    if not all(LABELS in side.obs for side in sides):
        return float("nan")
    labels = [side.obs[LABELS].astype(str).to_numpy() for side in sides]
    entries = matrix.tocoo()
    known = np.isin(labels[0][entries.row], labels[1])
    if not known.any():
        return float("nan")
    same = labels[0][entries.row] == labels[1][entries.col]
    return float(entries.data[known & same].sum() / entries.data[known].sum())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data = Datasets(arguments.data)
    rows = []
    for case in (*true_matches(data), *no_matches(data)):
        rows.append(decided(case, arguments.seed))
        if len(rows) == 1:
            print(*rows[0], sep="\t")
        print(*(f"{v:.3f}" if isinstance(v, float) else v for v in rows[-1].values()), sep="\t", flush=True)
    table = pd.DataFrame(rows)
    of_matches, of_none = table[table["match"]], table[~table["match"]]
    print(f"{of_matches['used'].sum()} of {len(of_matches)} true matches used")
    print(f"{of_none['used'].sum()} of {len(of_none)} that are none used")


if __name__ == "__main__":
    main()
