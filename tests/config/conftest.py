"""Valid files to start from."""

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


CONTROLLER = """\
version: 1
identity: c1
runtime_dir: /run/netctl/c1
sources:
  - name: vms
    etcd:
      endpoints: ["https://10.1.9.10:2379"]
      prefix: /vm/
      ca: pki/ca.crt
      cert: pki/c1.crt
      key: /etc/pki/c1.key
      username: netctl
      password_file: password
  - {name: legacy, file: {path: vms.yaml}, cloud: a}
clusters:
  - {name: a, cloud: a, kubeconfig: a.kubeconfig, namespace: vm}
  - {name: b, cloud: b, kubeconfig: b.kubeconfig, context: admin}
management: a
dns: {zone: netctl.internal, ttl_s: 1, servers: {a: [10.1.0.53], b: [10.2.0.53]}}
guards:
  max_shrink: 0.3
  removals: {90s: 100, 5m: 300, 1h: 2000, 1d: 20000}
lease_s: 3
check: {tcp: true, port: http, interval_ms: 300, timeout_ms: 250, rise: 2, fall: 2}
services:
  orders: {type: ClusterIP, check: {http: /healthz, interval_ms: 200}}
  batch: {check: none}
checkers: {listen: "10.1.9.10:7946", tls: {ca: ca, cert: cert, key: key}}
metrics_listen: 127.0.0.1:9180
"""

CHECKER = """\
version: 1
checker: a1
cloud: a
runtime_dir: /run/netctl/a1
controllers: ["10.1.9.10:7946", "10.1.9.10:7947"]
tls: {ca: pki/ca.crt, cert: pki/a1.crt, key: /etc/pki/a1.key}
metrics_listen: 127.0.0.1:9181
"""


@pytest.fixture
def controller_text() -> str:
    """The text of a valid controller file that uses every section."""
    return CONTROLLER


@pytest.fixture
def checker_text() -> str:
    """The text of a valid checker file that uses every key."""
    return CHECKER
