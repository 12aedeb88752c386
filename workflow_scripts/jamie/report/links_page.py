"""The strongest links as one self-contained page of HTML."""

from __future__ import annotations

import pandas as pd

from jamie.plots import style
from jamie.regulation.fine_mapping import linked

LISTED = 20  # pairs at least
LONGEST = 200  # pairs at most; links.tsv has all
HEADS = {
    "gene": "gene",
    "peak": "peak",
    "distance": "distance from TSS (kb)",
    "in_gene_body": "in gene body",
    "set": "set",
    "q_set": "q of set",
    "weight": "weight",
    "q_value": "q",
    "rank_score": "rank score",
    "share": "share of imputed variance (%)",
    "effect": "effect (sd per sd)",
    "correlation": "measured r",
    "p_value": "p",
}
NOTES = (
    "Distance runs along the gene's strand, negative upstream. Share: mean ± sd over seeds of what the peak "
    "carries of the variance of the gene's imputed values. Effect: change of the gene per change of the "
    "peak. Measured r: Pearson's, over known pairs.",
    "Peaks near each other that open together are one set (gene:number): q of set is that of the whole, the "
    "weight how likely the peak is to be the driver if the set has exactly one. Listed as linked is the "
    "credible set, the fewest members with 95 % of the weight.",
    "p: rank of the share, relative to what the peak is worth to any gene, among peaks of like accessibility "
    "on other chromosomes. q and rank score (0 to 1; it ranks, and is no probability) also know "
    "how links thin out with distance.",
)


def strongest(pairs: pd.DataFrame, q: float) -> pd.DataFrame:
    """The links, and where they are fewer than `LISTED` the strongest pairs after them; `LONGEST` at most."""
    best = pairs.groupby("set")["rank_score"].transform("max")
    order = pairs.assign(linked=linked(pairs, q), best=best).sort_values(
        ["linked", "q_set", "best", "set", "weight"],
        ascending=[False, True, False, True, False],
        kind="stable",
    )
    n_links = int(order["linked"].sum())
    return order.head(min(max(LISTED, n_links), LONGEST)).reset_index(drop=True)


def links_page(pairs: pd.DataFrame, q: float, why_none: str = "") -> str:
    """A page with a row per pair; it loads nothing from elsewhere.

    Parameters
    ----------
    pairs
        All of links.tsv.
    q
        Largest q-value of a link.
    why_none
        Why there are no pairs, if there are none.
    """
    from great_tables import GT, loc
    from great_tables import style as gt

    table = strongest(pairs, q)
    page = GT(_texts(table, q), groupname_col="group", id="links").cols_label(**HEADS)
    page = page.tab_header(_headline(pairs, table, q, why_none))
    page = page.cols_align("right").cols_align("left", ["gene", "peak"])
    page = page.tab_style(gt.css("white-space: nowrap;"), loc.body())
    page = page.tab_style(gt.text(style="italic"), loc.body("gene"))
    for note in NOTES:
        page = page.tab_source_note(note)
    return page.tab_options(**style.HTML_TABLE).as_raw_html(make_page=True)


def _headline(pairs: pd.DataFrame, table: pd.DataFrame, q: float, why_none: str) -> str:
    if pairs.empty:
        return f"Peaks were not linked to genes: {why_none}"
    called = pairs[linked(pairs, q)]
    n, n_sets = len(called), called["set"].nunique()
    if n == 0:
        return f"No pair of {len(pairs):,} is linked at q ≤ {q:g}; the strongest are"
    of = f"of {n_sets:,} set{'s' * (n_sets > 1)}"
    if n > len(table):
        return f"The {len(table):,} strongest of {n:,} links {of} (q ≤ {q:g}) among {len(pairs):,} pairs"
    return f"{n:,} of {len(pairs):,} pairs, {of}, {'is' if n == 1 else 'are'} linked (q ≤ {q:g})"


def _texts(table: pd.DataFrame, q: float) -> pd.DataFrame:
    group = table["linked"].map({True: "linked", False: "not linked"})
    share = (100 * table[name] for name in ("attribution", "attribution_sd"))
    return pd.DataFrame(
        {
            "gene": table["gene"],
            "peak": table["peak_label"],
            "distance": [f"{bp / 1000:+,.1f}" for bp in table["distance_bp"]],
            "in_gene_body": ["yes" if inside else "" for inside in table["in_gene_body"]],
            "set": table["set"],
            "q_set": [f"{value:.2g}" for value in table["q_set"]],
            "weight": [f"{value:.2f}" for value in table["weight"]],
            "q_value": [f"{value:.2g}" for value in table["q_value"]],
            "rank_score": [f"{value:.2f}" for value in table["rank_score"]],
            "share": [f"{mean:.2g} ± {sd:.1g}" for mean, sd in zip(*share, strict=True)],
            "effect": [f"{value:+.1g}" for value in table["effect"]],
            "correlation": ["–" if pd.isna(r) else f"{r:+z.2f}" for r in table["correlation"]],
            "p_value": [f"{value:.1g}" for value in table["p_value"]],
            "group": group + f" (q ≤ {q:g})",
        }
    )
