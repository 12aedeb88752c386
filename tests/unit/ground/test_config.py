"""The configuration: what ships is valid, defaults arrive, and a mistake is answered with the way out."""

import copy
import datetime
import json
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from jamie import config, datasets_table, registry
from jamie.errors import InputError
from jamie.model.options import PRESETS, Options
from jamie.report import describe

ROOT = Path(__file__).parents[3]
SHIPPED = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
EXAMPLES = sorted((ROOT / "config" / "examples").glob("*.yaml"))
SMALL = {
    "run": {"datasets": ["mine"], "scenarios": ["half"], "methods": ["knn"]},
    "datasets": {
        "mine": {
            "reader": "h5mu",
            "files": {"data": {"path": "mine.h5mu"}},
            "modalities": {"rna": {"kind": "rna"}, "adt": {"kind": "protein"}},
        }
    },
    "scenarios": {"half": {"held_out": 0.2, "known_pairs": 0.5}},
}


def merged(base: dict, overlay: dict) -> dict:
    """As Snakemake lays one config file over another: maps are merged, everything else is replaced."""
    both = {
        k: merged(base[k], v) if isinstance(v, dict) and isinstance(base.get(k), dict) else v
        for k, v in overlay.items()
    }
    return base | both


def small(*place: str, **changes) -> dict:
    """The small config with keys set (None: removed) at a place."""
    found = copy.deepcopy(SMALL)
    part = found
    for key in place:
        part = part.setdefault(key, {})
    part.update({key: value for key, value in changes.items() if value is not REMOVED})
    for key in [key for key, value in changes.items() if value is REMOVED]:
        del part[key]
    return found


REMOVED = object()


def refusal(wrong: dict) -> InputError:
    with pytest.raises(InputError) as caught:
        config.check(wrong)
    return caught.value


def parts_of(schema: dict, root: dict, where: str = ""):
    """Every property of the schema with its dotted place, whether it is required, and its schema."""
    schema = config.resolve(schema, root)
    for key, part in schema.get("properties", {}).items():
        part = config.resolve(part, root)
        yield f"{where}{key}", key in schema.get("required", []), part
        yield from parts_of(part, root, f"{where}{key}.")
    rest = schema.get("additionalProperties")
    if isinstance(rest, dict):
        yield from parts_of(rest, root, f"{where}*.")


SCHEMA = config.load_schema()
PARTS = {where: (required, part) for where, required, part in parts_of(SCHEMA, SCHEMA)}


# --- what ships


def test_the_shipped_config_passes():
    checked = config.check(SHIPPED)
    assert set(checked["run"]["methods"]) <= set(checked["methods"])
    assert checked["methods"]["jamie_paper"] == {
        "base": "jamie",
        "label": "JAMIE (paper)",
        "options": {"preset": "paper"},
        "tune": False,
        "pairs": "known",
    }
    assert checked["datasets"]["simulated_multiome"]["drop_empty"] is True


def test_there_are_examples():
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_passes_on_top_of_the_shipped_config(path):
    overlay = yaml.safe_load(path.read_text())
    checked = config.check(merged(SHIPPED, overlay))
    for key, value in overlay.get("run", {}).items():
        if value == [datasets_table.EVERY_ROW]:
            value = [row.cells["name"] for row in datasets_table.read(overlay["datasets_table"])[1]]
        assert checked["run"][key] == value


@pytest.mark.parametrize("name", [n for n, d in SHIPPED["datasets"].items() if d["reader"] != "simulate"])
def test_every_downloaded_file_of_the_catalogue_has_its_checksum(name):
    for role, source in config.check(SHIPPED)["datasets"][name]["files"].items():
        assert sum(source[key] is not None for key in ("path", "url", "pypi")) == 1, role
        assert len(source["sha256"]) == 64, role


def test_checking_changes_nothing_in_what_was_given():
    given = copy.deepcopy(SMALL)
    config.check(given)
    assert given == SMALL


def test_checking_twice_is_checking_once():
    once = config.check(SHIPPED)
    assert config.check(once) == once


# --- the schema


@pytest.mark.parametrize("where", PARTS)
def test_every_key_is_described_and_has_a_default_or_is_required(where):
    required, part = PARTS[where]
    assert part["description"].strip()
    assert ("default" in part) != (required and where not in ("run", "methods"))


@pytest.mark.parametrize("where", [w for w, (_, part) in PARTS.items() if "default" in part])
def test_every_default_is_a_valid_value(where):
    import jsonschema

    part = PARTS[where][1]
    validator = jsonschema.Draft202012Validator({**part, "$defs": SCHEMA["$defs"]})
    assert list(validator.iter_errors(part["default"])) == []


