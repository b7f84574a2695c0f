"""``netctl lab``: two clouds and two providers on this machine, in namespaces."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from netctl.cli.output import Column, Format, OutputOption, View, called, emit, emit_views, progress
from netctl.lab.api import Lab
from netctl.lab.daemons import Providers
from netctl.lab.paths import DEFAULT_NAME, state_dir
from netctl.lab.plan import Only
from netctl.lab.topology import PACKAGED
from netctl.model.errors import NetctlError, UsageError

app = typer.Typer(help="Two clouds and two providers on this machine, in namespaces.", no_args_is_help=True)

_CLOUD_COLUMNS: list[Column | str] = ["cloud", "api", "leader", "checker", Column("holds", right=True)]
_ANSWER_COLUMNS: list[Column | str] = ["name", Column("cloud", "asked in"), "answer"]

_ADDRESSES = 4
"""A node that has more shows the first."""

NameOption = Annotated[str, typer.Option("--name", "--lab", help="which lab; several run side by side")]
NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="as 'netctl lab status' names it")]


@app.command()
def up(
    name: NameOption = DEFAULT_NAME,
    providers: Annotated[Providers, typer.Option(help="what stands for the providers")] = Providers.auto,
    topology: Annotated[Path, typer.Option(help="another topology (YAML)")] = PACKAGED,
    only: Annotated[Only, typer.Option(help="how much of it; the rest can be added later")] = Only.all,
    timeout_s: Annotated[float, typer.Option("--timeout", help="seconds until it must be steady")] = 120.0,
) -> None:
    """Bring a lab up, or the rest of it, and wait until it is steady: sessions, routes, names. Harmless when it is up.

    --only routing leaves out Kubernetes, CoreDNS, controllers and what serves names; the next `lab up` adds them.
    """
    from netctl.lab.lifecycle import up as bring_up

    result = bring_up(name, progress, topology=topology, providers=providers, only=only, within_s=timeout_s)
    for note in result.notes:
        progress(note)
    if result.built:
        progress(f"the lab {name!r} is up after {result.seconds:.1f} s: {called()} lab status{_name_option(name)}")
    elif result.grown:
        progress(f"the names half of the lab {name!r} is up after {result.seconds:.1f} s")
    else:
        progress(f"the lab {name!r} is up already")


@app.command()
def down(
    name: NameOption = DEFAULT_NAME,
    force: Annotated[bool, typer.Option("--force", help="also while a drill runs there, which ends then")] = False,
) -> None:
    """End a lab and remove everything of it, also one whose building was killed."""
    from netctl.lab.drilling import refuse_during_drill
    from netctl.lab.lifecycle import down as take_down

    if not force:
        refuse_during_drill(state_dir(name))
    was_there = take_down(name)
    progress(f"the lab {name!r} is down" if was_there else f"there is no lab {name!r}")


@app.command()
def status(name: NameOption = DEFAULT_NAME, output: OutputOption = Format.table) -> None:
    """Every node, session and process."""
    from netctl.lab.status import lab_status

    data = lab_status(Lab.open(name))
    nodes: list[Column | str] = ["node", "role", "cloud", "daemon", "asn", "state", "addresses"]
    sessions: list[Column | str] = ["node", "peer", "protocol", "state", "detail"]
    processes: list[Column | str] = ["node", "name", Column("role", wide=True), Column("pid", right=True), "state"]
    processes.append(Column("restarts", right=True))
    if any(process["waits_for"] for process in data["processes"]):
        processes.append("waits_for")
    names = [
        {**row, "name": name, "answer": answer} for row in data["names"] for name, answer in row["answers"].items()
    ]
    views = [
        View(_nodes(data["nodes"], output), nodes, "Nodes", "\n".join(data["notes"])),
        View(data["sessions"], sessions, "Sessions"),
        *([View(data["names"], _CLOUD_COLUMNS, "Clusters"), View(names, _ANSWER_COLUMNS, "Names")] if names else []),
        View(data["processes"], processes, "Processes"),
    ]
    emit_views(data, views, output)


@app.command("list")
def list_(output: OutputOption = Format.table) -> None:
    """The labs of this user."""
    from netctl.lab.status import list_labs

    emit(list_labs(), ["name", "state", Column("nodes", right=True), "state_dir"], output)


@app.command("exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def exec_(context: typer.Context, node: NodeArgument, name: NameOption = DEFAULT_NAME) -> None:
    """Run a command on a node: netctl lab exec NODE -- COMMAND. Its exit code is this command's.

    It sees this machine's files and the node's network: a cluster's API, etcd and CoreDNS answer there, not outside.
    """
    if not context.args:
        raise UsageError("no command given", f"netctl lab exec {node} -- ip route")
    command = Lab.open(name).command(node, context.args)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 (the terminal, signals and exit code are the command's)


@app.command()
def logs(
    node: NodeArgument,
    name: NameOption = DEFAULT_NAME,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on with what is written from now on")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="this many of each file")] = 100,
) -> None:
    """What the programs of a node have logged, those that its agent started included."""
    paths = Lab.open(name).logs(node)
    if not paths:
        raise NetctlError(f"{node} has logged nothing", "netctl lab status says what runs there")
    command = ["tail", "-n", str(lines), *(["-F"] if follow else []), "-v", *map(str, paths)]
    sys.stdout.flush()
    os.execvp(command[0], command)  # noqa: S606


def _nodes(nodes: list[dict[str, Any]], output: Format) -> list[dict[str, Any]]:
    """A fabric router has an address towards each of its cloud's nodes: only in wide they are all shown."""
    if output is Format.wide:
        return nodes
    return [
        {**node, "addresses": f"{found[0]} +{len(found) - 1}"} if len(found := node["addresses"]) > _ADDRESSES else node
        for node in nodes
    ]


def _name_option(name: str) -> str:
    return "" if name == DEFAULT_NAME else f" --name {name}"
