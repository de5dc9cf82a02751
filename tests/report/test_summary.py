"""The summary of small tables written by the store."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console
from stored import write_rows

from ncbench.cli.main import _guarded
from ncbench.diagnostics import registry
from ncbench.diagnostics.predict import remarks
from ncbench.errors import StoreError, UsageError
from ncbench.report.judge import GLOBAL, NVE, Answer
from ncbench.report.read import read
from ncbench.report.summary import ModelSummary, summarise
from ncbench.statistics.older_rows import RAISED_ERRORS

DIRECT, CONSERVATIVE, SEVENNET = ("pet-m", "direct"), ("pet-m", "conservative"), ("sevennet-0", "conservative")
Rows = list[dict[str, Any]]


def _common(model: tuple[str, str], **values: Any) -> dict[str, Any]:
    return {
        "model": model[0],
        "force_mode": model[1],
        "system": "water64",
        "structure": "000",
        "n_atoms": 192,
        "seed": 0,
        "dtype": "float32",
        "device": "cpu",
        "status": "ok",
        "reason": "",
    } | values


def _nvt(model: tuple[str, str], excess: dict[str, float], power: float) -> Rows:
    return [
        _common(
            model,
            thermostat=thermostat,
            tau_fs=tau,
            species=species,
            temperature_K=300 + off,
            temperature_excess_K=off,
            temperature_K_se=2.0,
            power_meV_per_atom_per_ps=power,
            power_meV_per_atom_per_ps_se=0.5,
            timestep_fs=0.5,
            steps=40_000,
            target_K=300.0,
            plateau=True,
        )
        for thermostat, tau in (("langevin", 100.0), ("langevin", 1000.0), ("svr", 10.0))
        for species, off in excess.items()
    ]


def _nve(model: tuple[str, str], drift: float, steps: int) -> dict[str, Any]:
    return _common(
        model,
        timestep_fs=0.5,
        steps=steps,
        drift_K_per_ps=4 * drift,
        drift_K_per_ps_se=20.0,
        energy_drift_meV_per_atom_per_ps=drift,
        energy_drift_meV_per_atom_per_ps_se=0.2,
    )


def _series(model: tuple[str, str], drift: float, steps: int) -> Rows:
    return [
        _common(
            model, time_fs=0.5 * k, temperature_K=300.0 + 0.002 * drift * k, total_eV=-1.0 + 192 * drift * 0.5e-6 * k
        )
        for k in range(steps)
    ]


def _lambda(model: tuple[str, str], value: float, *, above: bool) -> dict[str, Any]:
    return _common(
        model,
        method="exact",
        **{"lambda": value},
        lambda_se=0.1 * value,
        lambda_high=1.2 * value,
        lambda_floor=3e-7,
        above_floor=above,
        resolved="nonzero" if above else "gradient",
    )


def _loop(model: tuple[str, str], path: str, work: float) -> dict[str, Any]:
    return _common(model, path=path, work_meV=work, quadrature_error_meV=0.02, work_error_meV=0.05)


def _relax(model: tuple[str, str], successes: int, **values: Any) -> dict[str, Any]:
    return (
        _common(model, set="water64", optimizer="lbfgs", n=10, n_success=successes, success_percent=10.0 * successes)
        | values
    )


@pytest.fixture
def fill(tmp_path: Path) -> Callable[..., Path]:
    """Write rows of any diagnostics, main and side, as a run would."""

    def write(main: dict[str, Rows], side: dict[tuple[str, str], Rows] | None = None) -> Path:
        return write_rows(tmp_path, main, side)

    return write


@pytest.fixture
def folder(fill: Callable[..., Path]) -> Path:
    """All six diagnostics of two modes of one model; a third model with gaps."""
    return fill(
        {
            "lambda": [_lambda(DIRECT, 0.02, above=True), _lambda(CONSERVATIVE, 2e-8, above=False)],
            "workloop": [
                _loop(CONSERVATIVE, "molecule", 0.03),
                _loop(CONSERVATIVE, "planar-0", 900.0),
                _loop(DIRECT, "molecule", -80.0),
            ],
            "nve-drift": [_nve(DIRECT, 170.0, 400), _nve(CONSERVATIVE, 0.05, 400), _nve(SEVENNET, 0.1, 50)],
            "nvt": [
                *_nvt(DIRECT, {"all": 0.0, "H": 20.0, "O": -40.0}, 90.0),
                *_nvt(CONSERVATIVE, {"all": 0.0, "H": 0.5, "O": -1.0}, 0.1),
                _common(SEVENNET, status="failed", reason="ran out of memory"),
            ],
            "relax": [_relax(DIRECT, 0), _relax(CONSERVATIVE, 10), _relax(SEVENNET, 9, system="water-molecule")],
            "timing": [
                _common(m, path=path, ms_per_step=t, ms_per_step_se=0.5, ms_per_step_per_atom=t / 192)
                for m, t in ((DIRECT, 40.0), (CONSERVATIVE, 110.0))
                for path in ("adapter", "ase")
            ],
        },
        {
            ("nve-drift", "series"): [
                *_series(DIRECT, 170.0, 400),
                *_series(CONSERVATIVE, 0.05, 400),
                *_series(SEVENNET, 0.1, 50),
            ]
        },
    )


def test_table_has_values_of_every_diagnostic(folder: Path) -> None:
    summary = summarise(folder)
    assert summary.system == "water64"
    assert [str(row.cells["lambda"]) for row in summary.models] == ["0.020(2)", "≤ 3e-07", "–"]
    assert [row.label for row in summary.models] == ["pet-m:direct", "pet-m:conservative", "sevennet-0:conservative"]
    frame = pd.read_csv(summary.files["csv"]).set_index(["model", "force_mode"])
    direct, conservative = frame.loc[DIRECT], frame.loc[CONSERVATIVE]
    assert direct["lambda"] == 0.02
    assert direct["work_meV"] == -80.0
    assert conservative["work_meV"] == 0.03  # the molecule's loop, not the planar one
    assert direct["energy_drift_meV_per_atom_per_ps"] == 170.0
    assert (direct["excess_H_K"], direct["excess_O_K"], direct["excess_O_K_error"]) == (20.0, -40.0, 2.0)
    assert direct["power_meV_per_atom_per_ps"] == 90.0
    assert conservative["relax_percent"] == 100.0
    assert conservative["step_ms"] == 110.0
    assert "Constant energy (NVE): no (drift 170.0(2) meV/atom/ps" in direct["verdict"]
    assert "Constant energy (NVE): cannot tell (drift 0.1(2) meV/atom/ps" in conservative["verdict"]
    assert "no heating by non-conservative forces" in conservative["verdict"]


def test_missing_values_are_dashes_with_reasons(folder: Path) -> None:
    summary = summarise(folder)
    cells = summary.models[2].cells
    assert str(cells["lambda"]) == "–"
    assert cells["lambda"].missing == "lambda was not run"
    assert cells["excess_H"].missing == "nvt failed: ran out of memory"
    assert str(cells["relax"]) == "90 (9 of 10)"
    text = summary.files["markdown"].read_text(encoding="utf-8")
    assert "sevennet-0:conservative, λ: lambda was not run" in text
    assert (
        "constant energy (NVE): no: a run explodes by the work of its forces, or gains or loses more than 0.078 meV/atom/ps (30 K in 100 ps)"
        in text
    )
    measured = ("lambda", "workloop", "nve-drift", "nvt", "relax", "timing")
    assert f"Not run: {', '.join(name for name in registry.diagnostics() if name not in measured)}." in text


def test_terminal_output_of_the_summary(folder: Path, tmp_path: Path) -> None:
    console = Console(width=120, record=True, file=(tmp_path / "log").open("w", encoding="utf-8"))
    with console.file:
        summarise(folder, tmp_path / "out").show(console)
        message = console.export_text()
    assert "0.020(2)" in message
    assert str(tmp_path / "out" / "summary.png") in message


def test_figure_is_reproducible(folder: Path) -> None:
    summary = summarise(folder)
    assert summary.files["png"].read_bytes().startswith(b"\x89PNG")
    svg = summary.files["svg"].read_text(encoding="utf-8")
    assert svg.count('<g id="axes_') == 4
    # The same tables give the same file, so that a committed figure changes only when a number does.
    assert summarise(folder).files["svg"].read_text(encoding="utf-8") == svg


def test_summary_of_a_single_diagnostic(fill: Callable[..., Path]) -> None:
    summary = summarise(fill({"lambda": [_lambda(DIRECT, 0.02, above=True), _lambda(CONSERVATIVE, 0.0, above=False)]}))
    assert summary.models[0].verdict == "Conservative forces: no (λ = 0.020(2) of one structure)."
    assert summary.files["png"].stat().st_size > 10_000


def test_timing_alone_has_no_figure(fill: Callable[..., Path]) -> None:
    summary = summarise(fill({"timing": [_common(DIRECT, path="adapter", ms_per_step=40.0)]}))
    assert set(summary.files) == {"csv", "markdown"}
    assert str(summary.models[0].cells["step"]) == "40.0"


def _answer(row: ModelSummary, use: str) -> Answer:
    return next(one.answer for one in row.judgements if one.use == use)


def test_explosions_are_reported(fill: Callable[..., Path]) -> None:
    row = _common(
        DIRECT, status="exploded", reason="above 10000 K after 31 fs", timestep_fs=0.5, steps=400, exploded_at_fs=31.0
    )
    summary = summarise(fill({"nve-drift": [row]}, {("nve-drift", "series"): _series(DIRECT, 9000.0, 60)}))
    assert _answer(summary.models[0], NVE) is Answer.NO
    assert "it explodes" in summary.models[0].verdict
    assert "above 10000 K after 31 fs" in summary.models[0].cells["energy_drift"].missing


def test_a_model_that_never_loaded_is_a_row(fill: Callable[..., Path]) -> None:
    row = _common(("orb", ""), status="failed", reason="needs orb-models") | {"force_mode": None}
    summary = summarise(fill({"lambda": [_lambda(DIRECT, 0.02, above=True), row]}))
    assert [r.label for r in summary.models] == ["pet-m:direct", "orb"]
    assert summary.models[1].cells["lambda"].missing == "lambda failed: needs orb-models"


def test_a_folder_with_two_systems_names_the_other_and_can_show_it(fill: Callable[..., Path]) -> None:
    other = {"system": "diamond64"}
    rows = [_nve(DIRECT, 100.0, 400), _nve(DIRECT, 7.0, 400) | other, _nve(CONSERVATIVE, 0.5, 400) | other]
    folder = fill({"nve-drift": rows, "lambda": [_lambda(DIRECT, 0.02, above=True)]})
    summary = summarise(folder)
    assert (summary.system, str(summary.models[0].cells["energy_drift"])) == ("water64", "100.0(2)")
    assert str(summary.models[1].cells["energy_drift"]) == "0.5(2) [diamond64]"
    command = f"ncbench summary {folder} --system diamond64"
    assert summary.markdown().splitlines()[2].endswith(command)
    other_summary = summarise(folder, system="diamond64")
    assert [str(row.cells["energy_drift"]) for row in other_summary.models] == ["7.0(2)", "0.5(2)"]
    assert "water64" in other_summary.others_line
    with pytest.raises(UsageError, match="no results on 'diamond'"):
        summarise(folder, system="diamond")


def test_several_seeds_are_averaged(fill: Callable[..., Path]) -> None:
    rows = [_nve(DIRECT, drift, 400) | {"seed": seed} for seed, drift in enumerate((169.9, 170.1))]
    rows.append(_nve(DIRECT, 5.0, 40))  # a shorter run does not dilute the long ones
    cell = summarise(fill({"nve-drift": rows})).models[0].cells["energy_drift"]
    # Errors of 0.2 each, which the scatter of 0.1 does not exceed.
    assert (cell.value, cell.error) == (pytest.approx(170.0), pytest.approx(0.2 / 2**0.5))


def test_an_error_without_a_plateau_is_marked(fill: Callable[..., Path]) -> None:
    rows = [row | {"plateau": row["species"] != "O"} for row in _nvt(DIRECT, {"all": 0.0, "H": 20.0, "O": -40.0}, 90.0)]
    summary = summarise(fill({"nvt": rows}))
    assert {key: str(summary.models[0].cells[key]) for key in ("excess_H", "excess_O")} == {
        "excess_H": "20(2)",
        "excess_O": "-40(2)?",
    }
    # H alone is off by more than 5 K by three standard errors: that decides.
    assert _answer(summary.models[0], GLOBAL) is Answer.NO


def test_missing_folder_missing_results_and_damaged_table_are_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results folder"):
        summarise(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="holds no results"):
        summarise(tmp_path)
    (tmp_path / "lambda.parquet").write_bytes(b"not a table")
    with pytest.raises(StoreError, match=r"lambda\.parquet"):
        summarise(tmp_path)


def test_summary_without_known_diagnostics_lists_existing_tables(fill: Callable[..., Path], tmp_path: Path) -> None:
    npt = _common(CONSERVATIVE, ensemble="npt")
    mts = [_common(CONSERVATIVE, stride=stride) for stride in (1, 8)]
    summary = summarise(fill({"npt": [npt], "mts": mts}))
    console = Console(width=80, record=True, file=(tmp_path / "log").open("w", encoding="utf-8"))
    with console.file:
        summary.show(console)
    text = console.export_text()
    for message in (text, summary.files["markdown"].read_text(encoding="utf-8")):
        assert "npt: 1 ok in npt.csv (pet-m:conservative)" in message
        assert "mts: 2 ok in mts.csv (pet-m:conservative)" in message
    assert "not run: lambda" in text


def test_no_number_is_broken_in_a_narrow_terminal(folder: Path, tmp_path: Path) -> None:
    summary = summarise(folder)
    console = Console(width=60, record=True, file=(tmp_path / "log").open("w", encoding="utf-8"))
    with console.file:
        summary.show(console)
    words = console.export_text().split()
    for row in summary.models:
        for cell in row.cells.values():
            assert all(word in words for word in str(cell).split())


def test_a_table_with_one_changed_bit_is_refused(fill: Callable[..., Path]) -> None:
    """By every command that reads tables: a changed bit once passed as another number."""
    folder = fill({"lambda": [_lambda(DIRECT, 0.02, above=True)], "relax": [_relax(DIRECT, 0)]})
    path = folder / "relax.parquet"
    content = path.read_bytes()
    for place in range(4, len(content) - 4, max(1, len(content) // 24)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(StoreError, match=r"relax\.parquet"):
            read(folder)
    for command in (["summary"], ["report"], ["paper", "compare", "table7"]):
        assert _guarded([*command, str(folder)]) == 1
    path.write_bytes(content)
    assert _guarded(["paper", "compare", "table7", str(folder)]) == 0


def test_reading_needs_no_torch(folder: Path) -> None:
    code = "import sys; from pathlib import Path; from ncbench.report.summary import summarise; summarise(Path(sys.argv[1])); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(folder)], check=True)


def test_errors_of_older_rows_have_a_footnote(tmp_path: Path) -> None:
    """The summary's error is larger than the one in nvt.csv: of ten picoseconds the table has 0.01 K."""
    run = [row for row in _nvt(DIRECT, {"all": 1.0, "H": 1.0, "O": -2.0}, 5.0) if row["thermostat"] == "svr"]
    degrees = {"all": 573.0, "H": 384.0, "O": 189.0}
    old = [row | {"temperature_K_se": 0.01, "degrees_of_freedom": degrees[row["species"]]} for row in run]
    for number, (rows, raised) in enumerate(((old, True), ([row | {"temperature_K_se": 30.0} for row in old], False))):
        summary = summarise(write_rows(tmp_path / str(number), {"nvt": rows}))
        assert (RAISED_ERRORS in summary.files["markdown"].read_text(encoding="utf-8")) is raised


