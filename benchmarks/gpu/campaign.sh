#!/usr/bin/env bash
# Measurements on a GPU in calls of at most nine minutes:  benchmarks/gpu/campaign.sh [--device cuda] [--small] [--out DIR] STAGE...
# Stages: smoke, matrix, md, lambda, table5, nvt, pack; README.md beside this file says what each does.
# WHEELS: a folder of wheels to install first, without an index (made by wheels.py). PYTHON: the interpreter, which has torch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-python3}
if [ -n "${WHEELS:-}" ]; then
  site=$(mktemp -d)
  trap 'rm -rf "$site"' EXIT
  "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$WHEELS"/*.whl
  export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
"$python" benchmarks/gpu/campaign.py "$@"
