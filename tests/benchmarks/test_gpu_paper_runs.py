"""Suites in pieces for a GPU: nothing is lost or changed but the lengths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("sevennet-0", "pet-m", "water-soap-bpnn-c-vf", "water-soap-bpnn-nc-vf")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "gpu"))
    import paper_runs
    import pieces

    return paper_runs, pieces


def jobs(path: Path) -> set[tuple[str, ...]]:
    """Jobs that ncbench plans for a suite, as diagnostic, model, system and settings."""
    from ncbench.run.plan import load_suite

    planned = load_suite(path)
    return {(job.diagnostic, job.model.spec, job.system.name, repr(job.settings)) for job in planned}


def test_every_default_suite_is_there_and_its_pieces_have_names_of_their_own(gpu) -> None:
    paper_runs, pieces = gpu
    names = []
    for suite in paper_runs.SUITES:
        found = list(pieces.pieces(ROOT / "benchmarks" / f"{suite}.toml", MODELS))
        assert found, suite
        names += [piece.name for piece in found]
    assert len(set(names)) == len(names)


def test_pieces_of_a_suite_are_its_jobs(gpu, tmp_path: Path) -> None:
    _, pieces = gpu
    suite = ROOT / "benchmarks" / "long" / "05b-nvt-slow.toml"
    apart = set()
    for number, piece in enumerate(pieces.pieces(suite, MODELS)):
        path = tmp_path / f"{number}.toml"
        path.write_text(pieces.suite_text(piece, "cpu"), encoding="utf-8")
        apart |= jobs(path)
    assert apart == jobs(suite)
    assert len(apart) == 4


def test_dynamics_are_shortened_to_what_fits(gpu) -> None:
    _, pieces = gpu
    suite = ROOT / "benchmarks" / "long" / "05b-nvt-slow.toml"
    piece = next(piece for piece in pieces.pieces(suite, MODELS) if "langevin:1000" in str(piece.run))
    settings = piece.run["settings"]["nvt"]
    assert (settings["equilibration_fs"], settings["duration_fs"]) == (2000.0, 20000.0)
    # 100 s at 10 ms a step of 0.5 fs are 5000 fs, of which a fifth is equilibration.
    short = pieces.shortened(piece, 0.01, 100.0).run["settings"]["nvt"]
    assert (short["equilibration_fs"], short["duration_fs"]) == (1000.0, 4000.0)
    assert pieces.shortened(piece, 0.01, 1000.0).run["settings"]["nvt"] == settings


def test_timing_is_left_out_and_other_models_too(gpu) -> None:
    _, pieces = gpu
    found = list(pieces.pieces(ROOT / "benchmarks" / "public" / "sevennet.toml", ["sevennet-0"]))
    assert {piece.model for piece in found} == {"sevennet-0"}
    assert all("timing" not in piece.run["diagnostics"] for piece in found)
    assert all("timing" not in piece.run["settings"] for piece in found)


def test_a_model_that_fails_on_one_device_runs_on_the_other(gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    paper_runs, pieces = gpu

    def step_s(_piece, device: str, _seconds: float) -> float:
        if device == "cuda":
            raise RuntimeError("no kernel")
        return 0.25

    monkeypatch.setattr(paper_runs, "step_s", step_s)
    piece = next(iter(pieces.pieces(ROOT / "benchmarks" / "long" / "05b-nvt-slow.toml", MODELS)))
    assert paper_runs.fastest(piece, ["cuda", "cpu"], 1.0) == ("cpu", {"cpu": 250.0, "cuda": "RuntimeError: no kernel"})
    assert paper_runs.first_usable(piece, ["cuda", "cpu"]) == ("cpu", {"cuda": "RuntimeError: no kernel"})


@pytest.mark.slow
@pytest.mark.models("metatomic")
def test_processes_are_interrupted_at_the_limit_and_packed(gpu, tmp_path: Path) -> None:
    paper_runs, _ = gpu
    suite = tmp_path / "long.toml"
    suite.write_text(
        '[suite]\nname = "x"\n[[run]]\ndiagnostics = ["relax"]\nmodels = ["pet-m:direct"]\nsystem = "water64"\n'
        "structures = 1\nsettings.relax = { n = 1, fmax = 1e-9, max_steps = 100000 }\n",
        encoding="utf-8",
    )
    rows = paper_runs.run_suites(
        [suite], devices=["cpu"], out=tmp_path, trained=None, processes=1, limit_s=60.0, few_steps=False
    )
    assert rows[0]["result"] == "interrupted at the limit"
    assert (tmp_path / "paper-pet.tar.gz").is_file()
    assert len(json.dumps(rows)) > 0
