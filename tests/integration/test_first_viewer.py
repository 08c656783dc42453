"""The first viewer of a camera that was idle gets what a later one gets; and what is known of a camera may be past."""

import asyncio
from pathlib import Path

import pytest

from hub.media.node import manager
from hub.media.peer import subscriber
from tests.integration.camera_kit import PATIENCE, other_film, with_sound
from tests.integration.first_viewer_kit import (
    H264,
    H265,
    OPUS,
    PCMA,
    Door,
    page,
    turn,
    watching,
    with_new_camera,
)
from tests.integration.gb_rig import URL, Manner, gb_rig
from tests.integration.live_rig import until
from tests.integration.test_codecs import figure, tone_film
from tests.integration.test_relay_node import Rig, relay
from tests.integration.test_sources import answering, ok

NEVER = 600.0  # seconds: what waits for so long has failed the test by then


def silent_film(folder: Path) -> bytes:
    return other_film(folder / "silent.ts", "libx264", 250, preset="ultrafast").read_bytes()


def telephone_film(folder: Path) -> bytes:
    """With G.711 beside the picture."""
    film = other_film(folder / "film.mp4", "libx264", 250, preset="ultrafast")
    return with_sound(film, "pcm_alaw", 8_000, hertz=400, seconds=10, to=folder / "telephone.flv").read_bytes()


async def idle(rig: Rig, stream: str) -> None:
    """By the relay's own word: what it publishes may still be of before."""

    async def is_so() -> bool:
        return any(each.stream == stream and each.state == "idle" for each in await rig.relays.streams(rig.url))

    await until(is_so, seconds=PATIENCE)


# what the first one gets ------------------------------------------------------------------------------


async def test_the_first_viewer_who_knows_h265_gets_the_cameras_own_and_nothing_is_transcoded(tmp_path: Path) -> None:
    async with with_new_camera(tmp_path) as rig:
        await rig.put("cam-1", url=rig.camera("new"))
        await idle(rig, "cam-1")
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H265}
            await viewer.until(H265)
        assert await figure(rig, "started_total") == 0
        assert rig.cameras.cameras["new"].plays == 1


async def test_the_first_viewer_who_does_not_know_it_waits_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "KNOWN_S", NEVER)
    async with with_new_camera(tmp_path) as rig, Door(rig.cameras.port).standing() as door:
        await rig.put("cam-1", url=f"rtsp://127.0.0.1:{door.port}/new")
        async with watching(rig, "cam-1", h265=False, hears=False) as viewer:
            assert viewer.promised == {H264}
            door.open.set()
            await viewer.until(H264)


@pytest.mark.parametrize(("path", "promised"), [("gate", H264), ("new", H265)])
async def test_the_answer_waits_for_the_cameras_description_and_not_for_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, promised: int
) -> None:
    """The viewer's path and keys are made while the camera gets ready to send."""
    monkeypatch.setattr(manager, "KNOWN_S", NEVER)
    async with with_new_camera(tmp_path) as rig:
        rig.cameras.cameras[path].stalled = True
        await rig.put("cam-1", url=rig.camera(path))
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {promised}
            assert viewer.by_type == {}
            rig.cameras.cameras[path].stalled = False
            await viewer.until(promised)


async def test_the_first_viewer_hears_what_the_camera_sends_as_aac(tmp_path: Path) -> None:
    film = await asyncio.to_thread(tone_film, tmp_path)
    async with answering({"/tone.ts": ok(film.read_bytes())}) as port, relay(tmp_path) as rig:
        await rig.put("cam-1", url=f"http://127.0.0.1:{port}/tone.ts")
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H264, OPUS}
            await viewer.until(H264, OPUS)


async def test_a_subscriber_is_offered_a_cold_camera_once_and_as_it_is(tmp_path: Path) -> None:
    async with with_new_camera(tmp_path) as rig, page(rig) as wall:
        await rig.put("cam-1", url=rig.camera("new"))
        await wall.want("cam-1")
        assert (wall.states["cam-1"], wall.offers) == ("waiting", [])
        await wall.told()
        await wall.want("cam-1")
        assert wall.codecs() == {("cam-1", "video"): "H265"}
        await wall.flows("cam-1")
        assert len(wall.offers) == 1
        assert await figure(rig, "started_total") == 0


async def test_a_subscriber_who_knows_no_h265_is_offered_a_cold_camera_at_once(tmp_path: Path) -> None:
    async with with_new_camera(tmp_path) as rig, page(rig, h265=False) as wall:
        await rig.put("cam-1", url=rig.camera("new"))
        await wall.want("cam-1")
        assert wall.codecs() == {("cam-1", "video"): "H264"}
        await wall.flows("cam-1")


