"""Checks of the code base: import directions, file sizes, broad exception handlers, and forbidden texts."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncbench.diagnostics import registry

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ncbench"
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = [*MODULES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "benchmarks").rglob("*.py"))]

LEAVES = (
    "ncbench.errors",
    "ncbench.units",
    "ncbench.cache_folder",
    "ncbench.types",
    "ncbench.schema",
    "ncbench.options",
    "ncbench.allocator",
    "ncbench.memory",
    "ncbench.__init__",
)

INTERFACE = ("ncbench.models.interface", "ncbench.models.checks")

BELOW_REPORT = (
    "ncbench.run",
    "ncbench.store",
    "ncbench.diagnostics",
    "ncbench.observables",
    "ncbench.statistics",
    "ncbench.structures",
    "ncbench.models",
)

ALLOWED: dict[str, tuple[str, ...]] = {
    # Error bars and number formats do not depend on the rest of the program.
    "statistics": ("ncbench.statistics",),
    # Models do not depend on the code that uses them.
    "models": ("ncbench.models",),
    # Structures are checked by the same functions as in models.
    "structures": ("ncbench.structures", "ncbench.models.checks"),
    # Engines drive a Field of the adapter's interface, never a named model.
    "md": ("ncbench.md", "ncbench.statistics", "ncbench.structures.content", "ncbench.models.interface"),
    "jacobian": ("ncbench.jacobian", "ncbench.statistics", "ncbench.models.interface"),
    "relaxation": ("ncbench.relaxation", "ncbench.statistics", "ncbench.md", "ncbench.structures.content", *INTERFACE),
    "consistency": ("ncbench.consistency", "ncbench.statistics", "ncbench.structures.content", *INTERFACE),
    # Heating is predicted from Jacobians and from conservative runs.
    "prediction": (
        "ncbench.prediction",
        "ncbench.jacobian",
        "ncbench.md",
        "ncbench.relaxation",
        "ncbench.statistics",
        *INTERFACE,
    ),
    # Observables are computed from files.
    "observables": ("ncbench.observables", "ncbench.statistics", "ncbench.structures"),
    # A diagnostic calls the engines and yields rows: no named model, no store, no command line.
    "diagnostics": (
        "ncbench.diagnostics",
        "ncbench.consistency",
        "ncbench.jacobian",
        "ncbench.md",
        "ncbench.observables",
        "ncbench.prediction",
        "ncbench.relaxation",
        "ncbench.statistics",
        "ncbench.structures",
        *INTERFACE,
    ),
    # A key hashes the request and the structures; tables are written by the schemas of the diagnostics.
    "store": (
        "ncbench.store",
        "ncbench.diagnostics",
        "ncbench.models.registry",
        "ncbench.models.factories",
        "ncbench.structures",
    ),
    # Models, structures, diagnostics and the store are brought together.
    "run": ("ncbench.run", "ncbench.store", "ncbench.diagnostics", "ncbench.models", "ncbench.structures"),
    # Tables, figures and verdicts are made from files by what the diagnostics declare.
    "report": ("ncbench.report", "ncbench.store", "ncbench.diagnostics", "ncbench.statistics", "ncbench.observables"),
    # Logs are measured like runs of ncbench, and judged by the same judge.
    "logs": ("ncbench.logs", "ncbench.md.timesteps", "ncbench.report.decide", "ncbench.statistics"),
    # Runs the jobs of the paper's tables, and compares their numbers.
    "paper": ("ncbench.paper", "ncbench.report", "ncbench.jacobian.settings", *BELOW_REPORT),
    # Diagnostics are run until the judge can decide.
    "assess": ("ncbench.assess", "ncbench.report", *BELOW_REPORT),
    # A check runs diagnostics and judges their numbers.
    "check": ("ncbench.check", "ncbench.report", *BELOW_REPORT),
    # Python functions with the same names as the commands: they measure and return numbers, and read results folders.
    "api": (
        "ncbench.api",
        "ncbench.assess",
        "ncbench.check",
        "ncbench.logs",
        "ncbench.report",
        "ncbench.jacobian",
        "ncbench.prediction",
        *BELOW_REPORT,
    ),
    # The command line parses, calls and prints.
    "cli": (
        "ncbench.cli",
        "ncbench.assess",
        "ncbench.check",
        "ncbench.logs",
        "ncbench.paper",
        "ncbench.report",
        *BELOW_REPORT,
    ),
}
"""Folder → what its modules may import of ncbench, besides :data:`LEAVES`: one direction, no circles."""

WITHOUT_TORCH = (
    "ncbench",
    "ncbench.errors",
    "ncbench.report.summary",
    "ncbench.paper.compare",
    "ncbench.store.keys",
    "ncbench.types",
    "ncbench.models.registry",
    "ncbench.schema",
    "ncbench.run.environments.build",
    "ncbench.run.environments.places",
    "ncbench.cli.main",
    "ncbench.observables.analysis",
    "ncbench.cli.analyse_logs",
    "ncbench.logs.verdict",
)
"""Modules that must load without torch: reports are made on any machine, and the command line must start quickly."""


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import of ncbench, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "ncbench")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_name(path)}:{node.lineno}: relative import"
            if (node.module or "").split(".")[0] == "ncbench":
                # `from ncbench.md import run` imports a module as well as a name may.
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    yield (
                        node.lineno,
                        full if (ROOT / Path(*full.split("."))).with_suffix(".py").exists() else str(node.module),
                    )


def _within(module: str, allowed: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in allowed)


def _trespasses(path: Path, allowed: tuple[str, ...]) -> list[str]:
    return [
        f"{_name(path)}:{line} imports {module}"
        for line, module in _imports(path)
        if module != "ncbench" and not _within(module, (*allowed, *LEAVES))
    ]


def test_every_folder_has_an_import_rule() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms == set(ALLOWED)


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_follow_the_allowed_directions(room: str) -> None:
    wrong = [line for path in sorted((PACKAGE / room).rglob("*.py")) for line in _trespasses(path, ALLOWED[room])]
    assert wrong == []


def test_the_import_rule_detects_a_violation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    bad = tmp_path / "bad.py"
    bad.write_text(
        "def f():\n    from ncbench.models.families.pet import load\n    import ncbench.units\n", encoding="utf-8"
    )
    assert _trespasses(bad, ALLOWED["diagnostics"]) == ["bad:2 imports ncbench.models.families.pet"]


def test_leaves_import_nothing_of_ncbench() -> None:
    assert [
        line
        for name in ("errors", "units", "options", "allocator", "cache_folder")
        for line in _imports(PACKAGE / f"{name}.py")
    ] == []
    # The package loads its exported names on first use: see test_modules_load_without_torch.
    assert {module for _, module in _imports(PACKAGE / "__init__.py")} == {"ncbench.api"}


def test_the_python_interface_opens_no_files() -> None:
    assert [path.name for path in (PACKAGE / "api").glob("*.py") if "open(" in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_modules_load_without_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit(' '.join({{'torch', 'sevenn', 'metatomic'}} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_files_are_short() -> None:
    long = {
        _name(path): lines for path in SOURCES if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert long == {}


def _broad(path: Path) -> list[str]:
    result = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(
                kind is None or (isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException"))
                for kind in caught
            ):
                last = node.body[-1]
                # Cleaning up and raising the exception again is allowed.
                if not (isinstance(last, ast.Raise) and last.exc is None):
                    result.append(f"{_name(path)}:{node.lineno}")
    return result


def test_no_broad_exception_handler() -> None:
    result = [line.rpartition(":")[0] for path in SOURCES for line in _broad(path)]
    # The only exception, in the command line: an internal error becomes exit code 3 and a log.
    assert result == ["ncbench.cli.main"]


HOME = re.compile(r"(?<![\w.])/(?:home|Users|root|work|mnt|opt)/\w")
INDEX = re.compile(r"--(?:extra-)?index-url|https?://[^\s\"')]*/simple\b")


def _texts() -> list[Path]:
    names = ("*.py", "*.md", "*.toml", "*.yaml", "*.txt", "*.cff", "*.sh", "Makefile", "run")
    kept = [
        path
        for name in names
        for top in ("ncbench", "tests", "benchmarks", "results", ".ci")
        for path in (ROOT / top).rglob(name)
    ]
    return [
        path
        for path in [*kept, *(path for name in names for path in ROOT.glob(name))]
        if path.is_file() and path != Path(__file__) and "work" not in path.relative_to(ROOT).parts
    ]


@pytest.mark.parametrize("pattern", [HOME, INDEX], ids=["path of one machine", "package index"])
def test_texts_contain_no_local_paths(pattern: re.Pattern[str]) -> None:
    texts = _texts()
    assert ROOT / "Makefile" in texts
    result = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in texts
        for match in pattern.finditer(path.read_text(encoding="utf-8"))
    ]
    assert result == []


UNITLESS = frozenset(
    {
        "lambda",
        "lambda_se",
        "lambda_floor",
        "lambda_on_site",
        "lambda_ij",
        "autograd_deviation",
        "autograd_deviation_se",
        "product_cost",
        "energy_fluctuation_share",
        "degrees_of_freedom",
    }
)
"""Floating-point columns that are pure numbers."""

SUFFIX = {
    "K": "K",
    "meV": "meV",
    "fs": "fs",
    "A": "Å",
    "eV": "eV",
    "percent": "%",
    "ms": "ms",
    "K_per_ps": "K/ps",
    "meV_per_atom_per_ps": "meV/atom/ps",
}
"""Ending of a column's name (an ``_se`` apart) → the unit it promises."""


