"""The command line. Every command says in one line what went wrong; `--help` says what each is for."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from hub import __version__
from hub.cli_parts import Data, Host, Port, SelfSigned, TlsCert, TlsKey, ask, fail, settled
from hub.cli_relay import relay
from hub.domain.errors import HubError, Invalid
from hub.settings import Settings

app = typer.Typer(
    name="sharpeyes",
    help="Real-time video and unified-communications dispatch hub for command centres.",
    epilog="Settings can be given as SHARPEYES_<NAME> in the environment; docs/install.md lists them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
camera = typer.Typer(help="Add, list and remove cameras.", no_args_is_help=True)
user = typer.Typer(help="Add and list people.", no_args_is_help=True)
events = typer.Typer(help="The event log.", no_args_is_help=True)
drill = typer.Typer(help="Drills and their scores.", no_args_is_help=True)
models = typer.Typer(help="Detector weights.", no_args_is_help=True)
demos = typer.Typer(invoke_without_command=True)
app.add_typer(camera, name="camera")
app.add_typer(user, name="user")
app.add_typer(events, name="log")
app.add_typer(drill, name="drill")
app.add_typer(relay, name="relay")
app.add_typer(models, name="models")
app.add_typer(demos, name="demo")

# the hub itself -----------------------------------------------------------------------------------


@app.command()
def serve(
    data: Data = None,
    host: Host = None,
    port: Port = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the centre on the console.")] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_self_signed: SelfSigned = False,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="Serve plain HTTP on another address: a TLS proxy stands in front.")
    ] = False,
    relays: Annotated[
        int | None, typer.Option("--relays", help="Relays on this machine, one a core (default 1).")
    ] = None,
) -> None:
    """Run every role on this machine: interface and console, relay, vision, embedded Redis.

    On the first start three administrators and a duty commander get random passwords in DATA/credentials.json.
    """
    settings = settled(data=data, host=host, port=port, name=name, relays=relays)
    _run(settings, tls_cert, tls_key, tls_self_signed=tls_self_signed, behind_proxy=behind_proxy)


@demos.callback()
def demo(
    context: typer.Context,
    data: Data = None,
    port: Port = None,
    relays: Annotated[int | None, typer.Option("--relays", help="Relays on this machine (default 1).")] = None,
) -> None:
    """Run the demo town on 127.0.0.1: cameras, people in every role, one-click sign-in.

    `sharpeyes demo device --help`: simulated GB/T 28181 devices for any platform.
    """
    if context.invoked_subcommand is not None:
        return
    from hub.demo.gb_town import with_gateway

    settings = with_gateway(settled(data=data, port=port, host="127.0.0.1", demo=True, relays=relays))
    _run(settings, None, None, tls_self_signed=False, behind_proxy=False)


@demos.command("device")
def demo_device(
    server: Annotated[str, typer.Option("--server", help="The platform's SIP address, host:port.")] = "127.0.0.1:5060",
    server_id: Annotated[str, typer.Option("--server-id", help="Its identifier.")] = "34020000002000000001",
    domain: Annotated[str, typer.Option("--domain", help="Its SIP domain, ten digits.")] = "3402000000",
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="File with the devices' password; none: no digest.")
    ] = None,
    devices: Annotated[int, typer.Option("--devices", min=1, max=999, help="How many.")] = 1,
    channels: Annotated[int, typer.Option("--channels", min=1, max=999, help="Cameras of each.")] = 4,
    first: Annotated[int, typer.Option("--first", min=1, max=999, help="Number of the first device.")] = 1,
    transport: Annotated[str, typer.Option("--transport", help="udp or tcp, for SIP.")] = "udp",
    edition: Annotated[str, typer.Option("--edition", help="2011, 2016 or 2022 (X-GB-Ver).")] = "2022",
    heartbeat: Annotated[float, typer.Option("--heartbeat", help="Seconds between keepalives.")] = 60.0,
    expires: Annotated[int, typer.Option("--expires", help="Seconds that a registration lasts.")] = 3_600,
    local_host: Annotated[str, typer.Option("--local-host", help="Our address, for SIP and media.")] = "127.0.0.1",
    film: Annotated[
        str, typer.Option("--film", help="small (cheap stripes), scene (PTZ can be seen), or a file of the demo town.")
    ] = "scene",
    sound: Annotated[str, typer.Option("--sound", help="g711a, aac or none, beside the picture.")] = "g711a",
    quirks: Annotated[
        str, typer.Option("--quirks", help="Misbehaviours, parted by commas; `list` names them all and ends.")
    ] = "",
    late: Annotated[float, typer.Option("--late", help="Seconds for catalog-late.")] = 120.0,
    seconds: Annotated[float, typer.Option("--seconds", min=0, help="End after so long; 0: at Ctrl-C.")] = 0,
) -> None:
    """Simulate GB/T 28181 devices: they register, show channels, stream real PS, obey PTZ, talk back, misbehave.

    A load: sharpeyes demo device --devices 200 --channels 16 --film small
    """
    from hub.demo.gb_device import command

    if quirks == "list":
        print(command.quirk_list())
        return
    try:
        options = command.options_from(
            server=server, server_id=server_id, domain=domain, password_file=password_file, channels=channels,
            first=first, devices=devices, transport=transport, edition=edition, heartbeat_s=heartbeat,
            expires_s=expires, local_host=local_host, late_s=late, quirks=quirks, sound=sound,
        )  # fmt: skip
        asyncio.run(command.run(options, devices, film, seconds, lambda line: print(line, flush=True)))
    except HubError as error:
        fail(error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _run(settings: Settings, cert: Path | None, key: Path | None, *, tls_self_signed: bool, behind_proxy: bool) -> None:
    from hub import logs
    from hub.main import serve as run

    try:
        secure = choose_tls(settings, cert, key, tls_self_signed=tls_self_signed, behind_proxy=behind_proxy)
        logs.configure("supervisor", None, settings.log_level)
        scheme = "https" if secure else "http"
        address = f"{scheme}://{settings.host}:{settings.port}"

        def announce(seconds: float) -> None:
            if secure:
                print(f"Certificate SHA-256 {secure.fingerprint}")
            print(f"Ready in {seconds:.1f} s: {address}", flush=True)
            print(
                f"Passwords: {settings.data / 'credentials.json'}   Logs: {settings.data / 'logs'}   End: Ctrl-C",
                flush=True,
            )

        asyncio.run(run(settings, secure, announce))
    except HubError as error:
        fail(error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def choose_tls(
    settings: Settings, cert: Path | None, key: Path | None, *, tls_self_signed: bool, behind_proxy: bool
) -> Any:
    """Certificate to use, or None on loopback. Raises Invalid for other hosts without TLS."""
    import ipaddress

    from hub import tls

    if (cert is None) != (key is None):
        raise Invalid("tls.incomplete", "--tls-cert and --tls-key go together")
    if cert is not None and key is not None:
        return tls.load(cert, key)
    if tls_self_signed:
        return tls.self_signed(settings)
    try:
        loopback = settings.host == "localhost" or ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not behind_proxy:
        raise Invalid(
            "tls.needed",
            f"{settings.host} is not this machine alone: browsers give a page no camera or microphone without HTTPS. "
            "Add --tls-cert and --tls-key, or --tls-self-signed, or --behind-proxy",
        )
    return None


@app.command(hidden=True)
def role(
    name: str,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_self_signed: SelfSigned = False,
    data: Data = None,
    log_as: Annotated[str | None, typer.Option("--log-as", help="Name of its log, where a host runs several.")] = None,
) -> None:
    """Run one role in this process: api, relay, gateway, vision, demo-cameras, demo-device (a cluster does this)."""
    from hub import main, tls

    settings = settled(data=data)
    try:
        secure = tls.self_signed(settings) if tls_self_signed else None
        if tls_cert is not None and tls_key is not None:
            secure = tls.load(tls_cert, tls_key)
    except HubError as error:
        fail(error)
    roles: dict[str, Callable[[Settings], Coroutine[Any, Any, None]]] = {
        "api": lambda given: main.api(given, secure),
        "relay": main.relay,
        "gateway": main.gateway,
        "vision": main.vision,
        "demo-cameras": main.demo_cameras,
        "demo-device": main.demo_device,
    }
    if name not in roles:
        fail(Invalid("role.unknown", f"no role {name}: " + ", ".join(roles)))
    raise typer.Exit(main.run_role(log_as or name, settings, roles[name]))


@app.command()
def health(data: Data = None, port: Port = None) -> None:
    """Ask a hub on this machine whether it is ready; exit status 0 if so."""
    import httpx

    settings = settled(data=data, port=port)
    certificate = settings.data / "tls" / "certificate.pem"
    for scheme in ("https", "http"):
        try:
            url = f"{scheme}://127.0.0.1:{settings.port}/readyz"
            answer = httpx.get(
                url, verify=str(certificate) if certificate.exists() else True, trust_env=False, timeout=3
            )
        except httpx.HTTPError:
            continue
        print(answer.text)
        raise typer.Exit(0 if answer.status_code == httpx.codes.OK else 1)
    print("no answer", file=sys.stderr)
    raise typer.Exit(1)


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


# cameras and people -------------------------------------------------------------------------------


@camera.command("add")
def camera_add(
    name: Annotated[str, typer.Option("--name", help="Name as people say it.")],
    url: Annotated[
        str, typer.Option("--url", help="rtsp, rtsps, http, https or rtmp; user and password may stand in it.")
    ],
    unit: Annotated[str, typer.Option("--unit", help="Unit that owns it (see `sharpeyes user list --units`).")],
    sub_url: Annotated[
        str | None, typer.Option("--sub-url", help="Its second, smaller stream, for small tiles and narrow paths.")
    ] = None,
    data: Data = None,
) -> None:
    """Add a camera; a running hub shows it within seconds."""
    from hub import offline

    print(ask(settled(data=data), lambda ctx: offline.add_camera(ctx, name=name, url=url, unit=unit, sub_url=sub_url)))


@camera.command("list")
def camera_list(data: Data = None) -> None:
    """List cameras: id, unit, name. Addresses with passwords are never printed."""
    from hub import offline

    for line in ask(settled(data=data), offline.list_cameras):
        print(line)


@user.command("add")
def user_add(
    username: Annotated[str, typer.Option("--username")],
    name: Annotated[str, typer.Option("--name", help="Name that others see.")],
    role_name: Annotated[str, typer.Option("--role", help="commander, department, field, organiser, evaluator, …")],
    unit: Annotated[str, typer.Option("--unit")],
    data: Data = None,
) -> None:
    """Add a person; the password is asked for, twice (or read from standard input in a pipe)."""
    from hub import offline

    if sys.stdin.isatty():
        password = typer.prompt("Password (12 characters or more)", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    new = {"username": username, "name": name, "role": role_name, "unit": unit, "password": password}
    print(ask(settled(data=data), lambda ctx: offline.add_user(ctx, new)))


@user.command("list")
def user_list(data: Data = None, units: Annotated[bool, typer.Option("--units", help="List units.")] = False) -> None:
    """List people (or units): id, role, unit, name."""
    from hub import offline

    for line in ask(settled(data=data), offline.list_units if units else offline.list_users):
        print(line)


# log, drills, models ------------------------------------------------------------------------------


@events.command("verify")
def log_verify(data: Data = None) -> None:
    """Check the event log's chain; exit status 1 and the first bad sequence number if it is broken."""
    from hub import offline

    good, text = ask(settled(data=data), offline.verify_log)
    print(text)
    raise typer.Exit(0 if good else 1)


