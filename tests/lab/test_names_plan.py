"""What ``plan_names`` plans for the packaged topology, and the secrets beside it."""

from __future__ import annotations

import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from netctl.config import load_checker, load_controller
from netctl.lab.names import SERVICES, NamesPlan, plan_names, prepare
from netctl.lab.names.layout import Layout
from netctl.lab.parts import find_part
from netctl.lab.topology import Topology, load_topology
from netctl.model.errors import EnvironmentLackError


@pytest.fixture
def topology() -> Topology:
    return load_topology()


@pytest.fixture
def plan(topology: Topology, tmp_path: Path) -> NamesPlan:
    """The plan, with its files and secrets in ``tmp_path``."""
    made = plan_names(topology, tmp_path)
    for name, text in made.files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    prepare(topology, tmp_path)
    return made


def secrets(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("etc/**/*")) if path.is_file()}


def test_each_program_is_of_the_names_half_and_no_node_has_two_of_a_name(plan: NamesPlan) -> None:
    assert {process.half for process in plan.processes} == {"names"}
    names = [(process.node, process.name) for process in plan.processes]
    assert len(names) == len(set(names))


def test_every_instance_of_every_service_has_a_registrar_on_its_node(plan: NamesPlan) -> None:
    found = {(p.name.removeprefix("registrar-"), p.node) for p in plan.processes if p.role == "registrar"}
    assert found == {(service, node) for service, nodes in SERVICES.items() for node in nodes}


def test_a_program_waits_only_for_files_that_the_set_up_writes(plan: NamesPlan, tmp_path: Path) -> None:
    kube = tmp_path / "etc" / "kube"
    written = {str(kube / cloud / f"{who}.kubeconfig") for cloud in "ab" for who in ("controller", "coredns")}
    waited_for = {path for process in plan.processes for path in process.waits_for}
    assert waited_for == written
    assert {process.name for process in plan.processes if process.once} == {"kube-setup"}


def test_the_controllers_files_are_controller_files(plan: NamesPlan, tmp_path: Path) -> None:
    one, other = (load_controller(tmp_path / "etc" / "mgmt" / f"{name}.yaml") for name in ("c1", "c2"))
    assert (one.identity, other.identity) == ("c1", "c2")
    assert [cluster.name for cluster in one.clusters] == ["a", "b"]
    assert one.dns.servers == {"a": ("10.1.5.53",), "b": ("10.2.5.53",)}
    assert one.checkers is not None
    assert other.checkers is not None
    assert one.checkers.listen != other.checkers.listen


def test_each_clouds_checker_reports_to_both_controllers(plan: NamesPlan, tmp_path: Path) -> None:
    listening = {
        settings.listen
        for name in ("c1", "c2")
        if (settings := load_controller(tmp_path / "etc" / "mgmt" / f"{name}.yaml").checkers) is not None
    }
    for cloud in "ab":
        checker = load_checker(tmp_path / "etc" / f"{cloud}-kube" / "checker.yaml")
        assert (checker.cloud, set(checker.controllers)) == (cloud, listening)


def test_every_file_that_a_program_is_given_is_there(plan: NamesPlan, topology: Topology, tmp_path: Path) -> None:
    """But for what the set-up writes, and what the programs keep themselves."""
    made_later = (f"{tmp_path}/data/", f"{tmp_path}/log/")
    for process in plan.processes:
        for word in (word.partition("=")[2] or word for word in process.argv):
            if word.startswith(f"{tmp_path}/") and not word.startswith(made_later):
                assert Path(word).exists(), f"{process.name}: {word}"


def test_secrets_are_their_owners_alone_and_stay_when_prepared_again(
    plan: NamesPlan, topology: Topology, tmp_path: Path
) -> None:
    before = secrets(tmp_path)
    private = [path for path in before if path.suffix in {".key", ".kubeconfig", ".csv"}]
    assert len(private) > 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    prepare(topology, tmp_path)
    assert secrets(tmp_path) == before


@pytest.mark.parametrize("lost", ["tokens.csv", "admin.kubeconfig", "sa.key"])
def test_what_a_killed_preparation_did_not_write_is_made_by_the_next(
    plan: NamesPlan, topology: Topology, tmp_path: Path, lost: str
) -> None:
    """Each is written after what it belongs to: so the pairs match, whenever it was cut."""
    lay = Layout(topology, tmp_path)
    for name in {"tokens.csv", lost} if lost != "sa.key" else {"sa.key", "sa.pub"}:
        (lay.kube("a") / name).unlink()
    prepare(topology, tmp_path)
    token = lay.tokens("a").read_text().partition(",")[0]
    assert f"token: {token}" in lay.kubeconfig("a", "admin").read_text()
    assert lay.service_account("a", "key").exists()


def test_a_topology_without_naming_nodes_plans_nothing(topology: Topology, tmp_path: Path) -> None:
    routing = replace(
        topology, nodes=tuple(node for node in topology.nodes if not node.leaf or node.role == "vm"), links=()
    )
    assert plan_names(routing, tmp_path) == NamesPlan((), {})


def test_a_program_that_is_not_there_is_named(topology: Topology, tmp_path: Path) -> None:
    def find(name: str) -> Path:
        if name == "haproxy":
            raise EnvironmentLackError("haproxy is not installed", "apt-get install haproxy")
        return Path("/bin", name)

    with pytest.raises(EnvironmentLackError, match="haproxy"):
        plan_names(topology, tmp_path, find)


def test_haproxy_takes_its_configuration(plan: NamesPlan, tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text((tmp_path / "etc" / "a-ing" / "haproxy.cfg").read_text().replace("/run/netctl", str(tmp_path)))
    (tmp_path / "a-ing").mkdir()
    done = subprocess.run(
        [str(find_part("haproxy")), "-c", "-f", str(config)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