@pytest.mark.parametrize("name", registry.diagnostics())
def test_every_numeric_column_has_a_unit(name: str) -> None:
    diagnostic = registry.get(name)
    schemas = [diagnostic.schema, *diagnostic.side_schemas.values()]
    assert diagnostic.schema.name == diagnostic.name == name
    for column in (column for schema in schemas for column in schema.all_columns):
        where = f"{name}: {column.name}"
        assert column.meaning, where
        if column.dtype == "float" and not column.unit:
            assert (
                column.name in UNITLESS
                or column.name.startswith(("n_", "fraction_", "ratio_", "lambda_"))
                or column.name.endswith("_dof")
            ), f"{where} has no unit"
        stem = column.name.removesuffix("_se")
        for suffix in sorted(SUFFIX, key=len, reverse=True):
            if stem.endswith("_" + suffix) and not stem.endswith("_per_" + suffix):
                assert column.unit == SUFFIX[suffix], f"{where} is in {column.unit!r}"
                break


ENTRY_POINTS = frozenset(
    {"pytest_addoption", "pytest_collection_modifyitems", "runtest", "reportinfo", "dask_setup", "lennard_jones"}
)
"""Called by pytest and Dask by these names, or named by users after ``--model``."""
LINES_FOR_TESTS = 80
"""Lines of functions and classes that nothing but tests calls by name: second formulations of an equation, kept as references."""


