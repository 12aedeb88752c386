"""A partially paired RNA + ATAC dataset with known truth: cell states, modality-specific programs, links.

Generative model for cell c, peak p, gene g; sigma(x) = 1 / (1 + exp(-x)), m = ``modality_specific``,
A = ``signal``:

* Tree. Each cell type is one segment of a binary tree. A cell sits at t ~ Beta(2.5, 2.5) on its segment and
  has the state s_c = start + t * step + sin(pi t) * bend + noise, scaled to variance 1 per axis on average.
  Types that follow each other share a node, so they touch.
* Genome. Genes and non-overlapping peaks on chromosomes; most peaks lie near a TSS. The drivers of a gene are
  0 to 5 random peaks of those within ``window_bp`` of its TSS; the size of the effect e_gp decays as
  exp(-2 |distance| / window_bp), and one in seven is negative. The other peaks in the window are decoys.
* Domains. The genome is cut into stretches of ``domain_bp``. Of d = ``domain_share`` of its variance a peak's
  loading is that of its domain D(p), the rest its own: w_p = k_p (sqrt(1 - d) w'_p + sqrt(d) w''_D(p)), where
  k_p is its amplitude; likewise v_p = sqrt(1 - d) v'_p + sqrt(d) v''_D(p). So neighbours open together, and
  decoys with the drivers beside them.
* Openness that acts on genes: o_cp = sigma(b_p + A w_p s_c).
* ATAC: r_cp = sigma(b_p + A (sqrt(1 - m) w_p s_c + sqrt(m) v_p a_c)),
  counts ~ Poisson(depth_c r_cp / sum_p r_cp). Only ATAC sees the programs a_c.
* RNA: h_cg ~ tanh(4 (sum_p e_gp o_cp - threshold_g) / spread), a response that saturates;
  log r_cg = b_g + A (sqrt(1 - m) h_cg + sqrt(m) l_g q_c),
  counts ~ NB(depth_c r_cg / sum_g r_cg, dispersion_g). Only RNA sees the programs q_c (a cell cycle, ...).
* Depths are log-normal with standard deviation `draw.DEPTH_SD` of the log, and the two depths of a cell have
  the correlation ``depth_correlation`` of the log. ``batch_effect`` adds a normal shift per batch and feature
  inside the sigma and the log.

Two guarantees bend the model where it would leave nothing to analyse: a cell has at least one count in each
modality that measures it, and a feature without any count gets one in a random cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import expit

from jamie import contract
from jamie.data.draw import Depth, draw_counts
from jamie.data.genome import domains, draw_regulation, place_features
from jamie.errors import InputError
from jamie.io import together

if TYPE_CHECKING:
    from mudata import MuData

RNA, ATAC = contract.RNA, contract.ATAC

_STATE_DIM = 8
_SEGMENT_BETA = 2.5  # of the position on a segment: types are dense in the middle, thin where they touch
_BEND = 0.6  # in lengths of a segment
_RESPONSE_GAIN = 4.0  # of the tanh: typical genes saturate at both ends
_N_PROGRAMS = 3  # per modality
_PROGRAM_SHARE = 0.4  # features a program acts on
_CALIBRATION_CELLS = 2_000

# option: lowest, highest, must be a whole number
_LIMITS = {
    "n_cells": (20, np.inf, True),
    "n_types": (2, 26, True),
    "n_genes": (10, np.inf, True),
    "n_peaks": (10, np.inf, True),
    "paired_fraction": (0, 1, False),
    "n_chromosomes": (1, np.inf, True),
    "window_bp": (1, np.inf, True),
    "rna_depth": (1, np.inf, False),
    "atac_depth": (1, np.inf, False),
    "rna_dispersion": (0, 100, False),
    "modality_specific": (0, 1, False),
    "batch_effect": (0, 5, False),
    "seed": (0, np.inf, True),
    "domain_bp": (1, np.inf, True),
    "domain_share": (0, 1, False),
    "depth_correlation": (0, 1, False),
    "signal": (0.01, 5, False),
    "state_noise": (0, 10, False),
}


@dataclass
class _Cells:
    """The population, one row per cell: what is true whether or not a modality measures it."""

    names: np.ndarray  # str (n,)
    types: pd.Categorical  # (n,)
    pseudotime: np.ndarray  # (n,), 0 at the root, 1 at the deepest leaf
    state: np.ndarray  # float32 (n, state)
    programs: dict[str, np.ndarray]  # modality -> float32 (n, program)
    batch: np.ndarray  # int (n,), 0 or 1

    def take(self, rows) -> _Cells:
        programs = {name: values[rows] for name, values in self.programs.items()}
        columns = (self.names, self.types, self.pseudotime, self.state)
        return _Cells(*(values[rows] for values in columns), programs, self.batch[rows])


@dataclass
class _Loadings:
    """Weights of one modality's features."""

    base: np.ndarray  # float32 (feature,), log-odds of peaks, log of genes
    program: np.ndarray  # float32 (feature, program)
    shift: np.ndarray  # float32 (2 batches, feature)


