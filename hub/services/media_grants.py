"""Who may have which track of a page's one connection: the rules of WHEP, and what each grant hangs on."""

from collections.abc import Sequence
from dataclasses import dataclass

from hub.bus.relay_wire import TrackWish
from hub.domain.errors import Conflict, NotFound
from hub.domain.ids import CameraId, ConferenceId, MemberId, StreamId
from hub.domain.roles import Right
from hub.services import conferences
from hub.services.access import require
from hub.services.accounts import SignedInAs
from hub.services.cameras import reachable
from hub.services.conference_change import stage_key
from hub.services.conference_view import get_conference
from hub.services.context import Context
from signaling import wire


@dataclass(frozen=True, slots=True)
class Granted:
    """A stream that somebody may watch, and what that hangs on. ``camera`` where watching it is recorded."""

    stream: StreamId
    keys: tuple[str, ...]
    camera: CameraId | None = None
    conference: ConferenceId | None = None


async def grant(
    ctx: Context, who: SignedInAs, *, camera: CameraId | None, conference: ConferenceId | None, member: MemberId | None
) -> Granted:
    """Whether this person may watch a camera, a member of a conference, or a conference's stage (neither is given).

    Raises NotFound, Forbidden, Conflict, as the calls for a single stream do.
    """
    if camera is not None:
        require(who.actor, Right.CAMERA_WATCH)
        async with ctx.reading() as db:
            await reachable(ctx, db, who.actor, camera)
        return Granted(camera, (camera,), camera)
    if conference is None:
        raise NotFound("camera.unknown", "no such camera")
    mine = await conferences.publisher(ctx, who.actor, conference)
    seen = await get_conference(ctx, who.actor, conference)
    if member is None:
        if seen.stage is None:
            raise Conflict("conference.stage_empty", "no camera is on the stage")
        return Granted(seen.stage, (seen.stage, mine.id, stage_key(conference)), seen.stage, conference)
    if all(found.id != member for found in seen.members):
        raise NotFound("conference.member_unknown", "no such member")
    return Granted(member, (mine.id, member))


@dataclass(frozen=True, slots=True)
class Shown:
    """A wanted picture and what granted it, as both are when work begins: either may change while it waits."""

    key: str
    track: wire.WantedTrack
    granted: Granted


def wish_of(stream: StreamId, shown: Sequence[Shown]) -> TrackWish:
    """What a relay is told of a stream that several tiles may show: the largest of those that can be seen decides."""
    seen = [each.track for each in shown if each.track.visible] or [each.track for each in shown]
    width = None if any(track.width is None for track in seen) else max(track.width or 0 for track in seen)
    return TrackWish(
        stream=stream, width=width, visible=any(each.track.visible for each in shown),
        audio=any(each.track.audio for each in shown), grants=[list(each.granted.keys) for each in shown],
    )  # fmt: skip
