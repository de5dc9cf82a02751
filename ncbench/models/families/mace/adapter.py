"""MACE: conservative models of mace-torch, evaluated in batches; those with electrostatics by its own ASE calculator.

The model gets edge vectors computed here from the positions in float64 and returns only its energy; forces, stresses and
Jacobian products are its derivatives. Energies of isolated atoms are added here in float64: energies with
all-electron references reach -10⁵ eV for a structure, where the spacing of float32 numbers is 1/64 eV.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Must be imported first: the package's import makes e3nn 0.4 able to read its tables with this version of torch.
import mace.calculators.foundations_models as downloads
import mace.modules.models as architectures
import numpy as np
import torch
from ase import Atoms

from ncbench.errors import MissingPackageError, UsageError, WeightsError, did_you_mean
from ncbench.models.ase_adapter import ASEForceField
from ncbench.models.conditioned import with_info
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
from ncbench.models.options import number, refuse_unread, whole_number
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.models.row import importable
from ncbench.models.torch_field import TorchField, TorchForceField
from ncbench.models.trial import quiet_library, with_differentiability_found
from ncbench.models.verlet import VerletList
from ncbench.models.weights import not_to_be_had
from ncbench.models.weights_download import download
from ncbench.models.weights_files import cached_or_downloaded
from ncbench.types import ModelRequest

POLAR = "PolarMACE"
"""Name of the class with electrostatics."""
OPTIONS = ("head", "cueq", "tf32", "charge", "spin")


class MACEForceField(TorchForceField):
    """A MACE energy."""

    def __init__(
        self, model: Any, card: ModelCard, *, head: int, references_eV: torch.Tensor, system: dict[str, float]
    ) -> None:
        self.model = model
        self.card = card
        self.head, self.system = head, system
        self.references_eV = references_eV
        """[elements] or [heads, elements], float64: energies of isolated atoms, which ``model`` itself no longer adds."""

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        return _MACEField(structures, self)

    def ase_calculator(self) -> Any:
        """``mace.calculators.MACECalculator`` on the same weights, in the same precision and with the same charge and spin."""
        from mace.calculators import MACECalculator

        heads = list(getattr(self.model, "heads", ["Default"]))
        model = copy.deepcopy(self.model)
        buffer = model.atomic_energies_fn.atomic_energies
        buffer.copy_(self.references_eV.to(buffer))
        with quiet_library():
            calculator = MACECalculator(
                models=[model], device=self.card.device, default_dtype=self.card.dtype, head=heads[self.head]
            )
        return with_info(calculator, {name.removeprefix("total_"): value for name, value in self.system.items()})


class _MACEField(TorchField):
    def __init__(self, structures: Sequence[Atoms], owner: MACEForceField) -> None:
        super().__init__(structures, owner.card)
        self.model = owner.model
        self.dtype = getattr(torch, owner.card.dtype)
        assert owner.card.cutoff_A is not None
        self.pairs = VerletList(self.structures, owner.card.cutoff_A, self.device)
        known = self.model.atomic_numbers.to(self.device)
        numbers = np.concatenate([atoms.numbers for atoms in self.structures])
        atomic_numbers = torch.as_tensor(numbers, device=self.device)
        total = self.n_replicas * self.n_atoms
        species = (atomic_numbers[:, None] == known[None, :]).to(torch.int64).argmax(dim=1)
        # One row per head; models of one head may hold a vector.
        of_head = owner.references_eV.reshape(-1, len(known)).to(self.device)[owner.head]
        self.reference_eV = of_head[species].reshape(self.n_replicas, self.n_atoms).sum(dim=1)
        self.fixed = {
            "node_attrs": (atomic_numbers[:, None] == known[None, :]).to(self.dtype),
            "batch": torch.arange(self.n_replicas, device=self.device).repeat_interleave(self.n_atoms),
            "ptr": torch.arange(0, total + 1, self.n_atoms, device=self.device),
            "head": torch.full((self.n_replicas,), owner.head, dtype=torch.long, device=self.device),
            "cell": torch.zeros((3 * self.n_replicas, 3), dtype=self.dtype, device=self.device),
        } | {
            name: torch.full((self.n_replicas,), value, dtype=self.dtype, device=self.device)
            for name, value in owner.system.items()
        }

    def compute(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        pairs = self.pairs(positions, cells)
        # The model's edge vector is r_receiver − r_sender + shift: with all atoms at the origin it is the shift, which
        # keeps the precision of a difference taken in float64.
        data = {
            **self.fixed,
            "positions": torch.zeros((len(self.fixed["batch"]), 3), dtype=self.dtype, device=self.device),
            "edge_index": torch.stack([pairs.first, pairs.second]),
            "shifts": pairs.vectors.to(self.dtype),
            "unit_shifts": pairs.shifts.to(self.dtype),
        }
        out = self.model(data, training=False, compute_force=False)
        return out["energy"].reshape(self.n_replicas).double() + self.reference_eV, None


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """Load a MACE by its name in the package, or a file saved by torch.

    Raises:
        UsageError: an unknown mode, option or name.
        UntrustedCheckpointError: a file from elsewhere, which is a pickle, without ``--trust-checkpoint``.
        WeightsError: the weights cannot be downloaded, or the file holds no MACE that gives energies.
        MissingPackageError: cuEquivariance was requested and is not installed.
    """
    refuse_options(request, OPTIONS, parsed.label)
    path = _weights(request, row)
    model = _read(path)
    if type(model).__name__ == POLAR:
        return _polar(model, path, request, parsed, row)
    heads = list(getattr(model, "heads", ["Default"]))
    head = _head(request, heads, parsed.label)
    weights = str(next(model.parameters()).dtype).removeprefix("torch.")
    dtype = request.dtype or weights
    references_eV = model.atomic_energies_fn.atomic_energies.double().clone()
    model = model.to(device=request.device, dtype=getattr(torch, dtype)).eval()
    if flag(request, "cueq", default=False):
        model = _with_cuequivariance(model, request.device)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.atomic_energies_fn.atomic_energies.zero_()
    cutoff = float(model.r_max)
    system = _system(request, model, path, parsed.label)
    card = ModelCard(
        name=parsed.label,
        family="mace",
        force_mode=choose_mode(parsed, row.modes[:1]),
        force_modes=row.modes[:1],
        elements=frozenset(int(z) for z in model.atomic_numbers),
        cutoff_A=cutoff,
        receptive_A=cutoff * len(model.interactions) * 2,
        dtype=dtype,
        device=request.device,
        has_stress=True,
        checkpoint=path.name,
        checkpoint_sha256=sha256_of(path),
        packages=versions("mace-torch", "e3nn", "torch"),
        precision={"tf32": tf32(request), "weights": weights},
        options={
            **dict(request.options),
            "head": heads[head],
            "cueq": "on" if flag(request, "cueq", default=False) else "off",
            **{name.removeprefix("total_"): f"{value:g}" for name, value in system.items()},
        },
        licence=row.licence,
        citation=row.citation,
    )
    forcefield = MACEForceField(model, card, head=head, references_eV=references_eV, system=system)
    return with_differentiability_found(forcefield)


def _polar(model: Any, path: Path, request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """A MACE with electrostatics, by the package's own ASE calculator: its energy depends on the reciprocal lattice, which the
    batched evaluation does not give it.
    """
    from mace.calculators import MACECalculator

    heads = list(getattr(model, "heads", ["Default"]))
    if flag(request, "cueq", default=False):
        raise UsageError(f"{parsed.label} is evaluated without cuEquivariance.", hint="Leave -O cueq=on out.")
    weights = str(next(model.parameters()).dtype).removeprefix("torch.")
    dtype = request.dtype or weights
    head = heads[_head(request, heads, parsed.label)]
    values = {"charge": number(request, "charge", 0), "spin": number(request, "spin", 1)}
    with quiet_library():
        calculator = MACECalculator(
            models=[model.to(device=request.device, dtype=getattr(torch, dtype)).eval()],
            device=request.device,
            default_dtype=dtype,
            model_type=POLAR,
            head=head,
        )
    card = ModelCard(
        name=parsed.label,
        family="mace",
        force_mode=choose_mode(parsed, row.modes[:1]),
        force_modes=row.modes[:1],
        elements=frozenset(int(z) for z in model.atomic_numbers),
        cutoff_A=float(model.r_max),
        # Electrostatics reach all atoms.
        receptive_A=None,
        dtype=dtype,
        device=request.device,
        has_stress=True,
        checkpoint=path.name,
        checkpoint_sha256=sha256_of(path),
        packages=versions("mace-torch", "graph-longrange", "e3nn", "torch"),
        precision={"tf32": tf32(request), "weights": weights},
        options={
            **dict(request.options),
            "head": head,
            **{name: f"{value:g}" for name, value in values.items()},
            "evaluation": "one structure at a time, by MACECalculator",
        },
        licence=row.licence,
        citation=row.citation,
    )
    return ASEForceField(with_info(calculator, values), card)


def _weights(request: ModelRequest, row: ModelRow) -> Path:
    if request.checkpoint is not None:
        path = Path(request.checkpoint)
        require_trust(path, request, row=row)
        return path
    kind, _, key = row.source.partition(":")
    tables = {"mp": downloads.mace_mp_urls, "off": downloads.mace_off_urls, "polar": downloads.polar_model_urls}
    table = {key: key} if kind == "url" else tables[kind]
    url = table.get(key) or table.get(f"mace-{key}")
    if url is None:
        near = did_you_mean(key, table)
        raise UsageError(f"mace-torch {versions('mace-torch')['mace-torch']} has no model '{key}'.", hint=near)
    name = os.path.basename(url)  # noqa: PTH119  # of a URL, not of a file
    cache = Path(downloads.get_cache_dir())
    # mace_off keeps its files under their own names, download_mace_mp_checkpoint under what is left of them.
    target = cache / "".join(letter for letter in name if letter.isalnum() or letter == "_")
    places = [cache / name, target]
    if url == downloads.mace_mp_urls.get("medium-mpa-0"):
        places.insert(0, Path(downloads.local_model_path))
    cached = next((place for place in places if place.is_file()), None)
    # github.com answers a page for files of a repository (blob), its raw server the file.
    address = downloads._normalize_github_download_url(url)  # noqa: SLF001  # no public function has it
    try:
        # Not by the package (0.3.16), which accepts an incomplete file if the connection ends early, and reads it in every later run.
        return cached_or_downloaded(row, cached, lambda: download(address, target))
    except OSError as error:
        raise not_to_be_had(row.name, error, url=url, trust=True) from error


def _read(path: Path) -> Any:
    try:
        # Trusted at this point; it is a pickle of whole modules and cannot be read in a safer way.
        model = torch.load(path, map_location="cpu", weights_only=False)
    except UNREADABLE as error:
        if isinstance(error, ImportError) and "graph_longrange" in str(error):
            raise MissingPackageError(
                f"'{path.name}' needs the package graph-longrange, which is not installed here.",
                hint="Run: pip install graph-longrange",
            ) from error
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(f"'{path.name}' is not a MACE saved by torch: {first}") from error
    energies = isinstance(model, architectures.MACE) and type(model).__name__ in ("MACE", "ScaleShiftMACE", POLAR)
    if not energies:
        raise WeightsError(
            f"'{path.name}' holds a {type(model).__name__}; ncbench evaluates MACE, ScaleShiftMACE and {POLAR}.",
            hint="Wrap its ASE calculator: --model package.module:factory.",
        )
    return model


def _system(request: ModelRequest, model: Any, path: Path, label: str) -> dict[str, float]:
    """``total_charge`` and ``total_spin`` (multiplicity), as far as the model reads them.

    Raises:
        UsageError: the model does not read the option, or does not support this charge or multiplicity.
        WeightsError: it reads something else of each structure.
    """
    specs: dict[str, Any] = getattr(model, "embedding_specs", None) or {}
    names = {"total_charge": "charge", "total_spin": "spin"}
    if missing := set(specs) - set(names):
        raise WeightsError(
            f"'{path.name}' needs {', '.join(sorted(missing))} of each structure, which ncbench does not have."
        )
    system = {}
    for name, key in names.items():
        if name not in specs:
            refuse_unread(request, (key,), label)
            continue
        spec, default = specs[name], 0 if key == "charge" else 1
        if spec["type"] != "categorical":
            system[name] = number(request, key, default)
            continue
        system[name] = whole_number(request, key, default)
        least = -int(spec.get("offset", 0))
        if not least <= system[name] < least + int(spec["num_classes"]):
            raise UsageError(
                f"{label} does not know {key}={system[name]:g}.",
                hint=f"It knows {least} to {least + int(spec['num_classes']) - 1}.",
            )
    return system


def _head(request: ModelRequest, heads: list[str], label: str) -> int:
    wanted = dict(request.options).get("head")
    if wanted is None and len(heads) > 1 and "default" not in [head.lower() for head in heads]:
        raise UsageError(f"{label} needs a head, one of {', '.join(heads)}.", hint=f"Add -O head={heads[0]}.")
    if wanted is None:
        return [head.lower() for head in heads].index("default") if len(heads) > 1 else 0
    if wanted not in heads:
        raise UsageError(f"{label} has no head '{wanted}'.", hint=f"It has: {', '.join(heads)}.")
    return heads.index(wanted)


def _with_cuequivariance(model: Any, device: str) -> Any:
    if not importable("cuequivariance_torch"):
        raise MissingPackageError(
            "The option cueq=on needs cuequivariance-torch, which is not installed here.",
            hint="Install cuequivariance-torch and cuequivariance-ops-torch-cu12, or leave -O cueq=on out.",
        )
    from mace.cli.convert_e3nn_cueq import run

    return run(model, device=device).to(device)
