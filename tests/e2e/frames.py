"""What a viewer sees of a change behind the picture: the longest time without a new frame, and black moments."""

import time
from typing import Any, Final

from playwright.sync_api import Page

# Every <video> of the page from now on. A frame counts when it was presented (requestVideoFrameCallback); one in five
# looks draws the element into 8 by 8 pixels: what has a size but no light is black.
WATCH: Final = """
() => {
  const seen = window.__frames = new Map();
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 8;
  const context = canvas.getContext('2d', {willReadFrequently: true});
  const name = (video) => video.closest('[data-camera]')?.dataset.camera
    ?? video.closest('[data-member]')?.dataset.member ?? video.closest('[data-unit]')?.dataset.unit ?? 'other';
  const enter = (video) => {
    const mine = {video, name: name(video), last: performance.now(), gap: 0, frames: 0, black: 0};
    seen.set(video, mine);
    const next = () => video.requestVideoFrameCallback((now) => {
      mine.gap = Math.max(mine.gap, now - mine.last);
      mine.last = Math.max(mine.last, now);
      mine.frames += 1;
      next();
    });
    next();
  };
  let looks = 0;
  const look = () => {
    for (const video of document.querySelectorAll('video')) if (!seen.has(video)) enter(video);
    if (looks++ % 5 === 0) {
      for (const mine of seen.values()) {
        const {video} = mine;
        if (!video.isConnected || mine.frames === 0) continue;
        if (video.readyState < 2 || video.videoWidth === 0) { mine.black += 1; continue; }
        context.drawImage(video, 0, 0, 8, 8);
        const {data} = context.getImageData(0, 0, 8, 8);
        let light = 0;
        for (let i = 0; i < data.length; i += 4) light = Math.max(light, data[i], data[i + 1], data[i + 2]);
        if (light < 24) mine.black += 1;
      }
    }
  };
  look();
  setInterval(look, 50);
}
"""
RESET: Final = """
() => {
  const now = performance.now();
  for (const mine of window.__frames.values()) Object.assign(mine, {last: now, gap: 0, frames: 0, black: 0});
}
"""
READ: Final = """
() => [...window.__frames.values()].filter(({video}) => video.isConnected && video.clientWidth > 0).map((mine) => ({
  name: mine.name, frames: mine.frames, black: mine.black,
  gap: Math.round(Math.max(mine.gap, performance.now() - mine.last)), quiet: Math.round(performance.now() - mine.last),
}))
"""


def watch_frames(page: Page) -> None:
    """Note every frame that any video of the page presents from now on."""
    page.evaluate(WATCH)


def reset(page: Page) -> None:
    """Begin to count anew."""
    page.evaluate(RESET)


def frames(page: Page) -> list[dict[str, Any]]:
    """By visible video: ``name``, ``frames``, ``black`` (looks, four a second), ``gap`` and ``quiet`` in ms.

    ``gap`` is the longest time between two frames, ``quiet`` that since the last one.
    """
    found: list[dict[str, Any]] = page.evaluate(READ)
    return found


def told(found: list[dict[str, Any]]) -> str:
    """Them in one line."""
    return "  ".join(
        f"{one['name']} gap {one['gap']} ms, {one['frames']} frames, black {one['black']}" for one in found
    )


def until_all_move(page: Page, count: int, *, seconds: float = 30) -> float:
    """Wait until so many videos, and all that there are, have presented a frame since ``reset``; seconds that took."""
    began = time.monotonic()
    while True:
        found = frames(page)
        if len(found) >= count and all(one["frames"] for one in found):
            return time.monotonic() - began
        assert time.monotonic() < began + seconds, told(found)
        page.wait_for_timeout(20)
