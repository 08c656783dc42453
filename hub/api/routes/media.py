"""WHEP and WHIP (RFC 9725): an offer in, the relay's answer out; DELETE on the Location ends the session."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection

from hub.api.deps import Requires, part, signed_in
from hub.domain.errors import Invalid
from hub.domain.ids import CameraId, ConferenceId, MemberId
from hub.domain.roles import Right
from hub.services.access import holds, require
from hub.services.accounts import SignedInAs
from hub.services.context import Actor
from hub.services.media import Answered, Media

router = APIRouter(tags=["media"])
MAX_SDP: Final = 65_536
SDP: Final = "application/sdp"


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
watches: Final = Depends(Requires(Right.CAMERA_WATCH))
joins: Final = Depends(Requires(Right.CONFERENCE_JOIN))
has_media: Final = Depends(_Either(Right.CAMERA_WATCH, Right.CONFERENCE_JOIN))

DOCS: Final[dict[str, Any]] = {
    "status_code": 201,
    "response_class": Response,
    "responses": {201: {"content": {SDP: {"schema": {"type": "string"}}}, "description": "the answer"}},
    "openapi_extra": {"requestBody": {"required": True, "content": {SDP: {"schema": {"type": "string"}}}}},
}

OTHERS: Final[dict[str, Any]] = {
    "methods": ["GET", "HEAD", "POST", "PUT", "PATCH"],
    "dependencies": [has_media],
    "include_in_schema": False,
}


async def offer(request: Request) -> str:
    """The offer. At most 64 KiB of UTF-8. Raises Invalid (``sdp.content_type``, ``sdp.invalid``, ``sdp.too_large``)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != SDP:
        raise Invalid("sdp.content_type", f"the body is an offer with Content-Type: {SDP}")
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_SDP:
                raise SdpTooLarge("sdp.too_large", f"an offer has at most {MAX_SDP} bytes")
    except ClientDisconnect:
        raise Invalid("sdp.invalid", "the offer did not arrive") from None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Invalid("sdp.invalid", "the offer is not UTF-8") from None
    if not text.strip():
        raise Invalid("sdp.invalid", "the offer is empty")
    return text


class SdpTooLarge(Invalid):
    """An offer over 64 KiB."""

    status = 413


Offer = Annotated[str, Depends(offer)]


@router.post("/whep/cameras/{camera}", dependencies=[watches], **DOCS)
async def watch_camera(camera: CameraId, who: Who, media: MediaDep, sdp: Offer) -> Response:
    """Watch a camera: 404 `camera.unknown`, 422 `sdp.invalid`, 503 `relay.none`."""
    return _created(await media.watch_camera(who, camera, sdp))


@router.post("/whip/conferences/{conference}", dependencies=[joins], **DOCS)
async def publish(conference: ConferenceId, who: Who, media: MediaDep, sdp: Offer) -> Response:
    """Send one's own camera and microphone: 404, 409 `conference.not_in`, `conference.ended`, 503 `relay.none`."""
    return _created(await media.publish(who, conference, sdp), "whip")


@router.post("/whep/conferences/{conference}/members/{member}", dependencies=[joins], **DOCS)
async def watch_member(conference: ConferenceId, member: MemberId, who: Who, media: MediaDep, sdp: Offer) -> Response:
    """Watch another member: 404, 409 `conference.not_in`, `conference.not_publishing`."""
    return _created(await media.watch_member(who, conference, member, sdp))


@router.post("/whep/conferences/{conference}/stage", dependencies=[joins], **DOCS)
async def watch_stage(conference: ConferenceId, who: Who, media: MediaDep, sdp: Offer) -> Response:
    """Watch the camera on the stage: 404, 409 `conference.not_in`, `conference.stage_empty`, 503 `relay.none`."""
    return _created(await media.watch_stage(who, conference, sdp))


@router.delete("/whep/sessions/{session}", status_code=204, dependencies=[has_media])
async def end_media(session: SessionName, who: Who, media: MediaDep) -> None:
    """End a session of one's own; one that has ended is as good. 404 `media.session_unknown` for those of others."""
    await media.end(who, session)


@router.delete("/whip/sessions/{session}", status_code=204, dependencies=[joins])
async def end_publishing(session: SessionName, who: Who, media: MediaDep) -> None:
    """End a publishing session of one's own, likewise. 404 `media.session_unknown`."""
    await media.end(who, session)


@router.api_route("/whip/sessions/{session}", **OTHERS)
@router.api_route("/whep/sessions/{session}", **OTHERS)
async def no_such_method(session: SessionName) -> Response:
    """Trickle and restart are not offered: the answer already holds every candidate."""
    raise HTTPException(405, "a session can only be ended", {"Allow": "DELETE"})


def _created(answered: Answered, kind: str = "whep") -> Response:
    place = {"Location": f"/{kind}/sessions/{answered.session}"}
    response = Response(answered.sdp, 201, media_type=SDP, headers=place)
    for link in answered.links:  # RFC 9725 §4.6
        response.headers.append("Link", link)
    return response
