"""What devices cost the gateway: the real process with its Redis, and one socket that speaks for thousands of devices.

Each device has an address of its own out of 127.0.0.0/8, as it would have in the field.
"""

import asyncio
import contextlib
import json
import os
import re
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from hub.bus.gateway_wire import DeviceConfig, GatewayConfig
from hub.bus.registry import nodes
from signaling.rtsp.auth import digest_response
from tests.integration.redis_rig import running_redis

SERVER, DOMAIN, SECRET = "34020000002000000001", "3402000000", "secret-of-the-bench"
TICKS: Final = os.sysconf("SC_CLK_TCK")
WINDOW: Final = 256  # REGISTERs on their way at once
AGAIN_S: Final = 0.5
_NONCE: Final = re.compile(rb'nonce="([^"]+)"')
_ASKED: Final = re.compile(rb"MESSAGE sip:(\d{20})@")
_KEPT: Final = re.compile(rb"(?i)(Via|From|To|Call-ID|CSeq)\s*:")
_TO: Final = re.compile(rb"(?im)^From\s*:[^\r\n]*sip:(\d+)@")


def device_id(number: int) -> str:
    """Of one device."""
    return f"340200000013{20_000_000 + number:08d}"


@dataclass
class Crowd:
    """The devices of the bench, all of one process and one socket."""

    port: int
    count: int
    online: set[int] = field(default_factory=set)
    answered: int = 0
    sent: int = 0
    again: int = 0
    _sock: socket.socket = field(init=False)
    _local: int = 0

    def __post_init__(self) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._sock.bind(("0.0.0.0", 0))
        self._sock.setblocking(False)
        self._local = self._sock.getsockname()[1]

    def close(self) -> None:
        self._sock.close()

    def _send(self, number: int, data: bytes) -> None:
        number += 1
        source = socket.inet_aton(f"127.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}")
        info = struct.pack("=I4s4s", 0, source, b"\0\0\0\0")
        self.sent += 1
        with contextlib.suppress(BlockingIOError):
            self._sock.sendmsg([data], [(socket.IPPROTO_IP, 8, info)], 0, ("127.0.0.1", self.port))  # 8: IP_PKTINFO

    def _message(self, number: int, method: str, tag: int, more: str, body: bytes = b"") -> bytes:
        id = device_id(number)
        host = f"127.{1 + (number + 1 >> 16)}.{number + 1 >> 8 & 255}.{number + 1 & 255}:{self._local}"
        to = id if method == "REGISTER" else SERVER
        return (
            f"{method} sip:{SERVER}@{DOMAIN} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host};rport;branch=z9hG4bK{number:x}-{tag:x}\r\n"
            f"From: <sip:{id}@{DOMAIN}>;tag=t{number:x}\r\nTo: <sip:{to}@{DOMAIN}>\r\n"
            f"Call-ID: {number:x}-{method}-{tag if method == 'MESSAGE' else 0}\r\nCSeq: {tag} {method}\r\n"
            f"Max-Forwards: 70\r\nUser-Agent: bench\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def register(self, number: int, nonce: str = "") -> None:
        """One REGISTER, with an answer to the challenge where there was one."""
        uri = f"sip:{SERVER}@{DOMAIN}"
        more = f"Contact: <sip:{device_id(number)}@127.0.0.1:{self._local}>\r\nExpires: 3600\r\n"
        if nonce:
            answer = digest_response(
                username=device_id(number), password=SECRET, method="REGISTER",
                params={"realm": DOMAIN, "nonce": nonce, "uri": uri, "algorithm": "MD5"},
            )  # fmt: skip
            more += (
                f'Authorization: Digest username="{device_id(number)}", realm="{DOMAIN}", nonce="{nonce}", '
                f'uri="{uri}", response="{answer}", algorithm=MD5\r\n'
            )
        self._send(number, self._message(number, "REGISTER", 2 if nonce else 1, more))

    def keepalive(self, number: int, turn: int) -> None:
        """One MESSAGE Keepalive."""
        body = (
            '<?xml version="1.0" encoding="GB2312"?>\r\n<Notify>\r\n<CmdType>Keepalive</CmdType>\r\n'
            f"<SN>{turn}</SN>\r\n<DeviceID>{device_id(number)}</DeviceID>\r\n<Status>OK</Status>\r\n</Notify>\r\n"
        ).encode()
        self._send(number, self._message(number, "MESSAGE", turn, "Content-Type: Application/MANSCDP+xml\r\n", body))

    def answers(self) -> Iterator[tuple[int, int, bytes]]:
        """(device, status, message) of all that came."""
        while True:
            try:
                data = self._sock.recv(4_096)
            except BlockingIOError:
                return
            if data.startswith(b"SIP/2.0 ") and (found := _TO.search(data)) is not None:
                yield int(found[1][12:]) - 20_000_000, int(data[8:11]), data
            elif (asked := _ASKED.match(data)) is not None:  # it asks for our name: nobody here knows
                kept = [line for line in data.partition(b"\r\n\r\n")[0].split(b"\r\n") if _KEPT.match(line)]
                answer = b"\r\n".join([b"SIP/2.0 404 Not Found", *kept, b"Content-Length: 0", b"", b""])
                self._send(int(asked[1][12:]) - 20_000_000, answer)
                self.sent -= 1

    async def storm(self, numbers: range, seconds: float = 120.0) -> float:
        """Register these, as many at once as a power cut brings back; seconds until all are online."""
        began = time.monotonic()
        waiting = list(reversed(numbers))
        pending: dict[int, tuple[float, str]] = {}
        while waiting or pending:
            now = time.monotonic()
            if now - began > seconds:
                break
            while waiting and len(pending) < WINDOW:
                number = waiting.pop()
                pending[number] = (now + AGAIN_S, "")
                self.register(number)
            for number, status, data in self.answers():
                if number not in pending:
                    continue
                if status == 401 and (found := _NONCE.search(data)) is not None:
                    pending[number] = (now + AGAIN_S, found[1].decode())
                    self.register(number, found[1].decode())
                elif status == 200:
                    del pending[number]
                    self.online.add(number)
            for number, (due, nonce) in list(pending.items()):
                if due <= now:
                    self.again += 1
                    pending[number] = (now + AGAIN_S, nonce)
                    self.register(number, nonce)
            await asyncio.sleep(0.001)
        return time.monotonic() - began

    async def beat(self, rate: float, seconds: float) -> None:
        """Keepalives of everybody in turn, evenly at this rate."""
        began, due = time.monotonic(), 0
        order = sorted(self.online)
        while (passed := time.monotonic() - began) < seconds:
            while due < passed * rate:
                self.keepalive(order[due % len(order)], 10 + due)
                due += 1
            self.answered += sum(status == 200 for _, status, _ in self.answers())
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.2)
        self.answered += sum(status == 200 for _, status, _ in self.answers())


