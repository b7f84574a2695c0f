"""From a noun of the table to a command that can be run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.main import get_command, get_group

if TYPE_CHECKING:
    from typer._click import Command

    from netctl.cli.nouns import Noun


def load_command(name: str, noun: Noun) -> Command:
    """Import the noun's module and build its command: a group of verbs, or one command when ``noun.whole``.

    typer makes a group of one verb into a plain command, which would swallow the verb's name, and a callback without
    commands into a group, which stops reading options at the first argument: so the table decides, not typer.
    """
    app: typer.Typer = import_module(noun.module).app
    if not noun.whole:
        command: Command = get_group(app)
    else:
        callback = app.registered_callback
        if callback is not None and callback.callback is not None and not app.registered_commands:
            only = typer.Typer(add_completion=False)
            only.command()(callback.callback)
            app = only
        app._add_completion = False
        command = get_command(app)
    command.params = [p for p in command.params if p.name not in {"install_completion", "show_completion"}]
    command.name = name
    command.context_settings = {**command.context_settings, "help_option_names": ["-h", "--help"]}  # verbs inherit it
    _plain_help(command)
    return command


def _plain_help(command: Any) -> None:
    """Help without boxes, uncut, and without Python's words for the type of what has a word of its own."""
    command.rich_markup_mode = None
    command.short_help = (command.help or "").partition("\n\n")[0].replace("\n", " ")
    for param in command.params:
        if param.param_type_name == "argument" and param.metavar is not None:
            param.display_type = lambda ctx: ""
    for verb in getattr(command, "commands", {}).values():
        _plain_help(verb)
