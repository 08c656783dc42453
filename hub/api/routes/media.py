"""WHEP and WHIP (RFC 9725): an offer in, the relay's answer out; DELETE on the Location ends the session."""

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection

from hub.api.deps import Requires, part, signed_in
from hub.domain.errors import Invalid
from hub.domain.ids import CameraId, ConferenceId, MemberId, StreamId
from hub.domain.roles import Right
from hub.services.access import holds, require
from hub.services.accounts import SignedInAs
from hub.services.context import Actor
from hub.services.media import Answered, Media
from hub.services.playbacks import Playbacks
from hub.services.talks import Talks

router = APIRouter(tags=["media"])
MAX_SDP: Final = 65_536
MAX_FRAGMENT: Final = 16_384
SDP: Final = "application/sdp"
FRAGMENT: Final = "application/trickle-ice-sdpfrag"


class _Either(Requires):
    """Whoever may watch cameras or join conferences has sessions to end."""

    def __init__(self, right: Right, other: Right) -> None:
        super().__init__(right)
        self._other = other

    async def __call__(self, connection: HTTPConnection) -> Actor:
        actor = (await signed_in(connection)).actor
        if not holds(actor, self._other):
            require(actor, Right.CAMERA_WATCH)
        return actor


MediaDep = Annotated[Media, Depends(part(Media))]
Who = Annotated[SignedInAs, Depends(signed_in)]
SessionName = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
PlaybacksDep = Annotated[Playbacks, Depends(part(Playbacks))]
TalksDep = Annotated[Talks, Depends(part(Talks))]
watches: Final = Depends(Requires(Right.CAMERA_WATCH))
controls: Final = Depends(Requires(Right.CAMERA_CONTROL))
joins: Final = Depends(Requires(Right.CONFERENCE_JOIN))
has_media: Final = Depends(_Either(Right.CAMERA_WATCH, Right.CONFERENCE_JOIN))

DOCS: Final[dict[str, Any]] = {
    "status_code": 201,
    "response_class": Response,
    "responses": {201: {"content": {SDP: {"schema": {"type": "string"}}}, "description": "the answer"}},
    "openapi_extra": {"requestBody": {"required": True, "content": {SDP: {"schema": {"type": "string"}}}}},
}

OTHERS: Final[dict[str, Any]] = {
    "methods": ["GET", "HEAD", "POST", "PUT"],
    "dependencies": [has_media],
    "include_in_schema": False,
}


async def offer(request: Request) -> str:
    """The offer. At most 64 KiB of UTF-8. Raises Invalid (``sdp.content_type``, ``sdp.invalid``, ``sdp.too_large``)."""
    return await _body(request, SDP, MAX_SDP)


async def _body(request: Request, kind: str, most: int) -> str:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != kind:
        raise Invalid("sdp.content_type", f"the body needs Content-Type: {kind}")
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > most:
                raise SdpTooLarge("sdp.too_large", f"the body has at most {most} bytes")
    except ClientDisconnect:
        raise Invalid("sdp.invalid", "the body did not arrive") from None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Invalid("sdp.invalid", "the body is not UTF-8") from None
    if not text.strip():
        raise Invalid("sdp.invalid", "the body is empty")
    return text


class SdpTooLarge(Invalid):
    """An offer over 64 KiB."""

    status = 413


Offer = Annotated[str, Depends(offer)]
Width = Annotated[int | None, Query(ge=1, le=16_384, description="of the tile, in pixels: which layer is sent")]


@router.post("/whep/cameras/{camera}", dependencies=[watches], **DOCS)
async def watch_camera(camera: CameraId, who: Who, media: MediaDep, sdp: Offer, width: Width = None) -> Response:
    """Watch a camera: 404 `camera.unknown`, 422 `sdp.invalid`, 503 `relay.none`."""
    return _created(await media.watch_camera(who, camera, sdp, width=width))


@router.post("/whip/conferences/{conference}", dependencies=[joins], **DOCS)
async def publish(conference: ConferenceId, who: Who, media: MediaDep, sdp: Offer) -> Response:
    """Send one's own camera and microphone: 404, 409 `conference.not_in`, `conference.ended`, 503 `relay.none`."""
    return _created(await media.publish(who, conference, sdp), "whip")


@router.post("/whip/cameras/{camera}/talk", dependencies=[controls], **DOCS)
async def talk(camera: CameraId, who: Who, talks: TalksDep, sdp: Offer) -> Response:
    """Speak to a camera: 404, 409 `camera.not_gb28181`, `talk.busy`, 503 `gateway.none` or the device's `gb28181.…`."""
    return _created(await talks.open(who, camera, sdp), "whip")


