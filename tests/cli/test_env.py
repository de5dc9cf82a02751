"""`ncbench env`, and messages of other commands about environments."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading

import pytest

from ncbench.run.environments import places


def ncbench(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ncbench", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"} | variables,
    )


def listed(environment: str) -> dict[str, str]:
    done = ncbench("env", "list", "--json")
    assert done.returncode == 0, done.stderr
    return next(row for row in json.loads(done.stdout) if row["environment"] == environment)


def test_list_shows_existing_environments(tiny_environment):
    row = listed("tinyfamily")
    assert row["state"] == "ready"
    assert row["folder"] == str(places.folder(tiny_environment))
    assert row["own"].endswith(("kB", "MB"))
    assert listed("mace")["state"] == "missing"


def test_models_list_shows_where_a_model_runs(tiny_environment):
    rows = {row["model"]: row for row in json.loads(ncbench("models", "list", "--json").stdout)}
    assert rows["tiny-solenoidal"]["installed"] == "in its environment"
    assert rows["tiny-solenoidal"]["environment"] == "tinyfamily"
    assert rows["equiformer"]["installed"] == "no: ncbench env create equiformer"
    assert rows["analytic-lj"]["installed"] == "yes"


@pytest.mark.slow
def test_a_run_creates_environments_with_consent(tiny_home, tmp_path):
    """Life cycle of an environment: refused, created during a run, used, checked, and removed."""
    command = ["workloop", "--model", "tiny-solenoidal", "--system", "harmonic-crystal", "--budget", "smoke"]
    command += ["--out", str(tmp_path / "out"), "--json"]
    refused = ncbench(*command)
    assert refused.returncode == 1
    assert "Run: ncbench env create tinyfamily, or add --yes." in refused.stderr
    made = ncbench(*command, NCBENCH_AUTO_ENV="1")
    assert made.returncode == 0, made.stderr
    assert {row["status"] for row in json.loads(made.stdout)} == {"ok"}
    assert "making the environment 'tinyfamily' (once)" in made.stderr
    assert "shared with the cache" in made.stderr
    checked = ncbench("env", "check")
    assert "tinyfamily: works; Python 3." in checked.stdout
    assert "1 packages as pinned" in checked.stdout
    removed = ncbench("env", "remove", "tinyfamily")
    assert str(places.folder(tiny_home)) in removed.stdout
    assert listed("tinyfamily")["state"] == "missing"


def test_creating_an_existing_environment_keeps_it(tiny_environment):
    before = places.find(tiny_environment)
    done = ncbench("env", "create", "tinyfamily", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tinyfamily: ready, ")
    assert places.find(tiny_environment).mark == before.mark


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["env", "create", "mase"], "Did you mean 'mace'"),
        (["env", "remove"], "Which environment"),
        (["env", "remove", "nothing"], "no environment 'nothing'"),
        (["env", "check", "nothing"], "no environment 'nothing'"),
    ],
)
def test_unknown_environment_names_are_refused(arguments, message, tiny_home):
    done = ncbench(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_checking_a_missing_environment_fails(tiny_home):
    done = ncbench("env", "check", "tinyfamily")
    assert done.returncode == 1
    assert "It is missing. Run: ncbench env create tinyfamily" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("", 0)])
def test_a_terminal_user_is_asked_once(answer, code, tiny_home, tmp_path):
    pty = pytest.importorskip("pty")
    computed, reference = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "ncbench",
        "workloop",
        "--budget",
        "smoke",
        "--system",
        "harmonic-crystal",
        "--json",
    ]
    command += ["--model", "tiny-solenoidal", "-m", "tiny-solenoidal:direct", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        command, stdin=reference, stderr=reference, stdout=subprocess.PIPE, env=os.environ | {"TERM": "dumb"}
    )
    os.close(reference)
    message = ""
    while "[Y/n]" not in message:
        message += os.read(computed, 1000).decode()
    os.write(computed, f"{answer}\n".encode())
    chatter = threading.Thread(target=_read_all, args=(computed,), daemon=True)
    chatter.start()
    rows = json.loads(process.communicate(timeout=120)[0])
    os.close(computed)
    assert process.returncode == code
    assert "'tinyfamily' (tests)" in message
    assert {row["status"] for row in rows} == {"failed" if code else "ok"}


def _read_all(terminal: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(terminal, 1000):
            pass


def test_env_list_imports_no_torch():
    code = (
        "import sys; from ncbench.cli.main import app\n"
        "app(['env', 'list'], standalone_mode=False)\n"
        "print({'torch', 'numpy', 'pandas', 'ase'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("set()"), done.stderr
