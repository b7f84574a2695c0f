"""Shell completion: a tree of commands in which only the noun already typed is imported."""

from __future__ import annotations

import os

from typer.completion import get_completion_inspect_parameters, shell_complete
from typer.core import TyperCommand, TyperGroup

from netctl.cli.commands import load_command
from netctl.cli.nouns import NOUNS


def complete(instruction: str) -> int:
    """Answer the shell: ``source_SHELL`` prints the script to evaluate, ``complete_SHELL`` the candidates."""
    get_completion_inspect_parameters()  # has typer register its shells
    words = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
    typed = words.split()[1:2]
    commands = {
        name: load_command(name, noun) if [name] == typed else TyperCommand(name, help=noun.summary)
        for name, noun in NOUNS.items()
    }
    root = TyperGroup(name="netctl", commands=commands)
    return shell_complete(root, {}, "netctl", "_NETCTL_COMPLETE", instruction)
