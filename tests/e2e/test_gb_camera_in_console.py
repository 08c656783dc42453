"""A GB/T 28181 camera in a real browser: on a tile, turned, spoken to, played back; the device says what it noticed."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from hub.demo.gb_device.camera import Head
from hub.demo.gb_device.device import GbDevice
from hub.demo.gb_device.fleet import running
from hub.demo.gb_device.options import DeviceOptions
from tests.e2e.demo_hub import DemoHub
from tests.e2e.pages import decoded, until, videos_play
from tests.integration.gb_chain import views

pytestmark = pytest.mark.e2e
NUMBER: Final = 78  # none of the town's own
PASSWORD: Final = "of-the-browser-test"
LEVEL: Final = """
video => {
  if (!video || !video.videoWidth) return -1;
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [16, 9];
  const paper = canvas.getContext('2d');
  paper.drawImage(video, 0, 0, 16, 9);
  const data = paper.getImageData(0, 0, 16, 9).data;
  return data.filter((_, at) => at % 4 === 1).reduce((a, b) => a + b, 0) / 144;
}
"""


class Camera:
    """The device on a loop of its own, beside the browser's."""

    def __init__(self, options: DeviceOptions) -> None:
        self.device: GbDevice | None = None
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()), daemon=True)

    async def _run(self) -> None:
        async with running(self._options, views()) as self.device:
            await self.device.registered.wait()
            self._up.set()
            await self._over.wait()

    def start(self) -> None:
        self._thread.start()
        assert self._up.wait(30), "it did not register"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(15)

    def heard(self) -> int:
        """Packets of the talk that is up."""
        assert self.device is not None
        return sum(talk.heard.packets for talk in list(self.device.talks.values()))


@pytest.fixture
def camera(hub: DemoHub, tmp_path: Path) -> Iterator[tuple[Camera, str]]:
    """A camera of level grey views, and its id in the hub."""
    with hub.client("system_admin") as api:
        who = api.get("/gb28181").json()
        host, _, port = who["address"].rpartition(":")
        options = DeviceOptions(
            server_id=who["server_id"], domain=who["domain"], host=host, port=int(port), password=PASSWORD,
            number=NUMBER, name="浏览器试验",
        )  # fmt: skip
        api.delete(f"/devices/{options.device_id}")
        body = {"id": options.device_id, "name": "浏览器试验", "unit": "city", "password": PASSWORD}
        api.post("/devices", json=body).raise_for_status()
        camera = Camera(options)
        camera.start()
        try:
            for _ in range(200):
                found = api.get(f"/devices/{options.device_id}/channels").json()["items"]
                if found and found[0]["camera"]:
                    break
                threading.Event().wait(0.1)
            yield camera, str(found[0]["camera"])
        finally:
            api.delete(f"/devices/{options.device_id}")
            camera.stop()


def test_a_gb_camera_plays_on_a_tile_is_turned_spoken_to_and_played_back(
    open_as: Callable[..., Page], camera: tuple[Camera, str]
) -> None:
    device, _ = camera
    page = open_as("commander", "city", path="/wall")
    page.get_by_role("tree").wait_for()
    page.get_by_role("tree").get_by_text("浏览器试验-通道1").dblclick()
    tile = page.locator("[data-tile]").filter(has_text="浏览器试验").first
    videos_play(page, 1)
    video = tile.locator("video").first

    def level() -> float:
        return float(video.evaluate(LEVEL))

    until(page, "the whole scene", lambda: 4 < level() < 20)
    tile.hover()
    tile.get_by_test_id("ptz").click()
    zoom = tile.get_by_test_id("ptz-zoom-in")
    zoom.hover()
    page.mouse.down()
    until(page, "another picture after zooming in", lambda: level() > 32)
    page.mouse.up()
    assert device.device is not None
    until(page, "the head stands still", lambda: not head(device).moving)
    before = level()
    tile.get_by_test_id("ptz-right").hover()
    page.mouse.down()
    until(page, "another picture after panning", lambda: abs(level() - before) > 9)
    page.mouse.up()

    tile.hover()
    tile.get_by_test_id("talk").focus()
    page.keyboard.press("Enter")
    until(page, "the device hears the microphone", lambda: device.heard() > 50)
    tile.get_by_test_id("talk-stop").click()
    until(page, "the device is left alone", lambda: not device.device or not device.device.talks)

    tile.hover()
    tile.get_by_test_id("playback-open").click()
    dialog = page.get_by_test_id("playback")
    expect(dialog.get_by_test_id("playback-segment").first).to_be_visible(timeout=20_000)
    line = dialog.get_by_test_id("playback-timeline")
    box = dialog.get_by_test_id("playback-segment").first.bounding_box()
    bar = line.bounding_box()
    assert box is not None
    assert bar is not None
    line.click(position={"x": box["x"] - bar["x"] + box["width"] * 0.2, "y": bar["height"] / 2})
    until(page, "the recording plays", lambda: playing(device) is not None and max(decoded(page), default=0) > 10)
    line.click(position={"x": box["x"] - bar["x"] + box["width"] * 0.4, "y": bar["height"] / 2})
    until(page, "the recording goes on from there", lambda: playing(device) is not None)
    videos_play(page, 1)


def head(camera: Camera) -> Head:
    assert camera.device is not None
    return next(iter(camera.device.answers.channels.values())).head


def playing(camera: Camera) -> float | None:
    """Media time of the recording that the device sends."""
    assert camera.device is not None
    for stream in list(camera.device.streams.values()):
        if stream.offer.purpose == "playback" and stream.player is not None:
            return float(stream.player.position_s)
    return None
