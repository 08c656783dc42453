"""Browser tests: one demo town and one Chromium for all of them; skipped visibly where there is no Chromium."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.e2e.demo_hub import DemoHub, demo_hub, running_hub
from tests.e2e.pages import watch_peers

PICTURES = Path(__file__).parents[2] / ".cache" / "e2e"  # what a test that failed last saw
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
    """A demo town of its own; or, while writing tests, the running one that E2E_DATA and E2E_PORT name."""
    if data := os.environ.get("E2E_DATA"):
        yield running_hub(Path(data), int(os.environ["E2E_PORT"]))
        return
    with demo_hub() as running:
        yield running


@pytest.fixture(scope="module")  # not longer: its event loop keeps this thread from running asynchronous tests
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium fonts-wqy-microhei)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_as(hub: DemoHub, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
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
        watch_peers(page)
        page.goto(path)
        return page

    failed_before = request.session.testsfailed
    yield opened
    for number, context in enumerate(contexts):
        if request.session.testsfailed > failed_before:
            for page in context.pages:
                with suppress(PlaywrightError):  # a page too busy for a picture must not hide why the test failed
                    page.screenshot(path=PICTURES / f"{request.node.name}-{number}.png", timeout=5_000)
        context.close()