@drill.command("list")
def drill_list(data: Data = None) -> None:
    """List runs: id, state, points, title."""
    from hub import offline

    for line in ask(settled(data=data), offline.list_runs):
        print(line)


@drill.command("score")
def drill_score(
    run: Annotated[str, typer.Argument(help="Run id, or `last`.")],
    as_json: Annotated[bool, typer.Option("--json", help="The score sheet's exact bytes.")] = False,
    language: Annotated[str, typer.Option("--language", help="zh or en.")] = "zh",
    data: Data = None,
) -> None:
    """Compute a run's score from the log, with the events that prove each item. Same log, same bytes."""
    from hub import offline

    if language not in ("zh", "en"):
        fail(Invalid("language.unknown", "--language is zh or en"))
    sheet, text = ask(settled(data=data), lambda ctx: offline.score_run(ctx, run, language))
    if as_json:
        sys.stdout.buffer.write(sheet)
    else:
        print(text)


@models.command("pull")
def models_pull(
    name: Annotated[str, typer.Argument(help="Official model, for example yolo11n.")],
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="Needed for others than yolo11n, s, m, l, whose are built in.")
    ] = None,
    data: Data = None,
) -> None:
    """Fetch official weights into DATA/models, checksum verified. Needs the internet, once."""
    from hub import models as weights

    try:
        path = weights.pull(settled(data=data), name, sha256=sha256, progress=lambda text: print(text, file=sys.stderr))
    except HubError as error:
        fail(error)
    print(path)


@models.command("show")
def models_show(data: Data = None) -> None:
    """Say which weights the vision role would use, and why."""
    from hub import models as weights

    try:
        print(json.dumps(weights.describe(settled(data=data)), ensure_ascii=False, indent=2))
    except HubError as error:
        fail(error)


if __name__ == "__main__":
    app()
