"""Composition root: a role's name becomes objects in one TaskGroup; `serve` becomes child processes."""

import asyncio
import contextlib
import fcntl
import signal
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import structlog

from hub import logs
from hub.bus import redis_server, registry
from hub.bus.connection import connect
from hub.domain.clock import system_clock
from hub.domain.errors import Conflict, HubError, Unavailable
from hub.domain.ids import new_id
from hub.secrets import internal_token, prepare_data_folder
from hub.settings import Settings
from hub.supervisor import EX_CONFIG, Child, ChildFailed, keep
from hub.tls import Tls
from signaling.wire import MAX_ANSWER_BYTES

if TYPE_CHECKING:  # what only one role needs is imported by that role: the relay never loads the database
    from redis.asyncio import Redis

    from hub.api.app import BackgroundTask
    from hub.bus.internal_http import Server
    from hub.services.context import Context

READY_S: Final = 180.0  # a first `sharpeyes demo` without `make` encodes its films meanwhile
POLL_S: Final = 0.1
_BOTH: Final = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
LAST_TO_END: Final = frozenset({"redis", "demo-cameras", "demo-device"})

log = structlog.get_logger("main")


# one machine: serve -------------------------------------------------------------------------------


def children(settings: Settings, tls: Tls | None) -> list[Child]:
    """The processes of one machine; the embedded Redis among them unless a URL names another."""
    environment = settings.environ()
    hub = [sys.executable, "-m", "hub.cli", "role"]
    secure = ["--tls-cert", str(tls.certificate), "--tls-key", str(tls.key)] if tls else []
    result = [
        Child("api", [*hub, "api", *secure], environment),
        *relay_children([*hub, "relay"], settings),
        Child("vision", [*hub, "vision"], environment),
    ]
    if settings.gb_id:
        result.append(Child("gateway", [*hub, "gateway"], environment))
    if settings.demo:
        result.append(Child("demo-cameras", [*hub, "demo-cameras"], environment))
        if settings.gb_id:
            result.append(Child("demo-device", [*hub, "demo-device"], environment))
    if not settings.redis_url:
        result.insert(0, Child("redis", redis_server.command(settings)))
    return result


def relay_children(command: list[str], settings: Settings) -> list[Child]:
    """A process a relay, each with a media port of its own."""
    found = []
    for n in range(settings.relays):
        name = "relay" if n == 0 else f"relay-{n + 1}"
        port = settings.media_ports[n]
        found.append(
            Child(name, [*command, "--log-as", name], settings.environ() | {"SHARPEYES_MEDIA_PORT": str(port)})
        )
    return found


async def serve(settings: Settings, tls: Tls | None, announce: Callable[[float], None]) -> None:
    """Run every role on this machine until SIGINT or SIGTERM; ``announce(seconds)`` once it is ready.

    Raises HubError in one plain line: folder not writable, already running, port taken.
    """
    started = system_clock()
    prepare_data_folder(settings)
    with only_one(settings.data):
        check_ports(settings)
        internal_token(settings)
        await connect(settings.redis, name="supervisor").aclose()  # opens nothing: a URL that is none is said here
        if not settings.redis_url:
            redis_server.prepare(settings)
        processes = children(settings, tls)
        stop = stop_event()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(keep(child), name=child.name) for child in processes]
                tasks.append(group.create_task(_say_ready(settings, tls, started, announce)))
                await stop.wait()
                await end_in_order(tasks)
        except BaseExceptionGroup as failed:
            names = ", ".join(str(error) for error in leaves(failed) if isinstance(error, ChildFailed))
            if not names:
                raise
            raise Unavailable("child.failed", f"The hub ends: {names} cannot run (the reason stands above)") from None


