"""Shell completion: every list of names, through the interface that the shells use, and in bash and zsh where they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ncbench.cli import bash_words, complete

LINES = [
    ("lambda --model pet-m", ["pet-m", "pet-m:conservative", "pet-m:direct"]),
    ("compare analytic-sol", ["analytic-solenoidal"]),
    ("mts --reference pet-m:d", ["direct"]),
    ("models show sevennet-0", ["sevennet-0"]),
    ("nvt --system water6", ["water64"]),
    ("systems show argo", ["argon"]),
    ("check --suite q", ["quick"]),
    ("check --profile th", ["thermostat"]),
    ("nvt --thermostat lan", ["langevin"]),
    ("nvt --thermostat g", ["gle"]),
    ("paper show table8", ["table8"]),
    ("reproduce table8", ["table8"]),
    ("reproduce al", ["all"]),
    ("models add mine --family mac", ["mace"]),
    ("env create mac", ["mace"]),
    ("assess --for nve,rel", ["nve,relax"]),
    ("analyse run.traj --observables rdf,ms", ["rdf,msd"]),
    ("lambda --dtype float6", ["float64"]),
    ("lambda --model=pet-m:c", ["conservative"]),
    ("lambda --budget s", ["smoke"]),
]


def _variables(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_names_complete_in_bash(line: str, expected: list[str]) -> None:
    # As bash splits a line: at spaces, and before and after the signs ":" and "=".
    words = ["ncbench", *line.replace(":", " : ").replace("=", " = ").split()]
    variables = _variables(
        _NCBENCH_COMPLETE="complete_bash", COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1)
    )
    done = subprocess.run(
        [sys.executable, "-m", "ncbench"], env=variables, capture_output=True, text=True, check=True, timeout=120
    )
    printed = done.stdout.split()
    assert printed[: len(expected)] == expected
    assert len(printed) == len(expected) or line.endswith(("table8", "sevennet-0", "mac", "pet-m"))


@pytest.mark.parametrize("line", ["lambda --model pet-m:", "nvt --thermostat lan"])
def test_names_complete_in_zsh_and_fish_protocol(line: str) -> None:
    variables = _variables(_NCBENCH_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=f"ncbench {line}")
    done = subprocess.run(
        [sys.executable, "-m", "ncbench"], env=variables, capture_output=True, text=True, check=True, timeout=120
    )
    assert ("direct" if "pet" in line else "langevin") in done.stdout


def test_words_that_bash_splits_are_joined() -> None:
    assert bash_words.joined(["ncbench", "-m", "pet-m", ":", "d"], 4) == (["ncbench", "-m", "pet-m:d"], 2)
    assert bash_words.joined(["ncbench", "-m", "pet-m", ":"], 3) == (["ncbench", "-m", "pet-m:"], 2)
    assert bash_words.joined(["ncbench", "--model", "=", "pet"], 3) == (["ncbench", "--model=pet"], 1)
    assert bash_words.joined(["ncbench", "lambda"], 2) == (["ncbench", "lambda"], 2)
    assert bash_words.after_colon("pet-m:direct", "pet-m:d") == "direct"
    assert bash_words.after_colon("pet-m:direct", "--model=pet-m:d") == "direct"
    assert bash_words.after_colon("pet-m", "pe") == "pet-m"


def test_completion_of_metavars_takes_words_alone() -> None:
    thermostats = complete.of_metavar("langevin|svr|nhc|andersen[:TAU]|gle[:FILE]")
    assert thermostats is not None
    assert thermostats("") == ["langevin", "svr", "nhc", "andersen", "gle"]
    assert thermostats("x") == []
    for text in ("FS", "", "KEY=VALUE", "STYLE|Q=UNIT,…", "MODULE:FUNCTION|FILE.py:FUNCTION"):
        assert complete.of_metavar(text) is None


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_mode_completes_in_the_shell(shell: str, tmp_path: Path) -> None:
    """The line is edited by the shell itself, in a terminal: a tab, and what the line then is."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    import pty

    (tmp_path / "ncbench").write_text(
        f'#!/bin/sh\n[ "$1" = lambda ] && {{ echo "typed $@" > {tmp_path}/typed; exit; }}\n'
        f'exec {sys.executable} -m ncbench "$@"\n'
    )
    (tmp_path / "ncbench").chmod(0o755)
    variables = _variables(
        PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}", HOME=str(tmp_path), ZDOTDIR=str(tmp_path), PS1="$ "
    )
    script = subprocess.run(
        [sys.executable, "-m", "ncbench"],
        env={**variables, "_NCBENCH_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    start = "autoload -Uz compinit; compinit -u\n" if shell == "zsh" else ""
    (tmp_path / "start").write_text(start + script)
    options = ["--norc", "--noprofile", "-i"] if shell == "bash" else ["-f", "-i"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(program, [program, *options], variables)  # noqa: S606  # a shell is what is started
    try:
        for typed in (f". {tmp_path}/start\n", "ncbench lambda -m pet-m:dir\t", "\n"):
            _read_until_quiet(terminal, 20.0 if "\t" in typed else 1.0, typed)
        assert (tmp_path / "typed").read_text().split() == ["typed", "lambda", "-m", "pet-m:direct"]
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def _read_until_quiet(terminal: int, seconds: float, typed: str) -> None:
    """Type, and read what the shell prints until it has printed nothing for some seconds."""
    import select

    os.write(terminal, typed.encode())
    while select.select([terminal], [], [], seconds)[0]:
        text = os.read(terminal, 65536)
        if b"ect" in text and "\t" in typed:
            return
