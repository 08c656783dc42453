"""The demo's story: on the first start one small incident and one drill happen, through the real services.

Nothing here writes a row. The town's people act by the same functions as the interface, by the hub's real clock; two
departments join the conference as real WebRTC clients over WHIP. It runs beside the hub once the interface answers
and takes some seconds; what fails is logged, and the story is tried again at the next start, three times at most.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from drills.score import Sheet
from hub.demo.snapshot import snapshot
from hub.domain.conference import MemberState
from hub.domain.drill import RunState
from hub.domain.errors import HubError, Unavailable
from hub.domain.ids import CameraId, ConferenceId, IncidentId, RunId, UnitId
from hub.secrets import write_private
from hub.services import accounts, conferences, dispatch, drills, incidents, scores
from hub.services.conference_view import get_conference
from hub.services.context import Actor, Context
from hub.services.tasks import uninterrupted
from hub.store.tables_duty import IncidentRow, RunRow

T = TypeVar("T")

log: Final = structlog.get_logger(__name__)
FILE: Final = "demo-story.json"
TRIES: Final = 3
READY_S: Final = 60.0
JOIN_S: Final = 15.0
WHOLE_S: Final = 240.0
LOOK_S: Final = 0.2


class Story(BaseModel):
    """How far it came on this installation."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    tries: int = 0
    run: RunId | None = None
    done: bool = False


@dataclass(frozen=True)
class Stage:
    """What every act needs. ``pace``: seconds of a short pause between steps, so that times are not all zero."""

    ctx: Context
    people: dict[str, Actor]
    client: httpx.AsyncClient
    pace: float

    def __getitem__(self, username: str) -> Actor:
        return self.people[username]

    async def act(self, work: Coroutine[Any, Any, T]) -> T:
        """One use case, to its end even when the hub is stopped meanwhile."""
        return await uninterrupted(work)

    async def beat(self, count: float = 1.0) -> None:
        """A pause."""
        await asyncio.sleep(self.pace * count)


async def play(ctx: Context, api_url: str, *, pace: float = 0.4, patience_s: float = READY_S) -> None:
    """Play the story if this installation has not seen it. Never raises for what goes wrong in it: that is logged.

    ``api_url`` is the hub's own address, as ``http://127.0.0.1:8800``; ``patience_s`` how long to wait for it and for
    its relay and cameras, each.
    """
    path = ctx.settings.data / FILE
    story = _load(path)
    if story.done or story.tries >= TRIES:
        return
    try:
        if story.tries == 0 and not await uninterrupted(_fresh(ctx)):
            _save(path, Story(done=True))  # somebody has worked here already: this is no first start
            return
        story = story.model_copy(update={"tries": story.tries + 1})
        _save(path, story)
        async with asyncio.timeout(WHOLE_S), _stage(ctx, api_url, pace, patience_s) as stage:
            await _end_leftover(stage, story.run)
            await _small_incident(stage)
            run = await stage.act(drills.plan(ctx, stage["organiser"], scenario="flood"))
            story = story.model_copy(update={"run": run.id})
            _save(path, story)
            sheet = await _drill(stage, run.id)
            await _matter_in_hand(stage)
        _save(path, story.model_copy(update={"done": True}))
        log.info("demo.story_done", run=run.id, points=sheet.points, of=sheet.of)
    except (HubError, httpx.HTTPError, SQLAlchemyError, OSError, TimeoutError) as error:
        log.warning("demo.story_failed", error=str(error) or type(error).__name__, tries=story.tries)


# acts ---------------------------------------------------------------------------------------------


async def _small_incident(stage: Stage) -> None:
    """An everyday matter: seen, ordered, done, closed."""
    ctx, commander = stage.ctx, stage["commander"]
    matter = await stage.act(
        incidents.open_incident(ctx, commander, title="迎宾大道公交站候车人员滞留", severity="minor", camera="cam-02")
    )
    await stage.act(incidents.note(ctx, commander, matter.id, text="早高峰班次延误，站台约二十人候车，秩序正常。"))
    await _order(stage, matter.id, "traffic", "dept-traffic", "增派两班区间车疏散候车乘客，反馈现场图片。", "cam-02",
                 "区间车两班已到站，候车乘客已疏散。")  # fmt: skip
    await stage.act(incidents.close(ctx, commander, matter.id, reason="候车乘客已疏散，恢复正常。"))


