"""Metrics of a check: one number and its error from the rows of each diagnostic, and the tolerated worsening.

Two kinds of error: ``within`` is that of a repetition with the same seed and structures (rounding, quadrature), ``between`` that of one
with other random directions, momenta or displacements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ncbench.check.suite import SMALL
from ncbench.diagnostics.predict import SUMMARY_TAU_FS

Rows = Sequence[Mapping[str, Any]]


BUSY = 0.10
"""Relative change of a ratio of two times with the load of the machine: other programs on the same processor
slow down a model and a matrix product differently."""


@dataclass(frozen=True)
class Measured:
    """A metric's value."""

    value: float
    within: float = 0.0
    """Standard error for equal seed and structures."""
    between: float = 0.0
    """Standard error for different ones; infinite if not known."""
    dof: float = math.inf
    """Degrees of freedom of the errors."""
    floor: float = 0.0
    """A value below counts as zero: rounding alone gives as much."""
    replicates: Mapping[str, float] = field(default_factory=dict)
    """Single values by name, where the value is their mean: with the same seed they are compared one by one."""
    successes: int | None = None
    trials: int | None = None
    known: bool = True
    """The errors are estimates. If false they are lower bounds, and the value decides nothing."""
    shared: float = 0.0
    """Part of the standard error that all replicates have in common, so that their scatter does not show it."""

    @property
    def error(self) -> float:
        """The larger of the errors that are known."""
        return max(self.within, self.between) if math.isfinite(self.between) else self.within

    @property
    def effective(self) -> float:
        """The value, or the floor where that is larger."""
        return max(self.value, self.floor)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A quantity that a check compares."""

    name: str
    unit: str
    source: str
    """Diagnostic whose rows it comes from."""
    meaning: str
    relative: float
    """Worsening that is tolerated, as a share of the baseline's value."""
    absolute: float
    """The same in the metric's unit; the larger of the two counts."""
    read: Callable[[Rows], Measured | None]
    """From rows with status ok; ``None`` where the model does not have it."""
    higher_is_better: bool = False
    absent: str = ""
    """Why a measured structure has no value."""


def measure(rows: Mapping[str, Rows]) -> dict[str, Measured]:
    """Every metric that can be computed from the rows, by name. A structure that exploded makes its drift infinite."""
    measured: dict[str, Measured] = {}
    for metric in METRICS:
        metric_rows = rows.get(metric.source, ())
        good = [row for row in metric_rows if row["status"] == "ok"]
        if metric.source == "nve-drift" and any(row["status"] == "exploded" for row in metric_rows):
            measured[metric.name] = Measured(math.inf)
            continue
        value = metric.read(good) if good else None
        if value is not None and not math.isnan(value.value):
            measured[metric.name] = value
    return measured


def _lambda(rows: Rows) -> Measured | None:
    known = [row for row in rows if row["lambda"] is not None]
    if not known:
        return None
    n = len(known)
    error = math.sqrt(sum((row["lambda_se"] or 0.0) ** 2 for row in known)) / n
    dof = sum(max(1, (row["probes"] or 2) - 1) for row in known)
    return Measured(
        value=_mean([row["lambda"] for row in known]),
        within=error,
        between=error,
        dof=float(dof),
        floor=_mean([row["lambda_floor"] or 0.0 for row in known]),
    )


def _work(rows: Rows) -> Measured | None:
    """|∮ f·dr| over ∮ |f·dr|, mean over loops: the share of work that is not recovered."""
    known = [row for row in rows if row["work_meV"] is not None and row["gross_work_meV"]]
    if not known:
        return None
    values = {f"{row['structure']} {row['path']}": abs(row["work_meV"]) / row["gross_work_meV"] for row in known}
    errors = [(row["work_error_meV"] or 0.0) / row["gross_work_meV"] for row in known]
    within = math.sqrt(sum(error**2 for error in errors)) / len(errors)
    return Measured(
        value=_mean(list(values.values())),
        within=within,
        between=math.hypot(within, _standard_error(list(values.values()))),
        dof=max(1.0, len(values) - 1.0),
        # A zero work reads as half its error on average; three errors are what is called nonzero.
        floor=3.0 * _mean(errors),
    )


