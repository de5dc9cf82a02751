"""Runs and predictions of ``mts-design``: the conservative run with its spectra, the bound on the growth for each M, and a run of the scan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms

from ncbench.md.checkpoint import StagedCheckpoint
from ncbench.md.ensemble import VERLET, EnsembleRun, Scheme, early_end, run_ensemble
from ncbench.md.force_difference import ForceDifference, Spectrum, spectrum
from ncbench.md.integrators import Dynamics
from ncbench.md.measured import heating
from ncbench.md.resonance import half_period, largest_growth, longest_timestep
from ncbench.md.series import Observer
from ncbench.md.settings import MdSettings
from ncbench.md.state import Particles
from ncbench.md.step_times import Stepping
from ncbench.md.stiffest import frequency_along, stiffest_mode
from ncbench.md.tables import number
from ncbench.models.interface import ForceField
from ncbench.statistics.intervals import CONFIDENCE, half_width
from ncbench.statistics.series import blocking_mean
from ncbench.types import Progress, Status
from ncbench.units import FS, PS, WAVENUMBER

MOST_STRIDES = 64
"""Largest M that is considered."""
STEP_GRID_FS = 0.05
"""Recommended time steps are multiples of this."""


@dataclass(frozen=True)
class Design:
    """What the spectrum of a conservative run says about Δt and M."""

    spectrum: Spectrum
    timestep_fs: float
    limit_meV_per_atom_per_ps: float

    @property
    def first_resonance_fs(self) -> float:
        """H = π/ω of the highest frequency, fs."""
        return half_period(self.spectrum.highest) / FS

    @property
    def longest_timestep_fs(self) -> float:
        """Δt of :func:`ncbench.md.resonance.longest_timestep`, fs."""
        return longest_timestep(self.spectrum.highest) / FS

    @cached_property
    def stride(self) -> int:
        """Largest M at the run's Δt below the first resonance."""
        return self._largest_stride(self.timestep_fs)

    def growth_per_ps(self, stride: int, timestep_fs: float | None = None) -> float:
        """Largest growth rate of an amplitude at this M, 1/ps: a bound, since κ is taken with its rms size and either sign."""
        chosen = self.spectrum.occupied
        rate = largest_growth(
            self.spectrum.omega[chosen],
            self.spectrum.size[chosen],
            (timestep_fs or self.timestep_fs) * FS,
            stride,
            width=self.spectrum.step,
        )
        return rate * PS

    def _largest_stride(self, timestep_fs: float) -> int:
        largest = 0
        for stride in range(1, MOST_STRIDES + 1):
            # Above the resonance of the highest frequency, gaps between the resonances of its discrete modes are no use.
            if stride * timestep_fs >= self.first_resonance_fs and stride > 1:
                break
            if self.growth_per_ps(stride, timestep_fs) > 0.0:
                break
            largest = stride
        return largest

    def row(self) -> dict[str, Any]:
        """Columns of the table ``design``."""
        highest = self.spectrum.highest
        recommended = max(1, math.floor(self.longest_timestep_fs / STEP_GRID_FS + 1e-9)) * STEP_GRID_FS
        at_highest = int(np.abs(self.spectrum.omega - highest).argmin())
        return {
            "highest_per_cm": highest / WAVENUMBER,
            "resolution_per_cm": self.spectrum.step / WAVENUMBER,
            "shortest_period_fs": 2.0 * self.first_resonance_fs,
            "first_resonance_fs": self.first_resonance_fs,
            "timestep_longest_fs": self.longest_timestep_fs,
            "timestep_recommended_fs": round(recommended, 10),
            "stride_recommended": self._largest_stride(recommended),
            "stride_below_resonance": self.stride,
            "ratio_slow_highest": number(float(self.spectrum.size[at_highest]) / highest**2),
            "limit_meV_per_atom_per_ps": self.limit_meV_per_atom_per_ps,
        }

    def spectrum_rows(self) -> list[dict[str, Any]]:
        """Rows of the table ``spectrum``."""
        one = self.spectrum
        return [
            {
                "frequency_per_cm": float(one.omega[k]) / WAVENUMBER,
                "fraction_kinetic": float(one.velocity[k]),
                "difference_eV2_per_A2_per_u": float(one.difference[k]),
                "ratio_slow": number(float(one.coherent[k] / one.omega[k] ** 2)),
                "ratio_slow_rms": number(float(one.size[k] / one.omega[k] ** 2)),
                "occupied": bool(one.occupied[k]),
                "status": Status.OK,
                "reason": "",
            }
            for k in range(len(one.omega))
        ]


