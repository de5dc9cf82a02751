"""ORB on equal weights in orb-models 0.5 and 0.7: numbers recorded with 0.5.5 are those that any version must give.

The weights are a formula, so that each environment can make the same file. ``UPDATE_ORB_NUMBERS=1`` records again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch

from ncbench.models.trial import quiet_library

pytestmark = [pytest.mark.models("orb_models"), pytest.mark.slow]
RECORDED = Path(__file__).with_name("orb_0.5.5.json")
NAMES = (
    "orb-v2",
    "orb-v3-direct-20-omat",
    "orb-v3-direct-inf-omat",
    "orb-v3-conservative-20-omat",
    "orb-v3-conservative-omol",
    "orb-v3-direct-omol",
    "orb-v3-conservative-omol charge=-1 spin=2",
    "orb-v3-direct-omol charge=-1 spin=2",
)
"""Models, with the options of the evaluation."""


def _numbers(name: str) -> dict[str, list[list[float]]]:
    """Energy with the first three forces, eV and eV/Å, and the stress, eV/Å³, of each structure, in float64."""
    name, *options = name.split()
    path = tiny_models.checkpoint("tiny_orb.py", name, "--layers", "2", "--formula", name=f"{name}-formula.ckpt")
    forcefield = tiny_models.load(name, path, dtype="float64", **dict(one.split("=") for one in options))
    numbers = {}
    for structure, atoms in zip(("box", "molecule"), tiny_models.water(), strict=True):
        stressed = forcefield.card.has_stress and bool(atoms.pbc.all())
        result = forcefield.evaluate([atoms], stress=stressed)[0]
        rows = [[result.energy], *result.forces[:3].tolist()]
        if result.stress is not None:
            rows += result.stress.tolist()
        numbers[structure] = rows
    return numbers


@pytest.mark.parametrize("name", NAMES)
def test_results_equal_those_of_version_0_5_5(name: str) -> None:
    pytest.importorskip("orb_models")
    numbers = _numbers(name)
    known = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    if os.environ.get("UPDATE_ORB_NUMBERS"):
        RECORDED.write_text(json.dumps({**known, name: numbers}, indent=1))
        return
    assert numbers.keys() == known[name].keys()
    for structure, rows in numbers.items():
        flat, recorded = (np.concatenate(one) for one in (rows, known[name][structure]))
        assert flat.shape == recorded.shape
        assert np.abs(recorded[1:]).max() > 1e-3
        # Sums of some 10⁴ float64 terms in another order; the energy is a difference of references of up to 16,500 eV. The
        # library keeps constants of its pair repulsion in float32, which 0.5 and 0.7 round alike.
        np.testing.assert_allclose(flat, recorded, rtol=1e-9, atol=1e-9)


def test_orbmol_with_electrostatics_runs_by_its_own_calculator() -> None:
    library = pytest.importorskip("ncbench.models.families.orb.library")
    if not library.NEW:
        pytest.skip("orbmol-v2 needs orb-models 0.7")
    path = tiny_models.checkpoint("tiny_orb.py", "orbmol-v2", "--layers", "2", name="orbmol-v2.ckpt")
    forcefield = tiny_models.load("orbmol-v2", path, charge="-1", spin="2")
    assert not forcefield.card.differentiable
    from orb_models.forcefield.inference.calculator import ORBCalculator
    from orb_models.forcefield.pretrained import orbmol_v2

    atoms = tiny_models.water()[1]
    with quiet_library(), library.with_layers_of(torch.load(path, weights_only=True)):
        model, structures = orbmol_v2(weights_path=path, device="cpu", precision="float32-highest", compile=False)
    own = atoms.copy()
    own.info.update(charge=-1, spin=2)
    own.calc = ORBCalculator(model, structures, device="cpu")
    result = forcefield.evaluate([atoms])[0]
    np.testing.assert_allclose(result.forces, own.get_forces(), atol=1e-5 * np.abs(own.get_forces()).max())
    assert result.energy == pytest.approx(own.get_potential_energy(), abs=1e-4)
    other = tiny_models.load("orbmol-v2", path).evaluate([atoms])[0]
    assert np.abs(other.forces - result.forces).max() > 1e-3 * np.abs(result.forces).max()
    # Its forces are those of the sum with electrostatics: minus the differences of the energy.
    step, moved = 0.01, []
    for sign in (1, -1):
        shifted = atoms.copy()
        shifted.positions[0, 0] += sign * step
        moved.append(shifted)
    energies = [one.energy for one in forcefield.evaluate(moved)]
    assert -(energies[0] - energies[1]) / (2 * step) == pytest.approx(
        result.forces[0, 0], abs=0.01 * np.abs(result.forces).max()
    )
