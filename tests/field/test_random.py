"""Random structures and calculators: the result is that of a plain ASE loop, or one sentence gives the reason why not.

``FIELD_EXAMPLES=20000 pytest tests/field/test_random.py`` looks longer.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian
from ase.io import read, write
from habits import HABITS, Pairs, pair_potential, wrapped
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from ncbench.errors import NcbenchError, StructureWarning
from ncbench.run.messages import case_content, case_from, decode, encode
from ncbench.structures.hashing import content_hash
from ncbench.structures.load import load_cases
from ncbench.types import SystemRequest

EXAMPLES = int(os.environ.get("FIELD_EXAMPLES", "40"))
LOOK = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="FIELD_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def reads_everything(results: dict[str, Any], atoms: Atoms) -> None:
    """Scales energy and forces by everything ASE passes to a calculator besides geometry."""
    places = np.arange(1, len(atoms) + 1)
    scale = 1.0
    for weight, name in ((0.1, "charge"), (0.13, "total_charge"), (0.17, "spin"), (0.19, "temperature")):
        scale += weight * float(atoms.info.get(name, 0))
    scale += 0.01 * len(str(atoms.info.get("functional", "")))
    scale += 0.02 * float(atoms.get_initial_magnetic_moments().reshape(len(atoms), -1).sum(axis=1) @ places)
    scale += 0.03 * float(atoms.get_initial_charges() @ places) + 0.05 * float(atoms.get_tags() @ places)
    if "features" in atoms.arrays:
        scale += 0.07 * float(atoms.arrays["features"].sum(axis=1) @ places)
    scale += 0.001 * float(atoms.get_masses() @ places)
    # A calculator that has a free energy gives the one that belongs to its forces.
    for name in {"energy", "free_energy", "forces"} & results.keys():
        results[name] = results[name] * scale


SOUND = ("moves the atoms", "energy array of one", "energy array of one, 2-d", "stress (3, 3)", "reads charge")
UNSOUND = (
    "forces (1, N, 3)", "forces (3N,)", "forces (N + 1, 3)", "forces one NaN", "energy NaN", "energy an atom", "forces None",
    "stress NaN", "sys.exit",
)  # fmt: skip

numbers = st.floats(-3, 3, allow_nan=False, width=32)


PBC = [(True, True, True), (True, True, False), (False, False, True), (False, False, False)]
INFO = {
    "charge": st.integers(-2, 2),
    "total_charge": st.integers(-2, 2),
    "spin": st.integers(1, 3),
    "functional": st.sampled_from(["PBE", "r2SCAN"]),
    "temperature": st.integers(0, 400),
    "energy_dft": numbers,
    "REF_energy": numbers,
}
ARRAYS = {
    "masses": lambda rng, n: rng.uniform(1, 200, n),
    "initial_magmoms": lambda rng, n: rng.integers(-2, 3, n).astype(float),
    "initial_charges": lambda rng, n: rng.integers(-1, 2, n).astype(float),
    "tags": lambda rng, n: rng.integers(0, 3, n),
    "features": lambda rng, n: rng.integers(0, 5, (n, 2)).astype(float),
    "momenta": lambda rng, n: rng.normal(size=(n, 3)),
}
KINDS = ["plain", "plain", "left-handed", "skewed"]
WRONG = {
    "charge in words": lambda atoms: atoms.info.__setitem__("charge", "neutral"),
    "charge NaN": lambda atoms: atoms.info.__setitem__("charge", float("nan")),
    "charge None": lambda atoms: atoms.info.__setitem__("charge", None),
    "mass zero": lambda atoms: atoms.arrays.__setitem__("masses", np.zeros(len(atoms))),
    "mass NaN": lambda atoms: atoms.arrays.__setitem__("masses", np.full(len(atoms), np.nan)),
    "no cell": lambda atoms: atoms.set_cell(None),
    "singular cell": lambda atoms: atoms.set_cell([atoms.cell[0], atoms.cell[1], atoms.cell[0] + atoms.cell[1]]),
}


@st.composite
def structures(draw, *, awkward: bool = True) -> Atoms:
    """One to six atoms in any cell, with any attached data; ``awkward`` ones may be invalid."""
    n = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cell = rng.normal(scale=1.0, size=(3, 3)) + np.diag(rng.uniform(4, 9, 3))
    kind = draw(st.sampled_from(KINDS))
    if kind == "left-handed":
        cell = cell[[1, 0, 2]]
    elif kind == "skewed":
        cell[1] += 3 * cell[0]
    symbols = draw(st.lists(st.sampled_from(["H", "O", "Al", "Si"]), min_size=n, max_size=n))
    atoms = Atoms(symbols, positions=rng.uniform(0, 6, (n, 3)), cell=cell, pbc=draw(st.sampled_from(PBC)))
    atoms.positions += draw(st.sampled_from([0.0, 0.0, 1e3, -1e6]))
    if draw(st.booleans()):
        atoms.positions += (rng.integers(-50, 51, (n, 3)) * atoms.pbc) @ cell
    for key in draw(st.sets(st.sampled_from(sorted(INFO)), max_size=3)):
        atoms.info[key] = draw(INFO[key])
    for key in draw(st.sets(st.sampled_from(sorted(ARRAYS)), max_size=3)):
        atoms.set_array(key, ARRAYS[key](rng, n))
    if draw(st.integers(0, 2)) == 0:
        atoms.set_constraint(draw(st.sampled_from([FixAtoms([0]), FixCartesian([n - 1], mask=(True, False, False))])))
    if awkward and draw(st.integers(0, 3)) == 0:
        WRONG[draw(st.sampled_from(sorted(WRONG)))](atoms)
    return atoms


def calculator(name: str) -> Pairs:
    return Pairs(reads_everything if name == "reads everything" else None if name == "sound" else HABITS[name])


def by_ase(atoms: Atoms, name: str) -> tuple[float, np.ndarray]:
    """Energy and raw forces from a new calculator and a new Atoms object."""
    copy = atoms.copy()
    copy.set_constraint()
    energy, forces, _ = pair_potential(copy)
    results = {"energy": energy, "free_energy": energy, "forces": forces}
    if name in ("reads everything", "reads charge"):
        (reads_everything if name == "reads everything" else HABITS[name])(results, copy)
    return results["free_energy"], results["forces"]


def through_a_file(folder, frames: list[Atoms], kind: str) -> tuple[list[Atoms], list[Atoms]]:
    """The frames as ASE reads them back from a file of this kind, and as ncbench does."""
    path = folder / f"frames.{kind}"
    write(path, frames)
    plain = read(path, ":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StructureWarning)
        return plain, [case.atoms for case in load_cases(SystemRequest(path=str(path)), len(frames), 0)]


@LOOK
@given(
    frames=st.lists(structures(awkward=False), min_size=1, max_size=4) | st.lists(structures(), min_size=1, max_size=4),
    kind=st.sampled_from(["traj", "xyz"]),
    name=st.sampled_from(["sound", "reads everything", "reads everything", *SOUND, *UNSOUND]),
    order=st.randoms(use_true_random=False),
)
def test_results_are_those_of_a_plain_ase_loop(tmp_path, frames, kind, name, order) -> None:
    try:
        plain, loaded = through_a_file(tmp_path, frames, kind)
        forcefield = wrapped(calculator(name))
        asked = [loaded[order.randrange(len(loaded))] for _ in range(6)]
        results = forcefield.evaluate(asked, stress=all(atoms.cell.rank == 3 and atoms.pbc.any() for atoms in asked))
    except NcbenchError as error:
        refusal = str(error)
    else:
        refusal = None
    if refusal is not None:
        assert refusal.strip()
        event("refused")
        return
    event("compared")
    originals = {id(atoms): frame for atoms, frame in zip(loaded, plain, strict=True)}
    for atoms, result in zip(asked, results, strict=True):
        if lost := result.not_finite(has_energy=True):
            assert name in UNSOUND
            assert lost in name
            continue
        assert name not in UNSOUND or (name.startswith("stress") and result.stress is None)
        energy, forces = by_ase(originals[id(atoms)], name)
        # The same operations on the same bits.
        assert result.energy == pytest.approx(energy, rel=1e-13, abs=1e-13)
        assert np.abs(result.forces - forces).max() <= 1e-13 * max(1.0, np.abs(forces).max())


@LOOK
@given(frames=st.lists(structures(awkward=False), min_size=2, max_size=3), data=st.data())
def test_a_bound_field_depends_only_on_positions(frames, data) -> None:
    size = min(len(atoms) for atoms in frames)
    alike = [atoms[:size] for atoms in frames]
    forcefield = wrapped(calculator("reads everything"))
    try:
        bound = forcefield.bind(alike)
    except NcbenchError:
        return
    for _ in range(2):
        moves = [data.draw(st.integers(0, 10_000)) for _ in alike]
        positions = np.stack(
            [
                a.positions + np.random.default_rng(m).uniform(-0.2, 0.2, (size, 3))
                for a, m in zip(alike, moves, strict=True)
            ]
        )
        output = bound(torch.as_tensor(positions))
        for replica, atoms in enumerate(alike):
            moved = atoms.copy()
            moved.set_constraint()
            moved.positions = positions[replica]
            energy, forces = by_ase(moved, "reads everything")
            assume(np.isfinite(forces).all())
            assert float(output.energy[replica]) == pytest.approx(energy, rel=1e-13, abs=1e-13)
            assert np.abs(output.forces[replica].numpy() - forces).max() <= 1e-13 * max(1.0, np.abs(forces).max())


@LOOK
@given(
    first=structures(awkward=False), second=structures(awkward=False), mix=st.sampled_from(["info", "arrays", "both"])
)
def test_equal_digests_mean_equal_results(first, second, mix) -> None:
    # The same geometry with the additional data of another structure.
    other = first.copy()
    if mix != "arrays":
        other.info = dict(second.info)
    if mix != "info":
        for key in ("masses", "tags", "initial_charges", "initial_magmoms", "features"):
            other.arrays.pop(key, None)
            if key in second.arrays and len(second) >= len(first):
                other.set_array(key, second.arrays[key][: len(first)])
    try:
        wrapped(calculator("sound")).check([first])
    except NcbenchError:
        return
    if content_hash(first) == content_hash(other):
        assert by_ase(first, "reads everything")[0] == by_ase(other, "reads everything")[0]
    same = first.copy()
    same.info["energy_dft"] = 17.0
    assert content_hash(same) == content_hash(first)


@LOOK
@given(
    frames=st.lists(structures(awkward=False), min_size=1, max_size=2), repeat=st.sampled_from([(1, 1, 1), (2, 1, 1)])
)
def test_a_worker_receives_the_structure_unchanged(tmp_path, frames, repeat) -> None:
    path = tmp_path / "frames.traj"
    write(path, frames)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StructureWarning)
            cases = load_cases(SystemRequest(path=str(path), repeat=repeat), len(frames), 0)
    except NcbenchError:
        return
    for case in cases:
        line = encode("case", case=case_content(case))
        there = case_from(decode(line)["case"])
        assert content_hash(there.atoms) == content_hash(case.atoms)
        assert by_ase(there.atoms, "reads everything")[0] == by_ase(case.atoms, "reads everything")[0]
