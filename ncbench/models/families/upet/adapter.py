"""PET-MAD and related models: metatrain checkpoints that the upet package downloads; loaded and evaluated as any PET."""

from __future__ import annotations

import re
from dataclasses import replace
from json import JSONDecodeError
from pathlib import Path

import upet._models as library

from ncbench.errors import UsageError
from ncbench.models.families.pet import adapter as pet
from ncbench.models.interface import ForceField
from ncbench.models.loading import versions
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.models.weights import hub_errors, not_to_be_had
from ncbench.models.weights_files import cached_or_downloaded, in_hub_cache
from ncbench.types import ModelRequest

REPOSITORY = "lab-cosmo/upet"
URL = f"https://huggingface.co/{REPOSITORY}"


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """Load a published PET, or another checkpoint of the same kind from ``--checkpoint``.

    Raises:
        UsageError: an unknown mode, dtype, option, size or version.
        UntrustedCheckpointError: a checkpoint from elsewhere, which is a pickle, without ``--trust-checkpoint``.
        WeightsError: the weights cannot be downloaded.
    """
    if request.checkpoint is None:
        # A file that the package downloads from its own address is trusted as the package itself is.
        request = replace(request, checkpoint=str(_weights(row)), trust_checkpoint=True)
    forcefield = pet.load(request, parsed, row)
    packages = {**forcefield.card.packages, **versions("upet", "metatrain")}
    forcefield.card = replace(forcefield.card, family="upet", packages=packages)
    return forcefield


def _weights(row: ModelRow) -> Path:
    match = re.fullmatch(r"(?P<model>pet-[a-z0-9]+)-(?P<size>xs|s|m|l|xl)(-v?(?P<version>[\d.]+))?", row.source)
    assert match is not None, row.source
    model, size, version = match["model"], match["size"], match["version"]
    # A version that was typed, or the newest that is on this machine: the package would ask the network for its list first.
    cached = in_hub_cache(REPOSITORY, f"models/{model}-{size}-v{version or '*'}.ckpt")

    def download() -> Path:
        return Path(library._resolve_and_download_checkpoint(model, size, version)[2])  # noqa: SLF001  # the public functions export as well

    try:
        return cached_or_downloaded(row, max(cached, key=_version) if cached else None, download)
    except hub_errors(RuntimeError, JSONDecodeError) as error:
        file = f"{model}-{size}-v{version or '…'}.ckpt"
        raise not_to_be_had(row.name, error, url=f"{URL}/tree/main/models", file=file, trust=True) from error
    except ValueError as error:
        raise UsageError(
            f"upet {versions('upet')['upet']} has no '{row.source}': {error}.", hint=f"See {URL}/tree/main/models."
        ) from error


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", path.stem.rpartition("-v")[2]))
