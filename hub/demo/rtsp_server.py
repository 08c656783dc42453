"""A small RTSP 1.0 server: each path is a simulated camera that loops a film in real time (RFC 2326).

RTP comes interleaved in the connection, the one transport that passes every firewall and that the relay asks for
first, or over UDP. A camera that nobody pulls costs nothing: its film is read at the first DESCRIBE. What real cameras
do wrong can be switched on (``rtsp_camera.Faults``).
"""

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote, urlsplit

import structlog

from hub.demo.film import Film, describe, read_film
from hub.demo.rtsp_camera import CameraFile
from hub.demo.rtsp_player import RR, Outlet, TcpOutlet, UdpOutlet, play
from signaling.rtsp.message import REASONS, Decoder, Headers, Interleaved, Request, Response, RtspError, encode_response
from signaling.rtsp.session import State, step
from signaling.rtsp.transport import Transport, parse_transports

log: Final = structlog.get_logger(__name__)

MAX_CONNECTIONS: Final = 256
SESSION_TIMEOUT_S: Final = 60
METHODS: Final = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, TEARDOWN"


class RtspServer:
    """Serves cameras; use as ``async with RtspServer(cameras).listening(host, port) as server``."""

    def __init__(self, cameras: Iterable[CameraFile]) -> None:
        self.cameras = {camera.path.strip("/"): camera for camera in cameras}
        self.port = 0
        self.connections = 0  # ever accepted
        self.quiet = asyncio.Event()  # set while no camera plays
        self.quiet.set()
        self._films: dict[Path, Film] = {}
        self._loading = asyncio.Lock()
        self._sessions: set[_Connection] = set()

    @contextlib.asynccontextmanager
    async def listening(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Self]:
        """Listen until the block ends; port 0 takes a free one (``port`` says which). Raises OSError.

        With ``tls`` it speaks rtsps.
        """
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            if len(tasks) >= MAX_CONNECTIONS:
                writer.transport.abort()
                return
            task = asyncio.create_task(self._serve(reader, writer), name="rtsp/connection")
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, host, port, limit=2**16, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def unplug(self, path: str) -> None:
        """The camera vanishes: its connections are cut, new ones get no answer until ``plug``."""
        camera = self.cameras[path.strip("/")]
        camera.online = False
        for session in tuple(self._sessions):
            if session.camera is camera:
                session.close()

    def plug(self, path: str) -> None:
        """The camera is back."""
        self.cameras[path.strip("/")].online = True

    def count(self, camera: CameraFile, change: int) -> None:
        """A session of the camera began (1) or ended (-1) to play."""
        camera.playing += change
        camera.most = max(camera.most, camera.playing)
        camera.plays += max(change, 0)
        if any(each.playing for each in self.cameras.values()):
            self.quiet.clear()
        else:
            self.quiet.set()

    async def film_of(self, camera: CameraFile) -> Film:
        """The camera's film, read once a file. Raises OSError or ValueError."""
        async with self._loading:
            if (film := self._films.get(camera.file)) is None:
                film = self._films[camera.file] = await asyncio.to_thread(read_film, camera.file)
        camera.film = film
        return film

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, writer)
        self._sessions.add(connection)
        try:
            await connection.run(reader)
        except* (OSError, RtspError, TimeoutError) as group:
            log.debug("rtsp.connection_ended", error=str(group.exceptions[0]))
        except* Exception:
            log.exception("rtsp.connection_crashed")  # one client's, and nobody else suffers
        finally:
            self._sessions.discard(connection)
            connection.close()


