"""Equal work has equal keys, and any difference in the work shows in the key."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st

from ncbench.errors import UsageError
from ncbench.store.keys import KEY_LENGTH, canonical, job_key
from ncbench.types import ModelRequest

ATOMS = Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 3.7]], cell=[9, 9, 9], pbc=True)


@dataclass(frozen=True)
class Settings:
    steps: int = 100
    timestep_fs: float = 0.5
    method: Literal["a", "b"] = "a"
    tau_fs: tuple[float, ...] = (10.0, 100.0)
    batch: int | None = None
    fine: bool = True


BASE: dict[str, Any] = {
    "diagnostic": "tiny",
    "version": 1,
    "model": ModelRequest(spec="analytic-lj"),
    "system": "pair",
    "structures": [("pair#0", ATOMS)],
    "settings": Settings(),
    "seed": 0,
}


def key(**changes: Any) -> str:
    return job_key(**{**BASE, **changes})


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False) | st.text(), max_size=6), st.randoms())
def test_order_of_a_mapping_does_not_change_the_key(mapping: dict[str, Any], random: Any) -> None:
    items = list(mapping.items())
    random.shuffle(items)
    assert key(settings=mapping) == key(settings=dict(items))


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 101},
        {"timestep_fs": np.nextafter(0.5, 1)},
        {"method": "b"},
        {"tau_fs": (10.0,)},
        {"tau_fs": (100.0, 10.0)},
        {"batch": 1},
        {"fine": False},
    ],
)
def test_every_setting_changes_the_key(change: dict[str, Any]) -> None:
    assert key(settings=replace(Settings(), **change)) != key()


def test_every_other_field_of_a_job_changes_the_key() -> None:
    model = BASE["model"]
    keys = [
        key(),
        key(diagnostic="other"),
        key(version=2),
        key(seed=1),
        key(system="other"),
        key(structures=[("pair#1", ATOMS)]),
        key(structures=[("pair#0", ATOMS)] * 2),
        key(model=replace(model, spec="analytic-harmonic")),
        key(model=replace(model, dtype="float32")),
        key(model=replace(model, device="cuda")),
        key(model=replace(model, options=(("sigma", "3.3"),))),
    ]
    assert len(set(keys)) == len(keys)
    assert all(len(k) == KEY_LENGTH and int(k, 16) >= 0 for k in keys)


@given(st.integers(0, 5), st.sampled_from([-1.0, 1.0]))
def test_the_last_bit_of_a_coordinate_changes_the_key(coordinate: int, way: float) -> None:
    moved = ATOMS.copy()
    flat = moved.positions.reshape(-1)
    flat[coordinate] = np.nextafter(flat[coordinate], flat[coordinate] + way)
    assert key(structures=[("pair#0", moved)]) != key()


def test_spelling_and_gpu_number_do_not_change_the_key() -> None:
    model = BASE["model"]
    assert key(model=replace(model, spec="analytic-lj:conservative")) == key()
    assert key(model=replace(model, trust_checkpoint=True)) == key()
    assert key(model=replace(model, device="cuda:1")) == key(model=replace(model, device="cuda"))


def test_a_file_is_identified_by_its_content_not_its_folder(tmp_path: Path) -> None:
    for folder, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.pt").write_bytes(content)
    a, b, c = (key(model=ModelRequest(spec=str(tmp_path / f / "model.pt"))) for f in "abc")
    assert a == b != c
    (tmp_path / "a" / "model.pt").write_bytes(b"rewritten")
    assert key(model=ModelRequest(spec=str(tmp_path / "a" / "model.pt"))) not in (a, c)
    with pytest.raises(UsageError, match=r"gone\.pt"):
        key(model=ModelRequest(spec=str(tmp_path / "gone.pt")))


def test_a_factory_is_identified_by_its_source_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "home_made"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "calc.py").write_text("one = 1")
    monkeypatch.syspath_prepend(tmp_path)
    request = ModelRequest(spec="home_made.calc:make")
    before = key(model=request)
    (package / "calc.py").write_text("two = 22")
    assert key(model=request) != before


def test_values_without_a_stable_representation_are_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        canonical({"x": object()})


def test_a_key_is_the_same_in_another_process_and_needs_no_torch() -> None:
    code = (
        "import sys; from ase import Atoms; from ncbench.types import ModelRequest\n"
        "from ncbench.store.keys import job_key\n"
        "a = Atoms('Ar2', positions=[[0, 0, 0], [0, 0, 3.7]], cell=[9, 9, 9], pbc=True)\n"
        "print(job_key(diagnostic='tiny', version=1, model=ModelRequest(spec='analytic-lj'), system='pair',\n"
        "  structures=[('pair#0', a)], settings={'b': 2, 'a': 1.0}, seed=0), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [key(settings={"a": 1.0, "b": 2}), "False"]
