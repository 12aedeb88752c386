"""Links and markers of a finished run: imputed beside measured, and what they must reach.

    make report CONFIG=config/examples/cis_regulation.yaml
    python tests/benchmarks/regulation.py

The folder with `results/` and `benchmarks/` of the run is given with `--run FOLDER` (default: here). Datasets
that were not run are left out. Markers of Patch-seq are read where config/examples/patchseq_m1.yaml was run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

MINUTES, MEGABYTES = 10, 6_000  # for all genes of SNARE-seq on two cores
INTERVAL = ("ci_low", "ci_high")  # 95 %
Z = "measured, z against matched peaks"
CLASSES = ("Sst", "Pvalb", "Vip", "Lamp5", "Sncg")  # of interneurons, named by their marker genes


def simulation(run: Path) -> list[tuple]:
    """Against the true links: area under precision-recall, and false links at q <= 0.1."""
    found = run / "results/simulated_multiome/explained"
    area = pd.read_csv(found / "areas.tsv", sep="\t").set_index("statistic")["auprc"]
    calibration = pd.read_csv(found / "calibration.tsv", sep="\t")
    own = calibration[(calibration["statistic"] == "imputed") & (calibration["level"] == 0.1)].iloc[0]
    return [
        ("simulation, AUPRC", ">=", 0.5, area["imputed, with distance"]),
        (
            "simulation, AUPRC over that of plain correlation",
            ">=",
            1.5,
            area["imputed, with distance"] / area["measured, without distance"],
        ),
        (
            "simulation, AUPRC over that of z against the null",
            ">=",
            1,
            area["imputed, with distance"] / area[Z],
        ),
        ("simulation, false links at q <= 0.1", "<=", 0.15, own["false_discovery_proportion"]),
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
    rows = []
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
        for one in pd.read_csv(found / "calibration.tsv", sep="\t").to_dict("records"):
            what = f"false of {one['n_significant']} links at q <= {one['level']:g}"
            rows.append(
                (one["statistic"], what, *(one[k] for k in ("false_discovery_proportion", *INTERVAL)))
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, default=Path(), help="folder in which the workflow was run")
    run = parser.parse_args().run
    rows = []
    for dataset in ("simulated_multiome", "snareseq_mop"):
        if (run / "results" / dataset / "explained/near.tsv").exists():
            seen = pd.DataFrame(figures(run, dataset), columns=["values", dataset, "", "from", "to"])
            print(seen.to_string(index=False, float_format="{:.3g}".format, na_rep=""), end="\n\n")
    for dataset, read in (
        ("simulated_multiome", simulation),
        ("snareseq_mop", snareseq),
        ("patchseq_m1", patchseq),
    ):
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
