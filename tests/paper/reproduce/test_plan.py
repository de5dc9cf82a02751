"""Plans: tables share jobs, jobs that cannot run are named, and estimates follow measured force calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncbench.cache_folder import CACHE_VARIABLE
from ncbench.errors import UsageError
from ncbench.paper.reproduce import available
from ncbench.paper.reproduce.estimate import CallTime, _fit, _seconds
from ncbench.paper.reproduce.outcome import comparisons
from ncbench.paper.reproduce.plan import plan
from ncbench.paper.reproduce.targets import choose
from ncbench.store.store import Store
from ncbench.types import Budget, ModelRequest


def test_tables_share_jobs(tmp_path: Path) -> None:
    both = plan(choose(["table2", "table8"]), Budget.LAPTOP, Store(tmp_path), models=["pet-m:direct"])
    alone = plan(choose(["table8"]), Budget.LAPTOP, Store(tmp_path), models=["pet-m:direct"])
    assert set(both.jobs) == set(alone.jobs)
    assert both.of["table2"] == both.of["table8"]
    assert both.unfinished == list(both.jobs)
    assert all(sizes == (192,) for sizes in both.sizes.values())


def test_models_that_cannot_run_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCBENCH_ENV_DIR", str(tmp_path / "no-environments"))
    result = plan(choose(["table8"]), Budget.LAPTOP, Store(tmp_path))
    assert "orb-v2" in result.left_out
    assert "ncbench env create orb" in result.left_out["orb-v2"]
    assert not [job for job in result.jobs if job.model.spec == "orb-v2"]
    # A model requested by name is included.
    named = plan(choose(["table8"]), Budget.LAPTOP, Store(tmp_path), models=["orb-v2"])
    assert {job.model.spec for job in named.jobs} == {"orb-v2"}
    # The small budget leaves models out and names them.
    small = plan(choose(["table8"]), Budget.SMOKE, Store(tmp_path))
    assert {job.model.spec for job in small.jobs} == {"pet-m:direct"}
    assert "smoke" in small.left_out["pet-m:conservative"]
    (table,) = comparisons(small.targets, tmp_path, left_out=small.left_out, stand_ins={})
    remarks = {cell.ours.model: cell.remark for cell in table.cells}
    assert remarks["pet-m:conservative"] == "pet-m:conservative was not run: the budget smoke leaves it out"
    assert remarks["orb-v2:direct"].startswith("orb-v2:direct was not run: its package is not installed")
    assert remarks["pet-m:direct"] == "nvt was not run"


def test_a_user_model_gets_the_settings_of_its_kind(tmp_path: Path) -> None:
    analytic = plan(choose(["table8"]), Budget.LAPTOP, Store(tmp_path), models=["analytic-solenoidal"])
    bundled = plan(choose(["table8"]), Budget.LAPTOP, Store(tmp_path), models=["pet-m:direct"])
    assert [job.settings for job in analytic.jobs] == [job.settings for job in bundled.jobs]


def test_weights_of_the_bundled_model_are_available(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("metatomic.torch")
    assert available.why_not(ModelRequest(spec="pet-m:direct")) == ""
    with pytest.raises(UsageError):
        available.why_not(ModelRequest(spec="pet-n"))


def test_call_times_are_fitted_by_a_line() -> None:
    assert _fit([]) is None
    assert _fit([(192, 0.1)]) == CallTime(0.1, 0.0)
    line = _fit([(3, 0.013), (192, 0.202)])
    assert line is not None
    # 0.189 s over 189 atoms, from 0.013 − 3 · 0.001.
    assert line.seconds(100) == pytest.approx(0.110, rel=1e-12)
    # Noise on small systems never makes a large one cheaper.
    noisy = _fit([(3, 0.02), (192, 0.01)])
    assert noisy is not None
    assert noisy.per_atom == 0.0


def test_estimated_seconds_follow_the_number_of_steps(tmp_path: Path) -> None:
    result = plan(choose(["figure2"]), Budget.LAPTOP, Store(tmp_path), models=["pet-m:direct"])
    (job,) = result.jobs
    # 1000 fs in steps of 0.5 fs, two structures, 10 ms a call, half a second of overhead.
    assert _seconds(job, result.sizes[job], CallTime(0.010, 0.0)) == pytest.approx(2 * 2000 * 0.010 + 0.5, rel=1e-12)
    assert _seconds(job, result.sizes[job], None) is None


def test_unavailable_structures_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An empty mirror simulates a machine without a network.
    monkeypatch.setenv("NCBENCH_DATA_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "data"))
    result = plan(choose(["table1", "lambda"]), Budget.SMOKE, Store(tmp_path / "out"), models=["pet-m:direct"])
    assert set(result.no_data) == {"water-dft"}
    assert [job.diagnostic for job in result.jobs] == ["lambda"]
    assert result.of["table1"] == ()
    table, _ = comparisons(result.targets, tmp_path / "out", left_out=result.no_data, stand_ins={})
    remarks = {cell.ours.model: cell.remark for cell in table.cells}
    assert remarks["pet-m:direct"].startswith("water-dft was not run: ")
