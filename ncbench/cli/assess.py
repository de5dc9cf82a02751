"""The command ``assess``: from a model to a decision."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ncbench.cli.execute import models, prepare, system
from ncbench.cli.options import Common, Overrides, with_common
from ncbench.cli.panels import START
from ncbench.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ncbench.assess.assess import Assessment
    from ncbench.types import Job

app = typer.Typer()
PANEL = "What is asked"
MINUTE = 60.0


def _seconds(text: str) -> float:
    units = {"s": 1.0, "m": MINUTE, "h": 60.0 * MINUTE}
    number, unit = (text[:-1], units.get(text[-1:], 0.0)) if text[-1:] in units else (text, MINUTE)
    try:
        seconds = float(number) * unit
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < float("inf"):
        raise UsageError(f"--time {text} is not a length of time.", hint="Write 10m, 90s or 2h.")
    return seconds


def _assess(_: str, common: Common, own: Overrides) -> None:
    from ncbench.assess.assess import assess
    from ncbench.assess.evidence import Use
    from ncbench.cli.environments import consent
    from ncbench.cli.progress import TerminalReporter
    from ncbench.cli.running import How, run_jobs
    from ncbench.models.registry import parse_request
    from ncbench.run.cases import CaseLoader
    from ncbench.run.plan import plan_jobs
    from ncbench.store.store import Store
    from ncbench.types import Budget, ForceMode

    names = [part.strip() for part in str(own.get("uses") or ",".join(Use)).split(",")]
    for name in names:
        if name not in list(Use):
            raise UsageError(f"There is no use '{name}'.", hint=did_you_mean(name, list(Use)) or f"{', '.join(Use)}.")
    uses = tuple(Use(name) for name in dict.fromkeys(names))
    seconds = _seconds(str(own.get("time") or "10m"))
    prepare(common.threads)
    requested = models(common)
    structures = system(common)
    assessments = []
    for request in requested:
        folder = Path(common.out) / _folder(request.spec)
        reporter = TerminalReporter(quiet=common.quiet)
        how = How(reuse=common.reuse)

        def run(
            jobs: Sequence[Job], folder: Path = folder, reporter: TerminalReporter = reporter, how: How = how
        ) -> None:
            run_jobs(jobs, Store(folder), reporter, consent=consent(yes=common.yes), how=how)

        probe = plan_jobs(["nve-drift"], [request], structures, budget=Budget.SMOKE, seeds=[common.seed])[0]
        atoms = CaseLoader().of(probe)[0].atoms
        row = parse_request(request).row
        both = row is not None and {ForceMode.DIRECT, ForceMode.CONSERVATIVE} <= set(row.modes)
        direct = parse_request(request).mode is not ForceMode.CONSERVATIVE
        try:
            found = assess(
                request,
                structures,
                uses,
                folder,
                run,
                seconds=seconds / len(requested),
                seed=common.seed,
                # Without structures named, relaxations are of single water molecules.
                molecules=structures is None or not bool(atoms.pbc.any()),
                n_atoms=len(atoms),
                both_modes=both and direct,
            )
        finally:
            reporter.close()
        assessments.append(found)
        if not common.as_json:
            _show(found, folder)
    if common.as_json:
        sys.stdout.write(json.dumps([one.plain() for one in assessments], indent=1, ensure_ascii=False) + "\n")
    if any(one.answer(use) != "safe" for one in assessments for use in uses):
        raise typer.Exit(1)


def _folder(spec: str) -> str:
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in Path(spec).name if c) or "model"


def _show(found: Assessment, folder: Path) -> None:
    lines = [f"{found.label}, decided in {found.seconds / MINUTE:.1f} min:"]
    for use, judgement in found.judgements.items():
        lines.append(f"  {found.answer(use):7s} {judgement.use}: {judgement.evidence}")
    lines += [f"  remedy  {one.what} ({one.status}; {one.price}; {one.evidence})" for one in found.remedies]
    lines.append(f"  Details: ncbench report {folder}")
    sys.stdout.write("\n".join(lines) + "\n")


@app.command("assess", rich_help_panel=START)
@with_common(_assess, "assess", without=("budget",))
def assess_command(
    uses: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="USE,USE,…",
            help="Uses to decide: nve, nvt-local (Langevin), nvt-global (velocity rescaling), relax. All by default.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            "--time", metavar="T", help="Time to spend, such as 90s, 10m (default) or 2h.", rich_help_panel=PANEL
        ),
    ] = None,
) -> Overrides:
    """May this model be used for NVE, NVT, relaxations? Runs diagnostics until each use is decided or the time is spent.

    Each use is called safe, unsafe or open, with its evidence; for unsafe dynamics remedies are tried (a thermostat that is short enough, multiple time
    stepping, conservative forces) and printed with their price. Trying them comes on top of --time. Exit code 0 where every use is safe, 1 otherwise. The same command continues.

    Examples:
        ncbench assess --model pet-m:direct --time 5m

        ncbench assess --model ./model.pt --structure my.xyz --for nve,relax
    """
    return {key: value for key, value in {"uses": uses, "time": time}.items() if value is not None}
