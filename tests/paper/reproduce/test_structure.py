"""Structure and spectra of the trajectories of a target's runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ncbench.errors import UsageError
from ncbench.paper.reproduce.structure import curves_of, measure
from ncbench.paper.reproduce.targets import Target, targets
from ncbench.report.figures import draw_figures
from ncbench.run.local import run_jobs
from ncbench.run.plan import load_suite
from ncbench.run.reporter import SilentReporter
from ncbench.store.store import Store

SUITE = """
[suite]
name = "figure12"
observables = ["rdf", "orientation"]
[[run]]
diagnostics = ["nvt"]
models = ["pet-m:direct"]
system = "water64"
structures = 1
vary.nvt.thermostats = ["langevin:10", "svr:10"]
settings.nvt = { equilibration_fs = 0.0, duration_fs = 10.0, sample_every = 1, trajectory_every = 2 }
[[structure]]
label = "NC, SVR"
model = "pet-m:direct"
thermostat = "svr:10"
reference = true
[[structure]]
label = "NC, WN"
model = "pet-m:direct"
thermostat = "langevin:10"
[[structure]]
label = "MTS"
model = "pet-m:conservative"
thermostat = "svr:10"
mts = 8
"""


def _target(folder: Path, text: str = SUITE, observables: tuple[str, ...] = ("rdf", "orientation")) -> Target:
    path = folder / "figure12.toml"
    path.write_text(text, encoding="utf-8")
    return Target(name="figure12", summary="", path=path, observables=observables)


def test_suites_with_structure_have_one_reference_and_run_all_curves() -> None:
    shown = [target for target in targets().values() if curves_of(target)]
    assert {target.name for target in shown} >= {"figure3", "figure12", "figure17"}
    for target in shown:
        assert target.observables
        jobs = [job for job in load_suite(target.path) if job.settings.trajectory_every]
        there = {(job.model.spec, text, job.settings.mts or 1) for job in jobs for text in job.settings.thermostats}
        assert {(curves.model, curves.thermostat, curves.mts) for curves in curves_of(target)} <= there


def test_two_references_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="reference"):
        curves_of(_target(tmp_path, SUITE.replace("mts = 8", "reference = true")))


@pytest.mark.models("metatomic")
def test_curves_and_differences_are_written(tmp_path: Path) -> None:
    pytest.importorskip("metatomic.torch")
    target, out = _target(tmp_path), tmp_path / "out"
    assert measure(target, out) == ["figure12: there is no trajectory of a thermostatted run"]
    run_jobs(load_suite(target.path), Store(out), SilentReporter())
    assert measure(target, out) == ["figure12: no trajectory of MTS (pet-m:conservative, svr:10)"]
    frame = pd.read_parquet(out / "figure12-rdf.parquet")
    assert set(frame["system"]) == {"NC, SVR", "NC, WN"}
    wide = frame.set_index(["system", "species_i", "species_j", "distance_A"])
    reference, other = wide.loc["NC, SVR"], wide.loc["NC, WN"]
    assert reference["ratio_g_difference"].isna().all()
    # The difference is that of the two curves, to the rounding of a subtraction.
    expected = other["ratio_g"] - reference["ratio_g"]
    assert (other["ratio_g_difference"] - expected).abs().max() < 1e-12
    assert expected.abs().max() > 0.01
    drawn = draw_figures(out, out / "figures", tables=["figure12-rdf"])
    assert [path.name for path in drawn] == ["figure12.png", "figure12.svg"]
    # A deleted trajectory is reported.
    for path in (out / "jobs").glob("*/*langevin*"):
        path.unlink()
    assert any("NC, WN" in sentence for sentence in measure(target, out))
