"""A SIP node on asyncio: one UDP and one TCP port, ``signaling.sip.stack`` behind them. The manual for its users.

    async with SipNode(handler, NodeConfig(host="0.0.0.0", port=5060)) as node:
        message = make_request("MESSAGE", uri, from_=ours, to=theirs, body=xml, content_type="Application/MANSCDP+xml")
        answer = await node.request(message, flow)
        call = await node.invite(make_request("INVITE", ...), flow)  # ACK is sent; call.body is the answer's SDP
        call.on_request = in_dialog                                  # INFO, re-INVITE, UPDATE, MESSAGE inside it
        await call.info(text, "Application/MANSRTSP")
        why = await call.wait_ended()                                # "bye", "local", "timeout", "transport", ...
        await call.bye()
        record = call.record()                                       # plain dict; node.restore(record, flow) later

- **Addresses.** ``Flow(transport, host, port, connection)``: the flow of a ServerTransaction is where its request
  came from; keep it and send there (a TCP device is reached over its own connection). ``connection`` 0 means any:
  ``Flow("udp", "10.0.0.2", 5060)`` reaches anybody, ``Flow("tcp", host, port)`` takes one that is there or dials.
- **handler(tx: ServerTransaction)** gets every request outside known calls and subscriptions. It answers by
  ``tx.respond(200, headers=[("Date", ...)], body=b"", content_type=None)``, now or later. A plain function is called at
  once and may return a coroutine, which the node runs as a task of its own (bounded; beyond it 503). What it raises
  becomes 500. ``tx.request`` is a ``message.Request``, ``tx.flow`` the Flow, ``tx.call`` the call it names, if any.
  The node itself answers CANCEL, BYE of a call (200), BYE, INFO, UPDATE, PRACK and re-INVITE of unknown dialogs (481),
  and what is malformed (400, 413, 416, 420, 505, ...).
- **request(request, flow, credentials=None, timeout=None) -> Response**: Via, From tag, Call-ID, CSeq, Max-Forwards and
  User-Agent are filled in where missing; 401 and 407 are met once with ``credentials`` (``rtsp.auth.Credentials``).
  The final response comes back whatever its status. Raises SipTimeout, TransportGone.
- **invite(request, flow, credentials=None, on_provisional=None, timeout=60) -> Call**: raises CallRefused (.response),
  SipTimeout, TransportGone. Cancelling the coroutine sends CANCEL, and BYE should a 2xx cross it.
- **answer(tx, body, content_type="application/sdp", headers=()) -> Call**: 200 to an INVITE, repeated until the ACK;
  ``await call.wait_confirmed()`` for that. ``tx.on_cancel`` tells of a CANCEL before.
- **call(call_id) -> Call | None**: by Call-ID alone, for a MediaStatus whose From is not the device.
- **subscribe(request, flow, on_notify, credentials=None) -> Subscription**: refreshed before it runs out;
  ``await subscription.wait_ended()``; ``await subscription.stop()``. A NOTIFY before the 200 is taken.
  ``notifier(tx, expires=...) -> Notifier`` for the other side: ``await notifier.notify(body, content_type)``.
- **trace(direction, flow, data: bytes)**: every message in and out; whoever keeps it bounds and masks it
  (``masked(data) -> str``: at most 16 KiB, credentials hidden).
- **counters**: a Counter; nothing malformed ever raises out of the node.
"""

import asyncio
import contextlib
import logging
import re
import socket
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias

from signaling.rtsp.auth import Credentials
from signaling.sip.address import SipError
from signaling.sip.call import Call as PureCall
from signaling.sip.call import Outcome
from signaling.sip.layer import Flow, ServerTransaction
from signaling.sip.message import Request, Response
from signaling.sip.stack import SipStack, StackConfig
from signaling.transport.sip_handles import (
    Call,
    CallRefused,
    Handler,
    Notifier,
    SipBusy,
    SipFailure,
    SipTimeout,
    Subscription,
    TransportGone,
    response_of,
    settle,
)
from signaling.transport.sip_tcp import TcpLimits, TcpPort
from signaling.transport.sip_udp import UdpPort

