"""Cameras."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from hub.api.schemas.base import Name, Reply, Request
from hub.domain.ids import CameraId, GbId, UnitId

CameraState = Literal["idle", "connecting", "live", "frozen", "failed"]


class NewCamera(Request):
    name: Name
    url: Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
    sub_url: Annotated[str, StringConstraints(min_length=1, max_length=1_000)] | None = None  # its smaller stream
    unit: UnitId


class CameraPatch(Request):
    """What is left out stays, addresses too; they are never answered. `sub_url: null`: it has none any more."""

    name: Name = ""
    url: Annotated[str, StringConstraints(min_length=1, max_length=1_000)] = ""
    sub_url: Annotated[str, StringConstraints(min_length=1, max_length=1_000)] | None = None
    unit: UnitId = ""


class Camera(Reply):
    id: CameraId
    name: str
    name_en: str
    unit: UnitId
    unit_name: str
    scheme: str
    host: str | None  # without user and password; only for roles that manage cameras
    state: CameraState
    reason: str | None  # stable id when failed: source.unreachable, source.unauthorized, source.not_video,
    #                     source.unsupported_codec, source.lost, source.refused, source.no_keyframe, relay.none
    retry_at: int | None
    codec: str | None
    width: int | None
    height: int | None
    viewers: int
    watched: bool  # a rule looks at it
    device: GbId | None = None  # its GB/T 28181 device
    ptz: int = 0  # PTZType of GB/T 28181: 1 dome, 2 half dome, 3 fixed, 4 remote-controlled, 5-7 of 2022; 0 not known
    transcoded: bool = False  # somebody watches who cannot decode it as it comes
    sub_stream: bool = False  # a smaller stream of it is named


class Cameras(Reply):
    items: list[Camera]
    total: int
    next: str | None  # cursor of the next page
