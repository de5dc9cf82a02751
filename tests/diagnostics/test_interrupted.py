"""Ctrl-C: partial rows are kept and marked, and do not count as a result."""

from __future__ import annotations

import numpy as np
import pytest
from known_fields import Interrupting, Well, cluster

from ncbench.diagnostics import mts, nve_drift, nvt
from ncbench.diagnostics.mts import MtsSettings
from ncbench.diagnostics.nve_drift import NveDriftSettings
from ncbench.diagnostics.nvt import NvtSettings
from ncbench.run.attempt import incomplete
from ncbench.run.local import run_jobs
from ncbench.run.plan import plan_jobs
from ncbench.run.reporter import SilentReporter
from ncbench.store.store import Store
from ncbench.types import Budget, Case, Interrupted, ModelRequest, Status, SystemRequest


def cases(n: int = 1) -> list[Case]:
    return [Case(f"s{i}", cluster("H2O", spread=0.05, seed=i)) for i in range(n)]


def test_the_numbers_of_an_interrupted_drift_are_those_of_a_run_of_that_length(context):
    settings = NveDriftSettings(duration_fs=100.0, sample_every=2, fix_com=False, redraw_momenta=True)
    with pytest.raises(Interrupted) as stopped:
        # Two calls to warm up and one at the start: step 61 is the one that is not made, 60 the last whole one.
        nve_drift.run(Interrupting(64, kappa=0.3), cases(), settings, seed=0, context=context)
    (row,) = stopped.value.outcome.rows
    assert row["status"] == Status.INCOMPLETE
    assert "after 30 fs" in row["reason"]
    assert row["duration_fs"] == 30.0
    context.checkpoint.state = None
    shorter = NveDriftSettings(duration_fs=30.0, sample_every=2, fix_com=False, redraw_momenta=True)
    (short,) = nve_drift.run(Interrupting(-1, kappa=0.3), cases(), shorter, seed=0, context=context).rows
    differing = {name for name in row if row[name] != short[name]}
    assert differing == {"steps", "status", "reason"}
    assert row["energy_drift_meV_per_atom_per_ps_se"] > 0


def test_too_few_steps_give_no_numbers_and_resuming_gives_identical_rows(context):
    settings = NveDriftSettings(
        duration_fs=40.0, sample_every=2, fix_com=False, redraw_momenta=True, timesteps=(0.5, 1.0), batch=1
    )
    whole = nve_drift.run(Interrupting(-1, kappa=0.3), cases(2), settings, seed=0, context=context)
    context.checkpoint.state = None
    with pytest.raises(Interrupted) as stopped:
        # In the ninth step of the first structure's run at the second time step.
        nve_drift.run(Interrupting(2 * 83 + 12, kappa=0.3), cases(2), settings, seed=0, context=context)
    rows = stopped.value.outcome.rows
    assert [(row["structure"], row["timestep_fs"], row["status"]) for row in rows] == [
        ("s0", 0.5, "ok"),
        ("s1", 0.5, "ok"),
        ("s0", 1.0, "incomplete"),
    ]
    assert rows[:2] == whole.rows[:2]
    assert rows[2]["drift_K_per_ps"] is None
    assert rows[2]["duration_fs"] == 8.0
    assert len(stopped.value.outcome.side["series"]) == 2 * 41 + 5
    rest = Interrupting(-1, kappa=0.3)
    assert nve_drift.run(rest, cases(2), settings, seed=0, context=context) == whole
    # Finished steps are not repeated: 32 steps and two calls to warm up, then a whole run of 43.
    assert rest.total == 34 + 43


@pytest.mark.parametrize(("at", "reported"), [(10, False), (90, True)])
def test_interrupted_runs_under_thermostats(at, reported, context):
    settings = NvtSettings(thermostats=("langevin:100",), equilibration_fs=10.0, duration_fs=90.0, fix_com=False)
    with pytest.raises(Interrupted) as stopped:
        nvt.run(Interrupting(at, kappa=0.3), cases(), settings, seed=0, context=context)
    rows = stopped.value.outcome.rows
    assert [row["species"] for row in rows] == ["all", "H", "O"]
    assert all(row["status"] == Status.INCOMPLETE for row in rows)
    # Calls: two to warm up, one at the start; the one that was interrupted belongs to no step.
    assert rows[0]["steps"] == max(0, at - 4 - 20)
    assert all((row["temperature_K"] is not None) is reported for row in rows)
    assert (rows[0]["power_meV_per_atom_per_ps"] is not None) is reported


