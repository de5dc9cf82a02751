"""From a run to its trajectory to its observables, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ncbench.cli.main import _guarded


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """Trajectories of argon in two ensembles."""
    result = []
    for command in (
        ["nve-drift", "--timestep", "4", "--duration", "800"],
        ["nvt", "--thermostat", "svr:50", "--timestep", "4", "--duration", "600"],
    ):
        out = tmp_path_factory.mktemp("runs")
        code = _guarded(
            [
                *command,
                "-m",
                "analytic-lj",
                "-s",
                "argon",
                "--trajectory-every",
                "4",
                "--out",
                str(out),
                "--quiet",
                "--redraw-momenta",
            ]
        )
        assert code == 0
        table = pd.read_parquet(out / f"{command[0]}.parquet")
        names = table["trajectory"].unique()
        result.append([str(out / name) for name in names])
        assert all(Path(path).is_file() for path in result[-1])
    return result[0], result[1]


def test_analyse_writes_tables_and_figure(runs, tmp_path, capsys):
    own, reference = runs
    code = _guarded(["analyse", *own, "--reference", reference[0], "--out", str(tmp_path), "--blocks", "3", "--json"])
    assert code == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["species"] for row in rows} == {"all", "Ar"}
    assert all(row["trajectories"] == len(own) for row in rows)
    rdf = pd.read_parquet(tmp_path / "analyse-rdf.parquet")
    assert rdf["ratio_g"].max() > 1.5
    assert rdf["ratio_g_difference"].notna().all()
    near = rdf[rdf["distance_A"] < 4.6]
    density = (rows[0]["n_atoms"] - 1) / rows[0]["cell_length_A"] ** 3
    # A warm fcc crystal: twelve neighbours before the gap, broadened by vibrations.
    assert (near["ratio_g"] * 4 * 3.14159 * near["distance_A"] ** 2 * 0.05 * density).sum() == pytest.approx(
        12, abs=0.6
    )
    spectrum = pd.read_parquet(tmp_path / "analyse-spectrum.parquet")
    everything = spectrum[spectrum["species"] == "all"]
    area = np.trapezoid(everything["density_K_cm"], everything["wavenumber_per_cm"])
    assert area == pytest.approx(rows[0]["temperature_K"], rel=0.15)
    assert (tmp_path / "figures" / "analysis.png").stat().st_size > 10_000
    record = json.loads((tmp_path / "analyse.provenance.json").read_text(encoding="utf-8"))
    assert len(record["files"]) >= 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.xyz"], "There is no trajectory"),
        (["FILE", "--observables", "rfd"], "There is no observable 'rfd'"),
        (["FILE", "--timestep", "-1"], "not a positive time"),
        (["FILE", "--skip", "1e9"], "at least two are needed"),
        (["FILE", "--observables", "orientation"], "is not water"),
    ],
)
def test_invalid_requests_are_refused(arguments, says, runs, capsys, tmp_path):
    code = _guarded(["analyse", *(runs[0][0] if a == "FILE" else a for a in arguments), "--out", str(tmp_path)])
    assert code == 2
    assert says in capsys.readouterr().err
