"""A page's one connection, renegotiated over /ws: a real api, relays, a real RTSP camera, a client that decrypts."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiortc.mediastreams import VideoStreamTrack

from hub.services.media_grants import Granted, grant
from hub.services.placing import drains
from signaling import wire
from signaling.transport.ws import Closed, HubSocket
from tests.integration.live_rig import until
from tests.integration.subscriber_kit import LightSubscriber, sections
from tests.integration.test_conference_media import PATIENCE, Rig, RunningRelay, _viewers, rig
from tests.integration.test_whep import client

__all__ = ["rig"]  # the fixture


@dataclass
class Page:
    """A page of a browser: its socket, its connection, what it was told."""

    ws: HubSocket
    viewer: LightSubscriber = field(default_factory=LightSubscriber)
    session: str | None = None
    offers: list[wire.MediaOffer] = field(default_factory=list)
    states: dict[str, wire.MediaTrack] = field(default_factory=dict)
    told: list[tuple[str, str, str | None]] = field(default_factory=list)  # key, state, error: all of it
    conferences: list[wire.ConferenceState] = field(default_factory=list)
    ended: list[wire.MediaEnded] = field(default_factory=list)
    failed: list[wire.Failed] = field(default_factory=list)
    old: list[LightSubscriber] = field(default_factory=list)
    connecting: list["asyncio.Task[None]"] = field(default_factory=list)

    async def want(self, *tracks: wire.WantedTrack, **options: Any) -> None:
        await self.ws.send(wire.MediaSubscribe(tracks=tracks, **options))

    async def read(self) -> None:
        """Answer what is offered, for as long as the socket is open."""
        while True:
            match await self.ws.receive():
                case wire.MediaOffer() as offer:
                    await self._offered(offer)
                case wire.MediaTrack() as track:
                    self.states[track.key] = track
                    self.told.append((track.key, track.state, track.error))
                case wire.ConferenceState() as conference:
                    self.conferences.append(conference)
                case wire.MediaEnded() as ended:
                    self.ended.append(ended)
                case wire.Failed() as failed:
                    self.failed.append(failed)

    async def _offered(self, offer: wire.MediaOffer) -> None:
        if offer.session != self.session and self.session is not None:
            self.old.append(self.viewer)
            self.viewer = LightSubscriber()
        fresh, self.session = offer.session != self.session, offer.session
        self.offers.append(offer)
        sdp = self.viewer.answer_to(offer.sdp)
        await self.ws.send(wire.MediaAnswer(session=offer.session, revision=offer.revision, sdp=sdp))
        if fresh:
            self.viewer._connected = True
            self.connecting.append(asyncio.create_task(self.viewer.connect(offer.sdp)))  # offers go on to come

    def ssrc(self, key: str) -> int:
        mid = next(track.mid for track in self.offers[-1].tracks if track.key == key)
        return next(section.ssrcs[0] for section in sections(self.offers[-1].sdp) if section.mid == mid)

    def packets(self, key: str) -> int:
        """What came of a wanted track under the newest offer."""
        if not self.offers or all(track.key != key for track in self.offers[-1].tracks):
            return 0
        heard = self.viewer.heard.get(self.ssrc(key))
        return 0 if heard is None else heard.packets

    async def flows(self, *keys: str, more: int = 5) -> None:
        before = {key: self.packets(key) for key in keys}
        await until(lambda: all(self.packets(key) >= before[key] + more for key in keys), seconds=PATIENCE)

    async def said(self, key: str, state: str, error: str | None = None) -> None:
        def is_so() -> bool:
            return key in self.states and (self.states[key].state, self.states[key].error) == (state, error)

        try:
            await until(is_so, seconds=PATIENCE)
        except TimeoutError:
            raise AssertionError(f"{key} is not {state} {error}; told: {self.told}, {self.failed}") from None

    async def close(self) -> None:
        for task in self.connecting:
            task.cancel()
        await asyncio.gather(*self.connecting, return_exceptions=True)
        for viewer in (self.viewer, *self.old):
            if viewer._connected:
                await viewer.close()


@contextlib.asynccontextmanager
async def page(rig: Rig, username: str, viewer: LightSubscriber | None = None, **given: Any) -> AsyncIterator[Page]:
    async with await rig.hub.socket(username, **given) as ws:
        opened = Page(ws)
        if viewer is not None:
            opened.viewer = viewer
        reading = asyncio.create_task(opened.read())
        try:
            yield opened
        finally:
            reading.cancel()
            (how,) = await asyncio.gather(reading, return_exceptions=True)
            assert isinstance(how, asyncio.CancelledError | Closed), how
            if viewer is None:
                await opened.close()


def camera(key: str, id: str, **given: Any) -> wire.WantedTrack:
    return wire.WantedTrack(key=key, camera=id, **given)


async def test_a_page_gets_its_cameras_over_one_connection_and_each_view_is_recorded(rig: Rig) -> None:
    relay = await rig.relay()
    gate, bridge = await rig.camera("gate"), await rig.camera("bridge")
    async with page(rig, "commander") as wall:
        await wall.want(camera("1", gate), camera("2", bridge), camera("3", gate, width=200))
        await wall.flows("1", "2")
        assert len({track.mid for track in wall.offers[-1].tracks}) == 2  # the same picture is sent once
        assert {track.key for track in wall.offers[-1].tracks} == {"1", "2", "3"}
        for key in ("1", "2", "3"):
            await wall.said(key, "live")
        assert (await rig.streams(relay))[gate].viewers == 1
        offers = len(wall.offers)
        await wall.want(camera("1", gate, visible=False), camera("2", bridge, width=320))
        await until(lambda: _viewers(rig, relay, gate, 0))
        await wall.flows("2")
        assert len(wall.offers) == offers
        await wall.want(camera("2", bridge))
        await until(lambda: len(wall.offers) > offers, seconds=PATIENCE)
        await wall.flows("2")
    viewed = [kind for kind, _ in await rig.hub.log() if kind == "camera.viewed"]
    await until(lambda: _counted(rig, "camera.viewed", 3))
    assert len(viewed) <= 3


async def _counted(rig: Rig, kind: str, count: int) -> bool:
    return [found for found, _ in await rig.hub.log()].count(kind) == count


async def test_a_page_that_let_its_connection_go_gets_another_one_with_its_next_wish(rig: Rig) -> None:
    await rig.relay()
    gate = await rig.camera("gate")
    async with page(rig, "commander") as p:
        await p.want(wire.WantedTrack(key="a", camera=gate))
        await p.flows("a")
        first = p.session
        await p.want()  # as a browser does between two of its pages: the connection is closed on its side
        await p.want(wire.WantedTrack(key="b", camera=gate))
        await until(lambda: p.session != first, seconds=PATIENCE)
        await p.flows("b")


async def test_a_page_may_change_its_mind_while_its_wish_is_brought_about(rig: Rig) -> None:
    await rig.relay()
    cameras = [await rig.camera("gate") for _ in range(4)]
    async with page(rig, "commander") as p:
        tracks = [wire.WantedTrack(key=str(n), camera=camera) for n, camera in enumerate(cameras)]
        for n in range(12):
            await p.want(*tracks[n % 4 :])
            await asyncio.sleep(0.004 * n)
        await p.want(tracks[0])
        await p.said("0", "live")
        await p.flows("0")
        assert p.failed == []


async def test_a_small_tile_has_the_camera_s_sub_stream_opened_and_no_answer_tells_its_address(rig: Rig) -> None:
    await rig.relay()
    main, small = (f"rtsp://user:secret@127.0.0.1:{rig.cameras.port}/{path}" for path in ("gate", "bridge"))
    body = {"name": "two streams", "url": main, "sub_url": small, "unit": "city"}
    added = await rig.hub.call("sysadmin", "POST", "/api/v1/cameras", 201, json=body)
    assert all(word not in str(added) for word in ("secret", "bridge"))
    refused = {**body, "sub_url": "file:///etc/passwd"}
    answer = await rig.hub.call("sysadmin", "POST", "/api/v1/cameras", 422, json=refused)
    assert answer["error"]["field"] == "sub_url", answer
    id, plays = added["id"], rig.cameras.cameras["bridge"].plays
    async with page(rig, "commander") as wall:
        await wall.want(camera("1", id, width=1_280))
        await wall.flows("1")
        assert rig.cameras.cameras["bridge"].plays == plays
        await wall.want(camera("1", id, width=200))
        await until(lambda: rig.cameras.cameras["bridge"].plays == plays + 1, seconds=PATIENCE)
        await wall.flows("1")


async def test_a_sub_stream_that_is_named_later_reaches_who_watches_already_and_so_does_another_address(
    rig: Rig,
) -> None:
    await rig.relay()
    films, at = rig.cameras.cameras, f"rtsp://user:secret@127.0.0.1:{rig.cameras.port}"
    id, before = await rig.camera("gate"), films["bridge"].plays
    async with page(rig, "commander") as wall:
        await wall.want(camera("1", id, width=200))
        await wall.flows("1")
        changed = await rig.hub.call(
            "sysadmin", "PATCH", f"/api/v1/cameras/{id}", 200, json={"sub_url": f"{at}/bridge"}
        )
        assert (changed["sub_stream"], "secret" in str(changed)) == (True, False)
        await until(lambda: films["bridge"].plays == before + 1, seconds=PATIENCE)
        await wall.flows("1")
        await rig.hub.call("sysadmin", "PATCH", f"/api/v1/cameras/{id}", 200, json={"sub_url": None})
        await until(lambda: films["bridge"].playing == 0, seconds=PATIENCE)
        await wall.flows("1")
        await rig.hub.call("sysadmin", "PATCH", f"/api/v1/cameras/{id}", 200, json={"url": f"{at}/bridge"})
        await until(lambda: films["bridge"].plays == before + 2, seconds=PATIENCE)
        await wall.flows("1")


async def test_a_camera_that_goes_to_a_unit_out_of_reach_is_seen_no_more(rig: Rig) -> None:
    await rig.relay()
    id = await rig.camera("gate", unit="town-a")
    async with page(rig, "town-commander") as wall:
        await wall.want(camera("1", id))
        await wall.flows("1")
        await rig.hub.call("sysadmin", "PATCH", f"/api/v1/cameras/{id}", 200, json={"unit": "dept-water"})
        await wall.said("1", "ended", "camera.unknown")


async def test_what_is_out_of_reach_is_refused_by_name_and_the_rest_plays(rig: Rig) -> None:
    await rig.relay()
    mine, other = await rig.camera("gate", unit="dept-water"), await rig.camera("bridge", unit="town-a")
    conference = await rig.hub.open_conference("dept-water")
    async with page(rig, "water") as wall:
        await wall.want(
            camera("mine", mine), camera("other", other), camera("none", "cam-unknown"),
            wire.WantedTrack(key="stage", conference=conference["id"]),
            wire.WantedTrack(key="stranger", conference="conf-unknown", member="mem-unknown"),
        )  # fmt: skip
        await wall.said("other", "refused", "camera.unknown")
        await wall.said("none", "refused", "camera.unknown")
        await wall.said("stranger", "refused", "conference.unknown")
        assert (await _told(wall, "stage")).state in ("waiting", "refused")
        if await _allowed(rig, "water"):
            await wall.flows("mine")
        assert {track.key for offer in wall.offers for track in offer.tracks} <= {"mine"}


async def test_what_is_refused_is_said_though_no_relay_is_there_for_the_rest(rig: Rig) -> None:
    """A relay that is slow, or none, is no reason to leave a page in the dark about what it may not see."""
    gate = await rig.camera("gate")
    async with page(rig, "commander") as wall:
        await wall.want(camera("gate", gate), camera("none", "cam-unknown"))
        await wall.said("none", "refused", "camera.unknown")
        await until(lambda: [failed.error for failed in wall.failed] == ["relay.none"])
        assert "gate" not in wall.states


async def _told(wall: Page, key: str) -> wire.MediaTrack:
    await until(lambda: key in wall.states)
    return wall.states[key]


async def _allowed(rig: Rig, username: str) -> bool:
    me = await rig.hub.call(username, "GET", "/api/v1/sessions/current", 200)
    return "camera.watch" in me.get("rights", me.get("user", {}).get("rights", []))


async def test_a_right_that_ends_takes_its_track_within_two_seconds_and_no_other(rig: Rig) -> None:
    relay = await rig.relay()
    gate, bridge = await rig.camera("gate"), await rig.camera("bridge")
    async with page(rig, "commander") as wall:
        await wall.want(camera("1", gate), camera("2", bridge))
        await wall.flows("1", "2")
        begun = time.monotonic()
        await rig.hub.call("sysadmin", "DELETE", f"/api/v1/cameras/{gate}", 204)

        await wall.said("1", "ended", "camera.unknown")
        await until(lambda: _forgotten(rig, relay, gate), seconds=PATIENCE)  # the page may be told first
        assert time.monotonic() - begun < 2.0
        await wall.flows("2", more=10)
        assert wall.ended == []


async def _forgotten(rig: Rig, relay: RunningRelay, camera: str) -> bool:
    return camera not in await rig.streams(relay)


async def test_signing_out_ends_the_whole_connection(rig: Rig) -> None:
    relay = await rig.relay()
    gate = await rig.camera("gate")
    async with page(rig, "commander") as wall:
        await wall.want(camera("1", gate))
        await wall.flows("1")
        await rig.hub.call("commander", "DELETE", "/api/v1/sessions/current", 204)
        await until(lambda: _viewers(rig, relay, gate, 0), seconds=2.0)


async def test_a_socket_that_is_lost_costs_no_picture_and_the_page_goes_on_with_its_connection(rig: Rig) -> None:
    await rig.relay()
    gate, bridge = await rig.camera("gate"), await rig.camera("bridge")
    async with page(rig, "commander") as wall:
        await wall.want(camera("1", gate))
        await wall.flows("1")
        await wall.ws.__aexit__(None, None, None)
        await wall.flows("1", more=10)
        async with page(rig, "commander", wall.viewer) as again:
            again.session, again.offers = wall.session, list(wall.offers)
            await again.want(camera("1", gate), camera("2", bridge), session=wall.session)
            await again.flows("1", "2")
            assert {offer.session for offer in again.offers} == {wall.session}
        async with page(rig, "sysadmin") as thief:  # of another sign-in: not theirs to go on with
            await thief.want(session=wall.session)
            await wall.flows("1")


async def test_a_killed_relay_is_left_for_another_when_the_page_hears_nothing(rig: Rig) -> None:
    one = await rig.relay()
    gate = await rig.camera("gate")
    async with page(rig, "commander") as wall:
        await wall.want(camera("1", gate))
        await wall.flows("1")
        await rig.relay()
        await one.crash()
        begun = time.monotonic()
        await wall.ws.send(wire.MediaRestart())
        await until(lambda: len({offer.session for offer in wall.offers}) == 2, seconds=PATIENCE)
        await wall.flows("1")
        assert time.monotonic() - begun < 3.0


async def test_ice_begins_anew_by_a_message_of_the_page(rig: Rig) -> None:
    await rig.relay()
    gate = await rig.camera("gate")
    async with page(rig, "commander") as wall:
        await wall.want(camera("1", gate))
        await wall.flows("1")
        await wall.ws.send(wire.MediaRestart())
        await until(lambda: len(wall.offers) == 2, seconds=PATIENCE)
        fragments = [line for offer in wall.offers for line in offer.sdp.split("\r\n") if "ice-ufrag" in line]
        assert len(set(fragments)) == 2
        await wall.flows("1", more=10)


async def test_the_stage_and_a_member_follow_the_conference_under_their_keys(rig: Rig) -> None:
    await rig.relay()
    gate, bridge = await rig.camera("gate", unit="town-a"), await rig.camera("bridge", unit="town-a")
    async with contextlib.AsyncExitStack() as stack:
        host = await stack.enter_async_context(page(rig, "commander"))
        water = await stack.enter_async_context(page(rig, "water"))
        conference = (await rig.hub.open_conference("dept-water"))["id"]
        await until(lambda: _rung(rig, conference))
        await water.ws.send(wire.CallAnswer(conference=conference, accept=True))
        await until(lambda: _answered(rig, conference))
        seen = await rig.hub.call("commander", "GET", f"/api/v1/conferences/{conference}", 200)
        member = next(x["id"] for x in seen["members"] if x["unit"] == "dept-water")
        await host.want(wire.WantedTrack(key="water", conference=conference, member=member, audio=True))
        await water.want(wire.WantedTrack(key="stage", conference=conference))
        await host.said("water", "waiting", "conference.not_publishing")
        await water.said("stage", "waiting", "conference.stage_empty")
        for each in (gate, bridge):
            await host.ws.send(wire.ConferenceStage(conference=conference, camera=each))
            await until(lambda: bool(water.offers) and water.packets("stage") > 0, seconds=PATIENCE)
            await water.flows("stage")
        source = await stack.enter_async_context(client())
        source.addTrack(VideoStreamTrack())
        await rig.post("water", f"/whip/conferences/{conference}", source)
        await host.flows("water")
        await host.ws.send(wire.ConferenceEnd(conference=conference))
        await water.said("stage", "ended", "conference.ended")
        await host.said("water", "ended", "conference.ended")


async def _rung(rig: Rig, conference: str) -> bool:
    seen = await rig.hub.call("commander", "GET", f"/api/v1/conferences/{conference}", 200)
    return bool(seen["members"])


async def _answered(rig: Rig, conference: str) -> bool:
    seen = await rig.hub.call("commander", "GET", f"/api/v1/conferences/{conference}", 200)
    return any(x["unit"] == "dept-water" and x["state"] in ("answered", "joined") for x in seen["members"])


async def test_hostile_messages_are_answered_by_name_and_end_nothing(rig: Rig) -> None:
    await rig.relay()
    gate = await rig.camera("gate")
    async with page(rig, "commander") as wall:
        await wall.want(camera("1", gate))
        await wall.flows("1")
        session = wall.session or ""
        await wall.ws.send(wire.MediaAnswer(session=session, revision=77, sdp="v=0"))
        await wall.ws.send(wire.MediaAnswer(session="ses-of-others", revision=1, sdp="v=0"))
        await wall.ws.send_raw('{"type":"media.subscribe","tracks":[{"key":"x"}]}')
        await wall.ws.send_raw('{"type":"media.subscribe","tracks":[{"key":"x","camera":"a","conference":"b"}]}')
        await until(lambda: len(wall.failed) >= 2)
        assert {failed.error for failed in wall.failed} == {"ws.not_understood"}
        await wall.flows("1", more=10)


async def test_what_changes_while_a_picture_is_being_authorised_is_not_overlooked(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.relay()
    gate = await rig.camera("gate", unit="city")
    conference = (await rig.hub.open_conference("dept-water"))["id"]
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(*given: Any, **named: Any) -> Granted:
        try:
            return await grant(*given, **named)
        finally:  # the answer is there, and is held back while the world moves on
            asked.set()
            await go_on.wait()

    monkeypatch.setattr("hub.services.subscriptions.grant", slowly)
    async with page(rig, "commander") as host:
        await host.want(wire.WantedTrack(key="stage", conference=conference))
        await asked.wait()
        await host.ws.send(wire.ConferenceStage(conference=conference, camera=gate))
        await until(lambda: gate in [each.conference["stage"] for each in host.conferences], seconds=PATIENCE)
        go_on.set()
        await until(lambda: bool(host.offers), seconds=PATIENCE)
        await host.flows("stage")


async def test_a_grant_that_is_withdrawn_while_it_is_being_looked_at_shows_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.relay()
    gate = await rig.camera("gate", unit="city")
    conference = (await rig.hub.open_conference("dept-water", camera=gate))["id"]
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(*given: Any, **named: Any) -> Granted:
        granted = await grant(*given, **named)
        asked.set()
        await go_on.wait()
        return granted

    monkeypatch.setattr("hub.services.subscriptions.grant", slowly)
    async with page(rig, "commander") as host:
        await host.want(wire.WantedTrack(key="stage", conference=conference))
        await asked.wait()
        await host.ws.send(wire.ConferenceStage(conference=conference, camera=None))
        await until(lambda: None in [each.conference["stage"] for each in host.conferences], seconds=PATIENCE)
        go_on.set()
        await host.said("stage", "waiting", "conference.stage_empty")
        assert host.offers == []


async def test_a_drained_relays_page_is_offered_another_connection_and_the_old_one_goes_on_until_then(rig: Rig) -> None:
    one = await rig.relay()
    gate, bridge = await rig.camera("gate"), await rig.camera("bridge")
    async with page(rig, "commander") as wall:
        await wall.want(camera("1", gate, width=320), camera("2", bridge, visible=False))
        await wall.flows("1")
        two = await rig.relay()
        live = rig.hub.apis[0].live
        await live.relays.drain(one.node.url, draining=True)
        await until(lambda: _drains(rig, one.node.id), seconds=PATIENCE)
        assert await live.media.move_off(one.node.id, "drain") == 1
        await until(lambda: bool(wall.old) or bool(wall.failed), seconds=PATIENCE)
        assert wall.failed == []
        (old,) = wall.old
        before = sum(heard.packets for heard in old.heard.values())
        await wall.flows("1")
        await until(lambda: sum(heard.packets for heard in old.heard.values()) > before + 10)  # no black picture
        assert (await rig.streams(two))[gate].viewers == 1
        assert (await rig.streams(two))[bridge].viewers == 0  # hidden before, hidden there
        await wall.want(camera("1", gate, width=320), camera("2", bridge))
        await wall.flows("1", "2")
        assert wall.ended == []


async def _drains(rig: Rig, relay: str) -> bool:
    return any(node.id == relay and drains(node) for node in await rig.hub.apis[0].live.placements.relays_alive())


async def test_a_lost_relays_page_is_offered_another_connection_without_a_word_of_its_own(rig: Rig) -> None:
    one = await rig.relay()
    gate = await rig.camera("gate")
    async with page(rig, "commander") as wall:
        await wall.want(camera("1", gate))
        await wall.flows("1")
        two = await rig.relay()
        await one.crash()
        await until(lambda: len({offer.session for offer in wall.offers}) == 2, seconds=PATIENCE)
        await wall.flows("1")
        assert (await rig.streams(two))[gate].viewers == 1
