"""Adapters of models on a device that is not the CPU: energies, forces, stresses and Jacobian products are those of the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import simulated_device
import tiny_models
from ase import Atoms

from ncbench.models import loading
from ncbench.models.interface import ForceField
from ncbench.models.row import importable
from ncbench.structures.water import water_box
from ncbench.types import ModelRequest

pytestmark = pytest.mark.slow
RELATIVE = {"float32": 1e-4, "float64": 1e-9}
"""Of the largest entry: sums over some 100 neighbours and layers in another order, ε times the square root of 10⁴ terms, and tenfold for the cancellation of
forces; second derivatives have a tenth of that room."""


@dataclass(frozen=True)
class Case:
    """A model whose weights are bundled, in its package, or random."""

    spec: str
    needs: str
    """A module of its package."""
    script: tuple[str, ...] = ()
    """What makes random weights: a script of tests/tiny_checkpoints with its arguments."""
    simulated: bool = False
    """Whether the model is known to run on a device that its package does not know; TorchScript models, ORB and fairchem's cannot be moved there."""


CASES = (
    Case("pet-m:direct", "metatomic.torch"),
    Case("pet-m:conservative", "metatomic.torch"),
    Case("sevennet-0", "sevenn", simulated=True),
    Case("mace", "mace", ("tiny_mace.py",)),
    Case("orb-v2", "orb_models", ("tiny_orb.py", "orb-v2")),
    Case("orb-v3-direct-20-omat", "orb_models", ("tiny_orb.py", "orb-v3-direct-20-omat")),
    Case("equiformer", "fairchem.core.trainers", ("tiny_equiformer.py",)),
    Case("esen-sm-conserving-all-omol", "fairchem.core.units", ("tiny_fairchem.py", "conserving")),
    Case("esen-sm-direct-all-omol", "fairchem.core.units", ("tiny_fairchem.py", "direct")),
)


def load(case: Case, device: str, dtype: str) -> ForceField:
    path = None
    if case.script:
        path = tiny_models.checkpoint(*case.script, name=f"device-{case.spec}.{case.needs[:4]}.pt")
    return loading.load_forcefield(
        ModelRequest(spec=case.spec, device=device, dtype=dtype, checkpoint=path, trust_checkpoint=True)
    )


def close(one: np.ndarray, other: np.ndarray, relative: float) -> None:
    np.testing.assert_allclose(one, other, rtol=0, atol=relative * np.abs(other).max())


def compare(one: ForceField, on_cpu: ForceField, structures: Sequence[Atoms]) -> None:
    relative = RELATIVE[on_cpu.card.dtype]
    stress = on_cpu.card.has_stress
    results = [forcefield.evaluate(structures, stress=stress) for forcefield in (one, on_cpu)]
    for there, here in zip(*results, strict=True):
        close(there.forces, here.forces, relative)
        close(np.array([there.energy]), np.array([here.energy]), relative)
        if stress:
            close(there.stress, here.stress, 10 * relative)
    if not on_cpu.card.differentiable:
        return
    products = []
    for forcefield in (one, on_cpu):
        field = forcefield.bind(structures)
        positions = field.initial_positions()
        linearization = field.linearize(positions)
        vectors = positions.cos()
        products.append([linearization.vjp(vectors).cpu().numpy(), linearization.jvp(vectors).cpu().numpy()])
    for there, here in zip(*products, strict=True):
        close(there, here, 10 * relative)


def boxes() -> list[Atoms]:
    return [water_box(8, density_g_cm3=0.8, seed=seed) for seed in (1, 2)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.spec)
def test_an_adapter_gives_the_results_of_the_cpu(
    case: Case, dtype: str, other_device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not importable(case.needs):
        pytest.skip(f"needs {case.needs}")
    if other_device == simulated_device.NAME:
        if not case.simulated:
            pytest.skip(f"{case.spec} is not run on a device that {case.needs} does not know")
        monkeypatch.setattr(loading, "check_device", lambda device: None)
    forcefield = load(case, other_device, dtype)
    assert forcefield.card.device == other_device
    compare(forcefield, load(case, "cpu", dtype), boxes())
