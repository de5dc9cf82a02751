"""Rows of ``phonon-smoothness`` on fields with closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase import Atoms
from known_fields import Well, cluster

from ncbench.diagnostics.base import Context
from ncbench.diagnostics.phonon_smoothness import PhononSmoothnessSettings, cost, remarks, run
from ncbench.errors import UnsupportedError, UsageError
from ncbench.types import Case, Status
from ncbench.units import WAVENUMBER

SPRING = 5.0


def test_a_crystal_is_measured_at_its_sites(context: Context) -> None:
    displaced = cluster(spread=0.1)
    outcome = run(Well(SPRING), [Case("a", displaced)], PhononSmoothnessSettings(), seed=0, context=context)
    (row,) = outcome.rows
    assert row["status"] == Status.OK
    assert row["force_rms_eV_per_A"] == 0.0
    assert row["verdict"] == "converges"
    masses = displaced.get_masses()
    for column, mass in (("frequency_lowest_per_cm", masses.max()), ("frequency_highest_per_cm", masses.min())):
        assert row[column] == pytest.approx(math.sqrt(SPRING / mass) / WAVENUMBER, rel=1e-9)
    assert row["frequency_highest_shift_per_cm"] < 1e-6
    assert row["n_imaginary"] == row["n_imaginary_shortest"] == 0
    lengths, modes = outcome.side["lengths"], outcome.side["modes"]
    assert [one["displacement_A"] for one in lengths] == list(PhononSmoothnessSettings().displacements_A)
    assert lengths[-1]["ratio_change"] is None
    # All 3N modes at every displacement: the springs hold the translations too.
    assert len(modes) == len(lengths) * 3 * len(displaced)
    assert remarks(outcome.rows, lambda name: outcome.side[name]) == []


def test_unstable_modes_are_negative_and_counted(context: Context) -> None:
    outcome = run(Well(-SPRING), [Case("a", cluster())], PhononSmoothnessSettings(), seed=0, context=context)
    (row,) = outcome.rows
    assert row["n_imaginary"] == 3 * 6
    assert row["frequency_lowest_per_cm"] == pytest.approx(-math.sqrt(SPRING / 1.008) / WAVENUMBER, rel=1e-3)


def test_a_single_atom_is_a_row_with_a_reason(context: Context) -> None:
    cases = [Case("one", Atoms("Ar")), Case("six", cluster())]
    outcome = run(Well(SPRING), cases, PhononSmoothnessSettings(), seed=0, context=context)
    assert [row["status"] for row in outcome.rows] == [Status.UNSUPPORTED, Status.OK]
    assert "single atom" in outcome.rows[0]["reason"]
    # The checkpoint holds both rows: nothing is measured again.
    counted = _Counting(SPRING)
    again = run(counted, cases, PhononSmoothnessSettings(), seed=0, context=context)
    assert counted.structures == 0
    assert again.rows == outcome.rows
    assert again.side == outcome.side


def test_an_error_of_the_only_structure_is_one_of_the_job(context: Context) -> None:
    with pytest.raises(UnsupportedError, match="single atom"):
        run(Well(SPRING), [Case("one", Atoms("Ar"))], PhononSmoothnessSettings(), seed=0, context=context)


def test_forces_that_are_not_finite_fail(context: Context) -> None:
    (row,) = run(Well(float("nan")), [Case("a", cluster())], PhononSmoothnessSettings(), seed=0, context=context).rows
    assert row["status"] == Status.FAILED
    assert "not finite" in row["reason"]


def test_force_calls_are_those_that_were_made(context: Context) -> None:
    counted = _Counting(SPRING)
    settings = PhononSmoothnessSettings(displacements_A=(0.01, 0.03, 0.1))
    (row,) = run(counted, [Case("a", cluster())], settings, seed=0, context=context).rows
    assert row["force_calls"] == counted.structures
    assert cost(settings, 6) == pytest.approx(row["force_calls"], rel=0.05)


class _Counting(Well):
    structures = 0

    def _bind(self, structures):
        field, owner = super()._bind(structures), self

        class Counted(type(field)):  # type: ignore[misc]
            def __call__(self, positions):
                owner.structures += len(positions)
                return super().__call__(positions)

        field.__class__ = Counted
        return field


@pytest.mark.parametrize(
    "lengths", [(0.01,), (0.01, 0.01), (0.0, 0.1), (0.1, np.nan), (0.1, 2.0), (0.1, 0.1000001), (0.01, 0.1, 0.014)]
)
def test_displacements_that_give_no_comparison_are_refused(lengths: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="displacements"):
        PhononSmoothnessSettings(displacements_A=lengths)
