from __future__ import annotations

from dataclasses import replace

import pytest

from netctl.coredns.render import CorednsSettings, render_cloud, render_cluster_stub, render_local
from netctl.model.errors import UsageError

SETTINGS = CorednsSettings(
    "netctl.internal", "a", ("vm", "apps"), "/etc/kube/a", {"b": ("10.2.5.53", "10.2.5.54"), "c": ("10.3.5.53",)}
)


def test_each_other_cloud_is_asked_at_its_own_servers() -> None:
    text = render_cloud(SETTINGS)
    assert text.count("forward . ") == 2
    assert "b.netctl.internal:53 {" in text
    assert "forward . 10.2.5.53 10.2.5.54 {" in text
    assert "forward . 10.3.5.53 {" in text


def test_a_cloud_without_name_servers_is_left_to_the_own_cloud_which_denies_its_names() -> None:
    text = render_cloud(replace(SETTINGS, others={"b": ()}))
    assert "forward" not in text


def test_no_cache_is_in_front_of_the_own_clouds_names() -> None:
    own = render_cloud(SETTINGS).split("\n}\n")[0]
    assert "kubernetes netctl.internal cluster.local {" in own
    assert "cache" not in own


def test_services_are_those_of_the_first_namespace() -> None:
    text = render_cloud(SETTINGS)
    assert "namespaces vm apps" in text
    assert ".netctl.internal. .vm.svc.netctl.internal." in text
    assert "apps.svc" not in text


def test_notes_to_readers_of_the_templates_are_left_out() -> None:
    for text in (render_cloud(SETTINGS), render_cluster_stub("z", ["::1"]), render_local("z", ["::1"], ["::1"])):
        assert "#" not in text
        assert "$" not in text


@pytest.mark.parametrize("value", ["", "a b", "a\nb", "{", "a{b", '"a"', "#a", "a#b", "$x"])
def test_a_value_that_would_mean_something_else_in_a_corefile_is_refused(value: str) -> None:
    for changed in (
        replace(SETTINGS, zone=value),
        replace(SETTINGS, cloud=value),
        replace(SETTINGS, kubeconfig=value),
        replace(SETTINGS, namespaces=(value,)),
        replace(SETTINGS, others={value: ("10.2.5.53",)}),
        replace(SETTINGS, others={"b": (value,)}),
        replace(SETTINGS, bind=(value,)),
    ):
        with pytest.raises(UsageError, match="cannot stand in a Corefile"):
            render_cloud(changed)


def test_a_list_of_servers_that_is_empty_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        render_cluster_stub("netctl.internal", [])
