"""Two that want the Lease, whatever happens to them and to what they send."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from netctl.model.clock import MS, SECOND
from netctl.model.kube import LEASES, KubeError, NotFoundError, UnknownOutcomeError
from tests.kube.desk import Desk, answered, tell

DELAY_MS = st.sampled_from([0, 0, 1, 5, 40, 300, 900, 1500, 2600, 4000])
STEP = st.tuples(
    st.sampled_from(["run", "run", "run", "stop", "go", "crash", "cut", "mend", "release", "delete"]),
    st.integers(0, 1),
    st.integers(1, 2500),
    DELAY_MS,
    DELAY_MS,
)


class Race:
    """Machines whose requests and answers take any time, and which are stopped, killed, cut off."""

    def __init__(self, rate_ppm: int, patience_ms: int) -> None:
        self.desk = Desk()
        self.machines = [self.desk.machine("c0"), self.desk.machine("c1")]
        self.rates = [1.0, 1.0 + rate_ppm / 1e6]
        self.lives = [0, 0]
        self.stopped = [False, False]
        self.cut = [False, False]
        self.delays_ms = (0, 0)
        self.patience_ms = patience_ms
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self.real_ns = SECOND
        self.led: set[int] = set()

    def now_ns(self, who: int) -> int:
        return int(self.real_ns * self.rates[who])

    def later(self, delay_ms: int, do: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.real_ns + delay_ms * MS, next(self._order), do))

    def run(self, duration_ms: int) -> None:
        end_ns = self.real_ns + duration_ms * MS
        while self.real_ns < end_ns:
            while self._queue and self._queue[0][0] <= self.real_ns:
                heapq.heappop(self._queue)[2]()
                self.check()
            for who in (0, 1):
                if not self.stopped[who]:
                    self.poll(who)
                    self.check()
            self.real_ns += 25 * MS

    def poll(self, who: int) -> None:
        machine = self.machines[who]
        action = machine.due(self.now_ns(who), 1.8e9 + self.real_ns / SECOND)
        if action is None:
            return
        machine.sent(action, self.now_ns(who))
        life, there_ms, back_ms = self.lives[who], *self.delays_ms
        open_ = [True]

        def settle(how: Callable[[], None]) -> None:
            if not open_[0] or self.lives[who] != life:
                return
            if self.stopped[who]:
                self.later(25, lambda: settle(how))
                return
            open_[0] = False
            how()

        def arrive() -> None:
            try:
                answer = answered(self.desk.kube, machine, action)
            except KubeError as error:
                failed = error
                self.later(back_ms, lambda: settle(lambda: machine.refused(failed, self.now_ns(who))))
            else:
                self.later(back_ms, lambda: settle(lambda: tell(machine, action, answer, self.now_ns(who))))

        if not self.cut[who]:
            self.later(there_ms, arrive)
        unknown = UnknownOutcomeError("no answer")
        self.later(self.patience_ms, lambda: settle(lambda: machine.refused(unknown, self.now_ns(who))))

    def check(self) -> None:
        writing = [who for who in (0, 1) if not self.stopped[who] and self.machines[who].may_write(self.now_ns(who))]
        self.led.update(writing)
        assert len(writing) < 2, "both may write"

    def act(self, what: str, who: int, there_ms: int, back_ms: int) -> None:
        self.delays_ms = (there_ms, back_ms)
        if what in ("stop", "go"):
            self.stopped[who] = what == "stop"
        elif what in ("cut", "mend"):
            self.cut[who] = what == "cut"
        elif what == "crash":
            self.lives[who] += 1
            self.machines[who] = self.desk.machine(f"c{who}")
        elif what == "delete" and all(machine.holder for machine in self.machines):
            try:
                self.desk.kube.delete(LEASES, "vm", "netctl-controller", uid="", resource_version="")
            except NotFoundError:
                return
            self.run(3000)  # nobody starts in these: it would take a new installation for granted
        elif what == "release" and not self.stopped[who]:
            action = self.machines[who].release(self.now_ns(who), 1.8e9)
            if action is not None:
                self.later(there_ms, lambda: swallow(lambda: answered(self.desk.kube, self.machines[who], action)))
            self.act("crash", who, there_ms, back_ms)


def swallow(do: Callable[[], object]) -> None:
    try:
        do()
    except KubeError:
        return


@settings(max_examples=200, deadline=None)
@given(st.lists(STEP, max_size=25), st.integers(-1000, 1000), st.sampled_from([1000, 5000]))
def test_two_never_may_write_and_in_the_end_one_does(
    steps: list[tuple[str, int, int, int, int]], rate_ppm: int, patience_ms: int
) -> None:
    race = Race(rate_ppm, patience_ms)
    for what, who, duration_ms, there_ms, back_ms in steps:
        race.act(what, who, there_ms, back_ms)
        race.run(duration_ms)
    race.stopped, race.cut, race.delays_ms = [False, False], [False, False], (1, 1)
    race.led.clear()
    race.run(14000)
    assert race.led, "nobody leads"
