"""Weights that a family's own package finds or fetches: their digest, and what is said when they are not to be had."""

from __future__ import annotations

from pathlib import Path

from ncbench.errors import WeightsError
from ncbench.models.loading import sha256_of
from ncbench.models.registry import ModelRow


def file_with_digest(path: Path, row: ModelRow) -> Path:
    """``path``, if its content is what the row says, or the row says nothing.

    Raises:
        WeightsError: it is not.
    """
    if row.sha256 and sha256_of(path) != row.sha256:
        raise WeightsError(
            f"'{path}' is not the file that {row.name} stands for: its digest is {sha256_of(path)[:16]}…, "
            f"not {row.sha256[:16]}….",
            hint="Delete it, and it is fetched again; or name it with --checkpoint.",
        )
    return path


def not_to_be_had(name: str, error: BaseException, *, url: str, trust: bool, log_in: str = "") -> WeightsError:
    """What to say when the package could not fetch its weights.

    ``url`` is where they are; ``trust`` says that the file is a pickle; ``log_in`` how to get past a gate.
    """
    file = url.rpartition("/")[2]
    flags = f"--checkpoint {file}" + (" --trust-checkpoint" if trust else "")
    gate = f" {log_in}" if log_in else ""
    return WeightsError(
        f"The weights of {name} are not on this machine and could not be downloaded ({_reason(error)}).",
        hint=f"Fetch {url} elsewhere and add {flags}.{gate}",
    )


def gated(name: str, error: BaseException, repository: str, file: str) -> WeightsError:
    """What to say of weights in a repository that asks for an agreement first."""
    at = f"https://huggingface.co/{repository}"
    log_in = f"The repository is gated: agree to its licence at {at}, then run `hf auth login` or set HF_TOKEN."
    if type(error).__name__ == "GatedRepoError":
        return WeightsError(f"The weights of {name} are in the gated repository {repository}.", hint=log_in)
    return not_to_be_had(name, error, url=f"{at}/resolve/main/{file}", trust=True, log_in=log_in)


def in_hub_cache(repository: str, folder: str, pattern: str) -> list[Path]:
    """Files of a Hugging Face repository that this machine has already: those of the newest snapshot that has any, by name.

    ``pattern`` is one of :meth:`pathlib.Path.glob`, within ``folder`` of the repository. Nothing is asked of the network.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    snapshots = Path(HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "snapshots"
    by_age = sorted(snapshots.glob("*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for snapshot in by_age:
        if files := sorted(path for path in (snapshot / folder).glob(pattern) if path.is_file()):
            return files
    return []


def hub_errors(*more: type[BaseException]) -> tuple[type[BaseException], ...]:
    """What asking the Hugging Face hub raises: its own errors, those of the HTTP library it is built on, those of files; and
    ``more``.
    """
    from huggingface_hub.errors import HfHubHTTPError

    # Which library that is has changed twice; its base class stands right above the hub's.
    return (HfHubHTTPError, HfHubHTTPError.__mro__[1], OSError, *more)


def _reason(error: BaseException) -> str:
    """The first cause in a chain, which names the trouble where the outermost only says that there was one."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__
