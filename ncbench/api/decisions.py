"""Assessments and regression checks as Python functions: jobs in a results folder, which is temporary unless one is given."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from ase import Atoms

from ncbench.api.any_model import device_name, dtype_name, forcefield_of, nothing_changed, structures_of
from ncbench.api.arguments import checked
from ncbench.api.outside import JobBars, force_mode, is_watched
from ncbench.assess import assess as assessing
from ncbench.assess.means import Means
from ncbench.assess.page import write
from ncbench.assess.question import question_of, uses_of
from ncbench.assess.result import Assessment
from ncbench.check import baseline as baselines
from ncbench.check import limits as bounds_of
from ncbench.check import run as checking
from ncbench.check.baseline import Baseline
from ncbench.check.outputs import CheckResult
from ncbench.check.suite import suite_of
from ncbench.errors import UsageError, with_article
from ncbench.models.in_process import named
from ncbench.models.registry import with_mode
from ncbench.run.cases import CaseLoader
from ncbench.run.elsewhere import allowed_by_variable
from ncbench.run.local import Summary, run_jobs, validate_jobs
from ncbench.run.plan import plan_jobs
from ncbench.run.reporter import Reporter, SilentReporter
from ncbench.run.reuse import Reuse, is_reusable, threads_now
from ncbench.run.status import key_of
from ncbench.store.store import Store
from ncbench.types import Budget, Case, Job, ModelRequest, SystemRequest

LOGS = ("jobs/*/error.log", "jobs/*/crash.log")
"""Logs that the reasons of failed jobs name."""


@dataclass(frozen=True)
class _Setting:
    """Where and on what jobs run."""

    model: ModelRequest
    system: SystemRequest | None
    cases: Mapping[SystemRequest, Sequence[Case]]
    folder: Path
    reporter: Reporter
    reuse: Reuse


@contextmanager
def _temporary_folder() -> Iterator[str]:
    """A folder that is removed but for the logs of failed jobs, which the reasons in the results name."""
    with tempfile.TemporaryDirectory(prefix="ncbench-") as folder:
        yield folder
        logs = {path: path.read_bytes() for pattern in LOGS for path in Path(folder).glob(pattern)}
    for path, content in logs.items():
        path.parent.mkdir(parents=True)
        path.write_bytes(content)


@contextmanager
def _setting(
    model: object,
    atoms: Atoms | Sequence[Atoms] | None,
    *,
    mode: str | None,
    device: str | None,
    dtype: str | None,
    out: str | Path | None,
    progress: bool | None,
) -> Iterator[_Setting]:
    """The requests that stand for a model and structures, and a results folder."""
    cases: dict[SystemRequest, Sequence[Case]] = {}
    system = None
    if atoms is not None:
        structures = structures_of(atoms)
        # A request with a path and without a folder: as of structures that a baseline contains.
        system = SystemRequest(path=structures[0].get_chemical_formula(), structures=len(structures))
        names = [str(one.info.get("name") or f"{one.get_chemical_formula()}-{i}") for i, one in enumerate(structures)]
        cases[system] = [Case(name, one.copy()) for name, one in zip(names, structures, strict=True)]
    show = is_watched() if progress is None else progress
    with (
        nothing_changed(model),
        nullcontext(str(out)) if out is not None else _temporary_folder() as folder,
        JobBars("") if show else nullcontext(SilentReporter()) as reporter,
    ):
        if isinstance(model, str):
            request = ModelRequest(
                spec=with_mode(model, mode), device=device_name(device) or "cpu", dtype=dtype_name(dtype)
            )
            yield _Setting(request, system, cases, Path(folder), reporter, Reuse.KNOWN)
            return
        if atoms is None and not hasattr(model, "get_forces") and callable(model):
            raise UsageError("A callable's forces belong to one structure.", hint="Give it as the argument atoms.")
        first = Atoms() if atoms is None else structures[0]
        forcefield = forcefield_of(
            model, first, device=device_name(device), dtype=dtype_name(dtype), mode=force_mode(mode)
        )
        with named(forcefield) as spec:
            # The text is new, so that everything reusable was measured in this call.
            yield _Setting(ModelRequest(spec=spec), system, cases, Path(folder), reporter, Reuse.ALL)


@checked
def assess(
    model: object,
    atoms: Atoms | Sequence[Atoms] | None = None,
    *,
    uses: Sequence[str] = ("nve", "nvt-local"),
    seconds: float = 600.0,
    timestep_fs: float | None = None,
    seed: int = 0,
    mode: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    out: str | Path | None = None,
    progress: bool | None = None,
) -> Assessment:
    """May this model be used for NVE, NVT, NPT, relaxations? What ``ncbench assess`` decides, at three standard errors.

    Diagnostics are run until each use is decided or the time is spent. The thresholds are those of ``ncbench/report/decide.py``; the numbers in
    the evidence carry their units (meV/atom/ps, K/ps, K, fs).

    Args:
        model: as for :func:`measure`; a model given by name may run in the isolated environment that it needs.
        atoms: a structure or several, as for :func:`measure`; by default each diagnostic's own system.
        uses: of ``nve``, ``nvt-local``, ``nvt-global``, ``npt``, ``relax``.
        seconds: wall time to spend, trying remedies included, s; the time of a step and λ are measured in any case.
        timestep_fs: time step of all dynamics, fs; by default the system's own.
        seed: of everything random.
        mode: ``conservative`` or ``direct``: the mode of a named model, or where the forces of an ASE calculator come from.
        device: as for :func:`measure`.
        dtype: as for :func:`measure`.
        out: results folder, for :func:`load_results`, with ``assess.html`` and ``assess.json``; an assessment of a named model continues there.
            By default a temporary folder, which is removed; logs of failed jobs remain.
        progress: show a progress bar; by default on a terminal and in a notebook.

    Raises:
        UsageError: a model, use or value that is not valid.
        StoreError: ``out`` cannot be used.
    """
    chosen = uses_of(uses)
    if not 0.0 < seconds < float("inf"):
        raise UsageError(f"seconds = {seconds} is not a length of time.")
    with _setting(model, atoms, mode=mode, device=device, dtype=dtype, out=out, progress=progress) as setting:
        overrides = {"nve-drift": {} if timestep_fs is None else {"timestep_fs": timestep_fs}}
        (probe,) = plan_jobs(
            ["nve-drift"], [setting.model], setting.system, budget=Budget.SMOKE, seeds=[seed], overrides=overrides
        )
        validate_jobs([probe], setting.cases)
        store, cases = Store(setting.folder), CaseLoader(setting.cases)

        def run(jobs: Sequence[Job]) -> Summary:
            return run_jobs(
                jobs, store, setting.reporter, consent=allowed_by_variable, reuse=setting.reuse, cases=cases
            )

        def finished(job: Job) -> bool:
            return is_reusable(setting.reuse, job, store, key_of(job, cases.of(job)), threads=threads_now())

        question = question_of(
            setting.model, setting.system, chosen, cases.of(probe), seed=seed, timestep_fs=timestep_fs
        )
        question = replace(question, named=isinstance(model, str) and atoms is None)

        def run_again(jobs: Sequence[Job]) -> Summary:
            return run_jobs(jobs, store, setting.reporter, consent=allowed_by_variable, reuse=Reuse.NEVER, cases=cases)

        means = Means(folder=setting.folder, run=run, finished=finished, run_again=run_again)
        (assessment,) = assessing.assess([question], means, seconds=seconds)
        if out is not None:
            write([assessment], setting.folder)
    return assessment


@checked
def check(
    model: object,
    atoms: Atoms | Sequence[Atoms] | None = None,
    *,
    baseline: Baseline | str | Path | None = None,
    limits: Sequence[str] = (),
    profiles: Sequence[str] = (),
    suite: str | None = None,
    seed: int | None = None,
    strict: bool = False,
    mode: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    out: str | Path | None = None,
    progress: bool | None = None,
) -> CheckResult:
    """Is a new model as conservative, as consistent and as fast as the previous one? What ``ncbench check`` measures and judges.

    ``check(new, baseline=check(old).new)`` compares two models in one process. Metrics have the units of ``to_frame()``'s column ``unit``.

    Args:
        model: as for :func:`assess`.
        atoms: as for :func:`assess`; by default those of the baseline, or of the suite.
        baseline: what to compare with: ``new`` of an earlier result, or a file that ``ncbench baseline write`` wrote.
        limits: that must hold, such as ``lambda < 0.001``.
        profiles: sets of limits by name: ``nve``, ``thermostat``, ``relaxation``.
        suite: ``quick`` or ``full``; by default the baseline's, or ``quick``.
        seed: of everything random; by default the baseline's, or 0.
        strict: what is undecided or not measured fails too.
        mode: as for :func:`assess`.
        device: as for :func:`measure`.
        dtype: as for :func:`measure`.
        out: results folder, for :func:`load_results`; by default a temporary folder, which is removed; logs of failed jobs remain.
        progress: show a progress bar; by default on a terminal and in a notebook.

    Raises:
        UsageError: a model, suite, limit or baseline that is not valid, or structures that are not the baseline's.
        StoreError: ``out`` cannot be used.
    """
    old = baselines.read(Path(baseline)) if isinstance(baseline, str | Path) else baseline
    if not (old is None or isinstance(old, Baseline)):
        raise UsageError(
            f"baseline is {with_article(type(old).__name__)}, not a baseline.",
            hint="Give a file, or `check(old).new` of an earlier check.",
        )
    bounds = [limit for name in profiles for limit in bounds_of.profile(name)]
    bounds += [bounds_of.parse(text) for text in limits]
    if old is not None:
        checking.require_same_suite(old, suite)
    chosen = suite_of(suite or ("quick" if old is None else old.suite))
    with _setting(model, atoms, mode=mode, device=device, dtype=dtype, out=out, progress=progress) as setting:
        checked = checking.run(
            setting.model,
            chosen,
            Store(setting.folder),
            setting.reporter,
            consent=allowed_by_variable,
            system=setting.system,
            seed=seed if seed is not None else 0 if old is None else old.seed,
            baseline=old,
            cases=setting.cases,
        )
    return checking.result_of(checked, old, bounds, strict=strict)
