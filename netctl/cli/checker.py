"""``netctl checker``: run and inspect a checker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netctl.cli.controller import print_metrics, require
from netctl.cli.sources import Source

app = typer.Typer(
    help="Run and inspect a checker, which checks a cloud's instances.", add_completion=False, no_args_is_help=True
)

ConfigOption = Annotated[Path, typer.Option("--config", help="the checker file")]


@app.command()
def run(config: ConfigOption) -> None:
    """Run a checker in the foreground until SIGTERM. Its last verdicts stand when it is gone."""
    require("checker", "aiohttp")
    from netctl.checker.io import run_checker
    from netctl.config import load_checker

    run_checker(load_checker(config))


@app.command()
def metrics(config: ConfigOption) -> None:
    """Print the checker's metrics in Prometheus' text format."""
    from netctl.config import load_checker

    print_metrics(Source("", Path(load_checker(config).runtime_dir, "checker.sock"), "checker"))
