"""``analyse`` of logs on the command line: what is printed, written and refused."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from ncbench.cli.main import _guarded

DATA = Path(__file__).parents[1] / "logs" / "data"


def run(*arguments: str, out: Path) -> int:
    return _guarded(["analyse", *(str(DATA / a) if (DATA / a).is_file() else a for a in arguments), "--out", str(out)])


def test_a_lammps_log_needs_no_option(tmp_path, capsys):
    assert run("lammps-runs.log", out=tmp_path) == 0
    printed = capsys.readouterr().out
    assert "Verdict: no heating" in printed
    assert "a minimisation, not dynamics" in printed
    table = pd.read_parquet(tmp_path / "analyse-logs.parquet")
    assert list(table["run"]) == [1, 2, 3, 4]
    assert set(table["structure"]) == {"lammps-runs.log"}
    assert (tmp_path / "analyse-logs.csv").is_file()
    record = json.loads((tmp_path / "analyse-logs.provenance.json").read_text(encoding="utf-8"))
    assert record["verdict"]["cause"] == "no heating"
    assert list(record["files"]) == ["lammps-runs.log"]


def test_two_logs_are_compared(tmp_path, capsys):
    both = ("ase-swirl-8fs.log", "ase-swirl-4fs.log")
    code = run(*both, "--timestep", "8,4", "--atoms", "108", "--ensemble", "nve", "--json", out=tmp_path)
    assert code == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"]["cause"] == "model"
    assert [row["timestep_fs"] for row in answer["runs"]] == [8.0, 4.0]


def test_a_column_below_the_printed_precision_is_not_reported_as_zero(tmp_path, capsys):
    assert run("ase-peratom.log", "--atoms", "108", "--ensemble", "nve", out=tmp_path) == 0
    assert "below print, <" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "analyse-logs.csv")
    assert table["power_meV_per_atom_per_ps"].isna().all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ase-swirl-8fs.log"], "does not say how many atoms there are. Give --atoms N"),
        (["ase-swirl-8fs.log", "--atoms", "0"], "--atoms 0"),
        (["lammps-lj.log"], "reduced (lj) units"),
        (["lammps-lj.log", "--units", "metall"], "no units 'metall'"),
        (["ase-swirl-8fs.log", "no-such.log"], "There is no file 'no-such.log'"),
        (["ase-swirl-8fs.log", "truth.json"], "is a log and"),
        (["ase-swirl-8fs.log", "--observables", "rdf"], "a log holds no positions"),
        (["ase-swirl-8fs.log", "--timestep", "1,2"], "2 values for 1 logs"),
        (["ase-swirl-8fs.log", "--timestep", "0"], "not a positive time"),
        (["ase-swirl-8fs.log", "--timestep", "x"], "is not a time"),
        (["ase-swirl-8fs.log", "--atoms", "108", "--ensemble", "nvt"], "--ensemble is nve or thermostat"),
        (["truth.json", "--atoms", "3"], "--atoms is of logs"),
        (["truth.json", "--columns", "volume=3"], "no quantity 'volume'"),
    ],
)
def test_invalid_requests_are_refused_in_one_sentence(arguments, says, tmp_path, capsys):
    assert run(*arguments, out=tmp_path) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "bug" not in error
    assert error.count("\n") == 1


def test_a_log_without_a_measurable_run_fails(tmp_path, capsys):
    lines = (DATA / "ase-swirl-8fs.log").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "short.log").write_text("".join(lines[:5]), encoding="utf-8")
    assert run(str(tmp_path / "short.log"), "--atoms", "108", out=tmp_path) == 1
    assert "8 are the least" in capsys.readouterr().out
