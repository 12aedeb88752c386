"""The parts of check.py: generators of (what, result) or (what, result, what is wanted, whether it holds)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from scipy import sparse

from jamie.data.correspondence import Correspondence
from jamie.metrics.alignment import foscttm
from jamie.model.losses import weights
from jamie.model.options import Options
from jamie.model.trainer import Trainer
from jamie.model.watch import Means

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from floor import copy_bytes_per_s, flops_of, matmul_flops_per_s

SAME_EMBEDDING, SAME_IMPUTATION = 1e-3, 1e-2  # largest difference of CPU and GPU, values have variance 1
AS_GOOD, BABEL_AS_GOOD = 0.01, 0.03  # largest difference in quality of two fits; BABEL has few cells here
N_FACTORS, N_OWN_FACTORS = 8, 4  # of the made-up data: shared by the modalities, and of one alone
SCORES = ("FOSCTTM, held-out cells", "mean Pearson r of imputed components, held-out cells")
LAUNCHES = ("LaunchKernel", "cudaGraphLaunch", "cudaMemcpy")  # calls of the host, by their names in a profile
SAME_TERMS = 1e-2  # largest relative difference of a term's mean over some steps, by graphs and without
NOISE = 1.5  # standard deviation, of values that are at most 1: no fit is perfect, and a worse one is seen


class NotHere(Exception):
    """This part cannot be asked for here; the message says why."""


@dataclass(frozen=True)
class Size:
    """How large the made-up data are.

    Attributes
    ----------
    cells, components
        Of the measurements of speed: several numbers of cells.
    quality, epochs
        Training cells of the fits whose quality is measured, and passes over them; a quarter is held out.
    agreed, agreed_epochs
        The same of the fits on the CPU and on the GPU.
    steps
        Timed optimiser steps.
    matched, embedded
        Cells for UnionCom's matching, which is cubic, and for the methods other than JAMIE.
    foscttm
        What the fits reach at least; 0.5 is chance.
    compiles
        Whether to try `torch.compile`, which takes a minute.
    square, copied_mb
        Side of the matrices and size of the copy by which the machine's ceilings are measured; None: large.
    """

    cells: tuple[int, ...]
    components: int
    quality: int
    epochs: int
    agreed: int
    agreed_epochs: int
    steps: int
    matched: int
    embedded: int
    foscttm: float
    compiles: bool = True
    square: int | None = None
    copied_mb: int | None = None

    def ceilings(self, device: str) -> tuple[dict[str, float], float]:
        """Operations per second by precision, bytes per second."""
        flops = {p: matmul_flops_per_s(p, device, side=self.square) for p in ("float32", "mixed")}
        return flops, copy_bytes_per_s(device, size_mb=self.copied_mb)


REAL = Size((10_000, 100_000, 1_000_000), 100, 8_000, 12, 2_000, 24, 300, 400, 400, 0.1)
QUICK = Size((200, 400), 12, 160, 3, 160, 3, 4, 40, 60, 1.0, False, 128, 4)


def views(n: int, p: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two modalities of the same cells, float32 (n, p) of variance 1: nonlinear in shared and own factors."""
    rng = np.random.default_rng(seed)
    loadings = [rng.standard_normal((N_FACTORS + N_OWN_FACTORS, p), dtype=np.float32) for _ in range(2)]
    shared = rng.standard_normal((n, N_FACTORS), dtype=np.float32)
    x = []
    for w in loadings:
        own = rng.standard_normal((n, N_OWN_FACTORS), dtype=np.float32)
        signal = np.tanh(np.hstack([shared, 0.5 * own]) @ w / 2)
        signal += NOISE * rng.standard_normal(signal.shape, dtype=np.float32)
        x.append(signal / signal.std())
    return tuple(x)


