"""The list of commands builds no options of diagnostics; a command's own help does."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from ncbench.cli import measure
from ncbench.cli.deferred import add_deferred
from ncbench.cli.main import app


class BuiltError(Exception):
    """Options were built."""


def test_the_list_of_commands_builds_no_options(monkeypatch):
    def options(_diagnostic):
        raise BuiltError

    monkeypatch.setattr(measure, "options", options)
    listed = CliRunner().invoke(app, ["--help"])
    assert listed.exit_code == 0
    assert "nve-drift" in listed.output
    with pytest.raises(BuiltError):
        CliRunner().invoke(app, ["lambda", "--help"], catch_exceptions=False)


def test_a_deferred_command_is_called_with_its_options():
    received = []

    def build():
        def function(number: int = 1, name: str = typer.Option("a", "--name")) -> None:
            received.append((number, name))

        return function

    small = typer.Typer()
    add_deferred(small, "work", build, help="Does work.")
    add_deferred(small, "other", build, help="Does other work.")
    assert "Does work." in CliRunner().invoke(small, ["--help"]).output
    assert CliRunner().invoke(small, ["work", "--number", "3", "--name", "b"]).exit_code == 0
    assert CliRunner().invoke(small, ["other"]).exit_code == 0
    assert CliRunner().invoke(small, ["work", "--number", "x"]).exit_code == 2
    assert received == [(3, "b"), (1, "a")]
