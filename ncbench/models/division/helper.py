"""The process that evaluates a part of each batch: reads requests from standard input, writes answers to the original standard output.

It has one thread, and ends with the process that started it: at the end of input, and on Linux by the kernel. Output of libraries goes to standard
error, which is a log. Requests and answers are pickled, since both ends are the same program of the same user.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from ncbench.models.division.boot import end_with


def main(parent: str) -> None:
    """Serve requests until the process ``parent`` has ended."""
    # The terminal's Ctrl-C is for the process that started this one, which ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = Connection(os.dup(1), readable=False)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    requests = Connection(os.dup(0), writable=False)
    settings = requests.recv()
    if settings["one_thread_started"]:
        # The kernel's signal comes with the end of the thread that started this process, which may be before that of the process.
        end_with(int(parent))
    # Models of the user's own are found where the parent finds them.
    sys.path[:] = settings["sys_path"]

    from ncbench.allocator import keep_pages

    if settings["keep_pages"]:
        keep_pages()
    warnings.simplefilter("ignore")
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, inbox), daemon=True).start()
    import torch

    torch.set_num_threads(1)
    from ncbench.models.division.served import Served

    served = Served()
    while True:
        number, name, arguments = pickle.loads(inbox.get())  # noqa: S301 - written by the parent
        _send(answers, number, *_answer(served, name, arguments))


def _listen(requests: Connection, inbox: queue.SimpleQueue[bytes]) -> None:
    """Pass requests on, and end the process at the end of input, also within a long computation."""
    while True:
        try:
            inbox.put(requests.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)


def _answer(served: Any, name: str, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    """Whether the request succeeded, and its result or its exception."""
    from ncbench.errors import CODE_ERRORS, NcbenchError

    method: Callable[..., Any] = getattr(served, name)
    try:
        return True, method(*arguments)
    except MemoryError:
        return False, MemoryError()
    except (*CODE_ERRORS, NcbenchError) as error:
        return False, error


def _send(answers: Connection, number: int, succeeded: bool, result: Any) -> None:
    try:
        content = pickle.dumps((number, succeeded, result), protocol=pickle.HIGHEST_PROTOCOL)
        if not succeeded:
            # Exceptions with arguments of their own are written, and cannot be read again.
            pickle.loads(content)  # noqa: S301 - written here
    except (AttributeError, TypeError, pickle.PicklingError):
        if succeeded:
            raise
        content = pickle.dumps((number, False, RuntimeError(f"{type(result).__name__}: {result}")))
    try:
        answers.send_bytes(content)
    except OSError:
        # The parent has ended.
        os._exit(0)
