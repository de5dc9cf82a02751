"""λ from files of displaced structures, on forces between pairs with a known curl."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import write

import ncbench
from ncbench.cli.main import main
from ncbench.diagnostics.displaced_frames import displaced_among, summary
from ncbench.errors import UsageError
from ncbench.jacobian.displaced import differences_of, displaced_row, translation_noise

K, STEP_A = 5.0, 1e-3


def pair_matrix(kappa: float) -> np.ndarray:
    return np.array([[-K, -kappa, 0.0], [kappa, -K, 0.0], [0.0, 0.0, -K]])


def frames(atoms: Atoms, kappa: float, *, noise: float = 0.0, seed: int = 0) -> list[Atoms]:
    """Forces f_i = Σ_j M (r_i − r_j), in the published format."""
    rng = np.random.default_rng(seed)
    result = []
    for dof in range(3 * len(atoms)):
        for sign in (1, -1):
            frame = atoms.copy()
            frame.positions[divmod(dof, 3)] += sign * STEP_A
            forces = (len(atoms) * frame.positions - frame.positions.sum(0)) @ pair_matrix(kappa).T
            frame.new_array("forces", forces + noise * rng.normal(size=forces.shape))
            frame.info = {"charge": 0, "spin": 1, "dof": dof, "sign": sign}
            result.append(frame)
    return result


def written(folder: Path, name: str, made: list[Atoms]) -> Path:
    path = folder / f"{name}.xyz"
    write(path, made)
    return path


def closed_lambda(kappa: float) -> float:
    """‖κẐ‖/‖M‖, since J = M ⊗ (N − 11ᵀ)."""
    return kappa * math.sqrt(2) / math.sqrt(3 * K**2 + 2 * kappa**2)


def test_lambda_of_written_files_equals_the_closed_form(tmp_path):
    row = displaced_row(written(tmp_path, "CH3OH", frames(molecule("CH3OH"), 0.1)))
    # Digits of 1e-8 in forces and positions.
    assert row["lambda"] == pytest.approx(closed_lambda(0.1), abs=3 * row["lambda_se"])
    assert row["lambda"] == pytest.approx(closed_lambda(0.1), rel=1e-4)
    assert row["resolved"] == "nonzero"
    assert row["step_A"] == pytest.approx(STEP_A, rel=1e-4)
    assert (row["structure"], row["n_atoms"], row["force_calls"]) == ("CH3OH", 6, 36)
    # Forces of 30 eV/Å in float32 over steps of 1e-3 Å: 1.2e-7 · 30/(√2 · 1e-3) per element, times √153 elements of A, over ‖J‖ of 116 eV/Å².
    assert 1e-4 < row["lambda_floor"] < 5e-4


def test_the_error_of_noisy_forces_is_measured_from_translations():
    for seed in range(5):
        differences = differences_of(frames(molecule("C6H6"), 0.1, noise=1e-5, seed=seed), "test")
        # Entries are differences of two forces over 2 h; 36 · 3 sums of 12 errors each, whose rms is good to 1/√216.
        noise = translation_noise(differences.jacobian)
        assert noise == pytest.approx(1e-5 * math.sqrt(2) / (2 * STEP_A), rel=4 / math.sqrt(216))


def test_a_gradient_with_noise_is_not_called_nonzero(tmp_path):
    for seed in range(5):
        row = displaced_row(written(tmp_path, "C6H6", frames(molecule("C6H6"), 0.0, noise=1e-5, seed=seed)))
        assert row["lambda"] == pytest.approx(row["lambda_floor"], rel=0.5)
        assert row["resolved"] != "nonzero"
        assert row["lambda_low"] == 0.0
        assert row["lambda_high"] > row["lambda"] + row["lambda_floor"]


def test_missing_frames_and_keys_are_refused(tmp_path):
    made = frames(molecule("H2O"), 0.1)
    with pytest.raises(UsageError, match="lacks a displacement of degree of freedom 8 of 9"):
        displaced_row(written(tmp_path, "short", made[:-1]))
    del made[3].info["sign"]
    with pytest.raises(UsageError, match="without forces, dof or sign"):
        displaced_row(written(tmp_path, "unsigned", made))
    same = frames(molecule("H2O"), 0.1)
    same[0].positions[0, 0] -= 2 * STEP_A
    with pytest.raises(UsageError, match="not displaced along it"):
        displaced_row(written(tmp_path, "still", same))


def test_forces_that_are_not_finite_are_a_failed_row(tmp_path):
    made = frames(molecule("H2O"), 0.1)
    made[0].arrays["forces"][0, 0] = np.nan
    row = displaced_row(written(tmp_path, "H2O", made))
    assert (row["status"], row["reason"], row["lambda"]) == ("failed", "a force is not finite", None)
    assert summary([row]) == "No file has a λ."


def test_analyse_recognises_the_files(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [str(written(tmp_path, name, frames(molecule(name), 0.01))) for name in ("H2O", "CH4")]
    with pytest.raises(SystemExit) as end:
        main(["analyse", *paths])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert "2 structures: mean λ 0.00163, max λ 0.00163, score 0.592" in printed
    assert "2 above the error" in printed
    with pytest.raises(SystemExit) as end:
        main(["analyse", *paths, "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert [row["structure"] for row in rows] == ["H2O", "CH4"]
    assert (tmp_path / "ncbench-analysis" / "lambda-displaced.csv").is_file()
    write("other.xyz", molecule("H2O"))
    assert not displaced_among(["other.xyz", "absent.xyz"])
    with pytest.raises(UsageError, match="Analyse them apart") as error:
        displaced_among([paths[0], "other.xyz"])
    assert "does not" in str(error.value)


def test_analyse_in_python_gives_the_rows_and_refuses_options_of_other_files(tmp_path):
    path = written(tmp_path, "H2O", frames(molecule("H2O"), 0.01))
    done = ncbench.analyse(path)
    frame = done.to_frame()
    assert frame["lambda"].tolist() == [done.rows[0]["lambda"]]
    assert "1 structure: mean λ 0.00163" in str(done)
    with pytest.raises(UsageError, match="observables: no option of displaced structures"):
        ncbench.analyse(path, observables=["rdf"])
    with pytest.raises(UsageError, match="no option of displaced structures"):
        ncbench.analyse(path, units="metal")
