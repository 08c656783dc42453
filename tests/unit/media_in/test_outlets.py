"""Readers over HTTP: bounded when they are slow, ended when they are stuck."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.bus.streaming import Streamed
from hub.domain.errors import TooMany, Unavailable
from hub.media.node import outlets
from hub.media.node.outlets import Outlets
from hub.media.rtp.unit import AccessUnit
from hub.media.stream import Stream
from tests.unit.media_in.test_h264 import encode

FILM = encode(320, 240, 20)


def publish(stream: Stream, count: int, start: int = 0) -> None:
    for n in range(start, start + count):
        stream.publish(AccessUnit("video", "h264", FILM[n % 20], n * 3_600, n % 10 == 0, n * 40))


async def test_a_slow_reader_loses_pictures_up_to_a_key_frame_and_counts_them() -> None:
    stream, ended = Stream("cam-1", clock=lambda: 0), list[tuple[str, ...]]()
    open_ = Outlets(lambda *what: ended.append(what))
    outlet = open_.open(stream, "u-1")
    assert (stream.viewers, stream.subscribers) == (1, 2)
    publish(stream, outlets.QUEUE + 25)
    assert outlet.reader.dropped == 25
    first = await outlet.first()
    assert first.keyframe
    chunks = outlet.chunks(first)
    written = [await anext(chunks) for _ in range(outlets.QUEUE)]
    assert all(len(each) % 188 == 0 for each in written)
    publish(stream, 20, outlets.QUEUE + 25)
    again = await anext(chunks)
    assert again[5 + 2 * 188] & 0x40  # a key frame behind its tables: random access
    assert open_.close(outlet.id, "left")
    assert not open_.close(outlet.id, "left")
    assert (stream.viewers, stream.subscribers) == (0, 0)
    assert ended == [("cam-1", outlet.id, "u-1", "left")]


async def test_a_camera_without_a_picture_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlets, "FIRST_S", 0.01)
    outlet = Outlets(lambda *what: None).open(Stream("cam-1", clock=lambda: 0), "u-1")
    with pytest.raises(Unavailable) as caught:
        await outlet.first()
    assert caught.value.id == "stream.not_live"


async def test_a_relay_serves_so_many_and_an_owner_is_ended_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlets, "MAX_OUTLETS", 3)
    stream, all_ = Stream("cam-1", clock=lambda: 0), Outlets(lambda *what: None)
    mine = [all_.open(stream, "u-1") for _ in range(2)]
    other = all_.open(stream, "u-2")
    with pytest.raises(TooMany):
        all_.open(stream, "u-2")
    assert all_.close_owner("u-1") == 2
    assert [each.ended.is_set() for each in [*mine, other]] == [True, True, False]


class Client:
    """An ASGI client that takes so many chunks and then nothing more."""

    def __init__(self, takes: int) -> None:
        self.sent: list[dict[str, Any]] = []
        self.left = asyncio.Event()
        self.stuck = asyncio.Event()
        self._takes = takes

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message.get("body") and sum(1 for each in self.sent if each.get("body")) >= self._takes:
            self.stuck.set()
            await asyncio.Event().wait()
        self.sent.append(message)


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x"
        await asyncio.sleep(0)


@pytest.mark.parametrize("how", ["until", "left", "stalled"])
async def test_a_body_without_end_ends_even_when_nobody_takes_it(how: str) -> None:
    client, until, done = Client(3), asyncio.Event(), list[str]()

    async def on_done() -> None:
        done.append("done")

    answer = Streamed(
        endless(),
        media_type="video/mp2t",
        until=until,
        on_done=on_done,
        stalled_s=0.01 if how == "stalled" else 60.0,
    )
    async with asyncio.timeout(5):
        task = asyncio.create_task(answer({"type": "http"}, client.receive, client.send))
        await client.stuck.wait()
        (until if how == "until" else client.left if how == "left" else asyncio.Event()).set()
        await task
    assert done == ["done"]
    assert client.sent[0]["status"] == 200
    assert b"content-length" not in dict(client.sent[0]["headers"])
    assert client.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_a_body_whose_source_ends_is_complete() -> None:
    client, done = Client(10), list[str]()

    async def three() -> AsyncIterator[bytes]:
        for each in (b"a", b"b", b"c"):
            yield each

    async def on_done() -> None:
        done.append("done")

    answer = Streamed(three(), media_type="video/mp2t", on_done=on_done)
    await answer({"type": "http"}, client.receive, client.send)
    assert [each["body"] for each in client.sent[1:]] == [b"a", b"b", b"c", b""]
    assert done == ["done"]
