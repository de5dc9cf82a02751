"""Runs of suites side by side on one device, each in its own process, stopped at a time limit; see ``README.md`` beside this file.

    python benchmarks/gpu/paper_runs.py --out results-gpu --limit 340 --trained models      # the default suites
    python benchmarks/gpu/paper_runs.py --device cpu --small --processes 2 --limit 100 benchmarks/long/08-nvt-sevennet.toml

Every run, model and varied setting of a suite becomes one process with its own results folder. Dynamics that would not end within the limit
are shortened: each process measures the time of its own step first, beside the others. At the limit the processes are interrupted, so
that finished jobs and checkpoints are kept, and the folders are packed, one archive for each family of models.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

from pieces import PACKED, Piece, is_dynamics, pieces, shortened, small, suite_text  # noqa: E402  (beside this file, a script)

from ncbench.errors import NcbenchError  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SUITES = (
    "long/09-relax-liquid",
    "long/12-relax-soap-bpnn",
    "long/07-nve-sevennet",
    "long/08-nvt-sevennet",
    "long/11-nvt-soap-bpnn",
    "long/05b-nvt-slow",
    "long/04-nvt-conservative",
    "public/sevennet",
    "public/pet-m",
)
"""Suites in ``benchmarks``, in the order in which they are started."""
FAILURES = (NcbenchError, RuntimeError, ValueError, ImportError, OSError)
"""What a model that does not run on a device raises."""
USED = 0.8
"""Part of the remaining time that dynamics may take by the step time measured at its start; other processes may start after it."""
START_S = 25.0
"""Time to import the packages, load a model and write the results."""
MEASURED_S = 8.0
ENDING_S = 20.0
"""Time that interrupted processes have to write checkpoints."""
PROCESSES = round(1.5 * (os.cpu_count() or 1))
"""At the same time: most of them wait for the GPU."""


def step_s(piece: Piece, device: str, seconds: float) -> float:
    """Wall time of a step of all replicas, s, while the other processes run."""
    from measure_speed import Trajectory, finish, loaded

    from ncbench.structures.load import load_cases
    from ncbench.types import SystemRequest

    cases = load_cases(SystemRequest(name=piece.run["system"]), piece.run.get("structures", 1), 0)
    replicas = max((entry.get("replicas", 1) for entry in piece.run["settings"].values()), default=1)
    trajectory = Trajectory(loaded(piece.model, device).bind([case.atoms for case in cases for _ in range(replicas)]))
    # The first calls compile the model.
    for _ in range(2):
        trajectory.run(2)
    began, steps, chunk = time.monotonic(), 0, 2
    while steps == 0 or time.monotonic() - began < seconds:
        trajectory.run(chunk)
        finish(device)
        steps += chunk
        # A chunk has one force call more than steps: longer chunks, as long as they are short beside the whole.
        chunk = 2 * chunk if (time.monotonic() - began) < seconds / 4.0 else chunk
    return (time.monotonic() - began) / steps


def fastest(piece: Piece, devices: Sequence[str], seconds: float) -> tuple[str, dict[str, float | str]]:
    """The device with the shortest step, and milliseconds a step of each; a device on which the model fails has the reason instead."""
    times: dict[str, float] = {}
    reasons: dict[str, float | str] = {}
    for device in devices:
        try:
            times[device] = step_s(piece, device, seconds)
        except FAILURES as error:
            reasons[device] = f"{type(error).__name__}: {error}"[:500]
    chosen = min(times, key=times.__getitem__) if times else devices[0]
    return chosen, {**{device: round(1e3 * value, 2) for device, value in times.items()}, **reasons}


def first_usable(piece: Piece, devices: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The first device on which the model makes a step, and the reasons of those before it; the first of all if there is none."""
    reasons: dict[str, str] = {}
    for device in devices:
        try:
            step_s(piece, device, 0.0)
        except FAILURES as error:
            reasons[device] = f"{type(error).__name__}: {error}"[:500]
        else:
            return device, reasons
    return devices[0], reasons


def work_on(piece: Piece, devices: Sequence[str], folder: Path, end: float) -> None:
    """Choose the device, shorten dynamics to what fits, write the suite, and do what ``python -m ncbench run`` does, which ends the process."""
    note: dict[str, Any] = {}
    if is_dynamics(piece):
        device, measured = fastest(piece, devices, min(MEASURED_S, 0.03 * (end - time.time())))
        note["step_ms"] = measured
        if isinstance(step_ms := measured.get(device), float):
            piece = shortened(piece, 1e-3 * step_ms, USED * max(1.0, end - time.time() - START_S))
    else:
        device, reasons = first_usable(piece, devices)
        if reasons:
            note["failed"] = reasons
    (folder / "measured.json").write_text(json.dumps(note | {"device": device}), encoding="utf-8")
    suite = folder / "suite.toml"
    suite.write_text(suite_text(piece, device), encoding="utf-8")
    sys.argv = ["ncbench", "run", str(suite), "--out", str(folder / "results"), "--reuse", "--quiet", "--threads", "1"]
    # In this process, which has imported everything already.
    runpy.run_module("ncbench", run_name="__main__")


@dataclass
class Started:
    """A process and what belongs to it."""

    piece: Piece
    process: subprocess.Popen[bytes]
    began: float
    ended: float = 0.0


