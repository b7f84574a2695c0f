"""From the routing half to all of it: the names half's programs and files, also on a lab that is up already.

Every step may be cut off. Files come first, then ``plan.json`` with the programs, at once; from then on init starts
them, and the next ``lab up`` has only to wait. Before that nothing has read the files, and they are written again.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from netctl.lab.api import Lab
from netctl.lab.ending import signal_init
from netctl.lab.parts import missing_parts
from netctl.lab.plan import LabPlan
from netctl.lab.steady import wait_steady
from netctl.model.errors import AbortedError, EnvironmentLackError, InterruptError

READY = "ready-names"
"""In STATE: the names half was steady once."""


def require_parts() -> None:
    """Raises EnvironmentLackError naming every program that the names half needs and this machine has not got."""
    lacking = missing_parts()
    if lacking:
        hints = list(dict.fromkeys(error.hint for error in lacking if error.hint))
        raise EnvironmentLackError(
            "the names half cannot run: " + "; ".join(error.message for error in lacking),
            "; ".join([*hints, "without it: netctl lab up --only routing"]),
        )


def add_names(plan: LabPlan) -> tuple[LabPlan, dict[str, str]]:
    """The plan with the names half's programs, and the files these read (by path under STATE).

    Raises EnvironmentLackError naming what the machine lacks.
    """
    from netctl.lab.names import plan_names  # it needs more than a routing lab has

    names = plan_names(plan.topology, Path(plan.state_dir))
    return msgspec.structs.replace(plan, processes=(*plan.processes, *names.processes)), names.files


def write_files(plan: LabPlan, files: dict[str, str]) -> None:
    """Write files by their path under STATE, and the names half's secrets when it is planned.

    Raises FileNotFoundError when STATE has gone: it is not made anew.
    """
    state_dir = Path(plan.state_dir)
    for name, text in files.items():
        _make_folder(state_dir, Path(name).parent)
        (state_dir / name).write_text(text, encoding="utf-8")
    if plan.has_names:
        from netctl.lab.names import prepare

        _make_folder(state_dir, Path("etc"))
        prepare(plan.topology, state_dir)


def _make_folder(state_dir: Path, folder: Path) -> None:
    for part in folder.parts:
        state_dir /= part
        state_dir.mkdir(exist_ok=True)


def grow(lab: Lab, progress: Callable[[str], None], deadline: float) -> Lab:
    """Bring the names half up on a lab whose routing half is, and wait until it is steady. The lab, as it is then.

    Raises what ``wait_steady`` raises, InterruptError on Ctrl-C (the lab stays as it is then: the next ``up`` goes on),
    AbortedError when the lab was taken down meanwhile.
    """
    try:
        if not lab.plan.has_names:
            progress("adding the names half")
            plan, files = add_names(lab.plan)
            write_files(plan, files)
            plan.write()
        signal_init(lab.state_dir, signal.SIGHUP)  # it looks at its plan
        lab = Lab.open(lab.name)
        wait_steady(lab, progress, deadline)
        (lab.state_dir / READY).touch()
    except KeyboardInterrupt:
        raise InterruptError("interrupted; the routing half is up", "netctl lab up goes on with the names") from None
    except FileNotFoundError:
        if (lab.state_dir / "plan.json").exists():
            raise
        raise AbortedError("the lab was taken down while it grew", "netctl lab up") from None
    return lab
