"""``ncbench compare A B``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ncbench.cli import complete
from ncbench.cli.characters import print_json
from ncbench.cli.check import PANEL, SuiteOption, print_rows_of_text
from ncbench.cli.execute import models, prepare, system
from ncbench.cli.options import Common, Overrides, with_common
from ncbench.cli.panels import COMPARE
from ncbench.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from ncbench.check.compare_models import Compared
    from ncbench.types import ModelRequest

app = typer.Typer()
OWN_KEYS = ("dtype", "device", "checkpoint")


def _compare(_: str, common: Common, own: Overrides) -> None:
    from ncbench.cli.environments import consent
    from ncbench.cli.progress import TerminalReporter

    base = models(replace(common, model=[own["a"]]))[0]
    pair = (_with(base, own["a"], own.get("a_set", ())), _with(base, own["b"], own.get("b_set", ())))
    if pair[0] == pair[1]:
        raise UsageError("Both are the same.", hint="Distinguish them, for example by --b-set dtype=float64.")
    prepare(common.threads)
    from ncbench.check.compare_models import run
    from ncbench.check.suite import suite_of
    from ncbench.store.store import Store

    names = (_name(own["a"], own.get("a_set", ())), _name(own["b"], own.get("b_set", ())))
    tolerances = {key: own[key] for key in ("energy_tolerance", "force_tolerance") if key in own}
    reporter = TerminalReporter(quiet=common.quiet)
    try:
        compared = run(
            pair,
            names,
            suite_of(own.get("suite") or "quick"),
            Store(Path(common.out)),
            reporter,
            consent=consent(yes=common.yes),
            system=system(common),
            seed=common.seed,
            **tolerances,
        )
    finally:
        reporter.close()
    _tell(compared, as_json=common.as_json)
    if not compared.agree:
        raise typer.Exit(1)


def _name(spec: str, changes: Sequence[str]) -> str:
    return f"{spec} [{', '.join(changes)}]" if changes else spec


def _with(base: ModelRequest, spec: str, changes: Sequence[str]) -> ModelRequest:
    request = replace(base, spec=spec)
    options = dict(request.options)
    for text in changes:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise UsageError(
                f"'{text}' is not KEY=VALUE.", hint="Such as dtype=float32, or a switch of the model's family."
            )
        if key in OWN_KEYS:
            request = _changed(request, key, value)
        elif key in {field.name for field in fields(request)}:
            raise UsageError(
                f"'{key}' cannot be set here.", hint=did_you_mean(key, OWN_KEYS) or f"{', '.join(OWN_KEYS)} can."
            )
        else:
            options[key] = value
    return replace(request, options=tuple(sorted(options.items())))


def _changed(request: ModelRequest, key: str, value: str) -> ModelRequest:
    match key:
        case "dtype":
            return replace(request, dtype=value)
        case "device":
            return replace(request, device=value)
        case _:
            return replace(request, checkpoint=value)


def _set_option(letter: str) -> Any:
    return typer.Option(
        f"--{letter}-set",
        metavar="KEY=VALUE",
        help=f"Setting of {letter.upper()} only: dtype, device, checkpoint, or a switch of its family; repeat it.",
        rich_help_panel=PANEL,
    )


@app.command("compare", rich_help_panel=COMPARE)
@with_common(_compare, "compare", without=("model", "budget", "reuse"))
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A model, as after --model.", autocompletion=complete.models)],
    b: Annotated[str, typer.Argument(metavar="B", help="Another model, or the same.", autocompletion=complete.models)],
    a_set: Annotated[list[str] | None, _set_option("a")] = None,
    b_set: Annotated[list[str] | None, _set_option("b")] = None,
    energy_tolerance: Annotated[
        float | None,
        typer.Option("--energy-tolerance", metavar="meV/atom", min=0.0, help="0.1 by default.", rich_help_panel=PANEL),
    ] = None,
    force_tolerance: Annotated[
        float | None,
        typer.Option(
            "--force-tolerance", metavar="SHARE", min=0.0, help="rms over rms; 0.001 by default.", rich_help_panel=PANEL
        ),
    ] = None,
    suite: SuiteOption = None,
) -> Overrides:
    """Two models, or the same weights in two ways (precision, kernel, backend, version): do they agree, and is one less conservative?

    Energies and forces on the same structures, then λ, work, drift, consistency and speed side by side. Kernels whose energies agree may have forces
    that do not, and heat a simulation. Exit code 1 if they differ or B is worse.

    Examples:
        ncbench compare pet-m:direct pet-m:direct --b-set dtype=float64

        ncbench compare mace mace --b-set cueq=on --device cuda

        ncbench compare ./old.pt ./new.pt --force-tolerance 0.05
    """
    return {key: value for key, value in locals().items() if value is not None}


def _tell(compared: Compared, *, as_json: bool) -> None:
    from ncbench.check.outputs import shown

    if as_json:
        print_json(_plain(compared))
        return
    rows = [
        [
            d.name,
            f"{d.value:.3g}",
            d.unit,
            "" if d.tolerance is None else f"{d.tolerance:g}",
            "" if d.tolerance is None else ("differs" if d.failed else "agrees"),
        ]
        for d in compared.differences
    ]
    print_rows_of_text(["on the same structures", "difference", "unit", "tolerated", ""], rows)
    print_rows_of_text(
        ["", "metric", *compared.names, "unit", ""],
        [[f.arrow, f.metric.name, shown(f.old), shown(f.new), f.metric.unit, str(f.state)] for f in compared.findings],
    )
    for failure in compared.failures:
        sys.stdout.write(f"failed: {failure}\n")
    sys.stdout.write(f"{compared.sentence()}\n")


def _plain(compared: Compared) -> dict[str, Any]:
    return {
        "a": compared.names[0],
        "b": compared.names[1],
        "agree": compared.agree,
        "sentence": compared.sentence(),
        "differences": [
            {"name": d.name, "unit": d.unit, "value": d.value, "tolerance": d.tolerance, "agrees": not d.failed}
            for d in compared.differences
        ],
        "metrics": [
            {
                "metric": f.metric.name,
                "state": str(f.state),
                "a": None if f.old is None else f.old.value,
                "b": None if f.new is None else f.new.value,
            }
            for f in compared.findings
        ],
        "failures": list(compared.failures),
    }
