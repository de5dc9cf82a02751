"""Facts that were once defined in several places and disagreed: each is defined once now."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from ncbench.diagnostics import registry
from ncbench.report.aggregate import preferred, ranks_of
from ncbench.report.decide import LIMITS
from ncbench.report.judge import Answer, judge
from ncbench.report.read import Results
from ncbench.statistics.format import with_error

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ncbench"


def _drift(value: float, error: float) -> Results:
    frame = pd.DataFrame(
        [
            {
                "model": "m", "force_mode": "direct", "system": "water64", "structure": "water64#0", "n_atoms": 192, "seed": 0,
                "dtype": "float32", "device": "cpu", "status": "ok", "reason": "", "integrator": "verlet", "stride": 1, "timestep_fs": 0.5,
                "steps": 200_000, "duration_fs": 100_000.0, "drift_K_per_ps": value, "drift_K_per_ps_se": error,
                "energy_drift_meV_per_atom_per_ps": value, "energy_drift_meV_per_atom_per_ps_se": error, "plateau": True,
                "temperature_mean_K": 300.0,
            }
        ]
    )  # fmt: skip
    return Results(Path(), {"nve-drift": frame})


def test_one_judge() -> None:
    """A drift of 0.50(5) meV/atom/ps was "It conserves energy." in the summary, "no" in the report, undecided in a check's profile."""
    (nve,) = [one for one in judge(_drift(0.50, 0.05), "m", "direct", "water64") if "constant energy" in one.use]
    assert nve.answer is Answer.NO
    defined = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(
            r"^(HEATING_POWER|NVE_POWER|ENERGY_DRIFT|EXCESS_K|SUCCESS|RELAXATION) = ",
            path.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    ]
    assert defined == ["report/decide.py"]
    profile = (PACKAGE / "check" / "profiles" / "nve.toml").read_text(encoding="utf-8")
    assert any(name in profile for name in LIMITS)


def test_one_ranking_of_methods() -> None:
    """Coloured Jacobians, which are exact, ranked below random probes."""
    assert ranks_of("lambda")["method"].index("coloured") < ranks_of("lambda")["method"].index("stochastic")
    rows = pd.DataFrame({"method": ["stochastic", "coloured"], "lambda": [0.2, 0.1]})
    assert preferred(rows, ranks_of("lambda"))["method"].tolist() == ["coloured"]


def test_one_reader_of_tables() -> None:
    """A second Parquet reader looked at no seals: 21 of 700 flipped bits were read as altered numbers."""
    readers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"ParquetFile\(|read_parquet\(|pq\.read_table\(", path.read_text(encoding="utf-8"))
    }
    assert {path for path in readers if not path.startswith("store/")} == set()


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(97.2, 16.1, "97(16)"), (0.0213, 0.0004, "0.0213(4)"), (3.0, 1.2, "3.0(1.2)"), (141.0, 16.0, "141(16)")],
)
def test_one_formatter(value: float, error: float, text: str) -> None:
    """97.2 ± 16.1 was ``100(20)`` in a terminal and ``97(16)`` in a summary."""
    assert with_error(value, error) == text
    defined = [path for path in PACKAGE.rglob("*.py") if "def with_error(" in path.read_text(encoding="utf-8")]
    assert [path.relative_to(PACKAGE).as_posix() for path in defined] == ["statistics/format.py"]


def test_every_diagnostic_prints_its_numbers() -> None:
    """``evaluate`` printed no number, and stood in no list of results."""
    assert all(diagnostic.show for diagnostic in registry.diagnostics().values())


def test_shared_constants_are_defined_once() -> None:
    """Standard errors that make a finding, the interval of a rate, Boltzmann's constant."""

    def homes(pattern: str) -> list[str]:
        result = [
            path.relative_to(PACKAGE).as_posix()
            for path in PACKAGE.rglob("*.py")
            if re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
        ]
        return sorted(result)

    assert homes(r"^SIGMAS\b.*= ") == ["statistics/intervals.py"]
    assert homes(r"^def rate_interval") == ["statistics/intervals.py"]
    assert homes(r"8\.617|0\.0861|86\.17") == []


def test_a_job_writes_no_empty_tables(tmp_path: Path) -> None:
    """One λ job wrote seven Parquet files, six of them empty."""
    from ncbench.cli.main import main
    from ncbench.store.store import Store

    with pytest.raises(SystemExit) as end:
        main(["lambda", "-m", "analytic-lj", "-s", "argon", "--budget", "smoke", "-q", "--out", str(tmp_path)])
    assert end.value.code == 0
    written = sorted(path.name for path in tmp_path.rglob("*.parquet"))
    assert written == ["lambda.parquet", "result.parquet"]
    # An absent side table is read as an empty one.
    assert len(Store(tmp_path).read("lambda", "atoms")) == 0
