"""Drills over REST: rights, refusals with line and column, a run from plan to sheet."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from hub.api.app import create_app
from hub.demo.town import DRILLS, ensure_town
from hub.services import accounts
from tests.integration.hub_rig import TestClock, hub

SCENARIO = (DRILLS / "flood.scenario.yaml").read_text("utf-8")
RUBRIC = (DRILLS / "flood.rubric.yaml").read_text("utf-8")
API = "/api/v1/drills"


class People:
    """One HTTP client a person."""

    def __init__(self, clients: dict[str, httpx.AsyncClient], clock: TestClock) -> None:
        self.clients = clients
        self.clock = clock

    def __getitem__(self, name: str) -> httpx.AsyncClient:
        return self.clients[name]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the town built once: each test works on a copy."""
    folder = tmp_path_factory.mktemp("town")

    async def build() -> None:
        async with hub(folder, TestClock()) as ctx:
            await ensure_town(ctx)

    asyncio.run(build())
    return folder


@pytest.fixture
def data(town: Path, tmp_path: Path) -> Path:
    """A copy of the town's data folder."""
    return Path(shutil.copytree(town, tmp_path / "data"))


@contextlib.asynccontextmanager
async def api(folder: Path) -> AsyncIterator[People]:
    """The application without its background tasks, and people signed in."""
    clock = TestClock()
    async with hub(folder, clock) as ctx, contextlib.AsyncExitStack() as stack:
        app = create_app(ctx, own_tasks=False)
        clients = {}
        for name in ("organiser", "commander", "evaluator", "water"):
            token = (await accounts.demo_sign_in(ctx, username=name, address="127.0.0.1")).token
            clients[name] = await stack.enter_async_context(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(app),
                    base_url="http://127.0.0.1",
                    headers={"Authorization": f"Bearer {token}"},
                )
            )
        yield People(clients, clock)


async def test_a_run_goes_from_plan_to_the_same_sheet_twice(data: Path) -> None:
    async with api(data) as people:
        organiser, commander = people["organiser"], people["commander"]
        run = (await organiser.post(f"{API}/runs", json={"scenario": "flood"})).json()
        assert (run["state"], run["injects"][0]["sender"], run["sealed"]) == ("planned", "市气象台", False)
        url = f"{API}/runs/{run['id']}"
        assert (await organiser.post(f"{url}/score")).status_code == 409
        started = await organiser.post(f"{url}/start")
        assert (started.status_code, started.json()["state"]) == (200, "running")
        incident = await commander.post(
            "/api/v1/incidents", json={"title": "水位", "camera": "cam-03", "run": run["id"]}
        )
        assert incident.status_code == 201
        assert (await organiser.get(url)).json()["incident"] == incident.json()["id"]
        running = await organiser.post(f"{url}/score")
        assert (running.status_code, running.json()["error"]["id"]) == (409, "drill.illegal_transition")
        assert (await commander.get(f"{url}/score")).json()["error"]["id"] == "score.none"
        people.clock.pass_(400)
        assert (await organiser.post(f"{url}/end", json={"reason": "完成"})).json()["state"] == "ended"

        first, again = await organiser.post(f"{url}/score"), await organiser.post(f"{url}/score")
        assert (first.status_code, first.content) == (200, again.content)
        sheet = first.json()
        assert {item["id"]: item["status"] for item in sheet["items"]} == {
            "answered": "not_exercised",
            "joined": "not_exercised",
            "staged": "zero",  # an incident, and for 400 s no camera on the stage
            "signed": "not_exercised",
            "feedback": "not_exercised",
        }
        assert (sheet["points"], sheet["of"], sheet["full"]) == ("0.00", "20.00", "100.00")
        assert sheet["items"][2]["evidence"][0]["unit_name"] == "水利局"
        assert (await people["evaluator"].get(f"{url}/score")).json() == sheet
        listed = (await people["evaluator"].get(f"{API}/runs")).json()
        assert [(item["points"], item["of"], item["sealed"]) for item in listed["items"]] == [("0.00", "20.00", True)]


async def test_a_wrong_file_is_a_422_that_names_line_and_column(data: Path) -> None:
    async with api(data) as people:
        answers = {
            "scenario.invalid": {"text": SCENARIO.replace("method: phone", "method: smoke"), "rubric": RUBRIC},
            "rubric.invalid": {"text": SCENARIO, "rubric": RUBRIC.replace("form: linear", "form: cliff")},
        }
        for id, body in answers.items():
            answer = await people["organiser"].post(f"{API}/scenarios", json=body)
            assert answer.status_code == 422
            error = answer.json()["error"]
            source = body["text" if id == "scenario.invalid" else "rubric"]
            line = next(n for n, text in enumerate(source.splitlines(), 1) if "smoke" in text or "cliff" in text)
            assert (error["id"], error["line"], error["column"] > 1) == (id, line, True)
        good = await people["organiser"].post(f"{API}/scenarios", json={"text": SCENARIO, "rubric": RUBRIC})
        assert (good.status_code, good.json()["units"]) == (201, ["dept-emergency", "dept-water"])
        long = await people["organiser"].post(f"{API}/scenarios", json={"text": "x" * 65_537, "rubric": RUBRIC})
        assert long.status_code in (413, 422)


@pytest.mark.parametrize("name", ["commander", "evaluator", "water"])
async def test_only_the_organiser_changes_anything(data: Path, name: str) -> None:
    async with api(data) as people:
        run = (await people["organiser"].post(f"{API}/runs", json={"scenario": "flood"})).json()["id"]
        client = people[name]
        for path, body in (
            ("scenarios", {"text": SCENARIO, "rubric": RUBRIC}),
            ("runs", {"scenario": "flood"}),
            (f"runs/{run}/start", None),
            (f"runs/{run}/end", {}),
            (f"runs/{run}/score", None),
        ):
            assert (await client.post(f"{API}/{path}", json=body)).status_code == 403, path
        for path in ("scenarios", "runs", f"runs/{run}"):
            assert (await client.get(f"{API}/{path}")).status_code == (403 if name == "water" else 200), path
