"""``ncbench check`` and ``ncbench baseline`` as typed, on argon with defects dialled in and out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.constraints import FixAtoms

from ncbench.check import suite as suites
from ncbench.check.suite import Suite
from ncbench.cli.main import _guarded

GOOD = "dialled.defects:good"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts of the quick suite that take no time."""
    kept: Mapping[str, Any] = {name: suites.SETTINGS[Suite.QUICK][name] for name in ("lambda", "consistency")}
    monkeypatch.setattr(suites, "SETTINGS", {Suite.QUICK: kept})


def typed(tmp_path: Path, *words: str, system: str = "argon") -> int:
    return _guarded(
        [*words, "--system", system, "--structures", "1", "--out", str(tmp_path / "out"), "--quiet", "--threads", "1"]
    )


def checked(tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, *words: str) -> tuple[int, dict[str, str]]:
    """Exit code, and states by metric."""
    capsys.readouterr()
    code = typed(tmp_path, "check", "--model", model, "--baseline", str(tmp_path / "b.json"), "--json", *words)
    return code, {one["metric"]: one["state"] for one in json.loads(capsys.readouterr().out)["findings"]}


@pytest.mark.usefixtures("small")
def test_defective_models_fail_and_intact_ones_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert typed(tmp_path, "baseline", "write", "--model", GOOD, "--file", str(tmp_path / "b.json")) == 0
    code, states = checked(tmp_path, capsys, GOOD)
    assert code == 0
    assert set(states.values()) == {"same"}
    # Another seed: other directions, the same verdict.
    code, states = checked(tmp_path, capsys, GOOD, "--seed", "7")
    assert (code, set(states.values())) == (0, {"same"})
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    files = ("--junit", str(tmp_path / "j.xml"), "--markdown", str(tmp_path / "m.md"))
    code, states = checked(tmp_path, capsys, "dialled.defects:swirl", *files)
    assert code == 1
    assert states["energy_force_gap"] == states["lambda"] == "worse"
    assert "<failure" in (tmp_path / "j.xml").read_text()
    assert summary.read_text() == (tmp_path / "m.md").read_text()
    code, states = checked(tmp_path, capsys, "dialled.defects:wrong_stress")
    assert (code, {name for name, state in states.items() if state == "worse"}) == (1, {"stress_gap"})


@pytest.mark.usefixtures("small")
def test_limits_and_profiles_decide_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(tmp_path, "check", "--model", GOOD, "--limit", "lambda < 1e-4", "--profile", "nve") == 0
    text = capsys.readouterr().out
    assert "holds" in text
    assert "not measured" in text  # the drift, which this small suite leaves out
    file = tmp_path / "limits.toml"
    file.write_text('limits = ["lambda < 0.001"]\n')
    assert typed(tmp_path, "check", "--model", "dialled.defects:limited", "--limits", str(file)) == 1
    assert "limits broken: lambda < 0.001" in capsys.readouterr().out


