"""Valid cluster requests, and the resulting Slurm options."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncbench.cli.running import how_of
from ncbench.errors import MissingPackageError, UsageError
from ncbench.run.cluster import connect, slurm
from ncbench.run.cluster.request import ClusterRequest
from ncbench.types import Resources


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({}, "nothing was given"),
        ({"workers": 2, "scheduler": "tcp://a:1"}, "--workers and --scheduler"),
        ({"workers": 0}, "--workers 0"),
        ({"workers": 2, "jobs_per_gpu": 0}, "--jobs-per-gpu 0"),
        ({"scheduler": "head:8786"}, "not the address"),
        ({"slurm": Path("missing.toml")}, "no file 'missing.toml'"),
    ],
)
def test_invalid_requests_are_refused(asked: dict, word: str):
    with pytest.raises(UsageError, match=word):
        ClusterRequest(**asked)


def test_a_gpu_job_requests_one_gpu_by_default():
    assert Resources().needs("cpu") == {}
    assert Resources().needs("cuda") == {"GPU": 1.0}
    assert Resources(gpu=0.25, memory_GB=4).needs("cuda") == {"GPU": 0.25, "memory": 4e9}
    with pytest.raises(UsageError, match="gpu = -1"):
        Resources(gpu=-1)


def test_missing_dask_is_reported_with_the_install_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connect, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"pip install 'ncbench\[cluster\]'"):
        connect.require("dask", "distributed")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"max_hours": 0.0}, "--max-hours 0"),
        ({"jobs_per_gpu": 2}, "Add --workers"),
        ({"workers": 1, "slurm": "a.toml"}, "--workers and --slurm"),
    ],
)
def test_incompatible_options_are_refused(options: dict, word: str):
    asked = {"workers": None, "scheduler": None, "slurm": None, "jobs_per_gpu": 1, "threads": None, "retries": 0}
    with pytest.raises(UsageError, match=word):
        how_of(**{**asked, **options})


FILE = """
workers = 3
cores = 8
memory = "16GB"
walltime = "04:00:00"
queue = "gpu"
gpus = 1
directives = ["--constraint=h100"]
prologue = ["module load cuda"]
"""


def test_slurm_options_follow_the_file(tmp_path: Path):
    path = tmp_path / "slurm.toml"
    path.write_text(FILE, encoding="utf-8")
    settings = slurm.read(path)
    asked = slurm.options(settings)
    assert settings["workers"] == 3
    # A batch job is one worker that runs one job; torch has the eight cores.
    assert (asked["processes"], asked["cores"], asked["job_cpu"]) == (1, 1, 8)
    assert asked["job_script_prologue"] == ["export OMP_NUM_THREADS=8", "module load cuda"]
    assert asked["job_extra_directives"] == ["--gres=gpu:1", "--constraint=h100"]
    assert asked["worker_extra_args"] == ["--resources", "GPU=1"]
    assert (asked["queue"], asked["walltime"], asked["memory"]) == ("gpu", "04:00:00", "16GB")


def test_dask_writes_the_batch_script(tmp_path: Path):
    jobqueue = pytest.importorskip("dask_jobqueue")
    path = tmp_path / "slurm.toml"
    path.write_text(FILE, encoding="utf-8")
    # Dask parses the options: an unknown name would raise.
    script = jobqueue.slurm.SLURMJob(
        scheduler="tcp://head:8786", name="w", **slurm.options(slurm.read(path))
    ).job_script()
    for line in (
        "#SBATCH -p gpu",
        "#SBATCH -t 04:00:00",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH --gres=gpu:1",
        "#SBATCH --constraint=h100",
    ):
        assert line in script
    assert script.index("module load cuda") < script.index("tcp://head:8786")
    assert "--nthreads 1" in script
    assert "--resources GPU=1" in script


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("worker = 2", "Did you mean 'workers'"),
        ("workers = 0", "not a positive number"),
        ("workers = true", "cannot be True"),
        ("memory = 16", "memory cannot be 16"),
        ("workers = [", "not a TOML file"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, word: str):
    path = tmp_path / "slurm.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=word):
        slurm.read(path)
