"""Every numeric option of every diagnostic with values that are out of range: refused, a failed row, or a result; never a bug."""

from __future__ import annotations

import types
import typing
from pathlib import Path

import pytest

from ncbench.cli.main import _guarded
from ncbench.diagnostics import registry
from ncbench.options import Option

VALUES = ("-1", "0", "nan", "inf", "1e300")


def _is_numeric(annotation: typing.Any) -> bool:
    parts = typing.get_args(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, tuple):
        return any(_is_numeric(part) for part in parts)
    return annotation in (int, float)


def _numeric_options() -> list[tuple[str, str]]:
    """(diagnostic, flag) of the options that the settings declare."""
    options = []
    for name, diagnostic in registry.diagnostics().items():
        hints = typing.get_type_hints(diagnostic.settings, include_extras=True)
        for field, hint in hints.items():
            declared = next((part for part in getattr(hint, "__metadata__", ()) if isinstance(part, Option)), None)
            if declared is not None and _is_numeric(typing.get_args(hint)[0]):
                options.append((name, declared.flag or "--" + field.replace("_", "-")))
    return options


OPTIONS = _numeric_options()


def test_numeric_options_of_many_diagnostics_are_collected() -> None:
    assert len(OPTIONS) > 40
    assert {"lambda", "workloop", "nve-drift", "nvt", "relax"} <= {name for name, _ in OPTIONS}


@pytest.mark.slow
# As on the command line: a warning is printed there, not raised.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("name", "flag"), OPTIONS, ids=[" ".join(one) for one in OPTIONS])
def test_values_out_of_range_are_never_internal_errors(
    name: str, flag: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for number, value in enumerate(VALUES):
        arguments = [name, "--model", "analytic-harmonic", "--system", "harmonic-crystal", "--structures", "1"]
        arguments += ["--budget", "smoke", "--quiet", "--out", str(tmp_path / str(number)), flag, value]
        code = _guarded(arguments)
        printed = capfd.readouterr()
        assert code in (0, 1, 2), (value, printed.err)
        assert "Traceback" not in printed.err, value
        if code == 2:
            # A warning of the arithmetic may come before it.
            assert "error: " in printed.err, value
            assert printed.err.strip().endswith((".", "?")), value


@pytest.mark.parametrize(
    "arguments",
    [
        ["lambda", "--method", "exact", "--probes", "4"],
        ["nve-drift", "--timestep", "0.5", "--timesteps", "0.5,1"],
        ["nve-drift", "--steps", "1000000000"],
        ["nve-drift", "--timestep", "1e-12"],
        ["nvt", "--equilibration", "1e9"],
        ["nvt", "--thermostat", "svr:10", "--tau", "20"],
        *(
            ["nvt", "--thermostat", f"{name}:{tau}"]
            for name in ("langevin", "svr", "nhc", "andersen")
            for tau in ("1e-300", "1e300")
        ),
        ["nvt", "--thermostat", "nhc:0.1"],
        ["nvt", "--thermostat", "nhc:19", "--timestep", "5"],
        ["nvt", "--temperature", "1e300"],
        ["predict", "--thermostat", "langevin:1e300"],
        ["predict", "--thermostat", "langevin:1e-300"],
        ["predict", "--timestep", "1e300"],
        ["npt", "--thermostat", "svr:1e300"],
        ["npt", "--barostat-tau", "1e300"],
        ["nve-drift", "--timestep", "1e300"],
        ["nve-drift", "--timestep", "1e-300"],
        ["nve-drift", "--timesteps", "0.5,1e300"],
        ["mts", "--timestep", "1e300"],
        ["compare-engines", "--timestep", "1e300"],
        ["workloop", "--radius", "-1"],
        ["workloop", "--points", "0"],
        ["workloop", "--tolerance", "-1"],
        ["workloop", "--loops", "0"],
    ],
    ids=" ".join,
)
def test_a_value_that_was_silently_accepted_is_refused(arguments: list[str], tmp_path: Path, capfd) -> None:
    more = ["--model", "analytic-harmonic", "--system", "harmonic-crystal", "--budget", "smoke", "--quiet"]
    assert _guarded([*arguments, *more, "--out", str(tmp_path)]) == 2
    assert capfd.readouterr().err.startswith("error: ")
