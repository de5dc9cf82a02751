"""Step times of MACE and ORB in the sizes of their published models, with random weights: the published ones cannot be had everywhere.

A step's time depends on the shapes of the weights and on the number of edges, hardly on the weights. Forces are made small, so that the
structure, and with it the number of edges, remains that of liquid water.
"""

from __future__ import annotations

import sys
import tempfile
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from measure_speed import water

from ncbench.api.measurement import measure
from ncbench.errors import NcbenchError
from ncbench.models.loading import load_forcefield
from ncbench.models.trial import quiet_library
from ncbench.structures.water import water_box
from ncbench.types import ModelRequest

if TYPE_CHECKING:
    from campaign import Call

ROOT = Path(__file__).resolve().parents[2]
Row = dict[str, Any]
WEIGHTS = "random weights, published size"
COLUMNS = (
    "path",
    "batch",
    "ms_per_step",
    "ms_per_step_low",
    "ms_per_step_high",
    "n_steps",
    "first_step_ms",
    "peak_memory_MiB",
    "status",
    "reason",
)
SMALL_FORCES = 1e-3
"""Factor of the last layer of ORB's heads, and MACE's scale in eV: forces of some meV/Å."""
SECONDS_OF_A_PATH = 7.0
"""Most seconds that the steps of a code path may take, with the steps before timing starts."""


@dataclass(frozen=True)
class Size:
    """A published model's shapes."""

    spec: str
    """What ``--model`` takes, mode included."""
    like: str
    """The published models of this size."""
    write: Callable[[Path], int]
    """Writes a file of random weights and returns their number."""
    options: tuple[tuple[str, str], ...] = ()


def write_mace(path: Path, *, hidden: str, elements: int = 89) -> int:
    """A ScaleShiftMACE with the settings of MACE-MP-0 (Batatia et al. 2023, arXiv:2401.00096) and the given features."""
    with quiet_library():
        import mace  # noqa: F401  # first: it makes e3nn 0.4 able to read its tables with this version of torch
        from e3nn import o3
        from mace import modules

        torch.manual_seed(0)
        block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
        model = modules.ScaleShiftMACE(
            r_max=6.0,
            num_bessel=10,
            num_polynomial_cutoff=5,
            max_ell=3,
            interaction_cls=block,
            interaction_cls_first=block,
            num_interactions=2,
            num_elements=elements,
            hidden_irreps=o3.Irreps(hidden),
            MLP_irreps=o3.Irreps("16x0e"),
            gate=torch.nn.functional.silu,
            atomic_energies=np.zeros(elements),
            avg_num_neighbors=60.0,
            atomic_numbers=list(range(1, elements + 1)),
            correlation=3,
            atomic_inter_scale=SMALL_FORCES,
            atomic_inter_shift=0.0,
        )
        torch.save(model.float().eval(), path)
    return sum(parameter.numel() for parameter in model.parameters())


def write_orb(path: Path, *, name: str) -> int:
    """A state dict of the package's own architecture of that name."""
    without_downloads()
    sys.path.insert(0, str(ROOT / "tests" / "tiny_checkpoints"))
    with quiet_library():
        from tiny_orb import build

        state = build(name)
    last: dict[str, str] = {}
    for key in state:
        head, layer, _ = key.partition(".mlp.")
        if layer:
            last[head] = key.rpartition(".")[0]
    for key, value in state.items():
        if key.rpartition(".")[0] in last.values():
            state[key] = SMALL_FORCES * value
    torch.save(state, path)
    return sum(value.numel() for key, value in state.items() if key.endswith((".weight", ".bias")))


def without_downloads() -> None:
    """Let orb-models be imported without the package of its downloads, whose own requirements are larger than everything else here."""
    if "cached_path" not in sys.modules and find_spec("cached_path") is None:
        module = types.ModuleType("cached_path")
        module.__spec__ = ModuleSpec("cached_path", loader=None)
        module.cached_path = Path  # type: ignore[attr-defined]  # files are given by their path
        module.find_latest_cached = lambda _: None  # type: ignore[attr-defined]
        sys.modules["cached_path"] = module


