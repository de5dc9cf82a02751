"""A small suite of an analytic field, and its jobs as a worker is sent them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ncbench.run.cases import CaseLoader
from ncbench.run.messages import case_content, encode, job_content
from ncbench.run.plan import load_suite
from ncbench.run.status import key_of
from ncbench.types import Job

SUITE = """
[suite]
name = "small"
budget = "smoke"
[[run]]
diagnostics = ["nve-drift"]
models = ["analytic-lj"]
system = "argon"
structures = 1
seeds = {seeds}
settings.nve-drift = {{ duration_fs = {length}, timestep_fs = 1.0 }}
{more}
"""


@pytest.fixture
def jobs(tmp_path: Path) -> Callable[..., list[Job]]:
    """Jobs of constant-energy dynamics, one a seed."""

    def make(seeds: int, length: float = 20.0, more: str = "") -> list[Job]:
        path = tmp_path / "small.toml"
        path.write_text(SUITE.format(seeds=list(range(seeds)), length=length, more=more), encoding="utf-8")
        return load_suite(path)

    return make


@pytest.fixture
def request_of(tmp_path: Path) -> Callable[..., bytes]:
    """What a worker is sent for a job."""

    def make(job: Job, out: Path, **changes: Any) -> bytes:
        cases = CaseLoader().of(job)
        content = {
            "job": job_content(job),
            "cases": [case_content(case) for case in cases],
            "key": key_of(job, cases),
            "out": str(out),
            "stop": str(tmp_path / "stop"),
            "retries": 0,
            "reuse": "known",
            "threads": None,
            "command_line": ["ncbench", "run", "small.toml"],
        }
        return encode("run", **{**content, **changes})

    return make
