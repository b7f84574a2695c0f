"""Which gateways ``status`` and ``explain`` ask, and where: on this host, in labs, or where they are told to look."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from netctl.model.errors import UsageError

RUN = Path("/run/netctl")
_AGENT_SOCKET = "agent.sock"


@dataclass(frozen=True, slots=True)
class Source:
    """One agent's socket; ``label`` says where it was found (LAB/GATEWAY; empty: on this host)."""

    label: str
    socket: Path

    @property
    def lab(self) -> str:
        return self.label.partition("/")[0]

    @property
    def gateway(self) -> str:
        """Its name, as far as that is known without asking."""
        if self.label:
            return self.label.rpartition("/")[2]
        from netctl.agent.children.io import written_gateway

        written = written_gateway(self.socket.parent)
        return written.name if written is not None else self.socket.parent.name


def host_sources() -> Iterator[Source]:
    """In the usual place: where an agent listens, or has left programs that still run."""
    from netctl.agent.children.io import still_running

    for folder in sorted(RUN.glob("*")):
        if (folder / _AGENT_SOCKET).exists() or still_running(folder):
            yield Source("", folder / _AGENT_SOCKET)


def lab_sources() -> Iterator[Source]:
    """Agents of labs that are up on this machine, where the lab is installed."""
    if find_spec("netctl.lab") is None:
        return
    sockets: Any = getattr(import_module("netctl.lab"), "lab_agent_sockets", None)
    if sockets is not None:
        yield from (Source(label, Path(path)) for label, path in sockets())


sources: list[Callable[[], Iterator[Source]]] = [host_sources, lab_sources]
"""Where agents are looked for; whoever runs agents elsewhere adds to it."""

RuntimeDirOption = Annotated[
    list[Path] | None, typer.Option("--runtime-dir", metavar="DIR", help="a gateway's runtime_dir (again for more)")
]
LabOption = Annotated[str | None, typer.Option("--lab", metavar="NAME", help="only this lab's gateways")]
GatewayOption = Annotated[
    list[str] | None, typer.Option("--gateway", metavar="NAME", help="only this gateway (again for more)")
]


def find_sources(
    runtime_dirs: Sequence[Path] | None, lab: str | None = None, gateways: Sequence[str] | None = None
) -> list[Source]:
    """The named ones only, or else all that are found; each socket once. Raises UsageError for a name not found."""
    if runtime_dirs:
        everything = [Source("", folder / _AGENT_SOCKET) for folder in runtime_dirs]
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
    names = {source.gateway for source in everything}
    for name in gateways:
        if name not in names:
            raise UsageError(f"no gateway {name!r} found here", f"found: {', '.join(sorted(names)) or 'none'}")
    return [source for source in everything if source.gateway in gateways]
