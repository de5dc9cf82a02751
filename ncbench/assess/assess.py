"""Run the next job that is most likely to decide, until each use is decided or the time is spent; then remedies, tried before they are named."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ncbench.assess.evidence import JUDGED, Step, Use, first_steps, requests, rounds
from ncbench.report.judge import EXCESS_K, HEATING_POWER, K_B, Answer, Judgement, decide, judge
from ncbench.report.read import Results, read
from ncbench.statistics.format import with_error
from ncbench.statistics.intervals import SIGMAS
from ncbench.types import Job, ModelRequest, SystemRequest

RunJobs = Callable[[Sequence[Job]], None]
"""Runs jobs into the results folder; what fails is a row there."""
VERIFIED, PREDICTED, OPEN = "verified", "predicted", "open"
TRIAL_FS = (400.0, 2500.0)
"""Lengths of the runs that try a thermostat: powers of no heating have a known error from 2 ps."""
STRIDES = (4, 8, 16)
"""M of multiple time stepping that are tried as a remedy."""
SAFE = {Answer.YES: "safe", Answer.NO: "unsafe", Answer.UNSURE: "open", Answer.UNKNOWN: "open"}


@dataclass(frozen=True)
class Remedy:
    """Something to do about an unsafe use, with its price."""

    use: Use
    what: str
    price: str
    status: str
    """``verified`` by a run; ``predicted`` from the measured power where the run could not tell; ``open`` where nothing says so yet."""
    evidence: str


@dataclass
class Assessment:
    """What is known of one model, and what was found."""

    model: str
    mode: str
    judgements: dict[Use, Judgement] = field(default_factory=dict)
    remedies: list[Remedy] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    """What was run, in order."""
    seconds: float = 0.0

    @property
    def label(self) -> str:
        """``MODEL:MODE``."""
        return f"{self.model}:{self.mode}" if self.mode else self.model

    def answer(self, use: Use) -> str:
        """``safe``, ``unsafe`` or ``open``."""
        return SAFE[self.judgements[use].answer] if use in self.judgements else "open"

    def plain(self) -> dict[str, Any]:
        """As JSON values; ``docs/assess.schema.json`` describes them."""
        return {
            "model": self.model,
            "force_mode": self.mode,
            "uses": [
                {"use": str(use), "answer": self.answer(use), "evidence": one.evidence, "rule": one.rule}
                for use, one in self.judgements.items()
            ],
            "remedies": [
                {"use": str(r.use), "what": r.what, "price": r.price, "status": r.status, "evidence": r.evidence}
                for r in self.remedies
            ],
            "steps": self.steps,
            "seconds": self.seconds,
        }


def assess(
    model: ModelRequest,
    system: SystemRequest | None,
    uses: tuple[Use, ...],
    folder: Path,
    run: RunJobs,
    *,
    seconds: float,
    seed: int = 0,
    molecules: bool = False,
    n_atoms: int = 192,
    both_modes: bool = False,
) -> Assessment:
    """Decide ``uses`` of one model.

    A use is decided by the judge of :mod:`ncbench.report.judge` at three standard errors. Each round of a use is an independent run twice as long as
    the one before; the next one is that which costs least among the undecided uses.

    Args:
        model: the model in one force mode.
        system: the structures; ``None`` for each diagnostic's own.
        uses: what is asked.
        folder: results folder, where finished jobs are found again.
        run: runs jobs into it.
        seconds: time to spend; a round that is not expected to end in it is not begun. Trying remedies comes on top.
        seed: of everything random.
        molecules: the structures are isolated molecules.
        n_atoms: atoms of a structure, for estimates of time.
        both_modes: the model has direct and conservative forces, so that multiple time stepping can be tried.
    """
    began = time.monotonic()
    found: Assessment | None = None
    per_call = 0.0

    def left() -> float:
        return seconds - (time.monotonic() - began)

    def do(step: Step) -> None:
        nonlocal found, per_call
        start = time.monotonic()
        run(requests(step, model, system))
        per_call = max(time.monotonic() - start, 1e-3) / max(step.cost(n_atoms), 1.0)
        found = _look(folder, uses, found)
        if found is not None:
            found.steps.append(f"{step.diagnostic} {', '.join(f'{k}={v}' for k, v in step.overrides.items())}".strip())
            found.seconds = time.monotonic() - began

    for step in first_steps(uses, seed=seed):
        do(step)
    waiting = {use: rounds(use, seed=seed, molecules=molecules) for use in uses}
    upcoming = {use: next(steps) for use, steps in waiting.items()}
    while True:
        undecided = [use for use in upcoming if found is None or found.answer(use) == "open"]
        affordable = [use for use in undecided if upcoming[use].cost(n_atoms) * per_call <= left()]
        if not affordable or left() <= 0:
            break
        use = min(affordable, key=lambda one: upcoming[one].cost(n_atoms))
        do(upcoming[use])
        following = next(waiting[use], None)
        if following is None:
            del upcoming[use]
        else:
            upcoming[use] = following
    assert found is not None
    unsafe = [use for use in uses if found.answer(use) == "unsafe" and use is not Use.RELAX]
    if unsafe:
        found.remedies = _remedies(found, unsafe, model, system, folder, run, both_modes=both_modes, seed=seed)
        found.seconds = time.monotonic() - began
    return found


def _look(folder: Path, uses: tuple[Use, ...], before: Assessment | None) -> Assessment | None:
    results = read(folder)
    models = results.models()
    if not models:
        return before
    name, mode = (before.model, before.mode) if before is not None else models[-1]
    by_name = {one.use: one for one in judge(results, name, mode, results.main_system())}
    assessment = before or Assessment(name, mode)
    assessment.judgements = {use: by_name[JUDGED[use]] for use in uses}
    return assessment


def _remedies(
    found: Assessment,
    unsafe: Sequence[Use],
    model: ModelRequest,
    system: SystemRequest | None,
    folder: Path,
    run: RunJobs,
    *,
    both_modes: bool,
    seed: int,
) -> list[Remedy]:
    power = _power(read(folder), found)
    tau = _rounded_down(3.0 * K_B * EXCESS_K / power * 1000.0) if power is not None and power > 0 else 0.0
    remedies = _thermostat(found, unsafe[0], tau, model, system, folder, run, seed=seed) if tau > 0.0 else []
    if both_modes:
        step = Step("mts", {"strides": STRIDES, "duration_fs": 200.0, "rounds": 3}, seed, (Use.NVE,))
        run(requests(step, model, system))
        remedies += _stepping(read(folder), found)
    return remedies


def _thermostat(
    found: Assessment,
    use: Use,
    tau: float,
    model: ModelRequest,
    system: SystemRequest | None,
    folder: Path,
    run: RunJobs,
    *,
    seed: int,
) -> list[Remedy]:
    """A white-noise thermostat of ``tau`` fs, tried by the power that it draws: in a second, longer run where the first cannot tell."""
    answer, evidence = Answer.UNKNOWN, ""
    for duration_fs in TRIAL_FS:
        settings = {"thermostats": (f"langevin:{tau:g}",), "equilibration_fs": 50.0, "duration_fs": duration_fs}
        run(requests(Step("nvt", settings, seed, (Use.LOCAL,)), model, system))
        rows = read(folder).rows("nvt", found.model, found.mode)
        tried = (rows["thermostat"] == "langevin") & (rows["species"] == "all") & (rows["tau_fs"] == tau)
        rows = rows[tried & (rows["status"] == "ok")]
        if not len(rows):
            return []
        row = rows.iloc[int((rows["steps"] * rows["timestep_fs"]).to_numpy().argmax())]
        factor = tau / 1000.0 / (3.0 * K_B)
        excess = factor * float(row["power_meV_per_atom_per_ps"])
        error = factor * _error(row, "power_meV_per_atom_per_ps")
        answer, _ = decide(excess, error if bool(row["power_error_known"]) else math.nan, EXCESS_K)
        evidence = f"ΔT = Pτ/3k_B = {with_error(excess, error)} K at τ = {tau:g} fs"
        if answer in (Answer.YES, Answer.NO):
            break
    # A thermostat that was found too weak is no remedy.
    if answer is Answer.NO:
        return []
    status = VERIFIED if answer is Answer.YES else PREDICTED
    what = f"white-noise Langevin thermostat with τ ≤ {tau:g} fs"
    return [Remedy(use, what, "dynamics are damped; no cost in time", status, evidence)]


def _stepping(results: Results, found: Assessment) -> list[Remedy]:
    """Multiple time stepping with the largest M that is shown to be quiet, else not shown to heat; and the conservative forces themselves."""
    rows = results.rows("mts", found.model, found.mode)
    rows = rows[rows["status"] == "ok"] if len(rows) else rows
    remedies = []
    drift = "energy_drift_meV_per_atom_per_ps"
    tried = []
    split = rows[rows["integrator"] == "mts"].sort_values("stride") if len(rows) else rows
    for row in split.to_dict("records"):
        error = _error(row, drift)
        answer, _ = decide(float(row[drift]), error if row["error_known"] else math.nan, HEATING_POWER)
        # An error that is a lower bound shows no heating either way; beyond three of them the drift is not offered all the same.
        tried.append((row, answer, error, abs(float(row[drift])) - SIGMAS * error > HEATING_POWER))
    for wanted, status in ((Answer.YES, VERIFIED), (Answer.UNSURE, OPEN)):
        kept = [one for one in tried if one[1] is wanted and not one[3]]
        if kept:
            last, _, error, _ = kept[-1]
            remedies.append(
                Remedy(
                    Use.NVE,
                    f"multiple time stepping, conservative forces every {int(last['stride'])} steps",
                    f"{float(last['ratio_cost']):.2f} times a step with direct forces",
                    status,
                    f"drift {with_error(float(last[drift]), error)} meV/atom/ps in {float(last['duration_fs']):g} fs; limit {HEATING_POWER:.3f}",
                )
            )
            break
    whole = rows[rows["integrator"] == "conservative"] if len(rows) else rows
    if len(whole):
        alone = whole.iloc[-1]
        remedies.append(
            Remedy(
                Use.NVE,
                "the model's conservative forces",
                f"{float(alone['ratio_cost']):.2f} times a step with direct forces",
                OPEN,
                "assess the conservative mode to see what it may be used for",
            )
        )
    return remedies


def _power(results: Results, found: Assessment) -> float | None:
    """Heating power, meV/atom/ps, from which a thermostat is proposed: at constant energy, otherwise under the thermostat."""
    for table, column in (
        ("nve-drift", "energy_drift_meV_per_atom_per_ps"),
        ("nvt", "power_meV_per_atom_per_ps"),
    ):
        rows = results.rows(table, found.model, found.mode)
        good = rows[(rows["status"] == "ok") & rows[column].notna()] if len(rows) else pd.DataFrame()
        if len(good):
            length = good["steps"] * good["timestep_fs"]
            return float(good[length == length.max()][column].mean())
    return None


def _error(row: Any, column: str) -> float:
    value = row[f"{column}_se"]
    return math.nan if value is None else float(value)


def _rounded_down(tau_fs: float) -> float:
    """1, 2 or 5 times a power of ten, fs; 0 below 1 fs, where no time step would resolve the thermostat."""
    if tau_fs < 1.0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(tau_fs))
    return next(step * power for step in (5.0, 2.0, 1.0) if step * power <= tau_fs)
