"""The suites, tables and figures of the public comparison and of the companion's runs."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from ncbench.cli.main import main
from ncbench.report.read import read
from ncbench.run.plan import load_suite

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = sorted((ROOT / "benchmarks" / "public").glob("*.toml"))
COMPANION = sorted((ROOT / "benchmarks" / "companion").glob("*.toml"))


def script(path: str) -> ModuleType:
    spec = spec_from_file_location(f"benchmarks_{Path(path).stem}", ROOT / "benchmarks" / path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_public_suites_measure_every_model_in_the_same_way() -> None:
    jobs = [job for path in PUBLIC for job in load_suite(path)]
    assert len({job.model.spec for job in jobs}) == 9
    settings: dict[tuple[str, str], set[str]] = {}
    for job in jobs:
        settings.setdefault((job.diagnostic, job.system.label), set()).add(repr(job.settings))
    # Longer runs of pet-m besides: an error of its drift needs them.
    several = {key for key, found in settings.items() if len(found) > 1}
    assert several == {("nve-drift", "water8")}
    assert len(settings["nve-drift", "water8"]) == 2


@pytest.mark.parametrize("path", COMPANION, ids=lambda path: path.stem)
def test_structures_of_the_companion_suites_are_committed(path: Path) -> None:
    for job in load_suite(path):
        assert job.system.path is None or Path(job.system.path).is_file()


@pytest.mark.parametrize("order", [0.0, 1.0, 2.0])
def test_order_of_a_known_fluctuation(order: float) -> None:
    """Energy with a drift and an oscillation of amplitude A Δt^p: the order is p, whatever the drift."""
    summarise = script("companion/summarise.py")
    parts = []
    for step in (1.0, 2.0, 4.0, 8.0):
        time = np.arange(0.0, 4000.0, step)
        energy = 1e-3 * step**order * np.cos(0.7 * time) + 2e-6 * time
        parts.append(
            pd.DataFrame(
                {"model": "m", "force_mode": "direct", "system": "s", "timestep_fs": step, "time_fs": time}
                | {"total_eV": energy, "n_atoms": 4}
            )
        )
    ((name, system, steps, sizes, slope, error),) = summarise.orders(pd.concat(parts))
    assert (name, system) == ("m:direct", "s")
    np.testing.assert_array_equal(steps, [1.0, 2.0, 4.0, 8.0])
    # The mean square of a cosine is 1/2; 800 periods or more leave a share of 1e-3.
    np.testing.assert_allclose(sizes, 1000.0 * 1e-3 / np.sqrt(2.0) / 4.0 * steps**order, rtol=0.01)
    assert slope == pytest.approx(order, abs=0.01)
    assert error < 0.01


def test_comparison_uses_numbers_of_one_system_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare = script("public/compare.py")
    out = tmp_path / "results"
    for command in (
        ["lambda", "--system", "harmonic-crystal"],
        ["nve-drift", "--system", "harmonic-crystal", "--duration", "60"],
        ["lambda", "--system", "argon", "--method", "stochastic", "--probes", "4"],
    ):
        with pytest.raises(SystemExit) as end:
            main([*command, "--model", "analytic-solenoidal", "--structures", "1", "--out", str(out), "--quiet"])
        assert end.value.code == 0
    capsys.readouterr()
    measured = {one.system: one for one in compare.collect(read(out))}
    assert measured["harmonic-crystal"].cells[compare.DRIFT].value > 0
    # No drift was measured on argon: that of the other system must not be shown for it.
    assert measured["argon"].cells.get(compare.DRIFT) is None
    # λ of the solenoidal field in closed form: κ√2/√(3k² + 2κ²) of k = 5 and κ = 0.05.
    lam = measured["harmonic-crystal"].cells[compare.LAMBDA].value
    assert lam == pytest.approx(0.05 * np.sqrt(2.0) / np.sqrt(3.0 * 25.0 + 2.0 * 0.05**2), rel=1e-4)
    compare.write_tables(list(measured.values()), tmp_path)
    compare.draw(list(measured.values()), [tmp_path / "drift-lambda.png"])
    text = (tmp_path / "comparison.md").read_text(encoding="utf-8")
    assert "### argon" in text
    assert "### harmonic-crystal" in text
    assert (tmp_path / "drift-lambda.png").stat().st_size > 10_000
