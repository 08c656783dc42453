"""Transactions that live: matching, retransmission, expiry (RFC 3261 §17). Messages in, ``Send`` and calls out.

``Transactions`` knows no dialogs. Its user is told by two callbacks: of a new request, and of an ACK that belongs to no
transaction (that of a 2xx); a client transaction tells its own user.
"""

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from signaling.sip.address import SipError
from signaling.sip.headers import Headers
from signaling.sip.message import MAGIC, Request, Response, respond
from signaling.sip.timers import Timer, Timers
from signaling.sip.transaction import CLIENT, INVITE_CLIENT, INVITE_SERVER, SERVER, Do, In, State, Table, step

Proto: TypeAlias = Literal["udp", "tcp"]
Why: TypeAlias = Literal["timeout", "transport"]


class Flow(NamedTuple):
    """Where a message came from, or goes. ``connection`` is the TCP connection's number; 0: any to that address."""

    transport: Proto
    host: str
    port: int
    connection: int = 0

    def __str__(self) -> str:
        return f"{self.transport}:{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Clocks:
    """T1, T2, T4 and the limits made of them, in seconds (RFC 3261 §17, table 4)."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0

    @property
    def limit(self) -> float:
        """Timers B, F, H, J, L, M: 64*T1, at least 32 s for D."""
        return 64 * self.t1


class Send(NamedTuple):
    """Bytes for a flow."""

    flow: Flow
    data: bytes


class _Timed:
    """The timers of one transaction, one of a kind."""

    __slots__ = ("_layer", "_timers")

    def __init__(self, layer: "Transactions") -> None:
        self._layer = layer
        self._timers: dict[In, Timer] = {}

    def happen(self, what: In) -> None:
        raise NotImplementedError

    def _set(self, what: In, wait: float) -> None:
        if (old := self._timers.get(what)) is not None:
            old.cancel()
        self._timers[what] = self._layer.timers.at(self._layer.now() + wait, lambda: self.happen(what))

    def _stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()


class ClientTransaction(_Timed):
    """A request of ours. ``on_response`` gets every response that is new, ``on_failure`` that none will come."""

    __slots__ = (
        "_failed", "_interval", "_upward", "data", "flow", "key", "request", "state", "table",
    )  # fmt: skip

    def __init__(
        self,
        layer: "Transactions",
        request: Request,
        flow: Flow,
        on_response: Callable[[Response], None],
        on_failure: Callable[[Why], None],
    ) -> None:
        super().__init__(layer)
        invite = request.method == "INVITE"
        self.request, self.flow, self.data = request, flow, request.encode()
        self.table: Table = INVITE_CLIENT if invite else CLIENT
        self.state = State.CALLING if invite else State.TRYING
        self.key = (request.via.branch, request.method)
        self._upward, self._failed = on_response, on_failure
        self._interval = layer.clocks.t1

    def start(self) -> None:
        """Send it the first time."""
        self._layer.send(self.flow, self.data)
        if self.flow.transport == "udp":
            self._set(In.RETRY, self._interval)
        self._set(In.GIVE_UP, self._layer.clocks.limit)

    def limit(self, seconds: float) -> None:
        """Give up at that time from now on, answered provisionally or not."""
        if self.state in (State.CALLING, State.TRYING, State.PROCEEDING):
            self._set(In.GIVE_UP, seconds)

    def happen(self, what: In, response: Response | None = None) -> None:
        """One step of the machine."""
        self.state, todo = step(self.table, self.state, what)
        clocks = self._layer.clocks
        for each in todo:
            match each:
                case Do.SEND:
                    self._layer.send(self.flow, self.data)
                case Do.AGAIN:
                    self._interval *= 2
                    wait = self._interval if self.table is INVITE_CLIENT else min(self._interval, clocks.t2)
                    self._set(In.RETRY, wait)
                case Do.AGAIN_SLOW:
                    self._set(In.RETRY, clocks.t2)
                case Do.STOP:
                    self._stop()
                case Do.ACK:
                    assert response is not None
                    self._layer.send(self.flow, ack_of_failure(self.request, response).encode())
                case Do.UP:
                    assert response is not None
                    self._upward(response)
                case Do.WAIT:
                    self._stop()
                    self._set(In.FORGET, clocks.limit)
                case Do.WAIT_UNRELIABLE:
                    self._stop()
                    wait = clocks.t4 if self.table is CLIENT else max(32.0, clocks.limit)
                    self._set(In.FORGET, wait if self.flow.transport == "udp" else 0.0)
                case Do.TIMED_OUT:
                    self._failed("timeout")
                case Do.BROKEN:
                    self._failed("transport")
        if self.state is State.TERMINATED:
            self._stop()
            self._layer.forget_client(self)


class ServerTransaction(_Timed):
    """A request that came. ``respond`` may be called with provisional answers and once with a final one."""

    __slots__ = (
        "_interval",
        "_last",
        "call",
        "flow",
        "key",
        "on_cancel",
        "on_failure",
        "request",
        "state",
        "table",
        "tag",
    )  # fmt: skip

    def __init__(self, layer: "Transactions", request: Request, flow: Flow, key: tuple[str, ...], tag: str) -> None:
        super().__init__(layer)
        invite = request.method == "INVITE"
        self.request, self.flow, self.key, self.tag = request, flow, key, tag
        self.table: Table = INVITE_SERVER if invite else SERVER
        self.state = State.PROCEEDING if invite else State.TRYING
        self.call: object | None = None
        """The call (``signaling.sip.call.Call``) that the request belongs to."""
        self.on_cancel: Callable[[Request], None] | None = None
        self.on_failure: Callable[[Why], None] | None = None
        self._last = b""
        self._interval = layer.clocks.t1

    @property
    def method(self) -> str:
        """The request's."""
        return self.request.method

    @property
    def answered(self) -> bool:
        """Whether a final response went out, or none can any more."""
        return self.state not in (State.TRYING, State.PROCEEDING)

    def respond(
        self,
        status: int,
        reason: str | None = None,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str | None = None,
    ) -> Response:
        """Answer. Raises IllegalMove after a final answer, SipError for a header with a line break."""
        response = respond(
            self.request, status, reason, tag=self.tag, headers=headers, body=body, content_type=content_type
        )
        self.send(response)
        return response

    def refuse(self, status: int, reason: str | None = None) -> None:
        """A failure that is sent once and forgotten, as by an element without state (RFC 3261 §8.2.7, §16.11).

        For strangers: who lies about where he is must not have us repeat a refusal eleven times to somebody else.
        """
        response = respond(self.request, status, reason, tag=self.tag)
        if self._layer.agent:
            response.headers.default("User-Agent", self._layer.agent)
        step(self.table, self.state, In.SEND_FINAL)  # raises after a final answer
        self._layer.counters[f"responses_{status // 100}xx"] += 1
        self._layer.send(self.flow, response.encode())
        self._stop()
        self.state = State.TERMINATED
        self._layer.forget_server(self)

    def send(self, response: Response) -> None:
        """Send a response made elsewhere. Raises IllegalMove after a final answer."""
        if self._layer.agent:
            response.headers.default("User-Agent", self._layer.agent)
        kind = response.status // 100
        what = {1: In.SEND_PROVISIONAL, 2: In.SEND_SUCCESS}.get(kind, In.SEND_FINAL)
        step(self.table, self.state, what)  # raises before anything changed
        self._last = response.encode()
        self._layer.counters[f"responses_{kind}xx"] += 1
        self.happen(what)
        if kind > 1 and len(self.request.body) > MAX_HELD and self.state is not State.TERMINATED:
            self._layer.timers.at(self._layer.now(), self._let_go)

    def _let_go(self) -> None:
        """It waits for repetitions only: half a minute of everybody's bodies would be the memory of the machine."""
        held = self.request
        self.request = Request(method=held.method, uri=held.uri, headers=held.headers)

    def happen(self, what: In) -> None:
        """One step of the machine."""
        self.state, todo = step(self.table, self.state, what)
        clocks, udp = self._layer.clocks, self.flow.transport == "udp"
        for each in todo:
            match each:
                case Do.SEND:
                    if self._last:
                        self._layer.send(self.flow, self._last)
                case Do.AGAIN:
                    if udp:
                        self._set(In.RETRY, self._interval)
                        self._interval = min(2 * self._interval, clocks.t2)
                case Do.GIVE_UP:
                    self._set(In.GIVE_UP, clocks.limit)
                case Do.STOP:
                    self._stop()
                case Do.WAIT:
                    self._set(In.FORGET, clocks.limit)
                case Do.WAIT_UNRELIABLE:
                    wait = clocks.t4 if self.table is INVITE_SERVER or self._layer.crowded else clocks.limit
                    self._set(In.FORGET, wait if udp else 0.0)
                case Do.TIMED_OUT | Do.BROKEN:
                    if self.on_failure is not None:
                        self.on_failure("timeout" if each is Do.TIMED_OUT else "transport")
        if self.state is State.TERMINATED:
            self._stop()
            self._layer.forget_server(self)


