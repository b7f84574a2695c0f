"""A valid gateway file to start from."""

from __future__ import annotations

import pytest

VALID = """\
version: 1
gateway: ga1
cloud: a
asn: 65100
router_id: 10.0.1.1
runtime_dir: /run/netctl/ga1
peers:
  - name: pa
    kind: provider
    interface: gw-pa
    local: 10.0.1.1
    address: 10.0.1.2
    asn: 65001
    bfd: {interval_ms: 50, multiplier: 3}
    hold_time_s: 9
    max_prefixes: 1000000
    weight: 1
  - {name: pb, kind: provider, interface: gw-pb, local: 10.0.2.1, address: 10.0.2.2, asn: 65002}
  - {name: fa, kind: fabric, interface: gw-fa, local: 10.0.3.1, address: 10.0.3.2, asn: 65110}
clouds:
  - name: b
    prefixes: [10.2.0.0/16]
announce:
  - prefix: 10.1.0.0/16
  - prefix: 10.1.255.10/32
    when: [check:ingress]
  - prefix: 0.0.0.0/0
    to: [fabric]
    when: [path:any]
checks:
  ingress: {http: "http://10.1.255.10/healthz", interval_ms: 500, timeout_ms: 300, rise: 2, fall: 3}
metrics_listen: 127.0.0.1:9179
"""


@pytest.fixture
def valid() -> str:
    """The text of a valid gateway file that uses every section."""
    return VALID