def test_a_global_thermostat_of_short_runs_is_one_short_line_with_the_missing_run(tmp_path: Path) -> None:
    run = [row | {"steps": 400} for row in _nvt(DIRECT, {"all": 1.0, "H": 1.0, "O": -2.0}, 5.0)]
    (row,) = summarise(write_rows(tmp_path, {"nvt": run})).models
    (line,) = [one for one in row.judgements if one.use == GLOBAL]
    assert line.answer is Answer.UNSURE
    assert (
        line.evidence
        == "too short for a known error: run nvt of the same model and structures with --thermostat svr:10 and --duration 10000 or longer"
    )
    assert str(row.cells["excess_H"]).startswith("1(")


def test_a_predicted_critical_time_names_the_shorter_limit(tmp_path: Path) -> None:
    row = _common(
        DIRECT, thermostat="langevin", tau_fs=100.0, species="all", critical_tau_fs=300.0, harmonic_limit_fs=120.0, stable=True
    )  # fmt: skip
    summary = summarise(write_rows(tmp_path, {"predict": [row]}))
    assert "keep τ below the shorter of the two" in summary.files["markdown"].read_text(encoding="utf-8")
    free = row | {
        "thermostat": "none",
        "tau_fs": None,
        "power_meV_per_atom_per_ps": 90.0,
        "golden_rule_meV_per_atom_per_ps": 60.0,
    }
    (line,) = remarks([free | {"above_floor": True}, row], lambda _: [])
    assert "white noise of τ < 120 fs, the mean temperature by τ < τ_c = 300 fs: keep τ below the shorter" in line