async def test_a_subscriber_hears_a_camera_that_was_cold(tmp_path: Path) -> None:
    film = await asyncio.to_thread(tone_film, tmp_path)
    async with answering({"/tone.ts": ok(film.read_bytes())}) as port, relay(tmp_path) as rig:
        await rig.put("cam-1", url=f"http://127.0.0.1:{port}/tone.ts")
        async with page(rig, audio=True) as wall:
            await wall.want("cam-1")
            await wall.told()
            await wall.want("cam-1")
            assert wall.codecs() == {("cam-1", "video"): "H264", ("cam-1", "audio"): "opus"}
            await wall.flows("cam-1")


# sources that are slow, or never answer --------------------------------------------------------------


async def test_a_camera_that_never_answers_keeps_no_viewer_from_his_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "KNOWN_S", 0.05)
    async with with_new_camera(tmp_path) as rig, Door(rig.cameras.port).standing() as door:
        await rig.put("cam-1", url=f"rtsp://127.0.0.1:{door.port}/new")
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H264}  # what cameras usually send
            door.open.set()
            await viewer.until(H264)  # made of its H.265, as for who knows no other
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H265}
            await viewer.until(H265)


async def test_a_camera_that_refuses_keeps_no_viewer_waiting_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "KNOWN_S", NEVER)
    async with relay(tmp_path) as rig:
        await rig.put("cam-1", url=rig.camera("nowhere"))
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H264}
            await rig.until("cam-1", lambda state: state.reason == "source.not_found")


async def test_a_slow_camera_holds_up_no_other_of_the_same_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "KNOWN_MS", int(NEVER * 1_000))
    async with with_new_camera(tmp_path) as rig, Door(rig.cameras.port).standing() as door, page(rig) as wall:
        await rig.put("quick", url=rig.camera("gate"), keep_open=True)
        await rig.until("quick", lambda state: state.state == "live")
        await rig.put("slow", url=f"rtsp://127.0.0.1:{door.port}/new")
        await wall.want("slow", "quick")
        assert wall.states == {"slow": "waiting", "quick": "live"}
        assert wall.codecs() == {("quick", "video"): "H264"}
        async with asyncio.timeout(PATIENCE):
            await door.knocked.wait()  # it is being opened meanwhile
        await wall.flows("quick")
        door.open.set()
        await wall.told()
        await wall.want("slow", "quick")
        assert wall.codecs() == {("quick", "video"): "H264", ("slow", "video"): "H265"}
        await wall.flows("quick", "slow")
        assert len(wall.offers) == 2


async def test_a_subscriber_to_a_camera_that_never_answers_is_offered_what_is_usual_and_then_what_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "KNOWN_MS", 100)
    async with with_new_camera(tmp_path) as rig, Door(rig.cameras.port).standing() as door, page(rig) as wall:
        await rig.put("cam-1", url=f"rtsp://127.0.0.1:{door.port}/new")
        await wall.want("cam-1")
        await wall.told()
        await wall.want("cam-1")
        assert wall.codecs() == {("cam-1", "video"): "H264"}
        door.open.set()
        await wall.told()
        await wall.want("cam-1")
        assert wall.codecs() == {("cam-1", "video"): "H265"}
        await wall.flows("cam-1")


async def test_another_address_is_another_camera_and_is_waited_for(tmp_path: Path) -> None:
    async with with_new_camera(tmp_path) as rig:
        await rig.put("cam-1", url=rig.camera("gate"))
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H264}
        await idle(rig, "cam-1")
        await rig.put("cam-1", url=rig.camera("new"))
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H265}
            await viewer.until(H265)


# what was known is past ------------------------------------------------------------------------------


async def test_a_camera_that_has_h265_since_it_was_last_seen_is_seen_by_who_was_promised_h264(tmp_path: Path) -> None:
    async with with_new_camera(tmp_path) as rig:
        await rig.put("cam-1", url=rig.camera("gate"))
        async with watching(rig, "cam-1") as viewer:
            await viewer.until(H264)
        await idle(rig, "cam-1")
        turn(rig, "gate", tmp_path)
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H264}  # at once, by what was known
            await viewer.until(H264)
            assert await figure(rig, "started_total") == 1
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H265}
            await viewer.until(H265)


async def test_a_camera_that_has_h264_since_is_told_to_who_was_promised_h265_and_he_comes_again(tmp_path: Path) -> None:
    async with with_new_camera(tmp_path) as rig:
        await rig.put("cam-1", url=rig.camera("new"))
        async with watching(rig, "cam-1") as viewer:
            await viewer.until(H265)
        await idle(rig, "cam-1")
        turn(rig, "new", tmp_path)
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H265}
            ended = (await rig.reports(2))[1]
            assert (ended.what, ended.reason) == ("ended", "codec.changed")
            await until_closed(viewer)
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H264}
            await viewer.until(H264)


