"""Messages between processes are received as sent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms

from ncbench.diagnostics import registry
from ncbench.run.messages import (
    case_content,
    case_from,
    decode,
    encode,
    job_content,
    job_from,
    outcome_content,
    outcome_from,
    rebuilt,
)
from ncbench.store.keys import plain
from ncbench.structures.hashing import content_hash
from ncbench.types import Budget, Case, Job, ModelRequest, Outcome, Status, SystemRequest


def sent(**content):
    return decode(encode("test", **content))


@pytest.mark.parametrize("budget", Budget)
@pytest.mark.parametrize("name", registry.diagnostics())
def test_jobs_of_every_diagnostic_are_received_unchanged(name, budget):
    job = Job(
        diagnostic=name,
        model=ModelRequest(
            spec="mace", dtype="float64", checkpoint="x.model", options=(("head", "a"), ("tf32", "off"))
        ),
        system=SystemRequest(name="water64", structures=3, repeat=(1, 2, 3)),
        settings=registry.get(name).presets[budget],
        seed=7,
        reference=ModelRequest(spec="pet-m:direct"),
        default_structures=2,
    )
    assert job_from(sent(job=job_content(job))["job"]) == job


@dataclass(frozen=True)
class Inner:
    level: Budget
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Unusual:
    inner: Inner
    limit: float
    table: dict[str, float]
    way: Literal["a", "b"] | None = None
    pair: tuple[int, str] = (0, "")
    either: int | str = 0


def test_settings_of_unusual_types_are_received_unchanged():
    settings = Unusual(Inner(Budget.PAPER, (1, 2)), math.inf, {"x": 1.0}, "b", (3, "y"), "z")
    assert rebuilt(Unusual, sent(settings=plain(settings))["settings"]) == settings
    with pytest.raises(TypeError, match="'c' is not one of"):
        rebuilt(Unusual, {**plain(settings), "way": "c"})
    with pytest.raises(TypeError, match="True is no"):
        rebuilt(int, True)


def test_structures_are_received_bitwise_identical():
    rng = np.random.default_rng(0)
    atoms = Atoms("OH2", positions=rng.normal(size=(3, 3)) / 3, cell=rng.normal(size=(3, 3)), pbc=[True, False, True])
    atoms.set_momenta(rng.normal(size=(3, 3)))
    atoms.set_array("sites", rng.normal(size=(3, 3)))
    atoms.set_array("forces_dft", rng.normal(size=(3, 3)).astype(np.float32))
    atoms.set_constraint(FixAtoms([1]))
    atoms.info.update(charge=-1, energy_dft=0.1 + 0.2, label="näher", shift=np.ones(3), remark=object())
    case = case_from(sent(case=case_content(Case("w#0", atoms)))["case"])
    assert case.name == "w#0"
    assert content_hash(case.atoms) == content_hash(atoms)
    assert set(case.atoms.arrays) == set(atoms.arrays)
    for name, values in atoms.arrays.items():
        assert case.atoms.arrays[name].dtype == values.dtype
        assert np.array_equal(case.atoms.arrays[name], values)
    assert case.atoms.info.pop("shift").tolist() == [1.0, 1.0, 1.0]
    assert case.atoms.info == {"charge": -1, "energy_dft": 0.1 + 0.2, "label": "näher"}
    assert case.atoms.constraints[0].index.tolist() == [1]
    # A model may write into what it is given.
    case.atoms.positions += 1.0


def test_rows_are_received_unchanged():
    row = {
        "status": Status.OK,
        "n": np.int64(3),
        "x": np.float64(1 / 3),
        "nan": math.nan,
        "yes": np.bool_(True),
        "no": None,
    }
    back = outcome_from(sent(outcome=outcome_content(Outcome([row], {"series": [{"t": 0.1}]})))["outcome"])
    (same,) = back.rows
    assert math.isnan(same.pop("nan"))
    assert same == {"status": "ok", "n": 3, "x": 1 / 3, "yes": True, "no": None}
    assert back.side == {"series": [{"t": 0.1}]}


def test_values_that_are_not_data_are_not_sent():
    with pytest.raises(TypeError, match="object cannot be sent"):
        encode("test", value=object())
    with pytest.raises(TypeError, match="ndarray cannot be sent"):
        encode("test", value=np.array([object()]))
    with pytest.raises(ValueError, match="not a message"):
        decode(b"[]")
