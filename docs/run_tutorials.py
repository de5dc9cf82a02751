"""Run the commands of the tutorials and write their outputs into the pages; with ``--check``, compare them instead.

python docs/run_tutorials.py [PAGE...] [--check]

In a page, a block ```` ```console ```` holds commands after ``$ `` and what they print; a block ```` ```python ```` is run as a script whose output is the block
```` ```text ```` after it. Each page has a folder of its own, so that its commands follow on each other. Comparison masks numbers and widths: another machine gives other times
and, in the last digits, other numbers.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "tutorials"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)


def rewritten(page: Path) -> str:
    """The page with the outputs of its commands as they are now.

    Raises:
        RuntimeError: a command ended with a usage error or a bug (exit code 2 or 3), or a script failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Logs of other programs are not made again, since they need those programs.
        shutil.copytree(FOLDER.parents[1] / "tests" / "logs" / "data", Path(folder) / "logs")
        return BLOCK.sub(lambda block: _block(block, Path(folder)), page.read_text(encoding="utf-8"))


def _block(block: re.Match[str], folder: Path) -> str:
    kind, text = block[1], block[2]
    if kind == "python":
        code, output = _run([sys.executable, "-c", text], folder)
        if code:
            raise RuntimeError(output)
        shown = f"\n```text\n{output}```\n" if output else ""
        return f"```python\n{text}```\n{shown}"
    lines = []
    for command in (line[2:] for line in text.splitlines() if line.startswith("$ ")):
        code, output = _run(["bash", "-c", command], folder)
        if code in (2, 3):
            raise RuntimeError(f"{command}: exit code {code}\n{output}")
        lines.append(f"$ {command}\n{output}")
    return "```console\n" + "".join(lines) + "```\n"


def _run(command: list[str], folder: Path) -> tuple[int, str]:
    variables = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "NO_COLOR": "1",
        "COLUMNS": "120",
        # As on a fresh machine: no environments of model families, whichever this one has.
        "NCBENCH_ENV_DIR": str(folder / "no-environments"),
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    # Progress goes to standard error: of it only what a failure says belongs on the page.
    output = done.stdout + (done.stderr if done.returncode in (2, 3) else "")
    return done.returncode, "".join(f"{line.rstrip()}\n" for line in output.splitlines())


def masked(text: str) -> list[str]:
    """Lines without numbers, rules and repeated spaces, and without blocks after ``<!-- limited by time -->``: what is decided depends on the machine."""
    text = re.sub(r"<!-- limited by time -->\n```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = (re.sub(r"[-+]?\d[\d.,()e?+-]*|[≤<>]", "#", line) for line in text.splitlines())
    return [re.sub(r"(# ?)+", "# ", re.sub(r"[ ─]+", " ", line)).strip() for line in lines]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", help="names without .md; all by default")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()
    changed = []
    for path in sorted(FOLDER.glob("*.md")):
        if arguments.pages and path.stem not in arguments.pages:
            continue
        now = rewritten(path)
        if masked(now) != masked(path.read_text(encoding="utf-8")):
            changed.append(path.name)
        if not arguments.check:
            path.write_text(now, encoding="utf-8")
    print(f"changed: {', '.join(changed) or 'nothing'}")
    sys.exit(bool(arguments.check and changed))
