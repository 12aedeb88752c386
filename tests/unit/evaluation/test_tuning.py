"""Choosing settings: the best is found, on cells the trial never saw, and the defaults stay unless beaten."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from jamie import io, registry
from jamie.contract import MISSING
from jamie.data.correspondence import Correspondence, choose_known, from_names
from jamie.evaluation import tuning, validation
from jamie.io import together
from jamie.methods import base
from jamie.registry import Spec

REAL = registry.specs()
SEARCHED = {name: spec for name, spec in REAL.items() if spec.search}
N_CELLS, N_PAIRS = 120, 100
PEAK = {"a": 3, "b": 1}


class Toy:
    """Cells on a line, the second modality displaced by the distance of the settings from their best."""

    def __init__(self, *, seed=0, **options):
        self.options, self.seed = options, seed

    def fit(self, train, known):
        self.calls.append((self.options, {m: set(a.obs_names) for m, a in train.mod.items()}, known))
        return self

    def embed(self, mdata):
        self.asked.append({m: a.obs_names.tolist() for m, a in mdata.mod.items()})
        first, second = (sparse.csr_matrix(a.X[:, :1]).toarray() for a in mdata.mod.values())
        return dict(zip(mdata.mod, (first, second + np.float32(self.displaced())), strict=True))

    def displaced(self) -> float:
        return 10 * sum(abs(self.options.get(name, 0) - best) for name, best in PEAK.items())


class Flat(Toy):
    """Whatever the settings, the same."""

    def displaced(self) -> float:
        return 7


class Broken(Toy):
    def displaced(self) -> float:
        return np.nan


SPEC = Spec(
    label="toy",
    summary="Toy.",
    imputes=False,
    options={"a": 0, "b": 0, "c": 5},
    search={"a": (0, 1, 2, 3, 4), "b": (0, 1, 2)},
)


@pytest.fixture
def use(monkeypatch):
    """A function that makes a class the method ``toy``; returns what its fits and embeddings were given."""

    def install(method=Toy, spec=SPEC):
        calls, asked = [], []
        kind = type(method.__name__, (method,), {"calls": calls, "asked": asked})
        monkeypatch.setattr(registry, "specs", lambda: {"toy": spec})
        monkeypatch.setattr(registry, "build", lambda module, seed, options: kind(seed=seed, **options))
        return calls, asked

    return install


def on_a_line(n_cells: int = N_CELLS, n_pairs: int = N_PAIRS):
    """Training cells at 0, 1, 2, ... in both modalities, shuffled in the second; F of some of them."""

    order = np.random.default_rng(7).permutation(n_cells)
    parts = {}
    for name, places in (("rna", np.arange(n_cells)), ("atac", order)):
        adata = AnnData(places[:, None].astype(np.float32))
        adata.obs_names = [f"c{i}" for i in places]
        adata.var_names = [f"place_{name}"]
        parts[name] = adata
    mdata = together(parts)
    pairs = from_names(mdata)
    keep = np.zeros(n_cells)
    keep[:n_pairs] = 1
    return mdata, Correspondence(pairs.matrix.multiply(keep[:, None]), pairs.row_names, pairs.col_names)


def tuned(options=(), seed=0, n_trials=20, data=None):
    return tuning.tune("toy", *(data or on_a_line()), dict(options), seed, n_trials)


# --- which settings are chosen


def test_the_peak_is_found_where_every_combination_fits_the_budget(use):
    calls, _ = use()
    found = tuned(n_trials=15)
    assert found.chosen == PEAK and found.reason == ""
    assert found.score_chosen == 1 > found.score_default
    assert [options for options, *_ in calls[:1]] == [{"a": 0, "b": 0}]
    tried = {tuple(options.values()) for options, *_ in calls}
    assert tried == set(product(*SPEC.search.values())) and len(calls) == found.n_trials == 15


def test_the_best_of_those_drawn_is_chosen_where_they_do_not_fit(use):
    calls, _ = use()
    found = tuned(n_trials=10)
    assert calls[0][0] == found.defaults == {"a": 0, "b": 0}
    assert found.n_trials == found.budget == len(found.trials) == 10
    assert found.score_default == found.trials["score"][0]
    assert found.score_chosen == found.trials["score"].max() > found.score_default
    best = found.trials.loc[found.trials["score"].idxmax()]
    assert found.chosen == {"a": int(best["a"]), "b": int(best["b"])}
    assert (found.trials["score"] == 1 - 2 * found.trials["foscttm"]).all()


def test_the_defaults_win_ties(use):
    use(Flat)
    for n_trials in (10, 15):
        found = tuned(n_trials=n_trials)
        assert found.chosen == found.defaults
        assert found.score_chosen == found.score_default < 1
        assert found.trials["score"].nunique() == 1


def test_a_budget_of_one_is_the_defaults(use):
    calls, _ = use()
    assert tuned(n_trials=1).chosen == {"a": 0, "b": 0} and len(calls) == 1


def test_a_combination_drawn_twice_is_fitted_once_and_counts_twice(use):
    calls, _ = use(spec=Spec("toy", "Toy.", imputes=False, options={"a": 0}, search={"a": tuple(range(9))}))
    n_repeats = 0
    for seed in range(3):
        calls.clear()
        trials = tuned(seed=seed, n_trials=8).trials
        assert len(trials) == 8
        assert len(calls) == trials["a"].nunique() == (~trials["repeated"]).sum()
        assert trials.groupby("a")["score"].nunique().eq(1).all()
        n_repeats += trials["repeated"].sum()
    assert n_repeats > 0


def test_options_that_are_given_stay(use):
    calls, _ = use()
    found = tuned({"a": 4, "c": 9})
    assert found.chosen == {"b": 1} and found.defaults == {"b": 0}
    assert len(calls) == 3 and all(options["a"] == 4 and options["c"] == 9 for options, *_ in calls)


def test_equal_seeds_choose_alike(use):
    use()
    first, again, other = (tuned(seed=seed, n_trials=10) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(first.trials, again.trials)
    assert first.to_dict() == again.to_dict()
    assert not first.trials.equals(other.trials)


# --- on which cells


def test_a_trial_sees_neither_validation_nor_held_out_cells(use, prepared_multiome, multiome_roles):
    calls, asked = use()
    known = choose_known(from_names(prepared_multiome), *multiome_roles.values(), 0.8, seed=0)
    train, shown = base.training_part(prepared_multiome, known)
    found = tuning.tune("toy", train, shown, {}, 0, 10)
    held_out = {m: set(a.obs_names[a.obs["role"] == "test"]) for m, a in prepared_multiome.mod.items()}
    pairs = shown.certain_pairs()
    partner = dict(zip(shown.row_names[pairs[:, 0]], shown.col_names[pairs[:, 1]], strict=True))
    assert calls and all(held_out.values())
    for (_, fitted, f), embedded in zip(calls, asked, strict=True):
        rows, cols = embedded.values()
        assert len(rows) == len(cols) == found.n_validation == round(0.2 * len(pairs)) > 5
        assert [partner[row] for row in rows] == cols
        for m, cells in fitted.items():
            assert cells.isdisjoint(embedded[m]) and cells.isdisjoint(held_out[m])
            assert held_out[m].isdisjoint(embedded[m])
            assert cells | set(embedded[m]) == set(train.mod[m].obs_names)
        assert set(f.row_names) == fitted["rna"] and set(f.col_names) == fitted["atac"]
        assert len(f.certain_pairs()) == len(pairs) - found.n_validation


def test_another_seed_leaves_other_pairs_out(use):
    _, asked = use()
    for seed in (0, 1):
        tuned(seed=seed, n_trials=1)
    assert set(asked[0]["rna"]) != set(asked[1]["rna"])


def test_pairs_that_are_not_certain_are_not_validated_on(use):
    _, asked = use()
    train, known = on_a_line()
    known.matrix.data[: N_PAIRS // 2] = 0.5
    assert tuned(n_trials=1, data=(train, known)).n_validation == 10
    assert {int(name[1:]) for name in asked[0]["rna"]} <= set(range(N_PAIRS // 2, N_PAIRS))


# --- when nothing is tuned


@pytest.mark.parametrize(("n_pairs", "n_validation"), [(24, 0), (25, 5)])
def test_with_few_pairs_the_defaults_stay_and_the_reason_is_said(use, n_pairs, n_validation):
    calls, _ = use()
    found = tuned(data=on_a_line(n_pairs=n_pairs))
    assert found.n_validation == n_validation
    if not n_validation:
        assert (
            found.reason.startswith("too few known pairs: 25 are needed") and "there are 24" in found.reason
        )
        assert found.chosen == {} and found.defaults == {"a": 0, "b": 0} and not calls
        assert found.score_default is None and found.n_trials == 0 and not len(found.trials)


def test_a_method_that_is_excluded_is_not_tuned(use):
    calls, _ = use(spec=Spec("toy", "Toy.", min_pairs=101, options={"a": 0}, search={"a": (0, 1)}))
    assert tuned().reason == "the method needs at least 101 known pairs, the scenario shows 100"
    use(spec=Spec("toy", "Toy.", max_cells=lambda o: o["a"], options={"a": 0}, search={"a": (0, 1)}))
    assert "takes at most 0 training cells" in tuned().reason
    assert not calls


def test_a_trial_keeps_the_pairs_a_method_needs(use):
    spec = Spec("toy", "Toy.", imputes=False, min_pairs=90, options={"a": 0}, search={"a": (0, 1)})
    calls, _ = use(spec=spec)
    assert "too few known pairs: 113 are needed" in tuned().reason and not calls


@pytest.mark.parametrize("options", [{"a": 0, "b": 0}, {"preset": "paper"}])
def test_without_an_open_setting_there_is_nothing_to_choose(use, options):
    calls, _ = use()
    assert tuning.search_space(SPEC, options) == {}
    assert tuned(options).reason == "no setting is left to choose" and not calls


def test_errors_of_a_trial_are_raised(use):
    class Failing(Toy):
        def fit(self, train, known):
            raise ValueError("singular")

    use(Failing)
    with pytest.raises(ValueError, match="singular"):
        tuned()


def test_what_is_not_finite_is_an_error_and_no_score(use):
    use(Broken)
    with pytest.raises(FloatingPointError, match="latents of validation cells are not finite"):
        tuned()


# --- the objective


def test_the_objective_is_a_mean_whose_best_is_one():
    assert validation.objective({"foscttm": 0.25, "pearson_rna": 0.3, "pearson_atac": 0.1}) == pytest.approx(
        0.3
    )
    assert validation.objective({"foscttm": 0.0}) == 1 and validation.objective({"foscttm": 0.5}) == 0
    assert validation.objective({"pearson_rna": 0.2, "pearson_atac": 0.4}) == pytest.approx(0.3)


class Imputing:
    """Knows the truth of the second modality, and its opposite of the first."""

    def imputer(self, mdata, source, target):
        sign = 1 if target == "atac" else -1
        values = np.asarray(mdata.mod[target].X, dtype=np.float32)
        return lambda rows: sign * values[rows]


@pytest.mark.parametrize("entries", [1, 8_000_000])
def test_imputed_values_are_compared_where_they_were_measured(monkeypatch, entries):

    monkeypatch.setattr(validation, "_BLOCK_ENTRIES", entries)  # one feature at a time, or all at once
    rng = np.random.default_rng(0)
    parts = {m: AnnData(rng.normal(size=(8, 5)).astype(np.float32)) for m in ("rna", "atac")}
    for m, adata in parts.items():
        adata.var_names = [f"{m}{i}" for i in range(5)]
    mdata = together(parts)
    spec = Spec("toy", "Toy.", embeds=False)
    assert validation.parts_of(Imputing(), spec, mdata) == {
        "pearson_atac": pytest.approx(1),
        "pearson_rna": pytest.approx(-1),
    }
    # what was filled in does not count: values made up where they are missing change nothing
    absent = rng.random((8, 5)) < 0.3
    truth = parts["atac"].X.copy()
    parts["atac"].layers[MISSING] = absent
    parts["atac"].X = np.where(absent, 99, truth).astype(np.float32)
    method = Imputing()
    method.imputer = lambda mdata, source, target: lambda rows: truth if target == "atac" else truth * 0
    assert validation.parts_of(method, spec, mdata) == {"pearson_atac": pytest.approx(1), "pearson_rna": 0}


# --- what the methods declare


@pytest.mark.parametrize("name", SEARCHED)
def test_search_spaces_hold_the_defaults_and_values_the_method_takes(name):
    spec = SEARCHED[name]
    assert not spec.control
    for setting, values in spec.search.items():
        assert setting in spec.options, f"{setting} is no option"
        assert spec.options[setting] in values, f"the default of {setting} cannot be chosen"
        assert len(set(values)) == len(values) > 1
        assert tuple(json.loads(json.dumps(values))) == values
        for value in values:
            registry.build(name, 0, {setting: value})


@pytest.mark.parametrize("name", SEARCHED)
def test_the_corners_of_a_search_space_can_be_fitted(
    name, prepared_multiome, multiome_roles, one_torch_thread
):
    """Settings that suit the data one by one may not suit each other."""
    known = choose_known(from_names(prepared_multiome), *multiome_roles.values(), 1.0, seed=0)
    rest, shown, left_out = validation.take_out(*base.training_part(prepared_multiome, known), seed=0)
    quick = {"max_epochs": 1, "min_steps": 0, "n_steps": 5, "restarts": 1}
    quick = {option: value for option, value in quick.items() if option in SEARCHED[name].options}
    search = SEARCHED[name].search
    for values in product(*((values[0], values[-1]) for values in search.values())):
        method = registry.build(name, 0, quick | dict(zip(search, values, strict=True)))
        method.fit(rest, shown)
        parts = validation.parts_of(method, SEARCHED[name], left_out)
        assert np.isfinite(validation.objective(parts)), values


def test_every_method_that_competes_can_be_tuned():
    assert set(SEARCHED) == {name for name, spec in REAL.items() if not spec.control}


def test_trials_of_jamie_are_without_the_estimated_correspondence(
    monkeypatch, prepared_multiome, multiome_roles, small_options, one_torch_thread
):
    from jamie.model import choose

    fitted, train_as_it_is = [], choose.train

    def spy(x, f, options, *, f_estimated, **arguments):
        fitted.append((f_estimated, f.shape))
        return train_as_it_is(x, f, options, f_estimated=f_estimated, **arguments)

    monkeypatch.setattr(choose, "train", spy)
    known = choose_known(from_names(prepared_multiome), *multiome_roles.values(), 1.0, seed=0)
    train, shown = base.training_part(prepared_multiome, known)
    options = {k: v for k, v in small_options.items() if k not in ("dropout", "learning_rate", "contrastive")}
    found = tuning.tune("jamie", train, shown, options | {"estimated": "always", "max_epochs": 2}, 0, 2)
    n_left = tuple(a.n_obs - found.n_validation for a in train.mod.values())
    assert fitted and all(given is None and shape == n_left for given, shape in fitted)
    assert set(found.trials) >= {"foscttm", "pearson_rna", "pearson_atac", "dropout", "canonical_ridge"}


# --- what is written and said


def test_chosen_settings_go_on_top_of_the_options(tmp_path):
    io.write_json(tmp_path / "tuning.json", {"chosen": {"k": 15}, "reason": ""})
    options, tuned_by = tuning.with_chosen({"k": 5, "n_components": 8}, tmp_path / "tuning.json")
    assert options == {"k": 15, "n_components": 8} and tuned_by["chosen"] == {"k": 15}
    assert tuning.with_chosen({"k": 5}, None) == ({"k": 5}, None)


def test_the_table_of_settings_has_a_row_for_each_and_the_reason(use):
    use()
    run = {"dataset": "d", "scenario": "s", "method": "toy", "seed": 0}
    found = [tuned(n_trials=15), tuned(data=on_a_line(n_pairs=3))]
    table = tuning.settings_table([run | one.to_dict() for one in found])
    assert tuple(table.columns) == tuning.SETTINGS_COLUMNS
    assert table["setting"].tolist() == ["a", "b"] * 2
    assert table["default"].tolist() == ["0"] * 4 and table["chosen"].tolist() == ["3", "1", "0", "0"]
    assert table["n_validation"].tolist() == [20, 20, 0, 0] and table["score_chosen"][0] == 1
    assert table["score_chosen"][2:].isna().all() and table["reason"][2].startswith("too few known pairs")
    assert tuning.settings_table([]).empty


def test_values_are_written_as_in_yaml():
    content = {"defaults": {"x": None, "y": "linear"}, "chosen": {"x": 0.5}, "method": "m"}
    table = tuning.settings_table([content])
    assert table["default"].tolist() == ["null", '"linear"'] and table["chosen"].tolist() == [
        "0.5",
        '"linear"',
    ]


def test_the_page_says_whether_settings_were_tuned():
    one = {"tuned": {"budget": 12, "reason": ""}}
    kept = {"tuned": {"budget": 12, "reason": "too few"}}
    assert tuning.in_words([{}, {"tuned": None}]).startswith("No setting was tuned")
    assert "with 12 trials for each method (`results/settings.tsv`).\n" in tuning.in_words([one, {}])
    assert "1 of 2 fits kept their defaults" in tuning.in_words([one, kept, {"tuned": None}])
