"""The page of the strongest links: which are on it, in which order, and what it says of them."""

import numpy as np
import pandas as pd
import pytest

from jamie.report import links_page


def pairs(n, n_links, **columns):
    """``n`` pairs, the first ``n_links`` with q 0.01, the others with 0.5; the score falls."""
    table = pd.DataFrame(
        {
            "gene": [f"GENE{i}" for i in range(n)],
            "peak_label": [f"chr1:{i}00 (GENE{i} +1.2 kb)" for i in range(n)],
            "distance_bp": -1234,
            "in_gene_body": False,
            "q_value": np.where(np.arange(n) < n_links, 0.01, 0.5),
            "q_set": np.where(np.arange(n) < n_links, 0.02, 0.5),
            "set": [f"GENE{i}:1" for i in range(n)],
            "weight": np.linspace(1, 0.5, n),
            "in_credible_set": True,
            "rank_score": np.linspace(0.9, 0.1, n),
            "attribution": 0.0123,
            "attribution_sd": 0.001,
            "effect": -0.2,
            "correlation": np.nan,
            "p_value": 0.0004,
        }
    )
    return table.assign(**columns)


@pytest.mark.parametrize(
    ("n", "n_links", "shown"), [(500, 0, 20), (500, 3, 20), (500, 30, 30), (500, 300, 200), (7, 2, 7)]
)
def test_links_are_shown_and_some_pairs_if_they_are_few(n, n_links, shown):
    table = pairs(n, n_links).sample(frac=1, random_state=0)
    found = links_page.strongest(table, 0.1)
    assert found["gene"].tolist() == [f"GENE{i}" for i in range(shown)]
    page = links_page.links_page(table, 0.1)
    assert page.count("chr1:") == shown


@pytest.mark.parametrize(
    ("n", "n_links", "words"),
    [
        (500, 0, "No pair of 500 is linked at q ≤ 0.1; the strongest are"),
        (500, 1, "1 of 500 pairs, of 1 set, is linked (q ≤ 0.1)"),
        (500, 30, "30 of 500 pairs, of 30 sets, are linked (q ≤ 0.1)"),
        (500, 300, "The 200 strongest of 300 links of 300 sets (q ≤ 0.1) among 500 pairs"),
        (0, 0, "Peaks were not linked to genes: no coordinates"),
    ],
)
def test_the_headline_counts_the_links(n, n_links, words):
    assert words in links_page.links_page(pairs(n, n_links), 0.1, "no coordinates")


def test_numbers_are_given_in_their_units():
    page = links_page.links_page(pairs(1, 1), 0.1)
    for words in ("-1.2", "1.2 ± 0.1", "-0.2", "–", "0.0004", "linked (q ≤ 0.1)"):
        assert f">{words}<" in page.replace("\n", ""), words
    assert ">yes<" in links_page.links_page(pairs(1, 1, in_gene_body=True, correlation=0.25), 0.1)


def test_members_of_a_set_stand_together_and_those_outside_its_credible_set_are_not_linked():
    table = pairs(4, 4, set=["A:1", "B:1", "A:1", "A:1"], q_set=[0.01, 0.02, 0.01, 0.01])
    table = table.assign(weight=[0.3, 1, 0.68, 0.02], in_credible_set=[True, True, True, False])
    found = links_page.strongest(table, 0.1)
    assert found["weight"].tolist() == [0.68, 0.3, 1, 0.02]
    assert found["linked"].tolist() == [True, True, True, False]
    assert "3 of 4 pairs, of 2 sets, are linked" in links_page.links_page(table, 0.1)
