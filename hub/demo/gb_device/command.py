"""What ``sharpeyes demo device`` does: options from text, devices until the end, a line every ten seconds."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, get_args

from hub.demo.gb_device.device import GbDevice
from hub.demo.gb_device.film import Film
from hub.demo.gb_device.fleet import MAX_DEVICES, run_fleet, summary
from hub.demo.gb_device.options import HELP, DeviceOptions, SoundKind, parse_quirks
from hub.demo.gb_device.views import file_film, scene_film, small_film
from hub.domain.errors import Invalid
from signaling.gb28181.edition import Edition
from signaling.gb28181.ids import is_id

REPORT_S: Final = 10.0
_SHOWN = "devices online streams registered keepalives keepalives_lost calls talks failures"
SHOWN: Final = tuple(_SHOWN.split())


def quirk_list() -> str:
    """Every misbehaviour and what it does."""
    width = max(len(each.value) for each in HELP)
    return "\n".join(f"{quirk.value:<{width}}  {text}" for quirk, text in HELP.items())


def options_from(
    *,
    server: str,
    server_id: str,
    domain: str,
    password_file: Path | None,
    channels: int,
    first: int,
    devices: int,
    transport: str,
    edition: str,
    heartbeat_s: float,
    expires_s: int,
    local_host: str,
    late_s: float,
    quirks: str,
    sound: str = "g711a",
) -> DeviceOptions:
    """Options of the first device. Raises Invalid naming what is wrong."""
    host, colon, port = server.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise Invalid("demo.server", "--server is host:port")
    if not is_id(server_id) or not (domain.isdigit() and 8 <= len(domain) <= 20):
        raise Invalid("demo.server", "--server-id has up to 32 digits, --domain ten")
    if transport not in ("udp", "tcp"):
        raise Invalid("demo.transport", "--transport is udp or tcp")
    if edition not in get_args(Edition):
        raise Invalid("demo.edition", "--edition is 2011, 2016 or 2022")
    if sound not in get_args(SoundKind):
        raise Invalid("demo.sound", "--sound is g711a, aac or none")
    if first + devices - 1 > MAX_DEVICES:
        raise Invalid("demo.device", f"device numbers end at {MAX_DEVICES}")
    password = ""
    if password_file is not None:
        try:
            password = password_file.read_text().splitlines()[0].strip()
        except (OSError, IndexError, UnicodeDecodeError):
            raise Invalid("demo.password", f"no password in {password_file}") from None
    return DeviceOptions(
        server_id=server_id, domain=domain, host=host.strip("[]"), port=int(port), password=password,
        transport="tcp" if transport == "tcp" else "udp", channels=channels, number=first,
        edition="2011" if edition == "2011" else "2016" if edition == "2016" else "2022",
        heartbeat_s=heartbeat_s, expires_s=expires_s, local_host=local_host, late_s=late_s, quirks=parse_quirks(quirks),
        sound="aac" if sound == "aac" else "none" if sound == "none" else "g711a",
    )  # fmt: skip


def film_of(name: str) -> Film:
    """The film of that name, or of a file. Raises Invalid ``demo.film``, Unavailable."""
    if name == "small":
        return small_film()
    if name == "scene":
        return scene_film()
    path = Path(name)
    if not path.is_file():
        raise Invalid("demo.film", "--film is small, scene, or a file")
    return file_film(path)


async def run(options: DeviceOptions, devices: int, film: str, seconds: float, say: Callable[[str], None]) -> None:
    """The fleet until cancelled, or for so many seconds. Raises Unavailable, Invalid."""
    shown = await asyncio.to_thread(film_of, film)
    fleet: list[GbDevice] = []
    say(
        f"{devices} devices of {options.channels} channels, first {options.device_id}, to {options.host}:{options.port}"
    )

    async def report() -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            say(line(fleet))

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds or None), asyncio.TaskGroup() as group:
            group.create_task(report(), name="gb/report")
            group.create_task(run_fleet(options, devices, shown, fleet=fleet), name="gb/fleet")
    say(line(fleet))


def line(fleet: Sequence[GbDevice]) -> str:
    """One line of counters."""
    counts = summary(fleet)
    return "  ".join(f"{name} {counts.get(name, 0)}" for name in SHOWN)
