"""Draw ``docs/architecture.svg``: the folders of ``ncbench/`` in layers, and which imports which, read from the code.

``docs/architecture.txt`` lists the arrows of the picture; a test compares it with the imports.

python docs/draw_architecture.py           # writes the picture
python docs/draw_architecture.py --edges   # prints the imports between folders
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ncbench"
ROLES = {
    "cli": "commands: parse, call, print",
    "api": "the same as Python functions",
    "assess": "diagnostics until a use is decided",
    "check": "baselines, limits, comparisons",
    "paper": "the paper's numbers, its tables made again",
    "logs": "runs of other programs: drift, its cause",
    "report": "read, aggregate, judge, draw",
    "run": "plan, local and cluster runs, environments",
    "store": "keys, tables, checkpoints, index",
    "diagnostics": "one file each: settings, function, tables",
    "prediction": "heating from the Jacobian",
    "consistency": "symmetries, forces against energies",
    "relaxation": "geometry optimisation in batches",
    "observables": "g(r), spectra, diffusion of trajectories",
    "jacobian": "force Jacobian and λ",
    "md": "integrators, thermostats, MTS, i-PI",
    "structures": "named systems, files, data sets",
    "models": "the adapter, families, conformance",
    "statistics": "error bars, intervals, formats",
}
"""Folder → what it is for."""


def edges() -> set[tuple[str, str]]:
    """(folder, folder it imports from) for all imports between folders of the package, those within functions too."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        folder = path.relative_to(PACKAGE).parts[0]
        if not (PACKAGE / folder).is_dir():
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
            for name in names:
                parts = name.split(".")
                if parts[0] == "ncbench" and len(parts) > 1 and (PACKAGE / parts[1]).is_dir() and parts[1] != folder:
                    found.add((folder, parts[1]))
    return found


def layers(graph: set[tuple[str, str]]) -> dict[str, int]:
    """Folder → length of the longest chain of imports below it.

    Raises:
        ValueError: folders import each other in a circle.
    """
    folders = sorted({path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()})
    below = {folder: {b for a, b in graph if a == folder} for folder in folders}
    height: dict[str, int] = {}
    while len(height) < len(folders):
        ready = [folder for folder in folders if folder not in height and below[folder] <= height.keys()]
        if not ready:
            raise ValueError(f"circle among {sorted(set(folders) - height.keys())}")
        height |= {folder: 1 + max((height[b] for b in below[folder]), default=-1) for folder in ready}
    return height


def reduced(graph: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The arrows that no longer path replaces (transitive reduction): what a picture needs."""

    def reaches(start: str, end: str, without: tuple[str, str]) -> bool:
        todo, seen = [start], set()
        while todo:
            here = todo.pop()
            for a, b in graph:
                if a == here and (a, b) != without and b not in seen:
                    if b == end:
                        return True
                    seen.add(b)
                    todo.append(b)
        return False

    return {edge for edge in graph if not reaches(*edge, edge)}


def draw(path: Path) -> None:
    """Write the picture."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "ncbench", "font.family": "DejaVu Sans", "svg.fonttype": "path"}
    from matplotlib import pyplot as plt
    from matplotlib.patches import FancyBboxPatch

    graph = edges()
    height = layers(graph)
    rows: dict[int, list[str]] = {}
    for folder, level in sorted(height.items()):
        rows.setdefault(level, []).append(folder)
    width, tall = 2.9, 0.66
    places = {
        folder: ((k - (len(row) - 1) / 2) * (width + 0.35), 1.25 * level)
        for level, row in rows.items()
        for k, folder in enumerate(row)
    }
    across = max(len(row) for row in rows.values()) * (width + 0.35)
    figure, axes = plt.subplots(figsize=(max(9.0, 0.95 * across), 1.0 * len(rows) + 1.2))
    for a, b in sorted(reduced(graph)):
        (x0, y0), (x1, y1) = places[a], places[b]
        axes.annotate(
            "",
            xy=(x1, y1 + tall / 2),
            xytext=(x0, y0 - tall / 2),
            arrowprops={"arrowstyle": "-|>", "color": "#6b7a8f", "lw": 1.0, "shrinkA": 0, "shrinkB": 1},
            zorder=1,
        )
    for folder, (x, y) in places.items():
        axes.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - tall / 2),
                width,
                tall,
                boxstyle="round,pad=0.02",
                facecolor="#eef3f9",
                edgecolor="#33475b",
                zorder=2,
            )
        )
        axes.text(x, y + 0.11, f"{folder}/", ha="center", va="center", fontsize=10, weight="bold", zorder=3)
        axes.text(x, y - 0.16, ROLES[folder], ha="center", va="center", fontsize=6.2, color="#33475b", zorder=3)
    axes.text(
        0.0,
        -0.95,
        "types.py · schema.py · options.py · errors.py · units.py: plain values, imported everywhere, importing nothing of the above",
        ha="center",
        fontsize=8,
    )
    axes.set_xlim(-across / 2, across / 2)
    axes.set_ylim(-1.2, 1.25 * max(height.values()) + 0.6)
    axes.axis("off")
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", action="store_true", help="print the imports between folders and write nothing")
    if parser.parse_args().edges:
        for a, b in sorted(edges()):
            print(f"{a} -> {b}")
    else:
        draw(ROOT / "docs" / "architecture.svg")
        arrows = "\n".join(f"{a} -> {b}" for a, b in sorted(reduced(edges())))
        (ROOT / "docs" / "architecture.txt").write_text(arrows, encoding="utf-8")
        arrows = [f"{a} -> {b}" for a, b in sorted(reduced(edges()))]
        # What the picture shows, in words: a test compares it with the code.
        (ROOT / "docs" / "architecture.txt").write_text("\n".join(arrows), encoding="utf-8")
