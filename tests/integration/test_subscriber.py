"""One connection with many tracks: only what was asked for, under sections used again, whatever a client answers."""

import asyncio
from collections.abc import Sequence

import pytest
from aiortc import RTCSessionDescription

from hub.domain.clock import system_clock
from hub.domain.errors import Conflict, HubError, Invalid, NotFound, TooMany
from hub.media.peer.session import State
from hub.media.peer.subscriber import Wish
from hub.media.rtp.track import Packet
from hub.media.rtp.unit import AccessUnit
from hub.media.stream import Stream
from tests.integration.media_kit import feeding
from tests.integration.subscriber_kit import PATIENCE, camera, rolling, sections, subscribing
from tests.integration.test_whep import client, first_track, serving


async def test_thirty_tracks_come_over_one_connection_and_none_under_the_number_of_another() -> None:
    streams = [camera(f"cam-{n}") for n in range(30)]
    async with serving() as server, rolling(*streams):
        async with subscribing(server, *(Wish(stream) for stream in streams)) as (session, viewer):
            await viewer.until_seen(*(stream.id for stream in streams), more=3)
            assert len(server.sessions) == 1
            assert len(server._directory.paths) == 1
            assert len(viewer.offers) == 1
            assert viewer.strangers() == []
            assert set(server.track_states(session).values()) == {"live"}
        assert server.counters["protect_failed"] == server.counters["internal_errors"] == 0


async def test_tracks_that_come_and_go_a_hundred_times_leave_nothing_and_use_sections_again() -> None:
    stays, others = camera("cam-s"), [camera(f"cam-{n}") for n in range(4)]
    async with serving() as server, rolling(stays, *others):
        async with subscribing(server, Wish(stays)) as (session, viewer):
            for n in range(100):
                other = others[n % 4]
                await viewer.take(server, session, server.wish(session, [Wish(stays), Wish(other)]))
                if n % 10 == 0:
                    await viewer.until_seen(other.id, stays.id)
                await viewer.take(server, session, server.wish(session, [Wish(stays)]))
            await viewer.until_seen(stays.id)
            assert [section.mid for section in sections(viewer.offers[-1].sdp)] == ["0", "1"]
            numbers = [ssrc for offer in viewer.offers for section in sections(offer.sdp)[1:] for ssrc in section.ssrcs]
            assert len(numbers) == len(set(numbers)) == 200
            assert viewer.strangers() == []
            assert [stream.viewers for stream in others] == [0, 0, 0, 0]
            assert len(server._viewers) == 1
            assert len(server.sessions[0].seats) == 1
        gone = server.sessions[0].gone if server.sessions else None
        async with asyncio.timeout(PATIENCE):
            assert gone is None or await gone.wait()
        assert server._viewers == {}
        assert stays.viewers == 0
        assert all(not listeners for listeners in stays._listeners.values())


async def test_a_track_that_comes_back_is_decrypted_anew_after_its_numbers_rolled_over() -> None:
    """A client that stopped receiving an SSRC has forgotten its rollovers: the track needs another one."""
    stream, other = camera("cam-1"), camera("cam-2")
    async with (
        serving() as server,
        rolling(stream, other),
        subscribing(server, Wish(stream), Wish(other)) as (session, viewer),
    ):
        await viewer.until_seen(stream.id)
        first = viewer.tracks()[stream.id]
        await viewer.take(server, session, server.wish(session, [Wish(other)]))
        await viewer.take(server, session, server.wish(session, [Wish(other), Wish(stream)]))
        await viewer.until_seen(stream.id, other.id)
        assert viewer.tracks()[stream.id] != first


async def test_a_hidden_track_costs_nothing_keeps_no_camera_open_and_comes_back() -> None:
    seen, hidden = camera("cam-1"), camera("cam-2")
    async with (
        serving() as server,
        rolling(seen, hidden),
        subscribing(server, Wish(seen), Wish(hidden)) as (session, viewer),
    ):
        await viewer.until_seen(seen.id, hidden.id)
        assert server.wish(session, [Wish(seen), Wish(hidden, visible=False)]) is None
        await viewer.until_seen(seen.id, more=2)
        before = viewer.count(hidden.id)
        await viewer.until_seen(seen.id, more=10)
        assert viewer.count(hidden.id) == before
        assert hidden.viewers == 0
        assert server.wish(session, [Wish(seen, width=200), Wish(hidden)]) is None
        await viewer.until_seen(hidden.id, more=3)
        assert hidden.viewers == 1
        assert len(viewer.offers) == 1


