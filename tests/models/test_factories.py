"""User calculators given to ``--model``: where they are found, their names, and their force mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ncbench.errors import UsageError
from ncbench.models import registry
from ncbench.models.loading import load_forcefield
from ncbench.models.registry import parse_request, parse_spec, with_mode
from ncbench.run.local import run_jobs
from ncbench.run.plan import plan_jobs
from ncbench.run.reporter import SilentReporter
from ncbench.store.keys import model_identity
from ncbench.store.store import Store
from ncbench.types import Budget, ForceMode, ModelRequest, SystemRequest

ROOT = Path(__file__).resolve().parents[2]
CALCULATOR = """
from strength import KAPPA
from ncbench.models.families.analytic_ase import EinsteinCalculator


def make():
    calculator = EinsteinCalculator(k=5.0, kappa=KAPPA)
    del calculator.ncbench_force_mode
    return calculator


conservative = make
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with mycalc.py, which imports a module next to it; modules of other tests are hidden."""
    (tmp_path / "mycalc.py").write_text(CALCULATOR, encoding="utf-8")
    (tmp_path / "strength.py").write_text("KAPPA = 1.0\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    path, modules = sys.path[:], set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if "mycalc" in name or name == "strength":
            del sys.modules[name]


@pytest.mark.parametrize(
    ("spec", "name", "mode"),
    [
        ("mycalc:make", "mycalc:make", None),
        ("mycalc:conservative", "mycalc:conservative", None),
        ("mycalc:make:direct", "mycalc:make", ForceMode.DIRECT),
        ("mycalc:conservative:Direct", "mycalc:conservative", ForceMode.DIRECT),
        ("./mycalc.py:make", "mycalc.py:make", None),
        ("./mycalc.py:conservative", "mycalc.py:conservative", None),
        ("mycalc.py:make:conservative", "mycalc.py:make", ForceMode.CONSERVATIVE),
    ],
)
def test_modules_of_the_working_folder_and_files_are_found(folder, spec, name, mode):
    parsed = parse_spec(spec)
    assert (parsed.kind, parsed.label, parsed.mode) == ("factory", name, mode)
    card = load_forcefield(ModelRequest(spec=spec)).card
    assert (card.name, card.force_mode) == (name, mode or ForceMode.UNKNOWN)


def test_a_factory_may_have_the_name_of_a_force_mode(folder):
    (folder / "lab").mkdir()
    (folder / "lab" / "models.py").write_text("def conservative(): return 1\n", encoding="utf-8")
    assert parse_spec("lab.models:conservative").kind == "factory"
    with pytest.raises(UsageError, match=r"There is no model 'lab\.other', and no module of that name"):
        parse_spec("lab.other:conservative")


def test_model_names_have_priority_over_modules(folder):
    (folder / "mace.py").write_text("def conservative(): return 1\n", encoding="utf-8")
    assert parse_spec("mace:conservative").name == "mace-mp-0-large"


def test_two_files_of_one_name_are_two_models(folder):
    other = folder / "other"
    other.mkdir()
    (other / "mycalc.py").write_text(CALCULATOR.replace("KAPPA)", "0.0)"), encoding="utf-8")
    first, second = ModelRequest(spec="./mycalc.py:make"), ModelRequest(spec="other/mycalc.py:make")
    assert load_forcefield(first).calculator.kappa == 1.0
    assert load_forcefield(second).calculator.kappa == 0.0
    assert model_identity(first)["source"] != model_identity(second)["source"]


def test_identity_of_a_factory_changes_with_its_file(folder):
    for spec in ("mycalc:make", "./mycalc.py:make"):
        before = model_identity(ModelRequest(spec=spec))
        assert before["source"]
        (folder / "mycalc.py").write_text(f"{CALCULATOR}\n# {spec}\n", encoding="utf-8")
        assert model_identity(ModelRequest(spec=spec)) != before


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("graze-x", r"There is no model 'graze-x'\. `ncbench models list`"),
        ("graze:make", "There is no model 'graze', and no module of that name on Python's path or in the working"),
        ("mycalc:mke", "has no function 'mke'. Did you mean 'make'"),
        ("./mycalk.py:make", r"There is no model file './mycalk\.py'\. Did you mean 'mycalc\.py'"),
        ("./mycalc.py", r"names a Python file without a function\. Write \./mycalc\.py:function"),
        ("values:number", r"has no function 'number', but a int of that name\. Write a function that returns it"),
        ("values:kind", r"values:kind returned the class Calculator, not a calculator\. Return Calculator\(\)"),
        ("./weights.ptx", r"There is no model file './weights\.ptx'\. Check the path"),
        ("mycalc:make:dirct", "'dirct' in --model mycalc:make:dirct is not a force mode. Did you mean 'direct'"),
        ("./broken.py:make", "'./broken.py' of --model ./broken.py:make cannot be imported: .*line 1"),
        ("./missing.py:make", "cannot be imported: No module named 'no_such_package'"),
        ("sevenet-0", "Did you mean 'sevennet-0'"),
    ],
)
def test_missing_modules_and_factories_are_reported_in_one_sentence(folder, spec, sentence):
    (folder / "broken.py").write_text("def make(:\n", encoding="utf-8")
    (folder / "missing.py").write_text("import no_such_package\n", encoding="utf-8")
    # A near name of another kind of file is no suggestion.
    (folder / "weights.xyz").touch()
    (folder / "values.py").write_text(
        "from ase.calculators.calculator import Calculator\nnumber = 1\ndef kind(): return Calculator\n",
        encoding="utf-8",
    )
    with pytest.raises(UsageError, match=sentence) as caught:
        load_forcefield(ModelRequest(spec=spec))
    assert "'mace'" not in str(caught.value)


def test_a_named_factory_is_found_from_any_folder(folder, tmp_path_factory, monkeypatch, capsys):
    from ncbench.cli.main import app

    monkeypatch.setenv("NCBENCH_MODELS", str(folder / "models.toml"))
    registry.forget()
    app(["models", "add", "springs", "--factory", "mycalc:make", "--no-try"], standalone_mode=False)
    assert "springs is in" in capsys.readouterr().out
    registry.forget()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    request = ModelRequest(spec="springs")
    assert parse_request(request).factory == f"{folder / 'mycalc.py'}:make"
    card = load_forcefield(request).card
    assert (card.name, card.force_mode) == ("springs", ForceMode.UNKNOWN)
    assert load_forcefield(ModelRequest(spec="springs:direct")).card.force_mode is ForceMode.DIRECT
    before = model_identity(request)
    (folder / "mycalc.py").write_text(f"{CALCULATOR}\n# edited\n", encoding="utf-8")
    assert model_identity(request) != before
    registry.forget()


def test_the_force_mode_is_unknown_until_it_is_declared(folder):
    def mode(spec: str, **options: str) -> ForceMode:
        return load_forcefield(ModelRequest(spec=spec, options=tuple(options.items()))).card.force_mode

    assert mode("mycalc:make") is ForceMode.UNKNOWN
    assert mode("mycalc:make", mode="direct") is ForceMode.DIRECT
    assert mode("mycalc:make:conservative", mode="direct") is ForceMode.CONSERVATIVE
    # The declaration of the calculator's author is used, and the option overrides it.
    assert mode("ncbench.models.families.analytic_ase:solenoidal") is ForceMode.DIRECT
    assert mode("ncbench.models.families.analytic_ase:harmonic:direct") is ForceMode.DIRECT
    with pytest.raises(UsageError, match="'curly' is not a force mode"):
        mode("mycalc:make", mode="curly")


def test_an_unknown_mode_has_no_sibling(folder):
    forcefield = load_forcefield(ModelRequest(spec="mycalc:make"))
    assert forcefield.sibling(ForceMode.UNKNOWN) is forcefield
    assert forcefield.card.force_modes == (ForceMode.UNKNOWN,)
    for mode in (ForceMode.DIRECT, ForceMode.CONSERVATIVE):
        with pytest.raises(Exception, match="offers no"):
            forcefield.sibling(mode)


@pytest.mark.parametrize(
    ("spec", "mode", "expected"),
    [
        ("mycalc:make", "direct", "mycalc:make:direct"),
        ("mycalc:conservative", "direct", "mycalc:conservative:direct"),
        ("pet-m", "conservative", "pet-m:conservative"),
        ("pet-m:direct", "direct", "pet-m:direct"),
        ("sevennet-0", "conservative", "sevennet-0:conservative"),
        ("pet-m", None, "pet-m"),
    ],
)
def test_mode_option_declares_the_force_mode(folder, spec, mode, expected):
    assert with_mode(spec, mode) == expected


@pytest.mark.parametrize(
    ("spec", "mode", "sentence"),
    [
        ("pet-m:direct", "conservative", "name two force modes"),
        ("mycalc:make:direct", "conservative", "name two force modes"),
        ("sevennet-0", "direct", "has no direct forces"),
        ("mycalc:make", "dirct", "Did you mean 'direct'"),
    ],
)
def test_invalid_modes_are_refused(folder, spec, mode, sentence):
    with pytest.raises(UsageError, match=sentence):
        with_mode(spec, mode)


def test_no_table_calls_an_undeclared_calculator_conservative(folder):
    """λ of a solenoidal field with the installed program, in the folder of the calculator."""
    command = [
        sys.executable,
        "-P",
        "-c",
        "from ncbench.cli.main import main; main()",
        "lambda",
        "--model",
        "mycalc:make",
    ]
    command += ["--system", "harmonic-crystal", "--structures", "1", "--method", "finite-difference", "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    # λ = (2κ² / (3k² + 2κ²))^½ with k = 5 and κ = 1 eV/Å²; differences of a linear force round only.
    assert row["lambda"] == pytest.approx((2 / 77) ** 0.5, rel=1e-4)
    assert (row["model"], row["force_mode"]) == ("mycalc:make", "unknown")
    again = subprocess.run([*command, "--mode", "direct"], capture_output=True, text=True, check=False, env=environment)
    (row,) = json.loads(again.stdout)
    assert (row["model"], row["force_mode"]) == ("mycalc:make", "direct")
    table = (folder / "ncbench-results" / "lambda.csv").read_text(encoding="utf-8")
    assert "conservative" not in table


def test_a_job_parses_its_model_once(tmp_path, monkeypatch):
    calls: list[str] = []
    original = registry.parse_spec
    monkeypatch.setattr(registry, "parse_spec", lambda spec: calls.append(spec) or original(spec))
    jobs = plan_jobs(
        ["evaluate"],
        [ModelRequest(spec="analytic-lj")],
        SystemRequest(name="argon", structures=1),
        budget=Budget.SMOKE,
        seeds=(0, 1, 2),
    )
    run_jobs(jobs, Store(tmp_path), SilentReporter())
    # The adapter gets a request with the options of the name, and parses nothing.
    assert calls == ["analytic-lj"]
    request = jobs[0].model
    assert parse_request(request) is parse_request(request)
    assert request == ModelRequest(spec="analytic-lj")
