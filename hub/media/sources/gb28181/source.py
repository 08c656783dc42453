"""A channel of a GB/T 28181 device as a source: a port of ours, an INVITE by the gateway, media, BYE.

``auto`` tries UDP first and, where nothing arrives, TCP with the device dialling; what worked is remembered per
device. Every failure says which of the many things went wrong (QUIRKS 19).
"""

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Final, Literal, Self

import structlog

from hub.bus.call_wire import CallIn, CallOut, MediaMode
from hub.bus.gateway_calls import GatewayCalls, OpenCall
from hub.bus.gateway_wire import MediaPolicy
from hub.domain.clock import Clock
from hub.domain.errors import HubError
from hub.domain.gb_url import GbAddress
from hub.media.peer.ports import Ports
from hub.media.rtp.unit import AccessUnit, Description
from hub.media.sources.errors import SourceError
from hub.media.sources.gb28181.link import Link
from hub.media.sources.gb28181.receiver import GbReceiver
from hub.media.sources.units import Described, Figures, UnitQueue

log: Final = structlog.get_logger(__name__)

FIRST_S: Final = 5.0  # from the device's answer to its first packet
READ_S: Final = 8.0
KEYFRAME_S: Final = 15.0
PICTURE_S: Final = 1.5  # after that a key frame is asked for
ASK_EVERY_S: Final = 2.0
BEAT_S: Final = 0.1
OVER_S: Final = 1.0  # after the word that a recording was sent: the word may be faster than the last packets
MAX_REMEMBERED: Final = 65_536


class Memory:
    """What worked for a device the last time, bounded."""

    def __init__(self) -> None:
        self._modes: dict[str, MediaMode] = {}

    def modes(self, device: str, policy: MediaPolicy) -> tuple[MediaMode, ...]:
        """What to try, in this order."""
        if policy != "auto":
            return (policy,)
        return ("tcp_passive", "udp") if self._modes.get(device) == "tcp_passive" else ("udp", "tcp_passive")

    def worked(self, device: str, mode: MediaMode) -> None:
        """Media came in this way."""
        self._modes.pop(device, None)
        self._modes[device] = mode
        if len(self._modes) > MAX_REMEMBERED:
            del self._modes[next(iter(self._modes))]