@router.post("/whep/playbacks/{playback}", dependencies=[controls], **DOCS)
async def watch_playback(
    playback: StreamId, who: Who, playbacks: PlaybacksDep, sdp: Offer, width: Width = None
) -> Response:
    """Watch a recording: 404 `playback.unknown`, 503."""
    return _created(await playbacks.watch(who, playback, sdp, width=width))


@router.post("/whep/conferences/{conference}/members/{member}", dependencies=[joins], **DOCS)
async def watch_member(
    conference: ConferenceId, member: MemberId, who: Who, media: MediaDep, sdp: Offer, width: Width = None
) -> Response:
    """Watch another member: 404, 409 `conference.not_in`, `conference.not_publishing`."""
    return _created(await media.watch_member(who, conference, member, sdp, width=width))


@router.post("/whep/conferences/{conference}/stage", dependencies=[joins], **DOCS)
async def watch_stage(conference: ConferenceId, who: Who, media: MediaDep, sdp: Offer, width: Width = None) -> Response:
    """Watch the camera on the stage: 404, 409 `conference.not_in`, `conference.stage_empty`, 503 `relay.none`."""
    return _created(await media.watch_stage(who, conference, sdp, width=width))


@router.delete("/whep/sessions/{session}", status_code=204, dependencies=[has_media])
async def end_media(session: SessionName, who: Who, media: MediaDep) -> None:
    """End a session of one's own; one that has ended is as good. 404 `media.session_unknown` for those of others."""
    await media.end(who, session)


@router.delete("/whip/sessions/{session}", status_code=204, dependencies=[has_media])
async def end_publishing(session: SessionName, who: Who, media: MediaDep) -> None:
    """End a publishing session of one's own, likewise (a talk needs no conference). 404 `media.session_unknown`."""
    await media.end(who, session)


@router.api_route("/whip/sessions/{session}", **OTHERS)
@router.api_route("/whep/sessions/{session}", **OTHERS)
async def no_such_method(session: SessionName) -> Response:
    """A session's address takes no more than these."""
    raise HTTPException(405, "a session can be patched and ended", {"Allow": "DELETE, PATCH"})


async def fragment(request: Request) -> str:
    """A fragment to trickle or restart with (RFC 8840). Raises Invalid (``sdp.content_type``, ``sdp.too_large`` …)."""
    return await _body(request, FRAGMENT, MAX_FRAGMENT)


Fragment = Annotated[str, Depends(fragment)]
Match = Annotated[str | None, Header(alias="If-Match", max_length=1_024, description="the ETag, or * to begin anew")]
PATCHING: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "content": {FRAGMENT: {"schema": {"type": "string"}}},
            "description": "ICE begins anew: the relay's side",
        },
        204: {"description": "taken"},
    },
    "response_class": Response,
    "openapi_extra": {"requestBody": {"required": True, "content": {FRAGMENT: {"schema": {"type": "string"}}}}},
}


@router.patch("/whep/sessions/{session}", dependencies=[has_media], **PATCHING)
async def patch_media(session: SessionName, who: Who, media: MediaDep, sdp: Fragment, match: Match = None) -> Response:
    """Trickle a candidate, or begin ICE anew with other credentials (RFC 9725 §4.3).

    404 `media.session_unknown`, 412 `media.outdated`, 428 `media.no_condition`.
    """
    return _patched(await media.patch(who, session, sdp, match))


@router.patch("/whip/sessions/{session}", dependencies=[has_media], **PATCHING)
async def patch_publishing(
    session: SessionName, who: Who, media: MediaDep, sdp: Fragment, match: Match = None
) -> Response:
    """Likewise for a publisher."""
    return _patched(await media.patch(who, session, sdp, match))


def _patched(answer: str) -> Response:
    if not answer:
        return Response(status_code=204)
    return Response(answer, 200, media_type=FRAGMENT, headers=_tag(answer))


def _tag(sdp: str) -> dict[str, str]:
    """The entity tag of the ICE session (RFC 9725 §4.3.1)."""
    found = re.search(r"^a=ice-ufrag:(\S+)", sdp, re.MULTILINE)
    return {} if found is None else {"ETag": f'"{found[1]}"'}


def _created(answered: Answered, kind: str = "whep") -> Response:
    place = {"Location": f"/{kind}/sessions/{answered.session}", **_tag(answered.sdp)}
    response = Response(answered.sdp, 201, media_type=SDP, headers=place)
    for link in answered.links:  # RFC 9725 §4.6
        response.headers.append("Link", link)
    return response
