"""Who may have which track of a page's one connection: the rules of WHEP, and what each grant hangs on."""

from dataclasses import dataclass

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
