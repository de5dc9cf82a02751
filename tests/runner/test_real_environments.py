"""Each family in its real environment, on tiny checkpoints that go the way of a user's own: `make test-models`.

The environments are made where the user's own are, and kept: the first run downloads, later ones do not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import ncbench
from ncbench.forcefields.loading import sha256_of
from ncbench.results.store import Store
from ncbench.runner.environments import build, table

pytestmark = pytest.mark.isolated
CHECKPOINTS = Path(__file__).resolve().parents[1] / "tiny_checkpoints"

CONFORM = """
import sys
from ncbench.forcefields.conformance import run_conformance
from ncbench.forcefields.loading import load_forcefield
from ncbench.forcefields.request import ModelRequest
from ncbench.structures.water import water_molecule
small = water_molecule()
small.set_cell([9.0, 9.0, 9.0])
small.pbc = True
large = small.repeat((2, 1, 1))
large.rattle(0.05, seed=1)
spec, checkpoint = sys.argv[1:]
run_conformance(load_forcefield(ModelRequest(spec=spec, checkpoint=checkpoint or None)), [small, large])
"""


@dataclass(frozen=True)
class Tiny:
    environment: str
    script: str
    arguments: tuple[str, ...]
    suffix: str
    family: str
    mode: str


TINY = {
    "tiny-mace": Tiny("mace", "tiny_mace.py", (), ".model", "mace", "conservative"),
    # A state dict alone does not say of which architecture it is: it goes with a name.
    "orb-v2": Tiny("orb", "tiny_orb.py", ("orb-v2",), ".ckpt", "orb", "direct"),
    "tiny-esen-direct": Tiny("fairchem", "tiny_fairchem.py", ("direct",), ".pt", "fairchem", "direct"),
    "tiny-esen-conserving": Tiny("fairchem", "tiny_fairchem.py", ("conserving",), ".pt", "fairchem", "conservative"),
    "tiny-equiformer": Tiny("equiformer", "tiny_equiformer.py", (), ".pt", "equiformer", "direct"),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A folder that holds ncbench and nothing else."""
    folder = tmp_path_factory.mktemp("source")
    (folder / "ncbench").symlink_to(Path(ncbench.__file__).resolve().parent, target_is_directory=True)
    return folder


def there(environment: str, source: Path, *arguments: str, **variables: str) -> None:
    """Run the environment's Python with ncbench importable."""
    python = build.create(table.get(environment)).python
    done = subprocess.run(
        [str(python), "-W", "ignore", *arguments],
        env={**os.environ, "PYTHONPATH": str(source), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def own_models(tmp_path_factory, source) -> Path:
    """A table of the user's own models: one tiny checkpoint each, beside it."""
    folder = tmp_path_factory.mktemp("models")
    entries = []
    for name, tiny in TINY.items():
        file = folder / f"{name}{tiny.suffix}"
        there(tiny.environment, source, str(CHECKPOINTS / tiny.script), str(file), *tiny.arguments)
        if name == "orb-v2":
            continue
        fields = {"family": tiny.family, "checkpoint": str(file), "sha256": sha256_of(file)}
        lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items()]
        entries.append("\n".join([f"[models.{name}]", *lines, f'modes = ["{tiny.mode}"]']))
    (folder / "models.toml").write_text("\n\n".join(entries) + "\n")
    return folder / "models.toml"


def checkpoint_of(name: str, own_models: Path) -> str:
    return str(own_models.with_name("orb-v2.ckpt")) if name == "orb-v2" else ""


@pytest.mark.parametrize("name", TINY)
def test_conformance_in_its_own_environment(name, own_models, source):
    arguments = ["-c", CONFORM, name, checkpoint_of(name, own_models)]
    there(TINY[name].environment, source, *arguments, NCBENCH_MODELS=str(own_models))


def test_all_families_in_one_table(own_models, tmp_path):
    def measure(*arguments: str) -> None:
        command = [sys.executable, "-m", "ncbench", "lambda", "--system", "water-molecule", "--out", str(tmp_path)]
        done = subprocess.run(
            [*command, "--dtype", "float64", *arguments],
            env={**os.environ, "NCBENCH_MODELS": str(own_models)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout

    own = [name for name in TINY if name != "orb-v2"]
    measure(*(word for name in ["pet-m:direct", *own] for word in ("--model", name)))
    measure("--model", "orb-v2", "--checkpoint", checkpoint_of("orb-v2", own_models))
    rows = {row["model"]: row for row in Store(tmp_path).read("lambda").to_dict("records")}
    assert set(rows) == {"pet-m", *TINY}
    for name, tiny in TINY.items():
        row = rows[name]
        if tiny.mode == "direct":
            # Random weights: nothing makes the Jacobian of a force head symmetric.
            assert row["lambda"] > max(1e-3, 10 * row["lambda_floor"]), name
        else:
            assert row["lambda"] <= 10 * row["lambda_floor"], name
