"""Paths of relaxations: file, descriptors, rows."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from known_fields import Well

from ncbench.diagnostics import relax as diagnostic
from ncbench.diagnostics.base import Context
from ncbench.diagnostics.relax import RelaxSettings
from ncbench.relaxation import path as relax_path
from ncbench.relaxation.path import averaged_soap
from ncbench.structures.perturb import random_rotation
from ncbench.structures.water import water_molecule
from ncbench.types import Case


def well() -> Case:
    molecule = water_molecule()
    molecule.set_array("sites", molecule.get_positions())
    return Case("well#0", molecule)


def history(context: Context, **settings: object) -> list[dict[str, object]]:
    return diagnostic.run(
        Well(kappa=0.3), [well()], RelaxSettings(n=3, history=True, **settings), seed=2, context=context
    ).side["path"]


def test_paths_are_written_as_rows_and_files(context: Context, tmp_path: Path) -> None:
    context.files = tmp_path / "key"
    outcome = diagnostic.run(
        Well(kappa=0.3), [well()], RelaxSettings(n=3, history=True, traces=2), seed=2, context=context
    )
    assert {row["start"] for row in outcome.side["path"]} == {0, 1}
    # Forces of all, configurations of the first.
    assert {row["start"] for row in outcome.side["trace"]} == {0, 1, 2}
    rows = [row for row in outcome.side["path"] if (row["optimizer"], row["start"]) == ("fire", 1)]
    (run,) = [row for row in outcome.side["runs"] if (row["optimizer"], row["start"]) == ("fire", 1)]
    assert (rows[0]["step"], rows[0]["distance_A"]) == (0, 0.0)
    assert rows[-1]["step"] == run["steps"]
    assert rows[0]["file"] == "jobs/key/well-fire-1.xyz"
    frames = read(tmp_path / str(rows[0]["file"]).removeprefix("jobs/"), ":")
    assert isinstance(frames, list)
    assert [frame.info["step"] for frame in frames] == [row["step"] for row in rows]
    moved = np.sqrt(((frames[-1].positions - frames[0].positions) ** 2).sum(axis=1).mean())
    # Extended XYZ keeps eight decimals.
    assert rows[-1]["distance_A"] == pytest.approx(moved, abs=1e-7)
    # The end is the well's minimum, within 1e-5 eV/Å / 5 eV/Å².
    assert frames[-1].positions == pytest.approx(water_molecule().positions, abs=3e-6)


def test_a_resumed_run_has_the_same_paths(context: Context, tmp_path: Path) -> None:
    context.files = tmp_path / "key"
    whole = history(context)
    shutil.rmtree(tmp_path / "key")
    kept = context.checkpoint.load()
    assert kept is not None
    for name in [name for name in kept if name.startswith("well|fire|1")]:
        kept.pop(name)
    context.checkpoint.save(kept)
    assert history(context) == whole
    # Finished relaxations are not repeated, nor their files written again.
    assert [path.name for path in (tmp_path / "key").iterdir()] == ["well-fire-1.xyz"]


def test_paths_are_not_kept_unless_requested(context: Context, tmp_path: Path) -> None:
    context.files = tmp_path / "key"
    outcome = diagnostic.run(Well(), [well()], RelaxSettings(n=2), seed=2, context=context)
    assert outcome.side["path"] == []
    assert not (tmp_path / "key").exists()


def test_descriptors_need_the_optional_library(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relax_path, "SOAP_PACKAGE", "no_such_package_here")
    rows = history(context)
    assert {row["soap"] for row in rows} == {None}
    assert {row["file"] for row in rows} == {None}


def test_descriptors_are_permutation_invariant_and_distinguish_configurations(context: Context) -> None:
    pytest.importorskip("featomic")
    molecule, rng = water_molecule(), np.random.default_rng(0)
    turned: Atoms = molecule.copy()
    turned.positions = molecule.positions @ random_rotation(rng).T + 3.0
    swapped = molecule[[0, 2, 1]]
    stretched: Atoms = molecule.copy()
    stretched.positions[1] *= 1.1
    result = averaged_soap([molecule, turned, swapped, stretched])
    assert result is not None
    size = np.linalg.norm(result[0])
    # The basis is splined to 1e-8 of its values.
    assert np.linalg.norm(result[1:3] - result[0], axis=1).max() < 1e-6 * size
    assert np.linalg.norm(result[3] - result[0]) > 1e-2 * size
    # Averaged over the atoms of each configuration, independent of the others.
    alone = averaged_soap([stretched])
    assert alone is not None
    assert result[3] == pytest.approx(alone[0], rel=1e-12, abs=1e-12 * size)
    rows = history(context)
    numbers = np.array([[float(number) for number in str(row["soap"]).split()] for row in rows])
    assert numbers.shape == (len(rows), result.shape[1])
