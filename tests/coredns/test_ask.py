"""The answer probe, against sockets that answer badly or not at all. (Good answers: the Corefiles' tests.)"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from netctl.coredns.io import ask
from netctl.model.errors import UsageError

Answers = Callable[[bytes], bytes | None]
Start = Callable[[Answers], int]


@pytest.fixture
def server() -> Iterator[Start]:
    """A UDP server on a port of its own that says what a function makes of each question."""
    with ExitStack() as stack:

        def start(answers: Answers) -> int:
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.bind(("127.0.0.1", 0))

            def run() -> None:
                while True:
                    question, peer = sock.recvfrom(4096)
                    if question == b"end":
                        return
                    if (reply := answers(question)) is not None:
                        sock.sendto(reply, peer)

            thread = threading.Thread(target=run)
            thread.start()

            def end() -> None:
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"end", sock.getsockname())
                thread.join()

            stack.callback(end)
            return int(sock.getsockname()[1])

        yield start


async def test_a_server_that_says_nothing_is_no_answer_within_the_bound(server: Start) -> None:
    port = server(lambda _: None)
    async with asyncio.timeout(5):
        answer = await ask("127.0.0.1", "orders.netctl.internal", timeout_s=0.2, port=port)
    assert (answer.rcode, answer.detail) == ("no answer", "nothing within 0.2 s")


@pytest.mark.parametrize("reply", [b"", b"\0" * 5, b"x" * 40])
async def test_what_is_no_dns_message_is_no_answer(server: Start, reply: bytes) -> None:
    answer = await ask("127.0.0.1", "orders.netctl.internal", timeout_s=0.5, port=server(lambda _: reply))
    assert answer.rcode == "no answer"
    assert answer.detail


async def test_an_answer_to_another_question_is_not_taken(server: Start) -> None:
    """Its id is another one's: it may be late, or forged."""
    port = server(lambda question: bytes([question[0] ^ 1]) + question[1:2] + b"\x81\x80" + question[4:])
    answer = await ask("127.0.0.1", "orders.netctl.internal", timeout_s=0.5, port=port)
    assert answer.rcode == "no answer"


async def test_a_refusal_is_an_answer(server: Start) -> None:
    port = server(lambda question: question[:2] + b"\x81\x05" + question[4:])
    assert (await ask("127.0.0.1", "orders.netctl.internal", port=port)).rcode == "REFUSED"


@pytest.mark.parametrize(("name", "kind"), [("a..b", "A"), ("x" * 64, "A"), ("orders", "NOTYPE")])
async def test_what_cannot_be_asked_is_the_callers_mistake(name: str, kind: str) -> None:
    with pytest.raises(UsageError, match="cannot be asked for"):
        await ask("127.0.0.1", name, kind)
