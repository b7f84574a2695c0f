"""``netctl agent``: run, stop and inspect a gateway's agent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netctl.cli.output import Format, OutputOption, emit, progress

app = typer.Typer(help="Run, stop and inspect a gateway's agent.", add_completion=False, no_args_is_help=True)

ConfigOption = Annotated[Path, typer.Option("--config", help="the gateway file")]


@app.command()
def run(
    config: ConfigOption,
    standalone: Annotated[
        bool, typer.Option("--standalone", help="start speakers and liveness too, where they do not run yet")
    ] = False,
) -> None:
    """Run the agent in the foreground. On SIGTERM it leaves; sessions, routes and its children stay."""
    from netctl.agent.io import run_agent
    from netctl.config import load_gateway

    run_agent(load_gateway(config), standalone=standalone)


@app.command()
def stop(
    config: ConfigOption,
    flush: Annotated[bool, typer.Option("--flush", help="take netctl's routes out of the kernel too")] = False,
    output: OutputOption = Format.table,
) -> None:
    """End everything orderly: announcements withdrawn, BFD AdminDown, children ended. Works without an agent too."""
    from netctl.agent.io import stop_gateway
    from netctl.config import load_gateway

    result = stop_gateway(load_gateway(config), flush=flush)
    rows = [
        {"program": name, "ended": "yes" if ended else "was not running"} for name, ended in result["ended"].items()
    ]
    if output in {Format.json, Format.yaml}:
        emit(result, fmt=output)
    else:
        emit(rows, ["program", "ended"], output)
        progress("routes taken out" if flush else "routes stay; --flush takes them out")


@app.command()
def reset(peer: Annotated[str, typer.Argument(help="the peer's name")], config: ConfigOption) -> None:
    """Reset the BGP session with one peer (Cease/Administrative Reset); it comes back by itself."""
    from netctl.agent.io import agent_socket, ask
    from netctl.config import load_gateway
    from netctl.ipc.messages import Request

    ask(agent_socket(load_gateway(config)), Request("reset", peer))
    progress(f"session with {peer} is being reset")


@app.command()
def metrics(config: ConfigOption) -> None:
    """Print the agent's metrics in Prometheus' text format."""
    from netctl.agent.io import agent_socket, ask
    from netctl.config import load_gateway
    from netctl.ipc.messages import Request

    typer.echo(ask(agent_socket(load_gateway(config)), Request("metrics")).body["text"], nl=False)
