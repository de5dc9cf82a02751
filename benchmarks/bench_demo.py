"""Time of ``make demo`` on a fresh clone with an empty home, installation included: some six minutes on an idle machine.

    python benchmarks/bench_demo.py

Writes ``results/bench/demo.csv``. Of the caller's home only pip's configuration is copied. The clone is of the last commit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bench_files import merged, prepare

ROOT = Path(__file__).resolve().parents[1]
PIP = Path(".config") / "pip" / "pip.conf"


def main() -> None:
    """Clone, run, and write the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench")
    asked = parser.parse_args()
    prepare(os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        clone, home = Path(folder) / "ncbench", Path(folder) / "home"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        (home / PIP).parent.mkdir(parents=True)
        if (Path.home() / PIP).is_file():
            shutil.copy(Path.home() / PIP, home / PIP)
        # Variables of this process's own environment would be those of the demo.
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "PIP_CONFIG_FILE")}
        began = time.perf_counter()
        done = subprocess.run(["make", "demo"], cwd=clone, env={**kept, "HOME": str(home)}, check=False)
        minutes = (time.perf_counter() - began) / 60.0
    if done.returncode:
        raise SystemExit(f"make demo ended with {done.returncode}")
    row = {"what": "make demo with installation", "value": minutes, "unit": "min", "note": "wall time, one run"}
    merged(asked.out / "demo.csv", [row], "what")
    print(f"{minutes:.2f} min")


if __name__ == "__main__":
    main()
