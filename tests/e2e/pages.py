"""What browser tests ask a page: decoded frames by WebRTC's own statistics, and waiting for a condition."""

import time
from collections.abc import Callable
from typing import Final

from playwright.sync_api import Locator, Page

PEERS: Final = """
(() => {
  const Real = window.RTCPeerConnection;
  window.__peers = [];
  window.RTCPeerConnection = class extends Real {
    constructor(...given) { super(...given); window.__peers.push(this); }
  };
})();
"""

DECODED: Final = """
async since => {
  const result = [];
  for (const peer of (window.__peers ?? []).slice(since)) {
    if (peer.connectionState === 'closed') continue;
    for (const report of (await peer.getStats()).values())
      if (report.type === 'inbound-rtp' && report.kind === 'video') result.push(report.framesDecoded ?? 0);
  }
  return result;
}
"""


def watch_peers(page: Page) -> None:
    """Keep every peer connection that the page makes from now on; call before the first navigation."""
    page.add_init_script(PEERS)


def peers(page: Page) -> int:
    """How many peer connections the page has made so far."""
    made: int = page.evaluate("(window.__peers ?? []).length")
    return made


def decoded(page: Page, since: int = 0) -> list[int]:
    """framesDecoded of every open incoming video; ``since``: of the connections after so many."""
    result: list[int] = page.evaluate(DECODED, since)
    return sorted(result)


def until(page: Page, what: str, condition: Callable[[], bool], *, seconds: float = 20) -> None:
    """Ask again until the condition holds. Raises AssertionError that names it."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        page.wait_for_timeout(100)


def videos_play(page: Page, count: int, *, seconds: float = 30) -> None:
    """At least ``count`` incoming videos each decode 25 frames more than now."""
    before = decoded(page)

    def grown() -> bool:
        now = decoded(page)
        base = before if len(before) == len(now) else [0] * len(now)
        return sum(after - start >= 25 for after, start in zip(now, base, strict=True)) >= count

    until(page, f"{count} videos play", grown, seconds=seconds)


def confirm(page: Page) -> None:
    """Press the main button of the message box on top."""
    page.locator(".el-message-box:visible .el-button--primary, .el-message-box:visible .el-button--danger").last.click()


def only(locator: Locator) -> Locator:
    """The first visible match, waited for."""
    locator.first.wait_for()
    return locator.first