class _Connection:
    """One TCP connection, which carries at most one session."""

    def __init__(self, server: RtspServer, writer: asyncio.StreamWriter) -> None:
        self.camera: CameraFile | None = None
        self._server = server
        self._writer = writer
        self._state = State.INIT
        self._id = secrets.token_hex(8)
        self._outlet: Outlet | None = None
        self._heard = asyncio.get_running_loop().time()
        self._player: asyncio.Task[None] | None = None

    def close(self) -> None:
        self._stop_player()
        if self._outlet is not None:
            self._outlet.close()
        self._writer.transport.abort()

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Answer until the client leaves. Raises OSError, RtspError, TimeoutError."""
        decoder = Decoder()
        async with asyncio.TaskGroup() as group:
            while True:
                async with asyncio.timeout(2 * SESSION_TIMEOUT_S):  # reports count, too
                    data = await reader.read(2**16)
                if not data:
                    break
                for event in decoder.feed(data):
                    if isinstance(event, Interleaved | Response):
                        if self.camera is not None and isinstance(event, Interleaved) and event.payload[1:2] == RR:
                            self.camera.reports += 1
                        continue
                    self._heard = asyncio.get_running_loop().time()
                    response = await self._answer(event)
                    if response is None:
                        break
                    self._writer.write(encode_response(self._numbered(response, event)))
                    if response.status == 200 and event.method == "PLAY" and self._player is None:
                        self._player = group.create_task(self._play(), name="rtsp/player")
                else:
                    await self._writer.drain()
                    continue
                break
            self._stop_player()

    async def _answer(self, request: Request) -> Response | None:
        """The response, or None when the camera is unplugged and says nothing."""
        camera = self._server.cameras.get(_path(request.url))
        if request.method == "OPTIONS":
            refused = camera is not None and "no_options" in camera.faults.quirks
            return _response(405) if refused else _response(200, {"Public": METHODS})
        if camera is None and self.camera is not None and request.method != "DESCRIBE":
            camera = self.camera  # clients differ in how they join Content-Base and control
        if camera is None:
            return _response(404)
        if not camera.online:
            return None
        guard = camera.guard
        if guard is not None and not guard.admits(request.headers.get("Authorization"), request.method):
            return _response(401, {"WWW-Authenticate": guard.challenge()})
        camera.asked.append(request.method)
        if camera.faults.redirect is not None and request.method == "DESCRIBE":
            return _response(302, {"Location": camera.faults.redirect})
        match request.method:
            case "DESCRIBE":
                return await self._describe(camera, request)
            case "GET_PARAMETER" if "no_get_parameter" not in camera.faults.quirks:
                return _response(200, {"Session": self._id})
            case "SETUP" | "PLAY" | "PAUSE" | "TEARDOWN":
                return self._control(camera, request)
        return _response(405, {"Allow": METHODS})

    async def _describe(self, camera: CameraFile, request: Request) -> Response:
        try:
            film = await self._server.film_of(camera)
        except (OSError, ValueError) as error:
            log.error("rtsp.film_unreadable", file=str(camera.file), error=str(error))
            return _response(503)
        host = self._writer.get_extra_info("sockname")[0]
        base = request.url.rstrip("/") + "/"
        if "foreign_base" in camera.faults.quirks:
            base = f"rtsp://192.168.1.64:554/{camera.path}/"
        headers = {"Content-Type": "application/sdp", "Content-Base": base}
        return Response(200, "OK", Headers(headers), describe(film, host) + camera.faults.more_sdp)

    def _control(self, camera: CameraFile, request: Request) -> Response:
        after = step(self._state, request.method)
        if after is None:
            return _response(455)
        session = request.headers.get("Session")
        if self._state is not State.INIT and (session or "").partition(";")[0].strip() not in {self._id, ""}:
            return _response(454)
        headers = {"Session": self._id}
        if request.method == "SETUP":
            chosen = self._outlet_for(camera, parse_transports(request.headers.get("Transport") or ""))
            if chosen is None:
                return _response(461)
            timeout = camera.faults.timeout_s or SESSION_TIMEOUT_S
            headers = {"Transport": chosen, "Session": f"{self._id};timeout={timeout}"}
            if "no_session" in camera.faults.quirks:
                del headers["Session"]
        elif request.method == "PLAY":
            if "no_range" in camera.faults.quirks and request.headers.get("Range") is not None:
                return _response(457)
            headers["Range"] = "npt=now-"
        else:
            self._stop_player()
        self.camera = camera
        self._state = after
        return _response(200, headers)

    def _outlet_for(self, camera: CameraFile, offers: list[Transport]) -> str | None:
        """Take the first transport that this camera does; the answer's Transport."""
        quirks = camera.faults.quirks
        for offer in offers:
            if not offer.unicast or ("udp_only" if offer.tcp else "tcp_only") in quirks:
                continue
            if offer.tcp:
                low, high = (6, 7) if "odd_channels" in quirks else offer.channels or (0, 1)
                self._outlet = TcpOutlet(self._writer, low, high)
                profile = "RTP/AVP" if "transport_without_tcp" in quirks else "RTP/AVP/TCP"
                return f"{profile};unicast;interleaved={low}-{high}"
            if offer.client_port is not None:
                local, peer = (self._writer.get_extra_info(name)[0] for name in ("sockname", "peername"))
                self._outlet = outlet = UdpOutlet(local, peer, offer.client_port)
                ours, theirs = outlet.ports, offer.client_port
                return f"RTP/AVP;unicast;client_port={theirs[0]}-{theirs[1]};server_port={ours[0]}-{ours[1]}"
        return None

    def _numbered(self, response: Response, request: Request) -> Response:
        sequence = (request.headers.get("CSeq") or "0")[:16]
        items = [("CSeq", sequence), ("Server", "sharpeyes-demo"), *response.headers.items]
        if self.camera is not None and "no_cseq" in self.camera.faults.quirks:
            del items[0]
        return Response(response.status, response.reason, Headers(items), response.body)

    def _stop_player(self) -> None:
        if self._player is not None:
            self._player.cancel()
            self._player = None

    async def _play(self) -> None:
        """Send frames at their time until the session ends."""
        camera = self.camera
        assert camera is not None
        assert self._outlet is not None
        film = await self._server.film_of(camera)
        self._server.count(camera, 1)
        try:
            await play(camera, film, self._outlet, lambda: self._heard)
        except (OSError, TimeoutError):
            pass
        finally:
            self._outlet.close()
            self._server.count(camera, -1)
        self._writer.transport.abort()  # the client stalled, or let its session run out


def _path(url: str) -> str:
    """The camera's path in a request URL, without the track."""
    try:
        path = unquote(urlsplit(url).path).strip("/")
    except ValueError:
        return ""
    return path.removesuffix("/trackID=0")


def _response(status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(status, REASONS[status], Headers(headers))
