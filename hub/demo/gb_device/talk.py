"""Sound from the platform: broadcast, where the device calls for it, and talk, where the platform calls (2016 9.12)."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from hub.demo.gb_device.options import DeviceOptions
from hub.demo.gb_device.outlets import Heard, TcpEar, UdpEar, UdpOutlet
from signaling.gb28181.invite import PCMA, Media, parse, write

FORMAT: Final = "v/////a/1/8/1"  # G.711A, 64 kbit/s, 8 kHz (annex G)
TalkMode = Literal["udp", "tcp_active", "tcp_passive"]


@dataclass(slots=True)
class Talk:
    """One session; ``heard`` counts and keeps what came. ``mode`` is as the device sees it."""

    options: DeviceOptions
    mode: TalkMode
    heard: Heard = field(default_factory=Heard)
    ear: UdpEar | TcpEar | None = None

    def offer(self, owner: str, ssrc: int | None = None) -> bytes:
        """Our description: the INVITE of a broadcast. Raises OSError."""
        local = self.options.local_host
        port = 9
        if self.mode == "udp":
            self.ear = UdpEar(self.heard, local)
            port = self.ear.port
        elif self.mode == "tcp_passive":
            self.ear = TcpEar(self.heard, local, None)
            port = self.ear.port
        return write(
            Media(
                owner=owner, host=local, port=port, kind="audio", payloads=(PCMA,), tcp=self.mode != "udp",
                setup="" if self.mode == "udp" else "active" if self.mode == "tcp_active" else "passive",
                direction="recvonly", ssrc=ssrc, format=FORMAT,
            )
        )  # fmt: skip

    def answered(self, body: bytes) -> None:
        """The platform's description. Raises GbError."""
        media = parse(body)
        if self.mode == "tcp_active":
            self.ear = TcpEar(self.heard, self.options.local_host, (media.host, media.port))

    async def run(self) -> None:
        """Listen until cancelled, or until the platform closes its connection."""
        if self.ear is not None:
            await self.ear.run()

    def close(self) -> None:
        """Give the port back."""
        if self.ear is not None:
            self.ear.close()


def talk_of(options: DeviceOptions, offer: Media) -> Talk:
    """The session for a talk that the platform INVITEs to."""
    return Talk(options, "udp" if not offer.tcp else "tcp_passive" if offer.setup == "active" else "tcp_active")


def answer_talk(talk: Talk, owner: str, offer: Media) -> bytes:
    """Our answer to it. Raises OSError."""
    body = talk.offer(owner, offer.ssrc)
    if talk.mode == "tcp_active":
        talk.ear = TcpEar(talk.heard, talk.options.local_host, (offer.host, offer.port))
    return body.replace(b"s=Play", b"s=Talk").replace(b"a=recvonly", b"a=sendrecv")


async def speak(sound: bytes, options: DeviceOptions, offer: Media, packets: Callable[[bytes, int], bytes]) -> None:
    """The device's own voice in a talk over UDP: 40 ms a packet until cancelled."""
    outlet = UdpOutlet(options.local_host, (offer.host, offer.port))
    index = 0
    try:
        while True:
            at = index * 320 % max(1, len(sound) - 319)
            await outlet.send([packets(sound[at : at + 320], index * 320)])
            index += 1
            await asyncio.sleep(0.04)
    finally:
        outlet.close()
