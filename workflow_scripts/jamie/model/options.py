"""Settings of JAMIE and its two presets. No heavy imports: the config schema and the docs read this."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from jamie.errors import InputError, suggest
from jamie.linear import components

CHOICES = {
    "optimizer": ("adamw", "adam"),
    "schedule": ("one_cycle", "constant"),
    "device": ("auto", "cpu", "cuda"),
    "precision": ("float32", "mixed"),
    "estimated": ("auto", "always", "never"),
}
# What an option that is a list may hold
MEMBERS = {
    "estimated_in": ("alignment", "aggregation", "pairs"),
    "faults": ("pair_sampling", "shared_logvar", "one_batch_stop", "leak"),
}


@dataclass(frozen=True)
class Options:
    """Every setting of a fit; the defaults are the ``default`` preset.

    Attributes
    ----------
    n_components
        Principal components each modality is reduced to before its encoder (None: as many as every method
        gets: 30, or 100 where both modalities have 2,000 training cells or more; where some pairs are known,
        one for six of them at most, but not below 10, unless an estimated correspondence is trusted that
        rests on more than these pairs).
    canonical_ridge
        The encoders see their input along the canonical axes of the known pairs, each scaled by its
        correlation; this over the number of pairs is the ridge of that correlation. None: the components as
        they are, as with fewer known pairs than components.
    residual
        With ``canonical_ridge``: latents are what known pairs share beyond chance along these axes, plus what
        the network adds to it, instead of all that the network makes (`jamie.model.canonical`).
    n_latent
        Dimensions of the latent space, d.
    hidden_layers
        Widths of the encoder's hidden layers; the decoder mirrors them.
    hidden_relative
        True: the widths are multiples of the number of components.
    dropout
        Share of hidden units dropped in training.
    input_dropout
        Share of the model's inputs dropped in training.
    batch_size
        Cells per modality in a mini-batch.
    optimizer
        "adamw" or "adam".
    schedule
        "one_cycle" or "constant" learning rate.
    learning_rate, weight_decay
        Of the optimiser (the peak, for one_cycle).
    gradient_clip
        Largest norm of the gradient.
    max_epochs, min_steps, max_steps
        Passes over the cells, and bounds on the number of optimiser steps: the least for small data, the most
        for large (but two passes at least).
    max_time_s
        Stop at the end of the epoch in which a fit has taken this long, in seconds (None: no limit).
    min_epochs, patience
        With a constant learning rate: stop after ``patience`` epochs without a better loss, not before
        ``min_epochs``. The loss is that of validation cells where there are any.
    validation_fraction
        Share of the known pairs, and of the unpaired training cells, kept out of the fit to watch it, where
        that is 10 pairs or more; fewer would say nothing and cost small data dearly.
    kl_weight, kl_midpoint
        Weight of the KL term when fully on, and the epoch at which its sigmoid annealing is half way
        (None: a quarter of max_epochs).
    alpha, beta, gamma
        Weights of the combination, reconstruction and alignment terms.
    cross_reconstruction
        Weight of an extra term: the latent of one modality of a known pair, decoded as the other. 0 = off.
    contrastive, temperature
        Weight (0 = off) and temperature of an extra term: symmetric InfoNCE on the cosine similarity of the
        latent means of known pairs.
    estimated
        Whether the estimated correspondence F~ is used: "auto" (where it brings left-out known pairs closer
        by more than a standard error or, without enough of these, where other evidence trusts it), "always"
        or "never".
    estimated_in
        Where F~ enters, scaled by its confidence: "alignment" (the alignment term), "aggregation" (latents
        are mixed over it), "pairs" (the two extra terms take its partners as pairs, unless geometry alone
        gives them).
    direct
        What is imputed is the mean of what the decoder says and of what a kernel ridge regression does,
        weighted by how either predicts left-out known pairs (`jamie.model.direct`). Latents stay as they are.
    faults
        Faults of the reference to reproduce, for ablations: "pair_sampling" (batches of few distinct known
        pairs), "shared_logvar" (one cell's log variance in the KL term of all), "one_batch_stop" (early
        stopping watches the last batch only), "leak" (components are fitted on held-out cells as well).
    folds
        Fits to all but a part of the known pairs, after the fit itself, for native units, intervals and how
        unlike training a cell is (`jamie.model.crossfit`); fewer are made where there are many pairs. Each
        takes as long as the fit. 0: none, and the model gives none of these.
    device
        "auto" (CUDA if there is one, else CPU), "cpu" or "cuda".
    precision
        "float32", or "mixed": the networks train in bfloat16 where torch holds it safe; the loss, and what is
        computed after training, stay float32.
    compile
        Compile the networks (`torch.compile`), on a GPU in place of CUDA graphs, which are faster there
        (docs/gpu.md).
    """

    n_components: int | None = None
    canonical_ridge: float | None = 100.0
    residual: bool = False
    n_latent: int = 32
    hidden_layers: tuple[float, ...] = (256, 128)
    hidden_relative: bool = False
    dropout: float = 0.35
    input_dropout: float = 0.1
    batch_size: int = 128
    optimizer: str = "adamw"
    schedule: str = "one_cycle"
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    gradient_clip: float = 1.0
    max_epochs: int = 90
    min_steps: int = 120
    max_steps: int | None = 1_000
    max_time_s: float | None = None
    min_epochs: int = 0
    patience: int | None = None
    validation_fraction: float = 0.05
    kl_weight: float = 0.032
    kl_midpoint: int | None = None
    alpha: float = 32.0
    beta: float = 1.0
    gamma: float = 1.0
    cross_reconstruction: float = 1.0
    contrastive: float = 2.0
    temperature: float = 0.3
    estimated: str = "auto"
    estimated_in: tuple[str, ...] = ("alignment", "aggregation", "pairs")
    direct: bool = False
    faults: tuple[str, ...] = ()
    folds: int = 3
    device: str = "auto"
    precision: str = "float32"
    compile: bool = False

    def shorter(self, times: int) -> Options:
        """The same settings with 1 / ``times`` of the epochs and steps."""
        return replace(
            self,
            max_epochs=max(1, self.max_epochs // times),
            min_steps=self.min_steps // times,
            max_steps=self.max_steps and self.max_steps // times,
            min_epochs=self.min_epochs // times,
        )

    def components(self, n_cells: int, n_pairs: int | None = None) -> int:
        """Principal components, by training cells of the smaller modality and known pairs."""
        if self.n_components is not None:
            return self.n_components
        return components.n_components(n_cells, n_pairs)

    @classmethod
    def of(cls, preset: str = "default", **changes) -> Options:
        """A preset with some options changed; unknown names are an InputError that suggests the nearest."""
        if preset not in PRESETS:
            raise InputError(
                f"Unknown preset {preset!r}",
                expected=" or ".join(sorted(PRESETS)),
                found=repr(preset),
                change="`preset` under the method's `options:`",
            )
        known = [f.name for f in fields(cls)]
        for name in changes:
            if name not in known:
                raise InputError(
                    f"JAMIE has no option {name!r}",
                    expected="one of " + ", ".join(known),
                    found=name,
                    change=suggest(name, known, "the method's `options:`"),
                )
        for name, allowed in CHOICES.items():
            if changes.get(name, allowed[0]) not in allowed:
                raise InputError(
                    f"JAMIE has no {name} {changes[name]!r}",
                    expected=" or ".join(allowed),
                    found=repr(changes[name]),
                    change=f"`{name}` under the method's `options:`",
                )
        if changes.get("folds", 0) == 1:
            raise InputError(
                "One fold would leave out every pair",
                expected="`folds` of 2 or more, or 0 for none",
                found="folds: 1",
                change="`folds` under the method's `options:`",
            )
        for name, allowed in MEMBERS.items():
            if unknown := [v for v in changes.get(name, ()) if v not in allowed]:
                raise InputError(
                    f"JAMIE's option {name!r} cannot hold {unknown[0]!r}",
                    expected="a list of " + ", ".join(allowed),
                    found=repr(changes[name]),
                    change=suggest(unknown[0], allowed, f"`{name}` under the method's `options:`"),
                )
        for name in ("hidden_layers", *MEMBERS):
            if name in changes:
                changes[name] = tuple(changes[name])
        return replace(PRESETS[preset], **changes)

    def to_dict(self) -> dict:
        """As plain lists, numbers and words, for JSON and YAML."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


PRESETS = {
    "default": Options(),
    # The settings of the reference (Cohen Kalafut et al. 2023); dropout 0.6 when imputation is the aim
    "paper": Options(
        n_components=512,
        canonical_ridge=None,
        residual=False,
        n_latent=32,
        hidden_layers=(2, 1),
        hidden_relative=True,
        dropout=0.0,
        input_dropout=0.0,
        batch_size=512,
        optimizer="adam",
        schedule="constant",
        learning_rate=1e-3,
        weight_decay=0.0,
        gradient_clip=1.0,
        max_epochs=10_000,
        min_steps=0,
        max_steps=None,
        min_epochs=2_500,
        patience=500,
        validation_fraction=0.0,
        kl_weight=0.032,
        kl_midpoint=1_250,
        alpha=32.0,
        beta=1.0,
        gamma=1.0,
        cross_reconstruction=0.0,
        contrastive=0.0,
        direct=False,
        estimated="always",
        estimated_in=("alignment",),
    ),
}
