"""Runs the diagnostics of a command from its parsed options."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from ncbench.allocator import keep_pages
from ncbench.cli.characters import print_json
from ncbench.cli.options import Common, Overrides
from ncbench.cli.running import How, run_jobs
from ncbench.errors import UsageError, did_you_mean
from ncbench.types import Job, ModelRequest, SystemRequest

if TYPE_CHECKING:
    from ncbench.types import Budget

NOISY = "(sevenn|e3nn|torch|torch_geometric|metatensor|metatomic|metatomic_ase|metatrain|vesin|pkg_resources|numpy)"
"""Packages whose deprecation and accelerator warnings are hidden from users."""


def execute(diagnostic: str, common: Common, overrides: Overrides) -> None:
    """Run one diagnostic on every requested model."""
    from ncbench.models.registry import parse_request
    from ncbench.run.plan import plan_jobs

    budget = budget_of(common.budget)
    structures = system(common)
    named = overrides.pop("reference", None)
    reference = None if named is None else ModelRequest(spec=named, device=common.device, dtype=common.dtype)
    jobs = plan_jobs(
        [diagnostic],
        models(common),
        structures,
        budget=budget,
        seeds=[common.seed],
        overrides={diagnostic: overrides},
        reference=reference,
    )
    if structures is None and not common.quiet and any(parse_request(job.model).row is None for job in jobs):
        # A model of the user's own may be of another material than the default structures.
        sys.stderr.write(
            f"Structures: {jobs[0].system.label}, the default of {diagnostic}; your material: --structure FILE\n"
        )
    run(
        jobs,
        out=common.out,
        as_json=common.as_json,
        quiet=common.quiet,
        threads=common.threads,
        yes=common.yes,
        single=True,
        how=How(reuse=common.reuse),
    )


def run(
    jobs: Sequence[Job],
    *,
    out: str,
    as_json: bool,
    quiet: bool,
    threads: int | None,
    single: bool,
    yes: bool = False,
    how: How | None = None,
) -> None:
    """Run jobs, print their rows, and exit with code 1 if one of them failed."""
    prepare(threads)
    from ncbench.cli.environments import consent
    from ncbench.cli.figures import after_run
    from ncbench.cli.progress import TerminalReporter
    from ncbench.run.local import validate_jobs
    from ncbench.store.store import Store

    validate_jobs(jobs)
    store = Store(Path(out))
    reporter = TerminalReporter(quiet=quiet)
    try:
        summary = run_jobs(jobs, store, reporter, consent=consent(yes=yes), how=how or How())
    finally:
        reporter.close()
    _print(summary.rows, out, as_json=as_json, single=single)
    after_run(summary.rows, out, silent=as_json)
    if summary.failed:
        raise typer.Exit(1)


def _print(rows: Mapping[str, Sequence[Mapping[str, Any]]], out: str, *, as_json: bool, single: bool) -> None:
    if as_json:
        content: Any = next(iter(rows.values())) if single else rows
        print_json(content)
        return
    from ncbench.cli.tables import print_rows

    for command, command_rows in rows.items():
        print_rows(command, command_rows)
    written = ", ".join(f"{command}.csv" for command in rows)
    sys.stdout.write(f"Tables: {written} and .parquet in {out}\n")


def models(common: Common) -> list[ModelRequest]:
    """Requests for the named models, without duplicates.

    Raises:
        UsageError: an option that is not KEY=VALUE, or a force mode that the model does not offer.
    """
    from ncbench.models.registry import with_mode

    options = []
    for text in common.model_option or ():
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise UsageError(f"The model option '{text}' is not KEY=VALUE.")
        options.append((key, value))
    requests = [
        ModelRequest(
            spec=with_mode(spec, common.mode),
            device=common.device,
            dtype=common.dtype,
            checkpoint=common.checkpoint,
            trust_checkpoint=common.trust_checkpoint,
            options=tuple(sorted(options)),
        )
        for spec in common.model
    ]
    return list(dict.fromkeys(requests))


def system(common: Common) -> SystemRequest | None:
    """The requested structures, or ``None`` for the diagnostic's default.

    Raises:
        UsageError: both a system and a file, or a repeat that is not three integers.
    """
    if common.system is not None and common.structure is not None:
        raise UsageError("--system and --structure were both given.", hint="Leave one out.")
    try:
        counts = tuple(int(part) for part in common.repeat.replace("x", ",").split(","))
    except ValueError:
        counts = ()
    if len(counts) != 3:
        raise UsageError(f"--repeat {common.repeat} is not three integers.", hint="Write --repeat 2,2,2.")
    repeat = (counts[0], counts[1], counts[2])
    if common.system is None and common.structure is None:
        if common.structures is not None or repeat != (1, 1, 1):
            raise UsageError("--structures and --repeat need --system or --structure.", hint="Name one.")
        return None
    return SystemRequest(name=common.system, path=common.structure, structures=common.structures, repeat=repeat)


def budget_of(text: str) -> Budget:
    """The budget of this name.

    Raises:
        UsageError: no such budget.
    """
    from ncbench.types import Budget

    try:
        return Budget(text)
    except ValueError:
        hint = did_you_mean(text, list(Budget)) or f"Budgets: {', '.join(Budget)}."
        raise UsageError(f"There is no budget '{text}'.", hint=hint) from None


def prepare(threads: int | None) -> None:
    """Set up the process: heap pages kept; threads set before torch starts them; third-party messages off; SIGTERM ends a run as Ctrl-C does."""
    keep_pages()
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    warnings.filterwarnings("ignore", module=NOISY)
    warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
    warnings.filterwarnings("ignore", message=".*accelerator.*")
    warnings.showwarning = _show_warning
    if threads is not None:
        import torch

        torch.set_num_threads(threads)

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _show_warning(message: Warning | str, category: type[Warning], *_where: Any, **_more: Any) -> None:
    sys.stderr.write(
        f"warning: {message}\n" if issubclass(category, UserWarning) else f"warning ({category.__name__}): {message}\n"
    )
