"""``ncbench compare A B`` as typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ncbench.check import suite as suites
from ncbench.check.suite import Suite
from ncbench.cli.main import _guarded

GOOD = "dialled.defects:good"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: Mapping[str, Any] = {name: suites.SETTINGS[Suite.QUICK][name] for name in ("lambda", "consistency")}
    monkeypatch.setattr(suites, "SETTINGS", {Suite.QUICK: kept})


def typed(tmp_path: Path, *words: str, system: str = "argon") -> int:
    return _guarded(
        [
            "compare",
            *words,
            "--system",
            system,
            "--structures",
            "1",
            "--out",
            str(tmp_path),
            "--quiet",
            "--threads",
            "1",
        ]
    )


def test_two_implementations_of_one_potential_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The same formula in torch and in NumPy; both in float64.
    assert typed(tmp_path, "analytic-lj", "ncbench.models.families.analytic_ase:lennard_jones", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    by_name = {one["name"]: one for one in result["differences"]}
    assert by_name["energies"]["value"] < 1e-8
    assert by_name["forces"]["value"] < 1e-10
    assert result["agree"]


def test_differences_of_precision_are_reported_and_tolerated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(tmp_path, "analytic-lj", "analytic-lj", "--b-set", "dtype=float32") == 0
    text = capsys.readouterr().out
    assert "analytic-lj [dtype=float32]" in text
    assert "energies and forces agree" in text
    # Within the requested tolerance only.
    assert typed(tmp_path, "analytic-lj", "analytic-lj", "--b-set", "dtype=float32", "--force-tolerance", "1e-9") == 1
    assert "they differ in forces" in capsys.readouterr().out


def test_a_one_percent_force_error_is_detected_when_energies_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(tmp_path, GOOD, "dialled.defects:swirl", "--json") == 1
    result = json.loads(capsys.readouterr().out)
    by_name = {one["name"]: one["agrees"] for one in result["differences"]}
    assert (by_name["energies"], by_name["forces"]) == (True, False)
    states = {one["metric"]: one["state"] for one in result["metrics"]}
    assert states["lambda"] == states["energy_force_gap"] == "worse"


def test_family_options_can_be_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("analytic-solenoidal", "analytic-solenoidal", "--a-set", "kappa=0.01", "--b-set", "kappa=0.05")
    assert typed(tmp_path, *words, system="harmonic-crystal") == 1
    assert "is worse in" in capsys.readouterr().out


def test_wrong_requests_are_usage_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, word in (
        ((GOOD, GOOD), "Both are the same"),
        ((GOOD, GOOD, "--b-set", "dtype"), "KEY=VALUE"),
        ((GOOD, GOOD, "--b-set", "spec=x"), "cannot be set"),
        ((GOOD, "analytic-jl"), "analytic-lj"),
        ((GOOD,), "'B'"),
    ):
        assert typed(tmp_path, *words) == 2
        assert word in capsys.readouterr().err
