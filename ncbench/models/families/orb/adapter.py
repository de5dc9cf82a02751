"""ORB: v2 and v3, direct and conservative, of orb-models, evaluated in batches.

The graph is built here: edge vectors in float64 from the positions, and for each atom as many nearest neighbours as the model
uses (20 or 120). Energies come from the energy head, forces from the force head or as minus the gradient. Energies of isolated
atoms are added here in float64: energies with all-electron references (OMol25) reach -10⁵ eV for a structure, where the
spacing of float32 numbers is 1/64 eV.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from cached_path import find_latest_cached

from ncbench.errors import UnsupportedError, UsageError, WeightsError, did_you_mean
from ncbench.models.ase_adapter import ASEForceField
from ncbench.models.families.orb.library import (
    EDGES,
    ORB_PRETRAINED_MODELS,
    SYSTEM_NAMES,
    AtomGraphs,
    ForceHead,
    Loaded,
    ORBCalculator,
    compute_pbc_radius_graph,
    make,
)
from ncbench.models.interface import Field, ForceField, ModelCard
from ncbench.models.loading import UNREADABLE, choose_mode, flag, refuse_options, sha256_of, versions
from ncbench.models.neighbours import nearest
from ncbench.models.options import charge_and_spin, choice
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.models.torch_field import TorchField, TorchForceField
from ncbench.models.trial import default_dtype, matmul_precision, quiet_library, with_differentiability_found
from ncbench.models.verlet import Pairs, VerletList
from ncbench.models.weights import not_to_be_had
from ncbench.models.weights_download import download
from ncbench.models.weights_files import cached_or_downloaded, folder_of
from ncbench.types import ForceMode, ModelRequest

OPTIONS = ("architecture", "precision", "compile", "edges", "net-force-removal", "charge", "spin")
PRECISIONS = ("float32-highest", "float32-high", "float64")
HEAD = "forces"
VOIGT = [[0, 5, 4], [5, 1, 3], [4, 3, 2]]
"""Index of each element of the symmetric tensor among xx, yy, zz, yz, xz, xy."""


class OrbForceField(TorchForceField):
    """An ORB in one force mode."""

    def __init__(self, loaded: Loaded, card: ModelCard, *, force_head: Any, edges: str, system: dict[str, int]) -> None:
        self.loaded, self.model = loaded, loaded.model
        self.card = card
        self.force_head, self.edges, self.system = force_head, edges, system
        self.dtype: torch.dtype = getattr(torch, card.dtype)
        self.matmul = "high" if card.precision["precision"] == "float32-high" else "highest"

    def check(self, structures: Sequence[Atoms]) -> None:
        """See :class:`ncbench.models.interface.ForceField`; ORB's graphs are periodic in all directions or in none."""
        super().check(structures)
        if any(atoms.pbc.any() and not atoms.pbc.all() for atoms in structures):
            raise UnsupportedError(
                f"{self.card.name} takes structures that are periodic in all three directions or in none.",
                hint="Make it periodic in all, with vacuum.",
            )

    def sibling(self, mode: ForceMode) -> ForceField:
        """See :class:`ncbench.models.interface.ForceField`."""
        if mode is self.card.force_mode or mode not in self.card.force_modes:
            return super().sibling(mode)
        card = replace(self.card, **_of_mode(mode, self.force_head, self.loaded))
        return OrbForceField(self.loaded, card, force_head=self.force_head, edges=self.edges, system=self.system)

    def without_net_force_removal(self) -> ForceField:
        """See :class:`ncbench.models.interface.ForceField`; the head without the removal is a copy."""
        if not self.card.net_force_removed:
            return self
        head = copy.deepcopy(self.force_head)
        head.remove_mean = head.remove_torque_for_nonpbc_systems = False
        card = replace(self.card, net_force_removed=False, options={**self.card.options, "removal": "none"})
        return OrbForceField(self.loaded, card, force_head=head, edges=self.edges, system=self.system)

    def ase_calculator(self) -> Any:
        """``ORBCalculator`` on the same weights, in the same precision and mode; ``None`` for a head that the library does not load."""
        if self.card.force_mode is ForceMode.DIRECT and self.force_head is not dict(self.model.heads).get(HEAD):
            return None
        return _Calculator(self)

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        return _OrbField(structures, self)

    def arithmetic(self) -> ExitStack:
        """Sets process-wide switches that the library's code reads, for the duration of one call."""
        stack = ExitStack()
        stack.enter_context(matmul_precision(self.matmul))
        stack.enter_context(default_dtype(self.dtype))
        return stack


