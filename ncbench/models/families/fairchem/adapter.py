"""eSEN and UMA: direct and conservative models of fairchem-core 2, evaluated in batches; others (AllScAIP) by its own ASE calculator.

The library's graph is replaced by one built here from the positions in float64, and the model computes energies and, where
it has a head for them, forces; gradients of the energy are taken here, so that second derivatives are available.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import warp
from ase import Atoms

warp.config.log_level = warp.LOG_ERROR  # else its first use prints a banner

from fairchem.core import FAIRChemCalculator, pretrained_mlip  # noqa: E402  # the line above is for what this imports
from fairchem.core._config import CACHE_DIR  # noqa: E402
from fairchem.core.datasets.atomic_data import AtomicData  # noqa: E402
from fairchem.core.models.uma.escn_md import add_n_empty_edges, eSCNMDBackbone  # noqa: E402
from fairchem.core.units.mlip_unit import InferenceSettings, load_predict_unit  # noqa: E402
from fairchem.core.units.mlip_unit.utils import tf32_context_manager  # noqa: E402

from ncbench.errors import UsageError, WeightsError, did_you_mean  # noqa: E402
from ncbench.models.ase_adapter import ASEForceField  # noqa: E402
from ncbench.models.interface import Field, ForceField, ModelCard  # noqa: E402
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
from ncbench.models.options import charge_and_spin  # noqa: E402
from ncbench.models.registry import ModelRow, ParsedSpec  # noqa: E402
from ncbench.models.torch_field import TorchField, TorchForceField  # noqa: E402
from ncbench.models.trial import quiet_library, trial_structure, with_differentiability_found  # noqa: E402
from ncbench.models.verlet import VerletList  # noqa: E402
from ncbench.models.weights import gated, hub_errors  # noqa: E402
from ncbench.models.weights_files import cached_or_downloaded, in_hub_cache  # noqa: E402
from ncbench.types import ForceMode, ModelRequest  # noqa: E402

DEFAULT_TASK = "omat"
"""Of a model with several tasks: materials, with periodic boundaries as most systems of ncbench."""
OPTIONS = ("task", "charge", "spin", "net-force-removal", "tf32", "compile", "activation-checkpointing")


class FairchemForceField(TorchForceField):
    """An eSEN or UMA on one task."""

    def __init__(self, unit: Any, card: ModelCard, task: str, charge: int, spin: int) -> None:
        self.unit, self.card = unit, card
        self.task, self.charge, self.spin = task, charge, spin
        self.outputs = {entry.property: entry for entry in unit.dataset_to_tasks[task]}
        # Shared by copies, as the model is.
        self.given: list[dict[str, torch.Tensor]] = []
        _take_over_graph(unit.model.module.backbone, self.given)

    def ase_calculator(self) -> Any:
        """``FAIRChemCalculator`` on the same weights. It removes no net force."""
        return _Calculator(self.unit, self.task, self.charge, self.spin)

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        return _FairchemField(structures, self)


class _Calculator(FAIRChemCalculator):  # type: ignore[misc]  # the library is untyped
    """Sets charge and spin on a copy: the library writes them into the structure that it is given."""

    def __init__(self, unit: Any, task: str, charge: int, spin: int) -> None:
        self._charge, self._spin = charge, spin
        super().__init__(unit, task_name=task)

    def calculate(self, atoms: Any, properties: Any, system_changes: Any) -> None:
        copy = atoms.copy()
        copy.info.update(charge=self._charge, spin=self._spin)
        with quiet_library():
            super().calculate(copy, properties, system_changes)
        self.atoms = atoms.copy()


class _FairchemField(TorchField):
    def __init__(self, structures: Sequence[Atoms], owner: FairchemForceField) -> None:
        super().__init__(structures, owner.card)
        self.owner, self.model = owner, owner.unit.model
        self.dtype = getattr(torch, owner.card.dtype)
        backbone = owner.unit.model.module.backbone
        assert owner.card.cutoff_A is not None
        self.cutoff, self.neighbours = owner.card.cutoff_A, int(backbone.max_neighbors)
        self.pairs = VerletList(self.structures, self.cutoff, self.device)
        total = self.n_replicas * self.n_atoms
        numbers = np.concatenate([atoms.numbers for atoms in self.structures])
        self.fixed = {
            "atomic_numbers": torch.as_tensor(numbers, device=self.device).long(),
            "pbc": torch.as_tensor(np.stack([atoms.pbc for atoms in self.structures]), device=self.device),
            "natoms": torch.full((self.n_replicas,), self.n_atoms, device=self.device),
            "edge_index": torch.zeros((2, 0), dtype=torch.long, device=self.device),
            "cell_offsets": torch.zeros((0, 3), dtype=self.dtype, device=self.device),
            "nedges": torch.zeros((self.n_replicas,), dtype=torch.long, device=self.device),
            "charge": torch.full((self.n_replicas,), owner.charge, device=self.device),
            "spin": torch.full((self.n_replicas,), owner.spin, device=self.device),
            "fixed": torch.zeros((total,), dtype=torch.long, device=self.device),
            "tags": torch.zeros((total,), dtype=torch.long, device=self.device),
            "batch": torch.arange(self.n_replicas, device=self.device).repeat_interleave(self.n_atoms),
        }

    def compute(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        data = AtomicData(
            pos=positions.detach().reshape(-1, 3).to(self.dtype),
            cell=cells.detach().to(self.dtype),
            **{name: value.clone() for name, value in self.fixed.items()},
            sid=[""] * self.n_replicas,
            dataset=[self.owner.task] * self.n_replicas,
        )
        settings = self.owner.unit.inference_settings
        self.owner.given[:] = [self._graph(positions, cells)]
        try:
            with tf32_context_manager(settings.tf32), _energies_only(self.model.module.backbone.regress_config):
                out = self.model(data)
        finally:
            self.owner.given.clear()
        energy = self._value(out, data, "energy").reshape(self.n_replicas)
        if self.card.force_mode is ForceMode.CONSERVATIVE:
            return energy.double(), None
        return energy.double(), self._value(out, data, "forces").reshape(self.n_replicas, self.n_atoms, 3).double()

    def _value(self, out: Any, data: Any, name: str) -> torch.Tensor:
        task = self.owner.outputs[name]
        value: torch.Tensor = task.normalizer.denorm(out[task.name][name])
        if task.element_references is not None:
            # In float64: energies with all-electron references reach -10⁵ eV, where the spacing of float32 numbers is 1/64 eV.
            value = task.element_references.undo_refs(data, value.double())
        return value

    def _graph(self, positions: torch.Tensor, cells: torch.Tensor) -> dict[str, torch.Tensor]:
        pairs = nearest(self.pairs(positions, cells), self.neighbours, tolerance_A2=DEGENERATE_A2)
        vectors = pairs.vectors.to(self.dtype)
        # An edge leads from a neighbour to the atom that receives its message.
        graph = {
            "edge_index": torch.stack([pairs.second, pairs.first]),
            "edge_distance": vectors.norm(dim=-1),
            "edge_distance_vec": vectors,
        }
        if not len(pairs.first):
            # The model's products need at least one edge; this one is beyond the cutoff and contributes nothing.
            add_n_empty_edges(graph, 1, self.cutoff, fake_atom_idx=0)
        return graph


def _take_over_graph(backbone: Any, given: list[dict[str, torch.Tensor]]) -> None:
    """The backbone takes the graph in ``given`` if there is one, and otherwise builds its own (for its ASE calculator)."""
    own = backbone._generate_graph  # noqa: SLF001  # the one place where the library turns positions into edges

    def generate(data: Any) -> Any:
        if not given:
            return own(data)
        data["scatter_target"] = given[0]["edge_index"][1]
        return given[0]

    backbone._generate_graph = generate  # noqa: SLF001  # as above


@contextmanager
def _energies_only(config: Any) -> Iterator[None]:
    """Keeps the head from differentiating: it would free the graph that is needed here."""
    before = config.forces, config.stress
    if not config.direct_forces:
        config.forces = config.stress = False
    try:
        yield
    finally:
        config.forces, config.stress = before


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """Load a model by its name in the package, or an inference checkpoint.

    Raises:
        UsageError: an unknown mode, option, task, device or name.
        UntrustedCheckpointError: a file from elsewhere, which is a pickle, without ``--trust-checkpoint``.
        WeightsError: the weights are gated or cannot be downloaded, or the file is not such a checkpoint.
    """
    refuse_options(request, OPTIONS, parsed.label)
    kind, _, index = request.device.partition(":")
    if index not in ("", "0"):
        raise UsageError(
            f"fairchem-core takes no device {request.device}.",
            hint=f"Set CUDA_VISIBLE_DEVICES={index}, with --device cuda.",
        )
    path = _weights(request, row)
    dtype = request.dtype or "float32"
    settings = InferenceSettings(
        tf32=tf32(request) == "on",
        activation_checkpointing=flag(request, "activation-checkpointing", default=False),
        merge_mole=False,
        compile=flag(request, "compile", default=False),
        base_precision_dtype=dtype,
    )
    try:
        unit = load_predict_unit(path, inference_settings=settings, device=kind)
        backbone = unit.model.module.backbone
        task = _task(request, list(unit.dataset_to_tasks), parsed.label)
        # Tasks without molecules have no multiplicity, which the library writes as 0.
        system = charge_and_spin(request, parsed.label, reads=True, spin=1 if task == "omol" else 0, least_spin=0)
        charge, spin = system["charge"], system["spin"]
        _prepare(unit, task, charge, spin)
    except UNREADABLE as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(f"'{path.name}' is not an inference checkpoint of fairchem-core 2: {first}") from error
    batched = isinstance(backbone, eSCNMDBackbone)
    direct = bool(backbone.regress_config.direct_forces)
    modes = (ForceMode.DIRECT,) if direct else (ForceMode.CONSERVATIVE,)
    cutoff = float(backbone.cutoff)
    # The edge embedding adds one message exchange to those of the layers. Attention between all atoms (AllScAIP) has no range.
    receptive = cutoff * (int(backbone.num_layers) + 1) * (1 if direct else 2) if batched else None
    removed = flag(request, "net-force-removal", default=direct and batched)
    if removed and not batched:
        raise UsageError(
            f"{parsed.label} is evaluated by FAIRChemCalculator, which removes no net force.",
            hint="Leave -O net-force-removal=on out.",
        )
    calculator = _Calculator(unit, task, charge, spin)
    card = ModelCard(
        name=parsed.label,
        family="fairchem",
        force_mode=choose_mode(parsed, modes),
        force_modes=modes,
        elements=frozenset(range(1, int(backbone.max_num_elements))),
        cutoff_A=cutoff,
        receptive_A=receptive,
        dtype=dtype,
        device=request.device,
        has_stress=not direct if batched else "stress" in calculator.implemented_properties,
        net_force_removed=removed,
        checkpoint=path.name,
        checkpoint_sha256=sha256_of(path),
        packages=versions("fairchem-core", "e3nn", "torch"),
        precision={"tf32": tf32(request), "weights": "float32"},
        options={
            **dict(request.options),
            "task": task,
            "charge": str(charge),
            "spin": str(spin),
            "compile": "on" if settings.compile else "off",
            "merge-mole": "off",
            "activation-checkpointing": "on" if settings.activation_checkpointing else "off",
            "neighbours": str(backbone.max_neighbors),
            **({} if batched else {"evaluation": "one structure at a time, by FAIRChemCalculator"}),
        },
        licence=row.licence,
        citation=row.citation,
    )
    if not batched:
        return ASEForceField(calculator, card)
    return with_differentiability_found(FairchemForceField(unit, card, task, charge, spin))


def _weights(request: ModelRequest, row: ModelRow) -> Path:
    if request.checkpoint is not None:
        path = Path(request.checkpoint)
        require_trust(path, request, row=row)
        return path
    known = pretrained_mlip.available_models
    if row.source not in known:
        near = did_you_mean(row.source, known)
        raise UsageError(
            f"fairchem-core {versions('fairchem-core')['fairchem-core']} has no '{row.source}'.", hint=near
        )
    entry = pretrained_mlip._MODEL_CKPTS.checkpoints[row.source]  # noqa: SLF001  # nothing public says where a model lies
    file = "/".join(filter(None, (entry.subfolder, entry.filename)))
    cached = in_hub_cache(entry.repo_id, file, cache=Path(CACHE_DIR))
    try:
        return cached_or_downloaded(
            row,
            cached[0] if cached else None,
            lambda: Path(pretrained_mlip.pretrained_checkpoint_path_from_name(row.source)),
        )
    except hub_errors(ValueError) as error:
        raise gated(row.name, error, entry.repo_id, file) from error


def _task(request: ModelRequest, known: list[str], label: str) -> str:
    wanted = dict(request.options).get("task")
    if wanted is None and len(known) == 1:
        return known[0]
    if wanted is None and DEFAULT_TASK in known:
        return DEFAULT_TASK
    if wanted is None:
        raise UsageError(f"{label} needs a task, one of {', '.join(known)}.", hint=f"Add -O task={known[0]}.")
    if wanted not in known:
        raise UsageError(f"{label} has no task '{wanted}'.", hint=f"It has: {', '.join(known)}.")
    return wanted


def _prepare(unit: Any, task: str, charge: int, spin: int) -> None:
    """One prediction: the library finishes its model (dtype, device, backend) when it first sees a structure."""
    atoms = trial_structure((1, 8))
    atoms.info.update(charge=charge, spin=spin)
    dtype = unit.inference_settings.base_precision_dtype
    unit.predict(AtomicData.from_ase(atoms, task_name=task, r_data_keys=["spin", "charge"], target_dtype=dtype))
