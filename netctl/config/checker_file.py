"""What a checker file looks like: names, types, bounds, defaults. The JSON Schema is made from this."""

from __future__ import annotations

from pydantic import Field

from netctl.config.controller_file import TlsFile
from netctl.config.fields import File, HostPort, Name, RuntimeDir, Version


class CheckerFile(File):
    """A netctl checker file."""

    version: Version
    checker: Name
    cloud: Name = Field(description="whose instances it checks")
    runtime_dir: RuntimeDir | None = Field(default=None, description="its socket; default /run/netctl/checker-CHECKER")
    controllers: list[HostPort] = Field(min_length=1, description="where controllers listen for checkers")
    tls: TlsFile | None = None
    metrics_listen: HostPort | None = Field(default=None, description="serve Prometheus metrics here")