class _Calculator(ORBCalculator):  # type: ignore[misc]  # the library is untyped
    def __init__(self, owner: OrbForceField) -> None:
        self._owner = owner
        arguments, keywords = owner.loaded.calculator(
            conservative=owner.card.force_mode is ForceMode.CONSERVATIVE,
            edges=None if owner.edges == "list" else owner.edges,
            device=owner.card.device,
        )
        super().__init__(*arguments, **keywords)

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = ("positions",)) -> None:
        if self._owner.system and atoms is not None:
            atoms = atoms.copy()
            atoms.info.update(self._owner.system)
        with quiet_library(), self._owner.arithmetic():
            super().calculate(atoms, properties, system_changes)


class _OrbField(TorchField):
    def __init__(self, structures: Sequence[Atoms], owner: OrbForceField) -> None:
        super().__init__(structures, owner.card)
        self.owner, self.model, self.dtype = owner, owner.model, owner.dtype
        self.radius, self.neighbours = owner.loaded.radius_A, owner.loaded.neighbours
        self.pairs = VerletList(self.structures, self.radius, self.device)
        numbers = torch.as_tensor(np.concatenate([a.numbers for a in self.structures]), device=self.device).long()
        self.periodic = torch.as_tensor([bool(a.pbc.all()) for a in self.structures], device=self.device)
        counts = torch.full((self.n_replicas,), self.n_atoms, device=self.device)
        self.nodes = {
            "atomic_numbers": numbers,
            "atomic_numbers_embedding": torch.nn.functional.one_hot(numbers, num_classes=118).to(self.dtype),
        }
        self.system = {
            "pbc": self.periodic[:, None].expand(-1, 3),
            **{
                SYSTEM_NAMES[name]: torch.full((self.n_replicas,), value, dtype=self.dtype, device=self.device)
                for name, value in owner.system.items()
            },
        }
        # [118], by atomic number.
        references = owner.model.heads["energy"].reference.linear.weight.detach().double().reshape(-1)
        self.reference_eV = references[numbers].reshape(self.n_replicas, self.n_atoms).sum(dim=1)
        self.fixed = {"n_node": counts, "max_num_neighbors": torch.full_like(counts, self.neighbours)}

    def compute(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        energy, forces, _ = self._computed(positions, cells, stress=False)
        return energy, forces

    def compute_with_stress(
        self, positions: torch.Tensor, cells: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if not self.card.has_stress:
            return super().compute_with_stress(positions, cells)
        energy, forces, stress = self._computed(positions, cells, stress=True)
        assert forces is not None
        assert stress is not None
        return energy, forces, stress

    def _computed(
        self, positions: torch.Tensor, cells: torch.Tensor, *, stress: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Energies [R], the force head's forces [R, N, 3] in direct mode, and the stress head's stresses [R, 3, 3] if asked for."""
        with self.owner.arithmetic():
            graph = self._graph(positions, cells)
            features = self.model.model(graph)["node_features"]
            repulsion = self.model.pair_repulsion_fn(graph) if self.model.pair_repulsion else {}
            energy = self.owner.loaded.interaction_energy(features, graph, self.n_atoms) + repulsion.get("energy", 0.0)
            forces = head_stress = None
            if self.card.force_mode is ForceMode.DIRECT:
                forces = self.owner.force_head.predict(features, graph) + repulsion.get("forces", 0.0)
                forces = forces.reshape(self.n_replicas, self.n_atoms, 3).double()
            if stress:
                components = self.owner.loaded.stress(features, graph) + repulsion.get("stress", 0.0)
                head_stress = components[:, VOIGT].double()
        return energy.reshape(self.n_replicas).double() + self.reference_eV, forces, head_stress

    def _graph(self, positions: torch.Tensor, cells: torch.Tensor) -> AtomGraphs:
        pairs = self._edges(positions, cells)
        # The library recognises an isolated system, whose torque the head removes, by its empty cell.
        cells = torch.where(self.periodic[:, None, None], cells, torch.zeros_like(cells)).to(self.dtype)
        return AtomGraphs(
            senders=pairs.first,
            receivers=pairs.second,
            n_edge=torch.bincount(pairs.replica, minlength=self.n_replicas),
            node_features={**self.nodes, "positions": positions.reshape(-1, 3).to(self.dtype)},
            edge_features={"vectors": pairs.vectors.to(self.dtype), "unit_shifts": pairs.shifts.to(self.dtype)},
            system_features={**self.system, "cell": cells},
            node_targets=None,
            edge_targets=None,
            system_targets=None,
            system_id=None,
            fix_atoms=None,
            tags=None,
            radius=self.radius,
            **self.fixed,
        )

    def _edges(self, positions: torch.Tensor, cells: torch.Tensor) -> Pairs:
        if self.owner.edges == "list":
            return nearest(self.pairs(positions, cells), self.neighbours)
        parts = []
        for index, (at, cell) in enumerate(zip(positions.detach(), cells.detach(), strict=True)):
            if not bool(torch.isfinite(at).all()):
                continue
            edges, _, shifts = compute_pbc_radius_graph(
                positions=at,
                cell=cell if self.periodic[index] else torch.zeros_like(cell),
                pbc=self.periodic[index].expand(3),
                radius=self.radius,
                max_number_neighbors=self.neighbours,
                edge_method=self.owner.edges,
                device=self.device,
                float_dtype=torch.float64,
            )
            replica = torch.full((edges.shape[1], 1), index, device=self.device)
            parts.append(torch.cat([edges.T + index * self.n_atoms, shifts.long(), replica], dim=1))
        table = torch.cat(parts) if parts else torch.zeros((0, 6), dtype=torch.long, device=self.device)
        first, second, shifts, replica = table[:, 0], table[:, 1], table[:, 2:5], table[:, 5]
        flat = positions.reshape(-1, 3)
        vectors = flat[second] - flat[first] + torch.einsum("pa,pab->pb", shifts.double(), cells[replica])
        return Pairs(first, second, shifts, replica, vectors)


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """Load an ORB by the package's own function; ``--checkpoint`` is a state dict of that architecture.

    Only tensors are unpickled, so ``--trust-checkpoint`` is not needed.

    Raises:
        UsageError: an unknown mode, option or name.
        WeightsError: the weights cannot be downloaded, or are not of this architecture.
    """
    refuse_options(request, OPTIONS, parsed.label)
    precision = _precision(request)
    # A state dict does not name its architecture: an entry for a user's own file must.
    architecture = dict(request.options).get("architecture", "" if row.weights == "file" else row.source)
    if not architecture:
        raise UsageError(
            f"{parsed.label} does not say which ORB it is.",
            hint='Add options = { architecture = "orb-v2" } to its entry, or give -O architecture=orb-v2.',
        )
    function = ORB_PRETRAINED_MODELS.get(architecture)
    if function is None:
        near = did_you_mean(architecture, ORB_PRETRAINED_MODELS)
        raise UsageError(f"orb-models {versions('orb-models')['orb-models']} has no model '{architecture}'.", hint=near)
    path = _weights(request, row, function)
    compiled = flag(request, "compile", default=False)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        loaded = make(function, state, weights=str(path), device=request.device, precision=precision, compiled=compiled)
    except UNREADABLE as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(f"'{path.name}' does not hold the weights of {architecture}: {first}") from error
    dtype = "float64" if precision == "float64" else "float32"
    removal = flag(request, "net-force-removal", default=True)
    model = loaded.model
    force_head = _force_head(model, state, removal, request.device, getattr(torch, dtype))
    modes = ((ForceMode.CONSERVATIVE,) if loaded.conservative else ()) + ((ForceMode.DIRECT,) if force_head else ())
    mode = choose_mode(parsed, modes)
    conditioned = model.model.conditioner is not None
    values = charge_and_spin(request, parsed.label, reads=conditioned)
    card = ModelCard(
        name=parsed.label,
        family="orb",
        force_modes=modes,
        elements=frozenset(range(1, 118)),
        cutoff_A=loaded.radius_A,
        dtype=dtype,
        device=request.device,
        checkpoint=path.name,
        checkpoint_sha256=sha256_of(path),
        packages=versions("orb-models", "torch"),
        precision={
            "precision": precision,
            "tf32": "on" if precision == "float32-high" and request.device.startswith("cuda") else "off",
            "weights": "float32",
        },
        options={
            **dict(request.options),
            "compile": "on" if compiled else "off",
            "edges": choice(request, "edges", EDGES, "list"),
            "neighbours": str(loaded.neighbours),
            "removal": "in the force head: net force, and torque of isolated structures" if removal else "none",
            **{name: str(value) for name, value in values.items()},
        },
        licence=row.licence,
        citation=row.citation,
        **_of_mode(mode, force_head, loaded),
    )
    forcefield = OrbForceField(loaded, card, force_head=force_head, edges=card.options["edges"], system=values)
    if loaded.has_electrostatics:
        # Its Coulomb forces are no derivative of the energy that the library differentiates: only the library's own sum is the model.
        options = {**card.options, "evaluation": "one structure at a time, by ORBCalculator"}
        return ASEForceField(_Calculator(forcefield), replace(card, options=options, receptive_A=None))
    return with_differentiability_found(forcefield)


def _of_mode(mode: ForceMode, force_head: Any, loaded: Loaded) -> dict[str, Any]:
    """The fields of the card that depend on the force mode. A layer carries a message over one edge, also in the backward pass."""
    conservative = mode is ForceMode.CONSERVATIVE
    layers = int(loaded.model.model.num_message_passing_steps)
    return {
        "force_mode": mode,
        "has_stress": conservative or "stress" in loaded.model.heads,
        # The head has already removed it in float32 precision; a second removal in float64 leaves no remainder.
        "net_force_removed": not conservative and force_head is not None and bool(force_head.remove_mean),
        "receptive_A": loaded.radius_A * layers * (2 if conservative else 1),
    }


def _precision(request: ModelRequest) -> str:
    asked = choice(request, "precision", PRECISIONS, "float64" if request.dtype == "float64" else PRECISIONS[0])
    if request.dtype is not None and not asked.startswith(request.dtype):
        raise UsageError(
            f"--dtype {request.dtype} and -O precision={asked} contradict each other.", hint="Leave one of them out."
        )
    return asked


def _weights(request: ModelRequest, row: ModelRow, function: Any) -> Path:
    if request.checkpoint is not None:
        path = Path(request.checkpoint)
        if not path.is_file():
            raise WeightsError(f"There is no file '{request.checkpoint}'.", hint="Check the path.")
        return path
    url = str(inspect.signature(function).parameters["weights_path"].default)
    target = folder_of("orb") / url.rpartition("/")[2]
    cached = target if target.is_file() else find_latest_cached(url)
    try:
        # Not by the package's cached_path, which accepts a web page as weights, does not resume, and asks the network each time, for
        # half a minute where there is none.
        return cached_or_downloaded(row, cached, lambda: download(url, target))
    except OSError as error:
        raise not_to_be_had(row.name, error, url=url, trust=False) from error


def _force_head(model: Any, state: dict[str, torch.Tensor], removal: bool, device: str, dtype: torch.dtype) -> Any:
    """The model's force head; for a conservative model the one in its checkpoint, which the library does not load; or ``None``."""
    if HEAD in model.heads:
        head = model.heads[HEAD]
    else:
        prefix = f"heads.{HEAD}."
        weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        latent = int(model.heads["energy"].mlp[0].in_features) if weights else 0
        if not weights:
            return None
        head = ForceHead(latent_dim=latent, num_mlp_layers=1, mlp_hidden_dim=latent, activation="silu")
        try:
            head.load_state_dict(weights)
        except RuntimeError:
            # A head of another type than in the published direct models: what it computes is unknown.
            return None
        head = head.to(device=device, dtype=dtype).eval().requires_grad_(False)
    if not removal:
        head.remove_mean = head.remove_torque_for_nonpbc_systems = False
    return head
