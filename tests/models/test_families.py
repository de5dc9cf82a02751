"""A model family is one folder of ncbench, or one file of another package, and no other module of ncbench names it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ncbench.errors import UsageError
from ncbench.models import family, registry
from ncbench.models.environment import EnvironmentSpec
from ncbench.run.environments import table

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "ncbench" / "models" / "families"

SWIRL = '''
"""A family in one file: springs to the sites and a swirl, as a torch module of someone else's."""

from dataclasses import replace

from ncbench.models.environment import BASE, EnvironmentSpec
from ncbench.models.family import Family
from ncbench.models.package_names import PackageNames
from ncbench.models.row import ModelRow
from ncbench.types import ForceMode


def row(name):
    return ModelRow(
        name=name,
        family="swirl",
        modes=(ForceMode.DIRECT,),
        summary="springs and a swirl",
        package="swirl_package",
        environment="swirl",
        weights="in package",
        options={"kappa": "strength of the swirl, eV/A^2"},
    )


FAMILY = Family(
    name="swirl",
    adapter=__name__,
    summary="Swirling springs (swirl-package)",
    rows=(row("swirl-small"),),
    names=PackageNames(shape="swirl-.+", package="swirl_package", row=row),
    environment=EnvironmentSpec(
        name="swirl", summary="swirl-package", requirements=(*BASE, "swirl-package"), pins="swirl-package==1.0"
    ),
)


def load(request, parsed, row):
    from ncbench.models.families.analytic.adapter import analytic_field

    field = analytic_field(request, "analytic-solenoidal", parsed.mode or row.modes[0])
    field.card = replace(field.card, name=parsed.label, family="swirl")
    return field
'''


@pytest.fixture
def swirl(tmp_path: Path) -> Path:
    """Folder of a package that offers a family of one file through an entry point."""
    (tmp_path / "swirl_package.py").write_text(SWIRL, encoding="utf-8")
    info = tmp_path / "swirl_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: swirl-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ncbench.families]\nswirl = swirl_package:FAMILY\n")
    return tmp_path


def ncbench(package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(package), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "ncbench", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=package,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path},
    )


def test_a_family_of_one_file_is_listed_and_measured(swirl):
    rows = {row["model"]: row for row in json.loads(ncbench(swirl, "models", "list", "--json").stdout)}
    assert (rows["swirl-small"]["family"], rows["swirl-small"]["installed"]) == ("swirl", "yes")
    heading = "Swirling springs (swirl-package): runs here"
    assert heading in ncbench(swirl, "models", "list").stdout.splitlines()
    environments = {row["environment"]: row for row in json.loads(ncbench(swirl, "env", "list", "--json").stdout)}
    assert environments["swirl"]["state"] == "missing"
    # λ = (2κ² / (3k² + 2κ²))^½ with k = 5 and κ = 1 eV/Å²; the second name is known only to the package.
    for name in ("swirl-small", "swirl-large"):
        done = ncbench(
            swirl, "lambda", "-m", name, "-O", "kappa=1", "-s", "harmonic-crystal", "--structures", "1", "--json"
        )
        assert done.returncode == 0, done.stderr
        (row,) = json.loads(done.stdout)
        assert (row["model"], row["force_mode"]) == (name, "direct")
        assert row["lambda"] == pytest.approx((2 / 77) ** 0.5, rel=1e-6)


def test_the_list_of_models_fits_a_terminal():
    """Families that can run here first, one line per model, 80 columns where output is no terminal."""
    done = ncbench(ROOT, "models", "list")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    headings = [line for line in lines if ": runs " in line or ": not here; run: " in line]
    assert len(headings) == len([one for one in family.built_in().values() if one.rows])
    current = [": runs " in line for line in headings]
    assert current == sorted(current, reverse=True)
    assert sum(line.startswith("  ") for line in lines) == len(registry.models())


def test_all_option_adds_names_listed_by_packages(tmp_path):
    (tmp_path / "orb_models" / "forcefield").mkdir(parents=True)
    (tmp_path / "orb_models" / "__init__.py").touch()
    (tmp_path / "orb_models" / "forcefield" / "pretrained.py").write_text(
        'ORB_PRETRAINED_MODELS = {"orb-v2": a, "orb-v9-direct": b}\n', encoding="utf-8"
    )
    names = [row["model"] for row in json.loads(ncbench(tmp_path, "models", "list", "--json", "--all").stdout)]
    assert names.count("orb-v2") == names.count("orb-v9-direct") == 1
    assert "orb-v9-direct" not in ncbench(tmp_path, "models", "list", "--json").stdout


def test_a_family_whose_entry_point_is_broken_is_named(swirl):
    (swirl / "swirl_package.py").write_text("import no_such_package\n", encoding="utf-8")
    done = ncbench(swirl, "models", "list")
    assert "pet-m" in done.stdout
    assert "warning: The entry point 'swirl' of group ncbench.families" in done.stderr
    assert "no_such_package" in done.stderr


def test_a_new_folder_becomes_a_family(tmp_path, monkeypatch):
    (tmp_path / "swirl").mkdir()
    (tmp_path / "swirl" / "__init__.py").write_text(SWIRL, encoding="utf-8")
    from ncbench.models import families

    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
    _forget()
    try:
        assert registry.find("swirl-small").family == "swirl"
        assert "swirl" in table.environments()
    finally:
        monkeypatch.undo()
        sys.modules.pop("ncbench.models.families.swirl", None)
        _forget()
    with pytest.raises(UsageError, match="no model 'swirl-small'"):
        registry.find("swirl-small")


def _forget() -> None:
    family.built_in.cache_clear()
    registry.forget()
    table.environments.cache_clear()


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir() if (path / "__init__.py").is_file()))
def test_a_family_folder_is_complete(name):
    one = family.built_in()[name]
    assert one.summary
    assert {row.family for row in one.rows} <= {name}
    declared = {environment.name for environment in one.more_environments}
    assert {row.environment for row in one.rows} <= {"" if one.environment is None else one.environment.name, *declared}
    module = Path(*one.adapter.split("."))
    assert (ROOT / module).with_suffix(".py").is_file()
    if isinstance(one.environment, EnvironmentSpec):
        assert one.environment.pins == FOLDER / name / "constraints.txt"
        assert (FOLDER / name / "adapter.py").is_file()


def test_no_other_module_names_a_family():
    """An exact string that is a family's name, anywhere where models are found, planned, run or listed."""
    # User calculators are not listed models: the loader passes them to the family that creates them.
    names = set(family.built_in()) - {"ase"}
    sources = [*(ROOT / "ncbench" / "models").glob("*.py"), *(ROOT / "ncbench" / "store").glob("*.py")]
    sources += [path for room in ("run", "cli") for path in (ROOT / "ncbench" / room).rglob("*.py")]
    assert len(sources) > 50
    naming = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert naming == []


def test_families_are_read_without_torch():
    code = (
        "import sys; from ncbench.models import family; family.families(); "
        "sys.exit(' '.join({'torch', 'numpy', 'ase'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_name_belongs_to_one_family():
    names = [one.names for one in family.built_in().values() if one.names is not None]
    typed = [row.name for row in registry.models()] + [
        "esen-30m-omat",
        "uma-x",
        "equiformerv2-x",
        "7net-x",
        "pet-omat-l",
    ]
    assert [name for name in typed if sum(one.fits(name) for one in names) > 1] == []


def test_an_unknown_family_is_named():
    with pytest.raises(UsageError, match="Did you mean 'sevennet'"):
        family.get("sevenet")
