"""Pictures for vision: one per interval, bounded; health; and taps that crash alone."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.bus.relay_wire import PictureRef
from hub.media.rtp.unit import AccessUnit
from hub.media.stream import Stream
from hub.media.taps.health import Health
from hub.media.taps.pictures import Cadence, Shelf, keep_pictures
from hub.media.taps.supervise import supervised
from tests.unit.media_in.test_h264 import encode


def unit(data: bytes, n: int, *, key: bool = True, at_ms: int | None = None) -> AccessUnit:
    return AccessUnit("video", "h264", data, n * 3_600, key, n * 40 if at_ms is None else at_ms)


def test_a_shelf_keeps_the_last_of_each_stream() -> None:
    shelf = Shelf(per_stream=2)
    ids = [shelf.put("a", bytes([n]), n) for n in range(4)]
    other = shelf.put("b", b"x", 1)
    assert [shelf.get("a", id) for id in ids] == [None, None, b"\2", b"\3"]
    assert shelf.get("b", ids[3]) is None
    assert shelf.get("b", other) == b"x"
    shelf.forget("a")
    assert (len(shelf), shelf.bytes) == (1, 1)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=60))
def test_a_shelf_is_bounded_by_bytes_and_counts_them_right(puts: list[tuple[str, int]]) -> None:
    shelf = Shelf(per_stream=4, max_bytes=100)
    kept = {}
    for n, (stream, size) in enumerate(puts):
        kept[stream, shelf.put(stream, bytes(size), n)] = size
    present = {key: size for key, size in kept.items() if shelf.get(*key) is not None}
    assert shelf.bytes == sum(present.values()) <= 100
    assert len(shelf) == len(present)


@pytest.mark.parametrize("jitter", [-40, 0, 40])
def test_a_two_second_group_gives_one_picture_per_two_seconds(jitter: int) -> None:
    cadence = Cadence(2_000)
    times = [n * 2_000 + (jitter if n % 2 else 0) for n in range(50)]
    assert all(cadence.takes(at) for at in times)


def test_a_fast_group_is_thinned_to_the_interval() -> None:
    cadence = Cadence(2_000)
    taken = [at for at in range(0, 60_000, 500) if cadence.takes(at)]
    assert len(taken) in range(29, 42)
    assert min(b - a for a, b in itertools.pairwise(taken)) >= 1_500


def test_a_clock_that_jumps_back_does_not_silence_the_pictures() -> None:
    cadence = Cadence(2_000)
    assert cadence.takes(10_000_000)
    assert cadence.takes(0)


async def test_references_go_out_and_the_picture_can_be_fetched() -> None:
    stream, shelf, refs = Stream("cam-1", clock=lambda: 0, expects=("h264",)), Shelf(), list[PictureRef]()

    async def publish(ref: PictureRef) -> None:
        refs.append(ref)

    tap = asyncio.create_task(
        keep_pictures(
            stream,
            every_ms=400,
            shelf=shelf,
            publish=publish,
            node="n",
            url=lambda stream, picture: f"{stream}/{picture}",
        )
    )
    await asyncio.sleep(0)  # it subscribes in its first step
    assert stream.subscribers == 1
    for n, data in enumerate(encode(320, 240, 21)):
        stream.publish(unit(data, n, key=n % 10 == 0))
    stream.end()
    await tap
    assert [ref.at for ref in refs] == [0, 400, 800]
    picture = shelf.get("cam-1", refs[-1].url.removeprefix("cam-1/"))
    assert picture is not None
    assert picture[4] & 0x1F == 7  # parameter sets first


def test_health_measures_size_and_rate_from_the_stream() -> None:
    health = Health()
    first, *rest = encode(640, 360, 10)
    assert health.observe(unit(first, 0)) is True
    for n, data in enumerate(rest, 1):
        assert health.observe(unit(data, n, key=False)) is False
    assert (health.width, health.height) == (640, 360)
    assert health.frame_rate == pytest.approx(25)
    assert health.last_unit_at == 360
    assert health.observe(unit(encode(320, 240, 1)[0], 11)) is True


async def test_a_tap_that_crashes_is_started_again_with_back_off() -> None:
    pauses: list[float] = []
    runs = 0

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def tap() -> None:
        nonlocal runs
        runs += 1
        if runs < 8:
            raise RuntimeError("bad picture")

    assert await supervised("test", tap, sleep=sleep) == 7
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
