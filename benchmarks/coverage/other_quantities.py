"""Coverage of λ, work, accuracy, timing ratios, pair correlations, velocity spectra and success rates, against exact truths."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from ase import Atoms
from covered import verdict
from numpy.typing import NDArray

from ncbench.diagnostics import lambda_
from ncbench.diagnostics.accuracy import _named, _plateau
from ncbench.diagnostics.base import Context
from ncbench.jacobian.closed_paths import planar_loop
from ncbench.jacobian.clusters import summarise
from ncbench.jacobian.probe_estimates import PairProbes, ProductProbes, interval95
from ncbench.jacobian.settings import LambdaSettings
from ncbench.jacobian.work import integrate
from ncbench.md.stopwatch import median_error
from ncbench.models.families.analytic.adapter import DEFAULTS
from ncbench.models.interface import ModelCard
from ncbench.models.loading import load_forcefield
from ncbench.models.torch_field import TorchField, TorchForceField
from ncbench.observables.motion import MASS, PER_CM, velocity_spectrum
from ncbench.observables.structure import pair_correlation
from ncbench.observables.trajectory import Trajectory
from ncbench.prediction.rows import summary_rows
from ncbench.statistics.intervals import Z_95, rate_interval
from ncbench.structures.load import load_cases
from ncbench.types import ModelRequest, Status, SystemRequest
from ncbench.units import KB

FloatArray = NDArray[np.float64]
Interval = tuple[float, float, float]
"""Value, lower and upper end of its 95 % interval."""
Row = dict[str, object]


class Silent:
    """Progress that is not shown."""

    def start(self, total: float, unit: str) -> None: ...
    def update(self, done: float, note: str = "") -> None: ...


class Forgets:
    """A checkpoint that keeps nothing."""

    def load(self) -> None: ...
    def save(self, state: object) -> None: ...


def judged(
    source: str, quantity: str, condition: str, intervals: Iterable[Interval], truth: float, *, bound: bool = False
) -> Row:
    """A row of the coverage table from 95 % intervals, which need not be symmetric; intervals that are NaN count as not known.

    ``bound``: the interval holds the truth at least as often as stated, by construction.
    """
    values = np.array(list(intervals), dtype=np.float64)
    known = np.isfinite(values).all(axis=1)
    value, low, high = values[known].T
    # Ends that are equal to the truth up to rounding hold it.
    slack = 1e-12 * abs(truth)
    inside = (low - slack <= truth) & (truth <= high + slack)
    count, spread = int(known.sum()), float(np.std(value)) if known.any() else 0.0
    share = float(inside.mean()) if count else math.nan
    row: Row = {
        "source": source,
        "quantity": quantity,
        "condition": condition,
        "length_fs": math.nan,
        "windows": len(values),
        "coverage": share,
        "share_known": float(known.mean()),
        "coverage_known": share,
        "error_over_spread": float(np.median((high - low) / (2 * Z_95))) / spread if spread > 0 else math.nan,
    }
    return row | {"verdict": verdict(row, count, bound=bound)}


def symmetric(value: float, error: float | None) -> Interval:
    """value ± 1.96 errors."""
    half = Z_95 * (math.nan if error is None else error)
    return value, value - half, value + half


def matrices(rng: np.random.Generator, n: int = 60) -> dict[str, FloatArray]:
    """Jacobians of n coordinates: where the antisymmetric part sits decides how its probes scatter."""
    base = rng.normal(size=(n, n))
    base = (base + base.T) / 2
    odd = rng.normal(size=(n, n))
    bond = np.zeros((n, n))
    bond[0, 3], bond[3, 0] = 5.0, -5.0
    u, v = rng.normal(size=(2, n))
    block = np.zeros((n, n))
    block[:9, :9] = (odd - odd.T)[:9, :9]
    return {
        "dense": base + 0.1 * (odd - odd.T),
        "one bond": base + bond,
        "rank 2": base + 0.1 * (np.outer(u, v) - np.outer(v, u)),
        "block": base + block,
    }


def of_lambda(n_draws: int, rng: np.random.Generator) -> list[Row]:
    """λ of known matrices by both kinds of probe, and its mean over structures."""
    rows = []
    for name, matrix in matrices(rng).items():
        truth = float(np.linalg.norm((matrix - matrix.T) / 2) / np.linalg.norm(matrix))
        for probes in (8, 16, 64):
            products, pairs = [], []
            for _ in range(n_draws):
                signs = rng.choice([-1.0, 1.0], size=(probes, len(matrix)))
                both = ProductProbes(signs, signs @ matrix.T, signs @ matrix, 0.0)
                products.append((both.lam, *interval95(both)))
                normal = rng.normal(size=(probes, len(matrix)))
                one = PairProbes(normal, normal @ matrix.T, 0.0)
                pairs.append((one.lam, *interval95(one)))
            rows.append(judged("matrices", "λ, product probes", f"{name}, {probes} probes", products, truth))
            if probes >= 16:
                rows.append(judged("matrices", "λ, difference probes", f"{name}, {probes} probes", pairs, truth))
    for structures in (3, 5, 20):
        estimates = []
        for _ in range(n_draws):
            lam = 0.3 + 0.03 * rng.normal(size=structures) + 0.02 * rng.normal(size=structures)
            mean = summarise(lam.tolist(), [0.02] * structures, rng)
            estimates.append((mean["lambda"], mean["lambda_low"], mean["lambda_high"]))
        rows.append(judged("structures", "mean λ", f"{structures} structures", estimates, 0.3))
    return rows


class _Linear(TorchField):
    """f = J (r − s), J the same everywhere; an energy of zero."""

    def __init__(self, structures: Sequence[Atoms], card: ModelCard, matrix: FloatArray) -> None:
        super().__init__(structures, card)
        self.sites = torch.as_tensor(np.stack([atoms.arrays["sites"] for atoms in structures]))
        self.matrix = torch.as_tensor(matrix)

    def compute(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        displacement = (positions - self.sites).reshape(len(positions), -1).to(getattr(torch, self.card.dtype))
        forces = displacement @ self.matrix.to(displacement.dtype).T
        return 0.0 * displacement.sum(dim=1).double(), forces.reshape(positions.shape).double()


class LinearForceField(TorchForceField):
    """The field above as a model."""

    def __init__(self, card: ModelCard, matrix: FloatArray) -> None:
        self.card, self.matrix = card, matrix

    def _bind(self, structures: Sequence[Atoms]) -> TorchField:
        return _Linear(structures, self.card, self.matrix)


def of_engine_lambda(n_seeds: int) -> list[Row]:
    """λ as ``ncbench lambda`` measures it, by each method, of fields that are linear in the positions."""
    rows = []
    cases = load_cases(SystemRequest(name="harmonic-crystal", structures=1), 1, 0)
    named = matrices(np.random.default_rng(3), n=3 * len(cases[0].atoms))
    for dtype in ("float32", "float64"):
        card = load_forcefield(ModelRequest(spec="analytic-solenoidal", dtype=dtype)).card
        for name in ("dense", "one bond"):
            matrix = named[name].astype(dtype).astype(np.float64)
            truth = float(np.linalg.norm((matrix - matrix.T) / 2) / np.linalg.norm(matrix))
            for method, seeds in (("stochastic", n_seeds), ("exact", 20), ("finite-difference", 20)):
                intervals = []
                for seed in range(seeds):
                    outcome = lambda_.run(
                        LinearForceField(card, matrix),
                        cases,
                        LambdaSettings(method=method, probes=16),
                        seed=seed,
                        context=Context(Silent(), Forgets()),
                    )
                    (row,) = outcome.rows
                    intervals.append(tuple(row[f"lambda{end}"] or math.nan for end in ("", "_low", "_high")))
                # Nothing is drawn at random in whole Jacobians: their error is a bound of rounding and truncation.
                whole = method != "stochastic"
                rows.append(judged("engine", f"λ, {method}", f"{name}, {dtype}", intervals, truth, bound=whole))
    return rows


def of_work(n_loops: int, rng: np.random.Generator) -> list[Row]:
    """Work along planar loops in a field linear in the positions, whose work is known in closed form."""
    rows = []
    atoms = load_cases(SystemRequest(name="harmonic-crystal", structures=1), 1, 0)[0].atoms
    for dtype in ("float32", "float64"):
        field = load_forcefield(ModelRequest(spec="analytic-solenoidal", dtype=dtype))
        deviations = []
        for k in range(n_loops):
            path = planar_loop(atoms, 0.1, rng, f"loop {k}")
            loop = integrate(field, atoms, path, batch=8, points=16, max_points=64, tolerance=1e-6, rng=rng)
            truth = _work(path.at)
            deviations.append(symmetric(loop.work - truth, loop.error))
        rows.append(judged("engine", "work of a loop", dtype, deviations, 0.0, bound=dtype == "float32"))
    return rows


def _work(at: Callable[[float], tuple[FloatArray, FloatArray]]) -> float:
    """W = 2κ Σ_i (area enclosed by atom i in the plane of the swirl), from f = −k u + κ ẑ × u; extended precision.

    u and v are displacements, which no coordinate's size rounds: the sum is exact to some 1e-19 of its largest term.
    """
    kappa = np.longdouble(DEFAULTS["analytic-solenoidal"]["kappa"])
    u, v = (at(s)[0].astype(np.longdouble) for s in (0.0, np.pi / 2))
    return float(2 * kappa * np.arctan(np.longdouble(1)) * 4 * np.sum(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]))


def of_accuracy(n_draws: int, rng: np.random.Generator) -> list[Row]:
    """MAE and RMSE of frames whose common scale is a log-normal AR(1): E|x| and E x² of the generator are exact."""
    rows = []
    width, components = 0.3, 96
    for memory in (0.0, 0.8):
        for frames in (10, 40, 400):
            mae, rmse = [], []
            for _ in range(n_draws):
                log = np.empty(frames)
                log[0] = rng.normal()
                for k in range(1, frames):
                    log[k] = memory * log[k - 1] + math.sqrt(1 - memory**2) * rng.normal()
                errors = np.exp(width * log)[:, None] * rng.normal(size=(frames, components))
                row = _named(
                    "{}", np.abs(errors).sum(axis=1), (errors**2).sum(axis=1), np.full(frames, float(components))
                )
                # Independent frames are no time series, and their errors count as known.
                known = memory == 0.0 or _plateau((errors**2).mean(axis=1).tolist())
                mae.append(symmetric(row["mae"], row["mae_se"] if known else None))
                rmse.append(symmetric(row["rmse"], row["rmse_se"] if known else None))
            condition = f"{frames} frames, correlation {memory:g}"
            rows.append(judged("frames", "force MAE", condition, mae, math.sqrt(2 / math.pi) * math.exp(width**2 / 2)))
            rows.append(judged("frames", "force RMSE", condition, rmse, math.exp(width**2)))
    return rows


def of_timing(n_draws: int, rng: np.random.Generator) -> list[Row]:
    """Median of ratios of log-normal times; a drift that both share cancels in the ratio."""
    rows = []
    for repeats in (5, 10, 30):
        estimates = []
        for _ in range(n_draws):
            drift = np.linspace(1.0, 1.2, repeats)
            model = 2.0 * drift * np.exp(0.05 * rng.normal(size=repeats))
            reference = drift * np.exp(0.05 * rng.normal(size=repeats))
            ratios = model / reference
            estimates.append(symmetric(float(np.median(ratios)), median_error(ratios.tolist())))
        rows.append(judged("timing", "median ratio", f"{repeats} repeats", estimates, 2.0))
    return rows


def of_observables(n_draws: int, rng: np.random.Generator) -> list[Row]:
    """g(r) of an ideal gas is 1; the integral of a velocity spectrum of exact oscillators is their temperature."""
    rows = []
    cell, edges = np.eye(3) * 10.0, np.arange(0.0, 5.1, 0.5)
    for replicas in (1, 3):
        gas, spectra = [], []
        for _ in range(n_draws):
            runs = []
            for k in range(replicas):
                frames, atoms = 50, 10
                runs.append(
                    Trajectory(
                        str(k),
                        ("Ar",) * atoms,
                        np.full(atoms, 40.0),
                        rng.uniform(0.0, 10.0, size=(frames, atoms, 3)),
                        _damped_velocities(frames, atoms, rng),
                        np.tile(cell, (frames, 1, 1)),
                        np.ones(3, bool),
                        2.0,
                    )
                )
            g = pair_correlation(runs, "Ar", "Ar", edges_A=edges)
            gas.append(symmetric(float(g.value[6]), float(g.error[6])))
            spectrum = velocity_spectrum(runs, None)
            spectra.append(symmetric(float(spectrum.value[1]), float(spectrum.error[1])))
        condition = f"5 blocks, {replicas} replicas"
        rows.append(judged("ideal gas", "g(r)", condition, gas, 1.0))
        rows.append(judged("white velocities", "velocity spectrum", condition, spectra, _white_level(2.0)))
    return rows


def _damped_velocities(frames: int, atoms: int, rng: np.random.Generator) -> FloatArray:
    """Maxwell-Boltzmann velocities at 300 K, new in every frame (an oscillator damped within a frame), Å/fs."""
    return rng.normal(scale=math.sqrt(300.0 * KB / (40.0 * MASS)), size=(frames, atoms, 3))


def _white_level(interval_fs: float) -> float:
    """K cm: 300 K spread evenly up to the Nyquist wavenumber."""
    return 300.0 / (0.5 / interval_fs * PER_CM)


def of_rates() -> list[Row]:
    """The interval of a rate over 1000 draws, which holds every p at least as often as stated."""
    rows = []
    rng = np.random.default_rng(7)
    for p in (0.0, 0.1, 0.5, 0.9, 1.0):
        for trials in (1, 5, 20, 100):
            draws = rng.binomial(trials, p, size=1000).tolist()
            estimates = [(k / trials, *rate_interval(k, trials)) for k in draws]
            rows.append(judged("rates", "success rate", f"p = {p:g}, {trials} trials", estimates, p, bound=True))
    return rows


def of_quenches(n_draws: int, rng: np.random.Generator) -> list[Row]:
    """Mean predicted power over quenches, by the summary of ``predict``: a lognormal spread of 30 %, as far as those of ``pet-m:direct`` differ."""
    rows, width = [], 0.3
    for quenches in (2, 3, 5, 10):
        estimates = []
        for _ in range(n_draws):
            powers = np.exp(rng.normal(scale=width, size=quenches))
            same = {"status": Status.OK, "thermostat": "none", "tau_fs": None, "duration_fs": 160.0, "species": "all"}
            members = [
                {
                    **same,
                    "n_atoms": 192,
                    "stable": True,
                    "temperature_excess_K": None,
                    "power_meV_per_atom_per_ps": power,
                }
                for power in powers.tolist()
            ]
            [row] = summary_rows(members)
            estimates.append(symmetric(row["power_meV_per_atom_per_ps"], row["power_meV_per_atom_per_ps_se"]))
        truth = math.exp(width**2 / 2)
        rows.append(judged("quenches", "predicted power", f"{quenches} quenches", estimates, truth))
    return rows
