"""``analyse`` as a function: drifts of logs and observables of trajectories, as on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms, units

import ncbench
from ncbench.cli.main import _guarded
from ncbench.errors import UsageError

DATA = Path(__file__).parents[1] / "logs" / "data"
SWIRL = (DATA / "ase-swirl-8fs.log", DATA / "ase-swirl-4fs.log")


def test_logs_have_the_numbers_and_the_verdict_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "typed"
    options = ["--timestep", "8,4", "--atoms", "108", "--ensemble", "nve", "--out", str(out), "--json"]
    assert _guarded(["analyse", *map(str, SWIRL), *options]) == 0
    typed = json.loads(capsys.readouterr().out)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    analysis = ncbench.analyse(SWIRL, timestep_fs=(8, 4), n_atoms=108, ensemble="nve")
    assert sorted(tmp_path.rglob("*")) == before
    assert analysis.verdict is not None
    assert str(analysis.verdict.cause) == typed["verdict"]["cause"] == "model"
    frame = analysis.to_frame()
    powers = [row["power_meV_per_atom_per_ps"] for row in typed["runs"]]
    # The same numbers in the same process, to the last bit.
    assert list(frame["power_meV_per_atom_per_ps"]) == powers
    assert frame.attrs["units"]["power_meV_per_atom_per_ps"] == "meV/atom/ps"
    assert "model" in str(analysis)


def test_temperature_of_a_trajectory_is_that_of_its_velocities(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(40):
        atoms = Atoms("Ar8", positions=4.0 * np.indices((2, 2, 2)).reshape(3, -1).T, cell=[8.0] * 3, pbc=True)
        atoms.set_velocities(rng.normal(scale=0.01, size=(8, 3)))
        frames.append(atoms)
    file = tmp_path / "run.traj"
    ase.io.write(file, frames)
    analysis = ncbench.analyse(file, timestep_fs=10.0, observables=["temperature"], out=tmp_path / "out")
    row = analysis.to_frame().set_index("species").loc["all"]
    kinetic = np.mean([atoms.get_kinetic_energy() for atoms in frames])
    # 3N or 3N − 3 degrees of freedom of 8 atoms: the definition is that of the command; both are within 15 %.
    assert row["temperature_K"] == pytest.approx(2.0 * kinetic / (24 * units.kB), rel=0.15)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "analyse.csv", "analyse.parquet", "analyse.provenance.json",
    ]  # fmt: skip
    record = json.loads((tmp_path / "out" / "analyse.provenance.json").read_text(encoding="utf-8"))
    assert list(record["files"]) == ["run.traj"]
    with pytest.raises(UsageError, match="no curve 'rdf'"):
        analysis.to_frame("rdf")


def test_curves_of_a_trajectory_are_frames_with_units(tmp_path: Path) -> None:
    atoms = Atoms("Ar8", positions=4.0 * np.indices((2, 2, 2)).reshape(3, -1).T, cell=[8.0] * 3, pbc=True)
    file = tmp_path / "still.traj"
    ase.io.write(file, [atoms] * 10)
    frame = ncbench.analyse(file, observables=["rdf"]).to_frame("rdf")
    assert frame.attrs["units"]["distance_A"] == "Å"
    near = frame[frame["ratio_g"] > 0].iloc[0]
    # A simple cubic lattice: no pair is nearer than its constant, 4 Å; bins are 0.05 Å wide.
    assert near["distance_A"] == pytest.approx(4.0, abs=0.05)


@pytest.mark.parametrize(
    ("files", "options", "sentence"),
    [
        ([], {}, "no files to analyse"),
        (DATA / "no-such.log", {}, "no-such.log"),
        (SWIRL[0], {"n_atoms": 108, "observables": ["rdf"]}, "holds no positions"),
        (SWIRL[0], {"timestep_fs": -1.0}, "not a positive time"),
        (SWIRL[0], {"blocks": 0}, "blocks"),
        (SWIRL[0], {}, "does not say how many atoms"),
    ],
)
def test_wrong_requests_raise_usage_errors(files: Any, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        ncbench.analyse(files, **options)
