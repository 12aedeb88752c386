"""Links and markers of a finished run: imputed beside measured, and what they must reach.

    make report CONFIG=config/examples/cis_regulation.yaml
    python tests/benchmarks/regulation.py
    python tests/benchmarks/regulation.py --null data

The folder with `results/` and `benchmarks/` of the run is given with `--run FOLDER` (default: here). Datasets
that were not run are left out. Markers of Patch-seq are read where config/examples/patchseq_m1.yaml was run.

`--null FOLDER` reads no run, but mop_snareseq_mm10_dev.h5mu and genes_mm10.bed.gz of a folder, and looks for
links where there are none: with the pairs of cells permuted, and with genes moved half a genome away.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "workflow_scripts"), str(ROOT / "tests")]

MINUTES, MEGABYTES = 10, 6_000  # for all genes of SNARE-seq on two cores
INTERVAL = ("ci_low", "ci_high")  # 95 %
Z, PLAIN = "measured, z against matched peaks", "measured, without distance"
SIMULATIONS = {"simulated_multiome": (0.45, 0.12), "simulated_plain": (0.53, 0.1)}  # AUPRC, false sets
CLASSES = ("Sst", "Pvalb", "Vip", "Lamp5", "Sncg")  # of interneurons, named by their marker genes


def simulation(run: Path, dataset: str, auprc: float, false: float) -> list[tuple]:
    """Against the true links: area under precision-recall, and what of the linked sets is false."""
    found = run / "results" / dataset / "explained"
    area = pd.read_csv(found / "areas.tsv", sep="\t").set_index("statistic")["auprc"]
    calibration = pd.read_csv(found / "calibration.tsv", sep="\t").query("level == 0.1")
    share = calibration.set_index("statistic")["false_discovery_proportion"]
    own = area["imputed, with distance"]
    return [
        (f"{dataset}, AUPRC", ">=", auprc, own),
        (f"{dataset}, AUPRC over that of plain correlation", ">=", 1.5, own / area[PLAIN]),
        (f"{dataset}, AUPRC over that of z against the null", ">=", 1, own / area[Z]),
        (f"{dataset}, false sets at q <= 0.1", "<=", false, share["imputed, sets"]),
        *moved(run, dataset),
    ]


def moved(run: Path, dataset: str) -> list[tuple]:
    """What is linked with every gene moved to where none of its peaks is."""
    summary = json.loads((run / "results" / dataset / "explained/summary.json").read_text())
    return [
        (f"{dataset}, {name} at q <= 0.1, genes moved", "<=", 0, summary[f"n_moved_{key}"])
        for name, key in (("sets", "sets"), ("pairs", "links"))
    ]


def snareseq(run: Path) -> list[tuple]:
    """Nearness to the gene, imputed against measured; time and memory of all genes."""
    near = pd.read_csv(run / "results/snareseq_mop/explained/near.tsv", sep="\t")
    near = near[near["cut"] == "top N"].set_index("statistic")
    jobs = [
        pd.read_csv(path, sep="\t")
        for rule in ("measure_influence", "score_links")
        for path in sorted((run / "benchmarks" / rule).glob("snareseq_mop.*.tsv"))
    ]
    cost = pd.concat(jobs)
    ratio = near.loc["imputed", "odds_ratio"] / near.loc["measured", "odds_ratio"]
    return [
        ("SNARE-seq, odds of lying within 10 kb, lower end", ">=", 1, near.loc["imputed", "ci_low"]),
        ("SNARE-seq, these odds over those of measured values", ">=", 1, ratio),
        ("SNARE-seq, all genes, minutes on two cores", "<=", MINUTES, cost["s"].sum() / 2 / 60),
        ("SNARE-seq, all genes, MB of two jobs at once", "<=", MEGABYTES, 2 * cost["max_rss"].max()),
        *moved(run, "snareseq_mop"),
    ]


def patchseq(run: Path) -> list[tuple]:
    """Classes of interneurons whose own gene is among their ten most attributed."""
    table = pd.read_csv(run / "results/patchseq_m1/explained/markers_rna.tsv", sep="\t")
    own = table[(table["feature"] == table["cell_type"]) & table["cell_type"].isin(CLASSES)]
    return [("Patch-seq, classes with their gene among ten", ">=", 4, int((own["rank"] <= 10).sum()))]


def figures(run: Path, dataset: str) -> list[tuple]:
    """Of either kind of values: nearness to the gene, links, and their truth where it is known."""
    found = run / "results" / dataset / "explained"
    links = pd.read_csv(run / "results" / dataset / "links.tsv", sep="\t")
    near = pd.read_csv(found / "near.tsv", sep="\t").query("cut == 'top N'").set_index("statistic")
    profile = pd.read_csv(found / "distance.tsv", sep="\t").query("bin == '< 10 kb'").set_index("statistic")
    summary = json.loads((found / "summary.json").read_text())
    rows = [
        (values, what, summary[key], None, None)
        for values, what, key in (
            ("imputed", "sets at q <= 0.1", "n_sets"),
            ("imputed", "of these sets of one peak", "n_sets_of_one"),
            ("genes moved", "sets at q <= 0.1", "n_moved_sets"),
            ("genes moved", "pairs at q <= 0.1", "n_moved_links"),
        )
    ]
    for values, q in (("imputed", "q_value"), ("measured", "q_correlation")):
        fold, odds = profile.loc[values], near.loc[values]
        rows += [
            (values, f"links at q <= 0.1, of {len(links):,}", (links[q] <= 0.1).sum(), None, None),
            (values, "p <= 0.01 within 10 kb, over chance", *fold[["fold", *INTERVAL]]),
            (values, "odds that the top 1 % lie within 10 kb", *odds[["odds_ratio", *INTERVAL]]),
        ]
    if (found / "areas.tsv").exists():
        truth = pd.read_csv(found / "areas.tsv", sep="\t")
        rows += [(name, "AUPRC", area, None, None) for name, area in truth[["statistic", "auprc"]].values]
        rows.append(("chance", "AUPRC", truth["base_rate"].iloc[0], None, None))
        rows += ranked(run, dataset, links)
        for one in pd.read_csv(found / "calibration.tsv", sep="\t").to_dict("records"):
            what = f"false of {one['n_significant']} at q <= {one['level']:g}"
            rows.append(
                (one["statistic"], what, *(one[k] for k in ("false_discovery_proportion", *INTERVAL)))
            )
    return rows


def ranked(run: Path, dataset: str, links: pd.DataFrame) -> list[tuple]:
    """What is true of pairs with a high rank score, and of linked pairs with a high weight."""
    from jamie.regulation import collect, fine_mapping

    truth = pd.read_csv(run / "resources" / dataset / "true_links.tsv", sep="\t")
    true, linked = collect.among(links, truth), fine_mapping.linked(links, 0.1)
    chosen = {
        "pairs with a rank score >= 0.9": links["rank_score"] >= 0.9,
        "members of linked sets": linked,
        "members with a weight >= 0.9": linked & (links["weight"] >= 0.9),
    }
    return [
        ("imputed", f"true of {rows.sum():,} {name}", true[rows].mean() if rows.any() else None, None, None)
        for name, rows in chosen.items()
    ]


def without_links(folder: Path) -> None:
    """Print what is found in real data that hold no link, at several numbers of cells."""
    from shared import null

    *cells, genes, peaks = null.snareseq(folder / "mop_snareseq_mm10_dev.h5mu", folder / "genes_mm10.bed.gz")
    rows = []
    for kind in (null.PERMUTED, null.MOVED):
        for n_cells in null.N_CELLS:
            table = null.without_links(kind, cells, genes, peaks, 500_000, n_cells)
            rows += [{"": kind, "n_cells": n_cells} | row for row in null.seen_of(table)]
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.3g}".format))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, default=Path(), help="folder in which the workflow was run")
    parser.add_argument("--null", type=Path, metavar="FOLDER", help="look for links where there are none")
    arguments = parser.parse_args()
    if arguments.null:
        without_links(arguments.null)
        return
    run, rows = arguments.run, []
    for dataset in (*SIMULATIONS, "snareseq_mop"):
        if (run / "results" / dataset / "explained/near.tsv").exists():
            seen = pd.DataFrame(figures(run, dataset), columns=["values", dataset, "", "from", "to"])
            print(seen.to_string(index=False, float_format="{:.3g}".format, na_rep=""), end="\n\n")
    for dataset, targets in SIMULATIONS.items():
        if (run / "results" / dataset / "explained/areas.tsv").exists():
            rows += simulation(run, dataset, *targets)
    for dataset, read in (("snareseq_mop", snareseq), ("patchseq_m1", patchseq)):
        if (run / "results" / dataset / "explained").is_dir():
            rows += read(run)
    if not rows:
        parser.error(f"{run.absolute()} has no run with `explain: true`")
    table = pd.DataFrame(rows, columns=["measure", "sign", "target", "reached"])
    least = table["sign"] == ">="
    met = (table["reached"] >= table["target"]).where(least, table["reached"] <= table["target"])
    table["met"] = met.map({True: "yes", False: "no"})
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    print(f"\n{met.sum()} of {len(table)} targets met")


if __name__ == "__main__":
    main()