async def _drill(stage: Stage, run: RunId) -> Sheet:
    """The flood drill, from start to score."""
    ctx, organiser, commander = stage.ctx, stage["organiser"], stage["commander"]
    await stage.act(drills.start(ctx, organiser, run))
    try:
        await stage.beat(2)
        matter = await stage.act(
            incidents.open_incident(
                ctx, commander, title="东风水库水位超警戒（演练）", severity="critical", camera="cam-03", run=run
            )
        )
        await stage.beat()
        await _conference(stage, matter.id)
        await _order(stage, matter.id, "water", "dept-water", "开启青龙闸预泄，加密水位巡查，反馈闸口图片。", "cam-03",
                     "青龙闸已开启两孔，水位开始回落。")  # fmt: skip
        await _order(stage, matter.id, "emergency", "dept-emergency", "封闭建设路下穿通道并布设排涝泵，反馈现场图片。",
                     "cam-11", "通道已封闭，两台排涝泵已到位。", first_try="通道已封闭。")  # fmt: skip
        await stage.act(incidents.close(ctx, commander, matter.id, reason="水位回落，险情解除，演练科目完成。"))
        await stage.beat()
    finally:
        await stage.act(drills.end(ctx, organiser, run, reason="演示脚本结束"))
    return await stage.act(scores.score_run(ctx, run, organiser))


async def _conference(stage: Stage, incident: IncidentId) -> None:
    """Two departments are called, answer, join with real media, and see a camera on the stage."""
    ctx, commander = stage.ctx, stage["commander"]
    called = {"dept-water": "water", "dept-emergency": "emergency"}
    opened = await stage.act(
        conferences.open_conference(
            ctx, commander, title="东风水库防汛会商（演练）", units=list(called), incident=incident
        )
    )
    for username in called.values():
        await stage.act(conferences.ringing(ctx, stage[username], opened.id))
        await stage.beat(2)
        await stage.act(conferences.answer(ctx, stage[username], opened.id, accept=True))
    async with contextlib.AsyncExitStack() as media:
        await _join(stage, media, opened.id, list(called.values()))
        await stage.act(conferences.stage(ctx, commander, opened.id, "cam-03"))
        await stage.beat(4)
    await stage.act(conferences.end(ctx, commander, opened.id))


async def _join(
    stage: Stage, media: contextlib.AsyncExitStack, conference: ConferenceId, people: Sequence[str]
) -> None:
    """Join by WHIP. Where no relay can be had the story goes on, and the score says that joining was not exercised."""
    from hub.demo.publisher import publishing  # aiortc takes a while to load, and only the first start needs it

    try:
        for place, username in enumerate(people):
            token = await media.enter_async_context(_signed_in(stage, username))
            await media.enter_async_context(publishing(stage.client, token, conference, hue=40 + 50 * place))
        for _ in range(int(JOIN_S / LOOK_S)):
            if await _all_joined(stage, conference):
                return
            await asyncio.sleep(LOOK_S)
        log.warning("demo.story_without_media", error="no media in time")
    except (httpx.HTTPError, HubError, OSError, TimeoutError) as error:
        log.warning("demo.story_without_media", error=str(error) or type(error).__name__)


async def _matter_in_hand(stage: Stage) -> None:
    """Something open, so that no page is empty: signed for, to be answered within a day."""
    ctx, commander, receiver = stage.ctx, stage["commander"], stage["urban"]
    matter = await stage.act(
        incidents.open_incident(ctx, commander, title="夜市街区摊位占道", severity="minor", camera="cam-12")
    )
    order = await stage.act(
        dispatch.issue(
            ctx, commander, incident=matter.id, unit="dept-urban", text="到场疏导占道摊位，恢复通行，反馈现场图片。",
            sign_within_s=3_600, feedback_within_s=86_400,
        )
    )  # fmt: skip
    await stage.act(dispatch.mark_delivered(ctx, receiver, order.id))
    await stage.beat()
    await stage.act(dispatch.sign(ctx, receiver, order.id))


async def _all_joined(stage: Stage, conference: ConferenceId) -> bool:
    members = (await stage.act(get_conference(stage.ctx, stage["commander"], conference))).members
    return all(member.state == MemberState.JOINED for member in members if not member.host)


