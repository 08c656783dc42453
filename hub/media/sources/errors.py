"""Why a source does not come, by stable ids; and what PyAV raises, translated. Details never hold a password."""

import errno
from typing import Final

import av.error

from hub.domain.errors import Unavailable
from hub.domain.source_url import ParsedSource

MAX_DETAIL: Final = 300

MEANING: Final = {
    "source.unreachable": "nothing answers at the address",
    "source.unauthorized": "the user name or the password is wrong",
    "source.not_found": "the device answers, and has no such stream",
    "source.not_video": "what comes is not video",
    "source.unsupported_codec": "the video is coded in a way that browsers cannot show",
    "source.lost": "the stream ended or fell silent",
    "source.refused": "the address is one that is never pulled",
    "source.no_keyframe": "no key frame came",
    "source.timeout": "the device took too long to answer",
    "gb28181.no_answer": "the device does not answer the INVITE",
    "gb28181.answered_no_packets": "the device answered, and no packets arrive",
    "gb28181.packets_no_ps": "packets arrive, and there is no program stream in them",
    "gb28181.ps_no_keyframe": "a program stream arrives, and no key frame in it",
    "gb28181.svac": "the picture is coded in SVAC, which nothing here decodes",
    "gb28181.busy": "the device has no more pictures to give",
    "gb28181.no_sub_stream": "nothing tells how the device is asked for a sub stream",
    "gb28181.offline": "the device is not registered",
    "gb28181.dial_failed": "the device does not take the connection that it offered",
    "gb28181.mode_refused": "the device refuses this way of sending",
    "gb28181.no_port": "this relay has no port left to receive at",
    "gateway.none": "the gateway does not answer",
}


class SourceError(Unavailable):
    """A source does not come, or no more. ``detail`` is for the administrator."""

    def __init__(self, id: str, detail: str = "") -> None:
        super().__init__(id, MEANING.get(id, detail or id), detail=detail)  # other ids are those of the gateway
        self.detail = detail[:MAX_DETAIL]


def translate(error: Exception, source: ParsedSource, *, opened: bool, timed_out: bool = False) -> SourceError:
    """The stable id for what opening (or reading, when ``opened``) raised.

    ``timed_out`` says that the time limit had passed: a demuxer that was interrupted names any reason.
    """
    if isinstance(error, SourceError):
        return error
    detail = source.scrub(f"{getattr(error, 'strerror', None) or error}")
    if opened:
        return SourceError("source.lost", "no data" if timed_out else detail)
    if timed_out or isinstance(error, av.error.ExitError | av.error.TimeoutError):
        return SourceError("source.timeout", "the connection stands, and nothing comes")
    return SourceError(*_of_opening(error, source.scheme, detail))


def _of_opening(error: Exception, scheme: str, detail: str) -> tuple[str, str]:
    match error:
        case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
            return "source.unauthorized", detail
        case av.error.HTTPNotFoundError():
            return "source.not_found", detail
        case av.error.ProtocolNotFoundError():
            return "source.refused", "it leads to a protocol that is not pulled"
        case av.error.ArgumentError():
            return "source.not_video", "a playlist, or a format that is no video"  # stopped by the format whitelist
        case av.error.DemuxerNotFoundError() | av.error.InvalidDataError() | ValueError():
            return "source.not_video", detail
        case av.error.OSError() if error.errno == errno.EIO and scheme in {"http", "https"}:
            return "source.unreachable", "the connection broke, or the server redirects (which is not followed)"
    return "source.unreachable", detail
