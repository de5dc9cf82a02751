"""Loads a requested model of any family."""

from __future__ import annotations

import hashlib
import importlib.metadata
import random
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch

from ncbench.errors import MissingPackageError, UntrustedCheckpointError, UsageError, WeightsError, WeightsWarning
from ncbench.models import family as families
from ncbench.models.interface import ForceField
from ncbench.models.registry import ModelRow, ParsedSpec, parse_request
from ncbench.models.trial import quiet_library
from ncbench.models.user_models import FACTORY_FAMILY
from ncbench.models.weights import note_digest
from ncbench.types import ForceMode, ModelRequest

DTYPES = ("float32", "float64")
UNREADABLE = (
    AttributeError, EOFError, ImportError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, UnpicklingError, ValueError,
)  # fmt: skip
"""What torch.load, and the functions that build a model from what it read, raise for a file of something else."""


def load_forcefield(request: ModelRequest) -> ForceField:
    """Load the requested model.

    Raises:
        UsageError: the request cannot be met as typed: name, mode, file, device, dtype or option.
        MissingPackageError: the family's package is not installed.
        WeightsError: the weights are not available, or are not the expected ones.
        UntrustedCheckpointError: reading the file could run code from it.
    """
    meaning = parse_request(request)
    check_device(request.device)
    if request.dtype is not None and request.dtype not in DTYPES:
        raise UsageError(f"Unknown dtype '{request.dtype}'.", hint="Choose float32 or float64.")
    row = meaning.row or _unnamed(meaning)
    family = families.get(row.family)
    if request.checkpoint is not None and not family.reads_weights:
        raise UsageError(f"{meaning.label} reads no weights.", hint="Leave --checkpoint out.")
    if not row.installed():
        raise MissingPackageError(
            f"The model {meaning.label} needs the package '{row.package}', which is not installed here.",
            hint=_how_to_install(row),
        )
    if request.device.startswith("cuda"):
        low = tf32(request) == "on"
        torch.set_float32_matmul_precision("high" if low else "highest")
        torch.backends.cudnn.allow_tf32 = low
        # The fuser compiles for each new number of neighbours, 0.2 s in a step of 20 ms; unfused steps all take as long.
        torch.jit.set_fusion_strategy([("STATIC", 0), ("DYNAMIC", 0)])
    request = replace(request, options=row.asked(request.options))
    missing = [key for key in row.needed if key not in dict(request.options)]
    if missing and request.checkpoint is None:
        # Before a download of gigabytes.
        raise UsageError(
            f"{meaning.label} needs the option {missing[0]}: {row.options[missing[0]]}.",
            hint=f"Add -O {missing[0]}={row.needed[missing[0]]}.",
        )
    if row.weights == "file" and request.checkpoint is None:
        request = replace(request, checkpoint=row.source)
    # Messages of a library do not help the user; those of the user's own calculator may.
    with _state_kept(), quiet_library() if row.package else nullcontext():
        forcefield = family.load(request, meaning, row)
    assert isinstance(forcefield, ForceField)
    if row.weights == "download" and request.checkpoint is None and forcefield.card.checkpoint_sha256:
        change = note_digest(row.name, forcefield.card.checkpoint, forcefield.card.checkpoint_sha256)
        if change:
            warnings.warn(change, WeightsWarning, stacklevel=2)
    return forcefield


def _how_to_install(row: ModelRow) -> str:
    if not row.install:
        return f"Run: {row.how_to_install()}" if row.extra else ""
    return f"Install it in a new environment together with ncbench: {row.how_to_install()}"


def _unnamed(meaning: ParsedSpec) -> ModelRow:
    """The row of a factory or a file, which is not in the table of models.

    Raises:
        UsageError: no family reads files of this ending.
    """
    if meaning.kind == "factory":
        return ModelRow(
            name=meaning.label, family=FACTORY_FAMILY, modes=(ForceMode.UNKNOWN,), summary="", source=meaning.name
        )
    path = Path(meaning.name)
    family = families.reading(path.suffix)
    if family is None:
        if path.suffix == ".py":
            raise UsageError(
                f"The model '{meaning.name}' names a Python file without a function.",
                hint=f"Write ./{path.name}:function.",
            )
        raise UsageError(
            f"ncbench cannot tell what kind of model '{path.name}' is.",
            hint="It reads metatomic exports (.pt) and metatrain checkpoints (.ckpt); other weights go with a named model "
            "and --checkpoint.",
        )
    return family.row_of_file(path)