@dataclass
class _Domains:
    """Stretches of the genome whose peaks open together."""

    of: np.ndarray  # int (peak,)
    share: float  # of a loading's variance
    rng: np.random.Generator

    def mix(self, own: np.ndarray, draw: Callable) -> np.ndarray:
        """Loadings (peak, axis) of which ``share`` is that of the domain, by ``draw(n_domains, rng)``."""
        if self.share == 0:
            return own
        common = draw(self.of.max() + 1, self.rng)[self.of]
        return np.sqrt(1 - self.share) * own + np.sqrt(self.share) * common


def simulate_multiome(
    n_cells: int = 1000,
    n_types: int = 6,
    n_genes: int = 500,
    n_peaks: int = 1500,
    paired_fraction: float = 1.0,
    n_chromosomes: int = 4,
    window_bp: int = 100_000,
    rna_depth: float = 800,
    atac_depth: float = 200,
    rna_dispersion: float = 0.5,
    modality_specific: float = 0.3,
    batch_effect: float = 0.0,
    seed: int = 0,
    *,
    domain_bp: int = 50_000,
    domain_share: float = 0.5,
    depth_correlation: float = 0.5,
    signal: float = 1.7,
    state_noise: float = 0.15,
) -> tuple[MuData, pd.DataFrame]:
    """Simulate a multiome by the model in the module docstring; the same arguments give the same counts.

    Parameters
    ----------
    n_cells
        Cells in the population, each measured in RNA, in ATAC or in both; at least 20, and 10 per type.
    n_types
        Cell types, 2 to 26: segments of the tree. The largest has five times the cells of the rarest.
    n_genes, n_peaks
        Features, at least 10 each.
    paired_fraction
        Share of the cells measured in both, 0-1; the others are split evenly over RNA only and ATAC only.
    n_chromosomes
        Chromosomes chr1, chr2, ...; the first is the longest.
    window_bp
        Largest distance between a gene's TSS and the centre of a peak that drives it, bp.
    rna_depth, atac_depth
        Expected counts of a cell over all genes, over all peaks. They set the sparsity, so scale them with
        the number of features: 3,000 and 2,700 suit 2,000 genes and 20,000 peaks.
    rna_dispersion
        Median over genes of the negative binomial dispersion: variance = mean + dispersion * mean^2.
    modality_specific
        Share, 0-1, of the log-scale variance that the other modality does not see.
    batch_effect
        Standard deviation over features of the difference between two batches, natural log; 0 is one batch.
    seed
        A whole number >= 0.
    domain_bp
        Length of the stretches of the genome in which peaks open together, bp.
    domain_share
        Share, 0-1, of the log-scale variance of a peak that is its domain's; 0: neighbours are as unlike as
        peaks of two chromosomes, and a driver is told from the decoys beside it more easily than in data.
    depth_correlation
        Correlation, 0-1, of the logs of a cell's two depths; in SNARE-seq it is 0.5.
    signal
        Standard deviation over cells of a typical feature's log-scale value, natural log.
    state_noise
        Standard deviation per axis of a cell's distance from its segment, in lengths of a segment. Both
        modalities see it.

    Returns
    -------
    mdata : mudata.MuData
        ``mod["rna"]`` (n_rna, n_genes) and ``mod["atac"]`` (n_atac, n_peaks), rows of the second shuffled.
        ``X`` CSR float32 counts; ``obs["cell_type", "pseudotime"]``, and ``"batch"`` if ``batch_effect`` > 0;
        ``var["chrom", "start", "end"]`` in bp, 0-based half-open, and ``"strand"`` of genes;
        ``obsm["true_state"]`` float32 (n, 8), ``obsm["true_programs"]`` float32 (n, 3) of this modality.
    links : pandas.DataFrame
        One row per driver: gene, peak, distance_bp (`genome.signed_distance_bp`), effect (never 0).

    Raises
    ------
    InputError
        An option is out of its range.
    """
    _check_options(dict(locals()))
    streams = np.random.default_rng(seed).spawn(8)  # one for each step, so that none moves another
    cells = _population(n_cells, n_types, state_noise, streams[0])
    genes, peaks = place_features(n_genes, n_peaks, n_chromosomes, streams[1])
    links, effects = draw_regulation(genes, peaks, window_bp, streams[2])

    amplitude = streams[3].gamma(2.0, 1 / np.sqrt(6), n_peaks)  # mean square 1: some peaks hardly vary
    neighbours = _Domains(domains(peaks, domain_bp), domain_share, streams[6])
    weights = neighbours.mix(streams[3].normal(size=(_STATE_DIM, n_peaks)).T, _state_weights).T
    weights = (signal * (weights * amplitude / np.sqrt(_STATE_DIM))).astype(np.float32)
    scales = signal, modality_specific, batch_effect
    peak_loadings = _loadings(n_peaks, -2.0, 1.0, *scales, streams[3], neighbours)
    gene_loadings = _loadings(n_genes, 0.0, 1.2, *scales, streams[3])
    shared = np.sqrt(1 - modality_specific)

    drive = _gene_response(weights, peak_loadings.base, effects, cells.state[:_CALIBRATION_CELLS], streams[3])
    rna_rows, atac_rows = _measured(n_cells, paired_fraction, streams[3])
    rna, atac = cells.take(rna_rows), cells.take(atac_rows)

    def rna_rates(rows):
        return np.exp(_extras(rna, RNA, gene_loadings, rows) + signal * shared * drive(rna.state[rows]))

    def atac_rates(rows):
        return expit(_extras(atac, ATAC, peak_loadings, rows) + shared * (atac.state[rows] @ weights))

    of_both = streams[7].normal(size=n_cells)
    rna_depth = Depth(rna_depth, of_both[rna_rows], depth_correlation)
    atac_depth = Depth(atac_depth, of_both[atac_rows], depth_correlation)
    x_rna = draw_counts(rna_rates, n_genes, rna_depth, rna_dispersion, streams[4])
    x_atac = draw_counts(atac_rates, n_peaks, atac_depth, None, streams[5])
    return _assemble({RNA: (x_rna, rna, genes), ATAC: (x_atac, atac, peaks)}, batch_effect > 0), links


