"""One stream that a platform asked for: from the INVITE's description to packets, until BYE or the end of the file."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable
from typing import Final

from hub.demo.gb_device.camera import Channel
from hub.demo.gb_device.film import AacLoop, Film, sound_at
from hub.demo.gb_device.library import BYTES_A_SECOND, Library
from hub.demo.gb_device.options import DeviceOptions, Quirk
from hub.demo.gb_device.outlets import Outlet, TcpOutlet, UdpOutlet
from hub.demo.gb_device.packing import Packer, payload_type_of
from hub.demo.gb_device.player import Player
from signaling.gb28181.invite import Media, Payload, write
from signaling.gb28181.mansrtsp import Steer

OWN_SSRC: Final = 100_000_000


class Stream:
    """Make it, put ``answer()`` in the 200, ``run`` it, ``close`` it. Raises OSError where no port is to be had."""

    def __init__(
        self,
        options: DeviceOptions,
        channel: Channel,
        offer: Media,
        film: Film,
        sound: bytes,
        *,
        now: Callable[[], float],
        wall: int,
    ) -> None:
        self.channel, self.offer = channel, offer
        self.counters: Counter[str] = Counter()
        self.finished = asyncio.Event()
        self.hang_up: Callable[[], object] = lambda: None
        self._options, self._film, self._sound, self._now = options, film, sound, now
        self._ssrc = offer.ssrc or OWN_SSRC + secrets.randbelow(OWN_SSRC)
        self._packer = Packer(options, self._ssrc, aac=_aac() if options.sound == "aac" else None)
        self._turn = asyncio.Event()
        self._length: float | None = None
        if offer.purpose in ("playback", "download"):
            cut = Library(channel.id, options.recorded_hours).cut(offer.start_s, offer.end_s, wall)
            self._length = float(cut[1] - cut[0]) if cut else 0.0
        self.outlet = self._outlet()
        self.player: Player | None = None

    def _outlet(self) -> Outlet:
        offer, options = self.offer, self._options
        if not offer.tcp:
            return UdpOutlet(options.local_host, (offer.host, offer.port))
        target = None if offer.setup == "active" else (offer.host, offer.port)
        return TcpOutlet(
            options.local_host, target, framing="dollar" if options.has(Quirk.DOLLAR_FRAMING) else "length",
            mid_packet=options.has(Quirk.MID_PACKET),
        )  # fmt: skip

    def answer(self, owner: str) -> bytes:
        """The description of the 200."""
        options, offer = self._options, self.offer
        told = None if options.has(Quirk.NO_Y) else self._packer.ssrc
        if options.has(Quirk.ZERO_SSRC):
            told = 0
        size = None
        if offer.purpose == "download":
            size = int((self._length or 0) * BYTES_A_SECOND)
        number = payload_type_of(options)
        body = write(
            Media(
                owner=owner, host=options.local_host, port=self.outlet.port, purpose=offer.purpose, tcp=offer.tcp,
                setup=("passive" if offer.setup == "active" else "active") if offer.tcp else "",
                direction="sendonly", payloads=(Payload(number, "PS"),), ssrc=told, size=size,
                start_s=offer.start_s, end_s=offer.end_s,
            )
        )  # fmt: skip
        if options.has(Quirk.SHORT_Y) and told is not None:
            body = body.replace(f"y={told:010d}".encode(), f"y={told % 1_000_000:06d}".encode())
        return body

    def want_key(self) -> None:
        """IFameCmd."""
        if self.player is not None:
            self.player.want_key()

    def steer(self, steer: Steer) -> bool:
        """A MANSRTSP body; False when this is no playback."""
        if self._length is None or self.player is None:
            return False
        self.counters[f"steer_{steer.action}"] += 1
        match steer.action:
            case "pause":
                self.player.pause()
            case "teardown":
                self.finished.set()
            case _:
                self.player.go(self._now(), seek_s=steer.seek_s, scale=steer.scale)
        self._turn.set()
        return True

    async def run(self) -> bool:
        """Send until cancelled, or to the end of the file (True). Raises OSError, TimeoutError: nobody takes it."""
        await self.outlet.open()
        silent = self._options.has(Quirk.SILENT) or (self._options.has(Quirk.SILENT_UDP) and not self.offer.tcp)
        scale = float(self.offer.speed or 1) if self.offer.purpose == "download" else 1.0
        self.player = player = Player(self._film, self._now(), length_s=self._length, scale=scale)
        while not player.finished and not self.finished.is_set():
            if not await self._wait(player):
                continue
            place = self.channel.head.at(self._now())
            view = 0 if self._length is not None else self._film.view_of(place)
            cue = player.take(view)
            packets = self._packer.packets(cue, sound_at(cue.index, self._sound))
            if packets and not silent:
                await self.outlet.send(packets)
                self.counters["pictures"] += 1
                self.counters["packets"] += len(packets)
        return player.finished

    async def _wait(self, player: Player) -> bool:
        """Until the next picture is due; False when something was steered meanwhile."""
        due = player.due()
        wait = None if due is None else due - self._now()
        if wait is not None and wait <= 0:
            await asyncio.sleep(0)
            return True
        self._turn.clear()
        try:
            async with asyncio.timeout(wait):
                await self._turn.wait()
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        """Give the ports back."""
        self.outlet.close()


def _aac() -> AacLoop:
    from hub.demo.gb_device.views import aac_tone  # codecs: a device with other sound needs none

    return aac_tone()