def test_maps_of_keys_are_closed():
    """Without additionalProperties a typo would pass in silence."""
    open_on_purpose = {"datasets.*.options", "methods.*.options"}
    maps = {w: part for w, (_, part) in PARTS.items() if "object" in (part.get("type") or "")}
    assert {w for w, part in maps.items() if "additionalProperties" not in part} == open_on_purpose


# --- defaults


def test_defaults_are_filled_in_at_every_depth():
    checked = config.check(small("datasets", "mine", correspondence={"path": "pairs.npz"}))
    assert checked["run"]["seeds"] == [0] and checked["run"]["apply"] == []
    assert checked["mirror"] is None and checked["models"] == {}
    dataset = checked["datasets"]["mine"]
    assert dataset["description"] == "" and dataset["drop_empty"] is True and dataset["show_features"] == {}
    assert dataset["modalities"]["adt"] == {
        "kind": "protein",
        "source": None,
        "layer": None,
        "values": "counts",
        "missing": None,
        "n_top_features": None,
    }
    nowhere = {"url": None, "pypi": None, "member": None, "sha256": None}
    assert dataset["files"]["data"] == {"path": "mine.h5mu", **nowhere}
    assert checked["methods"] == {
        "knn": {"base": "knn", "label": None, "options": {}, "tune": True, "pairs": "known"}
    }
    assert checked["run"]["tune"] is False and checked["run"]["trials"] == 12


def test_defaults_are_not_shared_between_entries():
    wrong = small("datasets", other=SMALL["datasets"]["mine"])
    checked = config.check(wrong)
    checked["datasets"]["mine"]["show_features"]["rna"] = ["CD4"]
    assert checked["datasets"]["other"]["show_features"] == {}
    assert config.check(wrong)["datasets"]["mine"]["show_features"] == {}


def test_given_values_win_over_defaults():
    checked = config.check(
        small("datasets", "mine", "modalities", "rna", n_top_features=500, values="normalised")
    )
    rna = checked["datasets"]["mine"]["modalities"]["rna"]
    assert (rna["n_top_features"], rna["values"]) == (500, "normalised")


# --- mistakes


@pytest.mark.parametrize(
    ("place", "typo", "meant"),
    [
        ((), "dataset", "datasets"),
        ((), "mirrors", "mirror"),
        (("run",), "seed", "seeds"),
        (("datasets", "mine"), "cel_type", "cell_type"),
        (("datasets", "mine", "files", "data"), "sha265", "sha256"),
        (("datasets", "mine", "modalities", "rna"), "n_top_feature", "n_top_features"),
        (("scenarios", "half"), "heldout", "held_out"),
        (("methods", "knn"), "option", "options"),
        (("models", "old"), "paths", "path"),
    ],
)
def test_a_typo_is_answered_with_the_key_that_was_meant(place, typo, meant):
    error = refusal(small(*place, **{typo: None}))
    assert error.problem == f"Unknown config key {typo!r} at {': '.join(place) or 'the top level'}"
    assert error.change == f"did you mean {meant!r}?"
    assert meant in error.expected and error.found == typo


def test_a_typo_in_the_source_of_the_pairs_is_answered_too():
    error = refusal(small("datasets", "mine", correspondence={"pth": "pairs.tsv"}))
    assert error.problem == "Unknown config key 'pth' at datasets: mine: correspondence"
    assert error.change == "did you mean 'path'?"


def test_an_option_that_the_simulation_does_not_have_is_refused():
    simulated = {"reader": "simulate", "modalities": {"rna": {"kind": "rna"}, "atac": {"kind": "atac"}}}
    config.check(small("datasets", toy=simulated | {"options": {"n_cells": 50, "seed": 3}}))
    error = refusal(small("datasets", toy=simulated | {"options": {"n_cell": 50}}))
    assert error.problem == "The simulation 'toy' has no option 'n_cell'"
    assert error.change == "did you mean 'n_cells'?"


def test_a_typo_of_a_required_key_is_answered_as_a_typo():
    wrong = small("datasets", "mine", reader=REMOVED, redaer="h5mu")
    assert refusal(wrong).change == "did you mean 'reader'?"


def test_a_key_like_no_other_is_to_be_removed():
    error = refusal(small("run", zzz=1))
    assert "zzz" in error.problem and error.change.startswith("remove it")


@pytest.mark.parametrize("key", [1, True])
def test_a_key_that_is_no_word_is_refused_too(key):
    wrong = copy.deepcopy(SMALL)
    wrong["run"][key] = []  # `on:` and `1:` are no strings in yaml
    assert refusal(wrong).problem == f"The config key {str(key)!r} at run is no word"


