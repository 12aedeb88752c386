"""The floors of a fit: operations at the speed of a large matrix product, traffic at that of a large copy."""

from __future__ import annotations

import time

SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices whose product is timed
COPIED_MB = {"cpu": 256, "cuda": 2048}
N_CELLS = 1_024


def arithmetic_floor(precision: str, device: str, threads: int) -> float:
    """Steps per second if a step of JAMIE's default took no more than its matrix products.

    Parameters
    ----------
    precision
        "float32" or "mixed" (products in bfloat16).
    device
        "cpu" or "cuda".
    """
    import torch

    torch.set_num_threads(threads)
    return matmul_flops_per_s(precision, device) / flops_of_step()


def matmul_flops_per_s(precision: str, device: str, repeats: int = 5, side: int | None = None) -> float:
    """Best of a few products of two large square matrices."""
    import torch

    n = side or SIDE[device]
    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    a = torch.randn(n, n, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(repeats + 1):  # the first one warms up
        start = time.perf_counter()
        (a @ a).sum().item()  # reading a number waits for the device
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best


def copy_bytes_per_s(device: str, repeats: int = 5, size_mb: int | None = None) -> float:
    """Bytes read and written by a large copy on the device, best of a few."""
    import torch

    source = torch.randint(0, 127, ((size_mb or COPIED_MB[device]) * 2**20,), device=device, dtype=torch.int8)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(repeats + 1):  # the first one warms up
        start = time.perf_counter()
        target.copy_(source)
        target[-1].item()  # reading a number waits for the device
        best = min(best, time.perf_counter() - start)
    return 2 * source.numel() / best


def flops_of(function, *arguments) -> int:
    """Floating point operations of a call, as torch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        function(*arguments)
    return counter.get_total_flops()


def flops_of_step() -> float:
    """Floating point operations of one optimiser step, forward and backward, as torch counts them."""
    from jamie import JAMIE
    from jamie.data.simulate import simulate_multiome

    mdata, _ = simulate_multiome(n_cells=N_CELLS, n_genes=100, n_peaks=100)
    model = JAMIE(device="cpu", max_epochs=1, min_steps=0, validation_fraction=0.0, progress=False, folds=0)
    return flops_of(model.fit, mdata) / model.fit_info_["n_steps"]
