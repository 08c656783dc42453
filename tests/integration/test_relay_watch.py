"""How an api process notices that a relay is dead, and what it must not take for death."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from hub.bus.relays import Relays
from hub.services.relay_watch import heard

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextlib.contextmanager
def relay_in_a_thread(words: int, *, after_s: float = 0.3) -> Iterator[str]:
    """A relay's ``/alive`` that runs whatever this loop does: so many beats, and the connection breaks."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def serve() -> None:
        with contextlib.suppress(OSError):
            line, _ = listener.accept()
            with line:
                line.recv(4096)
                time.sleep(after_s)
                line.sendall(HEAD + b"1\r\n.\r\n" * words if words else b"")
                line.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
        thread.join(10)


async def test_a_pause_of_ones_own_is_not_taken_for_the_death_of_a_relay() -> None:
    with relay_in_a_thread(1) as url:
        async with Relays("token") as relays:
            listening = asyncio.create_task(heard(relays, url))
            await asyncio.sleep(0.1)
            time.sleep(2.0)  # noqa: ASYNC251 - this process cannot run, the relay can
            assert await listening


@pytest.mark.parametrize("words", [0, 3])
async def test_a_connection_that_breaks_says_whether_the_relay_ever_spoke(words: int) -> None:
    with relay_in_a_thread(words, after_s=0.0) as url:
        async with Relays("token") as relays:
            assert await heard(relays, url) == (words > 0)


async def test_a_relay_that_takes_the_connection_and_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with Relays("token") as relays:
            assert not await heard(relays, f"http://127.0.0.1:{silent.getsockname()[1]}")


async def test_a_port_that_nobody_listens_at_is_given_up() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with Relays("token") as relays:
            assert not await heard(relays, f"http://127.0.0.1:{taken.getsockname()[1]}")
