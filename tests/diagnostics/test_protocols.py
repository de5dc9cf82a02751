"""Protocols of other suites: each definition against a computation of its own on the series and structures of a run."""

from __future__ import annotations

import math

import ase.units
import numpy as np
import pytest
from ase import Atoms
from known_fields import Well, cluster

import ncbench
from ncbench.diagnostics import protocols, registry
from ncbench.diagnostics.base import Context
from ncbench.diagnostics.nve_drift import NveDriftSettings
from ncbench.errors import UnsupportedError, UsageError
from ncbench.run.plan import plan_jobs
from ncbench.structures.small_ten import ml_peg_ten
from ncbench.types import Budget, Case, ModelRequest

STEPS = 2000


def nve(name: str, context: Context, *, kappa: float = 0.05, **changes):
    """Row of the run, row of the protocol, remarks, and [time (fs), total, kinetic (eV)] of the stored series."""
    wanted = protocols.applied("nve-drift", {"protocol": name, "steps": STEPS, "fix_com": False, **changes})
    cases = [Case("wells", cluster("Ar4", spread=0.05))]
    outcome = registry.get("nve-drift").run(
        Well(5.0, kappa), cases, NveDriftSettings(**wanted), seed=0, context=context
    )
    series = np.array([[row[n] for n in ("time_fs", "total_eV", "kinetic_eV")] for row in outcome.side["series"]])
    (row,), (peer,) = outcome.rows, outcome.side["protocol"]
    named = [{**peer, "model": "well", "force_mode": "direct"}]
    lines = registry.get("nve-drift").remarks([], lambda table: named if table == "protocol" else [])
    return row, peer, lines, series


def slope(x, y):
    """Least squares by its normal equation in plain sums."""
    n, sx, sy = len(x), math.fsum(x), math.fsum(y)
    return (n * math.fsum(a * b for a, b in zip(x, y, strict=True)) - sx * sy) / (
        n * math.fsum(a * a for a in x) - sx**2
    )


def test_mlipaudits_drift_ratio_and_score(context):
    row, peer, lines, series = nve("mlipaudit-nve", context)
    taken = series[np.isclose(series[:, 0] % 50, 0)]
    assert len(taken) == STEPS // 50 + 1 == peer["n_snapshots"]
    times = taken[:, 0] / 1000
    by_hand = slope(times, taken[:, 1])
    mean = math.fsum(taken[:, 2]) / len(taken)
    spread = math.sqrt(math.fsum((k - mean) ** 2 for k in taken[:, 2]) / len(taken))
    # Sums in another order, of values of order one.
    assert peer["slope_eV_per_ps"] == pytest.approx(by_hand, rel=1e-9)
    assert peer["kinetic_sd_eV"] == pytest.approx(spread, rel=1e-9)
    ratio = abs(by_hand) * (times[-1] - times[0]) / spread
    assert peer["ratio_drift"] == pytest.approx(ratio, rel=1e-9)
    assert ratio > 1
    assert peer["fraction_score"] == pytest.approx(math.exp(-3 * (ratio - 1)), rel=1e-8)
    ours = row["energy_drift_meV_per_atom_per_ps"] * 4 / 1000 * (times[-1] - times[0]) / spread
    assert peer["ratio_from_drift"] == pytest.approx(ours, rel=1e-9)
    # The same energies, at 50 and at 10 steps: slopes of a smooth growth.
    assert peer["ratio_from_drift"] == pytest.approx(ratio, rel=0.05)
    assert peer["differs"] == "steps 2000 (50000)"
    assert "score" in lines[-1]
    assert "Not as published: steps 2000 (50000)." in lines[-1]


