"""A real browser that knows no H.265 sees a camera that sends it, and hears one that sends AAC."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from hub.bus.relay_wire import AnswerOut, OfferIn
from hub.domain.clock import system_clock
from hub.media.rtp.unit import AccessUnit
from hub.media.stream import Stream
from hub.media.transcode.conversion import Conversion
from hub.media.transcode.pool import Pool
from tests.e2e.test_relay_in_chromium import CHROMIUM, grows, page_of
from tests.integration.media_kit import feeding
from tests.integration.test_codecs import tone_film
from tests.integration.test_relay_node import relay
from tests.integration.test_sources import answering, ok
from tests.integration.test_whep import serving
from tests.unit.media.test_rendition import h265
from tests.unit.transcode.test_jobs import film, tone

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium")
PATIENCE = 60.0


def looped(units: Sequence[AccessUnit], number: int, step: int) -> AccessUnit:
    """The unit at a place of an endless loop."""
    rounds, place = divmod(number, len(units))
    return replace(units[place], pts=units[place].pts + rounds * len(units) * step, at_ms=system_clock())


@contextlib.asynccontextmanager
async def camera(pictures: Sequence[AccessUnit]) -> AsyncIterator[tuple[Stream, Pool]]:
    """Publishes pictures and a tone in real time, with a relay's transcoding behind it."""
    async with asyncio.TaskGroup() as group:
        stream, pool = Stream("cam-1", clock=system_clock, expects=("h264",)), Pool(group, most=1)
        Conversion(stream, pool, linger_s=0.0)
        sound = [AccessUnit("audio", "aac", data, pts, True, 0) for pts, data in tone(16_000, 6.4)]

        async def play(units: Sequence[AccessUnit], step: int) -> None:
            began, number = asyncio.get_running_loop().time(), 0
            while not stream.ended:
                stream.publish(looped(units, number, step))
                number += 1
                await asyncio.sleep(max(0.0, began + number * step / 90_000 - asyncio.get_running_loop().time()))

        for units, step in ((pictures, 3_600), (sound, 5_760)):
            group.create_task(play(units, step))
        yield stream, pool
        stream.end()


@pytest.mark.parametrize("coding", ["h265", "reordered"])
async def test_what_chromium_does_not_decode_is_seen_and_heard_through_the_transcoder(coding: str) -> None:
    if coding == "h265":
        pictures = h265(10)
    else:
        coded = film(b=2, frames=24)
        pictures = tuple(
            AccessUnit("video", "h264", data, pts, n == 0, 0, passes=False) for n, (pts, data) in enumerate(coded)
        )
    async with serving() as server, camera(pictures) as (stream, pool), asyncio.timeout(PATIENCE):
        while stream.codec is None or "aac" not in stream.codec:  # noqa: ASYNC110 - the first units
            await asyncio.sleep(0.02)
        async with page_of(server, stream) as page:
            await page.evaluate("watch('one', ['audio', 'video'])")
            picture = await grows(page, "one", "video", "framesDecoded", 40)
            sound = await grows(page, "one", "audio", "totalSamplesReceived", 48_000)
            assert picture["frameWidth"] in (320, 336)
            assert sound["concealedSamples"] < sound["totalSamplesReceived"] / 10
            assert sound["bytesReceived"] / sound["packetsReceived"] > 30  # a tone: silence takes three
            assert (pool.counters.active, pool.counters.sounds, pool.counters.failed) == (1, 1, 0)


async def test_the_first_chromium_at_an_idle_camera_sees_and_hears_it(tmp_path: Path) -> None:
    """At his first coming: the relay learns what the camera sends before it answers."""
    tone_of = await asyncio.to_thread(tone_film, tmp_path)
    async with answering({"/tone.ts": ok(tone_of.read_bytes())}) as port, relay(tmp_path) as rig:
        await rig.put("cam-1", url=f"http://127.0.0.1:{port}/tone.ts")

        class Doors:
            async def whep(self, stream: str, sdp: str, *, owner: str) -> AnswerOut:
                return await rig.relays.whep(rig.url, stream, OfferIn(sdp=sdp, owner=owner))

        async with asyncio.timeout(PATIENCE), page_of(cast(Any, Doors()), cast(Any, "cam-1")) as page:
            await page.evaluate("watch('one', ['audio', 'video'])")
            await grows(page, "one", "video", "framesDecoded", 20)
            sound = await grows(page, "one", "audio", "totalSamplesReceived", 48_000)
            assert sound["bytesReceived"] / sound["packetsReceived"] > 30  # a tone: silence takes three


async def test_a_sound_that_was_promised_and_never_comes_keeps_no_picture_back() -> None:
    """A camera has lost its sound since the relay last saw it."""
    stream = Stream("cam-1", clock=system_clock, expects=("h264", "pcma"))
    async with serving() as server, feeding(stream), asyncio.timeout(PATIENCE), page_of(server, stream) as page:
        await page.evaluate("watch('one', ['audio', 'video'])")
        await grows(page, "one", "video", "framesDecoded", 40)
        await page.evaluate("oneFirst")
        shown = "document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames"
        before = await page.evaluate(shown)
        while await page.evaluate(shown) < before + 20:  # noqa: ASYNC110 - what is shown, not only decoded
            await asyncio.sleep(0.1)
