"""Words of a command line as bash hands them to a completion: split at ``:`` and ``=``, which models and options contain."""

from __future__ import annotations

BREAKS = (":", "=")


def joined(words: list[str], current: int) -> tuple[list[str], int]:
    """The words as typed, and the index of the one that is completed.

    Args:
        words: ``COMP_WORDS``, in which ``pet-m:direct`` are three words.
        current: ``COMP_CWORD``.
    """
    whole: list[str] = []
    index = 0
    for number, word in enumerate(words):
        attached = bool(whole) and (word in BREAKS or (number > 0 and words[number - 1] in BREAKS))
        if attached:
            whole[-1] += word
        else:
            whole.append(word)
        if number == current:
            index = len(whole) - 1
    return whole, index if current < len(words) else len(whole)


def after_colon(completion: str, incomplete: str) -> str:
    """What bash inserts: the part of a completion behind the last colon of the typed word, where bash begins a word."""
    before, colon, _ = incomplete.rpartition("=")[2].rpartition(":")
    return completion.removeprefix(before + colon)
