"""Stages of the measurements on a GPU; see ``README.md`` beside this file. Results: one JSON file for each stage, and an archive of all.

benchmarks/gpu/campaign.sh smoke matrix md lambda
benchmarks/gpu/campaign.sh table5 nvt pack
benchmarks/gpu/campaign.sh --device cpu --small smoke matrix md lambda table5 nvt pack    # rehearsal
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from ncbench.errors import NcbenchError

ROOT = Path(__file__).resolve().parents[2]
Row = dict[str, Any]
PACKAGES = (
    "torch",
    "numpy",
    "ase",
    "metatomic-torch",
    "metatensor-torch",
    "sevenn",
    "vesin",
    "mace-torch",
    "e3nn",
    "orb-models",
)


@dataclass(frozen=True)
class Call:
    """The conditions of one call of the script."""

    device: str
    small: bool
    out: Path
    began: float
    limit_s: float

    @property
    def left_s(self) -> float:
        """Seconds until the call has to end."""
        return self.limit_s - (time.monotonic() - self.began)

    def share(self, part: float) -> float:
        """A part of the time that is left, s."""
        return max(0.0, part * self.left_s)


def smoke(call: Call) -> list[Row]:
    """Whether every package can be imported and one force call runs on the device."""
    from measure_speed import loaded, water

    field = loaded("pet-m:direct", call.device).bind([water()])
    finite = bool(field(field.initial_positions()).forces.isfinite().all())
    if not finite:
        raise RuntimeError("The forces of pet-m:direct are not finite on this device.")
    return [{"what": "force call of pet-m:direct, 192 atoms", "finite": finite}]


def matrix(call: Call) -> list[Row]:
    """The tests of tests/devices on the device: a row for each."""
    xml = call.out / "matrix.xml"
    tests = ["tests/devices"] if call.device != "cpu" else ["tests/devices/test_matrix.py"]
    chosen = "gpu" if call.device != "cpu" else "not gpu and not simulated"
    if call.small:
        tests = ["tests/devices/test_matrix.py", "-k", "lambda or nve"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", chosen, f"--junitxml={xml}"]
    # Other packages may be newer than those this project is tested with: their warnings are no failures.
    command += ["-W", "default", *tests]
    if find_spec("xdist"):
        command += ["-n", "6"]
    done = subprocess.run(command, cwd=ROOT, timeout=max(1.0, call.left_s), check=False, capture_output=True, text=True)
    (call.out / "matrix.log").write_text(done.stdout[-200_000:] + done.stderr[-20_000:], encoding="utf-8")
    last = (done.stdout.strip().splitlines() or ["no output"])[-1]
    return [{"what": "tests/devices", "rc": done.returncode, "result": last}]


def md(call: Call) -> list[Row]:
    """Steps a second for R = 1, 8, 32, 128, and waits for the device in a step."""
    from measure_speed import dynamics

    return dynamics(call)


def lambda_(call: Call) -> list[Row]:
    """Seconds of the exact and the stochastic λ against central differences through the model's own calculator."""
    from measure_speed import jacobians

    return jacobians(call)


def table5(call: Call) -> list[Row]:
    """``timing`` of every installed model whose weights are here."""
    from measure_speed import step_times

    return step_times(call)


def torch_sim(call: Call) -> list[Row]:
    """Steps a second beside those of torch-sim, in turn."""
    from torch_sim_speed import beside

    return beside(call)


def published(call: Call) -> list[Row]:
    """``timing`` of MACE and ORB with random weights in the sizes of their published models."""
    from published_sizes import published_sizes

    return published_sizes(call)


def nvt(call: Call) -> list[Row]:
    """``nvt`` of pet-m in both modes, as many replicas and as long as fit."""
    from measure_speed import thermostats

    return thermostats(call)


def paper(call: Call) -> list[Row]:
    """Suites beside the paper's tables, side by side, for the rest of the time; models of the folder TRAINED, if set, are among them."""
    from paper_runs import PROCESSES, ROOT, SUITES, run_suites

    trained = os.environ.get("TRAINED")
    return run_suites(
        [ROOT / "benchmarks" / f"{name}.toml" for name in SUITES],
        devices=[call.device] if call.device == "cpu" else [call.device, "cpu"],
        out=call.out,
        trained=Path(trained) if trained else None,
        processes=PROCESSES,
        limit_s=call.left_s - 15.0,
        few_steps=call.small,
    )


STAGES: dict[str, Callable[[Call], list[Row]]] = {
    "smoke": smoke,
    "matrix": matrix,
    "md": md,
    "lambda": lambda_,
    "torch-sim": torch_sim,
    "table5": table5,
    "published": published,
    "nvt": nvt,
    "paper": paper,
}


def conditions(device: str) -> Row:
    """Machine and versions."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    commit = ""
    if shutil.which("git"):
        asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=False, capture_output=True, text=True)
        commit = asked.stdout.strip()
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.processor()
    return {
        "device": device,
        "name": name,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "packages": versions,
        "commit": commit,
        "day": time.strftime("%Y-%m-%d"),
    }


def run_stage(name: str, call: Call) -> bool:
    """Run a stage, write its file, and return whether it succeeded. A failure is written as its reason."""
    began = time.monotonic()
    document: Row = {"stage": name, "small": call.small, "conditions": conditions(call.device)}
    try:
        document["rows"] = STAGES[name](call)
        good = not any(row.get("rc", 0) for row in document["rows"])
    except subprocess.TimeoutExpired:
        document["reason"], good = "stopped at the time limit", False
    except (RuntimeError, ValueError, ImportError, OSError, NcbenchError) as error:
        document["reason"], good = f"{type(error).__name__}: {error}", False
    document["seconds"] = round(time.monotonic() - began, 1)
    (call.out / f"{name}.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(f"{name}: {'done' if good else 'FAILED'} in {document['seconds']} s; {call.left_s:.0f} s left", flush=True)
    for row in document.get("rows", ()):
        print(
            "   ",
            ", ".join(
                f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
            ),
        )
    if "reason" in document:
        print("   ", document["reason"])
    return good


def pack(out: Path) -> Path:
    """One archive of the stages' files, to be unpacked in ``results/gpu``."""
    archive = out / "gpu.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        for path in sorted(out.iterdir()):
            if path.suffix in (".json", ".log", ".xml"):
                packed.add(path, arcname=path.name)
    return archive


def main() -> None:
    """Run the stages in the order given, as far as the time goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "stages", nargs="+", choices=[*STAGES, "pack"], metavar="STAGE", help=", ".join([*STAGES, "pack"])
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--small", action="store_true", help="small settings: do the stages work?")
    parser.add_argument("--out", type=Path, default=Path("results-gpu"))
    parser.add_argument("--limit", type=float, default=540.0, help="seconds of the whole call")
    asked = parser.parse_args()
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit(f"torch {torch.__version__} finds no CUDA device here. Use --device cpu --small for a rehearsal.")
    asked.out.mkdir(parents=True, exist_ok=True)
    call = Call(asked.device, asked.small, asked.out, time.monotonic(), asked.limit)
    failed = []
    for name in asked.stages:
        if name == "pack":
            print(f"packed: {pack(call.out)}")
        elif call.left_s < 5.0:
            print(f"{name}: not started, no time is left")
            failed.append(name)
        elif not run_stage(name, call):
            failed.append(name)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
