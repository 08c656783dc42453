"""The relay's side of the bench, a process of its own: commands come in by lines of JSON, answers go out likewise."""

import asyncio
import ctypes
import gc
import json
import logging
import secrets
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
import uvloop

from hub.bus.relay_wire import StreamConfig
from hub.domain.clock import system_clock
from hub.domain.source_url import check_url
from hub.media.node.feed import Feed
from hub.media.peer.fanout import Shape, Target
from hub.media.peer.server import PeerServer
from hub.media.rtp.track import HISTORY, Packet
from hub.media.rtp.unit import AccessUnit
from hub.media.sources.opening import open_source
from hub.media.stream import Stream
from tests.integration.media_kit import FPS, encoded

WARM = "warm"


def film() -> tuple[tuple[bytes, bool], ...]:
    """2 Mbit/s, 720p25, a key frame every 2 s."""
    return encoded(4, 2 * FPS, 1_280, 720, 2_000_000)


def waited_ns() -> int:
    """How long this thread was ready to run and had no core, ns since it began (sched-stats.rst)."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1])


class Watch:
    """The relay's own share of a frame's delay: until its last packet was handed to the kernel for the last viewer,
    in ms, and how much of that it was kept from running."""

    def __init__(self, peers: PeerServer) -> None:
        self.frames: list[tuple[float, float]] = []
        self._began = (0, 0)
        self._of: dict[int, tuple[int, int]] = {}  # by timestamp: the rest of a burst leaves when others have begun
        self._fanout, self._live = peers._fanout, peers._fanout.live
        self._fanout.live = self._watched  # type: ignore[method-assign]

    def begin(self) -> None:
        """A frame is about to be published."""
        self._began = (time.monotonic_ns(), waited_ns())

    def published(self, timestamp: int) -> None:
        """That was its timestamp; some of it may have left already."""
        self._of[timestamp] = self._began

    def end(self) -> list[tuple[float, float]]:
        """What was seen; from now on nothing is."""
        self._fanout.live = self._live  # type: ignore[method-assign]
        return self.frames

    def _watched(self, groups: Mapping[Shape, Sequence[Target]], packets: Sequence[Packet]) -> None:
        self._live(groups, packets)
        for packet in packets:
            if packet.marker:
                at, waited = self._of.pop(packet.timestamp, self._began)
                self.frames.append(((time.monotonic_ns() - at) / 1e6, (waited_ns() - waited) / 1e6))


async def play(stream: Stream, published: deque[tuple[int, int]], watches: Sequence[Watch]) -> None:
    """Publish the film in real time, for ever; notes timestamp and real time (ns) of each frame."""
    made, began, i = film(), time.monotonic() + secrets.randbelow(40) / 1_000, 0
    while True:
        data, key = made[i % len(made)]
        now = time.time_ns()
        for watch in watches:
            watch.begin()
        stream.publish(AccessUnit("video", "h264", data, i * 90_000 // FPS, key, system_clock()))
        published.append((stream.tracks["video"].timestamp, now))
        for watch in watches:
            watch.published(stream.tracks["video"].timestamp)
        i += 1
        await asyncio.sleep(max(0.0, began + i / FPS - time.monotonic()))


def memory_kib() -> int:
    """Resident memory of this process, after what is unused went back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


class Bench:
    """Streams by name: one that runs, and cold ones that open a real RTSP source at their first viewer."""

    def __init__(self, peers: PeerServer, group: asyncio.TaskGroup) -> None:
        self._peers = peers
        self._group = group
        self._streams: dict[str, Stream] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._published: dict[str, deque[tuple[int, int]]] = {}
        self._watches: list[Watch] = []

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do one command."""
        match request["do"]:
            case "warm":
                name = request["stream"]
                stream = self._streams[name] = Stream(name, clock=system_clock, expects=("h264",))
                published = self._published[name] = deque(maxlen=2_000)
                self._tasks[name] = self._group.create_task(play(stream, published, self._watches))
                return {}
            case "published":
                return {"frames": list(self._published[request["stream"]])}
            case "watch":
                self._watches[:] = [Watch(self._peers)]
                return {}
            case "watched":
                return {"frames": self._watches.pop().end()}
            case "fill":  # the history, so that it grows no more
                stream, i = self._streams[request["stream"]], 0
                while stream.tracks["video"].head < HISTORY:
                    data, key = film()[i % len(film())]
                    stream.publish(AccessUnit("video", "h264", data, i * 90_000 // FPS, key, system_clock()))
                    i += 1
                return {}
            case "memory":
                return {"kib": memory_kib()}
            case "cold":
                feed = Feed(
                    request["stream"], StreamConfig(url=request["url"]), clock=system_clock,
                    opener=lambda url: open_source(check_url(url), clock=system_clock),
                )  # fmt: skip
                self._streams[request["stream"]] = feed.stream
                self._tasks[request["stream"]] = self._group.create_task(feed.run())
                return {}
            case "whep":
                answer = await self._peers.whep(self._streams[request["stream"]], request["sdp"], owner="bench")
                return {"sdp": answer.sdp}
            case "whip":
                name = request["stream"]
                if name not in self._streams:
                    self._streams[name] = Stream(name, clock=system_clock)
                answer = await self._peers.whip(self._streams[name], request["sdp"], owner="bench")
                return {"sdp": answer.sdp}
            case "state":
                files = len(list(Path("/proc/self/fd").iterdir()))  # noqa: ASYNC240 - /proc does not block
                return {"tasks": len(asyncio.all_tasks()), "files": files}
            case "forget":
                self._tasks.pop(request["stream"]).cancel()
                self._streams.pop(request["stream"]).end()
                return {}
            case "figures":
                return {"cpu": time.process_time(), "half": self._peers.fanout, **self._peers.counters}
        raise ValueError(request["do"])

    def stop(self) -> None:
        """End what still plays."""
        for task in self._tasks.values():
            task.cancel()


async def main(half: str) -> None:
    """Serve until standard input ends."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    film()
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    peers = await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"], max_sessions=2_000, fanout=half)
    try:
        async with asyncio.TaskGroup() as group:
            bench = Bench(peers, group)
            while line := await reader.readline():
                sys.stdout.write(json.dumps(await bench.answer(json.loads(line))) + "\n")
                sys.stdout.flush()
            bench.stop()
    finally:
        await peers.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1] if len(sys.argv) > 1 else ""))  # the loop that `sharpeyes` runs on
