"""Pictures of every page for docs/screenshots, from a demo town of its own: ``make screenshots``."""

import shutil
import sys
from collections.abc import Callable
from typing import Final

from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.conftest import ARGUMENTS, CHROMIUM
from tests.e2e.demo_hub import ROOT, DemoHub, demo_hub
from tests.e2e.pages import videos_play, watch_peers

FOLDER: Final = ROOT / "docs" / "screenshots"
SIZES: Final = ((1366, 768), (1920, 1080))
SETTLED_MS: Final = 1_500


class Camera:
    """Opens pages as people and takes pictures of them."""

    def __init__(self, hub: DemoHub, browser: Browser) -> None:
        self._hub = hub
        self._browser = browser

    def page(
        self, role: str | None, unit: str | None = None, path: str = "/", size: tuple[int, int] = SIZES[0]
    ) -> Page:
        """A page of its own, signed in by one click."""
        context = self._browser.new_context(
            base_url=self._hub.url, viewport={"width": size[0], "height": size[1]}, locale="zh-CN",
            permissions=["camera", "microphone"], reduced_motion="reduce",
        )  # fmt: skip
        if role is not None:
            person = self._hub.person(role, unit)
            headers = {"Origin": self._hub.url}
            context.request.post("/api/v1/demo/sessions", data={"username": person["username"]}, headers=headers)
        page = context.new_page()
        watch_peers(page)
        page.goto(path)
        return page

    def take(self, page: Page, name: str) -> None:
        """Write a picture when the page has settled."""
        page.wait_for_timeout(SETTLED_MS)
        size = page.viewport_size
        assert size is not None
        page.screenshot(path=FOLDER / f"{name}-{size['width']}.png")
        print(f"{name}-{size['width']}.png", flush=True)

    def shoot(self, name: str, role: str | None, path: str, act: Callable[[Page], None] | None = None) -> None:
        """One page in every size."""
        for size in SIZES:
            page = self.page(role, None if role != "department" else "dept-police", path, size)
            page.wait_for_load_state("networkidle") if role is None else page.locator("main").first.wait_for()
            if act:
                act(page)
            self.take(page, name)
            page.context.close()


def fill_wall(page: Page) -> None:
    """Four cameras on the wall, playing."""
    page.get_by_role("tree").wait_for()
    for camera in ("cam-01", "cam-02", "cam-03", "cam-08"):
        page.goto(f"/wall?camera={camera}")
        page.locator(f"[data-camera={camera}]").first.wait_for()
    videos_play(page, 1)
    page.wait_for_timeout(4_000)


def recorder(hub: DemoHub) -> str:
    """A camera of the town behind a GB/T 28181 device."""
    with hub.client("system_admin") as api:
        cameras = api.get("/cameras", params={"limit": 200}).json()["items"]
    return str(next(item["id"] for item in cameras if item["device"]))


def open_trace(page: Page) -> None:
    """The protocol trace of the first device."""
    page.locator("[data-state=online]").first.click()
    page.get_by_role("tab", name="协议跟踪").click()
    page.get_by_test_id("trace").get_by_role("button").last.wait_for()


def in_hand(page: Page) -> None:
    """The selected camera is turned by a key that is held."""
    page.get_by_test_id("ptz").first.wait_for(state="attached")
    videos_play(page, 1)
    page.locator("[data-tile]").filter(has=page.get_by_test_id("ptz")).first.click()
    page.keyboard.press("p")
    page.keyboard.down("ArrowRight")


def play_back(page: Page) -> None:
    """A recording of today, playing."""
    page.get_by_test_id("ptz").first.wait_for(state="attached")
    page.locator("[data-tile]").filter(has=page.get_by_test_id("ptz")).first.click()
    page.keyboard.press("b")
    page.get_by_test_id("playback-segment").first.wait_for()
    page.get_by_test_id("playback-toggle").click()
    page.locator("[data-testid=playback][data-state=playing]").wait_for(timeout=30_000)


def conference(camera: Camera) -> None:
    """A call of two departments with a camera on the stage, seen by the commander."""
    commander = camera.page("commander", "city", "/incidents")
    people = [camera.page("department", unit) for unit in ("dept-police", "dept-emergency")]
    commander.locator("[data-test=new-incident]").click()
    commander.locator("[data-test=incident-title]").locator("input").or_(
        commander.locator("input[data-test=incident-title]")
    ).first.fill("迎宾大道公交站人流积压")
    commander.locator("[data-test=open-incident]").click()
    commander.locator("[data-test=call]").click()
    dialog = commander.get_by_role("dialog").filter(has_text="呼叫单位")
    for unit in ("dept-police", "dept-emergency"):
        dialog.locator(f"[data-unit={unit}]").click()
    camera.take(commander, "conference-start")
    dialog.locator("[data-test=call]").click()
    people[0].get_by_role("alertdialog").wait_for()
    camera.take(people[0], "ring")
    for page in people:
        page.get_by_role("alertdialog").get_by_role("button", name="接听").click()
    commander.locator("[data-test=stage-camera]").click()
    commander.locator("[data-camera=cam-04]").click()
    videos_play(commander, 3, seconds=60)
    camera.take(commander, "conference")
    for page in (commander, *people):
        page.context.close()


def main() -> int:
    """Take all pictures; returns the exit status."""
    if CHROMIUM is None:
        print("chromium is not installed", file=sys.stderr)
        return 1
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with demo_hub() as hub, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        camera = Camera(hub, browser)
        with hub.client("commander", "city") as api:
            incident = next(item["id"] for item in api.get("/incidents").json()["items"] if item["run"])
            run = api.get("/drills/runs").json()["items"][0]["id"]
            order = next(item["id"] for item in api.get("/orders").json()["items"] if item["run"])
        camera.shoot("login", None, "/")
        camera.shoot("wall", "commander", "/", fill_wall)
        camera.shoot("alerts", "commander", "/alerts")
        camera.shoot("incidents", "commander", "/incidents")
        camera.shoot("incident", "commander", f"/incidents/{incident}")
        camera.shoot("orders", "commander", f"/orders?id={order}")
        camera.shoot("drills", "organiser", "/drills")
        camera.shoot("score", "organiser", f"/drills/{run}")
        camera.shoot("log", "auditor", "/log")
        camera.shoot("system", "system_admin", "/system")
        camera.shoot(
            "devices", "system_admin", "/devices", lambda page: page.locator("[data-state=online]").first.wait_for()
        )
        camera.shoot("device", "system_admin", "/devices", open_trace)
        camera.shoot("platforms", "system_admin", "/platforms")
        camera.shoot("ptz", "commander", f"/wall?camera={recorder(hub)}", in_hand)
        camera.shoot("playback", "commander", f"/wall?camera={recorder(hub)}", play_back)
        camera.shoot("users", "security_admin", "/users")
        camera.shoot("tour", "commander", "/tour")
        conference(camera)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
