"""Runs for each use: point-wise tests first, then a ladder of runs for each use, each twice as long as the one before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

import pandas as pd

from ncbench.diagnostics import registry
from ncbench.report import judge
from ncbench.report.decide import LOCAL_TAU_PS
from ncbench.report.explosions import Explosion, constant_energy, constant_pressure, thermostatted
from ncbench.report.read import Results
from ncbench.types import Budget, Job, ModelRequest, SystemRequest

MOST_ROUNDS = 8
"""Runs of a use's ladder; each is run once at most, in continued assessments too. Each look at a result decides wrongly with at most 0.27 % (three
standard errors, two sides), however the runs are stopped and whichever rungs are passed over (Bonferroni): a use that its own rungs inform is decided
wrongly with at most 2.2 %, a local thermostat, which the rungs of NVE inform too, with at most 4.3 %. Remedies are separate decisions: thermostats are
tried in ten runs at most (2.7 %), multiple time stepping in six (1.6 %). These rates assume that errors are correct (``results/bench/coverage.md``)."""
FIRST_NVE_FS = 200.0
"""The fourth run is then of 1.6 ps and the fifth of 3.2 ps, just beyond :data:`~ncbench.assess.forecast.GRADIENT_PS` and
:data:`~ncbench.assess.forecast.SMALL_POWER_PS`."""


class Use(StrEnum):
    """What a model may be used for."""

    NVE = "nve"
    LOCAL = "nvt-local"
    GLOBAL = "nvt-global"
    NPT = "npt"
    RELAX = "relax"

    @property
    def label(self) -> str:
        """As the judge calls it."""
        return JUDGED[self]


JUDGED: Mapping[Use, str] = {
    Use.NVE: judge.NVE,
    Use.LOCAL: judge.LOCAL,
    Use.GLOBAL: judge.GLOBAL,
    Use.NPT: judge.PRESSURE,
    Use.RELAX: judge.RELAXATION,
}
"""Use → the judge's name of it."""
DEFAULT_USES = (Use.NVE, Use.LOCAL)
"""What is decided where no use is named. A global thermostat needs 10 ps, constant pressure a stress and i-PI, and relaxations need some 80 structures of
the kind that the model knows: these must be requested by name."""
DYNAMICS = ("nve-drift", "nvt", "npt")
"""Diagnostics whose cost is counted in steps of dynamics."""


@dataclass(frozen=True)
class Step:
    """One job that may be run next."""

    diagnostic: str
    overrides: Mapping[str, Any]
    seed: int
    uses: tuple[Use, ...]
    """Uses that it informs."""
    length: float = 0.0
    """fs of dynamics, or number of relaxations; 0 for point-wise tests."""

    @property
    def title(self) -> str:
        """For progress and the list of what was run."""
        return (
            f"{self.diagnostic} {', '.join(f'{key}={_plain(value)}' for key, value in self.overrides.items())}".strip()
        )

    def cost(self, n_atoms: int) -> float:
        """Force calls of one structure, by the diagnostic's cost model."""
        from ncbench.run.plan import apply_overrides

        diagnostic = registry.get(self.diagnostic)
        settings = apply_overrides(diagnostic.presets[Budget.SMOKE], self.overrides, self.diagnostic)
        return float(diagnostic.cost(settings, n_atoms))


