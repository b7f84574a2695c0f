from __future__ import annotations

from netctl.bgp.announce import PER_LINE, Announcer
from netctl.ipc.messages import AnnouncedRoute
from netctl.model.prefix import parse_prefix


def route(text: str, med: int | None = None, communities: tuple[str, ...] = ()) -> AnnouncedRoute:
    return AnnouncedRoute(parse_prefix(text), med, communities)


def announcer() -> Announcer:
    return Announcer("10.0.1.2", "10.0.1.1")


def test_routes_with_the_same_attributes_share_a_line() -> None:
    a = announcer()
    a.want([route("10.1.0.0/16"), route("10.1.1.0/24", 5, ("65100:1", "65100:1:2")), route("0.0.0.0/0")])
    assert a.lines(up=True) == [
        "neighbor 10.0.1.2 announce attributes next-hop 10.0.1.1 nlri 10.1.0.0/16 0.0.0.0/0",
        (
            "neighbor 10.0.1.2 announce attributes next-hop 10.0.1.1 med 5 community [ 65100:1 ] "
            "large-community [ 65100:1:2 ] nlri 10.1.1.0/24"
        ),
    ]
    assert a.lines(up=True) == []


def test_only_the_difference_is_told() -> None:
    a = announcer()
    a.want([route("10.1.0.0/16"), route("10.2.0.0/16")])
    a.lines(up=True)
    a.want([route("10.1.0.0/16", 9), route("10.3.0.0/16")])
    assert a.lines(up=True) == [
        "neighbor 10.0.1.2 announce attributes next-hop 10.0.1.1 med 9 nlri 10.1.0.0/16",
        "neighbor 10.0.1.2 announce attributes next-hop 10.0.1.1 nlri 10.3.0.0/16",
        "neighbor 10.0.1.2 withdraw attributes next-hop 10.0.1.1 nlri 10.2.0.0/16",
    ]


def test_while_the_session_is_down_only_withdrawals_pass() -> None:
    a = announcer()
    a.want([route("10.1.0.0/16")])
    a.lines(up=True)
    a.want([route("10.2.0.0/16")])
    assert a.lines(up=False) == ["neighbor 10.0.1.2 withdraw attributes next-hop 10.0.1.1 nlri 10.1.0.0/16"]
    assert a.lines(up=True) == ["neighbor 10.0.1.2 announce attributes next-hop 10.0.1.1 nlri 10.2.0.0/16"]


def test_what_an_earlier_helper_told_stays_until_a_set_is_wanted_and_is_then_settled() -> None:
    a = announcer()
    a.told(parse_prefix("10.1.0.0/16"))
    a.told(parse_prefix("10.2.0.0/16"))
    assert a.lines(up=True) == []
    a.want([route("10.1.0.0/16")])
    assert a.lines(up=True) == [
        "neighbor 10.0.1.2 announce attributes next-hop 10.0.1.1 nlri 10.1.0.0/16",
        "neighbor 10.0.1.2 withdraw attributes next-hop 10.0.1.1 nlri 10.2.0.0/16",
    ]


def test_a_path_is_given_in_full() -> None:
    a = announcer()
    a.want([AnnouncedRoute(parse_prefix("10.1.0.0/16"), as_path=(65001, 65100))])
    assert "as-path [ 65001 65100 ]" in a.lines(up=True)[0]


def test_lines_are_cut_after_five_hundred_prefixes() -> None:
    a = announcer()
    a.want([AnnouncedRoute(bytes((24, 10, i >> 8, i & 255, 0))) for i in range(PER_LINE + 1)])
    assert [line.count("/24") for line in a.lines(up=True)] == [PER_LINE, 1]
