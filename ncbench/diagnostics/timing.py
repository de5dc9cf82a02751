"""Wall time of a molecular dynamics step (Bigi, Langer & Ceriotti 2025, Table 5).

Two code paths with the same forces: the model family's own ASE calculator with ASE's velocity Verlet, as in the paper, and
ncbench's adapter with ncbench's integrator. Both times include the neighbour list, the model and the integrator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ncbench.diagnostics.base import Context, Diagnostic, Quantity, Shown
from ncbench.diagnostics.refusals import Refusals
from ncbench.errors import REFUSED, UnsupportedError, UsageError
from ncbench.md.limits import require_timestep
from ncbench.options import Option
from ncbench.schema import Column, TableSchema
from ncbench.statistics.cells import Cell, mean_cell
from ncbench.types import NOT_FINITE_AT_START, Budget, Case, Outcome, Status

if TYPE_CHECKING:
    import pandas as pd

    from ncbench.md.stopwatch import Stepper
    from ncbench.models.interface import ForceField


@dataclass(frozen=True, kw_only=True)
class TimingSettings:
    """What is timed, and how many steps."""

    path: Annotated[
        Literal["auto", "adapter", "ase"],
        Option(
            "Code path: ncbench's adapter, the model family's own ASE calculator, or auto: both where the family has a calculator.",
            metavar="auto|adapter|ase",
        ),
    ] = "auto"
    repeats: Annotated[
        int, Option("Number of timed blocks of steps; the result is their median.", metavar="N", minimum=1)
    ] = 10
    steps: Annotated[int, Option("Number of steps in a block.", metavar="N", minimum=1)] = 5
    warmup_steps: Annotated[
        int,
        Option(
            "Number of steps before timing starts, for compilation and caches.", flag="--warmup", metavar="N", minimum=0
        ),
    ] = 5
    timestep_fs: float = 0.5
    batch: Annotated[
        int,
        Option("Replicas in one model call of the adapter; the ASE calculator always has one.", metavar="R", minimum=1),
    ] = 1
    reference_workload: bool = False
    """Also time a fixed workload after each block: the ratio of the two depends little on the load of the machine."""

    def __post_init__(self) -> None:
        if self.path not in ("auto", "adapter", "ase"):
            raise UsageError(f"There is no path '{self.path}'.", hint="Choose auto, adapter or ase.")
        require_timestep("timestep_fs", self.timestep_fs)
        for name in ("repeats", "steps", "batch"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be positive.")
        if self.warmup_steps < 0:
            raise UsageError(f"warmup_steps is {self.warmup_steps}; it must be ≥ 0.")


SCHEMA = TableSchema(
    "timing",
    2,
    (
        Column(
            "path",
            "str",
            "",
            "adapter: ncbench's adapter and integrator; ase: the family's own ASE calculator with ASE's velocity Verlet",
        ),
        Column("ms_per_step", "float", "ms", "wall time of a step of one replica, median over blocks"),
        Column("ms_per_step_low", "float", "ms", "lower quartile over blocks"),
        Column("ms_per_step_high", "float", "ms", "upper quartile over blocks"),
        Column(
            "ms_per_step_se",
            "float",
            "ms",
            "standard error of the median, from its order statistics; absent for fewer than 5 blocks",
        ),
        Column("ms_per_step_per_atom", "float", "ms", "ms_per_step divided by the number of atoms"),
        Column("reference_ms", "float", "ms", "wall time of the fixed workload, median; absent unless requested"),
        Column("ratio_reference", "float", "", "time of a step over that of the workload, median over blocks"),
        Column(
            "ratio_reference_se",
            "float",
            "",
            "its standard error, from its order statistics; absent for fewer than 5 blocks",
        ),
        Column("n_steps", "int", "steps", "number of timed steps"),
        Column("warmup_steps", "int", "steps", "number of steps before timing started"),
        Column(
            "first_step_ms",
            "float",
            "ms",
            "time to set up the structures and of the first force call, compilation included",
        ),
        Column("batch", "int", "", "replicas in one model call"),
        Column("threads", "int", "", "CPU threads of torch"),
        Column("machine", "str", "", "name of the GPU, or of the CPU"),
        Column(
            "peak_memory_MiB",
            "float",
            "MiB",
            "GPU: peak of allocated memory during the timing; CPU: peak of the resident memory of the process",
        ),
    ),
)


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: TimingSettings, *, seed: int, context: Context
) -> Outcome:
    """Time each structure on each path.

    Raises:
        UnsupportedError: the ASE path was requested and the family has no ASE calculator.
    """
    from ncbench.md.stopwatch import adapter_stepper, ase_stepper

    calculator = None if settings.path == "adapter" else forcefield.ase_calculator()
    if calculator is None and settings.path == "ase":
        raise UnsupportedError(f"{forcefield.card.label} has no ASE calculator of its own.", hint="Use --path adapter.")
    paths = [name for name in ("adapter", "ase") if settings.path in (name, "auto") and (name != "ase" or calculator)]
    outcome = Outcome()
    refusals = Refusals(SCHEMA, len(cases) * len(paths))
    context.progress.start(len(cases) * len(paths) * settings.repeats, "blocks")
    for case in cases:
        for path in paths:
            done = len(outcome.rows) * settings.repeats

            def tick(count: int, done: int = done, path: str = path) -> None:
                context.progress.update(done + count, path)

            def prepare(case: Case = case, path: str = path) -> Stepper:
                if path == "ase":
                    return ase_stepper(case.atoms, calculator, timestep_fs=settings.timestep_fs, seed=seed)
                return adapter_stepper(
                    forcefield, case.atoms, batch=settings.batch, timestep_fs=settings.timestep_fs, seed=seed
                )

            try:
                row = _measure(forcefield, case, path, prepare, settings, tick)
            except REFUSED as error:
                row = refusals.row(case, error)
            outcome.rows.append(row)
    return outcome


def _measure(
    forcefield: ForceField,
    case: Case,
    path: str,
    prepare: Callable[[], Stepper],
    settings: TimingSettings,
    tick: Callable[[int], None],
) -> dict[str, Any]:
    import numpy as np
    import torch

    from ncbench.md.stopwatch import fixed_workload, machine, median_error, now, peak_memory

    device = torch.device(forcefield.card.device)
    batch = settings.batch if path == "adapter" else 1
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    began = now(device)
    step = prepare()
    first = now(device) - began
    if not step(0):
        # Only what is known before the first step: more calls with NaN measure nothing.
        return SCHEMA.row(
            structure=case.name,
            n_atoms=len(case.atoms),
            path=path,
            batch=batch,
            status=Status.FAILED,
            reason=NOT_FINITE_AT_START,
        )
    finite = step(settings.warmup_steps)
    milliseconds, references = [], []
    workload = fixed_workload(device) if settings.reference_workload else None
    for repeat in range(settings.repeats):
        began = now(device)
        finite &= step(settings.steps)
        milliseconds.append(1e3 * (now(device) - began) / (settings.steps * batch))
        if workload is not None:
            began = now(device)
            workload()
            references.append(1e3 * (now(device) - began))
        tick(repeat + 1)
    common = {
        "structure": case.name,
        "n_atoms": len(case.atoms),
        "path": path,
        "n_steps": settings.repeats * settings.steps,
        "warmup_steps": settings.warmup_steps,
        "first_step_ms": 1e3 * first,
        "batch": batch,
        "threads": torch.get_num_threads(),
        "machine": machine(device),
        "peak_memory_MiB": peak_memory(device),
    }
    if not finite:
        # The time of a call that returns NaN is not that of a step: models return early, or late, on such input.
        return SCHEMA.row(**common, status=Status.EXPLODED, reason="positions or forces became non-finite while timing")
    low, middle, high = np.percentile(milliseconds, [25, 50, 75]).tolist()
    ratios = [step_ms / workload_ms for step_ms, workload_ms in zip(milliseconds, references, strict=False)]
    return SCHEMA.row(
        **common,
        ms_per_step=middle,
        ms_per_step_low=low,
        ms_per_step_high=high,
        ms_per_step_se=median_error(milliseconds),
        ms_per_step_per_atom=middle / len(case.atoms),
        reference_ms=float(np.median(references)) if references else None,
        ratio_reference=float(np.median(ratios)) if ratios else None,
        ratio_reference_se=median_error(ratios),
        status=Status.OK,
        reason="",
    )


NATIVE_COST = 2.5
"""Time of a step by a family's own ASE calculator over that of a force call: 2.1 with 192 atoms and 3.3 with 24 of the bundled model, whose calculator computes a stress in each step."""


