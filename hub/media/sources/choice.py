"""Which tracks of a camera's description are taken, and what the others are called."""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from hub.media.rtp import h265
from hub.media.rtp.unit import Description, UnitCodec
from hub.media.sources.aac import AacFormat, format_of
from hub.media.sources.errors import SourceError
from hub.media.sources.h265 import passes
from signaling.rtsp.describe import Offered, Presentation
from signaling.sdp import Format, SdpError

VIDEO_NAMES: Final = {
    "h265": "H.265", "hevc": "H.265", "jpeg": "MJPEG", "mp4v-es": "MPEG-4 part 2", "h263": "H.263", "mp2t": "MPEG-TS",
    "vp8": "VP8", "vp9": "VP9", "av1": "AV1",
}  # fmt: skip
AUDIO_NAMES: Final = {"mpeg4-generic": "AAC", "mp4a-latm": "AAC", "mpa": "MPEG audio", "l16": "L16"}
STATIC_NAMES: Final = {"26": "MJPEG", "32": "MPEG-1", "33": "MPEG-TS", "34": "H.263", "14": "MPEG audio", "9": "G.722"}
AUDIO: Final[dict[str, UnitCodec]] = {"pcma": "pcma", "pcmu": "pcmu", "opus": "opus"}
MAX_SETS: Final = 8_192


@dataclass(frozen=True, slots=True)
class Chosen:
    """One track that is set up."""

    offered: Offered
    codec: UnitCodec
    payload_type: int
    parameter_sets: bytes = b""
    aac: AacFormat | None = None
    rate: int | None = None  # of the timestamps, where the codec does not say it


@dataclass(frozen=True, slots=True)
class Choice:
    """The picture first, then the sound if there is one; ``left_out`` names what is not taken."""

    tracks: tuple[Chosen, ...]
    left_out: tuple[str, ...]

    @property
    def codecs(self) -> tuple[UnitCodec, ...]:
        """Of its tracks."""
        return tuple(each.codec for each in self.tracks)

    def description(self) -> Description | None:
        """What is certain before a picture came; ``None`` of H.265 whose parameter sets are not in the description."""
        video = self.tracks[0]
        if video.codec != "h265":
            return Description(self.codecs)
        sets = h265.ParameterSets()
        sets.complete(h265.split(video.parameter_sets))
        return None if sets.sequence is None else Description(self.codecs, passes(sets.sequence))


def choose(presentation: Presentation) -> Choice:
    """Take the first H.264, else the first H.265, and the first sound that we know.

    Raises SourceError ``source.not_video`` or ``source.unsupported_codec``, with the codec's name.
    """
    left_out: list[str] = []
    video = audio = None
    names: list[str] = []
    for offered in presentation.tracks:
        if offered.media.kind == "video":
            found = _video(offered)
            if found is None:
                names.append(_name(offered, VIDEO_NAMES))
            elif video is None or (video.codec, found.codec) == ("h265", "h264"):
                video = found
        elif offered.media.kind == "audio":
            found = _audio(offered)
            if found is None:
                left_out.append(f"sound in {_name(offered, AUDIO_NAMES)}")
            elif audio is None:
                audio = found
    if video is None:
        if names:
            raise SourceError("source.unsupported_codec", names[0])
        raise SourceError("source.not_video", "there is no video in it")
    return Choice(tuple(each for each in (video, audio) if each is not None), tuple(left_out))


def _video(offered: Offered) -> Chosen | None:
    for each in _formats(offered):
        if each.encoding == "h264" and each.clock_rate == 90_000:
            if each.parameter("packetization-mode") == "2":  # interleaved: no camera does it
                continue
            return Chosen(offered, "h264", each.payload_type, _parameter_sets(each))
        if each.encoding in ("h265", "hevc") and each.clock_rate == 90_000:
            if (each.parameter("sprop-max-don-diff") or "0") != "0":  # decoding order numbers: no camera does it
                continue
            return Chosen(offered, "h265", each.payload_type, _parameter_sets_h265(each))
    return None


def _audio(offered: Offered) -> Chosen | None:
    for each in _formats(offered):
        codec = AUDIO.get(each.encoding)
        if codec == "opus" and each.clock_rate == 48_000:
            return Chosen(offered, codec, each.payload_type)
        if codec is not None and codec != "opus" and (each.clock_rate, each.channels) == (8_000, 1):
            return Chosen(offered, codec, each.payload_type)
        if each.encoding in ("mpeg4-generic", "mp4a-latm") and (aac := _aac(each)) is not None:
            return Chosen(offered, "aac", each.payload_type, aac=aac, rate=each.clock_rate)
    return None


def _aac(format: Format) -> AacFormat | None:
    names = ("config", "cpresent", "sizelength", "indexlength")
    parameters = {name: value for name in names if (value := format.parameter(name)) is not None}
    try:
        found = format_of(format.encoding, parameters)
    except ValueError:
        return None
    return found if found.rate == format.clock_rate or found.rate * 2 == format.clock_rate else None


def _formats(offered: Offered) -> tuple[Format, ...]:
    """The formats of a track, none where its lines make no sense."""
    try:
        return offered.media.formats()
    except SdpError:
        return ()


def _name(offered: Offered, names: dict[str, str]) -> str:
    for each in _formats(offered):
        return names.get(each.encoding, each.encoding[:20])
    return next((STATIC_NAMES[id] for id in offered.media.format_ids if id in STATIC_NAMES), "an unknown codec")


def _parameter_sets(format: Format) -> bytes:
    """sprop-parameter-sets as Annex B (RFC 6184 §8.1); nothing where they make no sense, since they come in band."""
    nals = _decoded(format.parameter("sprop-parameter-sets"))
    return b"".join(b"\0\0\0\1" + nal for nal in nals if nal[0] & 0x1F in (7, 8))


def _parameter_sets_h265(format: Format) -> bytes:
    """sprop-vps, sprop-sps and sprop-pps (RFC 7798 §7.1)."""
    nals = [nal for name in ("sprop-vps", "sprop-sps", "sprop-pps") for nal in _decoded(format.parameter(name))]
    return b"".join(b"\0\0\0\1" + nal for nal in nals if nal[0] >> 1 & 0x3F in (32, 33, 34))


def _decoded(text: str | None) -> list[bytes]:
    found = []
    for part in (text or "")[:MAX_SETS].split(",")[:32]:
        try:
            nal = base64.b64decode(part.strip() + "==", validate=False)
        except (binascii.Error, ValueError):
            continue
        if nal := nal.removeprefix(b"\0\0\0\1"):
            found.append(nal)
    return found
