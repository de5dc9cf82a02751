"""PET and other metatomic models: exports (``mtt export``) and metatrain checkpoints.

The model's neighbour vectors are computed here from the positions by ordinary torch operations, so that first and second
derivatives with respect to the positions are available for every model.
"""

from __future__ import annotations

import importlib
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from ase import Atoms
from metatensor.torch import Labels, TensorBlock
from metatomic.torch import (
    AtomisticModel,
    ModelCapabilities,
    ModelEvaluationOptions,
    ModelOutput,
    load_atomistic_model,
)

from ncbench.errors import MissingPackageError, UsageError, WeightsError
from ncbench.models.conditioned import with_info
from ncbench.models.coordinates import Origin
from ncbench.models.families.pet import system_inputs, systems
from ncbench.models.families.pet.network import DIRECT, Network, network_of
from ncbench.models.families.pet.outputs import DIRECT_OUTPUTS, STRESS_OUTPUT, cast
from ncbench.models.families.pet.pieces import in_pieces, most_atoms, reach_A
from ncbench.models.families.pet.references import take_out
from ncbench.models.families.pet.whole_jacobian import whole_jacobian
from ncbench.models.interface import Field, ForceField, ModelCard
from ncbench.models.loading import (
    UNREADABLE,
    choose_mode,
    flag,
    refuse_options,
    require_trust,
    sha256_of,
    tf32,
    versions,
)
from ncbench.models.pieces import PieceModel
from ncbench.models.registry import WEIGHTS, ModelRow, ParsedSpec
from ncbench.models.row import importable
from ncbench.models.torch_field import TorchField, TorchForceField
from ncbench.models.trial import trial_structure
from ncbench.models.verlet import VerletList
from ncbench.types import ForceMode, ModelRequest

EXTENSIONS = ("sphericart.torch",)
"""Packages whose operators exported architectures call: SOAP-BPNN's spherical harmonics."""
OPTIONS = ("net-force-removal", "tf32", "charge", "spin")
_SAMPLES = ("first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c")


class MetatomicForceField(TorchForceField):
    """A metatomic model in one force mode."""

    def __init__(
        self,
        model: AtomisticModel,
        card: ModelCard,
        path: Path,
        *,
        references_eV: dict[int, float],
        system: dict[str, int],
        networks: list[Network | None] | None = None,
    ) -> None:
        self.model = model
        self.card = card
        self.path = path
        self.references_eV = references_eV
        """Energies of isolated atoms by atomic number, which ``model`` itself does not add."""
        self.system = system
        """Charge and spin multiplicity, as far as the model reads them."""
        self.networks = [] if networks is None else networks
        """The model's layers, or ``None`` where they cannot be used, once a call has decided it; shared by both force modes."""

    def network(self, field: MetatomicField) -> Network | None:
        """See :func:`ncbench.models.families.pet.network.network_of`; decided at the first call for structures with neighbours, without which little can be compared."""
        if not self.networks:
            if not any(len(verlet(field.initial_positions()).first) for _, verlet in field.lists):
                return None
            self.networks.append(network_of(field))
        return self.networks[0]

    def jacobian_in_one(self, atoms: Atoms) -> bool:
        """See :class:`ncbench.models.interface.ForceField`."""
        if self.card.force_mode is not ForceMode.DIRECT:
            return False
        field = MetatomicField([atoms], self)
        return not field.exceeds_memory(2) and self.network(field) is not None

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        return MetatomicField(structures, self)

    def sibling(self, mode: ForceMode) -> ForceField:
        """See :class:`ncbench.models.interface.ForceField`."""
        if mode is self.card.force_mode or mode not in self.card.force_modes:
            return super().sibling(mode)
        direct = mode is ForceMode.DIRECT
        card = replace(
            self.card,
            force_mode=mode,
            receptive_A=_receptive(self.model.capabilities(), self.card.cutoff_A or 0.0, mode),
            has_stress=not direct or STRESS_OUTPUT in self.model.capabilities().outputs,
            # As requested; by default on for a force head and off for a gradient, which has no net force.
            net_force_removed=self.card.net_force_removed if "net-force-removal" in self.card.options else direct,
        )
        return MetatomicForceField(
            self.model, card, self.path, references_eV=self.references_eV, system=self.system, networks=self.networks
        )

    def ase_calculator(self) -> Any:
        """``metatomic_ase.MetatomicCalculator`` on the same weights, read again, in the same precision and mode.

        It evaluates the stress whenever forces are requested, for a model without a direct stress by the energy's gradient: its direct forces then take as
        long as conservative ones.
        """
        from metatomic_ase import MetatomicCalculator

        direct = self.card.force_mode is ForceMode.DIRECT
        native = _read(self.path)
        calculator = MetatomicCalculator(
            native if self.card.dtype == native.capabilities().dtype else cast(native, self.card.dtype),
            device=self.card.device,
            non_conservative=False if not direct else True if self.card.has_stress else "forces",
            uncertainty_threshold=None,
        )
        return with_info(calculator, self.system)


