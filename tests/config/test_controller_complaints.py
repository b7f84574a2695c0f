"""What is said about each mistake in a controller or checker file."""

from __future__ import annotations

import pytest

from netctl.config import check_checker, check_controller


def change(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the file"
    return text.replace(old, new)


def controller(text: str) -> list[str]:
    return [str(problem) for problem in check_controller(text, "f")]


def checker(text: str) -> list[str]:
    return [str(problem) for problem in check_checker(text, "f")]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version: 1", "version: 2", "f:1:10: version: this file is of a newer version than this netctl reads"),
        ("identity: c1", "identity: c 1", "f:2:11: identity: is not allowed here (value 'c 1'); allowed: 1 to 128"),
        ("identity: c1", "idendity: c1", "f:2:1: idendity: unknown key (value 'c1'); did you mean 'identity'?"),
        ("/run/netctl/c1", "run", "f:3:14: runtime_dir: is not allowed here (value 'run'); allowed: an absolute path"),
        ("/run/netctl/c1", "/" + "x" * 88, "f:3:14: runtime_dir: is too long: controller.sock.new in it would be no"),
        ("https://10.1.9.10:2379", "10.1.9.10:2379", "f:7:19: sources[0].etcd.endpoints[0]: is not allowed here"),
        ("https://10.1.9.10:2379", "http://10.1.9.10:2379", "f:7:19: sources[0].etcd.endpoints[0]: is not encrypted"),
        ("https://10.1.9.10:2379", "https://h:2379/v3", "allowed: a URL like http://10.1.9.10:2379"),
        ('["https://10.1.9.10:2379"]', "[]", "f:7:18: sources[0].etcd.endpoints: has too few entries"),
        ('"https://10.1.9.10:2379"', "https://h, https://h", "f:7:30: sources[0].etcd.endpoints[1]: stands in line 7"),
        ("prefix: /vm/", "prefix: /vm", "f:8:15: sources[0].etcd.prefix: is not allowed here (value '/vm')"),
        (
            "pki/ca.crt",
            "~/ca.crt",
            "f:9:11: sources[0].etcd.ca: is not allowed here (value '~/ca.crt'); allowed: a file",
        ),
        ("      key: /etc/pki/c1.key\n", "", "f:10:7: sources[0].etcd.cert: needs key beside it"),
        ("      username: netctl\n", "", "f:12:7: sources[0].etcd.password_file: needs username beside it"),
        ("name: legacy", "name: vms", "f:14:12: sources[1].name: a source has this name in line 5 already"),
        ("file: {path: vms.yaml}", "consul: {url: x}", "f:14:28: sources[1].consul: is not yet supported"),
        ("file: {path: vms.yaml}", "zookeeper: x", "sources[1].zookeeper: is not yet supported"),
        ("file: {path: vms.yaml}", "dns: x", "sources[1].dns: is not yet supported"),
        ("file: {path: vms.yaml}", "nacos: x", "sources[1].nacos: is not yet supported"),
        ("file: {path: vms.yaml}", "eureka: x", "sources[1].eureka: is not yet supported"),
        ("file: {path: vms.yaml}, ", "", "f:14:5: sources[1]: has neither etcd nor file; allowed: exactly one of etcd"),
        (
            "file: {path: vms.yaml}",
            "file: {path: x}, etcd: {endpoints: [http://x]}",
            "f:14:5: sources[1]: has both etcd and file",
        ),
        (
            "cloud: a}\nclusters",
            "cloud: a}\n  - {name: z, file: {path: ./vms.yaml}}\nclusters",
            "f:15:21: sources[2].file: reads what the source in line 14 reads",
        ),
        ("cloud: a}\nclusters", "cloud: any}\nclusters", "sources[1].cloud: has a meaning of its own in netctl"),
        ("name: b, cloud: b", "name: a, cloud: b", "f:17:12: clusters[1].name: a cluster has this name in line 16"),
        (
            "namespace: vm",
            "namespace: VM",
            "clusters[0].namespace: is not allowed here (value 'VM'); allowed: a namespace",
        ),
        (
            "b.kubeconfig, context: admin",
            "./a.kubeconfig",
            "f:17:37: clusters[1].kubeconfig: is the namespace that the cluster in line 16 is",
        ),
        (
            "management: a",
            "management: bb",
            "f:18:13: management: no cluster is called 'bb'; allowed: a, b; did you mean",
        ),
        ("zone: netctl.internal", "zone: Netctl.internal.", "f:19:13: dns.zone: is not allowed here"),
        ("ttl_s: 1", "ttl_s: 3601", "dns.ttl_s: is too large (value 3601); allowed: 0 to 3600"),
        ("b: [10.2.0.53]", "c: [10.2.0.53]", "dns.servers.c: no cluster's cloud is called 'c'; allowed: a, b"),
        ("[10.2.0.53]", "[10.2.0.53, 10.2.0.53]", "dns.servers.b[1]: stands in line 19 already"),
        ("[10.2.0.53]", "[]", "dns.servers.b: has too few entries"),
        ("[10.2.0.53]", "10.2.0.53", "dns.servers.b: must be a list"),
        ("[10.2.0.53]", "[dns.b]", "dns.servers.b[0]: 'dns.b' is no IPv4 address"),
        ("max_shrink: 0.3", "max_shrink: 30", "f:21:15: guards.max_shrink: is too large (value 30); allowed: 0 to 1"),
        ("max_shrink: 0.3", "max_shrink: 30 %", "guards.max_shrink: must be a number (value '30 %'); allowed: 0 to 1"),
        ("max_shrink: 0.3", "max_shrink: .nan", "guards.max_shrink: must be a number"),
        ("max_shrink: 0.3", "max_shrink: true", "guards.max_shrink: must be a number (value true)"),
        ("90s: 100", "90: 100", "f:22:14: guards.removals.90: is no time (value '90'); allowed: a time like 90s"),
        ("90s: 100", "31d: 100", "f:22:14: guards.removals.31d: is too long; allowed: at most 30d"),
        ("90s: 100", "300s: 100", "guards.removals.5m: is as long as 300s"),
        ("90s: 100", "90s: -1", "f:22:19: guards.removals.90s: is too small (value -1)"),
        ("{90s: 100, 5m: 300, 1h: 2000, 1d: 20000}", "{}", "f:22:13: guards.removals: has too few entries"),
        ("lease_s: 3", "lease_s: 3.5", "f:23:10: lease_s: must be a whole number (value 3.5); allowed: 1 to 300"),
        ("{tcp: true, port", "{tcp: false, port", "f:24:14: check.tcp: must be true, or left out (value false)"),
        ("{tcp: true, port", "{port", "f:24:1: check: has neither tcp nor http; allowed: exactly one of tcp: true"),
        ("{tcp: true, port", "{tcp: true, http: /, port", "f:24:1: check: has both tcp and http"),
        ("timeout_ms: 250", "timeout_ms: 301", "check.timeout_ms: is longer than interval_ms (300) (value 301)"),
        ("port: http", "port: 80", "check.port: must be a text; put it in quotes (value 80)"),
        ("port: http", "port: '80'", "check.port: is not allowed here (value '80'); allowed: a port's name"),
        ("{check: none}", "{check: never}", "f:27:18: services.batch.check: must be a mapping (KEY: VALUE lines)"),
        ("{check: none}", "{check: tcp}", "f:27:18: services.batch.check: must be a mapping: {tcp: true}"),
        (
            "{check: none}",
            "{chek: none}",
            "f:27:11: services.batch.chek: unknown key (value 'none'); did you mean 'check'?",
        ),
        ("http: /healthz", "http: healthz", "services.orders.check.http: is not allowed here (value 'healthz')"),
        ("http: /healthz", "htp: /healthz", "services.orders.check.htp: unknown key (value '/healthz'); did you mean"),
        (
            "ClusterIP",
            "LoadBalancer",
            "services.orders.type: is not allowed here (value 'LoadBalancer'); allowed: headless",
        ),
        ("  orders:", "  Orders:", "f:26:3: services.Orders: is no name (value 'Orders'); allowed: a service's name"),
        ("  orders:", "  0rders:", "f:26:3: services.0rders: is no name"),
        ("  orders:", "  b:", "f:26:3: services.b: is a cloud's name, whose names end with it"),
        (", tls: {ca: ca, cert: cert, key: key}", "", "checkers.listen: is no loopback address, so tls is needed"),
        (", key: key}", "}", "checkers.tls.key: is missing; allowed: a file's path"),
        ("127.0.0.1:9180", "10.1.9.10:7946", "f:29:17: metrics_listen: is where checkers connect (line 28)"),
        ("10.1.9.10:7946", "10.1.9.10", "checkers.listen: is not allowed here (value '10.1.9.10'); allowed: HOST:PORT"),
    ],
)
def test_a_mistake_in_a_controller_file_is_named_with_its_place(
    controller_text: str, old: str, new: str, said: str
) -> None:
    found = controller(change(controller_text, old, new))
    assert any(said in line for line in found), found
    also = ("is no loopback", "has neither tcp nor http", "stands in line")
    assert not [line for line in found if said not in line and not any(words in line for words in also)]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("checker: a1", "checker: A1", "f:2:10: checker: is not allowed here (value 'A1')"),
        ("cloud: a\n", "cloud: world\n", "f:3:8: cloud: has a meaning of its own"),
        ("/run/netctl/a1", "/" + "x" * 95, "f:4:14: runtime_dir: is too long: checker.sock.new in it would be no"),
        ('["10.1.9.10:7946", "10.1.9.10:7947"]', "[]", "f:5:14: controllers: has too few entries"),
        ("10.1.9.10:7947", "10.1.9.10:7946", "f:5:33: controllers[1]: stands in line 5 already"),
        ("10.1.9.10:7947", "https://c2", "f:5:33: controllers[1]: is not allowed here (value 'https://c2')"),
        (
            "tls: {ca: pki/ca.crt, cert: pki/a1.crt, key: /etc/pki/a1.key}\n",
            "",
            "f:5:15: controllers[0]: is no loopback",
        ),
        ("ca: pki/ca.crt, ", "", "f:6:1: tls.ca: is missing"),
        ("metrics_listen", "metrics_lisen", "f:7:1: metrics_lisen: unknown key (value '127.0.0.1:9181'); did you mean"),
    ],
)
def test_a_mistake_in_a_checker_file_is_named_with_its_place(checker_text: str, old: str, new: str, said: str) -> None:
    found = checker(change(checker_text, old, new))
    assert any(said in line for line in found), found
    assert not [line for line in found if said not in line and "is no loopback" not in line]


def without_tls(text: str) -> str:
    return change(text, ", tls: {ca: ca, cert: cert, key: key}", "")


def test_without_tls_a_loopback_address_is_enough(controller_text: str, checker_text: str) -> None:
    for loopback in ("127.0.0.1", "127.1.2.3", "localhost", "[::1]"):
        assert controller(change(without_tls(controller_text), "10.1.9.10:7946", f"{loopback}:7946")) == []
        text = checker_text.replace("10.1.9.10", loopback)
        assert checker("".join(line for line in text.splitlines(True) if not line.startswith("tls"))) == []
    for other in ("127.0.0.1.example.com", "localhost.example.com", "[::2]"):
        assert controller(change(without_tls(controller_text), "10.1.9.10:7946", f"{other}:7946"))


def test_all_mistakes_of_a_controller_file_are_reported_at_once_sorted_by_place(controller_text: str) -> None:
    text = controller_text.replace("lease_s: 3", "lease_s: 0").replace("prefix: /vm/", "prfix: /vm/")
    text = text.replace("management: a", "management: x").replace("check: none", "check: some")
    places = [(problem.line, problem.column) for problem in check_controller(text, "f")]
    assert len(places) == 4
    assert places == sorted(places)
