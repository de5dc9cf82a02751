"""Random structures and random calculators: the result is that of a plain ASE loop, or a sentence says why there is none.

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
from ase.io import write
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
    """Scales energy and forces by all that ASE lets a calculator see beside geometry."""
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
    for name in ("energy", "forces"):
        results[name] = results[name] * scale


SOUND = ("moves the atoms", "energy array of one", "energy array of one, 2-d", "stress (3, 3)", "reads charge")
UNSOUND = (
    "forces (1, N, 3)", "forces (3N,)", "forces (N + 1, 3)", "forces one NaN", "energy NaN", "energy an atom", "forces None",
    "stress NaN", "sys.exit",
)  # fmt: skip

numbers = st.floats(-3, 3, allow_nan=False, width=32)


@st.composite
def structures(draw, *, awkward: bool = True) -> Atoms:
    """One to six atoms in any cell, with any of what people attach."""
    n = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    symbols = draw(st.lists(st.sampled_from(["H", "O", "Al", "Si"]), min_size=n, max_size=n))
    cell = rng.normal(scale=1.0, size=(3, 3)) + np.diag(rng.uniform(4, 9, 3))
    pbc = draw(st.sampled_from([(True, True, True), (True, True, False), (False, False, True), (False, False, False)]))
    kind = draw(st.sampled_from(["plain", "left-handed", "skewed", "singular", "none"] if awkward else ["plain"]))
    if kind == "left-handed":
        cell = cell[[1, 0, 2]]
    elif kind == "skewed":
        cell[1] += 3 * cell[0]
    elif kind == "singular":
        cell[2] = cell[0] + cell[1]
    atoms = Atoms(symbols, positions=rng.uniform(0, 6, (n, 3)), cell=None if kind == "none" else cell, pbc=pbc)
    if kind == "none" and draw(st.booleans()):
        atoms.pbc = False
    atoms.positions += draw(st.sampled_from([0.0, 0.0, 1e3, -1e6]))
    if atoms.pbc.any() and draw(st.booleans()):
        atoms.positions += (rng.integers(-50, 51, (n, 3)) * atoms.pbc) @ np.asarray(atoms.cell)
    for key, values in (("charge", st.integers(-2, 2)), ("total_charge", st.integers(-2, 2)), ("spin", st.integers(1, 3)),
                        ("functional", st.sampled_from(["PBE", "r2SCAN"])), ("temperature", st.integers(0, 400)),
                        ("energy_dft", numbers), ("REF_energy", numbers)):  # fmt: skip
        if draw(st.integers(0, 4)) == 0:
            atoms.info[key] = draw(values)
    if awkward and draw(st.integers(0, 9)) == 0:
        atoms.info["charge"] = draw(st.sampled_from(["neutral", float("nan"), None]))
    if draw(st.booleans()):
        atoms.set_masses(rng.uniform(1, 200, n))
    if awkward and draw(st.integers(0, 9)) == 0:
        masses = atoms.get_masses()
        masses[0] = draw(st.sampled_from([0.0, -1.0, float("nan")]))
        atoms.arrays["masses"] = masses
    if draw(st.integers(0, 2)) == 0:
        atoms.set_initial_magnetic_moments(rng.integers(-2, 3, n).astype(float))
    if draw(st.integers(0, 2)) == 0:
        atoms.set_initial_charges(rng.integers(-1, 2, n).astype(float))
    if draw(st.integers(0, 2)) == 0:
        atoms.set_tags(rng.integers(0, 3, n))
    if draw(st.integers(0, 2)) == 0:
        atoms.set_array("features", rng.integers(0, 5, (n, 2)).astype(float))
    if draw(st.integers(0, 2)) == 0:
        atoms.set_constraint(draw(st.sampled_from([FixAtoms([0]), FixCartesian([n - 1], mask=(True, False, False))])))
    if draw(st.booleans()):
        atoms.set_momenta(rng.normal(size=(n, 3)))
    return atoms


def calculator(name: str) -> Pairs:
    return Pairs(reads_everything if name == "reads everything" else None if name == "sound" else HABITS[name])


def by_ase(atoms: Atoms, name: str) -> tuple[float, np.ndarray]:
    """Energy and raw forces from a calculator and atoms that know of no other structure."""
    copy = atoms.copy()
    copy.set_constraint()
    energy, forces, _ = pair_potential(copy)
    results = {"energy": energy, "forces": forces}
    if name in ("reads everything", "reads charge"):
        (reads_everything if name == "reads everything" else HABITS[name])(results, copy)
    return results["energy"], results["forces"]


def through_a_file(folder, frames: list[Atoms], kind: str) -> list[Atoms]:
    """The frames as ncbench reads them; what a format cannot hold is taken from the originals first."""
    path = folder / f"frames.{kind}"
    write(path, frames)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StructureWarning)
        return [case.atoms for case in load_cases(SystemRequest(path=str(path)), len(frames), 0)]


@LOOK
@given(
    frames=st.lists(structures(), min_size=1, max_size=4),
    name=st.sampled_from(["sound", "reads everything", *SOUND, *UNSOUND]),
    order=st.randoms(use_true_random=False),
)
def test_results_are_those_of_a_plain_ase_loop(tmp_path, frames, name, order) -> None:
    try:
        loaded = through_a_file(tmp_path, frames, "traj")
        forcefield = wrapped(calculator(name))
        asked = [loaded[order.randrange(len(loaded))] for _ in range(6)]
        results = forcefield.evaluate(asked, stress=all(atoms.cell.rank == 3 and atoms.pbc.any() for atoms in asked))
    except NcbenchError as refusal:
        assert str(refusal).strip()
        event("refused")
        return
    event("compared")
    originals = {id(atoms): frame for atoms, frame in zip(loaded, frames, strict=True)}
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
def test_a_bound_field_follows_positions_and_nothing_else(frames, data) -> None:
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
    # The same geometry with what another structure carries beside it.
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
def test_a_worker_sees_the_structure_that_was_loaded(tmp_path, frames, repeat) -> None:
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
