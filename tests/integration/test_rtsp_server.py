"""The demo's cameras speak RTSP on a real socket."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.demo.cameras import run_cameras
from hub.demo.rtsp_camera import CameraFile
from hub.demo.rtsp_server import RtspServer
from hub.domain.errors import Unavailable
from signaling.rtsp.auth import Guard, digest_response, parse_params
from signaling.rtsp.message import Decoder, Headers, Interleaved, Request, Response, encode_request
from tests.integration.camera_kit import PATIENCE, h264_film


class Client:
    """A hand-driven RTSP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, base: str) -> None:
        self.base = base
        self.frames: list[Interleaved] = []
        self._reader, self._writer = reader, writer
        self._decoder = Decoder()
        self._responses: list[Response] = []
        self._sequence = 0

    async def ask(self, method: str, path: str = "", **headers: str) -> Response:
        self._sequence += 1
        request = Request(method, self.base + path, Headers({"CSeq": str(self._sequence), **headers}))
        self._writer.write(encode_request(request))
        while not self._responses:
            await self.more()
        response = self._responses.pop(0)
        assert response.headers.get("CSeq") == str(self._sequence)
        return response

    async def more(self) -> None:
        async with asyncio.timeout(PATIENCE):
            data = await self._reader.read(65_536)
        if not data:
            raise ConnectionResetError
        for event in self._decoder.feed(data):
            if isinstance(event, Interleaved):
                self.frames.append(event)
            elif isinstance(event, Response):
                self._responses.append(event)


@contextlib.asynccontextmanager
async def talking(server: RtspServer) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Client(reader, writer, f"rtsp://127.0.0.1:{server.port}/")
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def serving(folder: Path, guard: Guard | None = None) -> AsyncIterator[RtspServer]:
    async with RtspServer([CameraFile("gate", h264_film(folder), guard)]).listening("127.0.0.1", 0) as server:
        yield server


async def play(client: Client) -> None:
    assert (await client.ask("DESCRIBE", "gate")).status == 200
    setup = await client.ask("SETUP", "gate/trackID=0", Transport="RTP/AVP/TCP;unicast;interleaved=2-3")
    assert setup.status == 200
    session = (setup.headers.get("Session") or "").partition(";")[0]
    assert (await client.ask("PLAY", "gate", Session=session)).status == 200


async def test_a_client_is_led_from_options_to_packets(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, talking(server) as client:
        assert "DESCRIBE" in ((await client.ask("OPTIONS")).headers.get("Public") or "")
        described = await client.ask("DESCRIBE", "gate")
        assert b"H264/90000" in described.body
        assert b"sprop-parameter-sets=" in described.body
        await play(client)
        while len(client.frames) < 60:
            await client.more()
        packets = [frame.payload for frame in client.frames if frame.channel == 2]
        reports = [frame.payload for frame in client.frames if frame.channel == 3]
        numbers = [int.from_bytes(packet[2:4], "big") for packet in packets]
        assert all((b - a) % 65_536 == 1 for a, b in itertools.pairwise(numbers))
        assert {packet[1] & 0x7F for packet in packets} == {96}
        assert [report[1] for report in reports] == [200]
        assert (await client.ask("GET_PARAMETER", "gate")).status == 200
        assert (await client.ask("TEARDOWN", "gate")).status == 200
        assert server.cameras["gate"].playing == 0


async def test_pause_stops_the_packets_and_play_goes_on(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, talking(server) as client:
        await play(client)
        await client.more()
        assert (await client.ask("PAUSE", "gate")).status == 200
        client.frames.clear()
        assert (await client.ask("OPTIONS")).status == 200
        assert client.frames == []
        assert (await client.ask("PLAY", "gate")).status == 200
        while not client.frames:
            await client.more()


async def test_what_makes_no_sense_gets_the_status_of_the_standard(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, talking(server) as client:
        assert (await client.ask("DESCRIBE", "nowhere")).status == 404
        assert (await client.ask("PLAY", "gate")).status == 455
        assert (await client.ask("RECORD", "gate")).status == 405
        multicast = await client.ask("SETUP", "gate/trackID=0", Transport="RTP/AVP;multicast;port=5000-5001")
        assert multicast.status == 461
        await play(client)
        assert (await client.ask("PAUSE", "gate", Session="another")).status == 454


async def test_digest_lets_in_only_who_knows_the_password(tmp_path: Path) -> None:
    async with serving(tmp_path, Guard("admin", "right")) as server, talking(server) as client:
        refused = await client.ask("DESCRIBE", "gate")
        assert refused.status == 401
        params = parse_params(refused.headers.get("WWW-Authenticate") or "")
        for password, status in (("wrong", 401), ("right", 200)):
            proof = params | {"uri": client.base + "gate", "username": "admin"}
            proof["response"] = digest_response(username="admin", password=password, method="DESCRIBE", params=proof)
            header = "Digest " + ", ".join(f'{name}="{value}"' for name, value in proof.items() if name != "digest")
            assert (await client.ask("DESCRIBE", "gate", Authorization=header)).status == status


async def test_noise_ends_its_own_connection_and_no_other(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, talking(server) as good:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        assert (await good.ask("DESCRIBE", "gate")).status == 200


async def test_a_film_that_cannot_be_read_is_said_to_the_client(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no film")
    cameras = [CameraFile("broken", broken), CameraFile("missing", tmp_path / "none.mp4")]
    async with RtspServer(cameras).listening("127.0.0.1", 0) as server, talking(server) as client:
        assert (await client.ask("DESCRIBE", "broken")).status == 503
        assert (await client.ask("DESCRIBE", "missing")).status == 503


async def test_a_taken_port_is_one_plain_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Unavailable) as caught:
        await run_cameras({"gate": h264_film(tmp_path)}, "127.0.0.1", taken.getsockname()[1])
    assert caught.value.id == "demo.port_taken"
