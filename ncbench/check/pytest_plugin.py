"""A plugin of pytest: ``pytest --ncbench-model ./new.pt --ncbench-baseline baseline.json`` adds one test per metric and limit.

Nothing is imported and nothing happens without ``--ncbench-model``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_KEY: pytest.StashKey[dict[str, Any]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of ``ncbench check`` that matter here."""
    group = parser.getgroup("ncbench", "regression checks of interatomic potentials")
    group.addoption("--ncbench-model", metavar="SPEC", help="Check this model, as after `ncbench check --model`.")
    group.addoption("--ncbench-baseline", metavar="FILE", help="Compare with this baseline.")
    group.addoption(
        "--ncbench-profile", metavar="NAME", action="append", default=[], help="nve, thermostat or relaxation."
    )
    group.addoption(
        "--ncbench-limit", metavar="'METRIC < X'", action="append", default=[], help="A limit that must hold."
    )
    group.addoption("--ncbench-args", metavar="TEXT", default="", help="More options of `ncbench check`, as one text.")


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the check's tests after all others."""
    if not config.getoption("--ncbench-model"):
        return
    items.append(CheckItem.from_parent(session, name="ncbench::runs", kind="", about=""))
    items.extend(
        CheckItem.from_parent(session, name=f"ncbench::{about}", kind=kind, about=about)
        for kind, about in _expected(config)
    )


def _expected(config: pytest.Config) -> list[tuple[str, str]]:
    """(findings or limits, metric or limit) that the check will report."""
    from ncbench.check import baseline, limits
    from ncbench.errors import NcbenchError

    file = config.getoption("--ncbench-baseline")
    try:
        expected = [("findings", name) for name in baseline.read(Path(file)).metrics] if file else []
        bounds = [limit for name in config.getoption("--ncbench-profile") for limit in limits.profile(name)]
        bounds += [limits.parse(text) for text in config.getoption("--ncbench-limit")]
    except NcbenchError as error:
        raise pytest.UsageError(str(error)) from error
    return expected + [("limits", str(limit)) for limit in bounds]


def _outcome(config: pytest.Config) -> dict[str, Any]:
    """Output of ``ncbench check --json``, run once in a separate process, so that a crashing model ends no tests."""
    if _KEY not in config.stash:
        import shlex

        command = [
            sys.executable,
            "-m",
            "ncbench",
            "check",
            "--json",
            "--quiet",
            "--model",
            config.getoption("--ncbench-model"),
        ]
        if file := config.getoption("--ncbench-baseline"):
            command += ["--baseline", file]
        for name in config.getoption("--ncbench-profile"):
            command += ["--profile", name]
        for text in config.getoption("--ncbench-limit"):
            command += ["--limit", text]
        command += shlex.split(config.getoption("--ncbench-args"))
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own program
        try:
            config.stash[_KEY] = json.loads(done.stdout)
        except json.JSONDecodeError:
            config.stash[_KEY] = {
                "error": done.stderr.strip() or f"ncbench check ended with exit code {done.returncode}"
            }
    return config.stash[_KEY]


class CheckFailureError(Exception):
    """A metric is worse, a limit is broken, or the check did not run."""


class CheckItem(pytest.Item):
    """One metric or limit."""

    def __init__(self, *, kind: str, about: str, **more: Any) -> None:
        super().__init__(**more)
        self.kind, self.about = kind, about

    def runtest(self) -> None:
        """Fail if the check fails, skip if it is undecided."""
        outcome = _outcome(self.config)
        if "error" in outcome:
            raise CheckFailureError(outcome["error"])
        if not self.kind:
            if outcome["failures"]:
                raise CheckFailureError("; ".join(outcome["failures"]))
            return
        name = "metric" if self.kind == "findings" else "limit"
        key = "state" if self.kind == "findings" else "verdict"
        one = next((entry for entry in outcome[self.kind] if entry[name] == self.about), None)
        if one is None:
            raise CheckFailureError(f"{self.about} was not measured")
        if one[key] in ("worse", "missing", "broken"):
            before, now = one.get("baseline"), one.get("now")
            numbers = f": {before['value']} before, {now['value']} now" if before and now else ""
            raise CheckFailureError(f"{self.about} is {one[key]}{numbers}")
        if one[key] in ("undecided", "not measured"):
            pytest.skip(f"{self.about}: {one[key]}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """One sentence instead of a traceback, which would only show this file."""
        if isinstance(excinfo.value, CheckFailureError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Location of the test in pytest's output."""
        return self.path, None, self.name
