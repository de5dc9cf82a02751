"""Accuracy: recovery of known errors, and the bundled model against the errors of its recipe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from data_mirror import MIRROR, needs_data
from known_fields import Well, card, cluster

from ncbench.diagnostics import accuracy
from ncbench.diagnostics.accuracy import FRAMES, SCHEMA, AccuracySettings
from ncbench.diagnostics.base import Context
from ncbench.errors import UnsupportedError, UsageError
from ncbench.models.interface import Evaluation
from ncbench.store.keys import job_key
from ncbench.structures.labels import ENERGY_LABEL, FORCES_LABEL, labels_hash
from ncbench.structures.load import load_cases
from ncbench.types import Case, ModelRequest, Outcome, SystemRequest

MEV = 1e-3


def labelled(symbols: str, *, seed: int, energy_meV: float = 0.0, off_meV: float | np.ndarray = 0.0) -> Atoms:
    """A structure whose labels the well of stiffness 5 misses by ``energy_meV`` an atom and ``off_meV`` a component."""
    atoms = cluster(symbols, seed=seed, spread=0.1)
    (result,) = Well().evaluate([atoms])
    atoms.info[ENERGY_LABEL] = result.energy - len(atoms) * energy_meV * MEV
    atoms.set_array(FORCES_LABEL, result.forces - off_meV * MEV * np.ones((len(atoms), 3)))
    return atoms


def cases(structures: Sequence[Atoms]) -> list[Case]:
    return [Case(f"set#{number}", atoms) for number, atoms in enumerate(structures)]


def run(structures: Sequence[Atoms], context: Context, model: Well | None = None, **values: Any) -> Outcome:
    return accuracy.run(model or Well(), cases(structures), AccuracySettings(**values), seed=0, context=context)


def forget(context: Context) -> None:
    """Remove the checkpoint of a run of other structures under the same key."""
    context.checkpoint.save({"frames": [], "seconds": []})


def by_species(outcome: Outcome) -> dict[str, dict[str, Any]]:
    return {row["species"]: row for row in outcome.rows}


def near(value: float) -> Any:
    """Energies of some eV and forces of some eV/Å are subtracted in float64: 1e-15 of them is 1e-12 meV."""
    return pytest.approx(value, abs=1e-9)


def test_known_errors_are_recovered(context: Context) -> None:
    signs = np.where(np.arange(6) % 2, 1.0, -1.0)[:, None] * np.array([10.0, 20.0, 60.0])
    structures = [labelled("H2OH2O", seed=i, energy_meV=e, off_meV=signs) for i, e in enumerate([3.0, -1.0, 4.0, 2.0])]
    outcome = run(structures, context)
    row = by_species(outcome)["all"]
    assert row["energy_mae_meV_per_atom"] == near(2.5)
    assert row["energy_rmse_meV_per_atom"] == near(math.sqrt((9 + 1 + 16 + 4) / 4))
    assert row["energy_offset_meV_per_atom"] == near(2.0)
    # Without the mean of 2: 1, −3, 2, 0.
    assert row["energy_mae_shifted_meV_per_atom"] == near(1.5)
    assert row["energy_rmse_shifted_meV_per_atom"] == near(math.sqrt(14 / 4))
    assert row["force_mae_meV_per_A"] == near(30.0)
    assert row["force_rmse_meV_per_A"] == near(math.sqrt((100 + 400 + 3600) / 3))
    # Every structure has the same error: no scatter.
    assert row["force_mae_meV_per_A_se"] == near(0.0)
    assert row["energy_mae_meV_per_atom_se"] > 0.5
    assert (row["n_structures"], row["n_energies"], row["n_forces"], row["n_compositions"]) == (4, 4, 24, 1)
    forces = np.concatenate([atoms.arrays[FORCES_LABEL] for atoms in structures])
    assert row["force_reference_rms_meV_per_A"] == pytest.approx(1e3 * np.sqrt((forces**2).mean()), rel=1e-12)
    assert row["n_atoms"] == 6
    assert row["ms_per_structure"] == pytest.approx(6 * row["ms_per_atom"])
    assert set(row) - {"structure", "n_atoms", "status", "reason"} == {column.name for column in SCHEMA.columns}
    assert [side["energy_error_meV_per_atom"] for side in outcome.side["structures"]] == near([3.0, -1.0, 4.0, 2.0])
    assert set(outcome.side["structures"][0]) >= {column.name for column in FRAMES.columns}


def test_elements_are_distinguished(context: Context) -> None:
    off = np.where(np.array([z == "O" for z in cluster().get_chemical_symbols()]), 90.0, 30.0)[:, None]
    rows = by_species(run([labelled("H2OH2O", seed=0, off_meV=off)], context))
    assert list(rows) == ["all", "H", "O"]
    assert [rows[name]["force_mae_meV_per_A"] for name in rows] == near([50.0, 30.0, 90.0])
    assert [rows[name]["n_forces"] for name in rows] == [6, 4, 2]
    assert rows["H"]["energy_mae_meV_per_atom"] is None


def test_structures_are_weighted_by_their_atoms(context: Context) -> None:
    """MAE over components, as everybody quotes it, not over structures."""
    structures = [labelled("H2", seed=0, off_meV=10.0), labelled("H6", seed=1, off_meV=50.0)]
    row = by_species(run(structures, context))["all"]
    assert row["force_mae_meV_per_A"] == near((2 * 10 + 6 * 50) / 8)
    assert row["n_atoms"] is None


def test_energy_offsets_are_removed_per_composition(context: Context) -> None:
    structures = [
        labelled(symbols, seed=i, energy_meV=e)
        for i, (symbols, e) in enumerate(
            [("H2O", 1000.0), ("H2O", 1002.0), ("H4", -500.0), ("H4", -506.0), ("O3", 7.0)]
        )
    ]
    row = by_species(run(structures, context))["all"]
    assert row["energy_mae_meV_per_atom"] == pytest.approx(603.0, abs=1e-8)
    # 1, 1, 3, 3; alone with its composition, O3 has an offset and no error.
    assert row["energy_mae_shifted_meV_per_atom"] == pytest.approx(2.0, abs=1e-8)
    assert (row["n_compositions"], row["n_energies_shifted"], row["n_energies"]) == (2, 4, 5)
    forget(context)
    lone = by_species(run([labelled("H2O", seed=0, energy_meV=3.0)], context))["all"]
    assert lone["n_compositions"] == 0
    assert lone["energy_mae_shifted_meV_per_atom"] is None


def test_standard_errors_equal_the_scatter() -> None:
    """Over many random sets the MAE scatters by its error. The mean of 40 |normal| has a relative error of √(π/2 − 1)/√40."""
    rng = np.random.default_rng(0)
    deviations, errors = [], []
    for _ in range(200):
        off = rng.normal(size=40)
        frames = [{"energy_error": MEV * x, "composition": "X"} for x in off]
        values = accuracy._energies(frames)
        deviations.append(values["energy_mae_meV_per_atom"] - math.sqrt(2 / math.pi))
        errors.append(values["energy_mae_meV_per_atom_se"])
    expected = math.sqrt((1 - 2 / math.pi) / 40)
    # 200 sets give a standard deviation to 5 %; blocking may choose longer blocks, whose error is noisier and 10 % larger.
    assert np.std(deviations) == pytest.approx(expected, rel=0.15)
    assert np.mean(errors) == pytest.approx(expected, rel=0.15)


def test_correlated_frames_are_not_counted_as_independent(context: Context) -> None:
    """Errors constant over 16 frames: treated as independent, the standard error would be √16 times too small."""
    off = np.repeat(np.random.default_rng(3).uniform(10.0, 50.0, size=8), 16)
    structures = [labelled("H2", seed=i, off_meV=value) for i, value in enumerate(off)]
    for index, atoms in enumerate(structures):
        atoms.info["time_index"] = index
    shuffled = [structures[i] for i in np.random.default_rng(0).permutation(len(structures))]
    known = by_species(run(shuffled, context))["all"]
    assert known["time_ordered"]
    for atoms in structures:
        del atoms.info["time_index"]
    forget(context)
    blind = by_species(run(shuffled, context))["all"]
    assert not blind["time_ordered"]
    assert known["force_mae_meV_per_A"] == pytest.approx(blind["force_mae_meV_per_A"], rel=1e-12)
    assert known["force_mae_meV_per_A_se"] > 2.0 * blind["force_mae_meV_per_A_se"]


def test_label_names_can_be_chosen(context: Context) -> None:
    atoms = labelled("H2O", seed=0, energy_meV=3.0, off_meV=10.0)
    atoms.info["REF"] = atoms.info.pop(ENERGY_LABEL)
    atoms.arrays["REF_f"] = atoms.arrays.pop(FORCES_LABEL)
    row = by_species(run([atoms], context, energy_key="REF", forces_key="REF_f"))["all"]
    assert (row["energy_mae_meV_per_atom"], row["force_mae_meV_per_A"]) == (near(3.0), near(10.0))
    with pytest.raises(UsageError, match="set#0 has neither an energy 'energy_dft' nor forces 'forces_dft'"):
        run([atoms], context)


def test_files_with_only_energies_or_only_forces(context: Context) -> None:
    energies, forces = labelled("H2O", seed=0, energy_meV=3.0), labelled("H2O", seed=1, off_meV=10.0)
    del energies.arrays[FORCES_LABEL]
    del forces.info[ENERGY_LABEL]
    row = by_species(run([energies, forces], context))["all"]
    assert (row["n_energies"], row["n_forces"]) == (1, 3)
    assert (row["energy_mae_meV_per_atom"], row["force_mae_meV_per_A"]) == (near(3.0), near(10.0))
    # One structure has no scatter: NaN, which the store writes as absent.
    assert math.isnan(row["force_mae_meV_per_A_se"])
    forget(context)
    assert by_species(run([energies], context))["all"]["force_mae_meV_per_A"] is None


class Broken(Well):
    """A well whose forces are NaN for the second structure."""

    def _evaluate(self, structures: Sequence[Atoms], *, stress: bool) -> list[Evaluation]:
        result = super()._evaluate(structures, stress=stress)
        return [
            Evaluation(one.energy, one.forces * np.nan) if atoms.info.get("bad") else one
            for atoms, one in zip(structures, result, strict=True)
        ]


def test_forces_that_are_not_finite_are_a_failure(context: Context) -> None:
    structures = [labelled("H2O", seed=i) for i in range(3)]
    structures[1].info["bad"] = True
    outcome = run(structures, context, Broken())
    *measured, row = outcome.rows
    assert (row["structure"], row["status"], row["force_mae_meV_per_A"]) == ("set#1", "failed", None)
    assert row["reason"] == "the model's energy or forces are not finite, or their squares are not"
    assert [(one["n_structures"], one["n_energies"], one["n_forces"]) for one in measured] == [
        (2, 2, 6),
        (2, None, 4),
        (2, None, 2),
    ]
    assert len(outcome.side["structures"]) == 2


class Blind(Well):
    """A model without an energy."""

    def __init__(self) -> None:
        super().__init__()
        self.card = replace(self.card, has_energy=False)

    def _evaluate(self, structures: Sequence[Atoms], *, stress: bool) -> list[Evaluation]:
        return [Evaluation(math.nan, one.forces) for one in super()._evaluate(structures, stress=stress)]


def test_a_model_without_energy_has_force_errors(context: Context) -> None:
    row = by_species(run([labelled("H2O", seed=0, off_meV=10.0)], context, Blind()))["all"]
    assert row.get("status", "ok") == "ok"
    assert (row["n_energies"], row["force_mae_meV_per_A"]) == (0, near(10.0))


def test_structures_with_unsupported_elements_are_skipped_and_counted(context: Context) -> None:
    model = Well()
    model.card = card("well", elements=frozenset({1}))
    structures = [labelled("H2O", seed=0, off_meV=50.0), labelled("H4", seed=1, off_meV=10.0)]
    row = by_species(run(structures, context, model))["all"]
    assert (row["n_structures"], row["n_unsupported"], row["force_mae_meV_per_A"]) == (1, 1, near(10.0))
    with pytest.raises(UnsupportedError, match="does not support all elements of any of the 1 structures"):
        run(structures[:1], context, model)


class Counting(Well):
    calls = 0

    def _evaluate(self, structures: Sequence[Atoms], *, stress: bool) -> list[Evaluation]:
        self.calls += len(structures)
        if self.calls == 3:
            raise KeyboardInterrupt
        return super()._evaluate(structures, stress=stress)


def test_a_resumed_run_repeats_no_structure(context: Context) -> None:
    structures = [labelled("H2O", seed=i, off_meV=10.0 * i) for i in range(5)]
    model = Counting()
    with pytest.raises(KeyboardInterrupt):
        run(structures, context, model)
    row = by_species(run(structures, context, model))["all"]
    # Two before the kill, the lost one, and the remaining three.
    assert model.calls == 3 + 3
    assert row["force_mae_meV_per_A"] == near(20.0)


def test_results_do_not_depend_on_the_batch_size(context: Context) -> None:
    structures = [labelled("H2O", seed=i, off_meV=10.0 * i, energy_meV=i) for i in range(5)]
    one = run(structures, context).rows
    forget(context)
    two = run(structures, context, batch=2).rows
    for first, second in zip(one, two, strict=True):
        differing = {name for name in first if first[name] != second[name]}
        assert differing <= {"batch", "ms_per_structure", "ms_per_atom"}
    with pytest.raises(UsageError, match="batch = 0"):
        AccuracySettings(batch=0)


def test_label_names_agree_between_modules() -> None:
    assert (AccuracySettings().energy_key, AccuracySettings().forces_key) == (ENERGY_LABEL, FORCES_LABEL)


def test_labels_are_read_from_a_file(tmp_path: Path, context: Context) -> None:
    atoms = labelled("H2O", seed=0, energy_meV=3.0, off_meV=10.0)
    atoms.set_cell([20.0, 20.0, 20.0])
    atoms.pbc = True
    bare = Atoms("H2O", atoms.positions, cell=atoms.cell, pbc=True)
    bare.set_array("sites", atoms.arrays["sites"])
    bare.calc = SinglePointCalculator(bare, energy=atoms.info[ENERGY_LABEL], forces=atoms.arrays[FORCES_LABEL])
    write(tmp_path / "f.xyz", bare)
    result = load_cases(SystemRequest(path=str(tmp_path / "f.xyz")), 1, 0)
    assert result[0].atoms.calc is None
    row = accuracy.run(Well(), result, AccuracySettings(), seed=0, context=context).rows[0]
    # Extended XYZ keeps eight decimals: 1e-8 eV, and 5 eV/Å² times 1e-8 Å.
    assert row["energy_mae_meV_per_atom"] == pytest.approx(3.0, abs=1e-4)
    assert row["force_mae_meV_per_A"] == pytest.approx(10.0, abs=1e-4)
    (large,) = load_cases(SystemRequest(path=str(tmp_path / "f.xyz"), repeat=(1, 2, 3)), 1, 0)
    assert large.atoms.info[ENERGY_LABEL] == pytest.approx(6 * result[0].atoms.info[ENERGY_LABEL])
    assert large.atoms.arrays[FORCES_LABEL].shape == (18, 3)


def test_changed_labels_change_the_job_key() -> None:
    """A result is not reused for a file whose reference values were corrected; other diagnostics do not care."""
    first, second = labelled("H2O", seed=0), labelled("H2O", seed=0, off_meV=1.0)
    assert labels_hash(first) == labels_hash(first.copy()) != labels_hash(second)

    def key(diagnostic: str, atoms: Atoms) -> str:
        return job_key(
            diagnostic=diagnostic, version=1, model=ModelRequest(spec="analytic-lj"), system="f.xyz",
            structures=[("f.xyz#0", atoms)], settings=AccuracySettings(), seed=0,
        )  # fmt: skip

    assert key("accuracy", first) != key("accuracy", second)
    assert key("lambda", first) == key("lambda", second)


@needs_data
@pytest.mark.slow
@pytest.mark.models("metatomic", "metatomic_ase")
@pytest.mark.parametrize(("mode", "forces"), [("conservative", 45.739), ("direct", 64.498)])
def test_bundled_model_on_held_out_frames_has_the_errors_of_its_recipe(
    mode: str, forces: float, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Force errors measured by the training recipe (benchmarks/training/pet_m/errors.csv), to the printed digits, and the energy error with
    the model's reference energies summed in float64: the recipe sums them in float32, which shifts all energies by the same rounding error, and
    gives 0.488 meV/atom."""
    from ncbench.models.loading import load_forcefield

    monkeypatch.setenv("NCBENCH_DATA_MIRROR", str(MIRROR))
    result = load_cases(SystemRequest(name="water-dft"), 40, 0)
    forcefield = load_forcefield(ModelRequest(spec=f"pet-m:{mode}"))
    row = accuracy.run(forcefield, result, AccuracySettings(), seed=0, context=context).rows[0]
    # Another order of sums in float32 moves a force by some 1e-5 eV/Å either way, its mean over 23 040 by far less; the model's part of an energy,
    # some −700 eV, by 0.06 meV a cell. A whole model in float64 changes the error by 0.0001 meV/atom.
    assert row["force_mae_meV_per_A"] == pytest.approx(forces, abs=0.01)
    assert row["energy_mae_meV_per_atom"] == pytest.approx(0.4128, abs=0.001)
    assert row["time_ordered"]