def _drift(rows: Rows) -> Measured | None:
    """|mean over replicas| of the total energy's slope.

    Replicas start from one structure with fresh momenta and share the transient that follows, which their scatter does not contain. The error is at
    least the mean of the rows' own, as if these were fully correlated, and is known only where that of every row is.
    """
    name = "energy_drift_meV_per_atom_per_ps"
    values = {str(row["structure"]): float(row[name]) for row in rows if row[name] is not None}
    if len(values) < 2:
        return None
    used = [row for row in rows if row[name] is not None]
    own = [float(row[f"{name}_se"]) for row in used if row.get(f"{name}_se") is not None]
    scatter = _standard_error(list(values.values()))
    shared = _mean(own) if own else 0.0
    error, dof = scatter, len(values) - 1.0
    if shared > scatter:
        error = shared
        # Degrees of freedom that are not finite are stored as none.
        dof = min((float(row["energy_drift_dof"]) for row in used if row.get("energy_drift_dof")), default=math.inf)
    mean = _mean(list(values.values()))
    sign = math.copysign(1.0, mean)
    return Measured(
        value=abs(mean),
        within=error,
        between=error,
        dof=dof,
        known=len(own) == len(used) and all(bool(row.get("plateau")) for row in used),
        shared=shared,
        replicates={key: sign * value for key, value in values.items()},
    )


def _column(
    name: str, *, error: str = "", floor: str = "", per: str = "", of_force: bool = False
) -> Callable[[Rows], Measured | None]:
    """Mean of a column over structures.

    Where it is a ratio, ``per`` is the column in whose unit (the numerator's) its error and floor are; with ``of_force`` the denominator
    is the rms force, so that a ratio of zero keeps its floor.
    """

    def read(rows: Rows) -> Measured | None:
        known = [row for row in rows if row[name] is not None]
        if not known:
            return None
        scales = [
            1e-3 / row["force_rms_eV_per_A"] if of_force and row["force_rms_eV_per_A"] else _scale(row, name, per)
            for row in known
        ]
        errors = [scale * float(row[error] or 0.0) if error else 0.0 for row, scale in zip(known, scales, strict=True)]
        floors = [scale * float(row[floor] or 0.0) if floor else 0.0 for row, scale in zip(known, scales, strict=True)]
        values = [float(row[name]) for row in known]
        # Another seed may bring another structure, and one structure does not tell how much that matters.
        scatter = _standard_error(values) if len(values) > 1 else math.inf
        return Measured(
            value=_mean(values),
            between=math.hypot(math.sqrt(sum(e**2 for e in errors)) / len(known), scatter),
            dof=max(1.0, len(values) - 1.0),
            floor=_mean(floors),
        )

    return read


def _scale(row: Mapping[str, Any], name: str, per: str) -> float:
    if not per:
        return 1.0
    return float(row[name]) / float(row[per]) if row[per] else 0.0


def _predicted_power(rows: Rows) -> Measured | None:
    """To second order, which is finite for a runaway too. A Jacobian computed without random numbers has only rounding errors."""
    name, floor = "golden_rule_meV_per_atom_per_ps", "power_floor_meV_per_atom_per_ps"
    known = [row for row in rows if row["tau_fs"] == SUMMARY_TAU_FS and row["species"] == "all"]
    if not known:
        return None
    values = [float(row[name]) for row in known]
    # P is a quadratic form in the antisymmetric part: an error e of that part changes it by 2√(P P_e) + P_e at most (Cauchy–Schwarz).
    errors = [2.0 * math.sqrt(value * row[floor]) + row[floor] for value, row in zip(values, known, strict=True)]
    within = math.sqrt(sum(error**2 for error in errors)) / len(known)
    if all(str(row["structure"]).partition("#")[0] == SMALL.name for row in known):
        # No seed changes this structure.
        between = within
    else:
        between = math.hypot(within, _standard_error(values)) if len(values) > 1 else math.inf
    return Measured(
        value=_mean(values),
        within=within,
        between=between,
        dof=max(1.0, len(values) - 1.0) if between > within else math.inf,
        floor=3.0 * _mean([float(row[floor]) for row in known]),
    )


def _success(rows: Rows) -> Measured | None:
    trials = sum(int(row["n"]) for row in rows)
    if not trials:
        return None
    successes = sum(int(row["n_success"]) for row in rows)
    return Measured(value=100.0 * successes / trials, successes=successes, trials=trials)


