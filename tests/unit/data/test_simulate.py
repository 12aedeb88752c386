"""The simulator: contract, pairing, genome, truth and count distributions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from jamie.data import draw, simulate
from jamie.data.genome import domains, pairs_in_window, signed_distance_bp, tss_position
from jamie.data.simulate import simulate_multiome
from jamie.errors import InputError

SMALL = {"n_cells": 120, "n_types": 3, "n_genes": 60, "n_peaks": 150, "atac_depth": 30, "rna_depth": 120}


@pytest.fixture(scope="module")
def default():
    return simulate_multiome()


@pytest.fixture(scope="module")
def large():
    """More cells, so that correlations of sparse counts stand out of the noise."""
    return simulate_multiome(n_cells=3000, n_genes=300, n_peaks=900)


def log_normalised(adata) -> np.ndarray:
    x = adata.X.toarray()
    total = x.sum(axis=1, keepdims=True)
    return np.log1p(x / total * np.median(total))


def explained(predictors: np.ndarray, values: np.ndarray) -> float:
    """Share of the total variance of ``values`` that is linear in ``predictors``."""
    x = np.column_stack([np.ones(len(predictors)), predictors])
    residual = values - x @ np.linalg.lstsq(x, values, rcond=None)[0]
    return 1 - residual.var(axis=0).sum() / values.var(axis=0).sum()


def test_modalities_have_the_documented_slots(default):
    mdata, _ = default
    assert list(mdata.mod) == ["rna", "atac"]
    assert mdata["rna"].shape == (1000, 500)
    assert mdata["atac"].shape == (1000, 1500)
    assert list(mdata["rna"].var) == ["chrom", "start", "end", "strand"]
    assert list(mdata["atac"].var) == ["chrom", "start", "end"]
    for name, adata in mdata.mod.items():
        assert adata.uns["kind"] == name
        assert adata.uns["values"] == "counts"
        assert list(adata.obs) == ["cell_type", "pseudotime"]
        assert adata.obsm["true_state"].dtype == np.float32
        assert adata.obs_names.is_unique and adata.var_names.is_unique


def test_counts_are_whole_float32_csr_without_empty_rows_or_columns(default):
    tiny = simulate_multiome(n_cells=20, n_types=2, rna_depth=5, atac_depth=2)  # most features get no count
    for mdata, _ in (default, tiny):
        for adata in mdata.mod.values():
            assert sparse.issparse(adata.X) and adata.X.format == "csr" and adata.X.dtype == np.float32
            assert np.array_equal(adata.X.data, np.round(adata.X.data)) and adata.X.data.min() == 1
            assert (adata.X.sum(axis=0) > 0).all() and (adata.X.sum(axis=1) > 0).all()


def test_sparsity_and_depth_are_like_real_data(default):
    mdata, _ = default
    zeros = {name: 1 - adata.X.nnz / np.prod(adata.shape) for name, adata in mdata.mod.items()}
    assert 0.60 < zeros["rna"] < 0.85
    assert 0.85 < zeros["atac"] < 0.97
    for name, depth in (("rna", 800), ("atac", 200)):
        total = np.asarray(mdata[name].X.sum(axis=1)).ravel()
        assert total.mean() == pytest.approx(depth, rel=0.06)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_the_two_depths_of_a_cell_have_the_correlation_asked_for(correlation):
    options = {"n_cells": 4000, "n_genes": 50, "n_peaks": 60, "rna_dispersion": 0}
    mdata, _ = simulate_multiome(**options, depth_correlation=correlation)
    rna, atac = mdata["rna"], mdata["atac"][mdata["rna"].obs_names]
    depths = [np.log(np.asarray(adata.X.sum(axis=1)).ravel()) for adata in (rna, atac)]
    # counting 200 fragments adds 0.07 to a standard deviation of 0.35, and takes 4 % of the correlation
    assert np.corrcoef(depths)[0, 1] == pytest.approx(0.96 * correlation, abs=0.04)
    for depth, mean in zip(depths, (800, 200), strict=True):
        assert depth.std() == pytest.approx(draw.DEPTH_SD, abs=0.03)
        assert np.exp(depth).mean() == pytest.approx(mean, rel=0.02)


def test_peaks_of_a_domain_share_the_variance_asked_for_and_others_none():
    rng = np.random.default_rng(0)
    neighbours = simulate._Domains(np.repeat(np.arange(4_000), 3), 0.3, rng)
    draws = (simulate._state_weights, simulate._program_weights)
    for drawn, variance in zip(draws, (1, simulate._PROGRAM_SHARE), strict=True):
        own = drawn(12_000, rng)
        mixed = neighbours.mix(own, drawn)
        assert (mixed**2).mean() == pytest.approx(variance, rel=0.03)
        together = (mixed[::3] * mixed[1::3]).mean() / variance
        assert together == pytest.approx(0.3, abs=0.02)
        assert (mixed[3::3] * mixed[:-3:3]).mean() / variance == pytest.approx(0, abs=0.02)
    assert simulate._Domains(neighbours.of, 0, rng).mix(own, simulate._program_weights) is own


def test_a_domain_is_a_stretch_of_one_chromosome():
    peaks = pd.DataFrame(
        {"chrom": ["1", "1", "1", "2"], "start": [0, 900, 1_000, 0], "end": [10, 1_090, 1_020, 9]}
    )
    found = domains(peaks, 1_000)  # centres 5, 995, 1010
    assert found[0] == found[1] and len(set(found)) == 3


def together(mdata, near: bool) -> float:
    """Mean r of peaks nearer than 20 kb, or of peaks on different chromosomes."""
    atac = mdata["atac"]
    x, chrom = log_normalised(atac), atac.var["chrom"].to_numpy(str)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    r = x.T @ x / len(x)
    apart = np.abs(np.subtract.outer(atac.var["start"].to_numpy(), atac.var["start"].to_numpy()))
    same = np.equal.outer(chrom, chrom)
    return r[np.triu(same & (apart < 20_000) if near else ~same, 1)].mean()


def test_neighbours_open_together_as_far_as_domains_share_their_variance():
    found = {}
    for share in (0.0, 0.5):
        mdata, _ = simulate_multiome(n_cells=2000, domain_share=share)
        found[share] = together(mdata, near=True) - together(mdata, near=False)
    assert abs(found[0.0]) < 0.003 and 0.015 < found[0.5] < 0.04


def test_without_domains_and_a_common_depth_counts_are_those_of_the_simpler_model():
    mdata, links = simulate_multiome(**SMALL, domain_share=0, depth_correlation=0)
    again, _ = simulate_multiome(**SMALL, domain_share=0, depth_correlation=0, domain_bp=777)
    with_domains, same_links = simulate_multiome(**SMALL)
    pd.testing.assert_frame_equal(links, same_links)  # what drives what, and where it lies, hangs on neither
    for name in ("rna", "atac"):
        assert (mdata[name].X != again[name].X).nnz == 0
        assert (mdata[name].X != with_domains[name].X).nnz > 0
        pd.testing.assert_frame_equal(mdata[name].var, with_domains[name].var)
    assert [mdata[name].X.sum() for name in ("rna", "atac")] == [
        15_199,
        3_375,
    ]  # as drawn before there were either


def test_equal_names_are_the_same_cell_and_rows_are_shuffled(default):
    mdata, _ = default
    rna, atac = mdata["rna"], mdata["atac"]
    assert set(rna.obs_names) == set(atac.obs_names)
    assert (rna.obs_names == atac.obs_names).mean() < 0.02
    aligned = atac[rna.obs_names].copy()
    assert np.array_equal(rna.obsm["true_state"], aligned.obsm["true_state"])
    pd.testing.assert_frame_equal(rna.obs, aligned.obs)
    # the counts follow the names: the state that is known from RNA explains ATAC, row by row it does not
    values = log_normalised(aligned)
    assert explained(rna.obsm["true_state"], values) > 3 * explained(
        rna.obsm["true_state"], log_normalised(atac)
    )


@pytest.mark.parametrize(
    ("fraction", "paired", "rna", "atac"), [(0, 0, 60, 60), (0.5, 60, 90, 90), (0.31, 37, 79, 78)]
)
def test_paired_fraction_sets_the_counts(fraction, paired, rna, atac):
    mdata, _ = simulate_multiome(**SMALL, paired_fraction=fraction)
    names = [set(adata.obs_names) for adata in mdata.mod.values()]
    assert (len(names[0]), len(names[1]), len(names[0] & names[1])) == (rna, atac, paired)
    assert len(names[0] | names[1]) == 120


def test_same_seed_same_data_and_another_seed_other_data():
    first, links = simulate_multiome(**SMALL, seed=3)
    again, links_again = simulate_multiome(**SMALL, seed=3)
    other, _ = simulate_multiome(**SMALL, seed=4)
    pd.testing.assert_frame_equal(links, links_again)
    for name in ("rna", "atac"):
        assert (first[name].X != again[name].X).nnz == 0
        assert (first[name].X != other[name].X).nnz > 0
        pd.testing.assert_frame_equal(first[name].var, again[name].var)


def test_the_size_of_the_blocks_changes_nothing(monkeypatch):
    whole, _ = simulate_multiome(**SMALL)
    monkeypatch.setattr(draw, "BLOCK_VALUES", 7 * 150)  # 7 cells of ATAC, 17 of RNA
    blocks, _ = simulate_multiome(**SMALL)
    for name in ("rna", "atac"):
        # a product of another shape may round differently and so move a single count
        assert (whole[name].X != blocks[name].X).nnz <= 4


def test_types_are_unequal_but_none_is_rare_and_they_order_pseudotime(default):
    mdata, _ = default
    obs = mdata["rna"].obs
    share = obs["cell_type"].value_counts(normalize=True)
    assert sorted(share.index) == [f"type_{letter}" for letter in "abcdef"]
    assert share.min() > 0.04
    assert share.max() / share.min() == pytest.approx(5, rel=0.1)
    assert obs["pseudotime"].between(0, 1).all()
    middle = obs.groupby("cell_type", observed=True)["pseudotime"].median()
    # the root, its two children, their three children: three equal steps
    assert np.allclose(middle, [1 / 6, 3 / 6, 3 / 6, 5 / 6, 5 / 6, 5 / 6], atol=0.03)


def test_a_child_starts_where_its_parent_ends():
    cells = simulate._population(4000, 3, 0.0, np.random.default_rng(0))
    local = cells.pseudotime * 2 % 1

    def at(label, end):
        rows = np.flatnonzero(cells.types == label)
        return cells.state[rows[np.argsort(np.abs(local[rows] - end))[:5]]].mean(axis=0)

    gap = np.linalg.norm(at("type_a", 1) - at("type_b", 0))
    assert gap < 0.25 * np.linalg.norm(at("type_b", 1) - at("type_b", 0))


def test_genome_is_sorted_within_chromosomes_and_peaks_do_not_overlap(default):
    mdata, _ = default
    peaks, genes = mdata["atac"].var, mdata["rna"].var
    assert set(peaks["chrom"]) == {"chr1", "chr2", "chr3", "chr4"}
    assert (peaks["end"] - peaks["start"]).between(500, 1000).all()
    for _, chromosome in peaks.groupby("chrom"):
        assert (chromosome["start"].to_numpy()[1:] >= chromosome["end"].to_numpy()[:-1]).all()
    assert (genes["end"] > genes["start"]).all() and genes["start"].min() >= 0
    assert set(genes["strand"]) == {"+", "-"}
    near = np.unique(pairs_in_window(genes, peaks, 10_000)[1])
    assert 0.15 < len(near) / len(peaks) < 0.75  # some at a promoter, some not


def test_signed_distance_is_negative_upstream_on_both_strands():
    genes = pd.DataFrame(
        {"chrom": "chr1", "start": 1000, "end": 2000, "strand": ["+", "-"]}, index=["p", "m"]
    )
    assert tss_position(genes).tolist() == [1000, 1999]
    # centres 500 (left of both) and 2499 (right of both)
    assert signed_distance_bp([400, 2400], [600, 2598], 1000, "+").tolist() == [-500, 1499]
    assert signed_distance_bp([400, 2400], [600, 2598], 1999, "-").tolist() == [1499, -500]


def test_pairs_in_window_keep_to_the_chromosome_and_the_edge():
    genes = pd.DataFrame(
        {"chrom": ["chr1", "chr2"], "start": [1000, 900], "end": [2000, 1001], "strand": ["+", "-"]}
    )  # both TSS at 1000
    peaks = pd.DataFrame(
        {
            "chrom": ["chr2", "chr1", "chr1", "chr2"],
            "start": [1100, 1400, 400, 5000],
            "end": [1200, 1600, 598, 5500],
        }
    )  # centres 1150, 1500, 499, 5250
    gene, peak, distance = pairs_in_window(genes, peaks, 500)
    assert list(zip(gene, peak, distance, strict=True)) == [(0, 1, 500), (1, 0, -150)]
    gene, peak, distance = pairs_in_window(genes, peaks, 501)
    assert list(zip(gene, peak, distance, strict=True)) == [(0, 2, -501), (0, 1, 500), (1, 0, -150)]


def test_links_lie_in_the_window_with_the_right_distance():
    mdata, links = simulate_multiome(window_bp=30_000)
    assert tuple(links) == ("gene", "peak", "distance_bp", "effect")
    assert not links.duplicated(["gene", "peak"]).any()
    genes, peaks = mdata["rna"].var.loc[links["gene"]], mdata["atac"].var.loc[links["peak"]]
    assert (genes["chrom"].to_numpy() == peaks["chrom"].to_numpy()).all()
    centre = (peaks["start"].to_numpy() + peaks["end"].to_numpy()) // 2
    direction = np.where(genes["strand"] == "+", 1, -1)
    assert np.array_equal(links["distance_bp"], (centre - tss_position(genes)) * direction)
    assert links["distance_bp"].abs().max() <= 30_000
    per_gene = links["gene"].value_counts()
    assert per_gene.max() == 5 and len(per_gene) < 500


def test_effects_are_mostly_positive_and_decay_with_distance(default):
    _, links = default
    assert (links["effect"] > 0).mean() == pytest.approx(6 / 7, abs=0.04)
    size, distance = links["effect"].abs(), links["distance_bp"].abs()
    # mean size before the decay is 1
    assert (size / np.exp(-2 * distance / 100_000)).mean() == pytest.approx(1, abs=0.05)
    assert size[distance < 20_000].mean() > 2 * size[distance > 60_000].mean()


def test_drivers_correlate_with_their_gene_and_decoys_do_not(large):
    mdata, links = large
    rna, atac = mdata["rna"], mdata["atac"][mdata["rna"].obs_names]
    gene, peak, _ = pairs_in_window(rna.var, atac.var, 100_000)
    x, y = log_normalised(rna)[:, gene], log_normalised(atac)[:, peak]
    r = ((x - x.mean(0)) * (y - y.mean(0))).mean(0) / (x.std(0) * y.std(0))
    effect = links.set_index(["gene", "peak"])["effect"]
    pairs = pd.MultiIndex.from_arrays([rna.var_names[gene], atac.var_names[peak]])
    effect = effect.reindex(pairs).fillna(0).to_numpy()
    assert (effect != 0).sum() == len(links)
    assert r[effect > 0.2].mean() > 0.03
    assert r[effect < -0.2].mean() < -0.02
    assert abs(r[effect == 0].mean()) < 0.01


def test_modality_specific_variation_is_unexplained_by_the_other_modality():
    share = {}
    for specific in (0.0, 0.6):
        mdata, _ = simulate_multiome(n_cells=600, modality_specific=specific, seed=1)
        rna, atac = mdata["rna"], mdata["atac"][mdata["rna"].obs_names]
        for name, own, other in (("rna", rna, atac), ("atac", atac, rna)):
            values = log_normalised(own)
            share[name, specific] = [
                explained(predictors, values)
                for predictors in (
                    own.obsm["true_state"],
                    own.obsm["true_programs"],
                    other.obsm["true_programs"],
                )
            ]
    chance = 3 / 600  # three random predictors
    for name in ("rna", "atac"):
        state, own, other = share[name, 0.6]
        assert state < 0.7 * share[name, 0.0][0]
        assert own > 4 * chance
        assert other == pytest.approx(chance, abs=0.004)
        assert share[name, 0.0][1] == pytest.approx(chance, abs=0.004)


def test_programs_carry_their_share_of_the_log_scale_variance():
    loadings = simulate._loadings(20_000, 0.0, 1.0, 2.0, 0.3, 0.0, np.random.default_rng(0))
    # programs have variance 1 and are independent, so the variances add
    assert (loadings.program**2).sum(axis=1).mean() == pytest.approx(2.0**2 * 0.3, rel=0.03)


def test_response_of_genes_saturates_and_has_unit_variance():
    rng = np.random.default_rng(0)
    effects = sparse.random(50, 80, density=0.02, random_state=0, format="csr", dtype=np.float32)
    weights = rng.normal(size=(8, 80)).astype(np.float32)
    state = rng.normal(size=(1000, 8)).astype(np.float32)
    response = simulate._gene_response(weights, np.zeros(80, np.float32), effects, state, rng)
    values, regulated = response(state), np.diff(effects.indptr) > 0
    assert values[:, regulated].var(axis=0).mean() == pytest.approx(1, abs=0.01)
    assert np.ptp(values[:, ~regulated]) == 0
    assert np.abs(response(100 * state)).max() < 2  # a linear response would be a hundred times larger


def batch_log_ratio_sd(adata, batch) -> float:
    """Standard deviation over features of the log ratio of the two batches' means."""
    means = [np.asarray(adata.X[batch == b].mean(axis=0)).ravel() for b in np.unique(batch)]
    detected = means[0] + means[1] > 0.1
    return np.log(means[0][detected] / means[1][detected]).std()