def test_little_code_is_used_only_by_tests() -> None:
    words: dict[str, int] = {}
    for path in [
        *MODULES,
        *(ROOT / "benchmarks").rglob("*.py"),
        *(ROOT / "docs").rglob("*.py"),
        ROOT / "pyproject.toml",
    ]:
        for word in re.findall(r"\w+", path.read_text(encoding="utf-8")):
            words[word] = words.get(word, 0) + 1
    unused: dict[str, int] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("__")
            if named and words[node.name] == 1 and node.name not in ENTRY_POINTS:
                decorators = " ".join(ast.unparse(one) for one in node.decorator_list)
                if "command" not in decorators and "callback" not in decorators:
                    unused[f"{_name(path)}.{node.name}"] = (node.end_lineno or node.lineno) - node.lineno + 1
    assert sum(unused.values()) <= LINES_FOR_TESTS, unused


def test_the_architecture_picture_is_up_to_date() -> None:
    """``docs/architecture.svg`` is drawn from the imports; its source lists them, so that an outdated picture is detected."""
    spec = importlib.util.spec_from_file_location("draw_architecture", ROOT / "docs" / "draw_architecture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    arrows = module.reduced(module.edges())
    listed = (ROOT / "docs" / "architecture.txt").read_text(encoding="utf-8").split("\n")
    assert listed == [f"{a} -> {b}" for a, b in sorted(arrows)], "python docs/draw_architecture.py"
