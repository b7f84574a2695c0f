"""The lab: two clouds and two providers on one machine, in namespaces.

Rules of this room:
- the root namespace is never touched: no route, sysctl, interface, mount or service of the machine changes;
- one process, the lab's init, is process 1 of a PID namespace and owns the mount and network namespaces: its end, by
  whatever cause, is the end of everything in the lab;
- the lock file says whether a lab is there; it is held by whoever builds one and then by its init, from the first
  moment to the last, so ``lab down`` cleans up after ``kill -9`` at any time;
- netctl's own programs are started as programs, never imported.

How the pieces live together: ``topology`` reads the YAML; ``lifecycle`` (up, down) chooses daemons (``daemons``: which
programs, their files), writes ``plan.json`` and starts ``init``, which builds (``build``), runs (``supervisor``
decides when) and publishes ``processes.json``. ``growth`` adds the names half (``names``: its programs; ``pki``,
``parts``), at once or to a lab that is up; ``ending`` is how a lab ends, ``removal`` of its files. ``api.Lab`` is a lab
that is up, for others: ``popen`` goes through ``namespaces`` (stdlib only, started as a file). ``processes`` finds the
lab's processes as seen from outside; ``sessions`` asks every router (``ask``), ``status`` shows all of it; ``steady``
says what is not there yet (``look`` reads a gateway's kernel, ``page`` is what a VM serves and asks for),
``names_steady`` the same of names (``names_look`` asks on a machine). ``paths`` has the folders and locks; ``overdue``
names the faults that init has to take back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netctl.lab.api import Lab, lab_agent_sockets, lab_checker_sockets, lab_controller_sockets
    from netctl.lab.processes import LabProcess
    from netctl.lab.topology import LinkEnd

__all__ = [
    "Lab",
    "LabProcess",
    "LinkEnd",
    "lab_agent_sockets",
    "lab_checker_sockets",
    "lab_controller_sockets",
]

_WHERE = {
    "Lab": "api",
    "lab_agent_sockets": "api",
    "lab_checker_sockets": "api",
    "lab_controller_sockets": "api",
    "LabProcess": "processes",
    "LinkEnd": "topology",
}


def __getattr__(name: str) -> Any:
    """Import on first use: ``python -m netctl.lab.init`` and the embedded router need none of these."""
    from importlib import import_module

    if name in _WHERE:
        return getattr(import_module(f"netctl.lab.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'netctl.lab' has no attribute {name!r}")
