"""Two models, or one in two ways: energies and forces on the same structures, then every metric of a check side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ncbench.check import suite as suites
from ncbench.check.judge import Finding, State, compare
from ncbench.check.metrics import measure
from ncbench.check.run import failures
from ncbench.check.suite import Suite
from ncbench.run.elsewhere import Consent
from ncbench.run.local import run_jobs, validate_jobs
from ncbench.run.plan import plan_jobs
from ncbench.run.reporter import Reporter
from ncbench.run.reuse import Reuse
from ncbench.store.store import Store
from ncbench.types import Budget, Job, ModelRequest, SystemRequest

ENERGY_MEV_PER_ATOM = 0.1
"""Difference of energies that is tolerated, rms over structures after the mean offset."""
FORCE_SHARE = 1e-3
"""Difference of forces that is tolerated: rms over rms. float32 arithmetic in another order makes 1e-6 to 1e-5."""
STRESS_SHARE = 1e-3
_FORCES = ["force_x_eV_per_A", "force_y_eV_per_A", "force_z_eV_per_A"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One quantity of both on the same structures."""

    name: str
    unit: str
    value: float
    tolerance: float | None
    """``None`` for quantities that are reported but not judged."""

    @property
    def failed(self) -> bool:
        """Beyond the tolerance."""
        return self.tolerance is not None and not self.value <= self.tolerance


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Differences of two models."""

    names: tuple[str, str]
    differences: tuple[Difference, ...]
    findings: tuple[Finding, ...]
    """The second against the first."""
    failures: tuple[str, ...]

    @property
    def agree(self) -> bool:
        """Energies, forces and stresses within tolerance, no metric worse in the second."""
        return not (self.failures or any(d.failed for d in self.differences) or self.worse)

    @property
    def worse(self) -> list[str]:
        """Metrics in which the second is worse. A slower one, or one without a stress, agrees all the same."""
        return [f.metric.name for f in self.findings if f.state is State.WORSE and f.metric.name != "speed"]

    def sentence(self) -> str:
        """The verdict."""
        first, second = self.names
        apart = [d.name for d in self.differences if d.failed]
        better = [f.metric.name for f in self.findings if f.state is State.BETTER]
        parts = [f"they differ in {', '.join(apart)}" if apart else "energies and forces agree"]
        parts += [f"{second} is worse in {', '.join(self.worse)}"] if self.worse else []
        parts += [f"better in {', '.join(better)}"] if better else []
        parts += [f"not measured: {'; '.join(self.failures)}"] if self.failures else []
        return f"{first} and {second}: {'; '.join(parts)}."


def run(
    pair: tuple[ModelRequest, ModelRequest],
    names: tuple[str, str],
    suite: Suite,
    store: Store,
    reporter: Reporter,
    *,
    consent: Consent,
    system: SystemRequest | None = None,
    seed: int = 0,
    energy_tolerance: float = ENERGY_MEV_PER_ATOM,
    force_tolerance: float = FORCE_SHARE,
) -> Compared:
    """Measure both with the same seed on the same structures, without reusing stored results.

    Raises:
        UsageError: there is no such model or system.
        StoreError: the results folder cannot be used.
    """
    jobs = [_jobs(model, suite, system, seed) for model in pair]
    for planned in jobs:
        validate_jobs(planned)
    summaries = [run_jobs(planned, store, reporter, consent=consent, reuse=Reuse.NEVER) for planned in jobs]
    rows = [summary.rows for summary in summaries]
    forces = store.read("evaluate", "forces")
    both = [_evaluated(side.get("evaluate", []), forces) for side in rows]
    findings = compare(measure(rows[1]), measure(rows[0]), paired=True)
    return Compared(
        names=names,
        differences=tuple(differences(*both, energy_tolerance=energy_tolerance, force_tolerance=force_tolerance)),
        findings=tuple(findings),
        failures=tuple(
            f"{name}: {sentence}" for name, side in zip(names, rows, strict=True) for sentence in failures(side)
        ),
    )


def _jobs(model: ModelRequest, suite: Suite, system: SystemRequest | None, seed: int) -> list[Job]:
    budget = Budget.LAPTOP
    evaluate = plan_jobs(["evaluate"], [model], system, budget=budget, seeds=[seed])
    # Relaxations are omitted: forces and energies are compared directly.
    return evaluate + [job for job in suites.jobs(model, suite, system=system, seed=seed) if job.diagnostic != "relax"]


@dataclass(frozen=True)
class _Evaluated:
    energies: Mapping[str, float]
    """eV, by structure."""
    forces: Mapping[str, np.ndarray]
    """[N, 3], eV/Å."""
    stresses: Mapping[str, np.ndarray]
    """[6], eV/Å³."""


def _evaluated(rows: list[dict[str, object]], forces: pd.DataFrame) -> _Evaluated:
    good = [row for row in rows if row["status"] == "ok"]
    of_jobs = forces[forces["job"].isin([row["job"] for row in good])]
    stress = [name for name in (good[0] if good else {}) if name.startswith("stress_")]
    return _Evaluated(
        {str(row["structure"]): float(str(row["energy_eV"])) for row in good if row["energy_eV"] is not None},
        {str(name): part.sort_values("atom_i")[_FORCES].to_numpy(float) for name, part in of_jobs.groupby("structure")},
        {
            str(row["structure"]): np.array([float(str(row[name])) for name in stress])
            for row in good
            if stress and row[stress[0]] is not None
        },
    )


def differences(
    first: _Evaluated, second: _Evaluated, *, energy_tolerance: float, force_tolerance: float
) -> list[Difference]:
    """Energies, forces and stresses on the structures that both could evaluate."""
    differences_: list[Difference] = []
    shared = [name for name in first.energies if name in second.energies]
    if shared:
        atoms = np.array([len(first.forces[name]) for name in shared])
        apart = 1e3 * np.array([second.energies[name] - first.energies[name] for name in shared]) / atoms
        offset = float(apart.mean())
        differences_.append(Difference(name="energy offset", unit="meV/atom", value=abs(offset), tolerance=None))
        # With one structure only the offset remains, which is then judged.
        rest = apart if len(shared) == 1 else apart - offset
        value = float(np.sqrt(np.mean(rest**2)))
        differences_.append(Difference(name="energies", unit="meV/atom", value=value, tolerance=energy_tolerance))
    shared = [name for name in first.forces if name in second.forces]
    if shared:
        first_forces, second_forces = (np.concatenate([one.forces[name] for name in shared]) for one in (first, second))
        share = _share(second_forces - first_forces, first_forces)
        differences_.append(Difference(name="forces", unit="", value=share, tolerance=force_tolerance))
        largest = 1e3 * float(np.linalg.norm(second_forces - first_forces, axis=1).max())
        differences_.append(Difference(name="largest force difference", unit="meV/Å", value=largest, tolerance=None))
    shared = [name for name in first.stresses if name in second.stresses]
    if shared:
        first_forces, second_forces = (
            np.concatenate([one.stresses[name] for name in shared]) for one in (first, second)
        )
        differences_.append(
            Difference(
                name="stresses",
                unit="",
                value=_share(second_forces - first_forces, first_forces),
                tolerance=STRESS_SHARE,
            )
        )
    return differences_


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    scale = float(np.sqrt(np.mean(whole**2)))
    return float(np.sqrt(np.mean(part**2))) / scale if scale > 0 else float(np.abs(part).max())
