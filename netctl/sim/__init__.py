"""The simulator: real shells and cores on virtual time, seeded faults, invariants after every event.

Rules of this room:
- a run is a function of its schedule (``schedule``: seed, timers, faults). No wall clock, no threads, no hash order;
  two runs and two PYTHONHASHSEEDs give the same trace digest (``trace``);
- every link's direction, BGP session, provider and start of a program draws from a random stream of its own, so that
  leaving out one fault shifts nobody else's dice; that is what lets schedules shrink (``shrink``);
- fakes are product code and pass the contract tests of the real ports: ``network``, ``streams``, ``store``,
  ``processes``, the clock in ``loop``; the kernel's fake is ``netctl.fib.fake``;
- what is modelled and not real: speakers (``speaker``), providers (``provider``) and BGP between them (``bgp``).
  Their BFD is ``netctl.bfd``, their sockets speak ``netctl.ipc``.

How the pieces live together: ``loop`` jumps from timer to timer and knows to which simulated process each callback
belongs, so that SIGKILL drops a program where it stands and SIGSTOP freezes it. ``world`` wires ``gateway``s and
providers (``topology``), lets faults happen and walks packets; ``invariants`` looks after every event and write;
``run`` drives a schedule from boot to rest (``interrupts`` holds Ctrl-C back meanwhile); ``play`` plays the
provider-cut drill. ``names`` is another world on the same loop: controllers, clusters, registries.

Public: ``simulate``, ``run_seeds``, ``shrunk``, ``play_provider_cut``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netctl.sim.outcome import Outcome
    from netctl.sim.play import Play, PlayedFlow, play_provider_cut
    from netctl.sim.run import run_seeds, shrunk, simulate

__all__ = ["Outcome", "Play", "PlayedFlow", "play_provider_cut", "run_seeds", "shrunk", "simulate"]


def __getattr__(name: str) -> Any:
    """Import what is public when it is asked for: the fakes alone need neither agent nor liveness."""
    if name not in __all__:
        raise AttributeError(name)
    module = "play" if name in {"Play", "PlayedFlow", "play_provider_cut"} else "run"
    return getattr(import_module(f"netctl.sim.{module}"), name)
