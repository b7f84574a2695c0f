"""``python -m netctl.speaker GATEWAY.json PEER``: writes ExaBGP's configuration and becomes ExaBGP."""

from __future__ import annotations

import os
import pwd
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from netctl.model.errors import EnvironmentLackError, NetctlError
from netctl.speaker.io import load, write_configuration


def environment(env_file: Path) -> dict[str, str]:
    """ExaBGP's environment: JSON kept short, no named pipe, no answers to commands, end with a helper that ends.

    ``env_file`` is an empty file: ExaBGP logs advice when there is none.
    """
    settings = {
        "api_ack": "false",
        "api_cli": "false",
        "api_compact": "true",
        "api_terminate": "true",
        "daemon_user": _user_name(),
        "log_destination": "stderr",
        "log_level": "WARNING",
        "tcp_bind": "",
        "tcp_attempts": "0",
    }
    with suppress(OSError):  # then it advises
        env_file.touch()
    kept = {name: value for name, value in os.environ.items() if not name.lower().startswith("exabgp")}
    named = {f"exabgp_{name}": value for name, value in settings.items()}
    return kept | named | {"EXABGP_ENVFILE": str(env_file), "PYTHONUNBUFFERED": "1"}


def _user_name() -> str:
    """Who we are already, so that ExaBGP's dropping of privileges changes nothing: the starter chose the user."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "nobody"  # only has to exist: ExaBGP switches for uid or gid 0 alone


def main(argv: list[str]) -> int:
    """Returns only when it fails: 2 wrong arguments or file, 3 the environment lacks something."""
    if len(argv) != 2:
        print("usage: python -m netctl.speaker GATEWAY.json PEER", file=sys.stderr)
        return 2
    try:
        gateway, peer = load(*argv)
        if find_spec("exabgp") is None:
            raise EnvironmentLackError("ExaBGP is not installed", "pip install 'exabgp>=5.0,<5.1'")
        path = write_configuration(gateway, peer, argv[0])
        _become([sys.executable, "-m", "exabgp", "server", str(path)], environment(path.with_name("exabgp.env")))
    except NetctlError as error:
        print(f"speaker {argv[1]}: {error.message}; {error.hint}", file=sys.stderr)
        return error.exit_code


def _become(argv: list[str], environment: dict[str, str]) -> NoReturn:
    try:
        os.execve(argv[0], argv, environment)  # noqa: S606 (no shell is wanted)
    except OSError as error:
        why = f"cannot run {argv[0]} as {_user_name()}: {error.strerror}"
        raise EnvironmentLackError(why, "install Python and netctl where that user may read them") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
