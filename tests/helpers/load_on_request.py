"""Load models by name, one per line of standard input, and answer a line of JSON each.

A request is a JSON object: ``model``, ``checkpoint`` (optional) and ``environment``, the variables to set first, ``null`` to remove one.
With ``offline`` names of servers are not resolved. Used with the Python of a family's own environment.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import urllib.request
import warnings
from contextlib import suppress
from typing import Any

RESOLVE = socket.getaddrinfo


def _no_names(host: Any, *_arguments: Any, **_named: Any) -> Any:
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What became of one request: the digest of the weights, or the error, and the seconds it took."""
    from ncbench.errors import NcbenchError
    from ncbench.models.loading import load_forcefield, sha256_of
    from ncbench.types import ModelRequest

    for name, value in request["environment"].items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    socket.getaddrinfo = _no_names if request.get("offline") else RESOLVE
    # The hub's client reads the environment once.
    with suppress(ImportError):
        from huggingface_hub.utils import close_session

        close_session()
    # So does urllib.
    urllib.request.install_opener(None)  # type: ignore[arg-type]  # the way to have it made again
    sha256_of.cache_clear()
    clock = time.monotonic()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            card = load_forcefield(ModelRequest(spec=request["model"], checkpoint=request.get("checkpoint"))).card
        seen = [str(one.message) for one in caught if type(one.message).__name__ == "WeightsWarning"]
        answered = {"sha256": card.checkpoint_sha256, "file": card.checkpoint, "warnings": seen}
    except NcbenchError as error:
        answered = {"error": type(error).__name__, "message": str(error)}
    return {**answered, "seconds": time.monotonic() - clock}


if __name__ == "__main__":
    channel = os.fdopen(os.dup(1), "w")
    # Libraries print.
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=channel, flush=True)  # the answer
