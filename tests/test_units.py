"""The constants are ASE's, which every structure and calculator uses."""

from __future__ import annotations

import pytest
from ase import units as ase_units

from ncbench import units


@pytest.mark.parametrize(
    ("computed", "of_ase"),
    [(units.FS, ase_units.fs), (units.PS, 1000.0 * ase_units.fs), (units.KB, ase_units.kB), (units.GPA, ase_units.GPa)],
)
def test_constants_are_those_of_ase(computed: float, of_ase: float) -> None:
    # Two or three roundings of a double.
    assert computed == pytest.approx(of_ase, rel=1e-15, abs=0.0)
