"""Diagnostics as functions: the numbers of the command line, with units, and without files."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

import ncbench
from ncbench.diagnostics import registry
from ncbench.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


def copper() -> Atoms:
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.rattle(0.05, seed=1)
    return atoms


def test_every_diagnostic_of_a_model_on_a_structure_has_a_function() -> None:
    functions = {name.replace("_", "") for name in dir(ncbench)}
    # They have separate names: the function of λ takes more kinds of models, and a prediction needs no settings object.
    other = {"lambda": "lambdaof", "predict": "predictheating"}
    assert {name for name in registry.diagnostics() if other.get(name, name.replace("-", "")) not in functions} <= {
        "workloop"
    }
    assert callable(ncbench.work_loop)


def test_package_exports_every_function_of_the_api() -> None:
    import ncbench.api

    own = {name for name, value in vars(ncbench.api).items() if callable(value)}
    assert own == set(ncbench.__all__) - {"__version__"}


@pytest.mark.parametrize(
    ("command", "function", "options", "flags"),
    [
        ("nve-drift", ncbench.nve_drift, {"duration_fs": 20.0}, ["--duration", "20"]),
        ("workloop", ncbench.work_loop, {}, []),
        ("relax", ncbench.relax, {"max_steps": 20}, ["--max-steps", "20"]),
    ],
)
def test_function_and_command_give_the_same_numbers(command, function, options, flags, tmp_path, monkeypatch) -> None:
    (tmp_path / "calc.py").write_text("from ase.calculators.emt import EMT\ndef make():\n    return EMT()\n")
    atoms = copper()
    ase.io.write(tmp_path / "cu.extxyz", atoms)
    read = ase.io.read(tmp_path / "cu.extxyz")
    monkeypatch.chdir(tmp_path)
    asked = ["--model", "./calc.py:make", "--mode", "conservative", "--structure", "cu.extxyz", "--budget", "smoke"]
    done = subprocess.run(
        [sys.executable, "-m", "ncbench", command, *asked, "--json", *flags],
        capture_output=True,
        text=True,
        check=True,
    )
    (tmp_path / "before").write_text("")
    before = sorted(tmp_path.rglob("*"))
    of_command = json.loads(done.stdout)
    rows = of_command["rows"] if isinstance(of_command, dict) else of_command
    measured = function(EMT(), read, budget="smoke", mode="conservative", seed=rows[0]["seed"], **options)
    assert len(measured.rows) == len(rows)
    for computed, typed in zip(measured.rows, rows, strict=True):
        for name, value in typed.items():
            # Names differ (file and class), and times are measured.
            if isinstance(value, float) and not name.endswith(("seconds", "_s", "_ms")):
                assert computed[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
    assert sorted(tmp_path.rglob("*")) == before


def test_data_frames_have_units_descriptions_and_missing_values() -> None:
    frame = ncbench.nve_drift(EMT(), copper(), budget="smoke", duration_fs=10).to_frame()
    assert frame.attrs["units"]["energy_drift_meV_per_atom_per_ps"] == "meV/atom/ps"
    assert frame.attrs["meanings"]["n_atoms"] == "atoms in the structure"
    assert frame["exploded_at_fs"].isna().all()
    assert str(frame["force_calls"].dtype) == "Int64"
    side = ncbench.nve_drift(EMT(), copper(), budget="smoke", duration_fs=10).to_frame("series")
    assert len(side) > 10
    assert side.attrs["units"]["total_eV"] == "eV"


def test_unsupported_structures_give_a_row_with_a_reason() -> None:
    gold_and_iron = [bulk("Au", cubic=True), bulk("Fe", cubic=True)]
    measured = ncbench.measure("lambda", EMT(), gold_and_iron, budget="smoke")
    assert [str(row["status"]) for row in measured.rows] == ["ok", "unsupported"]
    assert not measured.ok
    assert "No EMT-potential for Fe" in str(measured)


def test_question_mark_for_unknown_errors_is_explained() -> None:
    short = ncbench.nve_drift(EMT(), copper(), budget="smoke", duration_fs=200, mode="conservative")
    assert any(cell.loose for cell in short.quantities().values())
    assert "?: the run is too short for its error to be known" in str(short)
    assert "?:" not in str(ncbench.measure("lambda", EMT(), copper(), budget="smoke"))


def test_structure_random_states_and_folder_are_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    atoms = copper()
    atoms.calc = EMT()
    positions = atoms.positions.copy()
    states = (random.getstate(), torch.get_rng_state().tolist(), np.random.get_state()[1].tolist())  # noqa: NPY002
    ncbench.nvt(EMT(), atoms, budget="smoke", duration_fs=5)
    assert states == (random.getstate(), torch.get_rng_state().tolist(), np.random.get_state()[1].tolist())  # noqa: NPY002
    assert np.array_equal(atoms.positions, positions)
    assert not atoms.has("momenta")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"duration": 5}, "nve-drift has no setting 'duration'."),
        ({"budget": "tiny"}, "There is no budget 'tiny'."),
        ({"mode": "gradient"}, "'gradient' is not a force mode."),
        ({"duration_fs": "long"}, "nve-drift's setting 'duration_fs' cannot be 'long'."),
    ],
)
def test_wrong_requests_raise_usage_errors(options, sentence) -> None:
    with pytest.raises(UsageError) as refused:
        ncbench.nve_drift(EMT(), copper(), **options)
    assert refused.value.message == sentence


def test_invalid_models_and_unknown_diagnostics_raise_usage_errors() -> None:
    with pytest.raises(UsageError, match="A model is an ASE calculator"):
        ncbench.timing(3, copper())
    with pytest.raises(UsageError, match="no diagnostic 'nve'"):
        ncbench.measure("nve", EMT(), copper())
    with pytest.raises(UsageError, match="no side table 'path'"):
        ncbench.evaluate(EMT(), copper()).to_frame("path")


def test_a_callable_without_energy_is_rejected_where_energies_are_needed() -> None:
    """A callable has no energies: diagnostics that need them raise an error, the others run."""

    def springs(positions: torch.Tensor) -> torch.Tensor:
        return -0.1 * (positions - torch.as_tensor(copper().positions))

    # Straight sides of a loop are integrated exactly for linear forces: what is left is float64 rounding of some eV.
    assert abs(ncbench.work_loop(springs, copper(), budget="smoke").rows[0]["work_meV"]) < 1e-9
    drift = ncbench.nve_drift(springs, copper(), budget="smoke", duration_fs=5).rows[0]
    assert drift["energy_drift_meV_per_atom_per_ps"] is None or drift["status"] != "ok"


def test_results_of_a_folder_are_joined_by_model() -> None:
    results = ncbench.load_results(ROOT / "results" / "demo")
    frame = results.joined()
    assert {"model", "force_mode", "lambda", "lambda_se"} <= set(frame.columns)
    direct = frame[(frame["model"] == "pet-m") & (frame["force_mode"] == "direct")].iloc[0]
    rows = results["lambda"]
    rows = rows[(rows["model"] == "pet-m") & (rows["force_mode"] == "direct")]
    assert direct["lambda"] == pytest.approx(rows["lambda"].mean())
    assert results["lambda"].attrs["units"]["jacobian_norm_eV_per_A2"] == "eV/Å²"
    assert len(results["nve-drift-series"])
    with pytest.raises(UsageError, match="no table 'lambada'"):
        results["lambada"]
    with pytest.raises(UsageError, match="There is no results folder"):
        ncbench.load_results(ROOT / "no such folder")


def test_joined_quantities_are_of_the_models_that_have_all_of_them() -> None:
    results = ncbench.load_results(ROOT / "results" / "demo")
    everything = results.joined()
    names = ["lambda", "power_meV_per_atom_per_ps"]
    # SevenNet-0 has no predicted power in this folder.
    assert everything["power_meV_per_atom_per_ps"].isna().sum() == 1
    frame = results.joined(quantities=names)
    assert [*frame.columns] == [
        "model",
        "force_mode",
        "system",
        *(f"{name}{end}" for name in names for end in ("", "_se", "_error_known")),
    ]
    assert list(frame["model"]) == ["pet-m", "pet-m"]
    assert list(frame["lambda"]) == list(everything["lambda"])[:2]
    assert frame.attrs["units"]["power_meV_per_atom_per_ps"] == "meV/atom/ps"
    with pytest.raises(UsageError, match="no quantity 'drift'"):
        results.joined(quantities=["drift"])


def test_a_number_without_a_known_error_is_marked_in_joined_frames() -> None:
    results = ncbench.load_results(ROOT / "results" / "demo")
    frame = results.joined()
    names = [name.removesuffix("_error_known") for name in frame.columns if name.endswith("_error_known")]
    assert names
    for name in names:
        assert list(frame[f"{name}_error_known"]) == list(frame[f"{name}_se"].notna())
    # Both kinds are in this folder.
    marks = frame[[f"{name}_error_known" for name in names]].to_numpy()
    assert marks.any()
    measured = frame[names].notna().to_numpy()
    assert (measured & ~marks).any()
    with pytest.raises(UsageError, match="has no system 'zzz'"):
        results.joined(system="zzz")


def test_readme_examples_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    monkeypatch.chdir(ROOT)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "load_results" in code]
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102  # our own text
    assert "nve-drift of EMT:conservative" in capsys.readouterr().out