def test_mistakes_under_names_of_any_type_are_told():
    wrong = copy.deepcopy(SMALL)
    wrong["scenarios"] |= {2020: {"held_out": 2, "known_pairs": 0}, "x": {"held_out": 2, "known_pairs": 0}}
    assert refusal(wrong).problem == "The config key '2020' at scenarios is no word"


@pytest.mark.parametrize(
    ("place", "key"),
    [((), "datasets"), (("datasets", "mine"), "modalities"), (("scenarios", "half"), "known_pairs")],
)
def test_a_missing_key_is_named(place, key):
    error = refusal(small(*place, **{key: REMOVED}))
    assert error.problem == f"A config key is missing at {': '.join(place) or 'the top level'}"
    assert repr(key) in error.expected


@pytest.mark.parametrize(
    ("wrong", "place", "words"),
    [
        (small("scenarios", "half", held_out=0.95), "scenarios: half: held_out", "0-0.9"),
        (small("scenarios", "half", known_pairs="all"), "scenarios: half: known_pairs", "0-1"),
        (small("run", seeds=[]), "run: seeds", "new split"),
        (small("run", trials=0), "run: trials", "Settings each method may try"),
        (small("run", tune="all"), "run: tune", "validation pairs"),
        (small("methods", "knn", tune="never"), "methods: knn: tune", "this entry"),
        (small("run", seeds=[1, 1]), "run: seeds", "new split"),
        (small("run", datasets="mine"), "run: datasets", "Datasets to run"),
        (small("datasets", "mine", reader="csv"), "datasets: mine: reader", "format of its files"),
        (
            small("datasets", "mine", "modalities", third={"kind": "rna"}),
            "datasets: mine: modalities",
            "two modalities",
        ),
        (
            small("datasets", "mine", "modalities", "rna", kind="gex"),
            "datasets: mine: modalities: rna: kind",
            "What the values are",
        ),
        (
            small("datasets", "mine", "modalities", "rna", n_top_features=0),
            "datasets: mine: modalities: rna: n_top_features",
            "Features to keep",
        ),
        (
            small("datasets", "mine", "files", "data", sha256="abc"),
            "datasets: mine: files: data: sha256",
            "Checksum",
        ),
        (
            small("datasets", "mine", correspondence={"path": 3}),
            "datasets: mine: correspondence",
            "which cells correspond",
        ),
        (small(datasets={"my data": {}}), "datasets", "A-Za-z0-9_"),
        (small(run=None), "run", "What to compute"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(wrong, place, words):
    error = refusal(wrong)
    assert place in error.problem and place in error.change
    assert words in error.expected


@pytest.mark.parametrize(
    ("key", "wrong", "meant"),
    [
        ("datasets", "mime", "mine"),
        ("scenarios", "halv", "half"),
        ("methods", "knnn", "knn"),
        ("methods", "my_jami", "my_jamie"),
    ],
)
def test_a_selection_of_nothing_is_answered_with_the_nearest_entry(key, wrong, meant):
    given = small("methods", my_jamie={"base": "jamie"})
    given["run"][key] = [wrong]
    error = refusal(given)
    assert error.problem == f"`run: {key}` names {wrong!r}, which is not in the catalogue"
    assert error.change == f"did you mean {meant!r}?" and meant in error.expected


def test_a_selection_like_no_entry_is_answered_with_the_catalogue():
    error = refusal(small("run", datasets=["zzz"]))
    assert error.expected == "one of mine" and error.change == "add 'zzz' to the catalogue"
    assert "run: apply" in refusal(small("run", apply=["old"])).problem


def test_a_saved_model_may_be_applied():
    given = small("models", old={"path": "results/model"})
    given["run"]["apply"] = ["old"]
    assert config.check(given)["models"] == {"old": {"path": "results/model"}}


def test_a_variant_of_an_unknown_method_is_refused():
    error = refusal(small("methods", mine={"base": "jamy"}))
    assert error.problem.startswith("`methods: mine: base` names 'jamy'")
    assert error.change == "did you mean 'jamie'?"


@pytest.mark.parametrize("name", registry.specs())
def test_an_unknown_option_of_a_method_is_refused_and_the_known_ones_pass(name):
    options = dict(registry.specs()[name].options)
    config.check(small("methods", variant={"base": name, "options": options}))
    error = refusal(small("methods", variant={"base": name, "options": {"no_such": 1}}))
    assert error.problem == "Method 'variant' has no option 'no_such'"
    if not options:
        assert error.expected == "one of no option at all"


def test_a_typo_of_an_option_is_answered_with_the_option_that_was_meant():
    error = refusal(small("methods", jamie={"options": {"max_epoch": 3}}))
    assert error.change == "did you mean 'max_epochs'?"


def test_a_deterministic_run_keeps_to_the_cpu_whatever_has_a_choice():
    shipped = merged(SHIPPED, {"run": {"deterministic": True, "methods": ["jamie", "babel", "cca"]}})
    methods = config.check(shipped)["methods"]
    assert {
        name: methods[name]["options"].get("device") for name in ("jamie", "babel", "cca", "jamie_paper")
    } == {
        "jamie": "cpu",
        "babel": "cpu",
        "cca": None,
        "jamie_paper": "cpu",
    }
    with pytest.raises(InputError, match="no fixed order"):
        config.check(merged(shipped, {"methods": {"jamie": {"options": {"device": "cuda"}}}}))
    assert "device" not in config.check(SHIPPED)["methods"]["jamie"]["options"]


def test_what_stands_for_an_article_is_not_tuned():
    entries = config.check(SHIPPED)["methods"]
    articles = {"jamie_paper", "jamie_paper_imputation", "knn_paper", "cca_plain"}
    assert {name for name, entry in entries.items() if not entry["tune"]} == articles
    assert entries["knn_paper"]["options"] == {"k": 5}


# --- the tables of the docs


def rows_of(markdown: str) -> list[list[str]]:
    """Cells of a Markdown table, without its head."""
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in markdown.splitlines()[2:]]


def test_the_table_of_keys_has_a_row_for_every_key():
    rows = {row[0].strip("`"): row[1:] for row in rows_of(describe.describe())}
    assert set(rows) == set(PARTS)
    for where, (_, part) in PARTS.items():
        default = f"`{json.dumps(part['default'])}`" if "default" in part else "required"
        assert rows[where][0] == default
        assert " ".join(part["description"].split())[:20] in rows[where][1]


def test_the_table_of_methods_is_that_of_the_registry():
    rows = {row[0].strip("`"): row[1:] for row in rows_of(describe.describe_methods())}
    assert set(rows) == set(registry.specs())
    assert "`k` (`null`)" in rows["knn"][3] and rows["floor_mean"][3] == "none"
    assert rows["mmd_ma"][1] == "none used" and rows["knn"][1] == "5 or more"
    assert rows["unioncom"][2].endswith("at most 1,500 training cells of a modality")


def test_the_table_of_search_spaces_is_that_of_the_registry():
    rows = [tuple(word.strip("`") for word in row[:2]) for row in rows_of(describe.describe_search_spaces())]
    assert rows == [(name, setting) for name, spec in registry.specs().items() for setting in spec.search]
    assert ["`jamie`", "`dropout`", "`0.2`, `0.35`, `0.5`"] in rows_of(describe.describe_search_spaces())


def test_every_option_of_jamie_is_documented_with_its_values():
    rows = rows_of(describe.describe_jamie_options())
    documented = [name.strip("` ") for row in rows for name in row[0].split(",")]
    assert documented[0] == "preset" and sorted(documented[1:]) == sorted(f.name for f in fields(Options))
    by_name = {row[0].strip("`"): row for row in rows}
    assert by_name["n_latent"][1:3] == [f"`{PRESETS[preset].n_latent}`" for preset in ("default", "paper")]
    assert all(len(row) == 4 and row[3] for row in rows)


def test_options_of_jamie_are_those_the_registry_declares():
    assert dict(registry.specs()["jamie"].options) == {"preset": "default", **Options().to_dict()}


@pytest.mark.parametrize(
    ("base", "option", "value", "expected"),
    [
        ("jamie", "n_latent", "8", "a whole number"),
        ("jamie", "n_latent", 8.0, "a whole number"),
        ("jamie", "n_latent", True, "a whole number"),
        ("jamie", "n_components", [3], "a whole number or null"),
        ("jamie", "dropout", "0.5", "a number"),
        ("jamie", "hidden_layers", 64, "a list, each of it a number"),
        ("jamie", "hidden_layers", ["wide"], "a list, each of it a number"),
        ("jamie", "estimated_in", [1], "a list, each of it a word"),
        ("jamie", "estimated_in", "alignment", "a list, each of it a word"),
        ("jamie", "compile", "no", "true or false"),
        ("jamie", "device", None, "a word"),
        ("knn", "k", {"a": 1}, "a whole number or null"),
        ("floor_shuffled", "shrinkage", "x", "a number or null"),
        ("mmd_ma", "kernel", 1, "a word"),
    ],
)
def test_an_option_of_another_type_is_refused_before_anything_runs(base, option, value, expected):
    wrong = copy.deepcopy(SMALL)
    wrong["methods"] = {"odd": {"base": base, "options": {option: value}}}
    error = refusal(wrong)
    assert error.problem == f"The option {option!r} is of another type" and error.expected == expected
    assert error.change == f"`methods: odd: options: {option}`" and type(value).__name__ in error.found


def test_every_default_of_an_option_is_of_its_type():
    for name, spec in registry.specs().items():
        mine = small("methods", "own", base=name, options=dict(spec.options))
        assert config.check(mine)["methods"]["own"]["options"] == spec.options


def test_options_that_cannot_be_are_refused_before_anything_runs():
    wrong = copy.deepcopy(SMALL)
    wrong["methods"] = {"odd": {"base": "jamie", "options": {"precision": "double"}}}
    assert refusal(wrong).problem == "JAMIE has no precision 'double'"


def test_an_option_of_the_simulation_of_another_type_is_refused():
    wrong = copy.deepcopy(SMALL)
    wrong["datasets"]["made"] = {
        "reader": "simulate",
        "modalities": {"rna": {"kind": "rna"}, "atac": {"kind": "atac"}},
        "options": {"n_cells": "many"},
    }
    error = refusal(wrong)
    assert error.problem == "The option 'n_cells' is of another type" and error.expected == "a whole number"


@pytest.mark.parametrize("key", [{"held_out_by": "batch"}, {"known_in": 1}, {"known_in": ["a"]}])
def test_a_scenario_of_batches_needs_datasets_that_have_some(key):
    given = small("scenarios", "half", **key)
    with pytest.raises(InputError, match=r"'half' is about batches(.|\n)*datasets: mine: batch"):
        config.check(given)
    given["datasets"]["mine"]["batch"] = "donor"
    assert config.check(given)["scenarios"]["half"].items() >= key.items()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), datetime.date(2020, 1, 1), b"x", {1, 2}, 1j])