class MetatomicField(TorchField):
    """Structures bound to a metatomic model."""

    def __init__(self, structures: Sequence[Atoms], owner: MetatomicForceField) -> None:
        card, model = owner.card, owner.model
        super().__init__(structures, card)
        self.owner, self.model = owner, model
        self.dtype = getattr(torch, card.dtype)
        self.references_eV = owner.references_eV
        self.kept_bytes: float | None = None
        """Bytes an atom that a call keeps for a gradient, once they are counted."""
        self.lists = [
            (options, VerletList(self.structures, options.engine_cutoff("angstrom"), self.device))
            for options in model.requested_neighbor_lists()
        ]
        self.types = [torch.as_tensor(a.numbers, dtype=torch.int32, device=self.device) for a in self.structures]
        self.pbc = [torch.as_tensor(a.pbc, device=self.device) for a in self.structures]
        self.inputs = system_inputs.tensors(owner.system, self.dtype, self.device)
        sums = [sum(owner.references_eV.get(z, 0.0) for z in a.numbers.tolist()) for a in self.structures]
        self.reference_eV = torch.as_tensor(sums, dtype=torch.float64, device=self.device)
        self.origin = Origin(self.structures, self.device)
        # A metatomic system has a zero cell vector where it is not periodic, whatever cell the structure has.
        self.periodic = torch.stack(self.pbc).double()[:, :, None]
        self.direct = next((name for name in DIRECT_OUTPUTS if name in model.capabilities().outputs), "")
        # With these units metatomic converts from the model's own.
        self.outputs = {"energy": ModelOutput(unit="eV", sample_kind="system")} if card.has_energy else {}
        self.head = {self.direct: ModelOutput(unit="eV/Angstrom", sample_kind="atom")} if self.direct else {}
        if card.force_mode is ForceMode.DIRECT:
            self.outputs |= self.head
        self.stress = {STRESS_OUTPUT: ModelOutput(unit="eV/Angstrom^3", sample_kind="system")}
        self.xyz = Labels.range("xyz", 3).to(self.device)
        self.distance = Labels.range("distance", 1).to(self.device)
        self.joined = systems.joinable(self)

    def _call(self, positions: torch.Tensor, cells: torch.Tensor, outputs: dict[str, ModelOutput]) -> Any:
        """Outputs of the model, with energies [R or R·N]. Outputs of a system (stress), and gradients with respect to cells, need separate systems."""
        joined = self.joined and not cells.requires_grad and STRESS_OUTPUT not in outputs
        if joined and "energy" in outputs:
            outputs = outputs | {"energy": ModelOutput(unit="eV", sample_kind="atom")}
        wanted = ModelEvaluationOptions(length_unit="angstrom", outputs=outputs)
        made = (systems.joined if joined else systems.separate)(self, positions, cells)
        return self.model(made, wanted, check_consistency=False)

    def compute(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        conservative = self.card.force_mode is ForceMode.CONSERVATIVE
        of_network = self._of_network(positions, cells, direct=not conservative)
        if of_network is not None:
            return of_network
        outputs = self._call(positions, cells, self.outputs)
        return self._energy(outputs, positions), None if conservative else self._direct_forces(outputs)

    def compute_both(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        if not self.direct or not self.card.has_energy:
            return None
        of_network = self._of_network(positions, cells, direct=True)
        if of_network is not None:
            energy, forces = of_network
            assert forces is not None
            return energy, forces
        outputs = self._call(positions, cells, self.outputs | self.head)
        return self._energy(outputs, positions), self._direct_forces(outputs)

    def compute_with_stress(
        self, positions: torch.Tensor, cells: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if not self.card.has_stress:
            return super().compute_with_stress(positions, cells)
        outputs = self._call(positions, cells, self.outputs | self.stress)
        stress = outputs[STRESS_OUTPUT].block().values.reshape(self.n_replicas, 3, 3).double()
        # An antisymmetric part would be a torque on the cell, which no energy function exerts.
        symmetric = (stress + stress.transpose(1, 2)) / 2
        return self._energy(outputs, positions), self._direct_forces(outputs), symmetric

    def whole_jacobian(self, positions: torch.Tensor) -> torch.Tensor | None:
        """See :class:`ncbench.models.interface.Field`: for direct forces of structures that are not divided into pieces."""
        if self.card.force_mode is not ForceMode.DIRECT or self.n_replicas > 1 or self.exceeds_memory(2):
            return None
        network = self.owner.network(self)
        jacobian = None if network is None else whole_jacobian(network, self, positions)
        if jacobian is None or not self.card.net_force_removed:
            return jacobian
        by_atom = jacobian.reshape(self.n_atoms, 3, -1)
        return (by_atom - by_atom.mean(dim=0)).reshape(jacobian.shape)

    def piece_models(self, positions: torch.Tensor, order: int) -> list[PieceModel] | None:
        """See :class:`ncbench.models.torch_field.TorchField`. Models whose output depends on all atoms, whatever their distance, are not divided."""
        return in_pieces(self, positions, order)

    def exceeds_memory(self, order: int) -> bool:
        """See :class:`ncbench.models.torch_field.TorchField`."""
        return most_atoms(self, order) is not None

    def _of_network(
        self, positions: torch.Tensor, cells: torch.Tensor, *, direct: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None] | None:
        """Energies [R] and, if asked for, direct forces [R, N, 3], float64, as of :meth:`compute`; ``None`` where the network cannot be used."""
        network = self.owner.network(self)
        inputs = None if network is None else network.inputs(self, positions, cells)
        if network is None or inputs is None:
            return None
        names = (("energy",) if self.card.has_energy else ()) + ((DIRECT,) if direct else ())
        values = dict(zip(names, network(inputs, names), strict=True))
        energy = positions.new_full((self.n_replicas,), torch.nan)
        if self.card.has_energy:
            energy = values["energy"].double().reshape(self.n_replicas, -1).sum(dim=1) + self.reference_eV
        return energy, values[DIRECT].reshape(self.n_replicas, self.n_atoms, 3).double() if direct else None

    def _energy(self, outputs: Any, positions: torch.Tensor) -> torch.Tensor:
        if not self.card.has_energy:
            return positions.new_full((self.n_replicas,), torch.nan)
        energies = outputs["energy"].block().values[:, 0].double().reshape(self.n_replicas, -1)
        return torch.sum(energies, dim=1) + self.reference_eV

    def _direct_forces(self, outputs: Any) -> torch.Tensor:
        forces: torch.Tensor = outputs[self.direct].block().values
        return forces.reshape(self.n_replicas, self.n_atoms, 3).double()

    def pair_block(self, samples: torch.Tensor, vectors: torch.Tensor) -> TensorBlock:
        """A neighbour list of one system: ``samples`` [P, 5] int32 (first, second, cell shifts) and ``vectors`` [P, 3, 1], Å."""
        return TensorBlock(
            values=vectors,
            samples=Labels(list(_SAMPLES), samples, assume_unique=True),
            components=[self.xyz],
            properties=self.distance,
        )


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """Load an export or a checkpoint.

    Raises:
        UsageError: a mode, dtype or option that the model does not offer.
        UntrustedCheckpointError: a metatrain checkpoint, which is a pickle, without ``--trust-checkpoint``.
        WeightsError: the file is missing, is not a metatomic model, or provides neither energies nor forces.
    """
    refuse_options(request, OPTIONS, parsed.label)
    path = Path(request.checkpoint or (parsed.name if parsed.kind == "file" else WEIGHTS / row.source))
    if path.suffix == ".ckpt":
        require_trust(path, request, row=row, hint=", or give ncbench the export (mtt export)")
    native = _read(path)
    capabilities = native.capabilities()
    has_energy = "energy" in capabilities.outputs
    has_direct = any(name in capabilities.outputs for name in DIRECT_OUTPUTS)
    modes = tuple(m for m, there in ((ForceMode.CONSERVATIVE, has_energy), (ForceMode.DIRECT, has_direct)) if there)
    if not modes:
        raise WeightsError(
            f"'{path.name}' gives neither energies nor forces, only: {', '.join(sorted(capabilities.outputs)) or 'nothing'}."
        )
    mode = choose_mode(parsed, modes)
    _check_device(capabilities.supported_devices, request.device, parsed.label)
    native = native.to(request.device)
    dtype = request.dtype or capabilities.dtype
    model = native if dtype == capabilities.dtype else cast(native, dtype)
    references_eV = take_out(model)
    system = system_inputs.of_request(request, native, parsed.label, path.name)
    cutoffs = [options.engine_cutoff("angstrom") for options in native.requested_neighbor_lists()]
    card = ModelCard(
        name=parsed.label,
        family="pet",
        force_mode=mode,
        force_modes=modes,
        elements=frozenset(int(z) for z in capabilities.atomic_types),
        cutoff_A=max(cutoffs, default=None),
        receptive_A=_receptive(capabilities, max(cutoffs, default=0.0), mode),
        dtype=dtype,
        device=request.device,
        has_energy=has_energy,
        has_stress=mode is ForceMode.CONSERVATIVE or STRESS_OUTPUT in capabilities.outputs,
        differentiable=True,
        net_force_removed=flag(request, "net-force-removal", mode is ForceMode.DIRECT),
        checkpoint=path.name,
        checkpoint_sha256=sha256_of(path),
        packages=versions("metatomic-torch", "metatensor-torch", "torch"),
        precision={"tf32": tf32(request), "weights": str(capabilities.dtype)},
        options={**dict(request.options), **{name: str(value) for name, value in system.items()}},
        licence=row.licence,
        citation=row.citation,
    )
    forcefield = MetatomicForceField(model, card, path, references_eV=references_eV, system=system)
    if system:
        _try_system(forcefield, parsed.label)
    return forcefield


def _try_system(forcefield: MetatomicForceField, label: str) -> None:
    """Raises UsageError if the model does not support the charge or multiplicity, which it reports only when it is evaluated."""
    try:
        forcefield.evaluate([trial_structure(forcefield.card.elements)])
    except (RuntimeError, torch.jit.Error) as error:
        asked = ", ".join(f"{name}={value}" for name, value in forcefield.system.items())
        raise UsageError(
            f"{label} does not take {asked}: {str(error).strip().splitlines()[-1].rstrip('.')}.",
            hint="Choose others with -O charge=… and -O spin=….",
        ) from error


def _receptive(capabilities: ModelCapabilities, cutoff: float, mode: ForceMode) -> float:
    """Upper bound on the distance over which an atom's force depends on another atom, Å.

    A gradient force sums over all atoms whose energies depend on atom i, which doubles the range of an energy or of a direct force.
    """
    reach = reach_A(capabilities, cutoff)
    return 2 * reach if mode is ForceMode.CONSERVATIVE else reach


def _read(path: Path) -> AtomisticModel:
    if not path.is_file():
        raise WeightsError(f"There is no file '{path}'.", hint=_where(path))
    if path.suffix == ".ckpt":
        return _export(path)
    for extension in EXTENSIONS:
        # An export holds calls of compiled operators, which a package registers when it is imported.
        if importable(extension):
            importlib.import_module(extension)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load_atomistic_model(str(path))
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        if "missing TorchScript extensions" in first:
            raise MissingPackageError(
                f"'{path.name}' needs compiled operators that are not installed here.",
                hint="A SOAP-BPNN needs pip install 'ncbench[soap-bpnn]'; other architectures need the packages they were trained with.",
            ) from error
        raise WeightsError(
            f"'{path.name}' is not a metatomic model: {first.rstrip('.')}.", hint="Export it with `mtt export`."
        ) from error


def _where(path: Path) -> str:
    return "Make it with `make train-pet-m`." if path.parent == WEIGHTS else "Check the path."


def _export(path: Path) -> AtomisticModel:
    """A metatrain checkpoint, exported in process."""
    try:
        from metatrain.utils.io import load_model
    except ImportError as error:
        raise MissingPackageError(
            f"Reading the checkpoint {path.name} needs metatrain, which is not installed here.",
            hint="Run: pip install 'ncbench[train]', or give ncbench the export (mtt export).",
        ) from error
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            exported = Path(folder) / "model.pt"
            load_model(str(path)).export().save(str(exported))
            return load_atomistic_model(str(exported))
    except UNREADABLE as error:
        # A KeyError says no more than the key.
        first = (
            f"it lacks {error}" if isinstance(error, KeyError) else (str(error).strip().splitlines() or ["damaged"])[0]
        )
        raise WeightsError(f"'{path.name}' is not a metatrain checkpoint: {first.rstrip('.')}.") from error


def _check_device(supported: Sequence[str], device: str, label: str) -> None:
    if torch.device(device).type not in supported:
        raise UsageError(f"{label} does not run on {device}.", hint=f"It runs on {', '.join(supported)}.")
