"""``python -m netctl.lab.look``: netctl's routes in this network namespace, as JSON {prefix: number of next hops}."""

from __future__ import annotations

import json
import sys

from netctl.fib.io import NetlinkKernel
from netctl.model.prefix import format_prefix


def main() -> None:
    kernel = NetlinkKernel()
    state = kernel.dump()
    kernel.close()
    routes = {format_prefix(prefix): len(state.groups.get(group, ())) for prefix, group in state.routes.items()}
    sys.stdout.write(json.dumps(routes) + "\n")


if __name__ == "__main__":
    main()