def cpu_s(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextlib.asynccontextmanager
async def gateway(count: int) -> AsyncIterator[tuple[int, int, httpx.AsyncClient, str]]:
    """The gateway as a process, told of so many devices: (pid, SIP port, client, its URL)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    async with running_redis() as redis:
        folder = redis.settings.data
        environment = os.environ | {
            "SHARPEYES_DATA": str(folder), "SHARPEYES_REDIS_URL": redis.url, "SHARPEYES_GB_ID": SERVER,
            "SHARPEYES_SIP_PORT": str(port), "SHARPEYES_HOST": "127.0.0.1", "SHARPEYES_LOG_LEVEL": "warning",
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hub.cli", "role", "gateway", env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        client = redis.client("bench")
        try:
            async with asyncio.timeout(30):
                while not (found := await nodes(client, "gateway")):  # noqa: ASYNC110  another process
                    await asyncio.sleep(0.1)
            token = (folder / "secrets" / "internal-token").read_text().strip()
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=60) as http:
                devices = tuple(DeviceConfig(id=device_id(n), password=SECRET) for n in range(count))
                config = GatewayConfig(version="bench", devices=devices)
                (await http.put(found[0].url + "/config", content=config.model_dump_json())).raise_for_status()
                yield process.pid, port, http, found[0].url
        finally:
            await client.aclose()
            process.terminate()
            await process.wait()


async def measure(quick: bool) -> dict[str, float]:
    """A storm of 5,000 devices, then keepalives as of 20,000 devices every 60 s, all of them registered."""
    storm, count, seconds = 5_000, 8_000 if quick else 20_000, 5.0 if quick else 20.0
    async with gateway(count) as (pid, port, http, url):
        crowd = Crowd(port, count)
        try:
            before = cpu_s(pid)
            took = await crowd.storm(range(storm))
            figures = {
                "register_storm_5000_s": took,
                "register_storm_5000_lost": float(storm - len(crowd.online)),
                "register_storm_5000_repeated": float(crowd.again),
                "register_storm_cpu_us_per_device": (cpu_s(pid) - before) / storm * 1e6,
            }
            await crowd.storm(range(storm, count))
            for _ in range(300):  # everybody is asked for a name
                for _ in crowd.answers():
                    pass
                await asyncio.sleep(0.01)
            states = json.loads((await http.get(url + "/devices")).content)["items"]
            assert sum(state["state"] == "online" for state in states) == len(crowd.online)
            await asyncio.sleep(3.0)
            crowd.sent = crowd.answered = 0
            shares: list[float] = []
            for _ in range(3):  # the best of three: the machine is shared
                before, began = cpu_s(pid), time.monotonic()
                await crowd.beat(20_000 / 60, seconds)
                shares.append((cpu_s(pid) - before) / (time.monotonic() - began) * 100)
            figures["keepalive_core_percent_20000"] = min(shares)
            figures["keepalive_lost_percent"] = (1 - crowd.answered / crowd.sent) * 100
            crowd.sent = crowd.answered = 0
            before, began = cpu_s(pid), time.monotonic()
            await crowd.beat(2_000, seconds / 2)
            busy = cpu_s(pid) - before
            figures["keepalive_cpu_us"] = busy / crowd.sent * 1e6
        finally:
            crowd.close()
    return figures
