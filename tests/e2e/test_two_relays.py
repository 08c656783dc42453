"""Two relays under one wall in Chromium: a drain that nobody sees, a killed relay, a conference across a drain.

Figures are printed; what is asserted has room for a machine that others use as well.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from playwright.sync_api import Page

from hub.bus import leases
from hub.bus.relay_wire import LEASE_KEY, StreamState
from hub.relay_commands import Site, at_site
from hub.settings import Settings
from tests.e2e.demo_hub import ROOT, DemoHub, children_of, demo_hub
from tests.e2e.frames import frames, reset, told, until_all_move, watch_frames
from tests.e2e.pages import until, videos_play

pytestmark = pytest.mark.e2e
OpenAs = Callable[..., Page]

TILES: Final = 4
TOWN: Final = [f"cam-{n:02}" for n in range(1, 13)]
DRAIN_GAP_MS: Final = 1_500
KILL_GAP_MS: Final = 3_000

HOMES: Final = """
async () => {
  const ports = [];
  for (const peer of window.__peers ?? []) {
    if (peer.connectionState !== 'connected' || peer.getSenders().some((one) => one.track)) continue;
    const reports = await peer.getStats();
    for (const one of reports.values()) {
      const pair = one.type === 'transport' && reports.get(one.selectedCandidatePairId);
      if (pair) ports.push(String(reports.get(pair.remoteCandidateId).port));
    }
  }
  return ports;
}
"""
DROP: Final = """
(cameras) => {
  for (const [tile, camera] of cameras.entries()) {
    const data = new DataTransfer();
    data.setData('application/x-sharpeyes', JSON.stringify({camera}));
    const drop = new DragEvent('drop', {dataTransfer: data, bubbles: true});
    document.querySelectorAll('[data-tile]')[tile]?.dispatchEvent(drop);
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


Work = TypeVar("Work")


def at(hub: DemoHub, work: Callable[[Site], Coroutine[Any, Any, Work]]) -> Work:
    """Do something with the hub's relays and its Redis; the browser's event loop has this thread."""

    async def run() -> Work:
        async with at_site(Settings(data=hub.data)) as site:
            return await work(site)

    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, run()).result(30)


async def carried(site: Site) -> dict[str, list[StreamState]]:
    """What each relay carries, by its media port."""
    return {node.facts["udp_port"]: await site.relays.streams(node.url) for node in await site.nodes()}


async def cameras_of_both(site: Site) -> list[str]:
    """Two cameras of each relay: those that it has open, else ones that get their place there now."""
    nodes = await site.nodes()
    alive = {node.id for node in nodes}
    places = {camera: await leases.holder_of(site.redis, f"stream:{camera}") for camera in TOWN}
    free = [camera for camera, holder in places.items() if holder not in alive]
    found = []
    for node in nodes:
        mine = [camera for camera, holder in places.items() if holder == node.id]
        while len(mine) < 2:
            camera = free.pop()
            await site.redis.set(LEASE_KEY.format(name=f"stream:{camera}"), node.id, px=60_000)
            mine.append(camera)
        found += mine[:2]
    return found


@pytest.fixture
def wall(hub: DemoHub, open_as: OpenAs) -> Page:
    """A wall of four on one connection; two of its cameras come to the page's relay by legs."""
    page = open_as("commander", "city", path="/wall")
    page.locator("[data-tile]").first.wait_for()
    cameras = at(hub, cameras_of_both)
    page.keyboard.press("4")
    page.evaluate(DROP, cameras)
    videos_play(page, TILES, seconds=60)
    (home,) = homes(page)
    here = {state.stream: state.origin for state in at(hub, carried)[home] if state.stream in cameras}
    assert sorted(origin is not None for origin in here.values()) == [False, False, True, True], here
    watch_frames(page)
    until_all_move(page, TILES)
    return page


def test_a_relay_is_drained_and_no_tile_of_the_wall_goes_black(hub: DemoHub, wall: Page) -> None:
    (home,) = homes(wall)
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
    wall.wait_for_timeout(5_000)
    found = frames(wall)
    print("killed:", told(found))
    assert homes(wall) != [home]
    assert len(found) == TILES
    assert all(one["quiet"] < 1_000 for one in found), told(found)
    assert max(one["gap"] for one in found) < KILL_GAP_MS, told(found)


def test_a_conference_goes_on_while_the_relay_of_its_pictures_is_drained(hub: DemoHub, open_as: OpenAs) -> None:
    commander = open_as("commander", "city", path="/incidents")
    police = open_as("department", "dept-police")
    commander.locator("[data-test=new-incident]").click()
    title = commander.locator("[data-test=incident-title]")
    title.locator("input").or_(commander.locator("input[data-test=incident-title]")).first.fill("迎宾大道积水")
    commander.locator("[data-test=open-incident]").click()
    commander.locator("[data-test=call]").click()
    dialog = commander.get_by_role("dialog").filter(has_text="呼叫单位")
    dialog.locator("[data-unit=dept-police]").click()
    dialog.locator("[data-test=call]").click()
    police.get_by_role("alertdialog").get_by_role("button", name="接听").click()
    commander.locator("[data-test=stage-camera]").click()
    commander.locator("[data-camera=cam-02]").click()
    for page in (commander, police):
        videos_play(page, 2, seconds=60)  # the other member, and the stage
    for page in (commander, police):
        watch_frames(page)
        until_all_move(page, 2)
        reset(page)
    (home,) = homes(police)
    drained(hub, commander, relays(hub)[home])
    commander.wait_for_timeout(3_000)
    seen = {page: frames(page) for page in (commander, police)}
    print("conference:", *(told(found) for found in seen.values()), sep="\n  ")
    assert home not in (*homes(commander), *homes(police))
    command(hub, "undrain", relays(hub)[home])
    for found in seen.values():
        assert all(one["black"] == 0 and one["gap"] < DRAIN_GAP_MS for one in found), told(found)