__all__ = [
    "Call", "CallRefused", "Credentials", "Flow", "NodeConfig", "Notifier", "Request", "Response", "ServerTransaction",
    "SipBusy", "SipFailure", "SipNode", "SipTimeout", "StackConfig", "Subscription", "TcpLimits", "TransportGone",
    "masked",
]  # fmt: skip

log = logging.getLogger(__name__)

TRACE_TEXT: Final = 16_384
GRAIN_S: Final = 0.01  # thousands of timers share a turn of the loop
SWEEP_S: Final = 5.0
BIND_TRIES: Final = 32
MAX_ROUTES: Final = 4_096
COMPLAIN_S: Final = 60.0

Trace: TypeAlias = Callable[[Literal["in", "out"], Flow, bytes], None]

_SECRET: Final = re.compile(
    r'((?:response|cnonce)\s*=\s*)("[^"]*"|[^,\s]+)|(a=password:)[^\r\n]*|(/uploads/)[\w-]{20,}', re.IGNORECASE
)


@dataclass(frozen=True)
class NodeConfig:
    """Where a node listens and what bounds it. Port 0: a free one; ``advertise``: our host for Via and Contact."""

    host: str = "127.0.0.1"
    port: int = 0
    advertise: str = ""
    stack: StackConfig = field(default_factory=StackConfig)
    tcp: TcpLimits = field(default_factory=TcpLimits)
    max_tasks: int = 1_024
    """Handlers that run at once; what comes beyond them is answered 503."""


def masked(data: bytes, limit: int = TRACE_TEXT) -> str:
    """A message as text for people: at most so many characters, what proves or is a password replaced by stars."""
    text = data[:limit].decode("utf-8", "replace")
    return _SECRET.sub(lambda found: (found[1] or found[3] or found[4]) + "***", text)


