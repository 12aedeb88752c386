"""Scores of a made-up run, and what is wrong with a page of reStructuredText."""

from io import StringIO

import numpy as np
import pandas as pd

from jamie.contract import METRIC_COLUMNS, TEST

RUN = {"dataset": "toy_data", "scenario": "paired_50"}


# held-out scores of two seeds, such that nothing but the last, general warning is due
GOOD = {
    "jamie": {
        ("foscttm", ""): (0.1, 0.14),
        ("pearson", "rna"): (0.5, 0.52),
        ("r2", "rna"): (0.3, 0.32),
        ("r2_median", "rna"): (0.25, 0.27),
        ("pearson_within", "rna"): (0.2, 0.22),
    },
    "knn": {("pearson", "rna"): (0.41, 0.43), ("r2", "rna"): (0.2, 0.22), ("r2_median", "rna"): (0.15, 0.17)},
    "cca": {("foscttm", ""): (0.2, 0.24), ("pearson", "rna"): (0.3, 0.32), ("r2", "rna"): (0.05, 0.07)},
    "floor_mean": {("r2", "rna"): (0.0, 0.0), ("r2_median", "rna"): (0.0, 0.0)},
    "floor_shuffled": {("foscttm", ""): (0.5, 0.52), ("r2_median", "rna"): (-0.2, -0.1)},
    "ceiling": {
        ("foscttm", ""): (0.0, 0.0),
        ("pearson", "rna"): (1.0, 1.0),
        ("r2_median", "rna"): (1.0, 1.0),
    },
}


def table(scores: dict, cells: str = TEST, n_seeds: int = 2) -> pd.DataFrame:
    """metrics.tsv as it is read from its file: an empty modality or reason is NaN."""
    rows = []
    for method, values in scores.items():
        for (metric, modality), of_seeds in values.items():
            for seed, value in enumerate(of_seeds[:n_seeds]):
                row = {"method": method, "seed": seed, "cells": cells, "metric": metric, "value": value}
                rows.append(RUN | row | {"modality": modality or np.nan, "status": "ok"})
    return pd.DataFrame(rows).reindex(columns=list(METRIC_COLUMNS))


def html_of(text: str) -> tuple[str, str]:
    """The page as HTML, and what docutils complains about."""
    from docutils.core import publish_parts

    complaints = StringIO()
    settings = {"report_level": 1, "halt_level": 6, "warning_stream": complaints}
    return publish_parts(text, writer="html", settings_overrides=settings)["html_body"], complaints.getvalue()


def problems_of(text: str) -> str:
    return html_of(text)[1]
