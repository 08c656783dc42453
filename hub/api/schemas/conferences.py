"""Conferences."""

from typing import Literal

from pydantic import Field

from hub.api.schemas.base import Name, Reply, Request
from hub.domain.ids import AlertId, CameraId, ConferenceId, IncidentId, MemberId, RunId, UnitId, UserId

MemberState = Literal["ringing", "answered", "joined", "declined", "missed", "left"]


class NewConference(Request):
    title: Name
    incident: IncidentId | None = None
    alert: AlertId | None = None  # opens an incident for it when it has none
    camera: CameraId | None = None  # put on the stage at once
    run: RunId | None = None  # the drill it belongs to; an incident that there is already keeps its own
    units: list[UnitId] = Field(min_length=1, max_length=32)


class Member(Reply):
    id: MemberId
    unit: UnitId
    unit_name: str
    user: UserId | None
    name: str | None
    host: bool
    state: MemberState
    rung_at: int
    answered_at: int | None
    joined_at: int | None
    audio: bool
    video: bool
    publishing: bool  # the relay receives media of this member


class Conference(Reply):
    id: ConferenceId
    title: str
    incident: IncidentId | None
    run: RunId | None
    opened_by: str
    opened_at: int
    ended_at: int | None
    stage: CameraId | None
    stage_name: str | None
    stage_name_en: str | None
    members: list[Member]


class Conferences(Reply):
    items: list[Conference]
