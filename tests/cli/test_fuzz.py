"""Whatever is typed, the answer is a sentence: no traceback, and never the exit code of a bug of ours."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ncbench.cli.main import _guarded, app

HOSTILE = [
    "", " ", "-", "--", "-1", "0", "1", "nan", "inf", "1e999", "ä", "\n", "a" * 500, "../..", "/dev/null", "/nonexistent/x", "*", "a=b", "=", "a:b:c",
    "lambda < 1", "x.toml", "pet-m:direct", "water64", "0.5,1", "2,2", "None", "[1]", "\x1b[31m",
]  # fmt: skip
SLOW = {"env", "models"}
"""Groups whose commands load models or make environments; their lists and wrong names are tested elsewhere."""


def _commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    if hasattr(command, "commands"):
        found = []
        for name, inner in command.commands.items():
            if not path and name in SLOW:
                continue
            found += _commands(inner, (*path, name))
        return found
    return [(path, command)]


COMMANDS = _commands(typer.main.get_command(app))


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    path, command = draw(st.sampled_from(COMMANDS))
    words = list(path)
    options = [p for p in command.params if p.opts and p.opts[0].startswith("-")]
    for option in draw(st.lists(st.sampled_from(options), max_size=4)) if options else []:
        words.append(option.opts[0])
        if not getattr(option, "is_flag", False):
            words.append(draw(st.sampled_from(HOSTILE)))
    words += draw(st.lists(st.sampled_from(HOSTILE), max_size=2))
    # A model that there is not: whatever else is right, nothing heavy is run.
    if any("--model" in p.opts for p in options):
        words += ["--model", "no-such-model"]
    return words


def test_every_command_is_among_them() -> None:
    names = {" ".join(path) for path, _ in COMMANDS}
    assert {
        "lambda",
        "check",
        "reproduce",
        "compare",
        "npt",
        "paper compare",
        "baseline show",
        "status",
        "report",
    } <= names


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=lines())
def test_no_line_is_a_bug(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _guarded(words)
    assert code in (0, 1, 2), (words, err.getvalue())
    assert "Traceback" not in out.getvalue() + err.getvalue()
    if code == 2:
        assert err.getvalue().startswith("error: "), (words, err.getvalue())
    assert Path(os.getcwd()) == tmp_path  # noqa: PTH109
