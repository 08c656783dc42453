"""The device's calls for sound: broadcast, where it calls the platform, and talk, where the platform calls it."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from hub.demo.gb_device.camera import Channel
from hub.demo.gb_device.options import Quirk
from hub.demo.gb_device.talk import Talk, answer_talk, speak, talk_of
from signaling.gb28181 import invite
from signaling.gb28181 import messages as m
from signaling.gb28181.invite import Media
from signaling.gb28181.ps_mux import RtpSender
from signaling.transport.sip import Call, Flow, ServerTransaction, SipNode

if TYPE_CHECKING:
    from hub.demo.gb_device.device import GbDevice


class Sounds:
    """Of one device; the talks that are up stand in ``device.talks``."""

    def __init__(self, device: "GbDevice", node: SipNode, flow: Flow, sound: bytes) -> None:
        self._device, self._node, self._flow, self._sound = device, node, flow, sound

    async def broadcast(self, wish: m.BroadcastNotify) -> None:
        """Broadcast: say yes, then call the platform for its sound (2016 9.12.2)."""
        channel = self._device.answers.channel(wish.target)
        good = channel is not None and not self._device.options.has(Quirk.REFUSES)
        answer = m.BroadcastResponse(sn=wish.sn, device=wish.target or self._device.id, result=good)
        await self._device.tell(self._device.answers.body(answer))
        if channel is None or not good:
            return
        talk = Talk(self._device.options, self._device.talk_mode)
        try:
            request = self._device.request("INVITE", sender=channel.id, to=wish.source)
            request.body = talk.offer(channel.id)
            request.headers.add("Content-Type", invite.CONTENT_TYPE)
            request.headers.add("Subject", invite.subject(wish.source, 0, channel.id))
            call = await self._node.invite(request, self._flow, timeout=10.0)
            talk.answered(call.body)
            await self._listen(talk, call)
        finally:
            talk.close()

    def talk(self, node: SipNode, transaction: ServerTransaction, channel: Channel, offer: Media) -> None:
        """Talk: the platform called us (2016 9.12.1, as platforms do it)."""
        talk = talk_of(self._device.options, offer)
        call = node.answer(transaction, body=answer_talk(talk, channel.id, offer))
        if offer.direction in ("sendrecv", "recvonly") and not offer.tcp:
            sender = RtpSender(offer.ssrc or 1, 8)
            self._device.spawn(self._speak(sender, offer, call), "speak")
        if not self._device.spawn(self._listen(talk, call), "talk"):
            call.hang_up()
            talk.close()

    async def _speak(self, sender: RtpSender, offer: Media, call: Call) -> None:
        async with asyncio.TaskGroup() as group:
            speaking = group.create_task(
                speak(self._sound, self._device.options, offer, lambda data, at: sender.packet(data, at)), name="speak"
            )
            await call.wait_ended()
            speaking.cancel()

    async def _listen(self, talk: Talk, call: Call) -> None:
        self._device.talks[call.id] = talk
        self._device.counters["talks"] += 1
        self._device.wake()
        try:
            async with asyncio.TaskGroup() as group:
                hearing = group.create_task(self._hear(talk), name="hear")
                await call.wait_ended()
                hearing.cancel()
        finally:
            self._device.ended(call.id)

    async def _hear(self, talk: Talk) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            await talk.run()
