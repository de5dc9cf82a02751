"""Force constants of fields whose dependence on the displacement is known in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from known_fields import Well, card

from ncbench.models.interface import Evaluation, Field, FieldOutput, ForceField
from ncbench.models.loading import load_forcefield
from ncbench.prediction.phonons import CONVERGED, Smoothness, displace, judge
from ncbench.types import ModelRequest
from ncbench.units import WAVENUMBER

LENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1)
SPRING = 5.0
Pull = Callable[[torch.Tensor], torch.Tensor]


class _PullField(Field):
    def __init__(self, structures: Sequence[Atoms], pull: Pull) -> None:
        super().__init__(structures, torch.device("cpu"))
        self.pull = pull
        self.sites = torch.as_tensor(np.stack([atoms.arrays["sites"] for atoms in structures]))

    def __call__(self, positions: torch.Tensor) -> FieldOutput:
        return FieldOutput(torch.zeros(len(positions), dtype=torch.float64), self.pull(positions - self.sites))


class _Pulled(ForceField):
    """f_i = pull(u_i): a function of each coordinate's displacement u from its site alone."""

    def __init__(self, pull: Pull) -> None:
        self.card = card("pulled")
        self.pull = pull

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        return _PullField(structures, self.pull)

    def _evaluate(self, structures: Sequence[Atoms], *, stress: bool) -> list[Evaluation]:
        fields = [self._bind([atoms])(torch.as_tensor(atoms.positions)[None]) for atoms in structures]
        return [Evaluation(0.0, one.forces[0].numpy()) for one in fields]


@pytest.fixture
def atoms() -> Atoms:
    made = Atoms("ArXeAr", positions=[[0.0, 0, 0], [3.0, 0, 0], [0, 3.0, 1.0]])
    made.set_array("sites", made.positions.copy())
    return made


def measure(forcefield: ForceField, atoms: Atoms, **options: Any):
    given = {"batch": 2, "rng": np.random.default_rng(0)} | options
    return displace(forcefield, atoms, LENGTHS, **given)


@pytest.mark.parametrize("kappa", [0.0, 1.0])
def test_harmonic_frequencies_are_the_same_for_every_displacement(atoms: Atoms, kappa: float) -> None:
    """Also with a solenoidal force, whose part of J is antisymmetric."""
    found = measure(Well(SPRING, kappa), atoms)
    # Site springs hold all 3N modes: ω² = k/m.
    expected = np.sort(np.sqrt(SPRING / np.repeat(atoms.get_masses(), 3))) / WAVENUMBER
    # Rounding of a difference: ε·r/h = 2e-16 · 3 / 1e-3 of the spring constant.
    np.testing.assert_allclose(found.frequencies_per_cm, np.tile(expected, (len(LENGTHS), 1)), rtol=1e-11)
    assert found.change.max() < 1e-11
    assert found.verdict is Smoothness.CONVERGES


def test_change_of_a_quartic_energy_falls_with_the_square(atoms: Atoms) -> None:
    """f = −k u − c u³: Φ(h) = k + c h² on the diagonal, exactly."""
    stiff = 200.0
    found = measure(_Pulled(lambda u: -SPRING * u - stiff * u**3), atoms)
    diagonal = SPRING + stiff * np.square(LENGTHS)
    np.testing.assert_allclose(found.change, np.diff(diagonal) / diagonal[1:], rtol=1e-6)
    expected = np.sqrt(diagonal / atoms.get_masses().min()) / WAVENUMBER
    np.testing.assert_allclose(found.frequencies_per_cm[:, -1], expected, rtol=1e-9)
    assert found.verdict is Smoothness.CONVERGES


def test_a_kink_makes_frequencies_grow_as_displacements_become_shorter(atoms: Atoms) -> None:
    """f = −k u − a sign(u): Φ(h) = k + a/h."""
    jump = 0.02
    found = measure(_Pulled(lambda u: -SPRING * u - jump * torch.sign(u)), atoms)
    diagonal = SPRING + jump / np.array(LENGTHS)
    np.testing.assert_allclose(found.change, -np.diff(diagonal) / diagonal[1:], rtol=1e-6)
    assert found.verdict is Smoothness.ROUGH


def test_noise_of_the_forces_is_in_the_floor(atoms: Atoms) -> None:
    """Rounding of the forces alone, here to 1e-3 eV/Å: no verdict 'rough' of a harmonic field."""
    drawn = np.random.default_rng(3)

    def noisy(u: torch.Tensor) -> torch.Tensor:
        return -SPRING * u + 1e-3 * torch.as_tensor(drawn.normal(size=tuple(u.shape)))

    found = [measure(_Pulled(noisy), atoms, rng=np.random.default_rng(seed)) for seed in range(20)]
    ratio = np.array([one.change / one.floor for one in found])
    # 72 differences estimate the noise to 8 %; changes of 81 entries scatter by another 10 %.
    assert ratio.min() > 0.6
    assert ratio.max() < 1.6
    assert {one.verdict for one in found} <= {Smoothness.CONVERGES, Smoothness.UNRESOLVED}


def test_rounding_of_pair_vectors_is_in_the_floor() -> None:
    """Distances in float64 whose result is rounded to float32: a translation alone would not show it."""
    argon = bulk("Ar", "fcc", 5.25, cubic=True)
    found = measure(load_forcefield(ModelRequest(spec="analytic-lj", dtype="float32")), argon)
    # Forces of 1e-3 eV/Å and ε of 1e-7 over h = 1e-3 Å: at least 1e-8 of a stiffness of 1 eV/Å² is rounding.
    assert found.floor[0] > 1e-8
    assert found.verdict is Smoothness.CONVERGES


def test_free_translations_are_left_out() -> None:
    argon = bulk("Ar", "fcc", 5.25, cubic=True)
    found = measure(load_forcefield(ModelRequest(spec="analytic-lj")), argon)
    assert found.frequencies_per_cm.shape == (len(LENGTHS), 9)
    assert found.frequencies_per_cm.min() > 5.0
    # Symmetric displacements and a smooth pair potential: h² of the third derivative of the forces.
    assert found.verdict is Smoothness.CONVERGES


@pytest.mark.parametrize(
    ("change", "floor", "expected"),
    [
        ([1e-4, 1e-3, 1e-2], [1e-5] * 3, Smoothness.CONVERGES),
        ([0.3, 0.1, 0.03], [1e-3] * 3, Smoothness.ROUGH),
        # Hidden by rounding at the shortest pair, known at the next one.
        ([0.3, 1e-3, 1e-2], [0.2, 1e-4, 1e-5], Smoothness.CONVERGES),
        # A small change at long displacements does not cover a large resolved one at short ones.
        ([0.3, 1e-3, 1e-2], [0.01, 1e-4, 1e-5], Smoothness.ROUGH),
        ([0.3, 0.1, 0.03], [0.2, 0.1, 0.02], Smoothness.UNRESOLVED),
        # Falling, but every displacement is too long.
        ([0.05, 0.2, 0.4], [1e-3] * 3, Smoothness.UNRESOLVED),
        ([np.nan, 0.1, 0.03], [1e-3] * 3, Smoothness.UNRESOLVED),
        # Two lengths have one change: it can be small, and nothing shows whether it falls.
        ([0.3], [1e-3], Smoothness.UNRESOLVED),
        ([0.5 * CONVERGED], [1e-4], Smoothness.CONVERGES),
    ],
)
def test_verdicts(change: list[float], floor: list[float], expected: Smoothness) -> None:
    assert judge(np.array(change), np.array(floor)) is expected