def identity(n: int, n_pairs: int) -> sparse.csr_matrix:
    """The first cells of both modalities are the same cells."""
    rows = np.arange(n_pairs)
    return sparse.csr_matrix((np.ones(n_pairs, np.float32), (rows, rows)), shape=(n, n))


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def batches_of(trainer: Trainer, n: int) -> Iterator:
    """``n`` mini-batches, of as many epochs as it takes."""
    left = n
    while left:
        trainer.model.train()
        for batch in trainer.feed(trainer.batches.epoch()):
            yield batch
            left -= 1
            if not left:
                return


def steps(trainer: Trainer, n: int) -> float:
    """Seconds that ``n`` optimiser steps take, mini-batches included."""
    weight = weights(trainer.options, 1.0)
    wait(trainer.device.type)
    start = time.perf_counter()
    for batch in batches_of(trainer, n):
        trainer.step(batch, weight)
    wait(trainer.device.type)
    return time.perf_counter() - start


def timed(function: Callable, *arguments, **options) -> tuple[object, float]:
    start = time.perf_counter()
    result = function(*arguments, **options)
    return result, time.perf_counter() - start


def outputs(model, x, device: str) -> dict[str, np.ndarray]:
    """Latent means of both modalities, and each imputed from the other, by their names."""
    model = model.to(device).eval()
    with torch.no_grad():
        z = [vae.encode(torch.as_tensor(v, device=device))[0] for vae, v in zip(model.vaes, x, strict=True)]
        imputed = [vae.decode(latent) for vae, latent in zip(model.vaes, z[::-1], strict=True)]
    named = {
        "embedding 1": z[0],
        "embedding 2": z[1],
        "imputation 2 to 1": imputed[0],
        "imputation 1 to 2": imputed[1],
    }
    return {name: value.cpu().numpy() for name, value in named.items()}


def quality(model, x, device: str) -> tuple[float, float]:
    """FOSCTTM of pairs, and the mean Pearson r of imputed components over both directions."""
    found = outputs(model, x, device)
    pairs = np.column_stack([np.arange(len(x[0]))] * 2)
    r = [correlation(x[0], found["imputation 2 to 1"]), correlation(x[1], found["imputation 1 to 2"])]
    return foscttm([found["embedding 1"], found["embedding 2"]], pairs), float(np.mean(r))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = (v - v.mean(axis=0) for v in (a, b))
    return float(np.mean((a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0) + 1e-12)))


