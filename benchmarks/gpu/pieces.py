"""The runs of suites as pieces of one process each: a run with one model and one value of every varied setting."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKED = {"sevennet-0": "sevennet", "pet-m": "pet"}
"""Archive of a model; those of the recipes are in ``trained``."""
SIDE_BY_SIDE = "timing"
"""A diagnostic that means nothing beside other processes: it is left out."""
DYNAMICS = ("nvt", "nve-drift")
LEAST_FS = 10.0
KEPT = ("system", "structure", "structures", "seeds", "dtype")
"""Keys of a run that its processes have too."""


@dataclass(frozen=True)
class Piece:
    """One process: a run of a suite with one model and one value of each varied setting."""

    name: str
    run: Mapping[str, Any]

    @property
    def model(self) -> str:
        """Model as the suite names it."""
        return str(self.run["models"][0])

    @property
    def archive(self) -> str:
        """Stem of the archive that gets its results."""
        return PACKED.get(self.model.partition(":")[0], "trained")


def pieces(path: Path, models: Sequence[str]) -> Iterator[Piece]:
    """The processes of a suite, of the models whose name (without mode) is among ``models``."""
    for number, run in enumerate(tomllib.loads(path.read_text(encoding="utf-8"))["run"], 1):
        diagnostics = [name for name in run["diagnostics"] if name != SIDE_BY_SIDE]
        varied = {
            (diagnostic, setting): values
            for diagnostic, settings in run.get("vary", {}).items()
            for setting, values in settings.items()
        }
        for model in run["models"]:
            if model.partition(":")[0] not in models or not diagnostics:
                continue
            for chosen in itertools.product(*varied.values()):
                settings = {name: dict(entry) for name, entry in run.get("settings", {}).items() if name in diagnostics}
                for (diagnostic, setting), value in zip(varied, chosen, strict=True):
                    # A setting that is a list (thermostats) is varied over single entries.
                    entry = [value] if setting == "thermostats" else value
                    settings.setdefault(diagnostic, {})[setting] = entry
                label = "-".join([path.stem, str(number), model, *map(str, chosen)]).replace(":", "-")
                kept = {key: run[key] for key in KEPT if key in run}
                yield Piece(label, {"diagnostics": diagnostics, "models": [model], **kept, "settings": settings})


def small(piece: Piece) -> Piece:
    """The same with a few steps: does it run?"""
    settings = {name: dict(entry) for name, entry in piece.run["settings"].items()}
    for entry in settings.values():
        for key, value in (
            ("duration_fs", 2.0),
            ("equilibration_fs", 1.0),
            ("n", 2),
            ("max_steps", 3),
            ("replicas", 1),
        ):
            if key in entry:
                entry[key] = value
    run = {**piece.run, "settings": settings}
    return Piece(piece.name, run | ({"structures": 1} if "structures" in run else {}))


def suite_text(piece: Piece, device: str) -> str:
    """The suite of one process."""
    lines = ["[suite]", f"name = {json.dumps(piece.name)}", 'summary = "side by side with others"', "", "[[run]]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in piece.run.items() if key != "settings"]
    lines.append(f"device = {json.dumps(device)}")
    for name, entry in piece.run["settings"].items():
        content = ", ".join(f"{key} = {json.dumps(value)}" for key, value in entry.items())
        lines.append(f"settings.{name} = {{ {content} }}")
    return "\n".join(lines) + "\n"


def shortened(piece: Piece, step_s: float, left_s: float) -> Piece:
    """Dynamics that fit into ``left_s``: equilibration at most a fifth, both in multiples of 10 fs."""
    settings = {name: dict(entry) for name, entry in piece.run["settings"].items()}
    for name in DYNAMICS:
        entry = settings.get(name, {})
        if "duration_fs" not in entry:
            continue
        timestep = entry.get("timestep_fs", 0.5)
        fits_fs = left_s / step_s * timestep
        equilibration = entry.get("equilibration_fs", 0.0)
        if equilibration + entry["duration_fs"] > fits_fs:
            if equilibration:
                entry["equilibration_fs"] = equilibration = min(equilibration, _tens(fits_fs / 5.0))
            entry["duration_fs"] = min(entry["duration_fs"], _tens(fits_fs - equilibration))
    return Piece(piece.name, {**piece.run, "settings": settings})


def _tens(fs: float) -> float:
    return max(LEAST_FS, fs // 10.0 * 10.0)


def is_dynamics(piece: Piece) -> bool:
    """Whether the length is known in steps of dynamics."""
    return any("duration_fs" in piece.run["settings"].get(name, {}) for name in DYNAMICS)
