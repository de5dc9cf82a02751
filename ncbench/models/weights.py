"""Weights that a family's own package downloads: their digest, and the errors if they are not available."""

from __future__ import annotations

from pathlib import Path

from ncbench.errors import WeightsError
from ncbench.models.loading import sha256_of
from ncbench.models.registry import ModelRow


def file_with_digest(path: Path, row: ModelRow) -> Path:
    """``path``, if its digest is that of the row, or the row has none.

    Raises:
        WeightsError: the digest differs.
    """
    if row.sha256 and sha256_of(path) != row.sha256:
        raise WeightsError(
            f"'{path}' is not the weights file of {row.name}: its digest is {sha256_of(path)[:16]}…, "
            f"not {row.sha256[:16]}….",
            hint="Delete it to download it again, or pass it with --checkpoint.",
        )
    return path


def not_to_be_had(name: str, error: BaseException, *, url: str, trust: bool, log_in: str = "") -> WeightsError:
    """The error for weights that the package could not download.

    ``url`` is their address; ``trust`` states that the file is a pickle; ``log_in`` how to get access to a gated repository.
    """
    file = url.rpartition("/")[2]
    flags = f"--checkpoint {file}" + (" --trust-checkpoint" if trust else "")
    gate = f" {log_in}" if log_in else ""
    return WeightsError(
        f"The weights of {name} are not on this machine and could not be downloaded ({_reason(error)}).",
        hint=f"Fetch {url} elsewhere and add {flags}.{gate}",
    )


def gated(name: str, error: BaseException, repository: str, file: str) -> WeightsError:
    """The error for weights in a gated repository."""
    at = f"https://huggingface.co/{repository}"
    log_in = f"The repository is gated: agree to its licence at {at}, then run `hf auth login` or set HF_TOKEN."
    if type(error).__name__ == "GatedRepoError":
        return WeightsError(f"The weights of {name} are in the gated repository {repository}.", hint=log_in)
    return not_to_be_had(name, error, url=f"{at}/resolve/main/{file}", trust=True, log_in=log_in)


def in_hub_cache(repository: str, folder: str, pattern: str) -> list[Path]:
    """Files of a Hugging Face repository in the local cache, sorted by name: those of the newest snapshot that contains any.

    ``pattern`` is a pattern of :meth:`pathlib.Path.glob` within ``folder`` of the repository. The network is not used.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    snapshots = Path(HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "snapshots"
    by_age = sorted(snapshots.glob("*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for snapshot in by_age:
        if files := sorted(path for path in (snapshot / folder).glob(pattern) if path.is_file()):
            return files
    return []


def hub_errors(*more: type[BaseException]) -> tuple[type[BaseException], ...]:
    """Errors that access to the Hugging Face hub raises: its own, those of its HTTP library, those of files; and
    ``more``.
    """
    from huggingface_hub.errors import HfHubHTTPError

    # That library has changed twice; its base class is the direct parent of the hub's.
    return (HfHubHTTPError, HfHubHTTPError.__mro__[1], OSError, *more)


def _reason(error: BaseException) -> str:
    """The first cause in a chain of exceptions, which is more specific than the outermost."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__
