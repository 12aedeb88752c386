"""Options and presets of JAMIE."""

import dataclasses

import pytest
import torch

from jamie.errors import InputError
from jamie.model import reference
from jamie.model.network import JointVAE
from jamie.model.options import MEMBERS, Options
from shared.fits import fit


def test_paper_preset_is_that_of_the_reference():
    """Section by section of the article's methods; none may follow a change of the default preset."""
    paper = Options.of("paper")
    expected = {
        "n_components": 512,
        "n_latent": 32,
        "dropout": 0.0,
        "optimizer": "adam",
        "schedule": "constant",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "gradient_clip": 1.0,
        "batch_size": 512,
        "max_epochs": 10_000,
        "min_epochs": 2_500,
        "patience": 500,
        "kl_weight": 0.032,
        "kl_midpoint": 1_250,
        "alpha": 32.0,
        "beta": 1.0,
        "gamma": 1.0,
        "cross_reconstruction": 0.0,
        "contrastive": 0.0,
    }
    assert {name: getattr(paper, name) for name in expected} == expected


def test_paper_network_is_that_of_the_reference():
    """Encoder p -> 2p -> p -> (mu, log variance), decoder 32 -> p -> 2p -> p, every linear layer counted."""
    p = 6
    model = JointVAE((p, 2 * p), Options.of("paper"))
    widths = [
        [tuple(m.weight.shape[::-1]) for m in vae.modules() if isinstance(m, torch.nn.Linear)]
        for vae in model.vaes
    ]
    assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {0.0}
    assert widths[0] == [(p, 2 * p), (2 * p, p), (p, 32), (p, 32), (32, p), (p, 2 * p), (2 * p, p)]
    assert widths[1][0] == (2 * p, 4 * p)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schedule", "constnat"),
        ("optimizer", "sdg"),
        ("device", "gpu"),
        ("precision", "half"),
        ("estimated", "sometimes"),
        ("faults", ["leek"]),
        ("estimated_in", ["algnment"]),
    ],
)
def test_an_option_with_an_unknown_value_is_an_input_error(small_options, name, value):
    with pytest.raises(InputError, match=str(value).strip("[']")):
        fit(Options.of(**(small_options | {name: value})))


def test_options_survive_their_dictionary():
    for preset in ("default", "paper"):
        options = Options.of(preset)
        assert Options.of(**options.to_dict()) == options
    assert dataclasses.is_dataclass(options) and isinstance(options.to_dict()["hidden_layers"], list)


@pytest.mark.parametrize(
    ("arguments", "problem_", "hint"),
    [
        ({"dropuot": 0.1}, "no option 'dropuot'", "did you mean 'dropout'"),
        ({"learning-rate": 0.1}, "no option 'learning-rate'", "did you mean 'learning_rate'"),
        ({"preset": "papre"}, "Unknown preset 'papre'", "default or paper"),
    ],
)
def test_unknown_names_are_refused_with_a_suggestion(arguments, problem_, hint):
    with pytest.raises(InputError, match=problem_) as error:
        Options.of(**arguments)
    assert hint in str(error.value)


@pytest.mark.parametrize(("n_pairs", "expected"), [(None, 30), (90, 15), (500, 30)])
def test_components_are_those_of_the_rule_unless_given(n_pairs, expected):
    assert Options.of().components(1_000, n_pairs) == expected
    assert Options.of(n_components=7).components(1_000, n_pairs) == 7


def test_every_fault_has_its_piece_and_none_means_sound_ones():
    assert set(reference.FAULTS) == set(MEMBERS["faults"])
    assert reference.pieces_for(()) == reference.Pieces()
    for name, changed in reference.FAULTS.items():
        faulty = reference.pieces_for([name])
        assert {f.name for f in dataclasses.fields(faulty) if getattr(faulty, f.name) != f.default} == set(
            changed
        )