async def end_in_order(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel what uses others before what is used, so that nobody mourns a camera or a bus on the way out."""
    used = [task for task in tasks if task.get_name() in LAST_TO_END]
    users = [task for task in tasks if task not in used]
    for some in (users, used):
        for task in some:
            task.cancel()
        if some:
            await asyncio.wait(some)


def stop_event() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


@contextlib.contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Hold the data folder's lock. Raises Conflict when another hub holds it."""
    with (data / "hub.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                "data.in_use", f"A hub is running on {data} already; end it, or name another --data"
            ) from None
        yield


def check_ports(settings: Settings) -> None:
    """Raise Conflict naming the first port that somebody else has."""
    media = settings.media_host or settings.host
    wanted = [(settings.host, settings.port, socket.SOCK_STREAM, "--port")]
    kinds = _BOTH if settings.media_tcp else _BOTH[:1]
    wanted += [(media, port, kind, "SHARPEYES_MEDIA_PORT") for port in settings.media_ports for kind in kinds]
    if settings.gb_id and settings.sip_port:
        wanted += [(settings.sip_bind, settings.sip_port, kind, "SHARPEYES_SIP_PORT") for kind in _BOTH]
    if settings.demo:
        wanted.append(("127.0.0.1", settings.rtsp_port, socket.SOCK_STREAM, "SHARPEYES_DEMO_RTSP_PORT"))
    for host, port, kind, option in wanted:
        if port > 65_535:
            raise Conflict("port.taken", f"there is no port {port}; choose a smaller one by {option}")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                protocol = "TCP" if kind == socket.SOCK_STREAM else "UDP"
                why = error.strerror or str(error)
                raise Conflict(
                    "port.taken", f"{protocol} port {port} on {host} can't be used: {why}; choose another by {option}"
                ) from None


async def _say_ready(settings: Settings, tls: Tls | None, started: int, announce: Callable[[float], None]) -> None:
    """Wait until interface, relay and demo cameras are there, then announce how long it took."""
    verify: ssl.SSLContext | bool = True
    if tls:
        verify = ssl.create_default_context(cafile=str(tls.certificate))
        verify.check_hostname = False  # the operator's certificate may name another host; this is our own process
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    url = f"{'https' if tls else 'http'}://{host}:{settings.port}/readyz"
    redis = connect(settings.redis, name="supervisor")
    try:
        async with asyncio.timeout(READY_S), httpx.AsyncClient(verify=verify, trust_env=False) as client:
            while not await _all_there(settings, client, url, redis):  # noqa: ASYNC110  other processes give no event
                await asyncio.sleep(POLL_S)
        announce((system_clock() - started) / 1000)
    except TimeoutError:
        log.error("not ready in time; see the logs", seconds=READY_S, folder=str(settings.data / "logs"))
    finally:
        await redis.aclose()


async def _all_there(settings: Settings, client: httpx.AsyncClient, url: str, redis: "Redis") -> bool:
    if not await _answers(client, url) or len(await registry.nodes(redis, "relay")) < settings.relays:
        return False
    return await _cameras(settings)


async def _cameras(settings: Settings) -> bool:
    """Whether the demo cameras can be pulled; true where there are none. Their films may still be in the making."""
    if not settings.demo:
        return True
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", settings.rtsp_port)
    except OSError:
        return False
    writer.close()
    return True


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


# one role -----------------------------------------------------------------------------------------


def run_role(role: str, settings: Settings, main: Callable[[Settings], Awaitable[None]]) -> int:
    """Run one role until SIGINT or SIGTERM. Returns the exit status: EX_CONFIG for what a retry won't mend."""
    import uvloop

    try:
        prepare_data_folder(settings)
        logs.configure(role, settings.data / "logs", settings.log_level)
        uvloop.run(_until_stopped(main(settings)))
    except (HubError, BaseExceptionGroup) as raised:
        errors = list(leaves(raised))
        if not all(isinstance(error, HubError) for error in errors):
            raise
        for error in errors:
            print(f"sharpeyes {role}: {error}", file=sys.stderr)
        return EX_CONFIG
    return 0


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions inside a group, however deep; or the exception itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


async def _until_stopped(work: Awaitable[None]) -> None:
    """Run the work; cancel it on SIGINT or SIGTERM and wait for its end."""
    stop = stop_event()
    task = asyncio.ensure_future(work)
    waiter = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def api(settings: Settings, tls: Tls | None) -> None:
    """The api role: database, REST, /ws, WHEP and WHIP doors, console."""
    import uvicorn

    from hub.api.app import create_app
    from hub.api.live import make_live
    from hub.bus.http_protocol import BoundedProtocol
    from hub.bus.internal_http import Server
    from hub.services.context import make_context
    from hub.store.migrate import migrate

    if settings.turn_urls:
        settings.turn_key  # noqa: B018 - a secret that is missing is said here, not to the first viewer
    await migrate(settings)
    redis = connect(settings.redis, name="api")
    ctx = make_context(settings, redis=redis)
    live = make_live(ctx, token=internal_token(settings), node=new_id("api"))
    try:
        await populate(ctx)
        tasks = (*live.tasks, *story(ctx, tls))
        app = create_app(ctx, states=live.states, online=live.online, parts=live.parts, tasks=tasks)
        server = Server(
            uvicorn.Config(
                app,
                host="" if settings.host == "::" else settings.host,  # asyncio takes "::" for IPv6 alone
                port=settings.port,
                ws="websockets-sansio",
                ws_max_size=MAX_ANSWER_BYTES,
                ws_per_message_deflate=False,
                http=BoundedProtocol,
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=2_000,
                timeout_graceful_shutdown=3,
                ssl_certfile=tls.certificate if tls else None,
                ssl_keyfile=tls.key if tls else None,
            )
        )
        await serve_until_cancelled(server)
    finally:
        await live.close()
        await ctx.close()
        await redis.aclose()


async def populate(ctx: "Context") -> None:
    """Whoever and whatever must be there before the first request."""
    if ctx.settings.demo:
        from hub.demo.town import ensure_town

        await ensure_town(ctx)
    else:
        from hub.first_start import ensure_first_people

        await ensure_first_people(ctx)


def story(ctx: "Context", tls: Tls | None) -> "list[BackgroundTask]":
    """The demo plays its story once, beside everything else."""
    if not ctx.settings.demo:
        return []
    from hub.api.app import BackgroundTask
    from hub.demo.script import play

    url = f"{'https' if tls else 'http'}://127.0.0.1:{ctx.settings.port}"
    return [BackgroundTask("demo/story", lambda: play(ctx, url))]


async def serve_until_cancelled(server: "Server") -> None:
    """Run uvicorn; when this task is cancelled let it say goodbye to its clients first."""
    task = asyncio.create_task(server.serve(), name="http")
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        server.should_exit = True
        await task
        raise
    except SystemExit:  # uvicorn's way to say that it could not listen; it has logged why
        raise Unavailable("http.failed", "the interface could not listen (the reason stands above)") from None


async def relay(settings: Settings) -> None:
    """The relay role."""
    from hub.media.node import run_relay

    async with contextlib.aclosing(connect(settings.redis, name="relay")) as redis:
        await run_relay(settings, node_id=new_id("relay"), token=internal_token(settings), redis=redis)


async def gateway(settings: Settings) -> None:
    """The gateway role."""
    from hub.gateway import run_gateway

    if not settings.gb_id:
        raise Unavailable("gateway.no_id", "SHARPEYES_GB_ID is needed: our identifier of 20 digits in GB/T 28181")
    async with contextlib.aclosing(connect(settings.redis, name="gateway")) as redis:
        await run_gateway(settings, node_id=new_id("gateway"), token=internal_token(settings), redis=redis)


async def vision(settings: Settings) -> None:
    """The vision role."""
    from hub.vision_worker import run_vision

    async with contextlib.aclosing(connect(settings.redis, name="vision")) as redis:
        await run_vision(settings, node_id=new_id("vision"), token=internal_token(settings), redis=redis)


async def demo_cameras(settings: Settings) -> None:
    """The demo town's cameras: real RTSP from films encoded once."""
    from hub.demo.cameras import run_cameras
    from hub.demo.scenes import ensure_scenes

    files = await asyncio.to_thread(ensure_scenes, settings.data / "demo" / "scenes")
    await run_cameras(files, "127.0.0.1", settings.rtsp_port)


async def demo_device(settings: Settings) -> None:
    """The demo town's GB/T 28181 devices."""
    from hub.demo.gb_town import run_devices

    if not settings.gb_id:
        raise Unavailable("gateway.no_id", "SHARPEYES_GB_ID is needed: the platform that the devices register with")
    await run_devices(settings)
