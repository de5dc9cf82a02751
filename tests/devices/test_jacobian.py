"""Jacobians, work around loops and stresses on a device that is not the CPU: the same numbers, copied to the host once for each model call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from device_cases import crystal, larger, model
from simulated_device import NAME, synchronisations

from ncbench.jacobian import dense
from ncbench.jacobian.autograd_check import autograd_defect
from ncbench.jacobian.closed_paths import planar_loop
from ncbench.jacobian.coloured import coloured
from ncbench.jacobian.probes import pair_probes, product_probes, transposed_probes
from ncbench.jacobian.step_scan import scan
from ncbench.jacobian.stress_asymmetry import stress_asymmetry
from ncbench.jacobian.work import integrate
from ncbench.models.interface import ForceField

pytestmark = pytest.mark.simulated


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


PROBES: dict[str, Any] = {"probes": 24, "target_error": None, "batch": 2}
METHODS: dict[str, Callable[[ForceField, Atoms], Any]] = {
    "exact": lambda f, atoms: dense.exact(f, atoms, batch=5, rng=generator()).matrix,
    "differences": lambda f, atoms: dense.finite_difference(f, atoms, batch=5, rng=generator()).matrix,
    "products in both directions": lambda f, atoms: product_probes(f, atoms, rng=generator(), **PROBES).lam,
    "products in one direction": lambda f, atoms: transposed_probes(f, atoms, rng=generator(), **PROBES).lam,
    "random differences": lambda f, atoms: pair_probes(f, atoms, rng=generator(), step_A=1e-3, **PROBES).lam,
    "colours": lambda f, atoms: coloured(f, atoms, batch=3, rng=generator(), reach_A=1.0).jacobian.lam,
    "steps": lambda f, atoms: scan(f, atoms, batch=2, rng=generator(), steps_A=np.array([1e-4, 3e-4, 1e-3])).lam,
    "check of autograd": lambda f, atoms: autograd_defect(f, atoms, generator()),
}


@pytest.mark.parametrize("name", ["analytic-solenoidal", "analytic-harmonic"])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_gives_the_numbers_of_the_cpu(method: str, name: str) -> None:
    # The same operations in the same order, and numpy after the copy to the host: equal bit by bit.
    on_device, on_cpu = (METHODS[method](model(name, device), crystal()) for device in (NAME, "cpu"))
    np.testing.assert_array_equal(on_device, on_cpu)


@pytest.mark.parametrize("name", ["analytic-solenoidal", "analytic-harmonic"])
def test_products_do_not_make_the_host_wait(name: str) -> None:
    field = model(name, NAME).bind([crystal(), crystal(1)])
    positions = field.initial_positions()
    vectors = positions * 0.0 + 1.0
    with synchronisations() as waits:
        linearization = field.linearize(positions)
        linearization.vjp(vectors)
        linearization.jvp(vectors)
    assert not waits, list(map(str, waits))


def test_a_dense_jacobian_waits_once_for_each_batch_of_rows() -> None:
    count = 12
    with synchronisations() as waits:
        dense.exact(model("analytic-solenoidal", NAME), crystal(), batch=4, rng=generator())
    copied = [str(wait) for wait in waits if wait.operation == "copy to the host" and "_rows" in wait.where]
    # The rows, and those computed again for the rounding error.
    assert len(copied) == count // 4 + dense.CHECK_ROWS // 4, copied


@pytest.mark.parametrize("batch", [1, 4])
def test_a_work_loop_gives_the_numbers_of_the_cpu(batch: int) -> None:
    atoms = crystal()
    path = planar_loop(atoms, 0.1, generator(), "planar")
    limits: dict[str, Any] = {"points": 8, "max_points": 16, "tolerance": 1e-9, "batch": batch}
    on_device, on_cpu = (
        integrate(model("analytic-solenoidal", device), atoms, path, rng=generator(), **limits)
        for device in (NAME, "cpu")
    )
    assert on_device.work == on_cpu.work != 0.0
    np.testing.assert_array_equal(on_device.energy, on_cpu.energy)


def test_the_stress_gives_the_numbers_of_the_cpu() -> None:
    on_device, on_cpu = (
        stress_asymmetry(model("analytic-lj", device), larger(), rng=generator(), probes=2, exact_max_atoms=100)
        for device in (NAME, "cpu")
    )
    assert on_device == on_cpu
    results = [model("analytic-lj", device).evaluate([larger()], stress=True)[0] for device in (NAME, "cpu")]
    np.testing.assert_array_equal(results[0].stress, results[1].stress)


def test_an_evaluation_copies_each_batch_once() -> None:
    with synchronisations() as waits:
        model("analytic-solenoidal", NAME).evaluate([crystal(seed) for seed in range(5)])
    # Energies and forces.
    assert sum(wait.operation == "copy to the host" for wait in waits) == 2, list(map(str, waits))
