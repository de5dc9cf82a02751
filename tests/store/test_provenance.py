"""Provenance records how a number was computed, in JSON, without names of users, hosts or folders."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

import ncbench
from ncbench.models.loading import load_forcefield
from ncbench.store.provenance import collect, torch_state
from ncbench.types import ModelRequest


def test_provenance_of_a_learned_model_is_complete_json() -> None:
    now = datetime.now(UTC)
    card = load_forcefield(ModelRequest(spec="analytic-lj")).card
    result = json.loads(json.dumps(collect(card=card, settings={"a": 1}, seed=3, started=now, ended=now, wall_s=0.5)))
    assert result["ncbench"] == ncbench.__version__
    assert result["model_card"]["name"] == "analytic-lj"
    assert (
        result["packages"]["torch"] == torch.__version__.partition("+")[0]
        or result["packages"]["torch"] == torch.__version__
    )
    assert result["torch_state"]["threads"] == torch.get_num_threads()
    assert datetime.fromisoformat(result["started_utc"]).utcoffset() is not None
    assert (result["seed"], result["settings"], result["wall_s"]) == (3, {"a": 1}, 0.5)
    assert result["cpu"]


def test_supported_elements_are_a_sorted_list() -> None:
    from dataclasses import replace

    card = replace(load_forcefield(ModelRequest(spec="analytic-lj")).card, elements=frozenset({8, 1}))
    assert collect(card=card)["model_card"]["elements"] == [1, 8]


def test_host_and_folder_of_the_program_are_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somebody/bin/ncbench", "lambda"])
    result = collect()
    assert result["command_line"] == ["ncbench", "lambda"]
    assert platform.node() not in json.dumps({k: v for k, v in result.items() if k not in ("platform", "cpu")})


def test_tf32_setting_is_recorded() -> None:
    before = torch.backends.cuda.matmul.allow_tf32
    try:
        for on in (True, False):
            torch.backends.cuda.matmul.allow_tf32 = on
            assert torch_state("cpu")["tf32_matmul"] is on
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def test_collecting_loads_no_torch() -> None:
    code = "import sys; from ncbench.store.provenance import collect; print(collect()['torch_state'], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["{}", "False"]


def test_git_state_is_recorded_only_in_a_checkout() -> None:
    root = Path(ncbench.__file__).parent.parent
    git = collect()["git"]
    assert not git or ((root / ".git").exists() and len(git["commit"]) == 40)
