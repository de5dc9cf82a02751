"""A message on standard error when the model's native code ends this process, which can then print nothing itself."""

from __future__ import annotations

import atexit
import subprocess
from pathlib import Path

_SCRIPT = r"""
path= text=
while IFS='	' read -r path_now text_now; do path=$path_now text=$text_now; done
if [ -s "$path" ]; then printf '%s\n' "$text" >&2; fi
"""
"""Reads ``PATH<tab>TEXT`` lines until this process ends, and prints the last text if the file at its path is not empty: only a fault writes to it."""


class CrashMessage:
    """A shell that waits for the end of this process. It is started by the first :meth:`expect`."""

    def __init__(self) -> None:
        self._shell: subprocess.Popen[bytes] | None = None

    def expect(self, log: Path, text: str) -> None:
        """From now on ``text``, one line, is printed if the process ends with something in ``log``. Without a shell nothing is."""
        try:
            if self._shell is None:
                # A session of its own: Ctrl-C in the terminal does not reach it.
                self._shell = subprocess.Popen(  # noqa: S603  # our own script
                    ["/bin/sh", "-c", _SCRIPT],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
                # Workers keep their recorder to the end of the process.
                atexit.register(self.close)
            assert self._shell.stdin is not None
            self._shell.stdin.write(f"{log}\t{' '.join(text.split())}\n".encode(errors="surrogateescape"))
            self._shell.stdin.flush()
        except OSError:
            # The message is a convenience: the job runs without it.
            self.close()

    def close(self) -> None:
        """End the shell."""
        if self._shell is not None:
            self._shell.communicate()
            self._shell = None
            atexit.unregister(self.close)
