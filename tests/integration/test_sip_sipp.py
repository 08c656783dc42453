"""Debian's sipp against our node, losing packets: transactions as somebody else understands them.

Needs ``sipp`` (package sip-tester, by ``make system-test``); skipped, and said so, without it.
"""

import asyncio
import shutil
import socket
from collections import Counter
from pathlib import Path

import pytest

from signaling.sip.digest import Authority
from signaling.sip.message import make_request
from signaling.transport.sip import Call, Flow, ServerTransaction, SipNode

SIPP = shutil.which("sipp")
FOLDER = Path(__file__).parent / "sipp"
pytestmark = pytest.mark.skipif(SIPP is None, reason="needs sipp: apt-get install sip-tester")
SDP = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def sipp(folder: Path, *arguments: str) -> int:
    """Run it to its end; 0 when every call went as the scenario says."""
    assert SIPP is not None
    with (folder / "sipp.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            SIPP, *arguments, "-i", "127.0.0.1", "-nostdin", "-timeout", "100s", "-timeout_error",
            stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


class Platform:
    """Registers whoever knows the password, answers OPTIONS and takes calls."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.calls: list[Call] = []
        self.node = SipNode(self.handle)
        self.authority = Authority("3402000000", now=asyncio.get_running_loop().time)

    def handle(self, transaction: ServerTransaction) -> None:
        method = transaction.method
        if method == "REGISTER":
            values = transaction.request.headers.all("Authorization")
            checked = self.authority.check(values, method, lambda name: "12345678" if name == "admin" else None)
            if not checked.good:
                fields = [("WWW-Authenticate", value) for value in self.authority.challenges()]
                transaction.respond(401, headers=fields)
                return
            transaction.respond(200, headers=[("Expires", "3600")])
        elif method == "INVITE":
            transaction.respond(180)
            self.calls.append(self.node.answer(transaction, body=SDP))
        else:
            transaction.respond(200)
        self.done[method] += 1


@pytest.mark.parametrize(("transport", "lost"), [("u1", "0"), ("u1", "20"), ("t1", "0")])
@pytest.mark.parametrize("scenario", ["register", "options", "uac"])
async def test_every_transaction_of_sipp_comes_to_its_end(
    scenario: str, transport: str, lost: str, tmp_path: Path
) -> None:
    platform = Platform()
    async with platform.node as node:
        which = ["-sn", "uac"] if scenario == "uac" else ["-sf", str(FOLDER / f"{scenario}.xml")]
        status = await sipp(
            tmp_path, f"127.0.0.1:{node.port}", *which, "-p", str(free_port()), "-t", transport, "-m", "20", "-r", "20",
            "-lost", lost, "-d", "0", "-au", "admin", "-ap", "12345678", "-s", "34020000002000000001",
        )  # fmt: skip
        assert status == 0, (tmp_path / "sipp.log").read_text(errors="replace")[-2_000:]
        assert platform.done[{"uac": "INVITE"}.get(scenario, scenario.upper())] == 20
        if lost == "0":
            # Else not always: once its BYE is out sipp takes a repeated 200 of the INVITE for the BYE's, and goes.
            for call in platform.calls:
                assert await call.wait_ended() == "bye"
        assert node.counters["faults"] == node.counters["malformed"] == 0


async def test_our_calls_to_sipp_stand_and_end_though_it_loses_packets(tmp_path: Path) -> None:
    port = free_port()
    async with SipNode(lambda tx: None) as node, asyncio.TaskGroup() as group:
        server = group.create_task(sipp(tmp_path, "-sn", "uas", "-p", str(port), "-m", "10", "-lost", "15", "-t", "u1"))

        async def one() -> None:
            invite = make_request(
                "INVITE", f"sip:x@127.0.0.1:{port}", from_="sip:us@3402000000", to=f"sip:x@127.0.0.1:{port}",
                body=SDP, content_type="application/sdp",
            )  # fmt: skip
            call = await node.invite(invite, Flow("udp", "127.0.0.1", port))
            response = await call.bye()
            assert response is not None
            assert response.status == 200

        calls = [group.create_task(one()) for _ in range(10)]
        await asyncio.gather(*calls)
        await server  # it counts a BYE that overtakes a lost ACK as a fault, and yet answers it
        assert node.calls() == []