class GbSource:
    """``async with GbSource(...) as source: await source.read()``. ``call`` is its id at the gateway while it stands.

    ``facts`` say what came about: transport, form, quirks, left_out, end.
    """

    def __init__(
        self,
        address: GbAddress,
        *,
        gateway: str,
        calls: GatewayCalls,
        ports: Ports,
        memory: Memory,
        host: str,
        clock: Clock,
        policy: MediaPolicy = "auto",
        owner: str = "",
        on_call: Callable[[], None] = lambda: None,
        first_s: float = FIRST_S,
        read_s: float = READ_S,
        keyframe_s: float = KEYFRAME_S,
        described: Described = lambda found: None,
    ) -> None:
        """``host`` is the address of ours that devices are told; ``on_call`` hears when ``call`` changes."""
        self.call: str | None = None
        self.gateway = gateway
        self.on_over: Callable[[], None] = lambda: None  # a recording came to its end, and was read
        self._facts: dict[str, str] = {}
        self._address = address
        self._calls = calls
        self._ports = ports
        self._memory = memory
        self._host = host
        self._clock = clock
        self._policy: MediaPolicy = policy
        self._owner = owner
        self._on_call = on_call
        self._first_s, self._read_s, self._keyframe_s = first_s, read_s, keyframe_s
        self._described = described
        self._told = False  # what it brings
        self._queue = UnitQueue()
        self._receiver: GbReceiver | None = None
        self._link: Link | None = None
        self._open: OpenCall[CallOut] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._past = Figures()
        self._flowing = address.listen  # sound has no key frames to wait for
        self._paused = False  # by wish: silence is no failure
        self._finished = False  # a recording came to its end: nothing more, and no failure
        self._began = self._asked_at = 0.0
        self._loop = asyncio.get_running_loop()

    @property
    def figures(self) -> Figures:
        """Packets, losses and drops of this call, and of the ways that were tried before."""
        now = Figures(dropped=self._queue.dropped)
        return self._past + (now if self._receiver is None else now + self._receiver.figures)

    @property
    def facts(self) -> dict[str, str]:
        """What came about, in stable words."""
        return self._facts | (self._receiver.facts if self._receiver is not None else {})

    async def __aenter__(self) -> Self:
        """Ask for it, until packets arrive. Raises SourceError."""
        modes = self._memory.modes(self._address.device, self._policy)
        for place, mode in enumerate(modes):
            try:
                await self._attempt(mode)
            except SourceError as error:
                await self._close()
                another = error.id in CHANGES_MODE and place + 1 < len(modes)
                log.info("gb28181.attempt", device=self._address.device, mode=mode, reason=error.id, again=another)
                if not another:
                    raise
                continue
            except BaseException:
                await self._close()
                raise
            return self
        raise AssertionError("no way was tried")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def read(self) -> list[AccessUnit]:
        """Everything that came since the last call, at least one unit. Raises SourceError. Safe to cancel."""
        return await self._queue.read()

    def request_keyframe(self) -> None:
        """Ask the device for a key frame, every two seconds at most."""
        now = self._loop.time()
        if self.call is None or now - self._asked_at < ASK_EVERY_S or not self._address.live:
            return
        self._asked_at = now
        if self._asking is None or self._asking.done():
            self._asking = self._loop.create_task(self._ask(self.call), name=f"{self._address.channel}/keyframe")

    # opening ----------------------------------------------------------------------------------------

    async def _attempt(self, mode: MediaMode) -> None:
        """One way: until the first packet is there. Raises SourceError."""
        receiver = self._receiver = GbReceiver(udp=mode == "udp", clock=self._clock, emit=self._take)
        try:
            link = self._link = Link(mode, self._ports, receiver, on_end=self._cut)
            await link.listen()
            call = self._open = await self._calls.invite(self.gateway, self._wish(mode, link.port))
        except HubError as error:
            if isinstance(error, SourceError):
                raise
            raise SourceError(error.id, error.message) from None
        out = call.out
        receiver.announce(frozenset(ssrc for ssrc in (out.ssrc, out.answered_ssrc) if ssrc))
        link.answered(out.remote_host, out.device_host)
        self.call = out.call
        self._on_call()
        self._watch = self._loop.create_task(self._follow(call), name=f"{self._address.channel}/call")
        if mode == "tcp_active":
            await link.dial(out.remote_host, out.remote_port)
        await self._first_packet(link)
        self._memory.worked(self._address.device, mode)
        self._facts = {"transport": mode, "answered_after_ms": str(out.answered_after_ms)}
        self._began = self._loop.time()
        self._beat = self._loop.call_later(min(BEAT_S, self._read_s / 4), self._on_beat)

    def _wish(self, mode: MediaMode, port: int) -> CallIn:
        address = self._address
        return CallIn(
            device=address.device,
            channel=address.channel,
            purpose=_purpose(address),
            stream=address.stream,
            sub=address.sub,
            mode=mode,
            host=self._host,
            port=port,
            start_s=address.start_s,
            end_s=address.end_s,
            speed=address.speed,
            owner=self._owner,
        )

    async def _first_packet(self, link: Link) -> None:
        """Raises SourceError ``gb28181.answered_no_packets``, or why the call ended."""
        waits = {
            self._loop.create_task(link.first.wait(), name="gb28181/first"),
            self._loop.create_task(self._queue.failing(), name="gb28181/failed"),
        }
        try:
            await asyncio.wait(waits, timeout=self._first_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        if (error := self._queue.error) is not None:
            raise error
        if not link.first.is_set():
            others = f"; {link.strangers} packets of others" if link.strangers else ""
            raise SourceError(
                "gb28181.answered_no_packets", f"{link.mode}, none in {self._first_s:g} s at port {link.port}{others}"
            )

    async def _close(self) -> None:
        """End the call and give the port back; the source may be tried again in another way."""
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        tasks = [task for task in (self._watch, self._asking) if task is not None]
        self._watch = self._asking = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._open is not None:
            await self._open.close()
            self._open = None
        if self._receiver is not None:
            self._past = self.figures
            self._receiver = None
        if self.call is not None:
            self.call = None
            self._on_call()
        self._queue = UnitQueue()

    # while it stands --------------------------------------------------------------------------------

    async def _follow(self, call: OpenCall[CallOut]) -> None:
        """What the gateway says of the call."""
        async with contextlib.aclosing(call.events()) as events:
            async for event in events:
                if event.event == "file_end" and not self._address.live:
                    self._finished = True
                    self._facts["end"] = "file"
                elif event.event in ("paused", "resumed"):
                    self._pause(event.event == "paused")
                elif event.event == "ended" and event.reason == BYE and self._recorded:
                    self._finished = True  # so some devices say that everything was sent
                    self._facts["end"] = "bye"
                elif event.event == "ended" and not self._finished:
                    id = event.reason if event.reason.startswith(REASONS) else "source.lost"
                    self._queue.fail(SourceError(id, f"the call ended: {event.reason or 'the device said goodbye'}"))

    @property
    def _recorded(self) -> bool:
        """Whether this is a recording that was seen: what ends now was asked for, and is not asked for again."""
        return not self._address.live and self._flowing

    def _pause(self, on: bool) -> None:
        self._paused = on
        if self._link is not None:
            self._link.heard_at = self._loop.time()

    async def _ask(self, call: str) -> None:
        with contextlib.suppress(HubError):
            await self._calls.keyframe(self.gateway, call)

    def _cut(self, why: str) -> None:
        if not self._finished:
            self._queue.fail(SourceError("source.lost", f"the connection is over: {why}"))

    def _take(self, unit: AccessUnit) -> None:
        if unit.kind == "video":
            self._flowing = self._flowing or unit.keyframe
        if self._flowing:
            if not self._told:
                self._told = True
                self._tell(unit)
            if not self._finished:
                self._facts.pop("end", None)
            self._queue.put(unit)

    def _tell(self, first: AccessUnit) -> None:
        """What comes, by the first unit that is taken: a program stream names its sound in front of its pictures."""
        sound = None if self._receiver is None else self._receiver.sound
        if first.kind == "video":
            codecs = (first.codec,) if sound is None else (first.codec, sound)
            self._described(Description(codecs, first.passes, whole=False))
        else:
            self._described(Description((first.codec,), whole=False))

    def _on_beat(self) -> None:
        self._beat = None
        receiver, link = self._receiver, self._link
        if receiver is None or link is None or self._queue.failed:
            return
        self._beat = self._loop.call_later(min(BEAT_S, self._read_s / 4), self._on_beat)
        receiver.beat()
        now = self._loop.time()
        undecodable = receiver.intake.undecodable
        if undecodable is not None and not self._flowing:
            id = "gb28181.svac" if undecodable == "SVAC" else "source.unsupported_codec"
            self._queue.fail(SourceError(id, undecodable))
        elif self._finished and now - link.heard_at >= OVER_S and self._queue.empty:
            self.on_over()
        elif self._finished or self._paused:
            return
        elif now - link.heard_at >= self._read_s and self._recorded:
            self._facts["end"] = "silence"  # many say no more at the end of a file (QUIRKS 6); what comes yet is shown
            self.on_over()
        elif now - link.heard_at >= self._read_s:
            self._queue.fail(SourceError("source.lost", f"no packet for {self._read_s:g} s"))
        elif not self._flowing and now - self._began > self._keyframe_s:
            self._queue.fail(self._why_dark(receiver))
        elif receiver.wants_key or (not self._flowing and now - self._began > PICTURE_S):
            self.request_keyframe()

    def _why_dark(self, receiver: GbReceiver) -> SourceError:
        """Packets come, and no picture."""
        intake = receiver.intake
        if intake.form is None:
            return SourceError("gb28181.packets_no_ps", f"{receiver.packets} packets, and no program stream in them")
        maps = intake.demuxer.maps if intake.demuxer is not None else 0
        return SourceError(
            "gb28181.ps_no_keyframe", f"{receiver.packets} packets of {intake.form}, {maps} maps, no key frame"
        )


def _purpose(address: GbAddress) -> Literal["play", "playback", "download", "listen"]:
    if address.live:
        return "listen" if address.listen else "play"
    return "download" if address.speed > 1 else "playback"


CHANGES_MODE: Final = frozenset({"gb28181.answered_no_packets", "gb28181.dial_failed", "gb28181.mode_refused"})
"""Reasons that another way may mend."""
BYE: Final = "gb28181.bye"
REASONS: Final = ("gb28181.", "gateway.")
"""What the reasons begin with that are passed on as they are; a device that only says goodbye gives none."""
