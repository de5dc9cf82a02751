"""Run the next job that is most likely to decide, until each use is decided or the time is spent; then remedies, tried before they are named."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ncbench.assess.evidence import JUDGED, Step, Use, first_steps, requests, rounds
from ncbench.report.judge import EXCESS_K, HEATING_POWER, K_B, Answer, Judgement, judge
from ncbench.report.read import Results, read
from ncbench.statistics.format import with_error
from ncbench.types import Job, ModelRequest, SystemRequest

RunJobs = Callable[[Sequence[Job]], None]
"""Runs jobs into the results folder; what fails is a row there."""
Clock = Callable[[], float]
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
    """``verified`` by a run, ``predicted``, or ``open`` where the run was too short to tell."""
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
    clock: Clock = time.monotonic,
    report: Callable[[Assessment, float], None] = lambda assessment, left: None,
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
        seconds: time to spend; a round that is not expected to end in it is not begun.
        seed: of everything random.
        molecules: the structures are isolated molecules.
        n_atoms: atoms of a structure, for estimates of time.
        both_modes: the model has direct and conservative forces, so that multiple time stepping can be tried.
        clock: seconds.
        report: called after each step with what is known and the time left.
    """
    began = clock()
    found: Assessment | None = None
    per_call = 0.0

    def left() -> float:
        return seconds - (clock() - began)

    def do(step: Step) -> None:
        nonlocal found, per_call
        start = clock()
        run(requests(step, model, system))
        per_call = max(clock() - start, 1e-3) / max(step.cost(n_atoms), 1.0)
        found = _look(folder, uses, found)
        if found is not None:
            found.steps.append(f"{step.diagnostic} {', '.join(f'{k}={v}' for k, v in step.overrides.items())}".strip())
            found.seconds = clock() - began
            report(found, left())

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
        found.seconds = clock() - began
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
    results = read(folder)
    remedies = []
    power = _power(results, found)
    if power is not None and power > 0:
        tau = _rounded_down(3.0 * K_B * EXCESS_K / power * 1000.0)
        step = Step(
            "nvt",
            {"thermostats": (f"langevin:{tau:g}",), "equilibration_fs": 50.0, "duration_fs": 400.0},
            seed,
            (Use.LOCAL,),
        )
        run(requests(step, model, system))
        rows = read(folder).rows("nvt", found.model, found.mode)
        rows = rows[(rows["thermostat"] == "langevin") & (rows["species"] == "all") & (rows["tau_fs"] == tau)]
        rows = rows[rows["status"] == "ok"]
        if len(rows):
            row = rows.iloc[-1]
            drawn, error = float(row["power_meV_per_atom_per_ps"]), float(row["power_meV_per_atom_per_ps_se"])
            factor = tau / 1000.0 / (3.0 * K_B)
            inside = factor * (abs(drawn) + 3.0 * error) < EXCESS_K
            remedies.append(
                Remedy(
                    unsafe[0],
                    f"white-noise Langevin thermostat with τ ≤ {tau:g} fs",
                    "dynamics are damped; no cost in time",
                    "verified" if inside else "predicted",
                    f"ΔT = Pτ/3k_B = {with_error(factor * drawn, factor * error)} K at τ = {tau:g} fs",
                )
            )
    if both_modes:
        step = Step("mts", {"strides": STRIDES, "duration_fs": 200.0, "rounds": 3}, seed, (Use.NVE,))
        run(requests(step, model, system))
        remedies += _stepping(read(folder), found)
    return remedies


def _stepping(results: Results, found: Assessment) -> list[Remedy]:
    """Multiple time stepping with the largest M whose drift is not above the limit, and the conservative forces themselves."""
    rows = results.rows("mts", found.model, found.mode)
    rows = rows[rows["status"] == "ok"] if len(rows) else rows
    remedies = []
    split = rows[rows["integrator"] == "mts"] if len(rows) else rows
    drift, error = "energy_drift_meV_per_atom_per_ps", "energy_drift_meV_per_atom_per_ps_se"
    if len(split):
        known = split[split[error].notna()]
        quiet = known[(known[drift].abs() - 3.0 * known[error]) < HEATING_POWER]
        if len(quiet):
            row = quiet.iloc[int(quiet["stride"].to_numpy().argmax())]
            shown = with_error(float(row[drift]), float(row[error]))
            safe = abs(float(row[drift])) + 3.0 * float(row[error]) < HEATING_POWER
            remedies.append(
                Remedy(
                    Use.NVE,
                    f"multiple time stepping with M ≤ {int(row['stride'])}: conservative forces every M-th step",
                    f"{float(row['ratio_cost']):.2f} times a step with direct forces",
                    "verified" if safe else "open",
                    f"drift {shown} meV/atom/ps in {float(row['duration_fs']):g} fs; limit {HEATING_POWER:.3f}",
                )
            )
    whole = rows[rows["integrator"] == "conservative"] if len(rows) else rows
    if len(whole):
        row = whole.iloc[-1]
        remedies.append(
            Remedy(
                Use.NVE,
                "the model's conservative forces",
                f"{float(row['ratio_cost']):.2f} times a step with direct forces",
                "predicted",
                "assess the conservative mode to see what it may be used for",
            )
        )
    return remedies


def _power(results: Results, found: Assessment) -> float | None:
    """Heating power, meV/atom/ps: at constant energy, which is an upper bound of that under friction; otherwise under the thermostat."""
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


def _rounded_down(tau_fs: float) -> float:
    """One significant figure: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** len(str(int(max(tau_fs, 1.0)))[1:])
    return next((step * power for step in (5.0, 2.0, 1.0) if step * power <= tau_fs), 0.5)