def _check_options(options: dict) -> None:
    for name, (low, high, whole) in _LIMITS.items():
        value = options[name]
        if name == "n_types":
            high = min(high, options["n_cells"] // 10)
        number = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
        if not number or not low <= value <= high or not np.isfinite(value):
            bounds = f"from {low:g} to {high:g}" if np.isfinite(high) else f">= {low:g}"
            raise InputError(
                f"The simulation cannot use {name} = {value!r}",
                expected=f"a {'whole ' if whole else ''}number {bounds}",
                found=repr(value),
                change=f"datasets: simulated_multiome: options: {name}",
            )


def _population(n_cells: int, n_types: int, state_noise: float, rng) -> _Cells:
    """Cells on a binary tree of one segment per type, in random order."""
    step, bend = rng.normal(size=(2, n_types, _STATE_DIM))
    step /= np.linalg.norm(step, axis=1, keepdims=True)
    bend *= _BEND / np.linalg.norm(bend, axis=1, keepdims=True)
    start, depth = np.zeros((n_types, _STATE_DIM)), np.zeros(n_types)
    for k in range(1, n_types):
        parent = (k - 1) // 2
        start[k], depth[k] = start[parent] + step[parent], depth[parent] + 1

    size = rng.permutation(np.geomspace(5, 1, n_types))
    edges = np.round(np.cumsum(np.append(0, size / size.sum())) * n_cells).astype(int)
    types = rng.permutation(np.repeat(np.arange(n_types), np.diff(edges)))
    t = rng.beta(_SEGMENT_BETA, _SEGMENT_BETA, n_cells)
    state = start[types] + t[:, None] * step[types] + np.sin(np.pi * t)[:, None] * bend[types]
    state += state_noise * rng.normal(size=state.shape)
    state -= state.mean(axis=0)
    state /= np.sqrt((state**2).mean())

    angle = 2 * np.pi * rng.random(n_cells)
    programs = {name: rng.normal(size=(n_cells, _N_PROGRAMS)) for name in (RNA, ATAC)}
    programs[RNA][:, :2] = np.sqrt(2) * np.column_stack([np.cos(angle), np.sin(angle)])  # a cell cycle
    programs = {name: values.astype(np.float32) for name, values in programs.items()}
    batch = rng.integers(0, 2, n_cells)
    pseudotime = (depth[types] + t) / (depth.max() + 1)
    names = np.array([f"cell_{i:0{len(str(n_cells))}d}" for i in range(1, n_cells + 1)])
    types = pd.Categorical.from_codes(types, [f"type_{chr(ord('a') + k)}" for k in range(n_types)])
    return _Cells(names, types, pseudotime, state.astype(np.float32), programs, batch)


def _state_weights(n: int, rng) -> np.ndarray:
    return rng.normal(size=(n, _STATE_DIM))


def _program_weights(n: int, rng) -> np.ndarray:
    return rng.normal(size=(n, _N_PROGRAMS)) * (rng.random((n, _N_PROGRAMS)) < _PROGRAM_SHARE)


def _loadings(n, base_mean, base_sd, signal, modality_specific, batch_effect, rng, domains=None) -> _Loadings:
    base = rng.normal(base_mean, base_sd, n)
    program = _program_weights(n, rng)
    if domains is not None:
        program = domains.mix(program, _program_weights)
    program *= signal * np.sqrt(modality_specific / (_N_PROGRAMS * _PROGRAM_SHARE))
    # the difference of the two rows has standard deviation batch_effect
    shift = batch_effect / np.sqrt(2) * rng.normal(size=(2, n))
    return _Loadings(base.astype(np.float32), program.astype(np.float32), shift.astype(np.float32))


def _gene_response(weights, base, effects, reference, rng) -> Callable[[np.ndarray], np.ndarray]:
    """The function h: states (cell, state) -> saturating response (cell, gene), mean square about 1.

    Thresholds and scales come from ``reference`` (cell, state), so h is the same for every block of cells.
    """
    used = np.unique(effects.indices)
    effects, weights, base = effects[:, used], weights[:, used], base[used]

    def drive(state):
        return (effects @ expit(base + state @ weights).T).T

    values = drive(reference)
    regulated = np.diff(effects.indptr) > 0
    spread = np.sqrt(values.var(axis=0)[regulated].mean()) if regulated.any() else 1.0
    threshold = values.mean(axis=0) + 0.5 * spread * rng.normal(size=len(regulated)) * regulated

    def response(state):
        return np.tanh((_RESPONSE_GAIN / spread * (drive(state) - threshold)).astype(np.float32))

    values = response(reference)
    scale = np.sqrt(values.var(axis=0)[regulated].mean()) if regulated.any() else 1.0
    return lambda state: response(state) / np.float32(scale)


def _measured(n_cells: int, paired_fraction: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """Cells of RNA, in the order of the population, and of ATAC, shuffled."""
    n_paired = round(paired_fraction * n_cells)
    n_rna = n_paired + (n_cells - n_paired + 1) // 2
    return np.arange(n_rna), rng.permutation(np.append(np.arange(n_paired), np.arange(n_rna, n_cells)))


def _extras(cells: _Cells, modality: str, loadings: _Loadings, rows: slice) -> np.ndarray:
    """Base, modality-specific programs and batch of a block of cells, float32 (cell, feature)."""
    programs = cells.programs[modality][rows] @ loadings.program.T
    return loadings.base + programs + loadings.shift[cells.batch[rows]]


def _assemble(parts: dict[str, tuple], with_batch: bool) -> MuData:
    """MuData of counts, cells and features per modality."""
    from anndata import AnnData

    modalities = {}
    for name, (x, cells, features) in parts.items():
        obs = pd.DataFrame({contract.CELL_TYPE: cells.types, "pseudotime": cells.pseudotime})
        obs.index = cells.names
        if with_batch:
            obs[contract.BATCH] = pd.Categorical.from_codes(cells.batch, ["batch_1", "batch_2"])
        truth = {"true_state": cells.state, "true_programs": cells.programs[name]}
        uns = {contract.KIND: name, "values": contract.COUNTS}
        modalities[name] = AnnData(x, obs=obs, var=features, obsm=truth, uns=uns)
    return together(modalities)
