"""One open socket as the fan-out sees it: who it is, what it watches, and a bounded queue of what to send."""

import asyncio
from typing import Any, Final, Literal, TypeAlias

from hub.domain.roles import Right
from hub.domain.units import UnitTree
from hub.services.access import Reach, holds, reach
from hub.services.accounts import SignedInAs
from hub.services.context import Actor
from signaling.wire import Wire

QUEUE: Final = 256
Reason: TypeAlias = Literal["signed_out", "expired", "revoked", "shutting_down", "too_slow"]


class Client:
    """A socket. ``over`` is set with the reason when the hub wants to close it."""

    def __init__(self, who: SignedInAs, token: str, *, seq: int) -> None:
        self.who = who
        self.seq = seq  # the last event before this socket came: it gets all after
        self.token = token
        self.queue: asyncio.Queue[str] = asyncio.Queue(QUEUE)
        self.over: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()
        self.watched: frozenset[str] = frozenset()
        self.dropped = 0
        self._reach: tuple[UnitTree, Reach] | None = None

    @property
    def actor(self) -> Actor:
        return self.who.actor

    def send(self, message: Wire) -> None:
        """Queue a message; a client whose queue is full is too slow, and is let go."""
        self.send_text(message.model_dump_json())

    def send_text(self, text: str) -> None:
        """As ``send``, for a message that many get: it is put into words once."""
        if self.over.done():
            self.dropped += 1
            return
        try:
            self.queue.put_nowait(text)
        except asyncio.QueueFull:
            self.dropped += 1
            self.finish("too_slow")

    def finish(self, reason: Reason) -> None:
        """Have the socket closed; the first reason counts."""
        if not self.over.done():
            self.over.set_result(reason)

    def area(self, units: UnitTree) -> Reach:
        """The units within this person's reach, worked out once for each state of the tree."""
        if self._reach is None or self._reach[0] is not units:
            self._reach = (units, reach(units, self.actor))
        return self._reach[1]

    def takes_calls_of(self, unit: Any) -> bool:
        """Whether calls of this unit ring here."""
        return self.actor.unit == unit and holds(self.actor, Right.CONFERENCE_JOIN)
