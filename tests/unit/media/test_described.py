"""What a stream carries, known before its pictures come: from its source's own word, else from its first key frame."""

from dataclasses import replace

import pytest

from hub.media.rendition import Native
from hub.media.rtp.unit import AccessUnit, Description, UnitCodec
from hub.media.stream import CHANGES_MS, Stream
from tests.integration.media_kit import units
from tests.unit.media.test_rendition import Recorder, h265

EVERYTHING = ("h264", "h265", "vp8")


class Camera:
    """A stream that is only guessed at, and what was said of it."""

    def __init__(self) -> None:
        self.told = 0
        self.stream = Stream("cam-1", clock=lambda: 0, expects=("h264",), guessed=True, on_described=self._tell)
        self.converter = Recorder(self.stream)

    def _tell(self) -> None:
        self.told += 1

    def describe(self, *codecs: UnitCodec, passes: bool = True, whole: bool = True) -> None:
        self.stream.describe(Description(codecs, passes, whole))

    @property
    def sound(self) -> str | None:
        track = self.stream.tracks.get("audio")
        return None if track is None else track.codec


def sound(codec: UnitCodec, at_ms: int = 0) -> AccessUnit:
    return AccessUnit("audio", codec, b"\xd5" * 160, at_ms * 8, True, at_ms)


def test_a_camera_is_guessed_at_until_it_says_what_it_brings_and_that_is_told_once() -> None:
    camera = Camera()
    assert not camera.stream.known
    assert camera.stream.tracks["video"].codec == "h264"
    camera.describe("h264")
    camera.describe("h264")
    assert camera.stream.known
    assert camera.told == 1


def test_h265_is_to_be_had_before_its_first_picture_and_nobody_is_converted_for() -> None:
    camera = Camera()
    camera.stream.watch("early")
    camera.describe("h265")
    rendition = camera.stream.rendition(EVERYTHING)
    assert rendition.tracks["video"].codec == "h265"
    assert rendition.known
    assert camera.stream.rendition(("h264",)) is camera.stream
    assert not camera.stream.needs_conversion
    for unit in h265(3):
        camera.stream.publish(unit)
    assert camera.told == 1
    assert camera.stream.rendition(EVERYTHING) is rendition


def test_h265_that_no_browser_decodes_is_offered_to_nobody() -> None:
    camera = Camera()
    camera.describe("h265", passes=False)
    assert camera.stream.rendition(EVERYTHING) is camera.stream
    camera.describe("h265")
    assert camera.stream.rendition(EVERYTHING) is not camera.stream
    assert camera.told == 2


@pytest.mark.parametrize(("brings", "plays"), [("pcma", "pcma"), ("opus", "opus"), ("aac", "opus")])
def test_sound_has_its_track_before_it_comes(brings: UnitCodec, plays: str) -> None:
    camera = Camera()
    camera.describe("h264", brings)
    assert camera.sound == plays
    before = camera.stream.tracks["audio"]
    camera.stream.publish(sound(brings))
    assert camera.stream.tracks["audio"] is before
    assert camera.told == 1


def test_sound_that_a_whole_description_does_not_name_is_gone_and_else_it_stays() -> None:
    camera = Camera()
    camera.describe("h264", "pcma")
    camera.describe("h264", whole=False)
    assert (camera.sound, camera.told) == ("pcma", 1)
    camera.describe("h264")
    assert (camera.sound, camera.told) == (None, 2)
    camera.stream.publish(sound("pcma"))  # it comes all the same
    assert (camera.sound, camera.told) == ("pcma", 3)


def test_another_sound_is_another_track_and_nothing_of_the_first_comes_under_it() -> None:
    camera = Camera()
    camera.describe("h264", "pcma")
    first = camera.stream.tracks["audio"]
    heard: list[object] = []
    camera.stream.listen("audio", heard.extend)
    camera.stream.publish(sound("pcma"))
    assert len(heard) == 1
    camera.describe("h264", "aac")
    assert camera.stream.tracks["audio"] is not first
    camera.stream.publish_converted(sound("pcma"))  # a converter's last words
    assert len(heard) == 1
    camera.stream.publish_converted(AccessUnit("audio", "opus", b"x", 0, True, 0))
    assert len(heard) == 2
    assert camera.told == 2


def test_a_source_that_changes_its_sound_with_every_unit_is_believed_now_and_then() -> None:
    camera = Camera()
    camera.describe("h264")
    codecs: tuple[UnitCodec, ...] = ("pcma", "pcmu")
    for n in range(1_000):
        camera.stream.publish(sound(codecs[n % 2], at_ms=n * 20))
    assert camera.told <= 2 + 1_000 * 20 / CHANGES_MS
    assert camera.stream.counters.refused > 400


def test_a_source_that_changes_its_pictures_with_every_unit_is_believed_now_and_then() -> None:
    camera = Camera()
    ended: list[str] = []
    pictures = (h265(1)[0], units(1)[0])
    for n in range(1_000):
        camera.stream.publish(replace(pictures[n % 2], pts=n * 3_600, at_ms=n * 20))
        if isinstance(native := camera.stream.rendition(EVERYTHING), Native):
            native.on_end(lambda: ended.append("codec.changed"))
    assert 1 <= camera.told <= 2 + 1_000 * 20 / CHANGES_MS
    assert len(ended) <= 1 + 1_000 * 20 / CHANGES_MS


def test_the_same_camera_with_h264_again_ends_what_was_shown_of_its_h265() -> None:
    camera = Camera()
    camera.describe("h265")
    native = camera.stream.rendition(EVERYTHING)
    assert isinstance(native, Native)
    ended: list[str] = []
    native.on_end(lambda: ended.append(native.ending))
    camera.describe("h264")
    assert ended == ["codec.changed"]
    assert camera.stream.rendition(EVERYTHING) is camera.stream
    for unit in units(3):
        camera.stream.publish(unit)
    assert camera.stream.tracks["video"].head >= 0
    assert not camera.stream.needs_conversion


def test_reordered_h264_stays_what_it_was_when_it_is_described_again() -> None:
    camera = Camera()
    camera.describe("h264")
    camera.stream.hold("viewer")
    camera.stream.publish(replace(units(1)[0], passes=False))
    assert camera.stream.needs_conversion
    camera.describe("h264")
    assert camera.stream.needs_conversion


def test_a_source_that_says_nothing_of_itself_is_known_by_its_first_key_frame() -> None:
    camera = Camera()
    camera.stream.publish(sound("pcma"))
    assert not camera.stream.known
    first, second = h265(2)
    camera.stream.publish(second)
    assert not camera.stream.known
    camera.stream.publish(first)
    assert camera.stream.known
    assert camera.told == 1
    assert camera.stream.rendition(EVERYTHING).tracks["video"].codec == "h265"
    assert camera.stream.rendition(EVERYTHING).tracks["audio"].codec == "pcma"


def test_of_another_source_it_is_not_known_what_it_brings() -> None:
    camera = Camera()
    camera.describe("h265", "pcma")
    camera.stream.forget_description()
    assert not camera.stream.known
    camera.describe("h265", "pcma")
    assert camera.stream.known
    assert camera.told == 2


def test_a_stream_that_ended_learns_nothing() -> None:
    camera = Camera()
    camera.stream.end()
    camera.describe("h265", "pcma")
    assert camera.told == 0
