"""``netctl controller``: run and inspect a controller, and show what it would write."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from netctl.cli.output import Format, OutputOption, emit, progress
from netctl.cli.sources import Source, ask_all
from netctl.model.errors import EnvironmentLackError, NetctlError

app = typer.Typer(
    help="Run and inspect a controller, which writes names into clusters.", add_completion=False, no_args_is_help=True
)

ConfigOption = Annotated[Path, typer.Option("--config", help="the controller file")]
EXIT_CHANGES = 10


@app.command()
def run(config: ConfigOption) -> None:
    """Run a controller in the foreground. On SIGTERM it gives its Leases back and leaves; the names stay."""
    require("controller", "kubernetes", "aiohttp")
    from netctl.config import load_controller
    from netctl.controller.io import run_controller

    run_controller(load_controller(config))


@app.command()
def plan(config: ConfigOption, output: OutputOption = Format.table) -> int:
    """Show what a controller would write now, and write nothing. Exit code 10 when there are changes."""
    require("controller", "kubernetes", "aiohttp")
    from netctl.config import load_controller
    from netctl.controller.io import plan_once

    writes = plan_once(load_controller(config))
    if writes or output in {Format.json, Format.yaml}:
        emit(writes, ["cluster", "verb", "resource", "name", "why"], output)
    counts = {verb: sum(write["verb"] == verb for write in writes) for verb in ("create", "replace", "delete")}
    said = ", ".join(f"{count} to {verb}" for verb, count in counts.items() if count)
    progress(f"{len(writes)} changes: {said}" if writes else "no changes")
    return EXIT_CHANGES if writes else 0


@app.command()
def metrics(config: ConfigOption) -> None:
    """Print the controller's metrics in Prometheus' text format."""
    from netctl.config import load_controller

    print_metrics(Source("", Path(load_controller(config).runtime_dir, "controller.sock"), "controller"))


def print_metrics(source: Source) -> None:
    """What a program's ``metrics_listen`` would serve, asked at its socket."""
    (answer,) = ask_all([source], "metrics")
    if isinstance(answer, NetctlError):
        raise answer
    typer.echo(answer["text"], nl=False)


def require(program: str, *libraries: str) -> None:
    """Raise EnvironmentLackError when a library is not installed, before anything stumbles over that."""
    for library in libraries:
        if importlib.util.find_spec(library) is None:
            raise EnvironmentLackError(
                f"the {program} needs the Python library {library}, which is not installed",
                "pip install 'netctl[controller]'",
            )
