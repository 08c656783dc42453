"""Calls at the gateway (``gateway_wire``: ``POST /calls``, ``/calls/{call}/control``, ``/talks``)."""

from typing import Literal, TypeAlias

from pydantic import Field

from hub.bus.relay_wire import Internal
from hub.domain.gb_url import SubPolicy
from hub.domain.ids import GbId

MediaMode: TypeAlias = Literal["udp", "tcp_passive", "tcp_active"]
"""As the hub sees it: ``tcp_passive``: we listen and the device dials; ``tcp_active``: we dial."""


class CallIn(Internal):
    """A relay's wish: INVITE this channel and have media sent to ``host:port``."""

    device: GbId
    channel: GbId
    purpose: Literal["play", "playback", "download", "listen"] = "play"  # listen: ``device`` is a platform above us
    stream: Literal[0, 1] = 0  # main or sub stream
    sub: SubPolicy = "auto"  # how the device is asked for the sub stream
    mode: MediaMode
    host: str = Field(max_length=64)  # an address of the relay that the device can reach
    port: int = Field(ge=0, le=65_535)
    start_s: int = 0  # playback and download: Unix seconds
    end_s: int = 0
    speed: int = Field(default=1, ge=1, le=16)  # download speed
    owner: str = Field(default="", max_length=80)


class CallOut(Internal):
    """The device's answer. For tcp_active ``remote_host:remote_port`` is where the relay must dial."""

    call: str
    ssrc: int | None  # what we asked for in y=; the device may send another
    answered_ssrc: int | None = None
    remote_host: str
    remote_port: int
    mode: MediaMode
    payload_type: int = 96
    encoding: str = "PS"
    device_host: str = ""  # where its signalling comes from: ``remote_host`` is only what it says
    answered_after_ms: int
    edition: str | None = None


class CallEvent(Internal):
    """``file_end``: MediaStatus 121. ``paused``, ``resumed``: a playback stands still by wish. ``ended``: nothing
    follows; ``reason`` is a stable id."""

    event: Literal["file_end", "paused", "resumed", "ended", "alive"]
    reason: str = ""


class ControlIn(Internal):
    """MANSRTSP: exactly one."""

    action: Literal["pause", "play", "seek", "speed"]
    seek_s: float | None = Field(default=None, ge=0, le=31 * 86_400)
    speed: float | None = Field(default=None, ge=0.125, le=16)


class TalkIn(Internal):
    """A relay wants to send sound: voice broadcast (语音广播) or talk (语音对讲) to one channel."""

    device: GbId
    channel: GbId
    host: str = Field(max_length=64)
    port: int = Field(ge=0, le=65_535)
    mode: MediaMode = "udp"
    kind: Literal["broadcast", "talk"] = "broadcast"
    owner: str = Field(default="", max_length=80)


class TalkOut(Internal):
    call: str
    ssrc: int
    remote_host: str
    remote_port: int
    mode: MediaMode
    payload_type: int = 8
    device_host: str = ""  # as in CallOut
    framed: bool = True  # TCP: RFC 4571 length in front; some devices want none
