"""``ncbench lambda`` and ``ncbench figures`` as typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from ncbench.models.registry import WEIGHTS

needs_pet = pytest.mark.skipif(not (WEIGHTS / "pet-m.pt").is_file(), reason="the bundled weights are not made yet")
CRYSTAL = ("--model", "analytic-solenoidal", "--system", "harmonic-crystal")


def ncbench(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ncbench", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"},
    )


@pytest.mark.slow
@needs_pet
def test_pair_resolution_writes_a_figure(tmp_path):
    done = ncbench(
        *(
            "lambda",
            "-m",
            "pet-m:direct",
            "-s",
            "water-molecule",
            "--resolve",
            "pairs",
            "--scan-step",
            "--out",
            tmp_path,
        )
    )
    assert done.returncode == 0, done.stderr
    assert f"Figures: jacobian-pairs, lambda-step-scan as .png and .svg in {tmp_path / 'figures'}" in done.stdout
    for side, rows in {"pairs": 6, "atoms": 3, "species": 4, "modes": 6, "step-scan": 13}.items():
        assert len(pd.read_parquet(tmp_path / f"lambda-{side}.parquet")) == rows
    drawn = tmp_path / "figures" / "jacobian-pairs.png"
    assert drawn.stat().st_size > 10_000
    drawn.unlink()
    again = ncbench("figures", tmp_path, "--out", tmp_path / "elsewhere")
    assert again.returncode == 0
    assert (tmp_path / "elsewhere" / "jacobian-pairs.png").is_file()


def test_mean_over_structures_is_printed_last(tmp_path):
    done = ncbench("lambda", *CRYSTAL, "--structures", 3, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    # √(2κ²/(3k² + 2κ²)) for κ = 0.05, k = 5; the same in every structure.
    assert last.startswith("analytic-solenoidal:direct, harmonic-crystal, 3 structures: λ = 0.008")
    assert len(pd.read_parquet(tmp_path / "lambda-summary.parquet")) == 1
    assert "Figures" not in done.stdout
    assert not (tmp_path / "figures").exists()
    as_json = json.loads(ncbench("lambda", *CRYSTAL, "--structures", 3, "--json", "--out", tmp_path).stdout)
    assert [row["structure"] for row in as_json] == [f"harmonic-crystal#{k}" for k in range(3)]


def test_mean_of_zeros_is_printed_as_an_upper_bound(tmp_path):
    done = ncbench("lambda", "-m", "analytic-lj", "-s", "argon", "--structures", 2, "--stress", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 structures: λ ≤ " in done.stdout.strip().splitlines()[-1]
    assert "λ stress" in done.stdout


@pytest.mark.slow
@needs_pet
def test_structures_with_unsupported_elements_give_rows(tmp_path):
    done = ncbench("lambda", "-m", "pet-m:direct", "-s", "small-ten", "--json", "--out", tmp_path)
    rows = json.loads(done.stdout)
    assert len(rows) == 10
    assert [row["status"] for row in rows] == ["ok"] + ["unsupported"] * 9
    assert "does not know C" in rows[2]["reason"]
    assert done.returncode == 1


def test_a_model_without_autograd_is_reported(tmp_path):
    factory = "ncbench.models.families.analytic_ase:solenoidal"
    done = ncbench(
        "lambda", "-m", factory, "-s", "harmonic-crystal", "--structures", 1, "--method", "exact", "--out", tmp_path
    )
    assert done.returncode == 1
    assert "autograd does not reach the positions. Use --method finite-difference" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("lambda", *CRYSTAL, "--method", "coloured", "--reach", "-1"), "reach_A = -1.0 is not a positive number"),
        (("figures", "no-such-folder"), "There is no results folder 'no-such-folder'"),
    ],
)
def test_wrong_requests_are_reported_in_one_sentence(arguments, says, tmp_path):
    done = ncbench(*arguments, *(("--out", tmp_path) if arguments[0] == "lambda" else ()))
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_figures_is_reported(tmp_path):
    done = ncbench("figures", tmp_path)
    assert done.returncode == 2
    assert "--resolve pairs" in done.stderr


def test_default_structures_are_named_for_a_model_of_ones_own(tmp_path):
    """The factory fails at once: only the announcement is looked at."""
    file = tmp_path / "own.py"
    file.write_text("def make():\n    raise ValueError('no weights')\n", encoding="utf-8")
    own = ("lambda", "--model", f"{file}:make", "--budget", "smoke", "--out", tmp_path / "out")
    sentence = "Structures: water64, the default of lambda; your material: --structure FILE"
    assert sentence in ncbench(*own).stderr
    assert sentence not in ncbench(*own, "--system", "water-molecule").stderr
    assert sentence not in ncbench("lambda", "--model", "analytic-lj", "--system", "argon", "--out", tmp_path).stderr
