"""The whole stack without sockets: datagrams and commands in, ``Send`` out, callbacks for what others have to decide.

The owner calls ``receive`` with what came, ``tick`` when ``next_timer`` is due, then sends what ``take`` gives.
``on_request`` gets every request that no call and no subscription answers. Nothing that comes from outside raises.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from signaling.rtsp.auth import Authenticator, Credentials
from signaling.sip.address import SipError, parse_via, split_list
from signaling.sip.call import Call, Done, Outcome, Phase
from signaling.sip.dialog import Dialog
from signaling.sip.inviting import Inviting
from signaling.sip.layer import MAX_TRANSACTIONS, ClientTransaction, Clocks, Flow, Send, ServerTransaction, Transactions
from signaling.sip.message import MAGIC, METHODS, Refused, Request, Response, parse, respond
from signaling.sip.subscription import Notifier, Subscriber

ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, INFO, MESSAGE, SUBSCRIBE, NOTIFY, UPDATE"
NEEDS_DIALOG: Final = frozenset(("BYE", "INFO", "UPDATE", "PRACK", "INVITE"))
UDP_KEEPALIVES: Final = frozenset((b"", b"\0", b"\0\0\0\0"))


@dataclass(frozen=True)
class StackConfig:
    """What a stack says of itself, and its bounds."""

    agent: str = "sharpeyes"
    clocks: Clocks = field(default_factory=Clocks)
    max_transactions: int = MAX_TRANSACTIONS
    max_calls: int = 20_000
    max_subscriptions: int = 65_536
    extensions: tuple[str, ...] = ("timer",)
    symmetric: bool = True
    """Answer to where a datagram came from, rport asked for or not: devices behind NAT rely on it. False: RFC 3261."""


class Conversation:
    """A request of ours with its challenges: ``done`` gets the final response or why there is none, once.

    Responses to an INVITE that are 2xx all come, since each wants its ACK.
    """

    def __init__(
        self,
        stack: "SipStack",
        request: Request,
        flow: Flow,
        done: Done,
        provisional: Callable[[Response], None] | None,
        credentials: Credentials | None,
        limit: float | None,
    ) -> None:
        self._stack, self._flow, self._done, self._provisional = stack, flow, done, provisional
        self._auth = Authenticator(credentials) if credentials is not None else None
        self._tries = 0
        self._limit = limit
        self._over = False
        self.transaction: ClientTransaction = self._start(request)

    def _start(self, request: Request) -> ClientTransaction:
        made = self._stack.transactions.request(
            self._stack.prepared(request, self._flow), self._flow, self._heard, self._finish
        )
        if self._limit is not None:
            made.limit(self._limit)
        return made

    def abandon(self) -> None:
        """Nobody waits for the outcome any more."""
        self._over = True

    def _finish(self, outcome: Outcome) -> None:
        if not self._over:
            self._over = True
            self._done(outcome)

    def _heard(self, response: Response) -> None:
        if self._over and self.transaction.request.method != "INVITE":
            return
        if response.status < 200:
            if self._provisional is not None and not self._over:
                self._provisional(response)
        elif response.status in (401, 407) and self._challenged(response):
            return
        elif response.status // 100 == 2 and self.transaction.request.method == "INVITE":
            self._over = True
            self._done(response)
        else:
            self._finish(response)

    def _challenged(self, response: Response) -> bool:
        """Ask again with credentials: once, and once more when only the nonce was stale."""
        if self._auth is None or self._tries == 2 or self._over:
            return False
        name = "WWW-Authenticate" if response.status == 401 else "Proxy-Authenticate"
        offers = [value for value in response.headers.all(name) if value.lower().startswith("digest")]
        challenge = self._auth.challenged(offers)
        if challenge is None or (self._tries and not challenge.stale):
            return False
        self._tries += 1
        old = self.transaction.request
        again = Request(method=old.method, uri=old.uri, headers=old.headers.copy(), body=old.body)
        again.headers.fields = [each for each in again.headers.fields if each.key != "via"]
        header = self._auth.header(old.method, old.uri)
        assert header is not None
        again.headers.set("Authorization" if response.status == 401 else "Proxy-Authorization", header)
        number = old.cseq.number + 1
        again.headers.set("CSeq", f"{number} {old.method}")
        self._stack.authenticated(old, number)
        try:
            self.transaction = self._start(again)
        except SipError:
            return False
        return True


class SipStack:
    """One element: transactions, calls, subscriptions. ``now`` is any clock in seconds that never goes back.

    ``local`` names us towards a flow, as host and port for Via and Contact. ``wake`` is called when ``take`` begins to
    have something.
    """

    def __init__(
        self,
        config: StackConfig,
        *,
        now: Callable[[], float],
        local: Callable[[Flow], tuple[str, int]],
        on_request: Callable[[ServerTransaction], object],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._wake = wake
        self.config, self.now, self._local, self._on_request = config, now, local, on_request
        self._out: list[Send] = []
        self.transactions = Transactions(
            now=now,
            send=self.send,
            on_request=self._request,
            on_stray=self._stray,
            clocks=config.clocks,
            limit=config.max_transactions,
            agent=config.agent,
        )
        self.timers, self.clocks = self.transactions.timers, config.clocks
        self._calls: dict[tuple[str, str], Call] = {}
        self._by_id: dict[str, Call] = {}
        self._subscriptions: dict[tuple[str, str], Subscriber | Notifier] = {}

    @property
    def counters(self) -> Counter[str]:
        """What came and what was wrong with it."""
        return self.transactions.counters

    def take(self) -> list[Send]:
        """What is to be sent, oldest first; it is forgotten here."""
        out, self._out = self._out, []
        return out

    def send(self, flow: Flow, data: bytes) -> None:
        """Put bytes among those that ``take`` gives."""
        if not self._out:
            self._wake()
        self._out.append(Send(flow, data))

    def next_timer(self) -> float | None:
        """When ``tick`` is due; None for never."""
        return self.timers.next()

    def tick(self) -> None:
        """Run what is due."""
        self.transactions.tick()

    # from the wire --------------------------------------------------------------------------------

    def receive(self, data: bytes, flow: Flow) -> None:
        """A datagram, or a message that ``stream`` cut. Never raises for what stands in it."""
        if len(data) < 5 and (data in UDP_KEEPALIVES or not data.strip(b"\r\n")):
            self.counters["keepalives"] += 1
            return
        try:
            message = parse(data)
            if isinstance(message, Response):
                self.transactions.response(message, flow)
            else:
                self._note_source(message, flow)
                self.transactions.incoming(message, self._back(message, flow))
        except Refused as refused:
            self.counters["malformed"] += 1
            self.counters[f"malformed_{refused.status}"] += 1
            if refused.request is not None:
                self._refuse(refused.request, refused, flow)
        except SipError:
            self.counters["malformed"] += 1

    def _back(self, request: Request, flow: Flow) -> Flow:
        """Where answers go (RFC 3261 §18.2.2)."""
        if flow.transport == "tcp" or self.config.symmetric:
            return flow
        via = request.via
        return flow if via.param("rport") is not None else Flow("udp", flow.host, via.port or 5060)

    def _note_source(self, request: Request, flow: Flow) -> None:
        for at, each in enumerate(request.headers.fields):
            if each.key == "via":
                vias = split_list(each.value)
                vias[0] = str(parse_via(vias[0]).received_from(flow.host, flow.port))
                request.headers.fields[at] = each._replace(value=", ".join(vias))
                return

    def _refuse(self, request: Request, error: SipError, flow: Flow) -> None:
        """The answer to what cannot be taken, without a transaction: the same again if it comes again."""
        if request.method == "ACK" or request.headers.get("Via") is None:
            return
        back = flow
        try:
            self._note_source(request, flow)
            back = self._back(request, flow)
        except SipError:
            self.counters["refused_blindly"] += 1  # even its Via makes no sense: back to where it came from
        try:
            response = respond(request, error.status, headers=[("User-Agent", self.config.agent)])
            self.send(back, response.encode())
            self.counters["refused"] += 1
        except SipError:
            return

    def lost(self, flow: Flow) -> None:
        """A TCP connection ended."""
        self.transactions.lost(flow)

    def _stray(self, message: Request | Response, flow: Flow) -> None:
        """What belongs to no transaction: ACK of a 2xx, a 2xx that came again late, or nonsense."""
        if isinstance(message, Request):
            call = self._calls.get((message.call_id, message.to.tag or ""))
            if call is not None:
                call.acked(message)
                return
        elif message.status // 100 == 2 and message.cseq.method == "INVITE":
            call = self._calls.get((message.call_id, message.from_.tag or ""))
            if call is not None and call.dialog.remote_tag == (message.to.tag or ""):
                call.again(message)
                return
        self.counters["strays"] += 1

    def _request(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if request.method not in METHODS:
            transaction.respond(501, headers=[("Allow", ALLOW)])
            return
        required = [each.lower() for each in request.headers.all("Require")]
        if unknown := [each for each in required if each not in self.config.extensions]:
            transaction.respond(420, headers=[("Unsupported", ", ".join(unknown))])
            return
        tag = request.to.tag
        if tag is not None:
            key = (request.call_id, tag)
            found = self._calls.get(key) or self._subscriptions.get(key)
            if found is not None and not (isinstance(found, Call) and request.method in ("SUBSCRIBE", "NOTIFY")):
                found.incoming(transaction)
                return
            if request.method in NEEDS_DIALOG:
                transaction.respond(481)
                return
        elif request.method == "BYE":
            transaction.respond(481)
            return
        if (call := self._by_id.get(request.call_id)) is not None:
            transaction.call = call.user or call
        self._on_request(transaction)

    # ours -----------------------------------------------------------------------------------------

    def contact(self, flow: Flow, user: str = "") -> str:
        """Our Contact towards a flow."""
        host, port = self._local(flow)
        transport = ";transport=tcp" if flow.transport == "tcp" else ""
        return f"<sip:{user}{'@' if user else ''}{host}:{port}{transport}>"

    def prepared(self, request: Request, flow: Flow) -> Request:
        """The request with everything that it needs to go out (RFC 3261 §8.1.1); what is there stays."""
        headers = request.headers
        if headers.get("Via") is None:
            host, port = self._local(flow)
            via = f"SIP/2.0/{flow.transport.upper()} {host}:{port};rport;branch={MAGIC}{secrets.token_hex(10)}"
            headers.add("Via", via, first=True)
        if request.from_.tag is None:
            headers.set("From", f"{headers.get('From')};tag={secrets.token_hex(8)}")
        headers.default("Call-ID", secrets.token_hex(12))
        headers.default("CSeq", f"{secrets.randbelow(10_000) + 1} {request.method}")
        headers.default("Max-Forwards", "70")
        if self.config.agent:
            headers.default("User-Agent", self.config.agent)
        if request.method in ("INVITE", "SUBSCRIBE"):
            headers.default("Contact", self.contact(flow, request.from_.uri.user))
        return request

    def exchange(
        self,
        request: Request,
        flow: Flow,
        done: Done,
        *,
        provisional: Callable[[Response], None] | None = None,
        credentials: Credentials | None = None,
        limit: float | None = None,
    ) -> Conversation:
        """Send a request and see it through, a challenge included. Raises SipError: malformed, or too many."""
        return Conversation(self, request, flow, done, provisional, credentials, limit)

    def transact(self, request: Request, flow: Flow, done: Done) -> None:
        """A request that is complete, as a CANCEL."""
        self.transactions.request(request, flow, lambda response: done(response), done)

    def authenticated(self, request: Request, number: int) -> None:
        """A challenge cost a number: the dialog must go on from there."""
        key = (request.call_id, request.from_.tag or "")
        if (call := self._calls.get(key)) is not None:
            call.dialog.local_cseq = max(call.dialog.local_cseq, number)
        if isinstance(found := self._subscriptions.get(key), Subscriber):
            found.numbered(number)

    def invite(
        self,
        request: Request,
        flow: Flow,
        done: Callable[[Call | Outcome], None],
        *,
        provisional: Callable[[Response], None] | None = None,
        credentials: Credentials | None = None,
        limit: float = 60.0,
    ) -> Inviting:
        """Call somebody. Raises SipError: malformed, or too many calls."""
        if len(self._calls) >= self.config.max_calls:
            raise SipError("too many calls", status=503)
        request.headers.default("Allow", ALLOW)
        return Inviting(self, request, flow, done, provisional=provisional, credentials=credentials, limit=limit)

    def answer(
        self,
        transaction: ServerTransaction,
        *,
        body: bytes,
        content_type: str | None = "application/sdp",
        headers: Iterable[tuple[str, str]] = (),
        contact: str | None = None,
    ) -> Call | None:
        """Take a call; None: a session interval was too small, and 422 was said. Raises SipError, IllegalMove."""
        if len(self._calls) >= self.config.max_calls:
            transaction.respond(503)
            raise SipError("too many calls", status=503)
        request = transaction.request
        ours = contact or self.contact(transaction.flow, request.to.uri.user)
        dialog = Dialog.of_server(request, transaction.tag, ours)
        call = Call(self, dialog, transaction.flow, phase=Phase.ANSWERED, body=request.body)
        call.theirs_allow = frozenset(each.upper() for each in request.headers.all("Allow"))
        self.keep(call)
        try:
            call.accept(transaction, body=body, content_type=content_type, headers=[("Allow", ALLOW), *headers])
        except BaseException:
            self.forget(call)
            raise
        if not call.waiting:
            self.forget(call)
            return None
        return call

    def restore(self, record: Mapping[str, Any], flow: Flow | None = None) -> Call:
        """A call from its record. Raises SipError."""
        return Call.restored(self, record, flow)

    def call(self, call_id: str) -> Call | None:
        """The call of that Call-ID, the latest if there are several."""
        return self._by_id.get(call_id)

    def calls(self) -> list[Call]:
        """All that are up."""
        return [*self._calls.values()]

    def keep(self, call: Call) -> None:
        """Find a call by its dialog from now on."""
        self._calls[call.dialog.key] = call
        self._by_id[call.dialog.call_id] = call

    def forget(self, call: Call) -> None:
        """It is over."""
        if self._calls.get(call.dialog.key) is call:
            del self._calls[call.dialog.key]
        if self._by_id.get(call.dialog.call_id) is call:
            del self._by_id[call.dialog.call_id]

    def subscribe(
        self,
        request: Request,
        flow: Flow,
        on_notify: Callable[[ServerTransaction], None],
        *,
        credentials: Credentials | None = None,
    ) -> Subscriber:
        """Subscribe, and stay subscribed. Raises SipError."""
        return Subscriber(self, request, flow, on_notify, credentials=credentials)

    def notifier(
        self, transaction: ServerTransaction, *, expires: int | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> Notifier:
        """Accept a SUBSCRIBE. Raises SipError."""
        contact = self.contact(transaction.flow, transaction.request.to.uri.user)
        return Notifier(self, transaction, contact, expires=expires, headers=headers)

    def keep_subscription(self, key: tuple[str, str], what: Subscriber | Notifier) -> None:
        """Find it by its dialog from now on. Raises SipError: too many."""
        if len(self._subscriptions) >= self.config.max_subscriptions:
            raise SipError("too many subscriptions", status=503)
        self._subscriptions[key] = what

    def forget_subscription(self, key: tuple[str, str]) -> None:
        """It is over."""
        self._subscriptions.pop(key, None)
