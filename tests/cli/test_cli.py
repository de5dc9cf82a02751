"""The command line as a user meets it: real processes, real exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

SOLENOIDAL = ["--model", "analytic-solenoidal", "--system", "harmonic-crystal", "--structures", "1"]


def ncbench(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ncbench", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"} | environment,
    )


def test_help_imports_no_heavy_package_and_lists_commands():
    code = (
        "import sys\nfrom ncbench.cli.main import app\n"
        "try:\n    app(['--help'], standalone_mode=False)\nfinally:\n"
        "    heavy = {'torch', 'ase', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "    print('HEAVY', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "HEAVY []" in done.stdout
    for command in ("lambda", "workloop", "nve-drift", "nvt", "relax", "timing", "models", "systems", "run", "summary"):
        assert command in done.stdout


@pytest.mark.parametrize("command", ["lambda", "workloop", "nve-drift", "nvt", "relax", "timing"])
def test_every_command_has_help(command):
    done = ncbench(command, "--help")
    assert done.returncode == 0
    assert f"ncbench {command} " in done.stdout
    assert "Example" in done.stdout
    for option in (
        "--model",
        "--system",
        "--structure",
        "--device",
        "--dtype",
        "--seed",
        "--out",
        "--budget",
        "--json",
    ):
        assert option in done.stdout


def test_lambda_writes_its_table_and_json(tmp_path):
    done = ncbench("lambda", *SOLENOIDAL, "--out", str(tmp_path), "--json", "-O", "kappa=0.4")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    # (2κ²/(3k² + 2κ²))^½ with k = 5, κ = 0.4
    assert row["lambda"] == pytest.approx((0.32 / 75.32) ** 0.5, rel=1e-12)
    for name in ("lambda.parquet", "lambda.csv"):
        assert (tmp_path / name).is_file()
    frame = pd.read_parquet(tmp_path / "lambda.parquet")
    wanted = "model force_mode system structure n_atoms seed dtype device status reason method lambda lambda_se force_calls seconds"
    assert set(wanted.split()) <= set(frame.columns)
    assert frame["status"].tolist() == ["ok"]


@pytest.mark.parametrize(
    ("command", "columns"),
    [
        ("workloop", "path work_meV quadrature_error_meV"),
        (
            "nve-drift",
            (
                "timestep_fs steps drift_K_per_ps drift_K_per_ps_se energy_drift_meV_per_atom_per_ps "
                "energy_drift_meV_per_atom_per_ps_se temperature_mean_K"
            ),
        ),
        ("nvt", "thermostat tau_fs species temperature_K temperature_K_se power_meV_per_atom_per_ps"),
        ("relax", "set optimizer n n_success success_percent steps_median"),
        ("timing", "ms_per_step ms_per_step_per_atom"),
    ],
)
def test_tables_of_the_other_diagnostics_have_their_columns(command, columns, tmp_path):
    done = ncbench(command, *SOLENOIDAL, "--budget", "smoke", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "analytic-solenoidal" in done.stdout
    frame = pd.read_csv(tmp_path / f"{command}.csv")
    assert set(columns.split()) <= set(frame.columns)
    assert len(frame)


def test_finished_jobs_are_reused_and_new_rows_added(tmp_path):
    first = ncbench("lambda", *SOLENOIDAL, "--out", str(tmp_path), "--json")
    again = ncbench("lambda", *SOLENOIDAL, "--out", str(tmp_path), "--json")
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert "done before" in again.stderr
    ncbench("lambda", *SOLENOIDAL, "--out", str(tmp_path), "--seed", "1")
    assert len(pd.read_csv(tmp_path / "lambda.csv")) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["lamda"], 2, "Did you mean 'lambda'"),
        (["lambda", "--modle", "x"], 2, "--model"),
        (["lambda"], 2, "--model"),
        (["lambda", "--model", "pet-mm"], 2, "Did you mean 'pet-m'"),
        (["lambda", "--model", "analytic-lj", "--system", "argn"], 2, "Did you mean 'argon'"),
        (["lambda", "--model", "sevennet-0:direct"], 2, "has no direct forces"),
        (["lambda", "--model", "./missing.pt"], 2, "no model file"),
        (["lambda", "--model", "analytic-lj", "--structure", "missing.xyz"], 2, "no file"),
        (["lambda", "--model", "analytic-lj", "--structure", "empty.xyz"], 2, "empty"),
        (["lambda", "--model", "analytic-lj", "--structure", "nan.xyz"], 2, "not a finite number"),
        (["lambda", "--model", "analytic-lj", "--structure", "overlap.xyz"], 2, "apart"),
        (["lambda", "--model", "analytic-lj", "--structure", "text.xyz"], 2, "text.xyz"),
        (["lambda", "--model", "analytic-lj", "--system", "argon", "--device", "cuda"], 2, "GPU"),
        (["lambda", "--model", "analytic-lj", "--system", "argon", "--method", "exat"], 2, "Did you mean 'exact'"),
        (["lambda", "--model", "analytic-lj", "--system", "argon", "--budget", "lapto"], 2, "Did you mean 'laptop'"),
        (["lambda", "--model", "analytic-lj", "--system", "argon", "--out", "/dev/null/x"], 1, "/dev/null"),
        (["lambda", "--model", "analytic-lj", "--system", "argon", "--repeat", "2"], 2, "2,2,2"),
        (["lambda", "--model", "nosuch.module:factory", "--system", "argon"], 2, "nosuch"),
        (["nve-drift", "--model", "analytic-lj", "--system", "argon", "--timestep", "-1"], 2, "positive"),
        (["run", "missing.toml"], 2, "no suite"),
        (["models", "show", "petm"], 2, "Did you mean 'pet-m'"),
        (["systems", "show", "watr64"], 2, "Did you mean 'water64'"),
        (["summary", "nowhere"], 2, "nowhere"),
    ],
)
def test_bad_input_gives_one_sentence_and_its_exit_code(arguments, code, message, tmp_path):
    (tmp_path / "empty.xyz").touch()
    (tmp_path / "text.xyz").write_text("this is no structure\n")
    (tmp_path / "nan.xyz").write_text("2\n\nAr 0 0 0\nAr nan 0 4\n")
    (tmp_path / "overlap.xyz").write_text("2\n\nAr 0 0 0\nAr 0 0 0.01\n")
    done = ncbench(*arguments, cwd=tmp_path)
    assert message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert done.returncode == code
    assert len(done.stderr.strip().splitlines()) <= 2, done.stderr


def test_an_unsupported_element_gives_a_row(tmp_path):
    pytest.importorskip("sevenn")
    (tmp_path / "og.xyz").write_text("2\n\nOg 0 0 0\nOg 0 0 4\n")
    done = ncbench("lambda", "--model", "sevennet-0", "--structure", "og.xyz", cwd=tmp_path)
    assert done.returncode == 1
    assert "does not know Og" in done.stdout + done.stderr
    frame = pd.read_csv(tmp_path / "ncbench-results" / "lambda.csv")
    assert frame["status"].tolist() == ["unsupported"]
    assert frame["lambda"].isna().all()


def test_models_list_is_fast_and_imports_no_torch(tmp_path):
    done = ncbench("models", "list", "--json")
    rows = {row["model"]: row for row in json.loads(done.stdout)}
    assert rows["pet-m"]["modes"] == "conservative, direct"
    code = "import sys; from ncbench.cli.main import app; app(['models', 'list'], standalone_mode=False); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("False")


# The first checkpoint is written after ten seconds. The run ends at 13.6 ps, where its heating becomes an explosion: 70,000 steps of 0.2 fs took less
# than that on a fast idle core, these take three times as long.
LONG = [*SOLENOIDAL, "--duration", "20000", "--timestep", "0.0667", "--sample-every", "300", "--json", "--quiet"]


def start(out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ncbench", "nve-drift", *LONG, "--out", str(out)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def wait_for_checkpoint(process: subprocess.Popen[str], out: Path) -> None:
    deadline = time.monotonic() + 120
    while not list(out.glob("jobs/**/checkpoint*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_terminated_run_resumes_to_identical_results(how, tmp_path):
    whole = ncbench("nve-drift", *LONG, "--out", str(tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    process = start(tmp_path / "cut")
    wait_for_checkpoint(process, tmp_path / "cut")
    process.send_signal(how)
    _, message = process.communicate(timeout=60)
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    if how != signal.SIGKILL:
        assert "run the same command again" in message
    rest = ncbench("nve-drift", *LONG, "--out", str(tmp_path / "cut"))
    assert json.loads(rest.stdout) == json.loads(whole.stdout)


def test_interrupt_before_the_first_job_exits_130(tmp_path):
    process = start(tmp_path)
    wait_seconds = time.monotonic() + 60
    while not (tmp_path / "jobs").exists() and time.monotonic() < wait_seconds:
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_a_closed_pipe_is_not_an_error():
    command = f"{sys.executable} -m ncbench models list | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602  # a pipe is what is tested
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
