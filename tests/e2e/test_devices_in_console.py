"""GB/T 28181 devices as an administrator connects them: listed in the console, they come online and onto the wall."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.demo_hub import ROOT, DemoHub
from tests.e2e.pages import confirm, until, videos_play

NUMBER: Final = 77  # none of the town's own
NVR: Final = f"340200000011800000{NUMBER}"
CHANNEL: Final = f"34020000001320{NUMBER * 1_000 + 1:06d}"
PASSWORD: Final = "from-the-console"
NAME: Final = "北山检查站录像机"


@contextmanager
def device(hub: DemoHub, folder: Path, password: str) -> Iterator[subprocess.Popen[bytes]]:
    """`sharpeyes demo device`, as somebody would start it beside the platform."""
    with hub.client("system_admin") as api:
        who = api.get("/gb28181").json()
    secret = folder / "password"
    secret.write_text(password)
    command = [
        sys.executable, "-m", "hub.cli", "demo", "device", "--server", who["address"], "--server-id", who["server_id"],
        "--domain", who["domain"], "--password-file", str(secret), "--first", str(NUMBER), "--channels", "3",
        "--heartbeat", "1", "--film", "small",
    ]  # fmt: skip
    with (folder / "device.txt").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT, env=dict(os.environ))
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def listed(hub: DemoHub) -> Iterator[None]:
    """The device is not listed before the test, nor after it."""
    with hub.client("system_admin") as api:
        api.delete(f"/devices/{NVR}")
        yield
        api.delete(f"/devices/{NVR}")


def add(page: Page, password: str) -> None:
    page.get_by_test_id("device-add").click()
    page.get_by_test_id("device-id").fill(NVR)
    page.get_by_test_id("device-name").fill(NAME)
    page.get_by_test_id("device-unit").click()
    page.locator(".el-select-dropdown:visible").get_by_role("option").first.click()
    page.get_by_test_id("device-password").fill(password)
    page.get_by_test_id("device-save").click()
    page.get_by_test_id("device-save").wait_for(state="detached")


def test_a_device_added_in_the_console_comes_online_and_its_camera_onto_the_wall(
    hub: DemoHub, open_as: Callable[..., Page], tmp_path: Path, listed: None
) -> None:
    page = open_as("system_admin", path="/devices")
    expect(page.get_by_test_id("gb-domain")).to_contain_text("34020000002000000001")
    add(page, PASSWORD)
    row = page.locator(f"[data-device='{NVR}']")
    expect(row).to_have_attribute("data-state", "unknown")

    with device(hub, tmp_path, PASSWORD):
        expect(row).to_have_attribute("data-state", "online", timeout=30_000)
        row.get_by_text(NAME).click()
        drawer = page.locator(".device-detail")
        until(page, "the catalogue", lambda: drawer.get_by_role("treeitem").count() == 3)
        drawer.get_by_test_id("device-sync").click()
        expect(drawer.get_by_test_id("catalog")).to_contain_text("3 条", timeout=15_000)

        drawer.get_by_role("tab", name="协议跟踪").click()
        trace = drawer.get_by_test_id("trace")
        expect(trace).to_contain_text("REGISTER")
        trace.get_by_role("button", name="REGISTER").last.click()
        expect(trace.locator("pre")).to_contain_text(NVR)
        assert PASSWORD not in page.content()

        drawer.get_by_role("tab", name="通道").click()
        drawer.locator(f"[data-channel='{CHANNEL}']").get_by_test_id("channel-wall").click()
        page.wait_for_url("**/wall")
        tile = page.locator("[data-tile]").first
        tile.hover()
        expect(tile.get_by_test_id("ptz")).to_be_visible()
        videos_play(page, 1)


def test_a_wrong_password_is_said_in_words_with_what_to_do(
    hub: DemoHub, open_as: Callable[..., Page], tmp_path: Path, listed: None
) -> None:
    page = open_as("system_admin", path="/devices")
    add(page, PASSWORD)
    with device(hub, tmp_path, "another"):
        row = page.locator(f"[data-device='{NVR}']")
        expect(row).to_contain_text("密码不符", timeout=30_000)
        expect(row).to_have_attribute("data-state", "unknown")


def test_removing_a_device_names_it_and_asks_once(
    hub: DemoHub, open_as: Callable[..., Page], tmp_path: Path, listed: None
) -> None:
    page = open_as("system_admin", path="/devices")
    add(page, PASSWORD)
    page.get_by_role("button", name=f"删除设备 {NAME}").click()
    expect(page.locator(".el-message-box:visible")).to_contain_text(NVR)
    confirm(page)
    expect(page.locator(f"[data-device='{NVR}']")).to_have_count(0)


def test_cameras_are_shared_with_a_platform_above_and_keep_their_identifiers(
    hub: DemoHub, open_as: Callable[..., Page]
) -> None:
    upper = "33010000002000000001"
    page = open_as("system_admin", path="/platforms")
    page.get_by_test_id("platform-add").first.click()
    for field, value in (
        ("platform-name", "江城市视频共享平台"), ("platform-id", upper), ("platform-domain", "3301000000"),
        ("platform-host", "127.0.0.1"), ("platform-local-id", "33010200002000000001"), ("platform-password", "secret"),
    ):  # fmt: skip
        page.get_by_test_id(field).fill(value)
    page.get_by_test_id("platform-save").click()
    row = page.locator(f"[data-platform='{upper}']")
    row.get_by_test_id("platform-share").click()
    page.get_by_test_id("share-all").click()
    page.get_by_test_id("share-save").click()
    page.get_by_test_id("share-save").wait_for(state="detached")
    with hub.client("system_admin") as api:
        before = api.get(f"/platforms/{upper}/cameras").json()["items"]
        assert len(before) == api.get("/cameras").json()["total"]
        row.get_by_test_id("platform-share").click()
        page.locator("[data-share]").first.locator(".el-checkbox").click()
        page.get_by_test_id("share-save").click()
        confirm(page)
        page.get_by_test_id("share-save").wait_for(state="detached")
        after = api.get(f"/platforms/{upper}/cameras").json()["items"]
        assert len(after) == len(before) - 1
        assert {one["camera"]: one["gb_id"] for one in after}.items() <= {
            o["camera"]: o["gb_id"] for o in before
        }.items()
        assert "secret" not in page.content()
        api.delete(f"/platforms/{upper}")


def test_who_does_not_manage_cameras_has_no_devices_page(open_as: Callable[..., Page]) -> None:
    page = open_as("commander", "city", path="/devices")
    page.wait_for_url("**/wall")
    expect(page.get_by_role("navigation").get_by_role("link", name="设备")).to_have_count(0)
