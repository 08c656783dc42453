"""A stream's subscribers: readers lose and count, the count of them tells when a source is wanted."""

import asyncio

from hub.media.rtp.unit import AccessUnit
from hub.media.stream import MAX_UNIT, Stream

SETS = b"\0\0\0\1\x67\x42\xe0\x1f\0\0\0\1\x68\xce"


def unit(n: int, *, key: bool = False, data: bytes | None = None) -> AccessUnit:
    body = b"\0\0\0\1" + (b"\x65" if key else b"\x41") + b"x" * 20
    return AccessUnit(
        "video", "h264", data if data is not None else (SETS if key else b"") + body, n * 3_600, key, n * 40
    )


def stream(**options: object) -> Stream:
    return Stream("cam-1", clock=lambda: 0, expects=("h264",), **options)  # type: ignore[arg-type]  # one callback


async def test_a_reader_starts_at_a_key_frame_and_ends_with_the_stream() -> None:
    source = stream()
    reader = source.units("tap")
    for n, key in enumerate((False, True, False)):
        source.publish(unit(n, key=key))
    source.end()
    assert [u.pts async for u in reader] == [3_600, 7_200]


async def test_a_full_reader_drops_until_the_next_key_frame_and_counts() -> None:
    source = stream()
    slow, quick = source.units("slow", maxlen=2), source.units("quick", maxlen=99)
    for n in range(6):
        source.publish(unit(n, key=n in (0, 5)))
    assert (await anext(slow)).pts == 0
    assert (await anext(slow)).pts == 3_600
    source.publish(unit(6))
    source.publish(unit(7, key=True))
    assert (await anext(slow)).pts == 7 * 3_600
    assert (slow.dropped, quick.dropped, source.counters.reader_drops) == (5, 0, 5)


async def test_a_reader_waits_without_spinning_and_wakes_for_a_unit() -> None:
    source = stream()
    async with source.units("tap") as reader:
        waiting = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)
        assert not waiting.done()
        source.publish(unit(0, key=True))
        assert (await waiting).keyframe


async def test_each_change_of_the_subscribers_is_told() -> None:
    told: list[int] = []
    source: Stream = stream(on_change=lambda: told.append(source.subscribers))
    reader = source.units("tap")
    source.hold("ses-1")
    source.hold("ses-1")
    reader.close()
    reader.close()
    source.release("ses-1")
    source.release("ses-1")
    assert told == [1, 2, 2, 1, 0]


async def test_the_last_key_frame_carries_its_parameter_sets() -> None:
    source = stream()
    source.publish(unit(0, key=True))
    source.publish(unit(1, key=True, data=b"\0\0\1\x65yyyy"))
    assert source.last_keyframe is not None
    assert source.last_keyframe.data == SETS + b"\0\0\0\1\x65yyyy"
    source.restart()
    assert source.last_keyframe is None


async def test_what_is_too_large_or_of_another_codec_is_refused_and_counted() -> None:
    source = Stream("mem-1", clock=lambda: 0, expects=("vp8",))
    source.publish(unit(0, key=True))
    other = stream()
    other.publish(unit(0, key=True, data=bytes(MAX_UNIT + 1)))
    assert (source.counters.refused, other.counters.refused) == (1, 1)
    assert source.codec is None


async def test_audio_that_comes_later_makes_a_track_of_its_own() -> None:
    source = stream()
    source.publish(unit(0, key=True))
    source.publish(AccessUnit("audio", "pcma", b"x" * 160, 0, True, 0))
    assert source.codec == "h264+pcma"


async def test_nothing_is_published_after_the_end() -> None:
    source = stream()
    ends: list[str] = []
    source.on_end(lambda: ends.append("one"))
    forgotten = lambda: ends.append("two")  # noqa: E731 - the same object twice
    source.on_end(forgotten)
    source.forget_end(forgotten)
    async with source:
        pass
    source.end()
    source.publish(unit(0, key=True))
    assert ends == ["one"]
    assert source.last_unit_at is None
    assert [u async for u in source.units("late")] == []


async def test_a_successor_with_another_codec_sends_the_viewers_away() -> None:
    source = Stream("mem-1", clock=lambda: 0)
    first, second = (lambda layer: None), (lambda layer: None)
    assert source.publisher(("vp8", "opus"), first) is False
    ssrc = source.tracks["video"].ssrc
    assert source.publisher(("vp8", "opus"), second) is False
    assert source.tracks["video"].ssrc == ssrc
    assert source.publisher(("h264", "opus"), second) is True
    assert source.tracks["video"].ssrc != ssrc
