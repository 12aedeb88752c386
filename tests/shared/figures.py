"""Tables that figures are drawn from, and what is looked for in a figure: its texts, and what overlaps."""

import numpy as np
import pandas as pd
from matplotlib.text import Text
from scipy.stats import norm

from jamie.contract import FEATURE_SCORE_COLUMNS, METRIC_COLUMNS

METHODS = {"jamie": 0.3, "jamie_paper": 0.12, "knn": 0.2, "cca": 0.16, "ridge": 0.25, "nlma": 0.1}


EMBED_ONLY = ("unioncom", "mmd_ma")


CONTROLS = {"floor_mean": 0.0, "floor_shuffled": 0.02, "ceiling": 0.6}


N_FEATURES = {"rna": 1286, "ephys": 29}


def metric_table(seeds=(0, 1, 2)):
    rng = np.random.default_rng(0)
    level = {**METHODS, "unioncom": 0.05, "mmd_ma": 0.04, **CONTROLS}
    rows = []
    for method, skill in level.items():
        for seed in seeds:
            common = ["patchseq_motor", "all_pairs", method, seed, "held_out", "test"]
            noise = 0 if method in CONTROLS else rng.normal(scale=0.012)
            skilled = skill + noise
            if method != "floor_mean":
                values = {"foscttm": 0.5 - 1.3 * min(skilled, 0.38), "lta": 0.35 + skilled}
                values |= {"silhouette": skilled, "modality_mixing": 0.4 + skilled}
                for metric, value in values.items():
                    rows.append([*common, metric, "", value, 242, np.nan, "ok", ""])
            for modality, n_features in N_FEATURES.items():
                for metric, value in {
                    "pearson": skilled * (1 + (modality == "ephys")),
                    "auroc": 0.5 + skilled,
                    "pearson_within": skilled / 2,
                    "r2_median": -3.4 if method == "cca" else skilled - 0.1,
                    "js_distance": 0.7 - skilled,
                }.items():
                    if method in EMBED_ONLY:
                        rows.append(
                            [
                                *common,
                                metric,
                                modality,
                                np.nan,
                                242,
                                n_features,
                                "not_applicable",
                                "no imputation",
                            ]
                        )
                    elif method == "nlma" and seed == 2:
                        rows.append([*common, metric, modality, np.nan, 242, n_features, "failed", "memory"])
                    else:
                        rows.append([*common, metric, modality, value, 242, n_features, "ok", ""])
    return pd.DataFrame(rows, columns=METRIC_COLUMNS)


def feature_table(seeds=(0, 1, 2)):
    rng = np.random.default_rng(0)
    parts = []
    for modality, n in N_FEATURES.items():
        base = rng.gamma(1.5, 0.12, size=n) + (0.25 if modality == "ephys" else 0)
        for method, skill in {**METHODS, **CONTROLS}.items():
            own = base * (0.4 + 2 * skill) + rng.normal(scale=0.05, size=n)
            for seed in seeds:
                r = np.clip(own + rng.normal(scale=0.02, size=n), -0.3, 0.97)
                parts.append(
                    pd.DataFrame(
                        {
                            "dataset": "patchseq_motor",
                            "scenario": "all_pairs",
                            "method": method,
                            "seed": seed,
                            "protocol": "held_out",
                            "cells": "test",
                            "modality": modality,
                            "feature": [f"{modality}_{i}" for i in range(n)],
                            "pearson": np.nan if method == "floor_mean" else r,
                            "auroc": norm.cdf(r + rng.normal(scale=0.03, size=n)),
                            "rmse": np.sqrt(1 - np.clip(r, 0, 1) ** 2),
                            "r2": r**2,
                            "js_distance": np.clip(0.75 - r, 0.02, 1),
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True).reindex(columns=list(FEATURE_SCORE_COLUMNS))


def texts(figure):
    figure.draw_without_rendering()
    return [t.get_text() for t in figure.findobj(Text) if t.get_text() and t.get_visible()]


def overlaps(figure):
    """Pairs of panels, or of a panel and a legend of the figure, whose boxes (labels included) overlap."""
    figure.draw_without_rendering()
    boxes = [(ax.get_title(loc="left"), ax.get_tightbbox()) for ax in figure.axes]
    boxes += [("legend", legend.get_window_extent()) for legend in figure.legends]
    boxes += [(text.get_text(), text.get_window_extent()) for text in figure.texts]
    return [
        (a, b)
        for i, (a, box) in enumerate(boxes)
        for b, other in boxes[:i]
        if min(box.x1, other.x1) - max(box.x0, other.x0) > 1
        and min(box.y1, other.y1) - max(box.y0, other.y0) > 1
    ]


def outside(figure):
    """How far, in inches, what is drawn runs over the edges of the figure: left, bottom, right, top."""
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    over = {
        "left": -drawn.x0,
        "bottom": -drawn.y0,
        "right": drawn.x1 - width,
        "top": drawn.y1 - height,
    }
    return {side: by for side, by in over.items() if by > 0.01}
