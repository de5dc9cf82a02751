"""From a request to a loaded model, whatever its family."""

from __future__ import annotations

import hashlib
import importlib.metadata
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ncbench.errors import MissingPackageError, UntrustedCheckpointError, UsageError, WeightsError
from ncbench.models import family as families
from ncbench.models.interface import ForceField
from ncbench.models.registry import ModelRow, ParsedSpec, parse_request
from ncbench.models.trial import quiet_library
from ncbench.models.user_models import FACTORY_FAMILY
from ncbench.types import ForceMode, ModelRequest

DTYPES = ("float32", "float64")


def load_forcefield(request: ModelRequest) -> ForceField:
    """Load the model asked for.

    Raises:
        UsageError: the request cannot be met as typed: name, mode, file, device, dtype or option.
        MissingPackageError: the family's package is not installed.
        WeightsError: the weights are not to be had, or are not what they should be.
        UntrustedCheckpointError: reading the file could run code from it.
    """
    meaning = parse_request(request)
    check_device(request.device)
    if request.dtype is not None and request.dtype not in DTYPES:
        raise UsageError(f"There is no dtype '{request.dtype}'.", hint="Choose float32 or float64.")
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
    request = replace(request, options=row.asked(request.options))
    if row.weights == "file" and request.checkpoint is None:
        request = replace(request, checkpoint=row.source)
    # A library's remarks are of no use to the user; those of a calculator of the user's own may be.
    with _state_kept(), quiet_library() if row.package else nullcontext():
        forcefield = family.load(request, meaning, row)
    assert isinstance(forcefield, ForceField)
    return forcefield


def _how_to_install(row: ModelRow) -> str:
    if not row.install:
        return f"Run: {row.how_to_install()}" if row.extra else ""
    # What nobody has tried together may not go together.
    return f"Make an environment with ncbench and it: python -m venv NAME, then {row.how_to_install()} there."


def _unnamed(meaning: ParsedSpec) -> ModelRow:
    """The row of a factory or a file, which no table lists.

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
    """Before a file is unpickled that did not come with an installed package.

    A file whose digest stands in the model's row has been vouched for there.

    A metatomic export is read without it: it holds TorchScript, whose archive goes through a restricted unpickler and whose
    code is torch operators, not Python. That is far less than a pickle can do, though not nothing: operators may map files.

    Raises:
        UntrustedCheckpointError: the user has not vouched for it.
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
        UsageError: TF32 on a device that has none.
    """
    wanted = flag(request, "tf32", default=False)
    if wanted and not request.device.startswith("cuda"):
        raise UsageError(f"There is no TF32 on {request.device}.", hint="Leave -O tf32=on out, or add --device cuda.")
    return "on" if wanted else "off"


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Raises:
        UsageError: not a device's name, or none of the kind on this machine.
    """
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise UsageError(f"'{device}' is not a device.", hint="Choose cpu, cuda or cuda:N.") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"--device {device} was asked for, and torch {torch.__version__} finds no CUDA GPU here.",
            hint="Use --device cpu.",
        )
    if kind not in ("cpu", "cuda"):
        raise UsageError(f"ncbench does not run on '{kind}' devices.", hint="Choose cpu or cuda.")


def choose_mode(meaning: ParsedSpec, offered: Iterable[ForceMode]) -> ForceMode:
    """The mode asked for, or conservative where there is one, or direct.

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
    """Refuse options that the family does not know.

    Raises:
        UsageError: there is such an option.
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
