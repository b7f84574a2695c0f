"""Answers to what the command line asks over the agent's socket."""

from __future__ import annotations

from collections.abc import Mapping

from netctl.agent.children.shell import Supervisor
from netctl.agent.decide import Agent
from netctl.agent.events import ResetAsked
from netctl.agent.explain import explain
from netctl.agent.views import discarded, samples, status
from netctl.ipc.io import Server
from netctl.ipc.messages import Hello, Reply, Request
from netctl.model.errors import UsageError
from netctl.model.ports import Ports
from netctl.model.routing import KernelState
from netctl.telemetry.metrics import render

_DUMP_MAX_ROUTES = 20_000
"""A question must not keep the agent from its work: with more routes than that the kernel is not asked for them all."""
VERBS = ("status", "explain", "metrics", "reset", "stop")


class Answers:
    """Knows everything that may be shown, and changes nothing."""

    def __init__(
        self, agent: Agent, supervisors: Mapping[str, Supervisor], server: Server, ports: Ports, hello: Hello
    ) -> None:
        self._agent = agent
        self._supervisors = supervisors
        self._server = server
        self._ports = ports
        self._hello = hello
        self._since_wall = ports.clock.wall()

    def answer(self, request: Request) -> Reply:
        """``status``, ``explain`` and ``metrics``. Raises UsageError for other verbs and bad arguments."""
        match request.verb:
            case "status":
                body = status(self._agent, self._supervisors, self._ports.clock.monotonic_ns())
                body |= {"pid": self._hello.pid, "since": self._since_wall, "clients_refused": self._refused()}
                body["discarded"] = discarded(self._agent, self._refused())
                return Reply(body)
            case "explain":
                return Reply(explain(self._agent, request.argument, self._kernel(), self._ports.clock.monotonic_ns()))
            case "metrics":
                return Reply({"text": self.metrics()})
        raise UsageError(f"the agent does not know {request.verb!r}", f"it knows {', '.join(VERBS)}")

    def metrics(self) -> str:
        return render(samples(self._agent, self._supervisors, self._refused()))

    def reset(self, peer: str) -> ResetAsked:
        """Raises UsageError for an unknown peer."""
        if peer not in self._agent.peers:
            raise UsageError(f"there is no peer {peer!r}", f"peers: {', '.join(self._agent.peers)}")
        return ResetAsked(peer, "asked for by an operator")

    def _kernel(self) -> KernelState:
        small = self._agent.kernel.fib.counts().programmed <= _DUMP_MAX_ROUTES
        return self._ports.kernel.dump() if small else self._ports.kernel.nexthops()

    def _refused(self) -> dict[str, int]:
        return dict(self._server.refused)