def test_batch_effect_is_the_spread_of_the_log_ratio_of_the_batches():
    options = {"n_cells": 2000, "n_genes": 100, "n_peaks": 150, "signal": 0.5}
    mdata, _ = simulate_multiome(**options, batch_effect=0.8)
    without, _ = simulate_multiome(**options)
    for name, expected in (
        ("rna", 0.8),
        ("atac", 0.65),
    ):  # a shift of the log-odds moves the rate a little less
        batch = mdata[name].obs["batch"].to_numpy()
        assert set(batch) == {"batch_1", "batch_2"}
        assert batch_log_ratio_sd(mdata[name], batch) == pytest.approx(expected, abs=0.15)
        assert batch_log_ratio_sd(without[name], batch) < 0.2


def test_poisson_by_multinomial_has_the_moments_of_poisson():
    rates = np.tile(np.array([0.5, 0.0, 2.0, 6.0], np.float32), (20_000, 1))
    x = draw.draw_poisson(rates, np.random.default_rng(0), np.random.default_rng(1)).toarray()
    assert np.allclose(x.mean(axis=0), [0.5, 0, 2, 6], atol=0.06)
    assert np.allclose(x.var(axis=0), [0.5, 0, 2, 6], atol=0.25)
    assert abs(np.corrcoef(x[:, 0], x[:, 3])[0, 1]) < 0.03


