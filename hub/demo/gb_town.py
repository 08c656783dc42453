"""The demo town's GB/T 28181 devices: four recorders with five cameras each, registered over SIP like real ones.

Their passwords follow from the installation's own secret: nobody types them, and no two installations share them.
"""

import asyncio
import hashlib
import hmac
import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import structlog

from hub.demo.gb_device import film as films
from hub.demo.gb_device.film import Film
from hub.demo.gb_device.fleet import run_fleet
from hub.demo.gb_device.options import DeviceOptions
from hub.secrets import internal_token
from hub.settings import Settings
from signaling.gb28181.edition import Edition

log: Final = structlog.get_logger(__name__)
GB_ID: Final = "34020000002000000001"
SIP_PORT: Final = 3  # after the console's
FOLDER: Final = Path("demo") / "scenes"  # beside the films of the RTSP cameras
VERSION: Final = 1  # raise it when the films change
SIZE: Final = (640, 360)
SECONDS: Final = 2


@dataclass(frozen=True, slots=True)
class TownDevice:
    """One recorder of the town; ``scene`` is the place in CAMERAS whose backdrop its cameras show."""

    number: int
    name: str
    unit: str
    scene: int
    channels: tuple[str, ...]
    transport: Literal["udp", "tcp"] = "udp"
    edition: Edition = "2016"


DEVICES: Final = (
    TownDevice(
        1, "云桥镇雪亮工程录像机", "town-1", 3,
        ("云桥镇政府门口", "云桥镇中学路口", "梅溪村小桥", "竹园村文化礼堂", "云桥镇客运站"),
    ),
    TownDevice(
        2, "禾丰镇雪亮工程录像机", "town-2", 5,
        ("禾丰镇政府门口", "禾丰镇粮站", "桑田村晒谷场", "柳湾村河堤", "禾丰镇卫生院"), transport="tcp", edition="2022",
    ),
    TownDevice(
        3, "石埠镇雪亮工程录像机", "town-3", 7,
        ("石埠镇政府门口", "石埠镇码头", "渡口村渡船口", "茶山村山门", "石埠镇加油站"),
    ),
    TownDevice(
        4, "公安局卡口录像机", "dept-police", 1,
        ("迎宾大道东卡口", "迎宾大道西卡口", "如意大桥北", "如意大桥南", "火车站站前广场"), edition="2022",
    ),
)  # fmt: skip


def with_gateway(settings: Settings) -> Settings:
    """Settings of the demo with a gateway of its own on loopback, where nothing else was chosen."""
    chosen = settings.model_fields_set
    given = {"gb_id": GB_ID, "sip_port": settings.port + SIP_PORT, "gb_media_ports": ""}
    return settings.model_copy(update={name: value for name, value in given.items() if name not in chosen})


def device_options(settings: Settings, device: TownDevice) -> DeviceOptions:
    """How a device of the town registers."""
    options = DeviceOptions(
        server_id=settings.gb_id,
        domain=settings.gb_realm,
        host="127.0.0.1",
        port=settings.sip_port,
        transport=device.transport,
        number=device.number,
        channels=len(device.channels),
        name=device.name,
        channel_names=device.channels,
        edition=device.edition,
    )
    return replace(options, password=password_of(internal_token(settings), options.device_id))


def password_of(secret: str, device: str) -> str:
    """A device's password in this installation: 80 bits of letters and digits."""
    return hmac.new(secret.encode(), f"gb28181 {device}".encode(), hashlib.sha256).hexdigest()[:20]


async def run_devices(settings: Settings) -> None:
    """All of them until cancelled. A first start without `make` encodes their films meanwhile, one after the other."""
    folder = settings.data / FOLDER
    async with asyncio.TaskGroup() as group:
        for device in DEVICES:
            film = await asyncio.to_thread(ensure_film, folder, device)
            options = device_options(settings, device)
            group.create_task(run_fleet(options, 1, film), name=f"demo-device/{device.number}")
        log.info("demo.devices", count=len(DEVICES), port=settings.sip_port)


def ensure_film(folder: Path, device: TownDevice) -> Film:
    """The film of a device, from its file; made and kept there the first time, with low priority.

    Raises Unavailable, OSError.
    """
    path, mark = folder / f"gb-{device.number}.film", f"{VERSION} {device.scene} {SIZE} {SECONDS}"
    if (film := films.load(path, mark)) is not None:
        return film
    from hub.demo.gb_device.views import scene_film  # codecs: a later start needs none

    folder.mkdir(parents=True, exist_ok=True)
    if threading.current_thread() is not threading.main_thread():
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)  # the town's first pictures come before
    film = scene_film(SECONDS, SIZE, device.scene)
    films.save(film, path, mark)
    return film
