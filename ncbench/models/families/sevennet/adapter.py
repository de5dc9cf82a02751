"""SevenNet: the models whose weights ship in sevenn's wheel, evaluated in batches.

The model's own force module is removed. Edge vectors are computed here from the positions and forces are minus the gradient of the
energy, so that second derivatives are available.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sevenn._keys as keys
import sevenn.util
import torch
from ase import Atoms
from sevenn._const import CHECKPOINT_DOWNLOAD_LINKS
from sevenn.nn.node_embedding import OnehotEmbedding

from ncbench.errors import UsageError, WeightsError
from ncbench.models.families.sevennet.convolution import SLOTS, replace_convolutions
from ncbench.models.families.sevennet.slots import Slots
from ncbench.models.interface import Field, ForceField, ModelCard
from ncbench.models.loading import UNREADABLE, choose_mode, refuse_options, require_trust, sha256_of, tf32, versions
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.models.torch_field import TorchField, TorchForceField
from ncbench.models.verlet import VerletList
from ncbench.models.weights import not_to_be_had
from ncbench.models.weights_download import download
from ncbench.models.weights_files import cached_or_downloaded
from ncbench.types import ModelRequest


class SevenNetForceField(TorchForceField):
    """A SevenNet without its force module."""

    def __init__(self, model: Any, card: ModelCard, path: Path, modal: str | None) -> None:
        self.model = model
        self.card = card
        self._path, self._modal = path, modal

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        task = None if self._modal is None else int(self.model.modal_map[self._modal])
        return _SevenNetField(structures, self.card, self.model, task)

    def ase_calculator(self) -> Any:
        """``sevenn.calculator.SevenNetCalculator`` on the same weights; ``None`` in float64, which it does not support."""
        if self.card.dtype != "float32":
            return None
        with _torch_left_alone():
            from sevenn.calculator import SevenNetCalculator

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return SevenNetCalculator(str(self._path), device=self.card.device, modal=self._modal)


@contextlib.contextmanager
def _torch_left_alone() -> Iterator[None]:
    """Restore two functions of torch that torch_geometric replaces by Python code on import: TorchScript, by which a metatomic model in the
    same process is compiled, cannot process them. sevenn does not need them.
    """
    kept = {name: getattr(torch, name) for name in ("index_select", "select")}
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(torch, name, function)


class _SevenNetField(TorchField):
    def __init__(self, structures: Sequence[Atoms], card: ModelCard, model: Any, task: int | None) -> None:
        super().__init__(structures, card)
        self.model = model
        self.dtype = getattr(torch, card.dtype)
        assert card.cutoff_A is not None
        self.pairs = VerletList(self.structures, card.cutoff_A, self.device)
        numbers = np.concatenate([atoms.numbers for atoms in self.structures])
        self.numbers = torch.as_tensor(numbers, device=self.device)
        self.batch = torch.arange(self.n_replicas, device=self.device).repeat_interleave(self.n_atoms)
        self.counts = torch.full((self.n_replicas,), self.n_atoms, device=self.device)
        self.task = {}
        if task is not None:
            self.task[keys.MODAL_TYPE] = torch.full((self.n_replicas,), task, device=self.device)

    def compute(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        pairs = self.pairs(positions, cells)
        data = {
            keys.NODE_FEATURE: self.numbers,
            keys.ATOMIC_NUMBERS: self.numbers,
            keys.POS: positions.reshape(-1, 3).to(self.dtype),
            keys.EDGE_IDX: torch.stack([pairs.first, pairs.second]),
            keys.EDGE_VEC: pairs.vectors.to(self.dtype),
            keys.NUM_ATOMS: self.counts,
            keys.BATCH: self.batch,
            keys.CELL_VOLUME: torch.linalg.det(cells.detach()).abs().to(self.dtype),
            keys.INFO: {},
            **self.task,
        }
        if self.device.type == "cpu":
            data[SLOTS] = Slots.of(pairs.first, self.n_replicas * self.n_atoms)
        energy = self.model(data)[keys.PRED_TOTAL_ENERGY]
        return energy.reshape(self.n_replicas).double(), None


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """Load a SevenNet from sevenn's wheel or from ``--checkpoint``.

    Raises:
        UsageError: a mode, option or task that the model does not offer.
        UntrustedCheckpointError: a checkpoint from elsewhere, which is a pickle, without ``--trust-checkpoint``.
        WeightsError: the file is not a SevenNet checkpoint.
    """
    refuse_options(request, ("modal", "tf32"), parsed.label)
    path = _path(request, row)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            checkpoint = sevenn.util.load_checkpoint(str(path))
            model = checkpoint.build_model(enable_cueq=False, enable_flash=False, enable_oeq=False)
    except UNREADABLE as error:
        raise WeightsError(f"'{path.name}' is not a SevenNet checkpoint: {error}.") from error
    model.delete_module_by_key("force_output")
    model.set_is_batch_data(True)
    # The package looks up a batch's tasks in an object that only its own graphs have.
    model.eval_modal_map = False
    dtype = request.dtype or "float32"
    model = model.to(device=request.device, dtype=getattr(torch, dtype)).eval()
    # No buffer of the module, but moved to the device in each call, which makes the host wait for a GPU.
    model.z_to_onehot_tensor = model.z_to_onehot_tensor.to(request.device)
    _follow_dtype(model, getattr(torch, dtype))
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    if request.device == "cpu":
        replace_convolutions(model)
    cutoff = float(checkpoint.config[keys.CUTOFF])
    card = ModelCard(
        name=parsed.label,
        family="sevennet",
        force_mode=choose_mode(parsed, row.modes),
        force_modes=row.modes,
        elements=frozenset(int(z) for z in checkpoint.config[keys.TYPE_MAP]),
        cutoff_A=cutoff,
        receptive_A=cutoff * int(checkpoint.config[keys.NUM_CONVOLUTION]) * 2,
        dtype=dtype,
        device=request.device,
        has_stress=True,
        differentiable=True,
        checkpoint=path.name,
        checkpoint_sha256=sha256_of(path),
        packages=versions("sevenn", "e3nn", "torch"),
        precision={"tf32": tf32(request), "weights": "float32"},
        options=dict(request.options),
        licence=row.licence,
        citation=row.citation,
    )
    return SevenNetForceField(model, card, path, _modal(request, model, parsed.label))


def _follow_dtype(model: Any, dtype: torch.dtype) -> None:
    """sevenn's embedding returns one-hot species vectors in float32 whatever the model's precision: cast them."""

    def cast(module: Any, _inputs: Any, data: Any) -> Any:
        for key in (module.key_output, module.key_additional_output):
            if key is not None:
                data[key] = data[key].to(dtype)
        return data

    for module in model.modules():
        if isinstance(module, OnehotEmbedding):
            module.register_forward_hook(cast)


def _path(request: ModelRequest, row: ModelRow) -> Path:
    if request.checkpoint is None:
        return _weights(row)
    path = Path(request.checkpoint)
    require_trust(path, request, row=row)
    if not path.is_file():
        raise WeightsError(f"There is no file '{request.checkpoint}'.", hint="Check the path.")
    return path


def _weights(row: ModelRow) -> Path:
    """Path of the weights: in the package, in the package's cache, or downloaded to there.

    Raises:
        WeightsError: they are not on this machine and cannot be downloaded.
    """
    file = f"checkpoint_{row.source.replace('-', '_')}.pth"
    links = {Path(path).name: (Path(path), str(url)) for path, url in CHECKPOINT_DOWNLOAD_LINKS.items()}
    if file not in links:
        return Path(sevenn.util.pretrained_name_to_path(row.source))
    inside, url = links[file]
    # As pretrained_name_to_path does where the package's own folder cannot be written.
    target = Path.home() / ".cache" / "sevennet" / inside.parent.name / file
    try:
        # Not by the package, which writes into its own folder, two processes into the same file, and accepts a web page as weights.
        return cached_or_downloaded(row, inside if inside.is_file() else target, lambda: download(url, target))
    except OSError as error:
        raise not_to_be_had(row.name, error, url=url, trust=True) from error


def _modal(request: ModelRequest, model: Any, label: str) -> str | None:
    wanted = dict(request.options).get("modal")
    known = list(model.modal_map or {})
    if not known:
        if wanted:
            raise UsageError(f"{label} has one task only.", hint="Leave -O modal=… out.")
        return None
    if wanted not in known:
        raise UsageError(f"{label} needs a task, one of {', '.join(known)}.", hint=f"Add -O modal={known[0]}.")
    return wanted
