"""What users of a SIP node hold: calls and subscriptions to await. Made by ``signaling.transport.sip.SipNode``."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias

from signaling.sip.call import Call as PureCall
from signaling.sip.call import Outcome, Phase
from signaling.sip.layer import Flow, ServerTransaction
from signaling.sip.message import Response
from signaling.sip.subscription import Notifier as PureNotifier
from signaling.sip.subscription import Phase as SubscriptionPhase
from signaling.sip.subscription import Subscriber

Handler: TypeAlias = Callable[[ServerTransaction], object]
"""A coroutine that it returns becomes a task of the node; anything else is passed over."""


class Owner(Protocol):
    """The node, as its calls see it."""

    def pump(self) -> None:
        """Send what waits."""
        ...

    def handle(self, handler: Handler, transaction: ServerTransaction) -> None:
        """Call a handler, or start its task."""
        ...


class SipFailure(ConnectionError):
    """A request got no answer, or not the one that was wanted."""


class SipTimeout(SipFailure):
    """No final answer in time."""


class TransportGone(SipFailure):
    """The connection is not there, or ended."""


class SipBusy(SipFailure):
    """A bound of ours is reached: too many transactions, calls or subscriptions. Nothing was sent."""


class CallRefused(SipFailure):
    """An INVITE was answered by ``response``, which is no 2xx."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.summary)
        self.response = response