def test_lambenchs_slope_has_the_error_of_its_unit_of_time(context):
    row, peer, lines, series = nve("lambench-nve", context)
    taken = series[np.isclose(series[:, 0] % (STEPS // 100), 0)]
    assert len(taken) == 101 == peer["n_snapshots"]
    later = taken[20:]
    as_published = abs(1000 * slope(later[:, 0] * ase.units.fs, later[:, 1]) / 4)
    right = abs(slope(later[:, 0] / 1000, later[:, 1]) / 4)
    assert peer["reported_slope"] == pytest.approx(as_published, rel=1e-9)
    assert peer["corrected_slope"] == pytest.approx(right, rel=1e-9)
    assert peer["reported_slope"] / right == pytest.approx(1 / ase.units.fs, rel=1e-9)
    assert 1 / ase.units.fs == pytest.approx(10.18, abs=0.001)
    assert peer["ratio_instability"] == pytest.approx(math.log10(as_published / 5e-4), rel=1e-9)
    assert peer["ratio_instability"] - peer["ratio_instability_corrected"] == pytest.approx(
        math.log10(10.1805), abs=1e-5
    )
    expected = row["energy_drift_meV_per_atom_per_ps"] / 1000 * 10.1805
    assert peer["reported_from_drift"] == pytest.approx(expected, rel=1e-4)
    assert "10.18 times too large" in lines[-1]


def test_a_conservative_field_has_the_best_scores(context):
    _, peer, _, _ = nve("mlipaudit-nve", context, kappa=0.0)
    assert peer["fraction_score"] == 1.0
    assert protocols.lambench_instability(4e-4) == 0.0
    assert protocols.lambench_instability(5e3) == 5.0
    assert protocols.lambench_instability(None) == 5.0


def test_an_exploded_run_has_the_worst_scores(context):
    _, peer, lines, _ = nve("lambench-nve", context, kappa=4.0)
    assert peer["status"] == "exploded"
    assert peer["ratio_instability"] == 5.0
    assert "instability 5" in lines[-1]
    _, peer, lines, _ = nve("mlipaudit-nve", Context(context.progress, type(context.checkpoint)()), kappa=4.0)
    assert peer["fraction_score"] == 0.0
    assert "score 0" in lines[-1]


@pytest.mark.parametrize("name", ["mlipaudit-nve", "lambench-nve"])
def test_a_run_of_the_published_length_differs_in_nothing(name):
    protocol = protocols.PROTOCOLS[name]
    wanted = protocols.applied("nve-drift", {"protocol": name})
    assert protocols.differences(protocol, wanted) == list(protocol.never)
    assert wanted["sample_every"] == 10
    assert protocols.differences(protocol, wanted | {"temperature_K": 350.0}) == [
        "temperature_K 350.0 (300.0)",
        *protocol.never,
    ]


def test_requested_settings_override_constants_and_the_system_is_the_protocols():
    def planned(diagnostic, **changes):
        (job,) = plan_jobs(
            [diagnostic], [ModelRequest(spec="pet-m")], None, budget=Budget.LAPTOP, overrides={diagnostic: changes}
        )
        return job

    job = planned("nve-drift", protocol="lambench-nve", duration_fs=300.0)
    # The default system, water, has a time step of 0.5 fs, which the protocol's precedes.
    assert (job.settings.timestep_fs, job.settings.steps, job.settings.duration_fs) == (1.0, None, 300.0)
    assert job.settings.sample_every == 3
    assert planned("nve-drift", protocol="lambench-nve").settings.steps == 10_000
    job = planned("lambda", protocol="ml-peg-lambda")
    assert (job.settings.method, job.settings.step_A, job.system.name) == ("finite-difference", 1e-3, "ml-peg-ten")
    assert planned("lambda").system.name == "water64"


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"mts": 4}, "velocity Verlet"), ({"rescale": True}, "velocity Verlet"), ({"sample_every": 7}, "multiple")],
)
def test_settings_that_the_definition_does_not_cover_are_refused(changes, words):
    with pytest.raises(UsageError, match=words):
        NveDriftSettings(**protocols.applied("nve-drift", {"protocol": "mlipaudit-nve", **changes}))


def jacobian(forces, atoms: Atoms, step: float = 1e-3):
    columns = []
    for k in range(3 * len(atoms)):
        ends = []
        for sign in (1, -1):
            positions = atoms.positions.copy()
            positions.ravel()[k] += sign * step
            ends.append(forces(positions).ravel())
        columns.append((ends[0] - ends[1]) / (2 * step))
    return np.array(columns).T


def test_ml_pegs_mean_and_largest_lambda():
    atoms = ml_peg_ten()
    done = ncbench.measure("lambda", Well(5.0, 0.02), atoms, protocol="ml-peg-lambda")
    (peer,) = done.side["protocol"]

    def forces(positions):
        u = positions - one.positions
        return -5.0 * u + 0.02 * np.stack([-u[:, 1], u[:, 0], np.zeros(len(u))], axis=1)

    expected = []
    for one in atoms:
        matrix = jacobian(forces, one)
        expected.append(math.sqrt(((matrix - matrix.T) ** 2).sum() / 4) / math.sqrt((matrix**2).sum()))
    # Rounding of differences: 1e-16·5·1e-3/1e-3 against 0.02.
    assert peer["lambda_mean"] == pytest.approx(np.mean(expected), rel=1e-9)
    assert peer["lambda_max"] == pytest.approx(max(expected), rel=1e-9)
    closed = 0.02 * math.sqrt(2) / math.sqrt(3 * 25 + 2 * 0.02**2)
    assert peer["lambda_mean"] == pytest.approx(closed, rel=1e-8)
    # Thresholds 0 and 0.004; 0.0033 is between them.
    assert peer["fraction_score"] == pytest.approx((0.004 - closed) / 0.004, rel=1e-7)
    assert peer["differs"] == ""
    assert peer["n_structures"] == 10
    assert protocols.ml_peg_lambda(matrix) == pytest.approx(expected[-1], rel=1e-12)


def test_ml_pegs_score_needs_all_ten_structures():
    done = ncbench.measure("lambda", Well(5.0, 0.02), [*ml_peg_ten()[:2], cluster("Ar2")], protocol="ml-peg-lambda")
    (peer,) = done.side["protocol"]
    assert peer["fraction_score"] is None
    assert "without NH3, C2H4, C2H2, SO2, CH3OH, C6H6, C_diamond, graphene" in peer["differs"]
    assert "1 structure that is not ml-peg's" in peer["differs"]


def test_a_protocol_of_another_diagnostic_is_refused():
    with pytest.raises(UsageError, match="mlipaudit-nve is one of nve-drift, not of lambda"):
        ncbench.measure("lambda", Well(5.0), ml_peg_ten(), protocol="mlipaudit-nve")
    with pytest.raises(UsageError, match="setting 'protocol' cannot be 'zzz'"):
        ncbench.measure("lambda", Well(5.0), ml_peg_ten(), protocol="zzz")


class WithoutSulfur(Well):
    """A model that has no parameters of sulfur."""

    def check(self, structures):
        super().check(structures)
        if any(16 in atoms.numbers for atoms in structures):
            raise UnsupportedError("There are no parameters of S.")


def test_a_structure_that_the_model_refuses_is_named():
    done = ncbench.measure("lambda", WithoutSulfur(5.0, 0.02), ml_peg_ten(), protocol="ml-peg-lambda")
    (peer,) = done.side["protocol"]
    assert peer["n_structures"] == 9
    assert peer["fraction_score"] is None
    assert peer["differs"] == "without SO2"