async def _order(
    stage: Stage,
    incident: IncidentId,
    username: str,
    unit: UnitId,
    text: str,
    camera: CameraId,
    answer: str,
    *,
    first_try: str | None = None,
) -> None:
    """An order through all its steps; ``first_try`` is an answer without a picture, which is sent back."""
    ctx, commander, receiver = stage.ctx, stage["commander"], stage[username]
    order = await stage.act(dispatch.issue(ctx, commander, incident=incident, unit=unit, text=text))
    await stage.beat()
    await stage.act(dispatch.mark_delivered(ctx, receiver, order.id))
    await stage.beat(2)
    await stage.act(dispatch.sign(ctx, receiver, order.id))
    await stage.beat(2)
    if first_try is not None:
        await stage.act(dispatch.give_feedback(ctx, receiver, order.id, text=first_try))
        await stage.beat()
        await stage.act(dispatch.review(ctx, commander, order.id, accepted=False, comment="请补充现场图片。"))
        await stage.beat(2)
    picture = await snapshot(ctx.settings.rtsp_port, camera)
    await stage.act(dispatch.give_feedback(ctx, receiver, order.id, text=answer, picture=picture))
    await stage.beat()
    await stage.act(dispatch.review(ctx, commander, order.id, accepted=True, comment="属实。"))
    await stage.act(dispatch.close(ctx, commander, order.id))


# round about --------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _stage(ctx: Context, api_url: str, pace: float, patience_s: float) -> AsyncIterator[Stage]:
    names = ("commander", "organiser", "water", "emergency", "traffic", "urban")
    people = {name: await uninterrupted(accounts.actor_named(ctx, name)) for name in names}
    async with httpx.AsyncClient(base_url=api_url, trust_env=False, timeout=10.0) as client:
        await _ready(client, patience_s)
        await _cameras_up(ctx.settings.rtsp_port, patience_s)
        yield Stage(ctx, people, client, pace)


async def _ready(client: httpx.AsyncClient, patience_s: float) -> None:
    """Wait until the interface and a relay answer; without a relay the story is told without media."""
    answered = False
    for _ in range(1 + int(patience_s / LOOK_S)):
        with contextlib.suppress(httpx.HTTPError):
            answer = await client.get("/readyz", params={"relay": "1"})
            if answer.is_success:
                return
            answered = True
        await asyncio.sleep(LOOK_S)
    if not answered:
        raise Unavailable("demo.no_api", "the interface does not answer")


async def _cameras_up(port: int, patience_s: float) -> None:
    """The very first start may still be encoding the scenes; without them the story is told without pictures."""
    for _ in range(1 + int(patience_s / LOOK_S)):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(LOOK_S)
        else:
            writer.close()
            return


@contextlib.asynccontextmanager
async def _signed_in(stage: Stage, username: str) -> AsyncIterator[str]:
    """A session of this person, for what only the interface can do; signed out afterwards."""
    opened = await stage.act(accounts.demo_sign_in(stage.ctx, username=username, address="127.0.0.1"))
    try:
        yield opened.token
    finally:
        who = await stage.act(accounts.authenticate(stage.ctx, opened.token))
        await stage.act(accounts.sign_out(stage.ctx, who))


async def _fresh(ctx: Context) -> bool:
    """Whether nothing has happened here yet."""
    async with ctx.reading() as db:
        return await db.scalar(select(RunRow.id).limit(1)) is None and (
            await db.scalar(select(IncidentRow.id).limit(1)) is None
        )


async def _end_leftover(stage: Stage, run: RunId | None) -> None:
    """A story that was cut short may have left its drill running."""
    if run is None:
        return
    left = await stage.act(drills.get_run(stage.ctx, stage["organiser"], run))
    if left.state == RunState.RUNNING:
        await stage.act(drills.end(stage.ctx, stage["organiser"], run, reason="演示脚本中断"))


def _load(path: Path) -> Story:
    try:
        return Story.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Story()
    except (OSError, ValidationError):
        log.warning("demo.story_unreadable", file=path.name)
        return Story(done=True)


def _save(path: Path, story: Story) -> None:
    write_private(path, story.model_dump_json().encode())
