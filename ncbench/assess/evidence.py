"""What is run for which use, in rounds of growing length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ncbench.diagnostics import registry
from ncbench.report import judge
from ncbench.types import Budget, ModelRequest, SystemRequest

MOST_ROUNDS = 8
"""Rounds of a use. Each look at the results decides wrongly with at most 0.27 % (three standard errors, two sides), however the runs are
stopped (Bonferroni): a use that its own rounds inform is decided wrongly with at most 2.2 %, and a local thermostat, which the rounds of NVE
inform too, with at most 4.3 %. That is as true as the errors are (``results/bench/coverage.md``)."""


class Use(StrEnum):
    """What a model may be used for."""

    NVE = "nve"
    LOCAL = "nvt-local"
    GLOBAL = "nvt-global"
    RELAX = "relax"


JUDGED: Mapping[Use, str] = {
    Use.NVE: judge.NVE,
    Use.LOCAL: judge.LOCAL,
    Use.GLOBAL: judge.GLOBAL,
    Use.RELAX: judge.RELAXATION,
}
"""Use → the judge's name of it."""


@dataclass(frozen=True)
class Step:
    """One job that may be run next."""

    diagnostic: str
    overrides: Mapping[str, Any]
    seed: int
    uses: tuple[Use, ...]
    """Uses that it informs."""

    def cost(self, n_atoms: int) -> float:
        """Force calls of one structure, by the diagnostic's cost model."""
        from ncbench.run.plan import apply_overrides

        diagnostic = registry.get(self.diagnostic)
        settings = apply_overrides(diagnostic.presets[Budget.SMOKE], self.overrides, self.diagnostic)
        return float(diagnostic.cost(settings, n_atoms))


def first_steps(uses: tuple[Use, ...], *, seed: int) -> list[Step]:
    """Point-wise tests that cost little: λ, and where dynamics are asked for, energies against forces and the prediction."""
    dynamics = tuple(use for use in uses if use is not Use.RELAX)
    steps = [Step("lambda", {"method": "stochastic", "probes": 16}, seed, uses)]
    if dynamics:
        steps.append(Step("consistency", {}, seed, dynamics))
    return steps


def rounds(use: Use, *, seed: int, molecules: bool) -> Iterator[Step]:
    """Runs that decide a use, each twice as long as the one before and independent of it.

    Args:
        use: what is asked.
        seed: of the first round; the others count on.
        molecules: the structure is isolated, so that relaxations begin displaced.
    """
    for number in range(MOST_ROUNDS):
        factor = 2**number
        momenta = {"redraw_momenta": True} if number else {}
        match use:
            case Use.NVE:
                settings: dict[str, Any] = {"duration_fs": 160.0 * factor, "sample_every": 1, **momenta}
                yield Step("nve-drift", settings, seed + number, (Use.NVE, Use.LOCAL))
            case Use.LOCAL:
                settings = {"thermostats": ("langevin:100",), "equilibration_fs": 50.0, "duration_fs": 200.0 * factor}
                yield Step("nvt", {**settings, **momenta}, seed + number, (Use.LOCAL,))
            case Use.GLOBAL:
                # Below 20 relaxation times (0.5 ps for elements) no mean temperature has a known error.
                settings = {"thermostats": ("svr:10",), "equilibration_fs": 200.0, "duration_fs": 10_000.0 * factor}
                yield Step("nvt", {**settings, **momenta}, seed + number, (Use.GLOBAL,))
            case Use.RELAX:
                count = 10 * factor if molecules else factor
                settings = {"optimizer": "lbfgs", "n": count, "max_steps": 1000}
                if not molecules:
                    # As they are, every round would be of the same starts, and no further trial.
                    settings["displacement_A"] = 0.05
                yield Step("relax", settings, seed + number, (Use.RELAX,))


def requests(step: Step, model: ModelRequest, system: SystemRequest | None) -> Any:
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
