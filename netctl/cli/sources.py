"""Which programs ``status``, ``explain`` and ``holds`` ask, and where: on this host, in labs, or in named folders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from netctl.model.errors import NetctlError, UsageError

RUN = Path("/run/netctl")
Program = Literal["agent", "controller", "checker"]
NAMING: tuple[Program, ...] = ("controller", "checker")


@dataclass(frozen=True, slots=True)
class Source:
    """One program's socket; ``label`` says where it was found (LAB/NAME; empty: on this host)."""

    label: str
    socket: Path
    program: Program = "agent"

    @property
    def lab(self) -> str:
        return self.label.partition("/")[0]

    @property
    def name(self) -> str:
        """Its name, as far as that is known without asking."""
        if self.label:
            return self.label.rpartition("/")[2]
        if self.program == "agent":
            from netctl.agent.children.io import written_gateway

            written = written_gateway(self.socket.parent)
            if written is not None:
                return written.name
        return self.socket.parent.name


def host_sources() -> Iterator[Source]:
    """In the usual place: where a program listens (or has died without a word), or an agent has left programs."""
    from netctl.agent.children.io import still_running

    for folder in sorted(RUN.glob("*")):
        yield from _naming_sources(folder)
        if _socket(folder, "agent").exists() or still_running(folder):
            yield Source("", _socket(folder, "agent"))


def _naming_sources(folder: Path) -> Iterator[Source]:
    for program in NAMING:
        if (socket := _socket(folder, program)).exists():
            yield Source("", socket, program)


def _socket(folder: Path, program: Program) -> Path:
    return folder / f"{program}.sock"


def lab_sources() -> Iterator[Source]:
    """Programs of labs that are up on this machine, where the lab is installed."""
    if find_spec("netctl.lab") is None:
        return
    lab: Any = import_module("netctl.lab")
    programs: dict[Program, Any] = {
        "agent": lab.lab_agent_sockets,
        "controller": lab.lab_controller_sockets,
        "checker": lab.lab_checker_sockets,
    }
    for program, sockets in programs.items():
        yield from (Source(label, Path(path), program) for label, path in sockets())


sources: list[Callable[[], Iterator[Source]]] = [host_sources, lab_sources]
"""Where programs are looked for; whoever runs them elsewhere adds to it."""

RuntimeDirOption = Annotated[
    list[Path] | None,
    typer.Option("--runtime-dir", metavar="DIR", help="a gateway's or controller's runtime_dir (again for more)"),
]
LabOption = Annotated[str | None, typer.Option("--lab", metavar="NAME", help="only what runs in this lab")]
GatewayOption = Annotated[
    list[str] | None, typer.Option("--gateway", metavar="NAME", help="only this gateway (again for more)")
]


def find_sources(
    runtime_dirs: Sequence[Path] | None, lab: str | None = None, gateways: Sequence[str] | None = None
) -> list[Source]:
    """The named ones only, or else all that are found; each socket once. Raises UsageError for a name not found."""
    if runtime_dirs:
        everything = [source for folder in runtime_dirs for source in _sources_in(folder)]
    else:
        by_socket: dict[Path, Source] = {}
        for source in (source for gather in sources for source in gather()):
            by_socket.setdefault(source.socket.resolve(), source)
        everything = list(by_socket.values())
    if lab is not None:
        labs = {source.lab for source in everything if source.lab}
        if lab not in labs:
            raise UsageError(f"no lab {lab!r} is up here", f"up: {', '.join(sorted(labs)) or 'none'}")
        everything = [source for source in everything if source.lab == lab]
    if not gateways:
        return everything
    agents = [source for source in everything if source.program == "agent"]
    names = {source.name for source in agents}
    for name in gateways:
        if name not in names:
            raise UsageError(f"no gateway {name!r} found here", f"found: {', '.join(sorted(names)) or 'none'}")
    return [source for source in agents if source.name in gateways]


def find_controllers(runtime_dirs: Sequence[Path] | None, lab: str | None = None) -> list[Source]:
    """Controllers alone; in a named folder one is looked for whether its socket is there or not."""
    if runtime_dirs:
        return [Source("", _socket(folder, "controller"), "controller") for folder in runtime_dirs]
    return [source for source in find_sources(None, lab) if source.program == "controller"]


def _sources_in(folder: Path) -> list[Source]:
    """What listens in a runtime_dir, or has done so; where nothing has, it is taken for a gateway's."""
    found = [
        Source("", _socket(folder, program), program)
        for program in ("agent", *NAMING)
        if _socket(folder, program).exists() or (folder / f"{program}.lock").exists()
    ]
    return found or [Source("", _socket(folder, "agent"))]


def ask_all(asked: Sequence[Source], verb: str, argument: str = "") -> list[dict[str, Any] | NetctlError]:
    """Ask them all at once: each one's answer, or why there is none."""
    from netctl.ipc.io import ask
    from netctl.ipc.messages import Request

    async def one(source: Source) -> dict[str, Any] | NetctlError:
        try:
            return (await ask(str(source.socket), Request(verb, argument), source.program)).body
        except NetctlError as error:
            return error

    async def every() -> list[dict[str, Any] | NetctlError]:
        return await asyncio.gather(*map(one, asked))

    return asyncio.run(every())
