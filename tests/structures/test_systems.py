"""The table of systems."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ncbench.errors import UsageError
from ncbench.structures import systems
from ncbench.structures.load import load_cases
from ncbench.structures.systems import SystemRow
from ncbench.types import SystemRequest


def test_the_table_is_read_without_torch_ase_or_pooch() -> None:
    code = (
        "import sys; from ncbench.structures.systems import systems; assert len(systems()) >= 9; "
        "sys.exit(' '.join(n for n in ('torch', 'ase', 'numpy', 'pooch', 'scipy') if n in sys.modules) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("row", systems.systems().values(), ids=lambda row: row.name)
def test_every_row_has_a_description(row: SystemRow) -> None:
    for text in (row.summary, row.n_atoms, row.made, row.licence, row.count):
        assert text
    assert (row.temperature_K is None) == (row.timestep_fs is None)
    assert row.structures is None or row.structures > 0


OWN = [
    "water64",
    "water8",
    "amorphous-carbon",
    "water-molecule",
    "al-fcc",
    "diamond",
    "graphene",
    "argon",
    "harmonic-crystal",
]


@pytest.mark.parametrize("name", OWN)
def test_loaded_structures_match_the_row(name: str) -> None:
    row = systems.get(name)
    cases = load_cases(SystemRequest(name=name), 1000 if row.structures else 2, 0)
    assert len(cases) == (row.structures or 2)
    assert {str(len(case.atoms)) for case in cases} == {row.n_atoms}
    assert {bool(case.atoms.pbc.all()) for case in cases} == {row.periodic}


def test_misspelt_names_get_a_suggestion() -> None:
    with pytest.raises(UsageError, match="Did you mean 'graphene'"):
        systems.get("grafene")
    with pytest.raises(UsageError, match="There are water64"):
        systems.get("zzz")


def test_the_water_of_the_table_has_its_density() -> None:
    for case in load_cases(SystemRequest(name="water64"), 100, 0):
        density = case.atoms.get_masses().sum() / case.atoms.get_volume() * 1.66053906660
        # Written with at least five decimals of a cell of 12 Å.
        assert density == pytest.approx(0.997, abs=1e-4)