def ack_of_failure(invite: Request, response: Response) -> Request:
    """The ACK inside the INVITE's transaction (RFC 3261 §17.1.1.3)."""
    headers = Headers([("Via", str(invite.via))])
    for value in invite.headers.all("Route"):
        headers.add("Route", value)
    headers.add("From", invite.headers.get("From") or "")
    headers.add("To", response.headers.get("To") or "")
    headers.add("Call-ID", invite.call_id)
    headers.add("CSeq", f"{invite.cseq.number} ACK")
    headers.add("Max-Forwards", "70")
    return Request(method="ACK", uri=invite.uri, headers=headers)


def cancel_of(invite: Request) -> Request:
    """The CANCEL of an INVITE (RFC 3261 §9.1)."""
    headers = Headers([("Via", str(invite.via))])
    for value in invite.headers.all("Route"):
        headers.add("Route", value)
    for name in ("From", "To", "Call-ID"):
        headers.add(name, invite.headers.get(name) or "")
    headers.add("CSeq", f"{invite.cseq.number} CANCEL")
    headers.add("Max-Forwards", "70")
    return Request(method="CANCEL", uri=invite.uri, headers=headers)


def server_key(request: Request, method: str) -> tuple[str, ...]:
    """What a request and its retransmissions have in common (RFC 3261 §17.2.3). Raises SipError."""
    via = request.via
    branch = via.branch
    # Devices are known that send the bare cookie, or one branch for everything: Call-ID and CSeq make it sure.
    if branch.lower().startswith(MAGIC.lower()) and len(branch) > len(MAGIC):
        return (branch, via.sent_by, method, request.call_id, str(request.cseq.number))
    top = f"{via.sent_by};{branch}"
    return ("2543", top, method, request.uri, request.from_.tag or "", request.call_id, str(request.cseq.number))