@contextmanager
def _state_kept() -> Iterator[None]:
    """Libraries draw random weights before they read the real ones, and some reseed: the caller's random state must not change."""
    dtype, python, numpy_state = torch.get_default_dtype(), random.getstate(), np.random.get_state()  # noqa: NPY002  # theirs
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_default_dtype(dtype)
        random.setstate(python)
        np.random.set_state(numpy_state)  # noqa: NPY002  # as above


def require_trust(path: Path, request: ModelRequest, *, row: ModelRow | None = None, hint: str = "") -> None:
    """Check permission to unpickle a file that did not come with an installed package.

    A file whose digest is in the model's row is trusted.

    A metatomic export needs no permission: it holds TorchScript, whose archive goes through a restricted unpickler and whose
    code is torch operators, not Python. This allows much less than a pickle, but operators may still map files.

    Raises:
        UntrustedCheckpointError: the user has not given ``--trust-checkpoint``.
        WeightsError: there is no such file.
    """
    if not path.is_file():
        raise WeightsError(f"There is no file '{path}'.", hint="Check the path.")
    known = row.sha256 if row is not None else ""
    if not request.trust_checkpoint and not (known and sha256_of(path) == known):
        raise UntrustedCheckpointError(
            f"Reading '{path.name}' unpickles it, which can run code that it holds.",
            hint=f"Add --trust-checkpoint if you made the file or know who did{hint}.",
        )


def tf32(request: ModelRequest) -> str:
    """``on`` or ``off``, for the card; off unless ``-O tf32=on``.

    TF32 keeps 10 bits of the mantissa: relaxations with it never converge (Table 7 of the paper).

    Raises:
        UsageError: TF32 on a device without it.
    """
    wanted = flag(request, "tf32", default=False)
    if wanted and not request.device.startswith("cuda"):
        raise UsageError(f"{request.device} does not support TF32.", hint="Leave -O tf32=on out, or add --device cuda.")
    return "on" if wanted else "off"


def check_device(device: str) -> None:
    """Refuse a device that is not available.

    Raises:
        UsageError: not a device name, or no such device on this machine.
    """
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise UsageError(f"'{device}' is not a device.", hint="Choose cpu, cuda or cuda:N.") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"--device {device} was requested, but torch {torch.__version__} finds no CUDA GPU here.",
            hint="Use --device cpu.",
        )
    if kind not in ("cpu", "cuda"):
        raise UsageError(f"ncbench does not run on '{kind}' devices.", hint="Choose cpu or cuda.")


def choose_mode(meaning: ParsedSpec, offered: Iterable[ForceMode]) -> ForceMode:
    """The requested mode; by default conservative if offered, else direct.

    Raises:
        UsageError: the model does not have the mode.
    """
    offered = tuple(offered)
    if meaning.mode is None:
        return ForceMode.CONSERVATIVE if ForceMode.CONSERVATIVE in offered else ForceMode.DIRECT
    if meaning.mode not in offered:
        raise UsageError(f"{meaning.label} has no {meaning.mode} forces.", hint=f"It has: {', '.join(offered)}.")
    return meaning.mode


def refuse_options(request: ModelRequest, known: Iterable[str], label: str) -> None:
    """Refuse options that the family does not define.

    Raises:
        UsageError: an unknown option.
    """
    known = tuple(known)
    for key, _ in request.options:
        if key not in known:
            raise UsageError(f"{label} has no option '{key}'.", hint=f"It has: {', '.join(known) or 'none'}.")


def flag(request: ModelRequest, key: str, default: bool) -> bool:
    """An on/off option. Raises UsageError for anything but on, off, true, false, yes, no."""
    text = dict(request.options).get(key)
    if text is None:
        return default
    if text.lower() in ("on", "true", "yes", "1"):
        return True
    if text.lower() in ("off", "false", "no", "0"):
        return False
    raise UsageError(f"The option {key}={text} is neither on nor off.")


def versions(*packages: str) -> dict[str, str]:
    """Installed versions of distributions, for the card."""
    return {name: importlib.metadata.version(name) for name in packages}


@lru_cache(maxsize=64)
def sha256_of(path: Path) -> str:
    """Digest of a file, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