def _plain(value: object) -> str:
    return (
        ",".join(map(str, value))
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def first_steps(uses: tuple[Use, ...], *, seed: int) -> list[tuple[Step, ...]]:
    """Point-wise tests, each with its variants, the most exact first: the time of a step, λ, and energies against forces."""
    dynamics = tuple(use for use in uses if use is not Use.RELAX)
    steps = [
        (timing_step(seed),),
        tuple(Step("lambda", {"method": "stochastic", "probes": probes}, seed, ()) for probes in (16, 4)),
    ]
    if dynamics:
        few = {"directions": 2, "rotations": 1, "points": 12}
        steps.append((Step("consistency", {}, seed, ()), Step("consistency", few, seed, ())))
    return steps


def timing_step(seed: int) -> Step:
    """The measurement of the time of a step."""
    return Step("timing", {"path": "adapter"}, seed, ())


def at_time_step(step: Step, timestep_fs: float | None) -> Step:
    """A step of dynamics with this time step; others, and all where it is ``None``, as they are."""
    if timestep_fs is None or step.diagnostic not in (*DYNAMICS, "mts"):
        return step
    return replace(step, overrides={**step.overrides, "timestep_fs": timestep_fs})


def ladder(use: Use, *, seed: int, molecules: bool) -> list[Step]:
    """Runs that decide a use, each twice as long as the one before and independent of it.

    Args:
        use: the use to decide.
        seed: of the first run; the others count on.
        molecules: the structure is isolated, so that relaxations begin displaced.
    """
    return [_rung(use, number, seed + number, molecules=molecules) for number in range(MOST_ROUNDS)]


def _rung(use: Use, number: int, seed: int, *, molecules: bool) -> Step:
    factor = 2**number
    momenta = {"redraw_momenta": True} if number else {}
    match use:
        case Use.NVE:
            length = FIRST_NVE_FS * factor
            settings: dict[str, Any] = {"duration_fs": length, "sample_every": 1, **momenta}
            return Step("nve-drift", settings, seed, (Use.NVE, Use.LOCAL), length)
        case Use.LOCAL:
            length = 200.0 * factor
            settings = {"thermostats": ("langevin:100",), "equilibration_fs": 50.0, "duration_fs": length}
            return Step("nvt", {**settings, **momenta}, seed, (Use.LOCAL,), length)
        case Use.GLOBAL:
            # Below 20 relaxation times (0.5 ps for elements) no mean temperature has a known error.
            length = 10_000.0 * factor
            settings = {"thermostats": ("svr:10",), "equilibration_fs": 200.0, "duration_fs": length}
            return Step("nvt", {**settings, **momenta}, seed, (Use.GLOBAL,), length)
        case Use.NPT:
            # Nothing is equilibrated without baths.
            length = FIRST_NVE_FS * factor
            settings = {"ensemble": "nph", "equilibration_fs": 0.0, "duration_fs": length, "sample_every": 1}
            return Step("npt", {**settings, **momenta}, seed, (Use.NPT,), length)
        case Use.RELAX:
            # 63 relaxations that all converge are the fewest that show 90 % at three standard errors: the third rung decides at the earliest.
            count = 12 * factor if molecules else factor
            settings = {"optimizer": "lbfgs", "n": count, "max_steps": 1000}
            if not molecules:
                # As they are, every rung would be of the same starts, and no further trial.
                settings["displacement_A"] = 0.05
            return Step("relax", settings, seed, (Use.RELAX,), float(count))


def dynamics_text(results: Results, model: str, mode: str, system: str | None) -> str:
    """``time step 0.5 fs, mean temperature 302 K`` of the longest run of the first of :data:`DYNAMICS` in the folder; empty where there is none."""
    for name in DYNAMICS:
        rows = results.rows(name, model, mode, system)
        rows = rows[rows["timestep_fs"].notna() & rows["steps"].notna()] if len(rows) else rows
        if not len(rows):
            continue
        steps = sorted(set(rows["timestep_fs"]))
        text = f"time step {' and '.join(f'{step:g}' for step in steps)} fs"
        row = rows.iloc[int((rows["steps"] * rows["timestep_fs"]).to_numpy().argmax())]
        temperature = row.get("temperature_mean_K", row.get("temperature_K"))
        return text if pd.isna(temperature) else f"{text}, mean temperature {temperature:.0f} K"
    return ""


def explosions(results: Results, model: str, mode: str, system: str | None, *, gradient: bool) -> dict[Use, Explosion]:
    """By use, an explosion of a run under the same or a stronger thermostat: longer runs would explode too. One from a start that is not relaxed ends all
    dynamics.
    """
    bath = partial(thermostatted, results, model, mode, system, gradient=gradient)
    found = {
        Use.NVE: constant_energy(results, model, mode, system, gradient=gradient),
        Use.LOCAL: bath("langevin", 1000.0 * LOCAL_TAU_PS),
        Use.GLOBAL: bath("svr", math.inf),
        Use.NPT: constant_pressure(results.rows("npt", model, mode), gradient=gradient),
    }
    known = {use: one for use, one in found.items() if one is not None}
    of_start = next((one for one in known.values() if one.of_start), None)
    return known if of_start is None else dict.fromkeys(found, of_start) | known


def requests(step: Step, model: ModelRequest, system: SystemRequest | None) -> list[Job]:
    """The jobs of a step."""
    from ncbench.run.plan import plan_jobs

    return plan_jobs(
        [step.diagnostic],
        [model],
        system,
        budget=Budget.SMOKE,
        seeds=[step.seed],
        overrides={step.diagnostic: dict(step.overrides)},
    )
