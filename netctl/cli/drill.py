"""``netctl drill list|run|recover|show``."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Literal

import typer

from netctl.cli.drill_result import show_result, show_results
from netctl.cli.output import Column, Format, OutputOption, emit, progress
from netctl.model.errors import EnvironmentLackError, NetctlError, UsageError

app = typer.Typer(
    help="Experiments: a fault, its measured outage, an objective, the undo. Exit codes of run: 0 passed, "
    "1 objective missed, 3 refused, 4 aborted and restored, 5 restore failed, 6 inconclusive.",
    no_args_is_help=True,
)

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m)?")
LabOption = Annotated[str, typer.Option("--lab", "--name", help="name of the lab")]


@app.command("list")
def list_drills(output: OutputOption = Format.table) -> None:
    """What can be drilled."""
    from netctl.drill.catalogue import DRILLS

    rows = [
        {"drill": d.name, "fault": d.summary, "objective": d.objective, "options": [f"--{name}" for name in d.options]}
        for d in DRILLS.values()
    ]
    emit(rows, ["drill", "fault", "objective", Column("options", wide=True)], output)


@app.command()
def run(
    name: Annotated[str, typer.Argument(metavar="DRILL", help="see netctl drill list", show_default=False)],
    *,
    lab: LabOption = "lab",
    provider: Annotated[str | None, typer.Option(help="provider-cut: which (default: the first)")] = None,
    gateway: Annotated[
        str | None, typer.Option(help="agent-kill, bgp-reset, speaker-kill: which one's (default: the first)")
    ] = None,
    peer: Annotated[str | None, typer.Option(help="bgp-reset, speaker-kill: the session's other end")] = None,
    signal: Annotated[str | None, typer.Option(help="of whoever kills a program: KILL (the default) or STOP")] = None,
    agents: Annotated[
        str | None, typer.Option(help="provider-cut: KILL or STOP every gateway's agent just before the cut")
    ] = None,
    vm: Annotated[str | None, typer.Option(help="vm-death: which (default: the first that serves a name)")] = None,
    cloud: Annotated[str | None, typer.Option(help="ingress-death: whose (default: the first)")] = None,
    controller: Annotated[str | None, typer.Option(help="controller-kill: which (default: who leads)")] = None,
    duration: Annotated[
        str | None, typer.Option(help="how long the fault stays, such as 3s", show_default="the drill's own")
    ] = None,
    objective_ms: Annotated[
        float | None, typer.Option("--objective-ms", help="longest outage allowed, instead of the drill's own")
    ] = None,
    limit: Annotated[str, typer.Option(help="the fault ends by itself after this, whatever dies")] = "60s",
    output: OutputOption = Format.table,
) -> int:
    """Run one drill in a lab and judge it."""
    from netctl.drill.catalogue import check_names, check_options, find
    from netctl.drill.experiments import Options
    from netctl.drill.io import open_site
    from netctl.drill.shell import Runner

    drill = find(name)
    duration_s = drill.duration_s if duration is None else _seconds(duration, "--duration")
    limit_s = _seconds(limit, "--limit")
    if limit_s < duration_s + 2:
        raise UsageError(f"--limit {limit} ends the fault before its {duration_s:g} s are over", "allow 2 s more")
    if objective_ms is not None and objective_ms < 0:
        raise UsageError(f"--objective-ms {objective_ms:g}: an outage is not shorter than 0")
    options = Options(
        provider=provider,
        gateway=gateway,
        peer=peer,
        signal=_signal(signal, "--signal") if signal is not None else None,
        agents=_signal(agents, "--agents") if agents is not None else None,
        vm=vm,
        cloud=cloud,
        controller=controller,
        duration_s=duration_s,
        objective_ms=objective_ms,
    )
    check_options(drill, options)
    site = open_site(lab)
    check_names(drill, options, site.facts())
    result = asyncio.run(Runner(site, drill, options, limit_s, lambda text: progress(f"{name}: {text}")).run())
    show_result(result, output)
    return result.exit_code


@app.command()
def recover(
    lab: Annotated[str | None, typer.Option("--lab", "--name", help="name of the lab (default: every lab)")] = None,
    output: OutputOption = Format.table,
) -> None:
    """Take back whatever a drill that died has left. Exit code 5: something is left."""
    from netctl.drill.folder.io import recover as take_back
    from netctl.drill.io import lab_names, open_site

    rows: list[dict[str, str]] = []
    failed: NetctlError | None = None
    for name in [lab] if lab is not None else lab_names():
        try:
            rows += [{"lab": name, "recovered": what} for what in take_back(open_site(name))]
        except EnvironmentLackError as error:
            progress(f"{error.message}: no fault outlives its lab")
        except NetctlError as error:
            failed = failed or error
    if output in {Format.json, Format.yaml}:
        emit(rows, fmt=output)
    elif rows:
        emit(rows, ["lab", "recovered"], output)
    elif failed is None:
        progress("nothing to recover")
    if failed is not None:
        raise failed


@app.command()
def show(
    identifier: Annotated[str | None, typer.Argument(metavar="[ID]", help="default: all, in one line each")] = None,
    lab: LabOption = "lab",
    output: OutputOption = Format.table,
) -> None:
    """Results of earlier drills."""
    from netctl.drill.folder.io import load_results
    from netctl.drill.io import open_site

    results = load_results(open_site(lab).folder)
    if identifier is None:
        show_results(results, output)
        return
    for result in results:
        if result.id == identifier:
            show_result(result, output)
            return
    raise UsageError(f"no result {identifier!r} in lab {lab}", "netctl drill show lists them")


def _seconds(text: str, option: str) -> float:
    match = _DURATION.fullmatch(text.strip())
    value = float(match[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0}[match[2] or "s"] if match else 0.0
    if not 0.05 <= value <= 3600:
        raise UsageError(f"{option} {text!r}: not a duration from 50ms to 60m", "write it like 3s, 500ms or 1m")
    return value


def _signal(text: str, option: str) -> Literal["KILL", "STOP"]:
    upper = text.upper().removeprefix("SIG")
    if upper == "KILL":
        return "KILL"
    if upper == "STOP":
        return "STOP"
    raise UsageError(f"{option} {text!r} is not one of KILL, STOP")
