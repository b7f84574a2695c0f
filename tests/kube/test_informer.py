"""When it lists, when it watches, and how long it waits."""

from __future__ import annotations

import pytest

from netctl.kube.informer import FIRST_WAIT_S, LATE_S, SOON_S, Informer, Recovered, Relisted, Trouble
from netctl.model.kube import (
    BusyError,
    DeniedError,
    GoneError,
    KubeEvent,
    KubeList,
    UnreachableError,
)

OBJ = {"metadata": {"name": "orders", "resourceVersion": "12"}}
AWAY = UnreachableError("cluster a: refused")


def watching(version: str = "10") -> Informer:
    informer = Informer()
    assert informer.listed(KubeList([], version)) == [Relisted([], version)]
    assert informer.step == "watch"
    return informer


def event(version: str, kind: str = "MODIFIED") -> KubeEvent:
    return KubeEvent(kind, {"metadata": {"resourceVersion": version}})  # type: ignore[arg-type]


def test_it_lists_first_and_watches_from_the_list_s_version() -> None:
    informer = Informer()
    assert (informer.step, informer.wait_s(1.0)) == ("list", 0.0)
    assert informer.listed(KubeList([OBJ], "20")) == [Relisted([OBJ], "20")]
    assert (informer.step, informer.version, informer.wait_s(1.0)) == ("watch", "20", 0.0)


def test_events_move_the_version_and_bookmarks_do_it_silently() -> None:
    informer = watching()
    assert informer.changed(event("11")) == [event("11")]
    assert informer.changed(event("15", "BOOKMARK")) == []
    assert (informer.step, informer.version) == ("watch", "15")


def test_after_a_watch_it_checks_the_version_and_goes_on_from_the_last_one_it_saw() -> None:
    informer = watching()
    informer.changed(event("11"))
    informer.ended()
    assert informer.step == "check"
    assert informer.checked(KubeList([], "11")) == []
    assert (informer.step, informer.version) == ("watch", "11")


def test_a_watch_whose_version_is_too_old_is_followed_by_a_list() -> None:
    informer = watching()
    assert informer.failed(GoneError("too old", 410)) == []
    assert informer.step == "list"
    assert informer.listed(KubeList([], "30")) == [Relisted([], "30", restored=False)]


def test_a_broken_watch_is_no_trouble_until_it_cannot_be_made_again() -> None:
    informer = watching()
    assert informer.failed(AWAY) == []
    assert informer.failed(AWAY) == [Trouble(str(AWAY), AWAY)]
    assert informer.failed(AWAY) == []
    denied = DeniedError("cluster a: forbidden", 403)
    assert informer.failed(denied) == [Trouble(str(denied), denied)]
    assert informer.checked(KubeList([], "10")) == [Recovered()]
    assert informer.step == "watch"


def test_trouble_at_the_first_list_ends_with_the_list() -> None:
    informer = Informer()
    assert informer.failed(AWAY) == [Trouble(str(AWAY), AWAY)]
    assert informer.listed(KubeList([], "3")) == [Recovered(), Relisted([], "3")]


def test_a_version_that_went_backwards_is_told_and_everything_listed_anew() -> None:
    informer = watching("100")
    informer.failed(AWAY)
    [trouble] = informer.checked(KubeList([], "40"))
    assert isinstance(trouble, Trouble)
    assert "from version 100 to 40" in trouble.reason
    assert informer.step == "list"
    assert informer.listed(KubeList([OBJ], "41")) == [Relisted([OBJ], "41", restored=True)]
    informer.ended()
    assert informer.checked(KubeList([], "41")) == []


def test_an_event_that_goes_backwards_means_the_same() -> None:
    informer = watching("100")
    [trouble] = informer.changed(event("7"))
    assert isinstance(trouble, Trouble)
    assert informer.step == "list"


def test_a_list_that_goes_backwards_means_the_same() -> None:
    informer = watching("100")
    informer.failed(GoneError("too old", 410))
    trouble, relisted = informer.listed(KubeList([], "50"))
    assert isinstance(trouble, Trouble)
    assert relisted == Relisted([], "50", restored=True)


def test_it_waits_longer_each_time_up_to_a_second_for_a_server_that_is_away() -> None:
    informer = watching()
    waits = []
    for _ in range(8):
        informer.failed(AWAY)
        waits.append(informer.wait_s(1.0))
    assert waits == [0.0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    assert informer.wait_s(0.0) == SOON_S / 2


@pytest.mark.parametrize("error", [DeniedError("forbidden", 403)])
def test_it_asks_less_often_for_what_somebody_has_to_mend(error: DeniedError) -> None:
    informer = Informer()
    for _ in range(20):
        informer.failed(error)
    assert informer.wait_s(1.0) == LATE_S


def test_another_kind_of_error_is_waited_for_from_the_beginning() -> None:
    informer = Informer()
    for _ in range(20):
        informer.failed(AWAY)
    waits = []
    for _ in range(3):
        informer.failed(DeniedError("not yet", 403))
        waits.append(informer.wait_s(1.0))
    assert waits == [0.1, 0.2, 0.4]


def test_it_waits_as_long_as_a_busy_server_asks_for() -> None:
    informer = Informer()
    informer.failed(BusyError("too many requests", 429, retry_after_s=7.0))
    assert informer.wait_s(0.0) == 7.0


def test_watches_that_end_before_anything_came_are_not_made_in_a_hurry_and_an_event_ends_the_wait() -> None:
    informer = watching()
    waits = []
    for _ in range(4):
        informer.ended()
        waits.append(informer.wait_s(1.0))
        informer.checked(KubeList([], "10"))
        assert informer.wait_s(1.0) == 0.0, "to watch after a check"
    assert waits == [0.0, FIRST_WAIT_S, FIRST_WAIT_S * 2, FIRST_WAIT_S * 4]
    informer.changed(event("11"))
    informer.ended()
    assert informer.wait_s(1.0) == 0.0
