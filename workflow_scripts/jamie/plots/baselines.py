"""One method against each of the others, feature by feature, in small panels."""

from __future__ import annotations

import textwrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jamie.contract import FEATURE_SCORE_COLUMNS
from jamie.evaluation import paired, roles
from jamie.evaluation.phrases import cells_in_words, number
from jamie.evaluation.roles import label
from jamie.metrics.comparison import BETTER, WORSE
from jamie.plots import palette, style
from jamie.plots.features import SCORES, draw_points

PANEL = 1.28  # inches, the side of a panel
FOOTNOTE = (
    "a point per feature: mean of the seeds; above the diagonal the method on y is higher; better, worse "
    "(bold): the mean over features differs, by its 95% interval over seeds"
)


def imputing_methods(feature_scores: pd.DataFrame) -> list[str]:
    """Methods, controls apart, that have a score of some feature; in the order of figures."""
    scored = feature_scores.loc[feature_scores[list(SCORES)].notna().any(axis="columns"), "method"]
    return [m for m in roles.order_methods(scored) if not roles.is_control(m)]


def why_no_baselines(feature_scores: pd.DataFrame, method: str | None) -> str:
    """Why the figure cannot be drawn; empty if it can."""
    found = imputing_methods(feature_scores)
    if not found:
        return "Not applicable: no method has scores of imputed features here."
    if method not in found:
        named = f"{roles.label(method)} has no scores" if method else "there is no method to compare"
        return f"Not applicable: {named} of imputed features here."
    return "" if len(found) > 1 else f"Not applicable: only {roles.label(method)} imputes here."


def comparisons(feature_scores: pd.DataFrame, method: str, ratio: float) -> pd.DataFrame:
    """One method against each other, per imputed modality and score.

    Parameters
    ----------
    feature_scores
        FEATURE_SCORE_COLUMNS of one dataset, scenario and group of cells.
    ratio
        As from :func:`jamie.evaluation.paired.split_ratio`.

    Returns
    -------
    modality, score, against, n_above and n_below (features on which the method is higher and lower, seeds
    averaged), n (features that both have), verdict (better, worse or cannot tell, by the mean over features
    seed by seed), words (that difference with its interval); no row where n is 0.
    """
    rows = []
    for modality, score, wide in _tables(feature_scores, method):
        for against in [m for m in imputing_methods(feature_scores) if m != method]:
            both = _both(wide, method, against)
            if len(both):
                above, below = (both[method] > both[against]).sum(), (both[method] < both[against]).sum()
                own = feature_scores[feature_scores["modality"] == modality]
                gap = paired.mean_over_features(own, score, method, against, ratio=ratio)
                words = paired.interval_in_words(gap)
                rows.append([modality, score, against, above, below, len(both), gap.verdict, words])
    columns = ["modality", "score", "against", "n_above", "n_below", "n", "verdict", "words"]
    return pd.DataFrame(rows, columns=columns)


def _tables(feature_scores: pd.DataFrame, method: str) -> list[tuple[str, str, pd.DataFrame]]:
    """(modality, score, features x methods), for each score that ``method`` has; NaN where one has none."""
    found = []
    for score in SCORES:
        for modality, rows in feature_scores.groupby("modality", sort=False):
            wide = rows.groupby(["feature", "method"])[score].mean().unstack("method")
            if method in wide and wide[method].notna().any():
                found.append((modality, score, wide))
    return found


def _both(wide: pd.DataFrame, method: str, against: str) -> pd.DataFrame:
    return wide.reindex(columns=[method, against]).dropna()


