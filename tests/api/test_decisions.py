"""``assess`` and ``check`` as functions: the answers of the command line, on models in memory, without files."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator

import ncbench
from ncbench.cli.main import main
from ncbench.errors import UsageError
from ncbench.models.in_process import named
from ncbench.models.loading import load_forcefield
from ncbench.structures.load import load_cases
from ncbench.types import ModelRequest, SystemRequest


@pytest.fixture
def crystal() -> Atoms:
    """Atoms on springs: the analytic models are exact on it."""
    (case,) = load_cases(SystemRequest(name="harmonic-crystal"), 1, 0)
    return case.atoms


def test_assessment_of_analytic_models_agrees_with_the_command(
    crystal: Atoms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    safe = ncbench.assess("analytic-harmonic", crystal, uses=["nve"], seconds=60, progress=False)
    unsafe = ncbench.assess("analytic-solenoidal", crystal, uses=["nve"], seconds=60, progress=False)
    assert (safe.answer("nve"), unsafe.answer("nve")) == ("safe", "unsafe")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SystemExit):
        main(
            ["assess", "-m", "analytic-solenoidal", "-s", "harmonic-crystal", "--for", "nve", "--time", "1m", "-q", "--json"]
        )  # fmt: skip
    (typed,) = json.loads(capsys.readouterr().out)
    assert [one.status for one in unsafe.remedies] == [one["status"] for one in typed["remedies"]] == ["verified"]
    frame = unsafe.to_frame()
    assert [*frame.columns][:4] == ["model", "force_mode", "use", "answer"]
    assert [(row["use"], row["answer"]) for row in typed["uses"]] == [*zip(frame["use"], frame["answer"], strict=True)]
    assert "unsafe" in str(unsafe)


def test_models_in_memory_are_assessed_as_by_name(crystal: Atoms, tmp_path: Path) -> None:
    forcefield = load_forcefield(ModelRequest(spec="analytic-solenoidal"))
    assessment = ncbench.assess(forcefield, crystal, uses=["nve"], seconds=60, out=tmp_path, progress=False)
    assert assessment.answer("nve") == "unsafe"
    assert assessment.model == "analytic-solenoidal"
    # With out, the tables and the page are there.
    assert {"assess.html", "assess.json"} <= {path.name for path in tmp_path.iterdir()}
    frame = ncbench.load_results(tmp_path).joined()
    assert set(frame["model"]) == {"analytic-solenoidal"}
    # Not its drift: the power of these undamped springs keeps its sign, so that no drift is known before they explode.
    assert (frame["lambda"] > 0).all()


class Broken(Calculator):
    """An error in a model's own code."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012  # ASE's own spelling

    def calculate(self, *_: Any, **__: Any) -> None:
        raise IndexError("list index out of range")


def test_the_log_that_a_failure_names_outlives_the_temporary_folder(
    crystal: Atoms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    failure = ncbench.assess(Broken(), crystal, uses=["nve"], seconds=20, progress=False).failure
    log = Path(failure.partition("(see ")[2].rstrip(")"))
    assert "IndexError" in log.read_text(encoding="utf-8")
    # Nothing but logs is left.
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"error.log"}


def test_check_compares_two_models_in_one_process(
    crystal: Atoms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    old = ncbench.check("analytic-harmonic", crystal, limits=["lambda < 0.001"], progress=False)
    assert old.passed
    assert "passes: 1 limits" in str(old)
    # The structures are those of the baseline.
    new = ncbench.check("analytic-solenoidal", baseline=old.new, progress=False)
    assert not new.passed
    states = new.to_frame().set_index("metric")["state"]
    assert states["lambda"] == "worse"
    assert states["energy_jump"] != "worse"
    frame = new.to_frame().set_index("metric")
    assert frame.loc["lambda", "baseline_value"] == old.new.metrics["lambda"].value
    assert frame.loc["drift", "unit"] == "meV/atom/ps"
    assert list(tmp_path.iterdir()) == []


def test_check_of_a_model_against_itself_finds_nothing_worse(crystal: Atoms) -> None:
    forcefield = load_forcefield(ModelRequest(spec="analytic-solenoidal"))
    first = ncbench.check(forcefield, crystal, progress=False)
    again = ncbench.check(forcefield, crystal, baseline=first.new, progress=False)
    # Times are measured on a machine that does other things too.
    states = again.to_frame().set_index("metric")["state"].drop("speed")
    assert set(states) == {"same"}
    assert not ncbench.check(forcefield, crystal, limits=["lambda < 0.001"], progress=False).passed


def test_check_without_baseline_has_numbers_and_no_states(crystal: Atoms) -> None:
    frame = ncbench.check("analytic-harmonic", crystal, progress=False).to_frame()
    assert frame["value"].notna().all()
    assert frame["baseline_value"].isna().all()
    assert set(frame["state"]) == {""}
    assert isinstance(frame, pd.DataFrame)


@pytest.mark.parametrize(
    ("function", "options", "sentence"),
    [
        (ncbench.assess, {"uses": ["nvee"]}, "There is no use 'nvee'"),
        (ncbench.assess, {"uses": []}, "No use was given"),
        (ncbench.assess, {"seconds": 0.0}, "seconds = 0.0 is not a length of time"),
        (ncbench.assess, {"mode": "gradient"}, "is not a force mode"),
        (ncbench.check, {"suite": "long"}, "There is no suite 'long'"),
        (ncbench.check, {"limits": ["lambda"]}, "'lambda' is not a limit"),
        (ncbench.check, {"baseline": "no-such.json"}, "There is no baseline 'no-such.json'"),
    ],
)
def test_wrong_requests_raise_usage_errors(
    function: Callable[..., object], options: dict[str, Any], sentence: str, crystal: Atoms
) -> None:
    model = load_forcefield(ModelRequest(spec="analytic-harmonic"))
    with pytest.raises(UsageError, match=sentence):
        function(model, crystal, **options)


def test_a_callable_needs_its_structure() -> None:
    def springs(positions: torch.Tensor) -> torch.Tensor:
        return -positions

    with pytest.raises(UsageError, match="belong to one structure"):
        ncbench.assess(springs)


def test_names_of_models_in_memory_end_with_their_context() -> None:
    forcefield = load_forcefield(ModelRequest(spec="analytic-harmonic"))
    with named(forcefield) as spec, named(forcefield) as other:
        assert load_forcefield(ModelRequest(spec=spec)) is forcefield
        assert spec != other
    with pytest.raises(UsageError, match="has no function"):
        load_forcefield(ModelRequest(spec=spec))


def test_packages_of_the_same_name_do_not_replace_the_functions() -> None:
    code = (
        "import ncbench.assess.evidence, ncbench.check.limits, ncbench; "
        "assert ncbench.assess.__name__ == 'assess' and ncbench.assess.__module__ == 'ncbench.api.decisions'; "
        "assert ncbench.check.__module__ == 'ncbench.api.decisions'; from ncbench.check import limits"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