@dataclass
class Fitted:
    """A fit to the made-up data, half of it paired, and what it reaches on cells it has not seen."""

    trainer: Trainer
    held_out: tuple[np.ndarray, np.ndarray]
    steps_per_s: float

    @classmethod
    def of(cls, size: Size, device: str, kind: type[Trainer] = Trainer, **options) -> Fitted:
        return cls.fit(size.quality, size.components, device, kind, max_epochs=size.epochs, **options)

    @classmethod
    def fit(cls, n: int, p: int, device: str, kind: type[Trainer] = Trainer, **options) -> Fitted:
        x = views(n * 5 // 4, p)
        train, held_out = (tuple(v[part] for v in x) for part in (np.s_[:n], np.s_[n:]))
        chosen = Options.of(device=device, min_steps=0, validation_fraction=0.0, **options)
        trainer = kind(train, identity(n, n // 2), chosen)
        n_steps = trainer.n_epochs * trainer.batches.n_batches
        warm_up = n_steps // 3  # compiles, where it is asked for
        steps(trainer, warm_up)
        return cls(trainer, held_out, (n_steps - warm_up) / steps(trainer, n_steps - warm_up))

    def quality(self) -> tuple[float, float]:
        return quality(self.trainer.model, self.held_out, self.trainer.device.type)


def machine(device: str, size: Size) -> Iterator:
    """The card and its ceilings."""
    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("torch sees no CUDA device")
    card = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
    yield "card", card
    if device == "cuda":
        yield "memory, GB", torch.cuda.get_device_properties(0).total_memory / 1e9
    flops_per_s, bytes_per_s = size.ceilings(device)
    for name, value in flops_per_s.items():
        yield f"large matrix product, {name}, TFLOP/s", value / 1e12
    yield "large copy, read and written, GB/s", bytes_per_s / 1e9
    yield "one small operation, microseconds", small_operation_s(device) * 1e6


def small_operation_s(device: str, n: int = 2_000) -> float:
    """Seconds from one launch to the next where nothing else is done."""
    small = torch.ones(8, device=device)
    for _ in range(2):  # the first one warms up
        wait(device)
        start = time.perf_counter()
        for _ in range(n):
            small.add_(1)
        wait(device)
        seconds = time.perf_counter() - start
    return seconds / n


def agreement(device: str, size: Size) -> Iterator:
    """A model fitted on the CPU gives the same on the GPU; fits on both are as good."""
    torch.set_num_threads(min(4, torch.get_num_threads()))  # more wait for each other in so small products
    on_cpu, there = (
        Fitted.fit(size.agreed, size.components, where, max_epochs=size.agreed_epochs)
        for where in ("cpu", device)
    )
    found = outputs(on_cpu.trainer.model, on_cpu.held_out, "cpu")
    moved = outputs(on_cpu.trainer.model, on_cpu.held_out, device)
    for name, values in found.items():
        limit = SAME_EMBEDDING if name.startswith("embedding") else SAME_IMPUTATION
        gap = float(np.abs(values - moved[name]).max())
        yield f"{name}, largest difference of one model", gap, f"<= {limit:g}", gap <= limit
    scores = on_cpu.quality(), there.quality()
    yield f"{SCORES[0]}, fit on the CPU", scores[0][0], f"<= {size.foscttm:g}", scores[0][0] <= size.foscttm
    for name, a, b in zip(SCORES, *scores, strict=True):
        what = f"{name}: fit on the CPU, on {device}"
        yield what, f"{a:.4f}, {b:.4f}", f"within {AS_GOOD}", abs(a - b) <= AS_GOOD


def waiting(device: str, size: Size) -> Iterator:
    """No step waits for the device, and how many launches one takes."""
    from torch.profiler import ProfilerActivity, profile

    n = min(size.cells)
    trainer = Trainer(views(n, size.components), identity(n, n // 2), Options.of(device=device))
    steps(trainer, 12)  # graphs are captured in the first ones
    if device == "cuda":
        found = first_wait(trainer, 10)
        yield "what the host waits for in 10 steps", found or "nothing", "nothing", not found
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device == "cuda")
    n_steps = min(20, trainer.batches.n_batches)
    with profile(activities=activities) as prof:
        seconds = steps(trainer, n_steps)
    events = prof.key_averages()
    if device == "cpu":
        yield "operations a step, nested ones included", sum(e.count for e in events) / n_steps
        return
    launches = sum(e.count for e in events if any(part in e.key for part in LAUNCHES)) / n_steps
    kernels = [
        e for e in events if e.device_type == torch.autograd.DeviceType.CUDA and not e.is_user_annotation
    ]
    yield "launches and copies a step", launches
    yield "kernels and copies a step, those of graphs too", sum(e.count for e in kernels) / n_steps
    yield "steps per second that launches alone would allow", 1 / max(1, launches) / small_operation_s(device)
    busy_s = sum(e.self_device_time_total for e in kernels) / 1e6
    yield "share of the time in which the GPU computes, while it is profiled", f"{busy_s / seconds:.1%}"


def first_wait(trainer: Trainer, n: int) -> str:
    """Where in ``n`` steps the host first waits for the GPU; empty if nowhere."""
    weight = weights(trainer.options, 1.0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches_of(trainer, n):
            trainer.step(batch, weight)
    except RuntimeError as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{error} ({Path(place.filename).name}: {place.line})"
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return ""


def speed(device: str, size: Size) -> Iterator:
    """Steps per second and memory by number of cells, and against the floors."""
    ceilings = size.ceilings(device)
    for n in size.cells:
        x = views(n, size.components)
        yield from speed_of(x, size, ceilings, device=device)
    for precision in ("float32", "mixed"):
        yield from speed_of(x, size, ceilings, device=device, batch_size=1_024, precision=precision)


def speed_of(x, size: Size, ceilings, **options) -> Iterator:
    """The same of one trainer, whose memory is free again afterwards."""
    chosen, n = Options.of(**options), len(x[0])
    what = f"{n:,} cells x {size.components}, batches of {chosen.batch_size}, {chosen.precision}"
    if chosen.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    trainer, ready_s = timed(Trainer, x, identity(n, n // 2), chosen)
    steps(trainer, max(2, size.steps // 10))
    per_s = size.steps / steps(trainer, size.steps)
    yield f"{what}: steps per second", per_s
    yield f"{what}: seconds until the first step", ready_s
    if chosen.device == "cuda":
        yield f"{what}: peak memory, GB", torch.cuda.max_memory_allocated() / 1e9
    batch = next(batches_of(trainer, 1))
    # launch by launch, as the operations of a graph cannot be counted
    arithmetic_s = flops_of(trainer.gradients, batch, weights(chosen, 1.0)) / ceilings[0][chosen.precision]
    traffic_s = bytes_of_step(trainer, batch) / ceilings[1]
    yield f"{what}: share of the arithmetic floor", f"{per_s * arithmetic_s:.2%}"
    yield f"{what}: share of the memory-traffic floor", f"{per_s * traffic_s:.2%}"


def bytes_of_step(trainer: Trainer, batch) -> int:
    """Fewest bytes a step must move: each input and block read once, weights and the optimiser's state.

    A weight is read forwards and backwards; its gradient is written and read; weight and both moments of Adam
    are read and written: ten times four bytes.
    """
    n_weights = sum(w.numel() for w in trainer.model.parameters())
    inputs = sum(len(rows) * d.shape[1] for rows, d in zip(batch.rows, trainer.data, strict=True))
    return 4 * (10 * n_weights + inputs + batch.f.numel())


def precision(device: str, size: Size) -> Iterator:
    """Mixed precision against float32."""
    yield from compared(
        {"float32": Fitted.of(size, device), "mixed": Fitted.of(size, device, precision="mixed")}
    )


def compiled(device: str, size: Size) -> Iterator:
    """The option ``compile`` against none."""
    if not size.compiles:
        raise NotHere("nothing is compiled in a dry run")
    plain = Fitted.of(size, device)
    fit, seconds = timed(Fitted.of, size, device, compile=True)
    yield "compiled: seconds in all", seconds
    yield from compared({"float32": plain, "float32, compiled": fit})


class LaunchByLaunch(Trainer):
    """The same mini-batches and steps, without graphs."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.graphs = None


def graphs(device: str, size: Size) -> Iterator:
    """Steps by CUDA graphs, as they are on a GPU, against the same launch by launch."""
    if device != "cuda":
        raise NotHere("CUDA graphs need a GPU")
    n = size.quality
    x, pairs = views(n, size.components), identity(n, n // 2)
    estimated = 0.5 * (identity(n, n) - pairs)
    means = []
    for kind in (LaunchByLaunch, Trainer):
        trainer = kind(x, pairs, Options.of(device=device), estimated)
        weight, mean = weights(trainer.options, 0.5), Means()
        for batch in batches_of(trainer, 30):
            mean.add(trainer.step(batch, weight))
        means.append(mean.values())
    for name, plain in means[0].items():
        gap = abs(means[1][name] / plain - 1)
        what = f"{name}: mean over 30 steps, launch by launch and by graphs"
        yield what, f"{plain:.5f}, {means[1][name]:.5f}", f"within {SAME_TERMS:.0%}", gap <= SAME_TERMS
    yield "graphs captured in 30 steps", len(trainer.graphs.captured)
    yield from compared(
        {"launch by launch": Fitted.of(size, device, LaunchByLaunch), "by graphs": Fitted.of(size, device)}
    )


def compared(fits: dict[str, Fitted]) -> Iterator:
    """Speed and quality of several fits; each as good as the first."""
    first = next(iter(fits.values())).quality()
    for name, fit in fits.items():
        yield f"{name}: steps per second, {fit.trainer.options.batch_size} cells", fit.steps_per_s
        for score, have, best in zip(SCORES, fit.quality(), first, strict=True):
            wanted = f"within {AS_GOOD} of {best:.4f}"
            yield f"{name}: {score}", f"{have:.4f}", wanted, abs(have - best) <= AS_GOOD


def matching(device: str, size: Size) -> Iterator:
    """F~ by UnionCom's method, on the CPU and on the GPU; that of landmarks, which runs on the CPU."""
    from jamie.matching import estimate
    from jamie.matching.unioncom import match

    x = views(size.matched, size.components)
    cpu, cpu_s = timed(match, x, seed=0, device="cpu")
    there, there_s = timed(match, x, seed=0, device=device)
    yield f"UnionCom, {size.matched:,} cells: seconds on the CPU, on {device}", f"{cpu_s:.1f}, {there_s:.1f}"
    r = float(np.corrcoef(cpu.toarray().ravel(), there.toarray().ravel())[0, 1])
    yield "UnionCom: correlation of F~ on the CPU and there", r, ">= 0.95", r >= 0.95
    if find_spec("ot") is None:
        raise NotHere("landmarks: POT is not installed")
    n = min(size.cells)
    x = views(n, size.components)
    f, seconds = timed(estimate, x, identity(n, n // 10), seed=0)
    yield f"landmarks, {n:,} cells: seconds (on the CPU only)", seconds
    yield "landmarks: confidence", f.confidence


def cells_of(x: np.ndarray) -> SimpleNamespace:
    """What methods read of a modality's AnnData."""
    var = pd.DataFrame({"mean": x.mean(axis=0), "sd": x.std(axis=0)})
    names = pd.Index([f"cell_{i}" for i in range(len(x))])
    return SimpleNamespace(
        X=x, var=var, obs=pd.DataFrame(index=names), obs_names=names, n_obs=len(x), uns={}, layers={}
    )


def other_methods(device: str, size: Size) -> Iterator:
    """The torch methods besides JAMIE, on the CPU and on the GPU."""
    from jamie.methods import babel, mmd_ma, unioncom

    n = size.embedded
    x = views(n * 5 // 4, size.components)
    train, held_out = (
        SimpleNamespace(mod={m: cells_of(v[part]) for m, v in zip("ab", x, strict=True)})
        for part in (np.s_[:n], np.s_[n:])
    )
    for cells in held_out.mod.values():
        cells.obs_names = cells.obs.index = cells.obs.index + "_held_out"
    names = [cells.obs_names for cells in train.mod.values()]
    known = Correspondence(identity(n, n // 2), *names)
    few = {"n_steps": 50, "starts": 5} if size is QUICK else {"starts": 10}
    cases = {
        "BABEL": (babel, {"max_epochs": 5 if size is QUICK else 30}),
        "MMD-MA": (mmd_ma, {"n_landmarks": min(300, n // 2), **few}),
        "UnionCom": (unioncom, {"matching": "unioncom", "n_components": min(30, size.components)}),
    }
    for name, (module, options) in cases.items():
        scores, seconds = [], []
        for where in ("cpu", device):
            fit, taken = timed(module.Method(seed=0, device=where, **options).fit, train, known)
            latent = fit.embed(held_out)
            scores.append(foscttm(list(latent.values()), np.column_stack([np.arange(len(x[0]) - n)] * 2)))
            seconds.append(taken)
        yield f"{name}, {n:,} cells: seconds on the CPU, on {device}", ", ".join(f"{s:.1f}" for s in seconds)
        # without pairs a method may end in another optimum, so that only its run is demanded
        wanted = ()
        if module.SPEC.uses_pairs:
            wanted = (f"within {BABEL_AS_GOOD}", abs(scores[0] - scores[1]) <= BABEL_AS_GOOD)
        what = f"{name}: FOSCTTM, held-out cells, on the CPU, on {device}"
        yield what, f"{scores[0]:.4f}, {scores[1]:.4f}", *wanted


def estimator(device: str, size: Size) -> Iterator:
    """The estimator on MuData: fitted and saved on the CPU, read and used on the GPU."""
    missing = [name for name in ("anndata", "mudata", "safetensors") if find_spec(name) is None]
    if missing:
        raise NotHere(f"{' and '.join(missing)} not installed")
    import tempfile

    from jamie import JAMIE
    from jamie.data.simulate import simulate_multiome

    mdata, _ = simulate_multiome(n_cells=300, n_genes=100, n_peaks=200, seed=0)
    fitted = JAMIE(device="cpu", max_epochs=5, min_steps=20, progress=False, folds=0).fit(mdata)
    with tempfile.TemporaryDirectory() as folder:
        fitted.save(Path(folder) / "model")
        there = JAMIE.load(Path(folder) / "model", device=device)
    gap = max(float(np.abs(z - there.embed(mdata)[m]).max()) for m, z in fitted.embed(mdata).items())
    yield "embedding, largest difference", gap, f"<= {SAME_EMBEDDING:g}", gap <= SAME_EMBEDDING
    gap = float(np.abs(fitted.impute(mdata, "rna", "atac") - there.impute(mdata, "rna", "atac")).max())
    yield "imputation, largest difference", gap, f"<= {SAME_IMPUTATION:g}", gap <= SAME_IMPUTATION


def allotment(device: str, size: Size) -> Iterator:
    """Each job has a GPU of its own, as the workflow allots them; what it does not hold ends on the CPU."""
    if device != "cuda":
        raise NotHere("without a GPU there is none to allot")
    from jamie.device import choose_device, used
    from jamie.jobs import gpus

    listed = gpus.visible()
    yield "GPUs that nvidia-smi lists", float(len(listed)), "1 or more", bool(listed)
    sees = (
        "import torch\nfrom jamie.jobs import gpus\n"
        "with gpus.allotted({}):\n    print(torch.cuda.device_count())"
    )
    for asked in (0, 1):
        command = [sys.executable, "-c", sees.format(asked)]
        seen = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        yield f"GPUs that a job sees that asked for {asked}", seen, str(asked), seen == str(asked)
    with gpus.allotted(1):
        own, name = torch.cuda.get_device_name(), listed[os.environ[gpus.VISIBLE]]
        yield (
            "a GPU as CUDA and as nvidia-smi call it",
            f"{own}, {name}",
            "the same, unless it is a part",
            None,
        )
        torch.cuda.set_per_process_memory_fraction(2**26 / torch.cuda.get_device_properties(0).total_memory)

        def product(options: dict) -> torch.Tensor:
            a = torch.ones(8192, 8192, device=choose_device(options.get("device", "auto")))  # 256 MB
            return a @ a

        where = gpus.or_on_cpu(product, {}).device.type
        yield "what 64 MB of the GPU do not hold is computed on", where, "cpu", where == "cpu"
        yield "the device that is told", used()["device"], "cpu", used()["device"] == "cpu"


@dataclass(frozen=True)
class Part:
    """A part of the check and the seconds it may take."""

    function: Callable
    limit_s: float


# the most important first: those at the end may find no time left
PARTS = {
    "machine": Part(machine, 40),
    "agreement": Part(agreement, 90),
    "waiting": Part(waiting, 40),
    "speed": Part(speed, 120),
    "graphs": Part(graphs, 60),
    "precision": Part(precision, 40),
    "matching": Part(matching, 60),
    "other methods": Part(other_methods, 60),
    "estimator": Part(estimator, 40),
    "allotment": Part(allotment, 40),
    "compiled": Part(compiled, 150),
}
