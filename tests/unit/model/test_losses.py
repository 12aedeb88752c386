"""Every loss term against its formula in plain numpy, and the whole loss of a mini-batch."""

import dataclasses

import numpy as np
import pytest
import torch

from jamie.model import losses
from jamie.model.batches import Batch
from jamie.model.feed import Feed
from jamie.model.losses import JointLoss, LossTerms, weights
from jamie.model.network import JointVAE, sample
from jamie.model.options import Options
from jamie.model.reference import SharedLogVar

pytestmark = pytest.mark.usefixtures("one_torch_thread")

PAPER_TERMS = {"kl", "combination", "reconstruction"}
EXTRA_TERMS = {"alignment", "cross_reconstruction", "contrastive"}
N_OWN = (4, 3)
# 4 own + 2 extra rows, 3 own + 2 extra columns; own row 2 has no partner, own row 3 only an extra one
F = np.array(
    [
        [1, 0, 0, 0, 0],
        [0, 0.5, 0.25, 0.5, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1],
        [0, 1, 0, 0, 0],
        [0, 0, 0.5, 0, 0],
    ]
)
F_ESTIMATED = np.array(
    [
        [0.2, 0.3, 0, 0, 0],
        [0, 0, 0, 0.9, 0],
        [0, 0, 0, 0, 0],
        [0.5, 0, 0, 0, 0.5],
        [0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def tensor(values):
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)


def joint_loss(model, x, n_own, f, f_estimated, options, loss=JointLoss):
    """The terms of one mini-batch that holds all rows of ``x``."""
    blocks = (f.numpy(), None if f_estimated is None else f_estimated.numpy())
    whole = Batch(tuple(np.arange(len(side)) for side in x), n_own, *blocks)
    (batch,) = Feed(options, torch.device("cpu"))([whole])
    return loss(options)(model, x, batch)


def kl(mu, log_var):
    return np.mean([(m**2 + np.exp(v) - 1 - v) / 2 for m, v in zip(mu.ravel(), log_var.ravel(), strict=True)])


def alignment(mixed_x, mixed_y, f):
    """Each cell against the mean of its partners, weighted by the mass of its row, over cells with any."""
    rows = np.flatnonzero(f.sum(1))
    return np.mean(
        [f[i].sum() * np.mean((mixed_x[i] - np.average(mixed_y, axis=0, weights=f[i])) ** 2) for i in rows]
    )


def info_nce(mu_x, mu_y, confidence, temperature):
    """Mean over both directions of -log softmax of the true partner, pairs weighted by their confidence."""
    a = mu_x / np.linalg.norm(mu_x, axis=1, keepdims=True)
    b = mu_y / np.linalg.norm(mu_y, axis=1, keepdims=True)
    e = np.exp(a @ b.T / temperature)
    rows, cols = -np.log(np.diag(e) / e.sum(1)), -np.log(np.diag(e) / e.sum(0))
    return np.sum(confidence * (rows + cols) / 2) / np.sum(confidence)


def test_kl_is_that_of_a_normal_with_each_cells_own_log_variance():
    mu, log_var = normal(5, 3), normal(5, 3, seed=1)
    variable = tensor(log_var).requires_grad_()
    value = losses.kl(tensor(mu), variable)
    assert value.item() == pytest.approx(kl(mu, log_var), rel=1e-5)
    value.backward()
    np.testing.assert_allclose(variable.grad.numpy(), (np.exp(log_var) - 1) / 2 / 15, rtol=1e-4, atol=1e-7)


def test_kl_agrees_with_torch_distributions_and_is_zero_for_the_prior():
    mu, log_var = tensor(normal(6, 2)), tensor(normal(6, 2, seed=1))
    prior = torch.distributions.Normal(torch.zeros(6, 2), torch.ones(6, 2))
    posterior = torch.distributions.Normal(mu, torch.exp(log_var / 2))
    expected = torch.distributions.kl_divergence(posterior, prior).mean()
    assert losses.kl(mu, log_var).item() == pytest.approx(expected.item(), rel=1e-5)
    assert losses.kl(torch.zeros(6, 2), torch.zeros(6, 2)).item() == 0


@pytest.mark.parametrize("term", [losses.combination, losses.reconstruction])
def test_squared_terms_are_means_per_element(term):
    a, b = normal(5, 3), normal(5, 3, seed=1)
    assert term(tensor(a), tensor(b)).item() == pytest.approx(np.sum((a - b) ** 2) / 15, rel=1e-5)


def test_alignment_counts_only_cells_with_mass_in_the_estimate():
    mixed_x, mixed_y = normal(6, 3), normal(5, 3, seed=1)
    with_mass = F_ESTIMATED.sum(1) > 0
    assert with_mass.tolist() == [True, True, False, True, True, False]
    expected = alignment(mixed_x, mixed_y, F_ESTIMATED)
    rows = torch.as_tensor(np.flatnonzero(with_mass))
    value = losses.alignment(tensor(mixed_x), tensor(mixed_y), tensor(F_ESTIMATED), rows)
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_alignment_is_zero_where_the_estimate_maps_one_on_the_other():
    mixed_y = tensor(normal(5, 3))
    estimated = tensor(np.eye(5)[[2, 0, 1]])
    assert losses.alignment(mixed_y[[2, 0, 1]], mixed_y, estimated, torch.arange(3)).item() == 0


def test_cross_reconstruction_weighs_pairs_by_confidence():
    y, decoded, confidence = normal(4, 6), normal(4, 6, seed=1), np.array([1, 0.5, 0.25, 0.1])
    per_pair = [np.mean((a - b) ** 2) for a, b in zip(y, decoded, strict=True)]
    value = losses.cross_reconstruction(tensor(y), tensor(decoded), tensor(confidence))
    assert value.item() == pytest.approx(np.average(per_pair, weights=confidence), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_contrastive_is_info_nce_in_both_directions(temperature):
    mu_x, mu_y, confidence = normal(5, 3), normal(5, 3, seed=1), np.array([1, 1, 0.5, 0.2, 0.9])
    value = losses.contrastive(tensor(mu_x), tensor(mu_y), tensor(confidence), temperature)
    assert value.item() == pytest.approx(info_nce(mu_x, mu_y, confidence, temperature), rel=1e-5)
    other_way = losses.contrastive(tensor(mu_y), tensor(mu_x), tensor(confidence), temperature)
    assert value.item() == pytest.approx(other_way.item(), rel=1e-5)


def test_contrastive_of_indistinguishable_cells_is_log_k():
    same = torch.ones(8, 3)
    assert losses.contrastive(same, 5 * same, torch.ones(8), 0.3).item() == pytest.approx(np.log(8), rel=1e-5)


def test_samples_have_the_mean_and_spread_of_each_cell():
    torch.manual_seed(0)
    mu, log_var = torch.tensor([[0.0, 3.0]]), torch.tensor([[0.0, -2.0]])
    z = sample(mu.expand(20_000, 2), log_var.expand(20_000, 2))
    np.testing.assert_allclose(z.mean(0), [0, 3], atol=0.03)
    np.testing.assert_allclose(z.std(0), [1, np.exp(-1)], rtol=0.03)


@pytest.fixture
def batch(small_options):
    """A model in evaluation mode (no noise, no dropout), with delta away from 1, and one mini-batch."""
    options = Options.of(**small_options)
    torch.manual_seed(0)
    model = JointVAE((6, 5), options)
    for module in model.modules():  # running statistics that are not those of an untouched BatchNorm
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    with torch.no_grad():
        model.log_delta.fill_(np.log(1.7))
    return model.eval(), (tensor(normal(6, 6)), tensor(normal(5, 5, seed=1))), options


def dense_mixed(mu, f, delta):
    mixed_x = np.linalg.inv(np.diag(1 + delta * f.sum(1))) @ (mu[0] + delta * f @ mu[1])
    mixed_y = np.linalg.inv(np.diag(1 + f.sum(0) / delta)) @ (mu[1] + f.T @ mu[0] / delta)
    return mixed_x, mixed_y


def decoded(model, modality, latent):
    return model.vaes[modality].decode(tensor(latent)).detach().numpy()


def expected_terms(model, x, options):
    """All terms of the batch in numpy; only encoders and decoders are the model's."""
    encoded = [[part.detach().numpy().astype(float) for part in model.vaes[k].encode(x[k])] for k in (0, 1)]
    mu, log_var = zip(*encoded, strict=True)
    mixed = dense_mixed(mu, F, 1.7)
    i, j = np.array([0, 1, 1]), np.array([0, 1, 2])  # the pairs of which both cells are the batch's own
    confidence = F[i, j]
    x = [values.numpy() for values in x]
    return {
        "kl": sum(kl(m[:n], v[:n]) for m, v, n in zip(mu, log_var, N_OWN, strict=True)),
        "combination": sum(np.mean((m[:n] - a[:n]) ** 2) for m, a, n in zip(mu, mixed, N_OWN, strict=True)),
        "reconstruction": sum(
            np.mean((x[k][:n] - decoded(model, k, mixed[k][:n])) ** 2) for k, n in enumerate(N_OWN)
        ),
        "alignment": np.mean(
            [
                alignment(mixed[0][: N_OWN[0]], mixed[1], F_ESTIMATED[: N_OWN[0]]),
                alignment(mixed[1][: N_OWN[1]], mixed[0], F_ESTIMATED.T[: N_OWN[1]]),
            ]
        ),
        "cross_reconstruction": np.average(
            np.mean((x[1][j] - decoded(model, 1, mu[0][i])) ** 2, axis=1), weights=confidence
        )
        + np.average(np.mean((x[0][i] - decoded(model, 0, mu[1][j])) ** 2, axis=1), weights=confidence),
        # the second row's stronger partner only, so that no cell is its own negative
        "contrastive": info_nce(mu[0][[0, 1]], mu[1][[0, 1]], F[[0, 1], [0, 1]], options.temperature),
    }


def test_every_term_of_a_batch_matches_numpy(batch):
    model, x, options = batch
    terms = dict(joint_loss(model, x, N_OWN, tensor(F), tensor(F_ESTIMATED), options).items())
    for name, value in expected_terms(model, x, options).items():
        assert terms[name].item() == pytest.approx(value, rel=1e-4), name


def test_total_is_the_weighted_sum_of_the_terms(batch):
    model, x, options = batch
    terms = joint_loss(model, x, N_OWN, tensor(F), tensor(F_ESTIMATED), options)
    weight = weights(options, annealing=0.3)
    assert set(dict(terms.items())) >= PAPER_TERMS | EXTRA_TERMS
    by_hand = sum(weight[name] * value.item() for name, value in terms.items())
    assert terms.total(weight).item() == pytest.approx(by_hand, rel=1e-5)


def test_only_terms_that_apply_enter_the_total():
    terms = LossTerms(kl=torch.tensor(2.0), reconstruction=torch.tensor(5.0))
    assert [name for name, _ in terms.items()] == ["kl", "reconstruction"]
    assert terms.total({"kl": 0.5, "reconstruction": 2.0}).item() == 11.0


@pytest.mark.parametrize("annealing", [0.0, 0.25, 1.0])
def test_annealing_scales_the_kl_weight_and_nothing_else(small_options, annealing):
    weight = weights(Options.of(**small_options), annealing)
    assert weight["kl"] == pytest.approx(0.05 * annealing)
    rest = {
        "combination": 3.0,
        "reconstruction": 1.0,
        "alignment": 0.7,
        "cross_reconstruction": 0.9,
        "contrastive": 0.4,
    }
    assert {name: weight[name] for name in rest} == rest


@pytest.mark.parametrize(
    ("changes", "f", "estimated", "absent"),
    [
        ({"gamma": 0.0}, F, F_ESTIMATED, {"alignment"}),
        ({"cross_reconstruction": 0.0}, F, F_ESTIMATED, {"cross_reconstruction"}),
        ({"contrastive": 0.0}, F, F_ESTIMATED, {"contrastive"}),
        ({}, F, None, {"alignment"}),
        ({}, F, 0 * F, {"alignment"}),
        ({}, 0 * F, F_ESTIMATED, {"cross_reconstruction", "contrastive"}),
        ({}, 0 * F, None, EXTRA_TERMS),
    ],
)
def test_terms_that_do_not_apply_are_absent(batch, small_options, changes, f, estimated, absent):
    model, x, _ = batch
    options = Options.of(**(small_options | changes))
    terms = joint_loss(model, x, N_OWN, tensor(f), None if estimated is None else tensor(estimated), options)
    names = set(dict(terms.items()))
    assert names & EXTRA_TERMS == EXTRA_TERMS - absent
    assert names >= PAPER_TERMS


@pytest.mark.parametrize(("estimated", "more"), [(None, set()), (F_ESTIMATED, {"alignment"})])
def test_paper_has_the_terms_of_the_paper_only(estimated, more):
    options = Options.of("paper")
    model = JointVAE((6, 5), options)
    x = (tensor(normal(6, 6)), tensor(normal(5, 5, seed=1)))
    terms = joint_loss(model, x, N_OWN, tensor(F), None if estimated is None else tensor(estimated), options)
    assert set(dict(terms.items())) == PAPER_TERMS | more


def test_extra_rows_count_for_the_aggregation_alone(batch):
    """Other values in an extra row that is nobody's partner change no term."""
    model, x, options = batch
    f, estimated = F.copy(), F_ESTIMATED.copy()
    f[5], estimated[5] = 0, 0
    changed = (x[0].clone(), x[1])
    changed[0][5] = 100.0
    before, after = (joint_loss(model, v, N_OWN, tensor(f), tensor(estimated), options) for v in (x, changed))
    same = {name: value.item() for name, value in before.items()}
    assert {name: value.item() for name, value in after.items()} == pytest.approx(same, rel=1e-5)
    changed[0][4] = 100.0  # the partner of an own cell
    after = joint_loss(model, changed, N_OWN, tensor(f), tensor(estimated), options)
    assert after.kl.item() == pytest.approx(before.kl.item(), rel=1e-5)
    assert after.combination.item() != pytest.approx(before.combination.item(), rel=1e-2)


def gradient_norms(model):
    groups = {"delta": [model.log_delta]}
    for k, vae in enumerate(model.vaes):
        groups[f"encoder {k}"] = list(vae.mu.parameters())
        groups[f"decoder {k}"] = list(vae.output.parameters())
    return {
        name: sum(p.grad.abs().sum().item() for p in group if p.grad is not None)
        for name, group in groups.items()
    }


@pytest.mark.parametrize(
    ("term", "reached"),
    [
        # both decoders learn to read single latents, as imputation feeds them: nothing is aggregated
        ("cross_reconstruction", {"encoder 0", "encoder 1", "decoder 0", "decoder 1"}),
        ("contrastive", {"encoder 0", "encoder 1"}),
        ("combination", {"encoder 0", "encoder 1", "delta"}),
        ("alignment", {"encoder 0", "encoder 1", "delta"}),
        ("reconstruction", {"encoder 0", "encoder 1", "decoder 0", "decoder 1", "delta"}),
        ("kl", {"encoder 0", "encoder 1"}),
    ],
)
def test_which_parts_a_term_trains(batch, term, reached):
    model, x, options = batch
    terms = joint_loss(model, x, N_OWN, tensor(F), tensor(F_ESTIMATED), options)
    getattr(terms, term).backward()
    assert {name for name, norm in gradient_norms(model).items() if norm > 0} == reached


def test_noise_is_drawn_in_training_only(batch):
    model, x, options = batch
    arguments = (x, N_OWN, tensor(F), None, options)
    still = [joint_loss(model, *arguments).reconstruction.item() for _ in range(2)]
    assert still[0] == still[1]
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    noisy = [joint_loss(model, *arguments).reconstruction.item() for _ in range(2)]
    assert noisy[0] != noisy[1]


def test_a_single_pair_in_a_training_batch_is_no_trouble(batch):
    model, x, options = batch
    f = np.zeros_like(F)
    f[0, 0] = 1
    terms = joint_loss(model.train(), x, N_OWN, tensor(f), None, options)
    assert all(np.isfinite(value.item()) for _, value in terms.items())


def joint(model, x, options, estimated_in):
    options = dataclasses.replace(options, estimated_in=estimated_in)
    terms = joint_loss(model, x, N_OWN, tensor(F), tensor(F_ESTIMATED), options)
    return {name: value.item() for name, value in terms.items()}


def test_where_the_estimate_enters(batch):
    model, x, options = batch
    nowhere, aligned = joint(model, x, options, ()), joint(model, x, options, ("alignment",))
    assert "alignment" not in nowhere
    assert {k: v for k, v in aligned.items() if k != "alignment"} == nowhere
    mixed = joint(model, x, options, ("aggregation",))
    assert {k for k in nowhere if mixed[k] != pytest.approx(nowhere[k], rel=1e-4)} == {
        "combination",
        "reconstruction",
    }
    mu = [model.vaes[k].encode(x[k])[0].detach().numpy().astype(float) for k in (0, 1)]
    expected = dense_mixed(mu, F + F_ESTIMATED, 1.7)
    by_hand = sum(np.mean((m[:n] - a[:n]) ** 2) for m, a, n in zip(mu, expected, N_OWN, strict=True))
    assert mixed["combination"] == pytest.approx(by_hand, rel=1e-4)
    paired = joint(model, x, options, ("pairs",))
    assert {k for k in nowhere if paired[k] != pytest.approx(nowhere[k], rel=1e-4)} == {
        "cross_reconstruction",
        "contrastive",
    }


def test_the_faulty_kl_has_one_cells_log_variance_for_all(batch):
    model, x, options = batch
    encoded = [[part.detach().numpy().astype(float) for part in model.vaes[k].encode(x[k])] for k in (0, 1)]
    shared = encoded[1][1][0]
    expected = sum(kl(mu[:n], np.tile(shared, (n, 1))) for (mu, _), n in zip(encoded, N_OWN, strict=True))
    kinds = (SharedLogVar, JointLoss)
    have, right = (joint_loss(model, x, N_OWN, tensor(F), None, options, kind).kl.item() for kind in kinds)
    assert have == pytest.approx(expected, rel=1e-4) and have != pytest.approx(right, rel=1e-3)
