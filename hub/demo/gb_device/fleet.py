"""Many simulated devices in one process, each on a port of its own: the demo town's, and loads for a platform."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from hub.demo.gb_device.device import GbDevice
from hub.demo.gb_device.film import Film, tone
from hub.demo.gb_device.options import DeviceOptions, Quirk
from hub.domain.errors import Unavailable
from signaling.sip.headers import COMPACT
from signaling.transport.sip import Flow, NodeConfig, ServerTransaction, SipNode, StackConfig

MAX_DEVICES: Final = 999
RAMP: Final = 50  # devices that begin in one second
_SHORT: Final = {name: letter for letter, name in COMPACT.items()}


class OddNode(SipNode):
    """A node whose messages are written as some devices write them: compact names, padded lengths."""

    quirks: frozenset[Quirk] = frozenset()

    def _send(self, flow: Flow, data: bytes) -> None:
        super()._send(flow, odd(data, self.quirks) if self.quirks else data)


def odd(data: bytes, quirks: frozenset[Quirk]) -> bytes:
    """A message with compact header names or a padded Content-Length; the body stays."""
    head, gap, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    if Quirk.PADDED_LENGTH in quirks:
        lines = [re.sub(rb"(?i)^(content-length):\s*(\d+)$", rb"\1:     \2", line) for line in lines]
    if Quirk.COMPACT_HEADERS in quirks:
        lines = [lines[0], *(_compact(line) for line in lines[1:])]
    return b"\r\n".join(lines) + gap + body


def _compact(line: bytes) -> bytes:
    name, colon, value = line.partition(b":")
    short = _SHORT.get(name.decode("latin-1").strip().lower())
    return short.encode() + colon + value if short else line


@contextlib.asynccontextmanager
async def running(options: DeviceOptions, film: Film, sound: bytes | None = None) -> AsyncIterator[GbDevice]:
    """One device while the block lasts. Raises Unavailable ``demo.gb_port``."""
    async with asyncio.TaskGroup() as group, contextlib.AsyncExitStack() as stack:
        device = await _made(options, film, tone() if sound is None else sound, stack)
        task = group.create_task(device.run(), name=f"gb/{device.id}")
        try:
            yield device
        finally:
            task.cancel()


async def run_fleet(
    options: DeviceOptions,
    devices: int,
    film: Film,
    *,
    ready: Callable[[Sequence[GbDevice]], None] | None = None,
    fleet: list[GbDevice] | None = None,
) -> None:
    """``devices`` devices, numbered on from ``options.number``, until cancelled; they begin 50 a second.

    ``fleet`` is filled with them as they begin.

    Raises Unavailable ``demo.gb_port`` when no port is to be had.
    """
    sound = tone()
    made: list[GbDevice] = [] if fleet is None else fleet
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for number in range(devices):
            each = replace(options, number=options.number + number)
            device = await _made(each, film, sound, stack)
            made.append(device)
            group.create_task(device.run(), name=f"gb/{device.id}")
            if number % RAMP == RAMP - 1:
                await asyncio.sleep(1.0)
        if ready is not None:
            ready(made)


async def _made(options: DeviceOptions, film: Film, sound: bytes, stack: contextlib.AsyncExitStack) -> GbDevice:
    holder: list[GbDevice] = []

    def handle(transaction: ServerTransaction) -> None:
        holder[0].handle(transaction)

    node = OddNode(handle, _config(options))
    node.quirks = options.quirks & {Quirk.PADDED_LENGTH, Quirk.COMPACT_HEADERS}
    moved: SipNode | None = None
    try:
        await stack.enter_async_context(node)
        if options.has(Quirk.NAT_MOVES):
            moved = SipNode(lambda transaction: holder[0].handle(transaction, moved), _config(options))
            await stack.enter_async_context(moved)
    except OSError as error:
        raise Unavailable("demo.gb_port", f"no port for device {options.device_id}: {error.strerror}") from None
    holder.append(GbDevice(options, node, film, sound, moved=moved))
    return holder[0]


def _config(options: DeviceOptions) -> NodeConfig:
    return NodeConfig(host=options.local_host, stack=StackConfig(agent="SIM-NVR 1.0", max_calls=128))


def summary(devices: Iterable[GbDevice]) -> dict[str, int]:
    """Counters of all of them together."""
    total: dict[str, int] = {"devices": 0, "online": 0, "streams": 0}
    for device in devices:
        total["devices"] += 1
        total["online"] += device.registered.is_set()
        total["streams"] += len(device.streams)
        for name, count in device.counters.items():
            total[name] = total.get(name, 0) + count
    return total
