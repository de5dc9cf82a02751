"""Characters of a terminal that is not UTF-8: λ, ≤ or Å are spelled out, since ``?`` in their place would lose information."""

from __future__ import annotations

import codecs
import io
import json
import sys
import unicodedata
from typing import Any

HANDLER = "ncbench.spelled"
"""Name of the error handler registered with :mod:`codecs`."""

_SPELLED = {
    "Å": "A", "−": "-", "‖": "||", "λ": "lambda", "τ": "tau", "ω": "omega", "θ": "theta", "ß": "ss", "∂": "d", "·": "*", "√": "sqrt", "Δ": "Delta ",
    "σ": "sigma", "…": "...", "→": "->", "←": "<-", "ε": "epsilon", "⟨": "<", "⟩": ">", "²": "^2", "³": "^3", "¹": "^1", "⁴": "^4",
    "⁵": "^5", "⁶": "^6", "⁻": "^-", "ᵀ": "^T", "ᵗ": "^t", "γ": "gamma", "Γ": "Gamma", "Σ": "Sum ", "×": "x", "–": "-", "—": "-",
    "½": "1/2", "⅓": "1/3", "π": "pi", "δ": "delta", "≤": "<=", "≥": ">=", "±": "+-", "∫": "integral ", "∮": "loop integral ",
    "∞": "inf", "ν": "nu", "χ": "chi", "κ": "kappa", "∝": "~", "≈": "~", "′": "'", "ζ": "zeta", "φ": "phi", "Φ": "Phi", "≪": "<<", "≫": ">>",
    "≠": "!=", "α": "alpha", "β": "beta", "ρ": "rho", "Θ": "Theta", "µ": "u", "μ": "mu", "ξ": "xi", "°": " deg", "∇": "grad ", "Π": "Product ", "‴": "'''", "⁗": "''''",
    "≲": "<~", "✅": "ok", "❌": "no", "❔": "?", "•": "*", "’": "'", "‘": "'", "“": "'", "”": "'", "↓": "v", "↑": "^",
}  # fmt: skip


def spelled(character: str) -> str:
    """ASCII for one character: its name for a symbol of physics, its base letters for an accented letter, otherwise ``?``."""
    if character in _SPELLED:
        return _SPELLED[character]
    base = "".join(one for one in unicodedata.normalize("NFKD", character) if one.isascii())
    # A combining accent stands after its letter and has no base.
    return base or ("" if unicodedata.combining(character) else "?")


def _handle(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(spelled, error.object[error.start : error.end])), error.end


codecs.register_error(HANDLER, _handle)


def spell_what_streams_lack() -> None:
    """Make standard output and standard error spell out characters that their encoding lacks, instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        # A stream replaced by a test or a notebook may not be a text file.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def as_printed(text: str) -> str:
    """``text`` as standard output prints it, so that a table's columns have the width of what is printed."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, HANDLER).decode(encoding)


def print_json(content: Any) -> None:
    """``content`` as JSON on standard output; in an encoding other than UTF-8 with escapes for other characters."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    complete = encoding.lower().replace("-", "").startswith("utf")
    sys.stdout.write(json.dumps(content, indent=1, ensure_ascii=not complete, default=str) + "\n")