MEDIUM, LARGE = (partial(write_mace, hidden=hidden) for hidden in ("128x0e + 128x1o", "128x0e + 128x1o + 128x2e"))
SIZES = (
    Size("mace-mp-0-medium:conservative", "MACE-MP-0 medium", MEDIUM),
    Size("mace-mp-0-medium:conservative", "MACE-MP-0 medium", MEDIUM, (("tf32", "on"),)),
    Size("mace-mp-0-large:conservative", "MACE-MP-0 large", LARGE),
    Size("orb-v2:direct", "ORB-v2", partial(write_orb, name="orb-v2")),
    Size("orb-v2:direct", "ORB-v2", partial(write_orb, name="orb-v2"), (("precision", "float32-high"),)),
    Size("orb-v3-direct-20-omat:direct", "ORB-v3 direct, 20 neighbours", partial(write_orb, name="orb-v3-direct-20-omat")),
)  # fmt: skip


def both_modes(neighbours: str) -> tuple[Size, Size]:
    """A conservative ORB-v3 with a force head as well, in both modes: what the gradient costs on one network."""
    name = f"orb-v3-conservative-{neighbours}-omat"
    like = f"ORB-v3 conservative, {'120' if neighbours == 'inf' else neighbours} neighbours"
    write = partial(write_orb, name=f"{name}-with-head")
    return Size(f"{name}:conservative", like, write), Size(f"{name}:direct", f"{like}, with a force head", write)


def published_sizes(call: Call) -> list[Row]:
    """Milliseconds a step of 192 atoms of water in float32, by both code paths, and by the adapter for replicas together."""
    rows: list[Row] = []
    sizes = (*SIZES, *both_modes("20"), *both_modes("inf"))
    for size in sizes:
        options = {"options": " ".join(f"{name}={value}" for name, value in size.options)} if size.options else {}
        common = {"model": size.spec, "shapes": size.like, "weights": WEIGHTS, **options}
        if call.left_s < 20.0:
            rows.append({**common, "reason": "no time is left"})
            continue
        try:
            rows += [{**common, **row} for row in _times(size, call)]
        except NcbenchError as error:
            rows.append({**common, "reason": error.message})
        except (ImportError, RuntimeError, AttributeError, TypeError, ValueError, OSError) as error:
            # Packages of other versions than those tested: the others are still measured.
            rows.append({**common, "reason": f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"})
    return rows


def _times(size: Size, call: Call) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.model"
        count = size.write(path)
        request = ModelRequest(
            spec=size.spec, checkpoint=str(path), trust_checkpoint=True, device=call.device, dtype="float32", options=size.options
        )  # fmt: skip
        forcefield = load_forcefield(request)

    def timed(**settings: Any) -> list[Row]:
        atoms = water_box(8, density_g_cm3=0.8, seed=1) if call.small else water()
        return [dict(row) for row in measure("timing", forcefield, atoms, progress=False, **settings).rows]

    if call.small:
        rows = timed(repeats=1, steps=1, warmup_steps=1)
    else:
        # The compilation of MACE's operations is in the first steps.
        (first,) = timed(repeats=2, steps=2, warmup_steps=4, path="adapter")
        if first["status"] != "ok":
            return [_kept(first, count)]
        steps = max(1, min(10, int(1e3 * SECONDS_OF_A_PATH / 12 / first["ms_per_step"])))
        rows = timed(repeats=10, steps=steps, warmup_steps=2 * steps)
        rows += timed(repeats=5, steps=2, warmup_steps=2, batch=8, path="adapter")
    return [_kept(row, count) for row in rows]


def _kept(row: Row, parameters: int) -> Row:
    return {"n_atoms": row["n_atoms"], "parameters": parameters, **{name: row[name] for name in COLUMNS}}
