"""``netctl status``: every gateway, controller, checker, session and process that is found here."""

from __future__ import annotations

import shlex
import time
from typing import Any

import typer

from netctl.cli.output import Format, OutputOption, emit_views
from netctl.cli.sources import RUN, GatewayOption, LabOption, RuntimeDirOption, Source, ask_all, find_sources
from netctl.cli.status_gateways import gateway_views
from netctl.cli.status_names import naming_views
from netctl.model.errors import NetctlError

app = typer.Typer(add_completion=False)


@app.command()
def status(
    runtime_dir: RuntimeDirOption = None,
    lab: LabOption = None,
    gateway: GatewayOption = None,
    output: OutputOption = Format.table,
) -> int:
    """Show the state of everything found here: gateways, their sessions and processes, controllers with what they hold
    back, checkers. Exit code 1 when one does not answer."""
    found = find_sources(runtime_dir, lab, gateway)
    if not found and output in {Format.table, Format.wide}:
        hint = "netctl agent run --config FILE, netctl controller run --config FILE, or --runtime-dir DIR"
        raise NetctlError(f"neither an agent nor a controller nor a checker found under {RUN}", hint)
    data: dict[str, list[dict[str, Any]]] = {"gateways": [], "controllers": [], "checkers": []}
    for source, answer in zip(found, ask_all(found, "status"), strict=True):
        place = {"label": source.label, "socket": str(source.socket)}
        if not isinstance(answer, NetctlError):
            row = {**place, "answers": True, **answer}
        elif source.program == "agent":
            row = {**place, "answers": False, "error": answer.message, "peers": [], **_left(source)}
        else:
            row = {**place, "answers": False, "error": answer.message, source.program: source.name}
        data["gateways" if source.program == "agent" else f"{source.program}s"].append(row)
    now = time.time()
    names = naming_views(data["controllers"], data["checkers"], now, wide=output is Format.wide)
    emit_views(data, [*gateway_views(data["gateways"], now), *names], output)
    return 0 if found and all(row["answers"] for rows in data.values() for row in rows) else 1


def _left(source: Source) -> dict[str, Any]:
    """What is known of a gateway whose agent does not answer."""
    from netctl.agent.children.io import still_running, written_gateway

    folder = source.socket.parent
    written = written_gateway(folder)
    start = f"netctl agent run --config {shlex.quote(written.source if written else '') or 'FILE'} --standalone"
    return {
        "gateway": source.name,
        "still_running": still_running(folder),
        "start_again": "none: the lab starts it again by itself" if source.label else start,
    }