@dataclass
class StructureRuns:
    """The runs of one structure from the same start: with the slow forces for the spectra, and one for each M."""

    atoms: Atoms
    index: int
    """Number of the structure, which identifies its random momenta."""
    settings: MdSettings
    seed: int
    stages: StagedCheckpoint
    progress: Progress
    steps_before: int = 0
    """Steps of earlier runs in the progress."""

    def conservative(self, fast: ForceField, slow: ForceField, n_steps: int) -> tuple[Spectrum | None, dict[str, Any]]:
        """Velocity Verlet with the slow forces: its spectra, or ``None`` with the columns of an early end.

        Raises:
            EnsembleInterrupted: on Ctrl-C.
        """
        settings = self.settings
        field = fast.bind([self.atoms])
        particles = Particles.from_structures([self.atoms], fix_com=settings.fix_com, device=field.device)
        recorder = ForceDifference(field, particles, n_steps=n_steps, stride=min(settings.sample_every, n_steps))
        ensemble = self._run("spectrum", slow, VERLET, n_steps, settings, observers=[recorder])
        early = self._early_end(ensemble, settings.timestep_fs)
        if early:
            return None, {**early, "reason": f"run with slow forces: {early['reason']}"}
        interval = recorder.stride * settings.timestep_fs * FS
        velocities, differences = np.array(recorder.velocities), np.array(recorder.differences)
        omega, mode = stiffest_mode(slow.bind([self.atoms]), particles)
        stiffest = frequency_along(velocities, mode, omega, interval)
        return spectrum(velocities, differences, interval, particles.degrees_of_freedom, stiffest, omega), {}

    def scan(self, kind: Stepping, n_steps: int, limit_meV_per_atom_per_ps: float) -> dict[str, Any]:
        """Columns of a run with M: drift of the energy, verdict, correlation time.

        Args:
            kind: the dynamics.
            n_steps: outer steps.
            limit_meV_per_atom_per_ps: limit of the verdict.

        Raises:
            EnsembleInterrupted: on Ctrl-C.
        """
        outer_fs = self.settings.timestep_fs * kind.stride
        sampled = replace(self.settings, sample_every=max(1, self.settings.sample_every // kind.stride))
        ensemble = self._run(f"M = {kind.stride}", kind.model, kind.scheme, n_steps, sampled)
        row: dict[str, Any] = {"scan_fs": n_steps * outer_fs}
        early = self._early_end(ensemble, outer_fs)
        if early:
            return row | early | {"verdict": "explodes" if early["status"] == Status.EXPLODED else None}
        series = ensemble.series
        drift, _ = heating(series, 0, series.times_fs >= 0.0, series.total)
        temperature = blocking_mean(series.temperature[:, 0])
        return row | {
            "energy_drift_meV_per_atom_per_ps": number(drift.value),
            "energy_drift_meV_per_atom_per_ps_se": number(drift.error),
            "error_known": drift.known,
            "verdict": _verdict(drift.value, drift.error, drift.dof, drift.known, limit_meV_per_atom_per_ps),
            "temperature_mean_K": number(temperature.value),
            "correlation_time_fs": number(temperature.correlation_time * series.stride * outer_fs),
            "correlation_known": temperature.known,
            "status": Status.OK,
            "reason": "",
        }

    def _run(
        self,
        name: str,
        model: ForceField,
        scheme: Scheme,
        n_steps: int,
        settings: MdSettings,
        observers: Sequence[Observer] = (),
    ) -> EnsembleRun:
        ensemble = run_ensemble(
            model,
            [self.atoms],
            [self.index],
            Dynamics(settings.timestep_fs * scheme.stride),
            settings,
            n_steps=n_steps,
            seed=self.seed,
            label="nve",
            checkpoint=self.stages.stage(f"{self.index}.{name}"),
            report=lambda step, note: self.progress.update(self.steps_before + step, f"{name} {note}"),
            scheme=scheme,
            observers=observers,
        )
        self.steps_before += n_steps
        return ensemble

    def _early_end(self, ensemble: EnsembleRun, step_fs: float) -> dict[str, Any]:
        return early_end(ensemble, 0, step_fs=step_fs, max_temperature_K=self.settings.max_temperature_K)


def _verdict(value: float, error: float, dof: float, known: bool, limit: float) -> str:
    """``drifts``, ``stable`` (below the limit) or ``open``, each by three standard errors; open where the error is a lower bound."""
    if not (known and math.isfinite(value) and math.isfinite(error)):
        return "open"
    margin = half_width(error, dof, confidence=CONFIDENCE)
    if abs(value) - margin > limit:
        return "drifts"
    return "stable" if abs(value) + margin < limit else "open"