@pytest.mark.usefixtures("small")
def test_forces_declared_conservative_that_are_no_gradient_do_not_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a baseline, within every limit, and against a baseline that has the same defect."""
    swirl, file = "dialled.defects:swirl", str(tmp_path / "b.json")
    assert typed(tmp_path, "baseline", "write", "--model", swirl, "--file", file) == 0
    assert "A check of this model fails" in capsys.readouterr().err
    for words in ([], ["--limit", "lambda < 1"], ["--baseline", file]):
        assert typed(tmp_path, "check", "--model", swirl, *words) == 1
        assert "declared conservative, but the forces are not the gradient of an energy" in capsys.readouterr().out
    # The same forces declared as direct, and intact ones.
    assert typed(tmp_path, "check", "--model", swirl, "--mode", "direct", "--limit", "lambda < 1") == 0
    assert typed(tmp_path, "check", "--model", GOOD) == 0
    assert "compared with nothing" in capsys.readouterr().out


def test_metrics_that_constraints_make_impossible_are_listed_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("lambda", "nve-drift")
    kept: Mapping[str, Any] = {name: suites.SETTINGS[Suite.QUICK][name] for name in names}
    monkeypatch.setattr(suites, "SETTINGS", {Suite.QUICK: kept})
    atoms = Atoms("Ar3", positions=[[0.0, 0.0, 0.0], [3.8, 0.0, 0.0], [1.8, 3.3, 0.2]])
    atoms.set_constraint(FixAtoms([0]))
    atoms.write(tmp_path / "held.traj")
    file = tmp_path / "b.json"
    on = ("--structure", str(tmp_path / "held.traj"), "--out", str(tmp_path / "out"), "--threads", "1", "-q")
    assert _guarded(["baseline", "write", "--model", "analytic-lj", "--file", str(file), *on]) == 0
    assert "not measured: drift: The structure has constraints (FixAtoms)" in capsys.readouterr().out
    assert "FixAtoms" in json.loads(file.read_text())["unmeasured"]["drift"]
    markdown = tmp_path / "m.md"
    words = ("check", "--model", "analytic-lj", "--baseline", str(file), "--markdown", str(markdown), *on)
    assert _guarded([*words]) == 0
    assert "not measured: drift: The structure has constraints (FixAtoms)" in capsys.readouterr().out
    assert "not measured: drift" in markdown.read_text()
    assert _guarded([*words, "--json"]) == 0
    assert "FixAtoms" in json.loads(capsys.readouterr().out)["unmeasured"]["drift"]


@pytest.mark.usefixtures("small")
def test_baseline_update_lists_changes_and_replaces_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "b.json"
    assert typed(tmp_path, "baseline", "write", "--model", GOOD, "--file", str(path), "--seed", "2") == 0
    assert typed(tmp_path, "baseline", "write", "--model", GOOD, "--file", str(path)) == 2
    assert "baseline update" in capsys.readouterr().err
    assert typed(tmp_path, "baseline", "update", "--model", "dialled.defects:swirl", "--file", str(path)) == 0
    assert "worse" in capsys.readouterr().out
    kept = json.loads(path.read_text())
    assert (kept["seed"], kept["model"]) == (2, "dialled.defects:swirl")
    assert _guarded(["baseline", "show", str(path)]) == 0
    assert "seed 2" in capsys.readouterr().out


def test_wrong_requests_are_usage_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "b.json"
    path.write_text("{}")
    for words, word in (
        (["--baseline", str(path)], "not a baseline"),
        (["--baseline", str(tmp_path / "none.json")], "baseline write"),
        (["--limit", "lamda < 1"], "lambda"),
        (["--profile", "nvee"], "nve"),
        (["--suite", "quik"], "quick"),
        (["--junit", str(tmp_path)], "is a folder"),
        (["--markdown", str(tmp_path / "none" / "m.md")], "there is no folder"),
        (["--baseline", str(tmp_path)], "cannot be read: Is a directory"),
        (["--limit", "lambda < nan"], "'nan' in 'lambda < nan' is not finite"),
        (["--limit", "lambda < 1e999"], "is not finite"),
        (["--limits", str(tmp_path / "none.toml")], "none.toml"),
        (["--model", "analytic-lj"], "one model"),
    ):
        assert typed(tmp_path, "check", "--model", GOOD, *words) == 2
        assert word in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("defect", "result"),
    [
        ("swirl", {"lambda", "work_share", "energy_force_gap"}),
        ("half", {"rotation_error"}),
        ("limited", {"energy_jump", "energy_force_gap", "net_force"}),
        ("wrong_stress", {"stress_gap"}),
    ],
)
def test_the_quick_suite_finds_each_defect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], defect: str, result: set[str]
) -> None:
    assert typed(tmp_path, "baseline", "write", "--model", GOOD, "--file", str(tmp_path / "b.json")) == 0
    code, states = checked(tmp_path, capsys, GOOD, "--seed", "5")
    assert (code, {name for name, state in states.items() if state in ("worse", "missing")}) == (0, set())
    code, states = checked(tmp_path, capsys, f"dialled.defects:{defect}")
    assert code == 1
    assert result <= {name for name, state in states.items() if state == "worse"}


@pytest.mark.slow
def test_false_alarm_rate_of_an_unchanged_model_is_below_one_percent(tmp_path: Path) -> None:
    from ncbench.check.judge import compare
    from ncbench.check.run import run
    from ncbench.run.elsewhere import allowed_by_variable
    from ncbench.run.reporter import SilentReporter
    from ncbench.store.store import Store
    from ncbench.types import ModelRequest, SystemRequest

    def metrics(seed: int) -> Any:
        # A fresh store each time: the growth of the store is not tested.
        return run(
            ModelRequest(spec="analytic-solenoidal"),
            Suite.QUICK,
            Store(tmp_path / str(seed)),
            SilentReporter(),
            consent=lambda wanted: allowed_by_variable(),
            system=SystemRequest(name="harmonic-crystal", structures=1),
            seed=seed,
        ).measured.metrics

    repeats = 200
    result = [metrics(seed) for seed in range(repeats + 1)]
    alarms = [
        [finding.metric.name for finding in compare(new, old, paired=False) if finding.failed]
        for old, new in pairwise(result)
    ]
    # At most 1 % of 200.
    assert sum(map(bool, alarms)) <= 2, [alarm for alarm in alarms if alarm]


@pytest.mark.usefixtures("small")
def test_a_model_that_refuses_the_structure_passes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "refusing.py").write_text(
        "from ase.calculators.emt import EMT\n"
        "class Refusing(EMT):\n"
        "    def calculate(self, *given, **named):\n"
        "        raise ValueError('element not supported')\n"
        "def make():\n"
        "    return Refusing()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert typed(tmp_path, "check", "--model", "refusing:make", "--limit", "lambda < 0.1") == 1
    assert "failed: all metrics: " in capsys.readouterr().out
    assert typed(tmp_path, "baseline", "write", "--model", "refusing:make", "--file", str(tmp_path / "b.json")) == 1
    assert "element not supported" in capsys.readouterr().err
    assert not (tmp_path / "b.json").exists()
