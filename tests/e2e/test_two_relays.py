"""Two relays under one wall in Chromium: a drain that nobody sees, a killed relay, a conference across a drain.

Figures are printed; what is asserted has room for a machine that others use as well.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page

from tests.e2e.demo_hub import ROOT, DemoHub, children_of, demo_hub
from tests.e2e.frames import frames, reset, told, until_all_move, watch_frames
from tests.e2e.pages import until, videos_play

pytestmark = pytest.mark.e2e
OpenAs = Callable[..., Page]

TILES: Final = 4
CAMERAS: Final = ("cam-01", "cam-02", "cam-03", "cam-08")
DRAIN_GAP_MS: Final = 1_500
KILL_GAP_MS: Final = 5_000

HOMES: Final = """
async () => {
  const ports = [];
  for (const peer of window.__peers ?? []) {
    if (peer.connectionState !== 'connected' || peer.getSenders().some((one) => one.track)) continue;
    const reports = await peer.getStats();
    for (const one of reports.values())
      if (one.type === 'candidate-pair' && one.nominated && one.state === 'succeeded')
        ports.push(String(reports.get(one.remoteCandidateId).port));
  }
  return ports;
}
"""
DROP: Final = """
(cameras) => {
  for (const [tile, camera] of cameras.entries()) {
    const data = new DataTransfer();
    data.setData('application/x-sharpeyes', JSON.stringify({camera}));
    document.querySelectorAll('[data-tile]')[tile]?.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true}));
  }
}
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[DemoHub]:
    """A town with two relays."""
    with demo_hub(SHARPEYES_RELAYS="2") as running:
        yield running


def relays(hub: DemoHub) -> dict[str, str]:
    """Relays by media port, as the command line lists them."""
    out = command(hub, "list").stdout
    return {words[words.index("udp") + 1]: words[0] for words in map(str.split, out.splitlines()) if "udp" in words}


def command(hub: DemoHub, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hub.cli", "relay", *words, "--data", str(hub.data)],
        cwd=ROOT, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def homes(page: Page) -> list[str]:
    """Media ports that the page's watching connections lead to."""
    found: list[str] = page.evaluate(HOMES)
    return found


def drained(hub: DemoHub, page: Page, relay: str) -> None:
    """Run ``sharpeyes relay drain`` to its end while the page goes on."""
    work = subprocess.Popen(
        [sys.executable, "-m", "hub.cli", "relay", "drain", relay, "--wait", "60", "--data", str(hub.data)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    until(page, "the relay is empty", lambda: work.poll() is not None, seconds=70)
    said = work.stdout.read() if work.stdout else ""
    print(said)
    assert work.returncode == 0, said


def relay_process(hub: DemoHub, port: str) -> int:
    """The process of the relay that has this media port."""
    for pid in children_of(hub.process.pid):
        if f"SHARPEYES_MEDIA_PORT={port}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return pid
    raise LookupError(port)


@pytest.fixture
def wall(hub: DemoHub, open_as: OpenAs) -> Page:
    """A wall of four whose cameras are spread over both relays, on one connection."""
    page = open_as("commander", "city", path="/wall")
    page.locator("[data-tile]").first.wait_for()
    page.keyboard.press("4")
    page.evaluate(DROP, list(CAMERAS))
    videos_play(page, TILES, seconds=60)
    watch_frames(page)
    until_all_move(page, TILES)
    return page


def origins(hub: DemoHub) -> dict[str, str]:
    """The relay that has each of the wall's cameras open, by the interface."""
    with hub.client("commander", "city") as api:
        items: list[dict[str, Any]] = api.get("/cameras", params={"limit": 200}).json()["items"]
    return {item["id"]: str(item.get("node")) for item in items if item["id"] in CAMERAS}


def test_a_relay_is_drained_and_no_tile_of_the_wall_goes_black(hub: DemoHub, wall: Page) -> None:
    (home,) = homes(wall)
    print("home", home, relays(hub), origins(hub))
    reset(wall)
    wall.wait_for_timeout(2_000)
    print("undisturbed:", told(frames(wall)))
    reset(wall)
    drained(hub, wall, relays(hub)[home])
    wall.wait_for_timeout(3_000)
    found = frames(wall)
    print("drained:", told(found))
    (now,) = homes(wall)
    command(hub, "undrain", relays(hub)[home])
    assert now != home
    assert len(found) == TILES
    assert all(one["black"] == 0 for one in found), told(found)
    assert max(one["gap"] for one in found) < DRAIN_GAP_MS, told(found)


def test_pictures_are_there_again_when_the_page_s_relay_was_killed(hub: DemoHub, wall: Page) -> None:
    (home,) = homes(wall)
    reset(wall)
    os.kill(relay_process(hub, home), signal.SIGKILL)
    wall.wait_for_timeout(6_000)
    found = frames(wall)
    print("killed:", told(found))
    assert len(found) == TILES
    assert all(one["quiet"] < 1_000 for one in found), told(found)
    assert max(one["gap"] for one in found) < KILL_GAP_MS, told(found)