async def test_hostile_answers_are_refused_by_name_and_cost_nobody_a_picture() -> None:
    first, second = camera("cam-1"), camera("cam-2")
    async with serving() as server, rolling(first, second), subscribing(server, Wish(first)) as (session, viewer):
        offered = server.wish(session, [Wish(first), Wish(second)])
        assert offered is not None
        good = viewer.answer_to(offered.sdp)
        wrong = {
            "mids": good.replace("a=mid:1", "a=mid:7"),
            "too few": "\r\nm=".join(good.split("\r\nm=")[:2]) + "\r\n",
            "too many": good + good[good.index("m=") :],
            "a megabyte": good + "a=x\r\n" * 200_000,
            "one long line": good + "a=" + "x" * 100_000,
            "another certificate": viewer.answer_to(offered.sdp, fingerprint=":".join(["AA"] * 32)),
            "another fragment": viewer.answer_to(offered.sdp, ufrag="stranger"),
            "passive": good.replace("a=setup:active", "a=setup:passive"),
            "no transport": good.replace("a=ice-ufrag", "a=x"),
            "rubbish": "\0\1\2",
            "empty": "",
        }
        for what, sdp in wrong.items():
            with pytest.raises(Invalid) as refused:
                server.answer(session, offered.revision, sdp)
            assert refused.value.id == "sdp.invalid", what
        for revision in (0, -1, offered.revision - 1, offered.revision + 1, 2**60):
            with pytest.raises(Conflict) as late:
                server.answer(session, revision, good)
            assert late.value.id == "media.revision"
        assert second.id not in {stream for seat in server.sessions[0].seats.values() for stream in [seat.stream.id]}
        await viewer.until_seen(first.id)
        await viewer.take(server, session, offered)
        await viewer.until_seen(first.id, second.id)
        assert server.counters["internal_errors"] == 0


async def test_a_section_that_the_client_refuses_is_said_and_the_others_play() -> None:
    first, second = camera("cam-1"), camera("cam-2")
    async with serving() as server, rolling(first, second), subscribing(server, Wish(first)) as (session, viewer):
        offered = server.wish(session, [Wish(first), Wish(second)])
        assert offered is not None
        viewer.offers.append(offered)
        answer = viewer.answer_to(offered.sdp, refuse=frozenset({"1"}))
        assert server.answer(session, offered.revision, answer) is None
        assert server.track_states(session) == {first.id: "live", second.id: "refused"}
        await viewer.until_seen(first.id, more=3)
        assert viewer.count(second.id) == 0
        await viewer.take(server, session, server.wish(session, [Wish(first)]))
        await viewer.take(server, session, server.wish(session, [Wish(first), Wish(second)]))
        await viewer.until_seen(second.id)  # on a section of its own: the refused one is not used again
        assert [section.mid for section in sections(viewer.offers[-1].sdp) if section.active] == ["0", "2"]


async def test_wishes_that_change_while_an_offer_is_out_are_offered_after_its_answer() -> None:
    streams = [camera(f"cam-{n}") for n in range(3)]
    async with serving() as server, rolling(*streams), subscribing(server, Wish(streams[0])) as (session, viewer):
        offered = server.wish(session, [Wish(streams[0]), Wish(streams[1])])
        assert server.wish(session, [Wish(streams[0]), Wish(streams[2])]) is None
        await viewer.take(server, session, offered)
        assert {stream for _, stream, _ in viewer.offers[-1].tracks} == {"cam-0", "cam-2"}
        await viewer.until_seen("cam-0", "cam-2")
        assert streams[1].viewers == 0
        assert viewer.strangers() == []


async def test_ice_begins_anew_without_a_break() -> None:
    stream = camera("cam-1")
    async with serving() as server, rolling(stream), subscribing(server, Wish(stream)) as (session, viewer):
        await viewer.until_seen(stream.id)
        before = server.sessions[0].ice.local
        offered = server.restart(session)
        assert offered is not None
        viewer.offers.append(offered)
        viewer._ufrag = "fragment2"
        assert server.answer(session, offered.revision, viewer.answer_to(offered.sdp)) is None
        await viewer.until_seen(stream.id, more=3)  # on the old path, until the new one is checked
        viewer.aim(offered.sdp)
        viewer._answered.clear()
        viewer._tasks.append(asyncio.create_task(viewer._checks()))
        async with asyncio.timeout(PATIENCE):
            await viewer._answered.wait()
        await viewer.until_seen(stream.id, more=3)
        assert server.sessions[0].ice.local != before
        assert server.sessions[0].ice.before is None
        assert server.counters["ice_restarts"] == 1


