"""A stream whose pictures no browser decodes as they are: who gets the original, what is converted, and for whom."""

from dataclasses import replace
from functools import cache

import pytest

from hub.domain.errors import Unavailable
from hub.media.rtp.track import Packet
from hub.media.rtp.unit import AccessUnit
from hub.media.sources.h265 import H265Framer
from hub.media.stream import Stream
from tests.integration.media_kit import units
from tests.unit.media.test_h265 import encoded


class Recorder:
    """A converter that only writes down what it is asked."""

    def __init__(self, stream: Stream, full: bool = False) -> None:
        self.stream = stream
        self.full = full
        self.units: list[AccessUnit] = []
        self.looks: list[tuple[bool, bool]] = []
        self.keys = self.restarts = 0
        stream.converter = self

    @property
    def active(self) -> bool:
        return True

    def need_room(self) -> None:
        if self.full:
            raise Unavailable("transcode.full", "no")

    def look(self) -> None:
        self.looks.append((self.stream.needs_conversion, self.stream.needs_sound))

    def unit(self, unit: AccessUnit) -> None:
        self.units.append(unit)

    def want_key(self) -> None:
        self.keys += 1

    def restart(self) -> None:
        self.restarts += 1


@cache
def h265(count: int = 12) -> tuple[AccessUnit, ...]:
    framer = H265Framer()
    pictures = [framer.picture(data) for data in encoded(params="bframes=0:repeat-headers=1")]
    return tuple(
        AccessUnit("video", "h265", picture.data, n * 3_600, picture.keyframe, n * 40, None, picture.passes)
        for n, picture in enumerate(pictures[:count])
        if picture is not None
    )


def camera(full: bool = False) -> tuple[Stream, Recorder]:
    stream = Stream("cam-1", clock=lambda: 0, expects=("h264",))
    return stream, Recorder(stream, full)


def publish(stream: Stream, *given: AccessUnit) -> None:
    for unit in given:
        stream.publish(unit)


def heard(stream: Stream) -> list[Packet]:
    got: list[Packet] = []
    stream.listen("video", lambda packets: got.extend(packets))
    return got


def test_h264_passes_and_nothing_is_converted() -> None:
    stream, converter = camera()
    got = heard(stream)
    publish(stream, *units(5))
    assert got
    assert converter.units == []
    assert stream.rendition(("h264", "h265")) is stream
    assert stream.codec == "h264"


def test_the_original_goes_to_who_knows_it_and_the_converted_to_all_others() -> None:
    stream, converter = camera()
    publish(stream, *h265())
    assert stream.codec == "h265"
    native = stream.rendition(("h264", "h265"))
    assert native is not stream
    assert stream.rendition(("h264",)) is stream
    assert (native.tracks["video"].codec, stream.tracks["video"].codec) == ("h265", "h264")
    assert [unit.codec for unit in converter.units] == ["h265"] * 12
    assert native.tracks["video"].ssrc != stream.tracks["video"].ssrc
    here, there = heard(stream), list[Packet]()
    native.listen("video", lambda packets: there.extend(packets))
    publish(stream, replace(h265()[-1], pts=90_000))
    assert there
    assert here == []
    stream.publish_converted(units(1)[0])
    assert here
    assert {packet.frame for packet in there} == {12}


def test_only_who_needs_it_has_it_converted() -> None:
    stream, converter = camera()
    publish(stream, *h265())
    stream.rendition(("h265",)).hold("ses-1")
    stream.watch("ts-1", hears=False)
    assert (stream.viewers, stream.needs_conversion, stream.needs_sound) == (2, False, True)
    stream.hold("ses-2")
    assert converter.looks[-1] == (True, True)
    stream.release("ses-2")
    stream.rendition(("h265",)).release("ses-1")
    assert converter.looks[-1] == (False, False)
    assert stream.viewers == 1


def test_the_backlog_begins_with_the_last_key_frame_and_is_empty_for_what_passes() -> None:
    stream, _ = camera()
    publish(stream, *h265())
    assert [unit.pts for unit in stream.backlog] == [36_000, 39_600]
    assert stream.backlog[0].keyframe
    stream.restart()
    assert stream.backlog == ()
    passing, _ = camera()
    publish(passing, *units(5))
    assert passing.backlog == ()


def test_pictures_in_another_order_have_no_original_for_viewers_and_taps_read_it() -> None:
    stream, converter = camera()
    reader = stream.units("recorder")
    publish(stream, *(replace(unit, passes=False) for unit in units(3)))
    assert stream.rendition(("h264", "h265")) is stream
    assert len(converter.units) == 3
    assert stream.tracks["video"].head == -1
    assert not reader.closed
    assert stream.last_keyframe is not None


def test_a_camera_that_changes_its_coding_calls_those_again_who_watch_the_original() -> None:
    stream, converter = camera()
    publish(stream, *h265())
    native, told = stream.rendition(("h265",)), list[str]()
    native.on_end(lambda: told.append(native.ending))
    stream.on_end(lambda: told.append("whole"))
    publish(stream, *units(3))
    assert told == ["codec.changed"]
    assert native.ended
    assert not stream.ended
    assert converter.restarts == 1
    assert stream.rendition(("h264", "h265")) is stream
    assert stream.tracks["video"].head >= 0


def test_where_there_is_no_room_a_viewer_is_refused_who_needs_it_and_no_other() -> None:
    stream, _ = camera(full=True)
    assert stream.rendition(("h264",)) is stream  # nobody knows yet
    publish(stream, *h265())
    with pytest.raises(Unavailable) as caught:
        stream.rendition(("h264",))
    assert caught.value.id == "transcode.full"
    assert stream.rendition(("h265",)) is not stream
    told = list[str]()
    stream.on_end(lambda: told.append(stream.ending))
    stream.turn_away("transcode.full")
    assert told == ["transcode.full"]
    assert not stream.ended


def test_aac_becomes_an_opus_track_and_taps_read_aac() -> None:
    stream, converter = camera()
    publish(stream, *units(1))
    stream.publish(AccessUnit("audio", "aac", b"\xff\xf1", 0, True, 0))
    assert stream.tracks["audio"].codec == "opus"
    assert [unit.codec for unit in converter.units] == ["aac"]
    assert stream.codec == "h264+aac"
    stream.publish_converted(AccessUnit("audio", "opus", b"x", 0, True, 0))
    assert stream.tracks["audio"].head == 0


def test_a_lost_picture_asks_the_encoder() -> None:
    stream, converter = camera()
    stream.request_keyframe()
    assert converter.keys == 1


def test_the_end_reaches_everybody() -> None:
    stream, _ = camera()
    publish(stream, *h265())
    native, told = stream.rendition(("h265",)), list[str]()
    native.on_end(lambda: told.append(native.ending))
    stream.end()
    assert told == ["stream.ended"]
    assert native.ended
