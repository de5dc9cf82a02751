"""A comparison as a LaTeX table. It needs the package booktabs and, for non-ASCII model names, a Unicode engine."""

from __future__ import annotations

import re

from ncbench.paper.compare import Comparison
from ncbench.paper.grid import PAPER, Entry, grid

_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip
_SYMBOLS = {
    "λ": r"$\lambda$", "τ": r"$\tau$", "Δ": r"$\Delta$", "σ": r"$\sigma$", "γ": r"$\gamma$", "ω": r"$\omega$", "π": r"$\pi$",
    "⟨": r"$\langle$", "⟩": r"$\rangle$", "≤": r"$\leq$", "−": "$-$", "–": "--", "×": r"$\times$", "∞": r"$\infty$", "‖": r"$\Vert$",
    "√": r"$\surd$", "Å": r"\AA{}", "²": "$^2$", "³": "$^3$", "⁻": "$^{-}$", "¹": "$^{1}$", "±": r"$\pm$", "·": r"$\cdot$", "…": r"\dots{}",
    "°": r"$^\circ$", "é": r"\'e", "ö": r'\"o', "ü": r'\"u', "ä": r'\"a', "á": r"\'a",
}  # fmt: skip
_POWER = re.compile(r"(?<![A-Za-z\d])(-?\d[\d.]*(?:\([\d.]+\))?)e(-?\d+)(?![\w])")
_HOLE = "\x00"
"""Placeholder for a power of ten while the rest is escaped."""


def latex(comparison: Comparison) -> str:
    r"""A ``table`` environment with ``booktabs`` rules; remarks and notes below in ``\footnotesize``."""
    cells = grid(comparison)
    columns = "l" * cells.numeric_from + "r" * (len(cells.head) - cells.numeric_from)
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(cells.caption)}}}",
        rf"\label{{tab:{comparison.table.name}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _line([escaped(text) for text in cells.head]),
        r"\midrule",
    ]
    for number, line in enumerate(cells.lines):
        if number and cells.kind(line) == PAPER:
            lines.append(r"\addlinespace")
        lines.append(_line([_text(entry) for entry in line]))
    lines += [r"\bottomrule", r"\end{tabular}", r"\par\medskip", r"\begin{minipage}{\linewidth}\footnotesize"]
    lines += [rf"$^{{\mathrm{{{letter}}}}}$ {escaped(text)}\par" for letter, text in cells.remarks]
    lines += [rf"{escaped(note)}\par" for note in cells.notes]
    return "\n".join([*lines, r"\end{minipage}", r"\end{table}"]) + "\n"


def _line(texts: list[str]) -> str:
    # A bracket at the start of a line would be read as the optional length of the \\ before it.
    return " & ".join(f"{{{text}}}" if text.startswith("[") else text for text in texts) + r" \\"


def _text(entry: Entry) -> str:
    return escaped(entry.text) + (rf"$^{{\mathrm{{{entry.marks}}}}}$" if entry.marks else "")


def escaped(text: str) -> str:
    """``text`` for LaTeX's text mode: special characters escaped, symbols and powers of ten in maths."""
    powers: list[str] = []

    def keep(match: re.Match[str]) -> str:
        powers.append(rf"${match[1]}\times10^{{{match[2]}}}$")
        return _HOLE

    plain = _POWER.sub(keep, text)
    escaped_text = "".join(_ESCAPES.get(letter) or _SYMBOLS.get(letter) or letter for letter in plain)
    for power in powers:
        escaped_text = escaped_text.replace(_HOLE, power, 1)
    return escaped_text