def test_counts_follow_the_negative_binomial(monkeypatch):
    monkeypatch.setattr(draw, "DEPTH_SD", 0.0)

    depth = draw.Depth(400.0, np.zeros(4000))

    def counts(dispersion):
        def rates(rows):
            return np.ones((rows.stop - rows.start, 100), np.float32)

        return draw.draw_counts(rates, 100, depth, dispersion, np.random.default_rng(0)).toarray()

    # mean 4; the dispersion is log-normal over genes, with mean dispersion * exp(0.3^2 / 2)
    assert counts(None).var(axis=0).mean() == pytest.approx(4, rel=0.03)
    assert counts(0.0).var(axis=0).mean() == pytest.approx(4, rel=0.03)
    assert counts(0.5).var(axis=0).mean() == pytest.approx(4 + 16 * 0.5 * np.exp(0.045), rel=0.06)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("paired_fraction", 1.2),
        ("paired_fraction", float("nan")),
        ("modality_specific", -0.1),
        ("n_types", 1),
        ("n_types", 13),  # fewer than ten cells per type
        ("n_cells", 19),
        ("n_cells", 120.5),
        ("n_cells", "120"),
        ("n_genes", 0),
        ("n_peaks", True),
        ("n_chromosomes", 0),
        ("window_bp", -1),
        ("atac_depth", 0),
        ("rna_dispersion", -0.5),
        ("rna_depth", float("inf")),
        ("batch_effect", -1),
        ("seed", -1),
        ("domain_bp", 0),
        ("domain_share", 1.5),
        ("depth_correlation", -0.1),
        ("signal", 0),
    ],
)
def test_a_bad_option_names_its_config_key(name, value):
    with pytest.raises(InputError, match=f"datasets: simulated_multiome: options: {name}$"):
        simulate_multiome(**{**SMALL, name: value})


def test_a_linear_model_on_components_is_neither_hopeless_nor_perfect(default):
    from sklearn.decomposition import PCA
    from sklearn.linear_model import Ridge

    mdata, _ = default
    atac = mdata["atac"][mdata["rna"].obs_names]
    x, y = log_normalised(atac), log_normalised(mdata["rna"])
    pca = PCA(30, random_state=0).fit(x[:800])
    predicted = Ridge(10.0).fit(pca.transform(x[:800]), y[:800]).predict(pca.transform(x[800:]))
    r2 = 1 - ((y[800:] - predicted) ** 2).sum() / ((y[800:] - y[:800].mean(axis=0)) ** 2).sum()
    assert 0.05 < r2 < 0.5
