"""Undecided metrics do not pass, and each cause is printed once."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ncbench.check import judge, limits, outputs
from ncbench.check.baseline import Baseline
from ncbench.check.metrics import Measured
from ncbench.check.outputs import CheckResult
from ncbench.check.run import failures
from ncbench.errors import StoreError
from ncbench.store.files import write_through

METRICS = {"lambda": Measured(1e-5, 1e-6, 1e-6, 11), "drift": Measured(1.1, 0.5, 0.5, 4)}


def outcome(*, strict: bool, bounds: tuple[str, ...], failed: tuple[str, ...] = ()) -> CheckResult:
    new = Baseline(
        model="m", force_mode="direct", suite="quick", system="water64", seed=0, metrics=METRICS, conditions={}
    )
    result = limits.judge([limits.parse(text) for text in bounds], METRICS)
    return CheckResult(new=new, old=None, findings=(), limits=tuple(result), failures=failed, strict=strict)


@pytest.mark.parametrize("bound", ["drift < 1", "speed < 3"])
def test_an_undecided_limit_does_not_pass_and_fails_with_strict(bound: str) -> None:
    lenient = outcome(strict=False, bounds=("lambda < 1e-3", bound))
    strict = outcome(strict=True, bounds=("lambda < 1e-3", bound))
    assert lenient.passed
    assert not strict.passed
    for one in (lenient, strict):
        assert "m:direct is not shown to pass: 1 of 2 hold" in one.sentence()
    assert b"<failure" not in outputs.junit(lenient)
    assert b"<failure" in outputs.junit(strict)
    assert outcome(strict=True, bounds=("lambda < 1e-3",)).sentence() == "m:direct passes: 1 limits."


def test_each_cause_is_reported_once() -> None:
    row = {"status": "failed", "reason": "ValueError: no weights"}
    rows = {name: [row | {"reason": f"{row['reason']} (see {name}.log)"}] for name in ("lambda", "relax")}
    reported = failures(rows)
    assert reported == ["lambda, relax failed: ValueError: no weights"]
    new = Baseline(model="m", force_mode="", suite="quick", system="s", seed=0, metrics={}, conditions={})
    findings = tuple(judge.compare({}, METRICS, paired=True))
    broken = CheckResult(new=new, old=new, findings=findings, limits=(), failures=tuple(reported))
    assert broken.sentence() == "m does not pass: not measured: lambda, relax failed: ValueError: no weights."
    assert outputs.junit(broken).count(b"<failure") == 1


def test_reports_are_written_through_links_and_pipes(tmp_path: Path) -> None:
    target, link, pipe = (tmp_path / name for name in ("target.xml", "link.xml", "pipe"))
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_through(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_through(pipe, b"through")
    reader.join(timeout=10)
    assert read == [b"through"]
    assert pipe.is_fifo()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_device_is_reported_in_one_sentence() -> None:
    with pytest.raises(StoreError, match="disk is full"):
        write_through(Path("/dev/full"), b"x")
    assert not Path("/dev/full").is_file()