@pytest.mark.parametrize("place", [("scenarios", "half", "held_out"), ("datasets", "mine", "description")])
def test_a_value_without_a_meaning_is_refused(place, value):
    wrong = copy.deepcopy(SMALL)
    wrong[place[0]][place[1]][place[2]] = value
    assert refusal(wrong).problem == f"The config value at {': '.join(place)} is not valid"


@pytest.mark.parametrize("value", ["<script>alert(1)</script>", "a </SCRIPT > b", "<!-- x"])
@pytest.mark.parametrize("place", ["description", "show_genes"])
def test_what_would_be_code_in_the_report_is_refused(place, value):
    wrong = copy.deepcopy(SMALL)
    wrong["datasets"]["mine"][place] = value if place == "description" else [value]
    assert "would be code in the report" in refusal(wrong).problem


@pytest.mark.parametrize("value", [1.0, True])
def test_a_seed_is_a_whole_number(value):
    wrong = copy.deepcopy(SMALL)
    wrong["run"]["seeds"] = [value]
    assert "is not valid" in refusal(wrong).problem


def test_a_config_that_holds_itself_is_refused():
    wrong = copy.deepcopy(SMALL)
    wrong["run"]["seeds"] = wrong["run"]
    assert "levels of keys" in refusal(wrong).problem