class _Watched:
    """Waits on what changes in the pure room."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def _change(self) -> None:
        self._changed.set()

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._changed.clear()
            await self._changed.wait()


class Call(_Watched):
    """A call that was answered, by either side."""

    def __init__(self, node: Owner, pure: PureCall) -> None:
        super().__init__()
        self.node, self.pure = node, pure
        self.on_end: Callable[[str], None] | None = None
        """Called once with how it ended."""
        pure.user, pure.on_change = self, self._change

    def _change(self) -> None:
        super()._change()
        if self.pure.phase is Phase.ENDED and self.on_end is not None:
            told, self.on_end = self.on_end, None
            told(self.pure.why)

    @property
    def id(self) -> str:
        """The Call-ID."""
        return self.pure.dialog.call_id

    @property
    def flow(self) -> Flow:
        """Where its requests go; set it when the device moved."""
        return self.pure.flow

    @flow.setter
    def flow(self, flow: Flow) -> None:
        self.pure.flow = flow

    @property
    def body(self) -> bytes:
        """The other side's last description."""
        return self.pure.body

    @property
    def response(self) -> Response | None:
        """The 2xx, when we called."""
        return self.pure.response

    @property
    def alive(self) -> bool:
        """Whether requests can be sent in it."""
        return self.pure.alive

    @property
    def why(self) -> str:
        """How it ended: bye, local, no_ack, expired, gone; "" while it lives."""
        return self.pure.why

    @property
    def on_request(self) -> Callable[[ServerTransaction], None] | None:
        """Handler of requests inside the call, as the node's own; BYE never comes to it."""
        return self.pure.on_request

    @on_request.setter
    def on_request(self, handler: Handler | None) -> None:
        node = self.node
        self.pure.on_request = None if handler is None else lambda transaction: node.handle(handler, transaction)

    async def request(
        self,
        method: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str | None = None,
    ) -> Response:
        """The final response to a request in the call. Raises SipTimeout, TransportGone."""
        future = self._future()
        self.pure.request(
            method, lambda outcome: settle(future, outcome), headers=headers, body=body, content_type=content_type
        )
        self.node.pump()
        return response_of(await future)

    async def info(self, body: bytes, content_type: str) -> Response:
        """INFO (RFC 6086; MANSRTSP of GB/T 28181 playback)."""
        return await self.request("INFO", body=body, content_type=content_type)

    async def reinvite(self, body: bytes, content_type: str = "application/sdp") -> Response:
        """Change the session; ``body`` of the call follows the answer."""
        future = self._future()
        self.pure.reinvite(lambda outcome: settle(future, outcome), body=body, content_type=content_type)
        self.node.pump()
        return response_of(await future)

    def hang_up(self, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Send BYE and wait for nothing."""
        self.pure.bye(headers=headers)
        self.node.pump()

    async def bye(self, headers: Iterable[tuple[str, str]] = ()) -> Response | None:
        """Hang up; None when it was over already, or no answer came."""
        if not self.alive:
            return None
        future = self._future()
        self.pure.bye(lambda outcome: settle(future, outcome), headers=headers)
        self.node.pump()
        outcome = await future
        return outcome if isinstance(outcome, Response) else None

    async def wait_confirmed(self) -> bool:
        """Until the ACK is here; False when the call ended first."""
        await self._until(lambda: self.pure.phase is not Phase.ANSWERED)
        return self.pure.phase is Phase.CONFIRMED

    async def wait_ended(self) -> str:
        """Until it is over; how it ended."""
        await self._until(lambda: self.pure.phase is Phase.ENDED)
        return self.pure.why

    def record(self) -> dict[str, Any]:
        """A plain record, good for JSON, for ``SipNode.restore``. Take it anew after every request."""
        return self.pure.record()

    def _future(self) -> "asyncio.Future[Outcome]":
        return asyncio.get_running_loop().create_future()


class Subscription(_Watched):
    """A subscription of ours, refreshed as long as it stands."""

    def __init__(self, node: Owner, pure: Subscriber) -> None:
        super().__init__()
        self._node, self.pure = node, pure
        pure.on_change = self._change

    @property
    def active(self) -> bool:
        """Whether it stands."""
        return self.pure.phase is SubscriptionPhase.ACTIVE

    @property
    def why(self) -> str:
        """How it ended; "" while it stands."""
        return self.pure.why

    async def wait_active(self) -> None:
        """Until it is answered. Raises SipTimeout, TransportGone, CallRefused."""
        await self._until(lambda: self.pure.phase is not SubscriptionPhase.ASKED)
        if self.pure.phase is SubscriptionPhase.ENDED and self.pure.why.startswith("refused"):
            assert self.pure.response is not None
            raise CallRefused(self.pure.response)
        if self.pure.phase is SubscriptionPhase.ENDED:
            raise (SipTimeout if self.pure.why == "timeout" else TransportGone)(self.pure.why)

    async def wait_ended(self) -> str:
        """Until it is over; how it ended."""
        await self._until(lambda: self.pure.phase is SubscriptionPhase.ENDED)
        return self.pure.why

    @property
    def flow(self) -> Flow:
        """Where refreshes go; set it when the device moved."""
        return self.pure.flow

    @flow.setter
    def flow(self, flow: Flow) -> None:
        self.pure.flow = flow

    def leave(self) -> None:
        """Unsubscribe and wait for nothing."""
        self.pure.stop()
        self._node.pump()

    async def stop(self) -> None:
        """Unsubscribe, and wait until the other side said so (32 s at most)."""
        self.leave()
        await self.wait_ended()


class Notifier(_Watched):
    """A subscription of theirs."""

    def __init__(self, node: Owner, pure: PureNotifier) -> None:
        super().__init__()
        self._node, self.pure = node, pure
        pure.on_change = self._change

    @property
    def active(self) -> bool:
        """Whether they still want to hear."""
        return self.pure.active

    async def notify(self, body: bytes, content_type: str) -> Response:
        """Send one NOTIFY; its answer. Raises SipTimeout, TransportGone."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.pure.notify(lambda outcome: settle(future, outcome), body=body, content_type=content_type)
        self._node.pump()
        return response_of(await future)

    def end(self, why: str = "ended") -> None:
        """Say that it is over."""
        self.pure.end(why)
        self._node.pump()

    async def wait_ended(self) -> str:
        """Until it is over; how it ended."""
        await self._until(lambda: not self.pure.active)
        return self.pure.why


def settle(future: "asyncio.Future[Any]", outcome: object) -> None:
    """Set a result that may come too late."""
    if not future.done():
        future.set_result(outcome)


def response_of(outcome: Outcome) -> Response:
    """The response. Raises SipTimeout, TransportGone."""
    if isinstance(outcome, Response):
        return outcome
    raise (SipTimeout if outcome == "timeout" else TransportGone)(outcome)
