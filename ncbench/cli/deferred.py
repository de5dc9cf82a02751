"""A command whose options are built when they are first used: the list of commands needs only names and help, and starts the faster."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import typer
from typer.core import TyperCommand

Build = Callable[[], Callable[..., None]]
"""Returns the function that a command calls, with the annotations that describe its options."""


class DeferredCommand(TyperCommand):
    """Options and function come from ``build``."""

    def __init__(self, *, build: Build, **described: Any) -> None:
        self._build = build
        self._built: TyperCommand | None = None
        super().__init__(**described)

    @property
    def _command(self) -> TyperCommand:
        if self._built is None:
            app = typer.Typer(add_completion=False)
            app.command(self.name)(self._build())
            self._built = cast("TyperCommand", typer.main.get_command(app))
        return self._built

    @property
    def params(self) -> Any:
        """The options."""
        return self._command.params

    @params.setter
    def params(self, _: Any) -> None:
        """Those of the placeholder, of which there are none."""

    @property
    def callback(self) -> Any:
        """The function with the options' values as arguments."""
        return self._command.callback

    @callback.setter
    def callback(self, _: Any) -> None:
        """The placeholder."""


def add_deferred(app: typer.Typer, name: str, build: Build, **described: Any) -> None:
    """``app.command(name, **described)`` of the function that ``build`` returns, called when the command is used."""
    app.command(name, cls=cast("type[TyperCommand]", partial(DeferredCommand, build=build)), **described)(_placeholder)


def _placeholder() -> None:
    """Stands for the function in the list of commands."""