class SipNode:
    """One SIP element on one host and port. Use it as an async context manager."""

    def __init__(self, handler: Handler, config: NodeConfig | None = None, *, trace: Trace | None = None) -> None:
        self.config = config or NodeConfig()
        self.port = 0
        self._handler, self._trace = handler, trace
        self._routes: dict[str, str] = {}
        self._complained: dict[str, float] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._running = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._closed = False
        self._pumping = self._woken = False
        self._owned: set[asyncio.Task[None]] = set()

    # life -----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self.stack = SipStack(
            self.config.stack, now=self._loop.time, local=self._local, on_request=self._incoming, wake=self._wake
        )
        self._udp = UdpPort(self._datagram, self.pump, self.stack.counters)
        self._tcp = TcpPort(
            self.config.tcp,
            on_message=self._message,
            on_lost=self._lost,
            on_batch=self.pump,
            counters=self.stack.counters,
        )
        await self._bind()
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._sweeper = self._tasks.create_task(self._sweep(), name="sip/sweep")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self._sweeper.cancel()
        for task in [*self._owned]:
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._udp.close()
        self._tcp.close()
        assert self._tasks is not None
        await self._tasks.__aexit__(None, None, None)  # what the body raised is no fault of a task's

    async def _bind(self) -> None:
        """UDP and TCP on one port; when any will do, one at which both are free."""
        wanted = self.config.port
        for attempt in range(BIND_TRIES):
            self.port = self._udp.bind(self.config.host, wanted)
            try:
                await self._tcp.bind(self.config.host, self.port)
            except OSError:
                self._udp.close()
                if wanted or attempt == BIND_TRIES - 1:
                    raise
            else:
                return

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._tcp.sweep(self._loop.time())

    @property
    def counters(self) -> Counter[str]:
        """What came, what was wrong with it, what had to be dropped."""
        return self.stack.counters

    @property
    def crowded(self) -> bool:
        """Whether requests flood in: answers to ours may be lost at the socket."""
        return self.stack.transactions.crowded

    @property
    def connections(self) -> int:
        """TCP connections that are up."""
        return len(self._tcp)

    # sockets --------------------------------------------------------------------------------------

    def _datagram(self, data: bytes, host: str, port: int) -> None:
        self._message(data, Flow("udp", host, port))

    def _message(self, data: bytes, flow: Flow) -> None:
        if self._trace is not None:
            self._trace("in", flow, data)
        try:
            self.stack.receive(data, flow)
        except Exception:
            # A fault of ours must cost one message, not the node.
            self._complain("a message could not be handled")

    def _lost(self, flow: Flow) -> None:
        self.stack.lost(flow)

    def pump(self) -> None:
        """Send what waits, and set the clock for the next timer."""
        if self._pumping:  # a callback that sends comes here again
            return
        self._pumping = True
        try:
            while out := self.stack.take():
                for flow, data in out:
                    self._send(flow, data)
        finally:
            self._pumping = False
        due = self.stack.next_timer()
        if due is None or self._closed:
            return
        due = max(due, self._loop.time() + GRAIN_S)
        if self._timer is None or due < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = due
            self._timer = self._loop.call_at(due, self._tick)

    def _wake(self) -> None:
        """Something is to be sent, perhaps by an answer that came late and from anywhere."""
        if not self._pumping and not self._woken and not self._closed:
            self._woken = True
            self._loop.call_soon(self.pump)

    def _tick(self) -> None:
        self._timer = None
        try:
            self.stack.tick()
        except Exception:
            self._complain("a timer failed")
        self.pump()

    def _send(self, flow: Flow, data: bytes) -> None:
        if self._trace is not None:
            self._trace("out", flow, data)
        if flow.transport == "udp":
            self._udp.send(flow.host, flow.port, data)
        elif not self._tcp.send(flow, data):
            self.counters["tcp_unsent"] += 1
            self.stack.lost(flow)

    def _local(self, flow: Flow) -> tuple[str, int]:
        """Our address as that peer sees it, unless NAT lies between."""
        if self.config.advertise:
            return self.config.advertise, self.port
        host = self.config.host
        if host not in ("0.0.0.0", "::", ""):  # noqa: S104  a comparison, nothing is bound
            return (f"[{host}]" if ":" in host else host), self.port
        found = self._routes.get(flow.host)
        if found is None:
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            found = self._routes[flow.host] = _route(flow.host)
        return found, self.port

    def _complain(self, what: str) -> None:
        """Log a kind of fault once a minute; count all."""
        self.counters["faults"] += 1
        now = self._loop.time()
        if now - self._complained.get(what, -COMPLAIN_S) >= COMPLAIN_S:
            self._complained[what] = now
            log.exception("SIP: %s", what)

    # requests that come ---------------------------------------------------------------------------

    def _incoming(self, transaction: ServerTransaction) -> None:
        self.handle(self._handler, transaction)

    def handle(self, handler: Handler, transaction: ServerTransaction) -> None:
        """Call a handler; what it returns to be awaited becomes a task."""
        try:
            later = handler(transaction)
        except Exception:
            self._failed(transaction)
            return
        if not asyncio.iscoroutine(later):
            return
        if self._tasks is None or self._running >= self.config.max_tasks or self._closed:
            self.counters["refused_busy"] += 1
            later.close()
            if not transaction.answered:
                transaction.respond(503, headers=[("Retry-After", "5")])
            return
        self._running += 1
        task = self._tasks.create_task(self._later(later, transaction), name="sip/handler")
        self._owned.add(task)
        task.add_done_callback(self._owned.discard)
        task.add_done_callback(lambda _: later.close())  # one that was cancelled before its first step has not begun

    async def _later(self, later: Coroutine[Any, Any, object], transaction: ServerTransaction) -> None:
        try:
            await later
        except Exception:
            self._failed(transaction)
        finally:
            self._running -= 1
            self.pump()

    def _failed(self, transaction: ServerTransaction) -> None:
        self._complain("a handler failed")
        if not transaction.answered:
            transaction.respond(500)

    # requests of ours -----------------------------------------------------------------------------

    async def _reach(self, flow: Flow) -> Flow:
        if flow.transport == "udp" or self._tcp.alive(flow):
            return flow
        if flow.connection:
            raise TransportGone(f"{flow} is closed")
        try:
            return await self._tcp.dial(flow.host, flow.port)
        except (OSError, TimeoutError) as error:
            raise TransportGone(f"{flow}: {error or 'no answer'}") from error

    async def request(
        self, request: Request, flow: Flow, *, credentials: Credentials | None = None, timeout: float | None = None
    ) -> Response:
        """The final response to a request, whatever its status. Raises SipTimeout, TransportGone, SipBusy, SipError."""
        flow = await self._reach(flow)
        future: asyncio.Future[Outcome] = self._loop.create_future()
        with _bounded():
            conversation = self.stack.exchange(
                request, flow, lambda outcome: settle(future, outcome), credentials=credentials, limit=timeout
            )
        self.pump()
        try:
            return response_of(await future)
        finally:
            conversation.abandon()

    async def invite(
        self,
        request: Request,
        flow: Flow,
        *,
        credentials: Credentials | None = None,
        on_provisional: Callable[[Response], None] | None = None,
        timeout: float = 60.0,
    ) -> "Call":
        """A call that was answered; its ACK is out. Raises CallRefused and other SipFailures, SipError."""
        flow = await self._reach(flow)
        future: asyncio.Future[PureCall | Outcome] = self._loop.create_future()
        with _bounded():
            inviting = self.stack.invite(
                request,
                flow,
                lambda outcome: settle(future, outcome),
                provisional=on_provisional,
                credentials=credentials,
                limit=timeout,
            )
        self.pump()
        try:
            outcome = await future
        except asyncio.CancelledError:
            inviting.cancel()
            if inviting.call is not None:
                inviting.call.bye()
            self.pump()
            raise
        if isinstance(outcome, PureCall):
            return Call(self, outcome)
        if isinstance(outcome, Response):
            raise CallRefused(outcome)
        return _never(response_of(outcome))

    def answer(
        self,
        transaction: ServerTransaction,
        *,
        body: bytes,
        content_type: str | None = "application/sdp",
        headers: Iterable[tuple[str, str]] = (),
    ) -> "Call":
        """200 to an INVITE. Raises SipError (too many calls, or the session interval is too small: both were said)."""
        made = self.stack.answer(transaction, body=body, content_type=content_type, headers=headers)
        self.pump()
        if made is None:
            raise SipError("session interval is too small", status=422)
        return Call(self, made)

    def accept(
        self,
        transaction: ServerTransaction,
        call: "Call",
        *,
        body: bytes,
        content_type: str | None = "application/sdp",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """200 to a re-INVITE that ``call.on_request`` got."""
        call.pure.accept(transaction, body=body, content_type=content_type, headers=headers)
        self.pump()

    def restore(self, record: Mapping[str, Any], flow: Flow | None = None) -> "Call":
        """A call from ``Call.record`` of a former life. Raises SipError for what is no record."""
        return Call(self, self.stack.restore(record, flow))

    def call(self, call_id: str) -> "Call | None":
        """The call of that Call-ID."""
        found = self.stack.call(call_id)
        return found.user if found is not None and isinstance(found.user, Call) else None

    def calls(self) -> list["Call"]:
        """Every call that is up."""
        return [each.user for each in self.stack.calls() if isinstance(each.user, Call)]

    async def subscribe(
        self, request: Request, flow: Flow, on_notify: Handler, *, credentials: Credentials | None = None
    ) -> "Subscription":
        """Subscribe and wait for the answer. Raises CallRefused (no 2xx) and other SipFailures."""
        flow = await self._reach(flow)

        def notified(transaction: ServerTransaction) -> None:
            self.handle(on_notify, transaction)

        with _bounded():
            made = Subscription(self, self.stack.subscribe(request, flow, notified, credentials=credentials))
        self.pump()
        await made.wait_active()
        return made

    def notifier(
        self, transaction: ServerTransaction, *, expires: int | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> "Notifier":
        """200 to a SUBSCRIBE; at most ``expires`` seconds are granted. The first NOTIFY is the caller's to send."""
        made = Notifier(self, self.stack.notifier(transaction, expires=expires, headers=headers))
        self.pump()
        return made


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """What the stack has no room for is a failure that callers know, not an error of the message."""
    try:
        yield
    except SipError as error:
        if error.status == 503:
            raise SipBusy(str(error)) from error
        raise


def _never(response: Response) -> "Call":
    raise AssertionError(response.summary)


def _route(host: str) -> str:
    """Our address on the way to a host; nothing is sent."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
            found = str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
    return f"[{found}]" if ":" in found else found
