"""``netctl controller``: run and inspect a controller, and show what it would write."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from netctl.cli.output import Column, Format, OutputOption, View, emit_views, progress
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
    """Show what a controller would write and hold back now, and which entries it skips; write nothing. Exit code 10
    when there are changes."""
    require("controller", "kubernetes", "aiohttp")
    from netctl.config import load_controller
    from netctl.controller.io import plan_once

    planned = plan_once(load_controller(config))
    writes = planned["writes"]
    emit_views(planned, list(_plan_views(planned)), output)
    counts = {verb: sum(write["verb"] == verb for write in writes) for verb in ("create", "replace", "delete")}
    said = ", ".join(f"{count} to {verb}" for verb, count in counts.items() if count)
    progress(f"{len(writes)} changes: {said}" if writes else "no changes")
    return EXIT_CHANGES if writes else 0


def _plan_views(planned: dict[str, Any]) -> Iterator[View]:
    """The writes, what is held back of each service, the entries that are skipped: each only where there are any."""
    if planned["writes"]:
        yield View(planned["writes"], ["cluster", "verb", "resource", "name", "why"])
    if holds := planned["holds"]:
        words = [f"{hold['service']} ({len(hold['instances'])} of {hold['served']} would go)" for hold in holds]
        held = f"{len(holds)} {'hold' if len(holds) == 1 else 'holds'}: {', '.join(words)}"
        yield View(holds, ["service", "instances"], title=held, below="reason")
    if skipped := planned["skipped"]:
        more = planned["skipped_total"] - len(skipped)
        note = f"and {more} more entries are skipped" if more > 0 else ""
        yield View(skipped, ["source", "key", Column("reason", "skipped, because")], note=note)


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
