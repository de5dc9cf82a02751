"""Commands generated from the declarations of diagnostics: options from the fields of the settings, help from the texts."""

from __future__ import annotations

import types
from dataclasses import fields
from functools import partial
from inspect import Parameter
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from ncbench.cli import complete
from ncbench.cli.deferred import add_deferred
from ncbench.cli.execute import execute
from ncbench.cli.options import Overrides, command_with_common
from ncbench.diagnostics import registry
from ncbench.diagnostics.base import Diagnostic
from ncbench.errors import UsageError
from ncbench.options import Option

PANEL = "Settings of this command (the budget's where not given)"
REFERENCE = Option(
    "Model of the slow (reference) forces of multiple time stepping; by default the model's conservative mode, "
    "its direct one being fast.",
    metavar="NAME[:MODE]",
)


def add_commands(app: typer.Typer, panel: str) -> None:
    """Add one command per diagnostic to ``app``, in the help panel ``panel``."""
    for diagnostic in registry.diagnostics().values():
        build = partial(_command, diagnostic)
        add_deferred(app, diagnostic.name, build, help=help_text(diagnostic), rich_help_panel=panel)


def help_text(diagnostic: Diagnostic) -> str:
    """Summary, explanation and examples, in Markdown."""
    examples = "\n\n".join(f"    ncbench {diagnostic.name} {example}" for example in diagnostic.examples)
    parts = [diagnostic.summary, diagnostic.help, f"Examples:\n\n{examples}" if examples else ""]
    return "\n\n".join(part for part in parts if part)


def _command(diagnostic: Diagnostic) -> Any:
    declared = options(diagnostic)

    def settings_of(**given: Any) -> Overrides:
        reference = {"reference": given.pop("reference")} if "reference" in given else {}
        values = {name: _value(given[name], *declared[name]) for name in given}
        return {**diagnostic.resolve(values), **reference}

    parameters = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(name, kind, option))
        for name, (kind, option) in declared.items()
    ]
    if diagnostic.takes_reference:
        parameters.append(
            Parameter(
                "reference", Parameter.KEYWORD_ONLY, default=None, annotation=_annotation("reference", str, REFERENCE)
            )
        )
    return command_with_common(execute, diagnostic.name, settings_of, parameters)


def options(diagnostic: Diagnostic) -> dict[str, tuple[Any, Option]]:
    """(type, option) of every option of the diagnostic, by settings field or extra name."""
    hints = get_type_hints(diagnostic.settings, include_extras=True)
    declared: dict[str, tuple[Any, Option]] = {}
    own = diagnostic.settings.__annotations__
    # Options of only this diagnostic come before those that it shares with others.
    for field in sorted(fields(diagnostic.settings), key=lambda field: field.name not in own):
        kind = hints[field.name]
        if get_origin(kind) is Annotated:
            kind, option, *_ = get_args(kind)
            declared[field.name] = (kind, option)
    return {extra.name: (extra.type, extra.option) for extra in diagnostic.extra_options} | declared


def _annotation(name: str, kind: Any, option: Option) -> Any:
    """The annotation of a command's parameter; ``None`` stands for an option that was not given."""
    typed = _typed(kind, option)
    number = typed in (int, float)
    return Annotated[
        typed | None,
        typer.Option(
            option.flag or "--" + name.replace("_", "-"),
            metavar="" if typed is bool else option.metavar or None,
            help=option.help,
            autocompletion=complete.models if option is REFERENCE else complete.of_metavar(option.metavar),
            min=option.minimum if number else None,
            max=option.maximum if number else None,
            rich_help_panel=PANEL,
        ),
    ]


def _typed(kind: Any, option: Option) -> Any:
    """The command-line type of a field of this type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _typed(next(one for one in arguments if one is not type(None)), option)
    if origin is Literal or option.parse is not None:
        return str
    if origin is tuple:
        return str if option.comma else list[arguments[0]]  # type: ignore[valid-type]
    return kind


def _value(given: Any, kind: Any, option: Option) -> Any:
    """The typed text as the field's value; the plan checks it against the field's type."""
    if option.parse is not None:
        return option.parse(given)
    if not option.comma:
        return tuple(given) if isinstance(given, list) else given
    flag = option.flag or "the option"
    element = get_args(kind)[0]
    try:
        return tuple(element(part) for part in given.split(","))
    except ValueError:
        what = "whole numbers" if element is int else "numbers"
        raise UsageError(f"'{given}' is not a list of {what} for {flag}.", hint="Write for example 1,2,4.") from None