async def until_closed(viewer: object) -> None:
    """The client hears of the end by DTLS: it need not find out by itself that nothing comes."""
    dtls = viewer._dtls  # type: ignore[attr-defined]  # the tests' own client
    async with asyncio.timeout(PATIENCE):
        while dtls.state != "closed":  # noqa: ASYNC110 - aiortc's transport tells by an emitter of its own
            await asyncio.sleep(0.02)


async def test_a_camera_that_has_lost_its_sound_is_seen_and_one_that_got_another_is_heard(tmp_path: Path) -> None:
    tone = (await asyncio.to_thread(tone_film, tmp_path)).read_bytes()
    bodies = {"/cam": ok(tone)}
    async with answering(bodies) as port, relay(tmp_path) as rig:
        await rig.put("cam-1", url=f"http://127.0.0.1:{port}/cam")
        async with watching(rig, "cam-1") as viewer:
            await viewer.until(H264, OPUS)
        await idle(rig, "cam-1")
        bodies["/cam"] = ok(await asyncio.to_thread(silent_film, tmp_path))
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H264, OPUS}
            await viewer.until(H264)
            assert OPUS not in viewer.by_type
        await idle(rig, "cam-1")
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H264}
        await idle(rig, "cam-1")
        bodies["/cam"] = ok(await asyncio.to_thread(telephone_film, tmp_path))
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H264}  # by what was known: he hears it when he comes again
            await viewer.until(H264)
            async with watching(rig, "cam-1") as other:
                assert other.promised == {H264, PCMA}
                await other.until(H264, PCMA)


# while it is watched ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["new", "gate"])
async def test_a_codec_that_changes_under_a_subscriber_is_offered_anew(tmp_path: Path, path: str) -> None:
    before, after = ("H265", "H264") if path == "new" else ("H264", "H265")
    async with with_new_camera(tmp_path) as rig, page(rig) as wall:
        await rig.put("cam-1", url=rig.camera(path), keep_open=True)
        await rig.until("cam-1", lambda state: state.state == "live")
        await rig.put("other", url=rig.camera("yard"), keep_open=True)
        await rig.until("other", lambda state: state.state == "live")
        await wall.want("cam-1", "other")
        assert wall.codecs()["cam-1", "video"] == before
        await wall.flows("cam-1", "other")
        rig.cameras.unplug(path)
        turn(rig, path, tmp_path)
        await wall.told()
        await wall.want("cam-1", "other")
        assert wall.codecs() == {("cam-1", "video"): after, ("other", "video"): "H264"}
        await wall.flows("cam-1", "other")


async def test_a_sound_that_changes_while_it_is_heard_ends_the_session_and_is_heard_again(tmp_path: Path) -> None:
    tone = (await asyncio.to_thread(tone_film, tmp_path)).read_bytes()
    telephone = await asyncio.to_thread(telephone_film, tmp_path)
    bodies = {"/cam": ok(tone[: len(tone) // 20])}
    async with answering(bodies) as port, relay(tmp_path) as rig:
        await rig.put("cam-1", url=f"http://127.0.0.1:{port}/cam")
        async with watching(rig, "cam-1") as viewer, watching(rig, "cam-1", hears=False) as deaf:
            await viewer.until(H264, OPUS)
            bodies["/cam"] = ok(telephone)
            ended = (await rig.reports(1))[0]
            assert (ended.what, ended.reason) == ("ended", "codec.changed")
            await until_closed(viewer)
            await deaf.until(H264)  # for him nothing has changed
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H264, PCMA}
            await viewer.until(H264, PCMA)


async def test_a_sound_that_changes_under_a_subscriber_is_offered_anew(tmp_path: Path) -> None:
    tone = (await asyncio.to_thread(tone_film, tmp_path)).read_bytes()
    telephone = await asyncio.to_thread(telephone_film, tmp_path)
    bodies = {"/cam": ok(tone[: len(tone) // 20])}
    async with answering(bodies) as port, relay(tmp_path) as rig, page(rig, audio=True) as wall:
        await rig.put("cam-1", url=f"http://127.0.0.1:{port}/cam", keep_open=True)
        await rig.until("cam-1", lambda state: state.codec == "h264+aac")
        bodies["/cam"] = ok(telephone)
        await wall.want("cam-1")
        assert wall.codecs()["cam-1", "audio"] == "opus"
        while wall.codecs()["cam-1", "audio"] != "PCMA":  # it may be told of the sound's track before
            await wall.told()
            await wall.want("cam-1")
        await wall.flows("cam-1")


async def test_the_first_viewer_of_a_gb28181_channel_sees_its_h265_and_hears_it(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig, gb_rig() as gb:
        gb.gateway.manner = Manner(codec="h265")
        await rig.put("cam-1", url=URL, kind="gb28181", gateway=gb.gateway.url)
        async with watching(rig, "cam-1") as viewer:
            assert viewer.promised == {H265, PCMA}
            await viewer.until(H265, PCMA)
