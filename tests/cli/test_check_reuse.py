"""A check reuses no earlier result of the model, and takes the structures of the baseline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from ncbench.check import suite as suites
from ncbench.check.baseline import read
from ncbench.check.suite import Suite
from ncbench.cli.main import _guarded
from ncbench.structures.hashing import content_hash

CALCULATOR = '''
from pathlib import Path
import numpy as np
from ase.calculators.calculator import Calculator, all_changes

class Springs(Calculator):
    """Springs to the origin, with a curl of weights.txt that no key can see."""
    implemented_properties = ["energy", "forces"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        r = atoms.positions
        swirl = float((Path(__file__).parent / "weights.txt").read_text())
        forces = -r + swirl * np.stack([-r[:, 1], r[:, 0], 0 * r[:, 0]], axis=1)
        self.results = {"energy": 0.5 * float((r ** 2).sum()), "forces": forces}

make = Springs
'''


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A factory whose forces depend on a file; the λ and consistency parts of the quick suite alone."""
    kept: Mapping[str, Any] = {name: suites.SETTINGS[Suite.QUICK][name] for name in ("lambda", "consistency")}
    monkeypatch.setattr(suites, "SETTINGS", {Suite.QUICK: kept})
    (tmp_path / "springs.py").write_text(CALCULATOR)
    (tmp_path / "weights.txt").write_text("0.0")
    write(tmp_path / "tri.xyz", Atoms("Ar3", positions=[[0.1, 0, 0], [3.7, 0.2, 0], [0, 3.6, 0.3]]))
    return f"{tmp_path / 'springs.py'}:make"


def ncbench(tmp_path: Path, *words: str) -> int:
    return _guarded([*words, "--out", str(tmp_path / "out"), "--quiet", "--threads", "1"])


def written(tmp_path: Path, model: str) -> Path:
    path = tmp_path / "b.json"
    where = ("--structure", str(tmp_path / "tri.xyz"))
    assert ncbench(tmp_path, "baseline", "write", "--model", model, "--file", str(path), *where) == 0
    return path


def test_a_check_detects_changed_weights_that_are_not_in_the_job_key(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, model)
    check = ("check", "--model", model, "--baseline", str(path))
    assert ncbench(tmp_path, *check) == 0
    (tmp_path / "weights.txt").write_text("0.4")
    capsys.readouterr()
    assert ncbench(tmp_path, *check) == 1
    assert "lambda" in capsys.readouterr().out.split("worse: ")[1]


def test_a_factory_is_measured_again_without_reuse(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("evaluate", "--model", model, "--structure", str(tmp_path / "tri.xyz"), "--json")

    def force(*more: str) -> float:
        capsys.readouterr()
        assert ncbench(tmp_path, *command, *more) == 0
        return float(json.loads(capsys.readouterr().out)[0]["force_rms_eV_per_A"])

    first = force()
    (tmp_path / "weights.txt").write_text("1.0")
    assert force("--reuse") == first
    # The curl is normal to a spring's force, so that their squares add: more than rounding.
    assert force() > first * (1 + 1e-3)


def test_a_check_uses_the_structures_of_the_baseline(tmp_path: Path, model: str) -> None:
    """They are in the file bit for bit, so that the structure file may change or go."""
    path = written(tmp_path, model)
    kept = read(path)
    (case,) = kept.cases
    assert case.name == "tri.xyz#0"
    assert content_hash(case.atoms) == kept.structures["tri.xyz#0"]
    assert str(tmp_path) not in path.read_text()
    (tmp_path / "tri.xyz").unlink()
    report = tmp_path / "check.json"
    assert ncbench(tmp_path, "check", "--model", model, "--baseline", str(path), "--markdown", str(report)) == 0
    assert "tri.xyz" in report.read_text()
    assert ncbench(tmp_path, "baseline", "update", "--model", model, "--file", str(path)) == 0
    assert read(path).structures == kept.structures
    assert np.array_equal(read(path).cases[0].atoms.positions, case.atoms.positions)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--structure", "tri.xyz"], "are not the baseline's (tri.xyz#0)"),
        (["--system", "argon"], "baseline is of tri.xyz"),
    ],
)
def test_structures_that_differ_from_the_baseline_are_refused(
    words: list[str],
    sentence: str,
    tmp_path: Path,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = written(tmp_path, model)
    monkeypatch.chdir(tmp_path)
    # Another structure under the same name.
    write("tri.xyz", bulk("Ar", "fcc", 5.3, cubic=True))
    capsys.readouterr()
    assert ncbench(tmp_path, "check", "--model", model, "--baseline", str(path), *words) == 2
    assert sentence in capsys.readouterr().err


def test_seed_zero_overrides_the_seed_of_the_baseline(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "b.json"
    where = ("--structure", str(tmp_path / "tri.xyz"), "--seed", "5")
    assert ncbench(tmp_path, "baseline", "write", "--model", model, "--file", str(path), *where) == 0
    seeds = []
    for more in ((), ("--seed", "0")):
        capsys.readouterr()
        assert ncbench(tmp_path, "check", "--model", model, "--baseline", str(path), "--json", *more) == 0
        seeds.append(json.loads(capsys.readouterr().out)["seed"])
    assert seeds == [5, 0]
