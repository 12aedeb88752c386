"""The completed dataset of a finished run in the hands of scanpy and muon: opened, drawn, tested.

    make report CONFIG=config/examples/pbmc_mosaic.yaml
    python tests/benchmarks/completed.py results/pbmc_mosaic/paired_100/jamie/seed0/completed.h5mu

Does what an analyst does first, each thing as the libraries' documents say, and writes the figures into
`--out` (default: build/completed). Ends with an error where one of them cannot be done.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import mudata
import muon as mu
import numpy as np
import scanpy as sc


def draw(md, out: Path, features: dict[str, str]) -> None:
    """UMAPs: of the whole by muon, of each modality by scanpy."""
    whole = ["measured_in", "leiden", *(["cell_type"] if "cell_type" in md.obs else [])]
    for m, feature in features.items():
        whole += [feature, f"{m}_completed:{feature}"]
    mu.pl.umap(md, color=whole, layer={m: "normalised" for m in features}, ncols=3, wspace=0.4, show=False)
    save(out / "whole.png")
    for m, feature in features.items():
        sc.pl.umap(
            md[m], color=[feature, *whole[:2]], layer="normalised", use_raw=False, wspace=0.3, show=False
        )
        save(out / f"{m}.png")
        completed = md[f"{m}_completed"]
        sc.pl.umap(completed, color=[feature, "values"], gene_symbols="feature", show=False)
        save(out / f"{m}_completed.png")


def rank_groups(md, out: Path, m: str) -> None:
    """Features that differ between groups, of measured cells."""
    groups = "cell_type" if "cell_type" in md[m].obs else "leiden"
    adata = md[m]
    sc.tl.rank_genes_groups(adata, groups, layer="normalised", use_raw=False, method="wilcoxon")
    sc.pl.rank_genes_groups_dotplot(adata, n_genes=3, layer="normalised", show=False)
    save(out / f"{m}_differences.png")
    found = sc.get.rank_genes_groups_df(adata, None)
    print(f"{m}: {(found['pvals_adj'] < 0.05).sum()} of {len(found)} differences at q < 0.05, measured cells")


def save(path: Path) -> None:
    plt.savefig(path, dpi=80, bbox_inches="tight")
    plt.close("all")
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("completed", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/completed"))
    parser.add_argument("--features", nargs="*", metavar="MODALITY=FEATURE", default=[])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore", category=FutureWarning)
    md = mudata.read_h5mu(arguments.completed)
    print(md)
    chosen = dict(pair.split("=", 1) for pair in arguments.features)
    features = {}
    for m in md.uns["jamie"]["modalities"]:
        completed = md[f"{m}_completed"]
        highest = completed.var["feature"].iloc[int(np.argmax(completed.X.mean(axis=0)))]
        features[m] = chosen.get(m, highest)
    draw(md, arguments.out, features)
    for m in features:
        rank_groups(md, arguments.out, m)


if __name__ == "__main__":
    main()