@pytest.mark.parametrize("name", ["../x", "a/b", "a b", "a\n", "", "x" * 61, "größe", "a.b"])
@pytest.mark.parametrize(
    "place", [("datasets",), ("scenarios",), ("methods",), ("datasets", "mine", "files")]
)
def test_names_that_become_folders_are_plain_words(place, name):
    wrong = copy.deepcopy(SMALL)
    part = wrong
    for key in place:
        part = part.setdefault(key, {})
    part[name] = next(iter(part.values()), {"base": "knn"})
    assert "is not valid" in refusal(wrong).problem


@pytest.mark.parametrize("label", ["a\nb", "", " ", "\x07"])
def test_a_label_is_words_in_one_line(label):
    wrong = copy.deepcopy(SMALL)
    wrong["methods"] = {"odd": {"base": "knn", "label": label}}
    assert refusal(wrong).change == "`methods: odd: label`"


@pytest.mark.parametrize(
    ("base", "says"), [("unioncom", "learns from no pair"), ("jamie", "weighs the estimated")]
)
def test_only_a_method_that_learns_from_pairs_takes_those_of_the_estimate(base, says):
    methods = {"toy": {"base": base, "pairs": "estimated"}}
    with pytest.raises(InputError, match=says):
        config.check({"datasets": {}, "scenarios": {}, "run": {}, "methods": methods})
