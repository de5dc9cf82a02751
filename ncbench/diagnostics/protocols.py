"""Protocols of other suites: their constants, their definitions on our data, and how their numbers relate to ours.

- ``mlipaudit-nve``: instadeepai/mlipaudit, ``src/mlipaudit/benchmarks/nve_energy_conservation/nve_energy_conservation.py`` (commit 4fa6de4) and ``src/mlipaudit/scoring.py``.
- ``lambench-nve``: deepmodeling/LAMBench, ``lambench/tasks/calculator/nve_md/nve_md.py``, ``calculator_tasks.yml`` and
  ``lambench/metrics/vishelper/metrics_calculations.py`` (commit c20f07d).
- ``ml-peg-lambda``: ddmms/ml-peg, ``ml_peg/calcs/physicality/jacobian_symmetry/calc_jacobian_symmetry.py``, ``analyse_jacobian_symmetry.py`` and ``metrics.yml`` (commit eb6572e, pull
  request 713).

The structures of the first two are files of those suites and not used here: their definitions are applied to ours. A protocol's settings can be overridden one by one; the
column ``differs`` then names what is not as published.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ncbench.errors import UsageError
from ncbench.units import FS, MEV

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A published protocol."""

    name: str
    diagnostic: str
    source: str
    """Repository and commit."""
    constants: Mapping[str, Any]
    """Settings of the diagnostic."""
    system: str = ""
    """Named system that holds its structures, if there is one."""
    relation: str = field(default="", repr=False)
    """How its number relates to ours."""
    never: tuple[str, ...] = ()
    """What of it is not done here, whatever the settings."""


ASE_TIME_FS = 1.0 / FS
"""ASE's unit of time, Å √(u/eV), in fs: 10.18."""

MLIPAUDIT_NVE = Protocol(
    name="mlipaudit-nve",
    diagnostic="nve-drift",
    source="instadeepai/mlipaudit 4fa6de4",
    constants={"timestep_fs": 1.0, "steps": 50_000, "temperature_K": 300.0, "redraw_momenta": True},
    relation="|P| N t / σ_K, P the drift per atom, N atoms, t the length, σ_K the standard deviation of the kinetic energy: it grows with t and √N, and has no error",
)
LAMBENCH_NVE = Protocol(
    name="lambench-nve",
    diagnostic="nve-drift",
    source="deepmodeling/LAMBench c20f07d",
    constants={"timestep_fs": 1.0, "steps": 10_000, "temperature_K": 300.0, "redraw_momenta": True},
    never=("rotation at the start kept (removed)",),
    relation=f"|P| with times in ASE's unit of {ASE_TIME_FS:.2f} fs where eV/atom/ps is stated, so {ASE_TIME_FS:.2f} times too large",
)
ML_PEG_LAMBDA = Protocol(
    name="ml-peg-lambda",
    diagnostic="lambda",
    source="ddmms/ml-peg eb6572e",
    constants={"method": "finite-difference", "step_A": 1.0e-3},
    system="ml-peg-ten",
    relation="the same λ by central differences at one step, without a floor or an error",
)
PROTOCOLS: Mapping[str, Protocol] = {one.name: one for one in (MLIPAUDIT_NVE, LAMBENCH_NVE, ML_PEG_LAMBDA)}

MLIPAUDIT_SNAPSHOT = 50
"""Steps between snapshots."""
MLIPAUDIT_THRESHOLD, MLIPAUDIT_ALPHA = 1.0, 3.0
LAMBENCH_LOGS = 100
"""Logged energies of a run."""
LAMBENCH_WARM_UP = 0.2
LAMBENCH_TOLERANCE, LAMBENCH_WORST = 5.0e-4, 5.0
"""Slope without penalty, and the instability of a run that ends early."""
ML_PEG_GOOD, ML_PEG_BAD = 0.0, 0.004
_MOST_STEPS_BETWEEN_SAMPLES = 10
"""Our own slopes are fitted to more samples than the protocols take."""


