"""Random command lines end with one sentence: no traceback, and never exit code 3 (internal error)."""

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
NAMES = ["mace", "pet", "sevennet", "nothing", "no-such-model"]
"""Environments, some of which are none; none of them is here."""
LOADS = {("models", "add"), ("models", "capabilities")}
"""Commands that load what they are given: they are given no model that there is."""


def _commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    if hasattr(command, "commands"):
        return [one for name, inner in command.commands.items() for one in _commands(inner, (*path, name))]
    return [(path, command)]


COMMANDS = _commands(typer.main.get_command(app))
ABOUT = [one for one in COMMANDS if one[0][0] in ("env", "models")]
"""Commands about models and environments."""


@st.composite
def lines(draw: st.DrawFn, commands: list[tuple[tuple[str, ...], Any]]) -> list[str]:
    path, command = draw(st.sampled_from(commands))
    words = list(path)
    current = [word for word in HOSTILE if path not in LOADS or word != "pet-m:direct"]
    current += NAMES if path[0] == "env" and path != ("env", "create") else []
    options = [p for p in command.params if p.opts and p.opts[0].startswith("-")]
    for option in draw(st.lists(st.sampled_from(options), max_size=4)) if options else []:
        words.append(option.opts[0])
        if not getattr(option, "is_flag", False):
            words.append(draw(st.sampled_from(current)))
    words += draw(st.lists(st.sampled_from(current), max_size=2))
    if path == ("models", "capabilities"):
        # Without a name it runs all models.
        words.append("no-such-model")
    # A model that does not exist, so that nothing expensive is run.
    if any("--model" in p.opts for p in options):
        words += ["--model", "no-such-model"]
    return words


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, without models and environments of the user and without network."""
    folder = tmp_path / "here"
    folder.mkdir()
    (tmp_path / "environments").mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))
    monkeypatch.setenv("NCBENCH_ENV_DIR", str(tmp_path / "environments"))
    monkeypatch.setenv("NCBENCH_MODELS", str(tmp_path / "models.toml"))
    monkeypatch.delenv("NCBENCH_AUTO_ENV", raising=False)
    for name in ("UV_OFFLINE", "HF_HUB_OFFLINE", "PIP_NO_INDEX"):
        monkeypatch.setenv(name, "1")
    # No server listens at this address.
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    return folder


def test_fuzzed_commands_include_every_command() -> None:
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
        "env create",
        "env remove",
        "models add",
        "models capabilities",
    } <= names


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=lines(COMMANDS))
def test_no_command_line_exits_with_an_internal_error(words: list[str], away: Path) -> None:
    _check(words, away)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=lines(ABOUT))
def test_no_command_line_of_models_and_env_exits_with_an_internal_error(words: list[str], away: Path) -> None:
    kept = away.parent / "kept"
    kept.touch()
    _check(words, away)
    # Nothing outside the folder of environments is removed, and no environment is made.
    assert kept.exists()
    assert [path for path in (away.parent / "environments").iterdir() if not path.name.endswith(".lock")] == []


def _check(words: list[str], folder: Path) -> None:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _guarded(words)
    assert code in (0, 1, 2), (words, err.getvalue())
    assert "Traceback" not in out.getvalue() + err.getvalue()
    if code == 2:
        assert err.getvalue().startswith("error: "), (words, err.getvalue())
    assert Path(os.getcwd()) == folder  # noqa: PTH109
