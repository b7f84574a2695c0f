"""What can go wrong, each with the exit code of the command-line contract and what to do next."""

from __future__ import annotations


class NetctlError(Exception):
    """An error that a user can cause or mend.

    ``message`` says what and where in one line; ``hint`` says what to do next. Shown without a traceback.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ObjectiveMissedError(NetctlError):
    """A drill's objective was missed or a check failed."""

    exit_code = 1


class UsageError(NetctlError):
    """The command line or a configuration file is wrong."""

    exit_code = 2


class EnvironmentLackError(NetctlError):
    """The machine lacks something (a binary, a capability, a sysctl, a free port), which the message names."""

    exit_code = 3


class RefusedError(NetctlError):
    """A guard refused."""

    exit_code = 3


class AbortedError(NetctlError):
    """Stopped before its end; everything was put back."""

    exit_code = 4


class RestoreFailedError(NetctlError):
    """Something that was changed could not be put back; the message names it."""

    exit_code = 5


class InconclusiveError(NetctlError):
    """The measurement cannot support a verdict."""

    exit_code = 6


class InterruptError(NetctlError):
    """Somebody pressed Ctrl-C; the message says how far it came and what is left."""

    exit_code = 130


class PeerError(Exception):
    """The other side of a protocol (a BFD peer, ExaBGP, a socket's client) sent what it must not.

    Never a user's mistake: counted and shown, changes nothing. ``reason`` is a stable counter name in snake_case.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