MAX_TRANSACTIONS: Final = 65_536  # of theirs; ours have as many, so that no flood takes our own voice away
MAX_HELD: Final = 2_048  # bytes of a body that is kept while a transaction waits for repetitions


class Transactions:
    """All transactions of one stack. ``now`` is the clock in seconds, ``send`` takes bytes away."""

    def __init__(
        self,
        *,
        now: Callable[[], float],
        send: Callable[[Flow, bytes], None],
        on_request: Callable[[ServerTransaction], None],
        on_stray: Callable[[Request | Response, Flow], None],
        clocks: Clocks | None = None,
        limit: int = MAX_TRANSACTIONS,
        agent: str = "",
    ) -> None:
        self.now, self.send = now, send
        self.clocks = clocks or Clocks()
        self.timers = Timers()
        self.counters: Counter[str] = Counter()
        self.agent = agent
        self._limit = limit
        self._on_request, self._on_stray = on_request, on_stray
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._servers: dict[tuple[str, ...], ServerTransaction] = {}
        self._on_connection: dict[int, dict[int, ClientTransaction | ServerTransaction]] = {}
        self._secret = secrets.token_bytes(16)

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    @property
    def crowded(self) -> bool:
        """Whether so many of theirs are open that answers are kept for a shorter time than the RFC asks."""
        return 4 * len(self._servers) > self._limit

    def tick(self) -> None:
        """Run the timers that are due."""
        for call in self.timers.due(self.now()):
            call()

    # ours -----------------------------------------------------------------------------------------

    def request(
        self, request: Request, flow: Flow, on_response: Callable[[Response], None], on_failure: Callable[[Why], None]
    ) -> ClientTransaction:
        """Start a transaction for a request that has its Via. Raises SipError (malformed, or too many)."""
        if len(self._clients) >= self._limit:
            raise SipError("too many transactions", status=503)
        made = ClientTransaction(self, request, flow, on_response, on_failure)
        self._clients[made.key] = made
        self._remember(made)
        self.counters["requests_sent"] += 1
        made.start()
        return made

    def forget_client(self, transaction: ClientTransaction) -> None:
        """It is over."""
        self._dismiss(transaction)
        if self._clients.get(transaction.key) is transaction:
            del self._clients[transaction.key]

    def forget_server(self, transaction: ServerTransaction) -> None:
        """It is over."""
        self._dismiss(transaction)
        if self._servers.get(transaction.key) is transaction:
            del self._servers[transaction.key]

    # theirs ---------------------------------------------------------------------------------------

    def response(self, response: Response, flow: Flow) -> None:
        """A response that came (RFC 3261 §17.1.3)."""
        found = self._clients.get((response.via.branch, response.cseq.method))
        if found is None:
            self._on_stray(response, flow)
            return
        kind = response.status // 100
        found.happen(In.PROVISIONAL if kind == 1 else In.SUCCESS if kind == 2 else In.FINAL, response)

    def incoming(self, request: Request, flow: Flow) -> None:
        """A request that came (RFC 3261 §17.2.3); its Via bears received and rport already."""
        method = request.method
        if method == "ACK":
            known = self._servers.get(server_key(request, "INVITE"))
            if known is None or known.state is State.ACCEPTED:
                self._on_stray(request, flow)
            else:
                known.happen(In.ACK)
            return
        key = server_key(request, method)
        known = self._servers.get(key)
        if known is not None:
            self.counters["retransmissions_in"] += 1
            known.happen(In.REQUEST)
            return
        if method == "CANCEL":
            self._cancel(request, flow)
            return
        if len(self._servers) >= self._limit:
            self.counters["refused_full"] += 1
            self.send(flow, respond(request, 503, tag=self.tag(request), headers=[("Retry-After", "5")]).encode())
            return
        made = self._servers[key] = ServerTransaction(self, request, flow, key, self.tag(request))
        self._remember(made)
        self.counters["requests"] += 1
        self._on_request(made)

    def _cancel(self, request: Request, flow: Flow) -> None:
        """RFC 3261 §9.2."""
        invite = self._servers.get(server_key(request, "INVITE"))
        tag = self.tag(request) if invite is None else invite.tag
        key = server_key(request, "CANCEL")
        if len(self._servers) >= self._limit:
            self.counters["refused_full"] += 1
            return
        made = self._servers[key] = ServerTransaction(self, request, flow, key, tag)
        if invite is None:
            made.respond(481)
            return
        made.respond(200)
        if not invite.answered:
            invite.respond(487)
            if invite.on_cancel is not None:
                invite.on_cancel(request)

    def tag(self, request: Request) -> str:
        """Our To tag for a request: always the same one, so that a stateless answer may be repeated (§8.2.7)."""
        made = hashlib.blake2s(request.call_id.encode("utf-8", "replace"), key=self._secret, digest_size=8)
        made.update((request.headers.get("From") or "").encode("utf-8", "replace"))
        made.update(str(request.cseq.number).encode())
        return made.hexdigest()

    def lost(self, flow: Flow) -> None:
        """A connection ended: whoever waits for it learns so."""
        for each in self._on_connection.pop(flow.connection, {}).values():
            if each.state is not State.TERMINATED:
                each.happen(In.LOST)

    def _remember(self, made: ClientTransaction | ServerTransaction) -> None:
        if made.flow.connection:
            self._on_connection.setdefault(made.flow.connection, {})[id(made)] = made

    def _dismiss(self, gone: ClientTransaction | ServerTransaction) -> None:
        there = self._on_connection.get(gone.flow.connection)
        if there is not None:
            there.pop(id(gone), None)
            if not there:
                del self._on_connection[gone.flow.connection]