def cost(settings: TimingSettings, n_atoms: int) -> float:
    """Timed and untimed steps of each code path, of which the calculator's has one replica and is slower."""
    adapter = float(settings.batch) if settings.path != "ase" else 0.0
    native = NATIVE_COST if settings.path != "adapter" else 0.0
    return (adapter + native) * (settings.repeats * settings.steps + settings.warmup_steps + 1)


def quantities(rows: pd.DataFrame | None) -> tuple[Quantity, ...]:
    """Time of a step through ncbench's adapter, which every model has."""
    return (Quantity("step", "time a step", "ms", _adapter_time, better=""),)


def _adapter_time(rows: pd.DataFrame) -> Cell:
    rows = rows[rows["path"] == "adapter"]
    return mean_cell(rows, "ms_per_step") if len(rows) else Cell(missing="timing was not run through the adapter")


DIAGNOSTIC = Diagnostic(
    name="timing",
    rank=90,
    version=1,
    summary="Wall time of a molecular dynamics step in ms, as the median over blocks of steps with its quartiles.",
    help="The time includes the neighbour list, the model and the integrator. Timing starts after warm-up steps, and a GPU is "
    "synchronised before each reading of the clock. Where the model family has an ASE calculator of its own, its time is measured "
    "too, as in the paper (Table 5).",
    examples=(
        "--model pet-m:direct --model pet-m:conservative --threads 2",
        "-m sevennet-0 --system water64 --device cuda",
    ),
    settings=TimingSettings,
    presets={
        Budget.SMOKE: TimingSettings(repeats=5, steps=1, warmup_steps=2),
        Budget.LAPTOP: TimingSettings(repeats=10, steps=5, warmup_steps=5),
        Budget.PAPER: TimingSettings(repeats=20, steps=50, warmup_steps=50),
    },
    run=run,
    schema=SCHEMA,
    cost=cost,
    show=(
        Shown("path", "path"),
        Shown("ms/step", "ms_per_step"),
        Shown("low", "ms_per_step_low"),
        Shown("high", "ms_per_step_high"),
        Shown("ms/step/atom", "ms_per_step_per_atom"),
        Shown("threads", "threads"),
    ),
    quantities=quantities,
    conditions=("device",),
)