async def test_a_stream_that_ends_takes_its_track_along_and_the_client_is_told() -> None:
    first, second = camera("cam-1"), camera("cam-2")
    told: asyncio.Queue[str] = asyncio.Queue()
    async with serving() as server, rolling(first, second):
        wishes = [Wish(first), Wish(second)]
        async with subscribing(server, *wishes, on_change=told.put_nowait) as (session, viewer):
            await viewer.until_seen(first.id, second.id)
            second.end()
            assert told.get_nowait() == session
            assert server.track_states(session) == {first.id: "live", second.id: "ended"}
            await viewer.take(server, session, server.wish(session, [Wish(first)]))
            await viewer.until_seen(first.id, more=3)
            assert server.sessions[0].state is State.LIVE


async def test_a_publisher_who_comes_back_with_another_codec_is_offered_anew() -> None:
    member, other = Stream("mem-1", clock=system_clock), camera("cam-1")
    member.publisher(["h264"], lambda layer: None)
    told: asyncio.Queue[str] = asyncio.Queue()
    async with (
        serving() as server,
        rolling(other),
        subscribing(server, Wish(member), Wish(other), on_change=told.put_nowait) as (session, viewer),
    ):
        member.publisher(["vp8"], lambda layer: None)
        async with asyncio.timeout(PATIENCE):
            assert await told.get() == session
        await viewer.take(server, session, server.wish(session, [Wish(member), Wish(other)]))
        codecs = {section.mid: section.codec[1] for section in sections(viewer.offers[-1].sdp)}
        assert codecs == {"0": "VP8/90000", "1": "H264/90000"}
        await viewer.until_seen(other.id)


async def test_who_listened_to_a_sound_gets_nothing_of_the_one_that_takes_its_place() -> None:
    """It has numbers of its own, and they may not go on under those of the first."""
    stream = camera("cam-1")
    taken: list[Sequence[Packet]] = []
    async with serving() as server:
        stream.publish(AccessUnit("audio", "pcma", b"\xd5" * 160, 0, True, 0))
        viewers = server._viewers_of(stream, stream.tracks["audio"])
        viewers.packets = taken.append  # type: ignore[assignment, method-assign]  # what it is given
        stream.publish(AccessUnit("audio", "pcma", b"\xd5" * 160, 160, True, 20))
        stream.publish(AccessUnit("audio", "pcmu", b"\xff" * 160, 80_000, True, 10_000))
        assert stream.tracks["audio"].codec == "pcmu"
        assert len(taken) == 1
        server._sweep()
        assert stream._listeners["audio"] == []


async def test_more_than_a_connection_carries_is_refused_by_name() -> None:
    streams = [camera(f"cam-{n}") for n in range(65)]
    async with serving(max_sessions=1) as server:
        session = server.subscribe(owner="s-1")
        with pytest.raises(TooMany) as many:
            server.wish(session, [Wish(stream) for stream in streams])
        assert many.value.id == "media.too_many_tracks"
        with pytest.raises(TooMany) as full:
            server.subscribe(owner="s-2")
        assert full.value.id == "relay.full"
        with pytest.raises(HubError) as unknown:
            server.wish("ses-unknown", [])
        assert isinstance(unknown.value, NotFound)
        assert await server.end(session, "deleted")


async def test_an_aiortc_client_answers_and_decodes() -> None:
    stream = camera("cam-1")
    async with serving() as server, client() as pc, feeding(stream), asyncio.timeout(PATIENCE):
        track = first_track(pc, "video")
        session = server.subscribe(owner="s-1")
        offered = server.wish(session, [Wish(stream)])
        assert offered is not None
        await pc.setRemoteDescription(RTCSessionDescription(offered.sdp, "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        assert server.answer(session, offered.revision, pc.localDescription.sdp) is None
        seen = [await (await track).recv() for _ in range(10)]
        assert {(frame.width, frame.height) for frame in seen} == {(320, 240)}  # type: ignore[union-attr]
