"""What drives each imputed feature: its strongest sources, ranked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from jamie.evaluation import roles
from jamie.plots import style
from jamie.plots.ranked import ranked_headline, ranked_panels

COLUMNS = ("target", "source", "source_label", "rank", "attribution", "attribution_sd", "effect", "place")
COLUMNS += ("distance_bp",)
N_BARS, MAX_TARGETS, MAX_NAMED = 8, 12, 4
RAISES, LOWERS = "#B2182B", "#2166AC"  # told apart by colour-blind readers


def shown_targets(drivers: pd.DataFrame, asked: Sequence[str] = ()) -> list[str]:
    """Targets asked for, then those whose strongest sources carry most; at most `MAX_TARGETS` in all.

    Of targets with the same strongest source one is shown before a second is.
    """
    carried = drivers[drivers["rank"] <= N_BARS].groupby("target", sort=False)["attribution"].sum()
    order = carried.sort_values(ascending=False, kind="stable").index
    strongest = drivers[drivers["rank"] == 1].set_index("target").loc[order, "source"]
    order = order[np.argsort(strongest.groupby(strongest.to_numpy()).cumcount(), kind="stable")]
    return list(dict.fromkeys([*(name for name in asked if name in carried), *order]))[:MAX_TARGETS]


def driver_words(drivers: pd.DataFrame) -> str:
    """For the caption: how much of the imputed variance the strongest sources carry, over all targets."""
    first = drivers[drivers["rank"] == 1]
    carried = drivers[drivers["rank"] <= N_BARS].groupby("target")["attribution"].sum()
    often = first["source_label"].value_counts()
    words = (
        f"The {N_BARS} strongest sources of a target carry {carried.median():.0%} of its imputed variance "
        f"(median of {len(carried):,} targets; {carried.min():.0%} to {carried.max():.0%})."
    )
    if often.iloc[0] > 1:
        words += f" {often.index[0]} comes first most often, for {often.iloc[0]:,} targets."
    placed = drivers[(drivers["rank"] <= N_BARS) & drivers["place"].isin(["cis", "trans"])]
    if len(placed):
        near = (placed["place"] == "cis").sum()
        words += (
            f" Of {len(placed):,} such sources with a place, {near:,} are cis, near the gene's start. The "
            "others are trans: they tell in which cells the gene is on, not what regulates it."
        )
    return words


def with_place(row) -> str:
    """What a source is called, and where it lies if that is known: ``cis, -12 kb`` (upstream), ``trans``."""
    place = row.place if isinstance(row.place, str) else ""
    words = f"cis, {row.distance_bp / 1_000:+,.0f} kb" if place == "cis" else place
    return f"{row.source_label}  {words}".rstrip()


@style.styled
def drivers_figure(
    drivers: pd.DataFrame, *, source: str, target: str, asked: Sequence[str] = (), about: str = ""
) -> Figure:
    """Ranked bars of the sources that carry most of each target's imputed variance, all on one scale.

    Parameters
    ----------
    drivers
        ``COLUMNS``, as in ``drivers.tsv``: share of the imputed variance and its sd over seeds; change of
        the target in sd per sd of the source; what the source is called, and where it lies, seen from the
        target gene, if it is a peak.
    source, target
        Modalities.
    asked
        Targets drawn first.
    about
        Words of context under the headline, such as the dataset.
    """
    style.require(drivers, COLUMNS, "drivers")
    names = shown_targets(drivers, asked)
    rows = drivers[(drivers["rank"] <= N_BARS) & drivers["target"].isin(names)]
    rows = rows.assign(feature=[with_place(row) for row in rows.itertuples()])
    low, high = min(rows["attribution"].min(), 0), (rows["attribution"] + rows["attribution_sd"]).max()

    def draw(ax: Axes, own: pd.DataFrame, name: str) -> None:
        style.clean(ax, grid="x")
        colors = [RAISES if effect > 0 else LOWERS for effect in own["effect"]]
        error = {"elinewidth": 0.8, "ecolor": style.TEXT}
        share, sd = 100 * own["attribution"], 100 * own["attribution_sd"]
        ax.barh(own["rank"], share, 0.72, xerr=sd, color=colors, error_kw=error)
        ax.set(xlim=(104 * low, 104 * high), ylim=(N_BARS + 0.6, 0.4))
        ax.locator_params(axis="x", nbins=4)

    label = "imputed variance (%)"
    figure, _ = ranked_panels(rows, names, 0.19 * N_BARS, draw, of="target", xlabel=label)
    handles = [Patch(color=RAISES, label="raises the target"), Patch(color=LOWERS, label="lowers it")]
    figure.legend(handles=handles, loc="outside lower left", ncols=2)
    first = rows[rows["rank"] == 1].set_index("target")["source_label"]
    message = ", ".join(f"{first[name]} for {name}" for name in names[:MAX_NAMED])
    message = f"Strongest {roles.label(source)} drivers of imputed {roles.label(target)}: {message}"
    n = drivers["target"].nunique()
    cut = f"{len(names)} of {n:,} targets" if len(names) < n else "all targets"
    spread = "bars: mean over seeds, lines: sd" if drivers["attribution_sd"].any() else "one seed"
    ranked_headline(figure, message, about, cut, spread)
    return figure
