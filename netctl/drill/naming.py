"""The drills of the naming half: servers, ingresses, registry, controllers. Pure, as in ``routing``."""

from __future__ import annotations

from netctl.drill.experiments import Drill, Experiment, Options, known, naming_half
from netctl.drill.facts import Facts, Host, NamesFacts, Program
from netctl.drill.watch import CACHE_MS, NamesWatch, WatchedLookup, WatchedVisit, clients, everything, lookup, visit
from netctl.fault.faults import ProcessHold, ProcessKill, RegistryWipe
from netctl.model.errors import UsageError

GONE_MS = 1_000.0
"""By then nobody may be sent to a server that is dead."""
LED_MS = 5_000.0
"""By then another controller has to lead."""


def _vm_death(options: Options, facts: Facts) -> Experiment:
    names = naming_half(facts)
    vm = known(options.vm, _serving(facts, names), "VM that serves a name", facts)
    signal = options.signal or "KILL"
    server = _program(names, vm, "page")
    fault = (
        _hold(server) if signal == "KILL" else ProcessKill(f"{server.name} on {vm}", server.pid, server.started, signal)
    )
    watch = _death(vm, options, facts, names)
    chosen = {"vm": vm, "signal": signal}
    return Experiment("vm-death", (fault,), (), options.duration_s, options=chosen, names=watch)


def _ingress_death(options: Options, facts: Facts) -> Experiment:
    names = naming_half(facts)
    ingresses = _ingresses(names)
    cloud = known(options.cloud, sorted(ingresses), "cloud with an ingress", facts)
    ingress = ingresses[cloud]
    watch = _death(ingress.node, options, facts, names)
    chosen = {"cloud": cloud}
    return Experiment("ingress-death", (_hold(ingress),), (), options.duration_s, options=chosen, names=watch)


def _death(node: str, options: Options, facts: Facts, names: NamesFacts) -> NamesWatch:
    """A server dies: out of the answers, also as asked from other clouds, and nobody is sent there any more."""
    gone_ms = GONE_MS if options.objective_ms is None else options.objective_ms
    dead = {s: one for s, served in names.services.items() for one in served if one.node == node}
    if not dead:
        raise UsageError(f"{node} serves no name", "netctl lab status shows who serves what")
    lookups, visits = [], []
    for at in clients(facts, names, avoid=(node,)):
        for service, one in dead.items():
            lookups.append(WatchedLookup(lookup(names, at, service), at.cloud, gone_ms))
            visits.append(WatchedVisit(visit(names, at, service), at.cloud))
            if at.cloud != one.cloud:
                theirs = lookup(names, at, service, one.cloud)
                lookups.append(WatchedLookup(theirs, at.cloud, gone_ms + CACHE_MS))
    addresses = tuple(sorted({one.address for one in dead.values()}))
    return NamesWatch(tuple(lookups), tuple(visits), gone_ms, dead=addresses)


def _registry_wipe(options: Options, facts: Facts) -> Experiment:
    names = naming_half(facts)
    stretch_ms = options.objective_ms or 0.0
    lookups, visits = everything(facts, names, list(names.services), stretch_ms, unchanged=True)
    fault = RegistryWipe(names.registry_netns, names.registry, names.registry_prefix)
    watch = NamesWatch(lookups, visits, stretch_ms, held=tuple(names.services))
    return Experiment("registry-wipe", (fault,), (), options.duration_s, names=watch)


def _controller_kill(options: Options, facts: Facts) -> Experiment:
    names = naming_half(facts)
    by_clusters = sorted(names.controllers, key=lambda name: -list(names.leaders.values()).count(name))
    name = known(options.controller, by_clusters, "controller", facts)
    signal = options.signal or "KILL"
    program = next((p for p in names.programs if p.role == "controller" and p.name == name and p.pid), None)
    if program is None:
        raise UsageError(f"controller {name} does not run now", "netctl lab status shows the processes")
    kill = ProcessKill(f"controller {name}", program.pid, program.started, signal)
    lookups, visits = everything(facts, names, list(names.services), 0.0, unchanged=True)
    limit_ms = LED_MS if options.objective_ms is None else options.objective_ms
    watch = NamesWatch(
        lookups,
        visits,
        limit_ms,
        led=tuple(sorted(cluster for cluster, leader in names.leaders.items() if leader == name)),
        led_within_ms=limit_ms,
        killed=name,
    )
    return Experiment(
        "controller-kill",
        (_hold(program) if signal == "KILL" else kill,),
        (),
        options.duration_s,
        options={"controller": name, "signal": signal},
        names=watch,
    )


def check_names(options: Options, facts: Facts, names: NamesFacts) -> None:
    """Raises UsageError for a name that the lab has not got."""
    if options.vm is not None:
        known(options.vm, _serving(facts, names), "VM that serves a name", facts)
    if options.cloud is not None:
        known(options.cloud, sorted(_ingresses(names)), "cloud with an ingress", facts)
    if options.controller is not None:
        known(options.controller, list(names.controllers), "controller", facts)


def _serving(facts: Facts, names: NamesFacts) -> list[str]:
    """VMs that serve a name, in the order of the services."""
    vms = {host.node for host in facts.hosts}
    served: list[Host] = [one for found in names.services.values() for one in found]
    return list(dict.fromkeys(one.node for one in served if one.node in vms))


def _ingresses(names: NamesFacts) -> dict[str, Program]:
    """Cloud → its ingress, of those that serve a name."""
    clouds = {one.node: one.cloud for found in names.services.values() for one in found}
    return {clouds[p.node]: p for p in names.programs if p.role == "haproxy" and p.node in clouds}


def _program(names: NamesFacts, node: str, role: str) -> Program:
    found = next((p for p in names.programs if (p.node, p.role) == (node, role) and p.pid), None)
    if found is None:
        raise UsageError(f"no server runs on {node} now", "netctl lab status shows the processes")
    return found


def _hold(program: Program) -> ProcessHold:
    return ProcessHold(program.node, program.name, program.pid, program.started, program.held_file)


DRILLS = (
    Drill(
        "vm-death",
        "kill -9 a VM's server and keep it down (or stop it), then let it return",
        f"out of every cloud's answers within {GONE_MS:g} ms, no request by name fails after that",
        ("vm", "signal"),
        _vm_death,
        needs_names=True,
    ),
    Drill(
        "ingress-death",
        "kill -9 a cloud's ingress and keep it down, then let it return",
        f"another cloud answers for it within {GONE_MS:g} ms, no request by name fails after that",
        ("cloud",),
        _ingress_death,
        needs_names=True,
    ),
    Drill(
        "registry-wipe",
        "delete every key from the registry, then put them back",
        "no answer changes, no request by name fails, holds are shown and none is left",
        (),
        _registry_wipe,
        duration_s=5.0,
        needs_names=True,
    ),
    Drill(
        "controller-kill",
        "kill -9 the leading controller and keep it down (or stop it), then let it return",
        f"another one leads within {LED_MS:g} ms, no answer changes, no request by name fails",
        ("controller", "signal"),
        _controller_kill,
        duration_s=7.0,
        needs_names=True,
    ),
)
