"""``ncbench nve-drift`` as typed: origin of the drift (model or integrator), and text and binary trajectories."""

from __future__ import annotations

import pandas as pd
import pytest

from ncbench.cli.main import _guarded
from ncbench.observables.trajectory import read_trajectory

LENNARD_JONES = ("nve-drift", "-s", "argon", "--redraw-momenta", "--quiet")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("analytic-solenoidal", "analytic-solenoidal:direct, argon#0: the drift is caused by the forces ("),
        ("analytic-lj", "analytic-lj:conservative, argon#0: no drift beyond its error ("),
    ],
)
def test_verdict_is_printed_and_plotted(model, says, tmp_path, capsys):
    command = [*LENNARD_JONES, "-m", model, "--timesteps", "4,8,16", "--duration", "4000"]
    assert _guarded([*command, "--out", str(tmp_path)]) == 0
    written = capsys.readouterr().out
    assert says in written
    assert "limit Δt → 0:" in written
    assert (tmp_path / "figures" / "nve-drift-timesteps.png").stat().st_size > 10_000
    assert len(pd.read_parquet(tmp_path / "nve-drift-timesteps.parquet")) == 1


def test_a_run_too_short_for_a_verdict_is_reported(tmp_path, capsys):
    assert _guarded([*LENNARD_JONES, "-m", "analytic-lj", "--duration", "20", "--out", str(tmp_path)]) == 0
    assert "Too short to tell the energy's noise from a random walk" in capsys.readouterr().out
    table = pd.read_parquet(tmp_path / "nve-drift.parquet")
    assert table["plateau"].tolist() == [False]


def test_binary_trajectories_can_be_written(tmp_path, capsys):
    command = [*LENNARD_JONES, "-m", "analytic-lj", "--timestep", "4", "--duration", "200"]
    command += ["--trajectory-every", "10", "--trajectory-format", "traj", "--out", str(tmp_path)]
    assert _guarded(command) == 0
    (name,) = pd.read_parquet(tmp_path / "nve-drift.parquet")["trajectory"]
    assert name.endswith(".traj")
    assert read_trajectory(tmp_path / name).interval_fs == pytest.approx(40.0)
    assert _guarded([*command, "--trajectory-format", "trj"]) == 2
    assert "cannot be 'trj'. Did you mean 'traj'?" in capsys.readouterr().err.replace("\n", " ")
