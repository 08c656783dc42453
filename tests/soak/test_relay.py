"""Long loads on the relay, a process of its own: many viewers, thousands that come and go, publishers of layers.

``SOAK_SECONDS`` is what each lasts (the issue's are 300 s of viewers: ``SOAK_SECONDS=300``), ``SOAK_JOINS`` how many
come and go, ``SOAK_VIEWERS`` how many stay. Figures are printed.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any, Final

import pytest

from tests.bench.load_client import LoadViewer
from tests.bench.publish_client import LoadPublisher
from tests.bench.relay import join, leave
from tests.bench.relay_link import Relay

SECONDS: Final = float(os.environ.get("SOAK_SECONDS", "0"))
VIEWERS: Final = int(os.environ.get("SOAK_VIEWERS", "300"))
JOINS: Final = int(os.environ.get("SOAK_JOINS", str(min(5_000, max(200, int(SECONDS * 16))))))
OURS: Final = ("drops", "send_errors", "protect_failed", "internal_errors", "srtp_bad", "malformed")
pytestmark = [
    pytest.mark.skipif(not SECONDS, reason="set SOAK_SECONDS, or use make soak"),
    pytest.mark.timeout(int(SECONDS) + JOINS // 4 + 600),
]


def dropped_by(viewer: LoadViewer) -> int:
    """Datagrams that the viewer's own socket had no room for (proc(5), /proc/net/udp): its loss, not the relay's."""
    port = viewer.port
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            return int(fields[-1])
    return 0


def ours(figures: dict[str, Any]) -> dict[str, int]:
    """What must stay zero."""
    return {name: figures[name] for name in OURS if figures[name]}


@pytest.mark.parametrize("half", ["native", "python"] if SECONDS <= 60 else ["native"])
async def test_many_viewers_for_long_lose_nothing_of_ours(half: str) -> None:
    async with Relay.running("" if half == "native" else half) as relay:
        await relay.ask("warm", stream="film")
        viewers = await join(relay, VIEWERS, ("film",))
        before = await relay.ask("figures")
        await asyncio.sleep(SECONDS)
        after = await relay.ask("figures")
        sent = after["packets_out"] - before["packets_out"]
        lost, full = sum(v.lost for v in viewers), sum(dropped_by(v) for v in viewers)
        cpu = (after["cpu"] - before["cpu"]) / sent * 1e6
        print(
            f"{half}: {VIEWERS} viewers, {sent} packets, {cpu:.2f} µs each, missing {lost}, of them {full} at viewers"
        )
        await leave(viewers)
        assert ours(after) == {}
        assert lost <= full
        assert sent > VIEWERS * SECONDS * 100


async def test_thousands_who_come_and_go_leave_nothing_behind() -> None:
    async with Relay.running() as relay:
        await relay.ask("warm", stream="film")
        await relay.ask("fill", stream="film")
        sizes: list[int] = []
        empty: dict[str, Any] = {}
        began = time.monotonic()
        portion = max(1, JOINS // 10)
        for _ in range(10):
            for at in range(0, portion, 25):
                await leave(await join(relay, min(25, portion - at), ("film",)))
            state = await _empty(relay)
            empty = empty or state
            assert state == empty
            sizes.append((await relay.ask("memory"))["kib"])
        figures = await relay.ask("figures")
        print(f"{figures['sessions_opened']} joins in {time.monotonic() - began:.0f} s, memory {sizes} KiB, {empty}")
        assert figures["sessions"] == 0
        assert ours(figures) == {}
        assert sizes[-1] - sizes[2] < 3_000  # KiB; a leak of 1 KiB a join would be more


async def _empty(relay: Relay) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while (await relay.ask("figures"))["sessions"]:  # noqa: ASYNC110 - another process: there is no event to await
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    return await relay.ask("state")


async def test_publishers_of_three_layers_are_forwarded_whole() -> None:
    async with Relay.running() as relay:
        publishers = [LoadPublisher() for _ in range(16)]
        for n, publisher in enumerate(publishers):

            async def post(sdp: str, n: int = n) -> str:
                return str((await relay.ask("whip", stream=f"pub-{n}", sdp=sdp))["sdp"])

            await publisher.join(post)
        viewers = await join(relay, 32, [f"pub-{n}" for n in range(16)])
        before = await relay.ask("figures")
        await asyncio.sleep(min(SECONDS, 120))
        after = await relay.ask("figures")
        arrived, sent = after["packets_in"] - before["packets_in"], after["packets_out"] - before["packets_out"]
        cpu = (after["cpu"] - before["cpu"]) / (arrived + sent) * 1e6
        lost, full = sum(v.lost for v in viewers), sum(dropped_by(v) for v in viewers)
        print(f"16 publishers x 3 layers: {arrived} packets in, {sent} out, {cpu:.2f} µs each, missing {lost} ({full})")
        await leave([*viewers, *publishers])
        assert ours(after) == {}
        assert lost <= full
        assert arrived > 0
        assert all(viewer.packets > 100 for viewer in viewers)
