# What each rule was seen to need at 1,000, 10,000 and 100,000 cells, and with the examples, of which SNARE-seq takes most for
# the size of its file; rules/resources.smk asks for it.
from typing import NamedTuple


class Need(NamedTuple):
    """Peak memory in MB and CPU time in s that were seen: without input, and for each MB of the input that counts."""

    mb: float
    mb_per_mb: float = 0.0
    s: float = 10.0
    s_per_mb: float = 0.0
    reads: tuple[str, ...] = ()  # names of the inputs that count: the compressed files with the cells' values
    at_once: bool = False  # whether the files of one name are in memory together, not one after the other


RAW, PREPARED = ("data",), ("prepared",)
FIGURE = Need(180)
STAGES = {
    "data": {
        "fetch_dataset": Need(100),
        "fetch_annotation": Need(100),
        "simulate_dataset": Need(145, 1.5, 1, 0.038),  # of the counts drawn
        "ingest_dataset": Need(130, 2.9, 1, 0.02),  # of the files as they came
        "compare_modalities": Need(300, 2.9, 3, 0.02, RAW),
        "check_dataset": Need(345, 2.9, 6, 0.03, RAW),
        "split_cells": Need(130, 0.07, 1, 0.001, RAW),
        "preprocess": Need(190, 4.6, 2, 0.05, RAW),
    },
    "correspondence": {
        "link_features": Need(240, 0.4, 3, 0.01, RAW),
        "make_correspondence": Need(90, 30, 1, 0.5, ("pairs",)),
        "estimate_correspondence": Need(270, 3.0, 3, 0.21, PREPARED),
    },
    "fits": {
        "tune_method": Need(440, 2.7, 2, 0.12, PREPARED),
        "tune_jamie": Need(480, 1.65, 16, 0.1, PREPARED),
        "train_jamie": Need(870, 1.65, 30, 0.3, PREPARED),
        "fit_baseline": Need(440, 2.7, 2, 0.12, PREPARED),
        "tune_torch_method": Need(1500, 2.7, 60, 1, PREPARED),
        "fit_torch_method": Need(1500, 2.7, 60, 1, PREPARED),
        "embed_impute": Need(530, 1.7, 2, 0.053, PREPARED),
        "check_values": Need(550, 1.7, 3, 0.05, PREPARED),
        "complete_dataset": Need(900, 3.4, 14, 0.36, RAW),
        "apply_model": Need(900, 3.4, 14, 0.36, RAW),
        "compare_groups": Need(700, 3.4, 15, 0.3, PREPARED),
    },
    "scores": {
        "score_methods": Need(440, 2.9, 4, 0.5, PREPARED),
        "collect_scores": Need(105),
        "collect_scores_of_dataset": Need(105),
        "collect_settings": Need(105),
        "summarise_run": Need(190),
        "summarise_dataset": Need(190),
        "write_table": Need(170),
        "rank_methods": Need(185),
        "rank_methods_of_dataset": Need(185),
        "report_dataset": Need(300),
        "write_crate": Need(105),
    },
    "figures": {
        "plot_embedding": Need(210, 0.05, 2, 0.004, ("completed",)),
        "plot_values": FIGURE,
        "plot_history": FIGURE,
        "plot_scores": FIGURE,
        "plot_features": Need(165, 1.9, 2, 0.05, ("scores",), at_once=True),
        "plot_distributions": Need(215, 1.5, 3, 0.01, PREPARED),
        "plot_js_curves": Need(160, 1.8, 2, 0.05, ("scores",), at_once=True),
        "plot_estimated_correspondence": Need(230, 0.03, 2, 0.001, PREPARED),
        "plot_pairing": FIGURE,
        "plot_ablation": FIGURE,
        "plot_alignment": FIGURE,
        "plot_silhouettes": Need(245, 0.1, 3, 0.005, PREPARED),
        "plot_baselines": Need(165, 2.0, 3, 0.08, ("scores",), at_once=True),
    },
    "attribution": {
        "locate_genes": Need(215, 0.15, 2, 0.002, RAW),
        "measure_influence": Need(730, 1.1, 9, 0.03, PREPARED),
        "score_links": Need(1320, 2.9, 5, 0.075, PREPARED),
        "check_attributions": Need(870, 1.3, 8, 0.03, PREPARED),
        "collect_attributions": Need(215, 2.2, 2, 0.2, ("drivers", "groups"), at_once=True),
        "plot_drivers": Need(200, 5.0, 2, 0.1, ("drivers",)),
        "plot_markers": Need(530, 3.1, 7, 0.06, PREPARED),
        "collect_links": Need(200, 5.0, 4, 0.2, ("links",), at_once=True),
        "plot_distance": Need(200, 5.0, 2, 0.2, ("links",)),
        "plot_truth": Need(200, 5.0, 2, 0.2, ("links", "truth")),
        "plot_known_links": Need(200, 5.0, 2, 0.2, ("links",)),
        "plot_loci": Need(280, 0.75, 7, 0.03, PREPARED),
    },
}
NEEDS = {rule: need for stage in STAGES.values() for rule, need in stage.items()}


WITH_TORCH = {
    "estimate_correspondence",
    "tune_jamie",
    "train_jamie",
    "tune_torch_method",
    "fit_torch_method",
    "embed_impute",
    "check_values",
    "complete_dataset",
    "apply_model",
    "compare_groups",
    "measure_influence",
    "score_links",
    "check_attributions",
    "plot_markers",
}

# of `localrule: True`: they run where Snakemake was started
LOCAL = {
    "fetch_dataset",
    "fetch_annotation",
    "collect_scores",
    "collect_settings",
    "summarise_run",
    "write_table",
    "rank_methods",
    "collect_scores_of_dataset",
    "rank_methods_of_dataset",
    "summarise_dataset",
    "report_dataset",
    "write_crate",
}


# of one method, which may fail without the others (rules/failures.smk)
OF_METHODS = [
    "tune_method",
    "tune_torch_method",
    "tune_jamie",
    "fit_baseline",
    "fit_torch_method",
    "train_jamie",
    "embed_impute",
]
