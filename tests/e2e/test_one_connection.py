"""A page's one connection in Chromium: all tiles over one path, a hidden tile costs nothing, it comes back."""

from collections.abc import Callable
from typing import Any, Final

from playwright.sync_api import Page

from tests.e2e.demo_hub import DemoHub
from tests.e2e.pages import until, videos_play

OpenAs = Callable[..., Page]
TILES: Final = 6

FIGURES: Final = """
async () => {
  const open = (window.__peers ?? []).filter((peer) => peer.connectionState === 'connected');
  const result = {peers: open.length, transports: 0, paths: {}, bytes: {}};
  for (const peer of open) {
    for (const report of (await peer.getStats()).values()) {
      if (report.type === 'candidate-pair') result.paths[report.id] = report.bytesReceived;
      if (report.type === 'transport') result.transports += 1;
      if (report.type === 'inbound-rtp' && report.kind === 'video') result.bytes[report.mid] = report.bytesReceived;
    }
  }
  return result;
}
"""
SHOW: Final = """
(shown) => {
  const tiles = document.querySelectorAll('[data-tile][data-camera] video');
  tiles[0].style.display = shown ? '' : 'none';
}
"""


def figures(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(FIGURES)
    return found


def growing(page: Page, what: str = "bytes", pause_ms: int = 1_500) -> set[str]:
    """The sections (or ``paths``: the ICE pairs) whose bytes grow."""
    before = figures(page)[what]
    page.wait_for_timeout(pause_ms)
    after = figures(page)[what]
    return {mid for mid, count in after.items() if count - before.get(mid, 0) > 1_000}


def test_six_tiles_come_over_one_path_and_a_hidden_one_costs_nothing(hub: DemoHub, open_as: OpenAs) -> None:
    page = open_as("commander", "city", path="/wall")
    page.locator("[data-tile]").first.wait_for()
    page.keyboard.press("6")
    page.evaluate(
        """(cameras) => {
          for (const [tile, camera] of cameras.entries()) {
            const data = new DataTransfer();
            data.setData('application/x-sharpeyes', JSON.stringify({camera}));
            const drop = new DragEvent('drop', {dataTransfer: data, bubbles: true});
            document.querySelectorAll('[data-tile]')[tile]?.dispatchEvent(drop);
          }
        }""",
        [f"cam-{n:02}" for n in range(1, TILES + 1)],
    )
    videos_play(page, TILES, seconds=60)
    found = figures(page)
    assert (found["peers"], found["transports"]) == (1, 1)
    assert len(growing(page, "paths")) == 1  # by TCP there is a second pair, which stands by
    assert len(found["bytes"]) == TILES
    page.evaluate(SHOW, False)
    until(page, "the hidden tile's bytes stand still", lambda: len(growing(page)) == TILES - 1, seconds=20)
    page.evaluate(SHOW, True)
    until(page, "it comes back", lambda: len(growing(page)) == TILES, seconds=20)
    assert figures(page)["peers"] == 1
    videos_play(page, TILES, seconds=30)
