"""Floors of ratios."""

from __future__ import annotations

from typing import Any

from ncbench.check.judge import State, compare
from ncbench.check.metrics import measure


def row(gap_meV_per_A: float) -> dict[str, Any]:
    empty = dict.fromkeys(("net_torque_meV", "ratio_rotation_error", "energy_jump_meV", "ratio_stress_gap"))
    return {
        **empty,
        "status": "ok",
        "force_rms_eV_per_A": 0.8,
        "net_force_meV_per_A": 0.0,
        "energy_force_gap_meV_per_A": gap_meV_per_A,
        "energy_force_gap_meV_per_A_se": 3.0,
        "energy_force_gap_floor_meV_per_A": 3.0,
        "ratio_energy_force_gap": 1e-3 * gap_meV_per_A / 0.8,
    }


def test_a_gap_of_zero_keeps_its_noise_floor() -> None:
    # A gap minus its noise is zero in about half of the runs, and no regression in the others.
    zero, little, much = (measure({"consistency": [row(gap)]}) for gap in (0.0, 0.3, 30.0))
    assert zero["energy_force_gap"].floor == little["energy_force_gap"].floor > 0

    def states(new: Any) -> dict[str, State]:
        return {finding.metric.name: finding.state for finding in compare(new, zero, paired=True)}

    assert states(little)["energy_force_gap"] is State.SAME
    assert states(much)["energy_force_gap"] is State.WORSE


def test_regressions_are_values_above_the_floor_and_not_a_higher_floor() -> None:
    # The same model in single precision: its gap is not resolved.
    double, single, broken = (row(gap) for gap in (0.0, 0.2, 40.0))
    double |= {"energy_force_gap_floor_meV_per_A": 1e-4, "energy_force_gap_meV_per_A_se": 0.0}
    single |= {"energy_force_gap_meV_per_A_se": 0.0}
    old = measure({"consistency": [double]})

    def state(new: dict[str, Any]) -> State:
        findings = compare(measure({"consistency": [new]}), old, paired=True)
        return next(finding.state for finding in findings if finding.metric.name == "energy_force_gap")

    assert state(single) is State.UNDECIDED
    assert state(broken) is State.WORSE
