"""Browser tests: one demo town and one Chromium for all of them; skipped visibly where there is no Chromium."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.e2e.demo_hub import DemoHub, demo_hub

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


@pytest.fixture(scope="session")
def hub() -> Iterator[DemoHub]:
    with demo_hub() as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium fonts-wqy-microhei)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_as(hub: DemoHub, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page of its own, signed in by one click as a person of a role."""
    contexts: list[BrowserContext] = []

    def opened(role: str, unit: str | None = None, *, path: str = "/", width: int = 1366, height: int = 768) -> Page:
        context = browser.new_context(
            base_url=hub.url, viewport={"width": width, "height": height}, locale="zh-CN",
            permissions=["camera", "microphone"], reduced_motion="reduce",
        )  # fmt: skip
        contexts.append(context)
        person = hub.person(role, unit)
        answer = context.request.post(
            "/api/v1/demo/sessions", data={"username": person["username"]}, headers={"Origin": hub.url}
        )
        assert answer.status == 201, answer.text()
        page = context.new_page()
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