def test_interrupted_multiple_time_stepping(context):
    context.reference = Well()
    settings = MtsSettings(strides=(2, 4), duration_fs=40.0, fix_com=False, rounds=3, timed_steps=8)
    clocked = Interrupting(-1, kappa=0.3)
    whole = mts.run(clocked, cases(), settings, seed=0, context=context)
    # The last run with fast forces is that of M = 4: stop in its middle.
    context.checkpoint.state = None
    with pytest.raises(Interrupted) as stopped:
        mts.run(Interrupting(clocked.total - 20, kappa=0.3), cases(), settings, seed=0, context=context)
    rows = stopped.value.outcome.rows
    assert [(row["integrator"], row["stride"], row["status"]) for row in rows] == [
        ("direct", 1, "ok"),
        ("conservative", 1, "ok"),
        ("mts", 2, "ok"),
        ("mts", 4, "incomplete"),
    ]
    assert rows[-1]["ratio_cost"] is not None
    assert 0 < rows[-1]["duration_fs"] < 40.0
    name = "energy_drift_meV_per_atom_per_ps"
    assert [row[name] for row in rows[:3]] == [row[name] for row in whole.rows[:3]]


def test_every_row_of_an_interrupted_job_is_marked():
    outcome = nve_drift.Outcome(
        rows=[
            {"structure": "s0/0", "n_atoms": 3, "status": Status.OK, "reason": ""},
            {"structure": "s0/1", "n_atoms": 3, "status": Status.INCOMPLETE, "reason": "interrupted after 3 fs"},
        ],
        side={"series": [{"structure": "s0/0", "n_atoms": 3, "time_fs": 0.0}]},
    )
    marked = incomplete(cases(2), outcome)
    # Each replica of s0 has a row; s1 had not begun.
    assert [row["structure"] for row in marked.rows] == ["s0/0", "s0/1", "s1"]
    assert {row["status"] for row in (*marked.rows, *marked.side["series"])} == {Status.INCOMPLETE}
    assert all(row["reason"] for row in marked.rows)
    assert marked.rows[1]["reason"] == "interrupted after 3 fs"


def test_an_interrupted_job_is_recorded_and_run_again(tmp_path, monkeypatch):
    package = tmp_path / "stopping_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "model.py").write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from ase.calculators.lj import LennardJones\n"
        "class Stopping(LennardJones):\n"
        "    calls = 0\n"
        "    def calculate(self, *args, **kwargs):\n"
        "        Stopping.calls += 1\n"
        "        if Stopping.calls == int(os.environ['STOP_AT']):\n"
        "            raise KeyboardInterrupt\n"
        "        super().calculate(*args, **kwargs)\n"
        "def factory():\n    return Stopping(sigma=3.4, epsilon=0.0104, rc=5.0)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    jobs = plan_jobs(
        ["nve-drift"],
        [ModelRequest(spec="stopping_package.model:factory")],
        SystemRequest(name="argon", structures=1),
        budget=Budget.SMOKE,
        overrides={"nve-drift": {"duration_fs": 30.0, "timestep_fs": 0.5, "redraw_momenta": True}},
    )
    store = Store(tmp_path / "out")
    monkeypatch.setenv("STOP_AT", "45")
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, store, SilentReporter())
    (row,) = store.read("nve-drift").to_dict("records")
    assert row["status"] == "incomplete"
    assert np.isfinite(row["drift_K_per_ps"])
    assert set(store.read("nve-drift", "series")["status"]) == {"incomplete"}
    assert not store.finished_keys()
    monkeypatch.setenv("STOP_AT", "-1")
    summary = run_jobs(jobs, store, SilentReporter())
    assert summary.n_run == 1
    assert store.read("nve-drift")["status"].tolist() == ["ok"]
    assert set(store.read("nve-drift", "series")["status"]) == {"ok"}
    assert len(store.finished_keys()) == 1
