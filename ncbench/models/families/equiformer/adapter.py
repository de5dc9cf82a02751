"""EquiformerV2 and eSEN-30M: models of fairchem-core 1, evaluated in batches, without Jacobian products.

EquiformerV2 rotates each edge's frame by a matrix that is detached from autograd, so that derivatives by back-propagation lack
the dependence of the forces on edge directions: black-box methods must be used. The library draws the frame's angle about the edge at
random, which changes results by rounding alone (1e-6 eV/Å); here it is a function of the edge, so that results are bitwise reproducible.

eSEN-30M differentiates its energy inside the library; its random frames are drawn from a fixed seed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from ncbench.models.scatter import stand_in

stand_in()

from fairchem.core.common.relaxation.ase_utils import OCPCalculator  # noqa: E402
from fairchem.core.models.base import GraphData  # noqa: E402
from fairchem.core.models.model_registry import MODEL_REGISTRY, model_name_to_local_file  # noqa: E402
from torch_geometric.data import Batch, Data  # noqa: E402

from ncbench.errors import NotDifferentiableError, UnsupportedError, UsageError, WeightsError, did_you_mean  # noqa: E402
from ncbench.models.interface import Field, ForceField, Linearization, ModelCard  # noqa: E402
from ncbench.models.loading import (  # noqa: E402
    UNREADABLE,
    choose_mode,
    flag,
    refuse_options,
    require_trust,
    sha256_of,
    tf32,
    versions,
)
from ncbench.models.neighbours import DEGENERATE_A2, nearest  # noqa: E402
from ncbench.models.registry import ModelRow, ParsedSpec  # noqa: E402
from ncbench.models.torch_field import TorchField, TorchForceField  # noqa: E402
from ncbench.models.trial import default_dtype, quiet_library  # noqa: E402
from ncbench.models.verlet import VerletList  # noqa: E402
from ncbench.models.weights import gated, hub_errors, not_to_be_had  # noqa: E402
from ncbench.models.weights_download import download  # noqa: E402
from ncbench.models.weights_files import cached_or_downloaded, in_hub_cache  # noqa: E402
from ncbench.types import ForceMode, ModelRequest  # noqa: E402

OPTIONS = ("net-force-removal", "tf32")
_NO_WEIGHTS_ONLY = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


class EquiformerForceField(TorchForceField):
    """A model behind an OCPCalculator."""

    def __init__(self, calculator: Any, card: ModelCard) -> None:
        self.calculator, self.card = calculator, card
        self.trainer = calculator.trainer
        self.backbone = _backbone(calculator)
        # Shared by copies, as the model is.
        self.given: list[Any] = []
        own, given = self.backbone.generate_graph, self.given
        # eSEN calls it with the batch whose positions and cells it differentiates by, and reads a dictionary.
        made = _differentiable_graph if _is_esen(self.backbone) else _graph_as_it_is
        self.backbone.generate_graph = lambda data, *rest, **more: (
            made(given[0], data) if given else own(data, *rest, **more)
        )

        if hasattr(self.backbone, "_init_edge_rot_mat"):
            self.backbone._init_edge_rot_mat = _frames  # noqa: SLF001  # the one place where chance comes in

    def ase_calculator(self) -> Any:
        """``OCPCalculator`` on the same weights; ``None`` in float64, which it does not support. It removes no net force."""
        return self.calculator if self.card.dtype == "float32" else None

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        return _EquiformerField(structures, self)


class _EquiformerField(TorchField):
    def __init__(self, structures: Sequence[Atoms], owner: EquiformerForceField) -> None:
        super().__init__(structures, owner.card)
        self.owner = owner
        self.dtype = getattr(torch, owner.card.dtype)
        assert owner.card.cutoff_A is not None
        self.pairs = VerletList(self.structures, owner.card.cutoff_A, self.device)
        self.neighbours = int(owner.backbone.max_neighbors)
        strict = bool(getattr(owner.backbone, "enforce_max_neighbors_strictly", True))
        self.tolerance = None if strict else DEGENERATE_A2
        self.batch = Batch.from_data_list(
            [
                Data(
                    pos=torch.as_tensor(atoms.positions, dtype=self.dtype),
                    cell=torch.as_tensor(np.asarray(atoms.cell), dtype=self.dtype)[None],
                    pbc=torch.as_tensor(atoms.pbc)[None],
                    atomic_numbers=torch.as_tensor(atoms.numbers),
                    natoms=len(atoms),
                    tags=torch.zeros(len(atoms), dtype=torch.int),
                    fixed=torch.zeros(len(atoms), dtype=torch.int),
                )
                for atoms in self.structures
            ]
        ).to(self.device)

    def linearize(self, positions: torch.Tensor) -> Linearization:
        """Not supported: see the module."""
        raise NotDifferentiableError(
            f"Autograd does not reach the positions in {self.card.label}.", hint="Use --method finite-difference."
        )

    def compute(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        out = self._predicted(positions, cells)
        return out["energy"], out["forces"]

    def compute_with_stress(
        self, positions: torch.Tensor, cells: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if not self.card.has_stress:
            return super().compute_with_stress(positions, cells)
        out = self._predicted(positions, cells)
        return out["energy"], out["forces"], out["stress"]

    def _predicted(self, positions: torch.Tensor, cells: torch.Tensor) -> dict[str, torch.Tensor]:
        """Energies [R], forces [R, N, 3] and, where there is a head for it, stresses [R, 3, 3], float64."""
        shapes = {"energy": (self.n_replicas,), "forces": positions.shape, "stress": (self.n_replicas, 3, 3)}
        pairs = nearest(self.pairs(positions.detach(), cells.detach()), self.neighbours, tolerance_A2=self.tolerance)
        if not len(pairs.first):
            if bool(torch.isfinite(positions).all()):
                raise UnsupportedError(f"{self.card.name} needs two atoms within {self.card.cutoff_A} Å of each other.")
            return {name: positions.new_full(shape, torch.nan) for name, shape in shapes.items()}
        batch = self.batch.clone()
        batch.pos = positions.detach().reshape(-1, 3).to(self.dtype)
        batch.cell = cells.detach().to(self.dtype)
        vectors = pairs.vectors.to(self.dtype)
        counts = torch.bincount(pairs.replica, minlength=self.n_replicas)
        graph = GraphData(
            edge_index=torch.stack([pairs.second, pairs.first]),
            edge_distance=vectors.norm(dim=-1),
            edge_distance_vec=vectors,
            cell_offsets=pairs.shifts.to(self.dtype),
            offset_distances=torch.einsum("pa,pab->pb", pairs.shifts.to(self.dtype), batch.cell[pairs.replica]),
            neighbors=counts,
            batch_full=batch.batch,
            atomic_numbers_full=batch.atomic_numbers.long(),
            node_offset=0,
        )
        self.owner.given[:] = [graph]
        try:
            with default_dtype(self.dtype), torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                out = self.owner.trainer.predict(batch, per_image=False, disable_tqdm=True)
        finally:
            self.owner.given.clear()
        return {name: out[name].reshape(shape).double() for name, shape in shapes.items() if name in out}


def _is_esen(backbone: Any) -> bool:
    return type(backbone).__name__ == "eSEN_Backbone"


def _graph_as_it_is(graph: GraphData, _data: Any) -> GraphData:
    return graph


def _differentiable_graph(graph: GraphData, data: Any) -> dict[str, Any]:
    """The graph as eSEN reads it, its vectors those of ``graph`` in value and functions of the batch's positions and cells."""
    first, second = graph.edge_index[1], graph.edge_index[0]
    cells = data["cell"][data["batch"][first]]
    own = data["pos"][second] - data["pos"][first] + torch.einsum("pa,pab->pb", graph.cell_offsets, cells)
    vectors = graph.edge_distance_vec + (own - own.detach())
    return {
        "edge_index": graph.edge_index,
        "edge_distance": vectors.norm(dim=-1),
        "edge_distance_vec": vectors,
        "cell_offsets": graph.cell_offsets,
        "offset_distances": None,
        "neighbors": None,
        "node_offset": 0,
        "batch_full": graph.batch_full,
        "atomic_numbers_full": graph.atomic_numbers_full,
    }