def side_by_side(
    todo: Sequence[Piece], *, devices: Sequence[str], work: Path, models: Path | None, processes: int, limit_s: float
) -> list[dict[str, Any]]:
    """Run the pieces, so many at a time, and interrupt them at the limit; a row for each."""
    end = time.time() + limit_s
    waiting, over = list(todo), list[Started]()
    running: list[Started] = []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": _path()}
    if models is not None:
        environment["NCBENCH_MODELS"] = str(models)
    while (waiting or running) and time.time() < end - ENDING_S:
        while waiting and len(running) < processes:
            running.append(_start(waiting.pop(0), devices, work, end - ENDING_S, environment))
        time.sleep(0.2)
        for one in [one for one in running if one.process.poll() is not None]:
            running.remove(one)
            over.append(_ended(one))
    for one in running:
        one.process.send_signal(signal.SIGTERM)
    for one in running:
        try:
            one.process.wait(timeout=max(0.1, end - time.time()))
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()
        over.append(_ended(one))
    rows = [_row(one, work / one.piece.name) for one in over]
    return rows + [{"what": piece.name, "result": "not started, no time is left"} for piece in waiting]


def _path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))


def _start(piece: Piece, devices: Sequence[str], work: Path, end: float, environment: Mapping[str, str]) -> Started:
    folder = work / piece.name
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"name": piece.name, "run": piece.run})
    command = [
        sys.executable,
        __file__,
        "--piece",
        content,
        "--device",
        *devices,
        "--work",
        str(folder),
        "--end",
        str(end),
    ]
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    return Started(piece, process, time.time())


def _ended(one: Started) -> Started:
    one.ended = time.time()
    return one


def _row(one: Started, folder: Path) -> dict[str, Any]:
    codes = {0: "finished", 1: "a job failed", 130: "interrupted at the limit"}
    code = one.process.returncode
    row: dict[str, Any] = {"what": one.piece.name, "result": codes.get(code, f"ended with {code}")}
    row["seconds"] = round(one.ended - one.began, 1)
    if (folder / "measured.json").is_file():
        row |= json.loads((folder / "measured.json").read_text(encoding="utf-8"))
    return row


def packed(todo: Sequence[Piece], work: Path, out: Path) -> list[Path]:
    """One archive for each family of models, of the results folders, suites and logs."""
    archives = []
    for stem in dict.fromkeys(piece.archive for piece in todo):
        archive = out / f"paper-{stem}.tar.gz"
        with tarfile.open(archive, "w:gz") as target:
            for piece in todo:
                if piece.archive == stem and (work / piece.name).is_dir():
                    target.add(work / piece.name, arcname=piece.name)
        archives.append(archive)
    return archives


def models_file(trained: Path, work: Path) -> tuple[Path, list[str]]:
    """``NCBENCH_MODELS`` for the recipes' exported models in a folder, and their names."""
    recipes = tomllib.loads((ROOT / "benchmarks/training/water/recipes.toml").read_text(encoding="utf-8"))
    lines, names = [], []
    for path in sorted(trained.glob("*.pt")):
        if path.stem not in recipes:
            continue
        modes = list(dict.fromkeys(recipes[path.stem]["fills"].values()))
        names.append(f"water-{path.stem}")
        lines += [f"[models.{names[-1]}]", 'family = "pet"', f"checkpoint = {json.dumps(str(path.resolve()))}"]
        lines += [f"modes = {json.dumps(modes)}", f'summary = "recipe {path.stem}"', ""]
    file = work / "models.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file, names


def source_digest() -> str:
    """SHA-256 of the package's Python files, by which a copy without .git can be assigned to a commit."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "ncbench").rglob("*.py")):
        digest.update(f"{path.relative_to(ROOT).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def run_suites(
    suites: Sequence[Path],
    *,
    devices: Sequence[str],
    out: Path,
    trained: Path | None,
    processes: int,
    limit_s: float,
    few_steps: bool,
    names: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Run the suites side by side and pack the results; a row for each process, and one for each archive.

    ``names``: models, besides the recipes' in ``trained``; by default those with an archive of their own.
    """
    work = Path(tempfile.mkdtemp(prefix="paper-runs-"))
    known = list(names or PACKED)
    models = None
    if trained is not None:
        models, recipes = models_file(trained, work)
        known += recipes
    todo = [piece for suite in suites for piece in pieces(suite, known)]
    todo = [small(piece) for piece in todo] if few_steps else todo
    rows = side_by_side(todo, devices=devices, work=work, models=models, processes=processes, limit_s=limit_s)
    out.mkdir(parents=True, exist_ok=True)
    for archive in packed(todo, work, out):
        rows.append({"what": archive.name, "MB": round(archive.stat().st_size / 1e6, 2)})
    return [*rows, {"what": "source", "sha256": source_digest()}]


def main() -> None:
    """Run the suites, or one process of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", type=Path, help="suite files; by default those of SUITES")
    parser.add_argument(
        "--device", nargs="+", default=["cuda"], help="cuda, cuda:N or cpu; of several, dynamics take the faster"
    )
    parser.add_argument("--small", action="store_true", help="a few steps of each: do they run?")
    parser.add_argument("--out", type=Path, default=Path("results-gpu"), help="folder of the archives")
    parser.add_argument("--trained", type=Path, help="folder of exported models of the training recipes, RECIPE.pt")
    parser.add_argument("--model", action="append", default=[], help="only models of this name (repeat it)")
    parser.add_argument("--processes", type=int, default=PROCESSES, help="at the same time")
    parser.add_argument("--limit", type=float, default=340.0, help="seconds of the whole call")
    parser.add_argument("--piece", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--end", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.piece:
        try:
            work_on(Piece(**json.loads(asked.piece)), asked.device, asked.work, asked.end)
        except KeyboardInterrupt:
            sys.exit(130)
    suites = asked.suites or [ROOT / "benchmarks" / f"{name}.toml" for name in SUITES]
    rows = run_suites(
        suites,
        devices=asked.device,
        out=asked.out,
        trained=asked.trained,
        processes=asked.processes,
        limit_s=asked.limit,
        few_steps=asked.small,
        names=asked.model,
    )
    (asked.out / "paper.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