def applied(diagnostic: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Requested settings of a diagnostic with the constants of the requested protocol, if there is one; settings that were requested themselves come first.

    Raises:
        UsageError: the protocol is one of another diagnostic.
    """
    protocol = PROTOCOLS.get(str(changes.get("protocol")))
    if protocol is None:
        return dict(changes)
    if protocol.diagnostic != diagnostic:
        raise UsageError(
            f"The protocol {protocol.name} is one of {protocol.diagnostic}, not of {diagnostic}.",
            hint=f"Run: ncbench {protocol.diagnostic} --protocol {protocol.name}",
        )
    constants = dict(protocol.constants)
    for given, replaced in (("duration_fs", "steps"), ("timesteps", "timestep_fs")):
        if given in changes:
            constants.pop(replaced, None)
    values = constants | dict(changes)
    if protocol.diagnostic == "nve-drift" and "sample_every" not in values:
        values["sample_every"] = _samples(snapshot_steps(protocol.name, _steps(values, protocol)))
    return values


def _steps(values: Mapping[str, Any], protocol: Protocol) -> int:
    if "steps" in values:
        return int(values["steps"])
    timestep_fs = float(values.get("timestep_fs", protocol.constants["timestep_fs"]))
    return round(float(values["duration_fs"]) / timestep_fs)


def _samples(interval: int) -> int:
    return max(n for n in range(1, _MOST_STEPS_BETWEEN_SAMPLES + 1) if interval % n == 0)


def system_of(changes: Mapping[str, Any]) -> str:
    """The system of the requested protocol; empty if there is none."""
    protocol = PROTOCOLS.get(str(changes.get("protocol")))
    return protocol.system if protocol else ""


def snapshot_steps(protocol: str, steps: int) -> int:
    """Steps between the energies that a protocol uses in a run of that many steps."""
    return MLIPAUDIT_SNAPSHOT if protocol == MLIPAUDIT_NVE.name else max(1, steps // LAMBENCH_LOGS)


def differences(protocol: Protocol, settings: Mapping[str, Any]) -> list[str]:
    """What in the settings is not as published, each with the published value."""
    return [
        *(
            f"{name} {settings[name]} ({value})"
            for name, value in protocol.constants.items()
            if settings[name] != value
        ),
        *protocol.never,
    ]


@dataclass(frozen=True)
class MlipauditDrift:
    """mlipaudit's numbers of one run."""

    slope_eV_per_ps: float
    kinetic_sd_eV: float
    ratio: float
    """|slope| times the length of the run over the standard deviation of the kinetic energy."""
    score: float


def mlipaudit_nve(times_ps: FloatArray, total_eV: FloatArray, kinetic_eV: FloatArray) -> MlipauditDrift | None:
    """mlipaudit's energy drift ratio and score of a run.

    Args:
        times_ps: [S], of the snapshots.
        total_eV: [S], potential + kinetic energy of the cell.
        kinetic_eV: [S].

    Returns:
        ``None`` where mlipaudit counts a run as failed: fewer than two snapshots, an energy that is not finite, or no kinetic energy.
    """
    import numpy as np

    if len(total_eV) < 2 or not np.isfinite(total_eV).all() or not float(np.std(kinetic_eV)) > 0.0:
        return None
    slope = float(np.polyfit(times_ps, total_eV - total_eV[0], 1)[0])
    spread = float(np.std(kinetic_eV))
    ratio = abs(slope) * float(times_ps[-1] - times_ps[0]) / spread
    return MlipauditDrift(slope, spread, ratio, mlipaudit_score(ratio))


def mlipaudit_score(ratio: float) -> float:
    """1 up to the threshold, then exp(−α (ratio − threshold)/threshold)."""
    if ratio < MLIPAUDIT_THRESHOLD:
        return 1.0
    return math.exp(-MLIPAUDIT_ALPHA * (ratio - MLIPAUDIT_THRESHOLD) / MLIPAUDIT_THRESHOLD)


def lambench_nve(times_fs: FloatArray, total_eV: FloatArray, n_atoms: int) -> float | None:
    """LAMBench's slope: 1000 |dE/dt| / N, with t in ASE's unit of time, labelled eV/atom/ps there; really meV/atom per 10.18 fs.

    Args:
        times_fs: [S], of the logged energies, the first at 0, at equal steps.
        total_eV: [S].
        n_atoms: N.

    Returns:
        ``None`` for fewer than two energies after the warm-up, or one that is not finite.
    """
    import numpy as np

    kept = int(LAMBENCH_WARM_UP * (len(times_fs) - 1))
    times, energies = times_fs[kept:] * FS, total_eV[kept:]
    if len(times) < 2 or not np.isfinite(energies).all():
        return None
    return float(abs(1000.0 * np.polyfit(times, energies, 1)[0] / n_atoms))


def lambench_instability(slope: float | None) -> float:
    """log₁₀ of the slope over the tolerance, between 0 and 5; 5 for a run without a slope."""
    if slope is None:
        return LAMBENCH_WORST
    return min(max(math.log10(max(slope, LAMBENCH_TOLERANCE) / LAMBENCH_TOLERANCE), 0.0), LAMBENCH_WORST)


def lambench_from_drift(meV_per_atom_per_ps: float) -> float:
    """The slope that LAMBench reports for a drift."""
    return abs(meV_per_atom_per_ps) * MEV * ASE_TIME_FS


def ml_peg_lambda(jacobian: FloatArray) -> float:
    """‖(J − Jᵀ)/2‖ / ‖J‖ of a Jacobian [3N, 3N]."""
    import numpy as np

    return float(np.linalg.norm(0.5 * (jacobian - jacobian.T)) / np.linalg.norm(jacobian))


def ml_peg_score(values: Sequence[float]) -> float:
    """Mean over metrics of (bad − value)/(bad − good), clipped to [0, 1]."""
    scores = [min(max((ML_PEG_BAD - value) / (ML_PEG_BAD - ML_PEG_GOOD), 0.0), 1.0) for value in values]
    return sum(scores) / len(scores)