def _frames(_data: Any, _edge_index: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Rotation [P, 3, 3] of each edge onto the second axis, its third axis across the Cartesian one farthest from the edge."""
    along = vectors / vectors.norm(dim=1, keepdim=True)
    helper = torch.nn.functional.one_hot(along.abs().argmin(dim=1), num_classes=3).to(along.dtype)
    across = torch.nn.functional.normalize(torch.linalg.cross(along, helper), dim=1)
    return torch.stack([across, along, torch.linalg.cross(across, along)], dim=1)


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """Load a model by its name in the package, or a checkpoint of fairchem-core 1.

    Raises:
        UsageError: an unknown mode, option or name.
        UntrustedCheckpointError: a file that holds more than tensors and plain values, without ``--trust-checkpoint``.
        WeightsError: the weights are gated or cannot be downloaded, or the file is not such a checkpoint.
    """
    refuse_options(request, OPTIONS, parsed.label)
    path = _weights(request, row)
    cpu = not request.device.startswith("cuda")
    try:
        os.environ[_NO_WEIGHTS_ONLY] = "1"  # trusted by now; the loader restores the variable
        calculator = OCPCalculator(checkpoint_path=str(path), cpu=cpu, seed=0)
        backbone = _backbone(calculator)
    except UNREADABLE as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(f"'{path.name}' is not a checkpoint of fairchem-core 1: {first}") from error
    finally:
        os.environ.pop(_NO_WEIGHTS_ONLY, None)
    dtype = request.dtype or "float32"
    calculator.trainer.model.to(getattr(torch, dtype)).eval().requires_grad_(False)
    for part in (*calculator.trainer.normalizers.values(), *calculator.trainer.elementrefs.values()):
        part.to(getattr(torch, dtype))
    direct = bool(getattr(backbone, "direct_forces", True))
    mode = ForceMode.DIRECT if direct else ForceMode.CONSERVATIVE
    cutoff, layers = float(backbone.cutoff), int(backbone.num_layers)
    card = ModelCard(
        name=parsed.label,
        family="equiformer",
        force_mode=choose_mode(parsed, (mode,)),
        force_modes=(mode,),
        elements=frozenset(range(1, int(backbone.max_num_elements))),
        cutoff_A=cutoff,
        # The edge embedding and the force head each add one message exchange to those of the layers.
        receptive_A=cutoff * (layers + 2) * (1 if direct else 2),
        dtype=dtype,
        device=request.device,
        has_energy=True,
        # Gradients with respect to the cell do not reach the batched evaluation.
        has_stress=direct and "stress" in calculator.trainer.config["outputs"],
        net_force_removed=flag(request, "net-force-removal", default=direct),
        checkpoint=path.name,
        checkpoint_sha256=sha256_of(path),
        packages=versions("fairchem-core", "e3nn", "torch"),
        precision={"tf32": tf32(request), "weights": "float32", "amp": "off"},
        options={**dict(request.options), "neighbours": str(backbone.max_neighbors)},
        licence=row.licence,
        citation=row.citation,
    )
    with quiet_library():
        return EquiformerForceField(calculator, card)


def _backbone(calculator: Any) -> Any:
    model = calculator.trainer._unwrapped_model  # noqa: SLF001  # the model without its data-parallel wrapper
    return getattr(model, "backbone", model)


def _weights(request: ModelRequest, row: ModelRow) -> Path:
    if request.checkpoint is not None:
        path = Path(request.checkpoint)
        if not path.is_file():
            raise WeightsError(f"There is no file '{request.checkpoint}'.", hint="Check the path.")
        if not _plain(path):
            require_trust(path, request, row=row)
        return path
    entry = MODEL_REGISTRY.models.get(row.source)
    if entry is None:
        near = did_you_mean(row.source, MODEL_REGISTRY.models)
        raise UsageError(
            f"fairchem-core {versions('fairchem-core')['fairchem-core']} has no '{row.source}'.", hint=near
        )
    cache = Path(os.environ.get("FAIRCHEM_CACHE_DIR", Path.home() / ".cache" / "fairchem"))
    if url := str(getattr(entry, "url", "")):
        target = cache / url.rpartition("/")[2]
        try:
            # Not by the package, which stores a server's message of an error as weights.
            return cached_or_downloaded(row, target, lambda: download(url, target))
        except OSError as error:
            raise not_to_be_had(row.name, error, url=url, trust=True) from error
    cached = in_hub_cache(entry.repo_id, entry.filename)
    try:
        return cached_or_downloaded(
            row, cached[0] if cached else None, lambda: Path(model_name_to_local_file(row.source, cache))
        )
    except hub_errors(ValueError) as error:
        raise gated(row.name, error, entry.repo_id, entry.filename) from error


def _plain(path: Path) -> bool:
    """The file holds tensors and plain values only: reading it runs no code."""
    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UNREADABLE:
        return False
    return True