@style.styled
def baseline_panels(
    feature_scores: pd.DataFrame, *, ratio: float, method: str = "jamie", about: str = ""
) -> Figure:
    """A column per other method, a row per score and imputed modality, a point per feature.

    Parameters
    ----------
    feature_scores
        FEATURE_SCORE_COLUMNS of one dataset, scenario and group of cells; seeds are averaged per feature.
    ratio
        As from :func:`jamie.evaluation.paired.split_ratio`.
    method
        On y in every panel; the others are on x.
    about
        Line of context below the headline.

    Raises
    ------
    ValueError
        There are no two methods to compare, or the rows mix several cases.
    """
    style.require(feature_scores, FEATURE_SCORE_COLUMNS, "feature scores")
    rows = style.select_case(feature_scores, "feature scores", protocol=None, cells=None)
    if reason := why_no_baselines(rows, method):
        raise ValueError(reason)
    others = [m for m in imputing_methods(rows) if m != method]
    tables = _tables(rows, method)
    width = max(7.0, 0.9 + (PANEL + 0.2) * len(others))
    size = (width, 1.3 + (PANEL + 0.52) * len(tables))
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(hspace=0.04)  # titles of a row stay clear of the ticks above them
    axes = figure.subplots(len(tables), len(others), squeeze=False)
    found = comparisons(rows, method, ratio)
    verdicts = found.set_index(["modality", "score", "against"])["verdict"].to_dict()
    for line, (modality, score, wide) in zip(axes, tables, strict=True):
        for ax, against in zip(line, others, strict=True):
            verdict = verdicts.get((modality, score, against), "")
            _draw_panel(ax, _both(wide, method, against), against, [method, *others], verdict)
        line[0].set_ylabel(f"{roles.label(score)}\nimputed {roles.label(modality)}\n{roles.label(method)}")
    for ax, against in zip(axes[0], others, strict=True):
        name = roles.label(against).replace(" (", "\n(")
        color = palette.method_color(against, [method, *others])
        ax.annotate(
            name,
            (0.5, 1),
            xytext=(0, 30),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=color,
            weight="bold",
        )
    for ax, against in zip(axes[-1], others, strict=True):
        ax.set_xlabel(roles.label(against).replace(" (", "\n("))
    style.headline(figure, textwrap.fill(headline(found, method), int(10.5 * width)), about)
    figure.supxlabel(textwrap.fill(FOOTNOTE, int(14 * width)), fontsize=style.FONT_SIZE, color=style.GREY)
    return figure


def _draw_panel(ax: Axes, table: pd.DataFrame, against: str, methods: list[str], verdict: str) -> None:
    style.clean(ax)
    ax.set_box_aspect(1)
    if table.empty:
        ax.text(0.5, 0.5, "n/a", ha="center", va="center", color=style.GREY, transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return
    above, _ = draw_points(ax, table, methods[0], against, methods)
    ax.locator_params(nbins=3)
    weight = "bold" if verdict in (BETTER, WORSE) else "normal"
    words = f"{above:,} of {len(table):,} higher\n{verdict}"
    ax.set_title(words, fontsize=style.FONT_SIZE - 1, loc="center", pad=3, weight=weight)


def headline(found: pd.DataFrame, method: str) -> str:
    """In how many comparisons, a method and a modality each, mean Pearson r is told to be better."""
    main = found[found["score"] == SCORES[0]]
    better, worse = (int((main["verdict"] == verdict).sum()) for verdict in (BETTER, WORSE))
    of = number(len(main), "comparison")
    rest = "; the seeds cannot tell the rest" if better + worse < len(main) else ""
    return (
        f"By mean Pearson r, {roles.label(method)} is better in {better} and worse in {worse} of {of} with "
        f"{number(main['against'].nunique(), 'other method')}{rest}"
    )


def in_words(feature_scores: pd.DataFrame, method: str, ratio: float) -> str:
    """The caption: by modality and score, the features on which it is higher, and whether it is better."""
    found = comparisons(feature_scores, method, ratio)
    parts = []
    for (modality, score), rows in found.groupby(["modality", "score"], sort=False):
        shares = ", ".join(
            f"{label(row.against)} {row.n_above:,} of {row.n:,}, mean {row.words}"
            for row in rows.itertuples(index=False)
        )
        parts.append(f"{label(modality)}, {label(score)}: {shares}")
    n_seeds = number(feature_scores["seed"].nunique(), "seed")
    head = f"On {cells_in_words(feature_scores)}, mean of {n_seeds}."
    return f"{head} Features on which {label(method)} is higher than each method: {'; '.join(parts)}."