def _speed(rows: Rows) -> Measured | None:
    known = [row for row in rows if row["ratio_reference"] is not None]
    if not known:
        return None
    value = _mean([float(row["ratio_reference"]) for row in known])
    scatter = _mean([float(row["ratio_reference_se"] or 0.0) for row in known])
    error = math.hypot(scatter, BUSY * value)
    return Measured(value=value, within=error, between=error, dof=8.0)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _standard_error(values: Sequence[float]) -> float:
    n = len(values)
    if n < 2:
        return 0.0
    middle = _mean(values)
    return math.sqrt(sum((value - middle) ** 2 for value in values) / (n - 1) / n)


METRICS: tuple[Metric, ...] = (
    Metric(
        name="lambda",
        unit="",
        source="lambda",
        meaning="antisymmetric share of the force Jacobian",
        relative=0.10,
        absolute=2e-4,
        read=_lambda,
    ),
    Metric(
        name="work_share",
        unit="",
        source="workloop",
        meaning="work round closed paths over the gross work",
        relative=0.20,
        absolute=2e-4,
        read=_work,
    ),
    Metric(
        name="drift",
        unit="meV/atom/ps",
        source="nve-drift",
        meaning="drift of the total energy at constant energy",
        relative=0.20,
        absolute=1.0,
        read=_drift,
    ),
    Metric(
        name="predicted_power",
        unit="meV/atom/ps",
        source="predict",
        meaning="heating that the force Jacobian predicts, to second order",
        relative=0.05,
        absolute=0.05,
        read=_predicted_power,
    ),
    Metric(
        name="net_force",
        unit="meV/Å",
        source="consistency",
        meaning="norm of the sum of forces, an atom",
        relative=0.50,
        absolute=0.005,
        read=_column("net_force_meV_per_A"),
    ),
    Metric(
        name="net_torque",
        unit="meV",
        source="consistency",
        meaning="norm of the sum of torques, an atom; isolated structures only",
        relative=0.50,
        absolute=0.02,
        read=_column("net_torque_meV"),
        absent="exists for isolated structures only",
    ),
    Metric(
        name="energy_force_gap",
        unit="",
        source="consistency",
        meaning="rms of forces + energy gradient over rms force",
        relative=0.25,
        absolute=5e-4,
        read=_column(
            "ratio_energy_force_gap",
            error="energy_force_gap_meV_per_A_se",
            floor="energy_force_gap_floor_meV_per_A",
            per="energy_force_gap_meV_per_A",
            of_force=True,
        ),
    ),
    Metric(
        name="rotation_error",
        unit="",
        source="consistency",
        meaning="change of the forces under rotations over rms force",
        relative=1.00,
        absolute=1e-4,
        read=_column(
            "ratio_rotation_error",
            floor="rotation_error_floor_meV_per_A",
            per="rotation_error_meV_per_A",
            of_force=True,
        ),
    ),
    Metric(
        name="energy_jump",
        unit="meV",
        source="consistency",
        meaning="largest jump of the energy that the forces do not explain",
        relative=3.00,
        absolute=0.5,
        read=_column("energy_jump_meV", floor="energy_jump_floor_meV"),
    ),
    Metric(
        name="stress_gap",
        unit="",
        source="consistency",
        meaning="rms of stress less strain derivative of the energy over its rms",
        relative=1.00,
        absolute=0.02,
        read=_column("ratio_stress_gap", floor="stress_gap_floor_MPa", per="stress_gap_MPa"),
        absent="exists for periodic structures of models with a stress only",
    ),
    Metric(
        name="relax_success",
        unit="%",
        source="relax",
        meaning="relaxations that converge",
        relative=0.0,
        absolute=0.0,
        read=_success,
        higher_is_better=True,
    ),
    Metric(
        name="speed",
        unit="",
        source="timing",
        meaning="time of a step over that of a fixed workload",
        relative=0.30,
        absolute=0.0,
        read=_speed,
    ),
)

BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}

BLIND_SAME_SEED: frozenset[str] = frozenset({"work_share", "drift", "relax_success"})
"""Metrics whose tenfold worsening the quick suite finds with less than 90 % probability, where seed and structures are the baseline's.
Simulated by ``benchmarks/check_power.py`` from repeats of pet-m."""

BLIND_OTHER_SEED: frozenset[str] = BLIND_SAME_SEED | {
    metric.name for metric in METRICS if metric.source == "consistency"
}
"""The same with another seed: on one structure, metrics of ``consistency`` have no error to be judged by."""
