"""λ(h): a plateau where there is one, and the reason where there is none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from ase import Atoms
from known_fields import Well, WellField

from ncbench.jacobian.step_scan import STEPS_A, Verdict, choose_step, judge, scan
from ncbench.models.interface import FieldOutput

KAPPA, K = 0.8, 5.0
CLOSED_FORM = float(np.sqrt(2 * KAPPA**2 / (3 * K**2 + 2 * KAPPA**2)))


class Spoilt(Well):
    """Harmonic wells with a curl, and something added to the forces."""

    def __init__(self, extra: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__(K, KAPPA)
        self.extra = extra

    def _bind(self, structures):
        field, extra = super()._bind(structures), self.extra

        class Added(WellField):
            def __call__(self, positions: torch.Tensor) -> FieldOutput:
                output = field(positions)
                return FieldOutput(output.energy, output.forces + extra(positions))

        return Added(structures, self.k, self.kappa)


def row_of_atoms(n: int = 8) -> Atoms:
    atoms = Atoms(f"Ar{n}", positions=4.0 * np.arange(n)[:, None] * np.array([1.0, 0.25, 0.5]))
    atoms.arrays["sites"] = atoms.positions - 0.1
    return atoms


def noise(size: float):
    rng = torch.Generator().manual_seed(0)
    return lambda positions: size * torch.randn(positions.shape, generator=rng, dtype=torch.float64)


def jumps(size: float):
    """A sum of steps at random places with random signs, a million an ångström: Brownian in the coordinate."""
    path = torch.as_tensor(np.cumsum(np.random.default_rng(1).choice([-1.0, 1.0], size=4_000_000)))
    return lambda positions: size * path[((positions + 40.7) * 1e6).long() % len(path)]


def measure(forcefield, **settings):
    return scan(forcefield, row_of_atoms(), batch=3, rng=np.random.default_rng(0), **settings)


def test_a_smooth_field_has_a_plateau_at_its_lambda():
    result = measure(Well(K, KAPPA))
    assert result.verdict is Verdict.PLATEAU
    assert result.force_calls == 2 * 8 * 13
    # Eight ±1 vectors: pairs of them scatter, the same at every step; the scatter of the estimate is tested elsewhere.
    assert np.allclose(result.lam, result.lam[0], rtol=1e-8)
    many = measure(Well(K, KAPPA), probes=200, steps_A=np.array([1e-3, 2e-3, 4e-3]))
    assert many.lam[0] == pytest.approx(CLOSED_FORM, rel=0.05)


def test_truncation_error_dominates_large_steps():
    result = measure(Spoilt(lambda x: -2000.0 * (x - x.round()) ** 3))
    assert result.verdict is Verdict.PLATEAU
    assert result.best_step_A < 1e-2
    assert result.change[-1] > 10 * result.change[0]


def test_noise_dominates_at_every_step():
    result = measure(Spoilt(noise(0.3)))
    assert result.verdict is Verdict.NOISE
    # The noise makes an error σ√2/2h in each component, twice as large at every second step down.
    assert result.change[0] > 0.5
    assert np.isfinite(result.lam).all()


def test_some_noise_leaves_a_plateau():
    result = measure(Spoilt(noise(1e-4)))
    assert result.verdict is Verdict.PLATEAU
    # σ/hk below 3 % from 7e-4 Å up.
    assert result.best_step_A > 1e-3


def test_discontinuous_forces_are_reported():
    assert measure(Spoilt(jumps(2e-3))).verdict is Verdict.JUMPS


@pytest.mark.parametrize(("power", "verdict"), [(-1.0, Verdict.NOISE), (-0.5, Verdict.JUMPS)])
def test_verdict_follows_the_power_of_the_step(power, verdict):
    steps = STEPS_A["float64"]
    change = 0.1 * (steps[1:] / steps[-1]) ** power
    assert judge(steps, np.minimum(change, 1.0), change)[0] is verdict
    assert judge(steps, change / 10, change)[0] is Verdict.PLATEAU


def test_forces_that_are_not_finite_have_no_plateau():
    result = measure(Spoilt(lambda x: x * torch.nan))
    assert result.verdict is Verdict.JUMPS
    assert np.isnan(result.lam).all()


def test_the_step_is_chosen_from_the_noise_of_the_model():
    rng = np.random.default_rng(0)
    clean = choose_step(Well(K, KAPPA), row_of_atoms(), rng=rng, default_A=1e-3)
    noisy = choose_step(Spoilt(noise(2e-4)), row_of_atoms(), rng=rng, default_A=1e-3, directions=2)
    # Seven steps along one direction; 24 columns are few.
    assert clean.force_calls == 14
    assert 1e-4 <= clean.step_A <= 1e-2
    # With this noise D(1e-3 Å) is some 3 %: a longer step is better.
    assert noisy.step_A > 2e-3
    hopeless = choose_step(Spoilt(noise(1.0)), row_of_atoms(), rng=rng, default_A=1e-3)
    assert hopeless.step_A == 1e-3


def test_many_columns_are_scanned_along_two_directions():
    assert choose_step(Well(K, KAPPA), row_of_atoms(17), rng=np.random.default_rng(0), default_A=1e-3).force_calls == 28


def test_the_products_that_chose_the_step_are_at_the_next_ones():
    choice = choose_step(Spoilt(noise(2e-4)), row_of_atoms(), rng=np.random.default_rng(0), default_A=1e-3)
    assert choice.along is not None
    assert choice.along.vectors.shape == (1, 24)
    assert choice.along.products.shape == (2, 1, 24)
    shorter, longer = choice.along.steps_A
    assert shorter < choice.step_A < longer


def test_a_step_needs_no_plateau_if_it_is_better_than_the_default():
    """A ripple of 0.013 Å, q = 1/2 mÅ: sin(qh)/qh changes by some 4 % between 0.5 and 1.1 mÅ, and by far more from there to the default of 5 mÅ."""
    field = Spoilt(lambda x: 0.05 * torch.sin(x / 0.002))
    steps = 5e-3 * np.logspace(-1, 1, 7)
    scanned = scan(field, row_of_atoms(), batch=1, rng=np.random.default_rng(0), steps_A=steps, probes=1)
    assert 0.03 < scanned.change.min() == scanned.change[0] < 0.3
    choice = choose_step(field, row_of_atoms(), rng=np.random.default_rng(0), default_A=5e-3)
    assert choice.step_A == pytest.approx(np.sqrt(steps[0] * steps[1]))
