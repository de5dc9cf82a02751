"""The question about a model, from the requested model, structures and uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ncbench.assess.evidence import Use
from ncbench.assess.means import Question
from ncbench.errors import UsageError, did_you_mean
from ncbench.models.registry import parse_request
from ncbench.store.keys import model_file_digest
from ncbench.structures.hashing import content_hash
from ncbench.types import Case, ForceMode, ModelRequest, SystemRequest


def uses_of(names: Sequence[str]) -> tuple[Use, ...]:
    """Uses by their names, each once.

    Raises:
        UsageError: an unknown use, or none.
    """
    names = [name.strip() for name in names]
    for name in names:
        if name not in list(Use):
            raise UsageError(f"There is no use '{name}'.", hint=did_you_mean(name, list(Use)) or f"{', '.join(Use)}.")
    if not names:
        raise UsageError("No use was given.", hint=f"{', '.join(Use)}.")
    return tuple(Use(name) for name in dict.fromkeys(names))


def question_of(
    request: ModelRequest,
    structures: SystemRequest | None,
    uses: tuple[Use, ...],
    cases: Sequence[Case],
    *,
    seed: int = 0,
    timestep_fs: float | None = None,
) -> Question:
    """The question about one model.

    Args:
        request: the model.
        structures: requested structures; ``None`` for each diagnostic's own.
        uses: the uses to decide.
        cases: structures of the dynamics.
        seed: of the first runs.
        timestep_fs: time step of all dynamics, fs; ``None`` for the system's own.

    Raises:
        UsageError: there is no such model.
    """
    # Structures of a named system are samples of one distribution: each rung of a ladder draws others.
    from_file = structures is not None and structures.path is not None
    meaning, atoms = parse_request(request), cases[0].atoms
    modes = set(meaning.row.modes) if meaning.row is not None else set()
    conservative = None
    if {ForceMode.DIRECT, ForceMode.CONSERVATIVE} <= modes and meaning.mode is not ForceMode.CONSERVATIVE:
        conservative = replace(request, spec=f"{meaning.name}:{ForceMode.CONSERVATIVE}")
    return Question(
        model=request,
        system=structures,
        uses=uses,
        n_atoms=len(atoms),
        structures={case.name: content_hash(case.atoms) for case in cases} if from_file else {},
        model_file=model_file_digest(request),
        # Without structures named, relaxations are of single water molecules.
        molecules=structures is None or not bool(atoms.pbc.any()),
        seed=seed,
        timestep_fs=timestep_fs,
        conservative=conservative,
    )
