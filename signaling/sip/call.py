"""INVITE calls (RFC 3261 §13, §14, §15): answering until the ACK, re-INVITE, session timers, BYE. ``inviting`` asks.

A call knows no sockets: its ``Agent`` (the stack) sends, keeps the clock and the timers.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final, Protocol, TypeAlias

from signaling.rtsp.auth import Credentials
from signaling.sip import session_timer
from signaling.sip.address import SipError
from signaling.sip.dialog import Dialog
from signaling.sip.layer import ClientTransaction, Clocks, Flow, ServerTransaction, Why
from signaling.sip.message import Request, Response
from signaling.sip.session_timer import MINIMUM_S, IntervalTooSmall, SessionTimer
from signaling.sip.timers import Timer, Timers

Outcome: TypeAlias = Response | Why
Done: TypeAlias = Callable[[Outcome], None]


class Agent(Protocol):
    """What a call needs of the stack."""

    timers: Timers
    clocks: Clocks

    def now(self) -> float: ...

    def send(self, flow: Flow, data: bytes) -> None: ...

    def prepared(self, request: Request, flow: Flow) -> Request:
        """The request with Via and what else is missing."""
        ...

    def exchange(
        self,
        request: Request,
        flow: Flow,
        done: Done,
        *,
        provisional: Callable[[Response], None] | None = None,
        credentials: Credentials | None = None,
        limit: float | None = None,
    ) -> "Exchange": ...

    def transact(self, request: Request, flow: Flow, done: Done) -> None:
        """A request that has its Via already (CANCEL)."""
        ...

    def keep(self, call: "Call") -> None:
        """Find the call by its dialog from now on."""
        ...

    def forget(self, call: "Call") -> None: ...


class Exchange(Protocol):
    """A request under way, challenges included."""

    transaction: ClientTransaction

    def abandon(self) -> None:
        """Nobody waits for the outcome any more."""
        ...


class Phase(Enum):
    """Life of a call once it is answered."""

    ANSWERED = "answered"  # our 2xx is out, the ACK is not here
    CONFIRMED = "confirmed"
    ENDING = "ending"  # our BYE is out
    ENDED = "ended"


class Event(Enum):
    """What moves it."""

    ACKED = "ACK"
    UNACKED = "no ACK"
    LEAVE = "we hang up"
    LEFT = "they hung up"
    OVER = "our BYE is done with"


NEXT: Final[Mapping[tuple[Phase, Event], Phase]] = {
    (Phase.ANSWERED, Event.ACKED): Phase.CONFIRMED,
    (Phase.ANSWERED, Event.UNACKED): Phase.ENDING,
    (Phase.ANSWERED, Event.LEAVE): Phase.ENDING,
    (Phase.ANSWERED, Event.LEFT): Phase.ENDED,
    (Phase.CONFIRMED, Event.ACKED): Phase.CONFIRMED,
    (Phase.CONFIRMED, Event.UNACKED): Phase.ENDING,
    (Phase.CONFIRMED, Event.LEAVE): Phase.ENDING,
    (Phase.CONFIRMED, Event.LEFT): Phase.ENDED,
    (Phase.ENDING, Event.ACKED): Phase.ENDING,
    (Phase.ENDING, Event.LEFT): Phase.ENDED,
    (Phase.ENDING, Event.OVER): Phase.ENDED,
}


class Call:
    """An answered INVITE. ``why`` says how it ended: bye, local, no_ack, expired, transport, gone."""

    def __init__(
        self, agent: Agent, dialog: Dialog, flow: Flow, *, phase: Phase, body: bytes = b"", ours: bytes = b""
    ) -> None:
        self.agent, self.dialog, self.flow, self.phase = agent, dialog, flow, phase
        self.body = body
        """The other side's last description."""
        self.response: Response | None = None
        self.why = ""
        self.credentials: Credentials | None = None
        self.on_request: Callable[[ServerTransaction], None] | None = None
        self.on_change: Callable[[], None] | None = None
        self.user: object | None = None
        self.theirs_allow: frozenset[str] = frozenset()
        self._ours = ours  # the description that we sent last, for refreshes
        self._ours_type = "application/sdp"
        self._ack: tuple[int, bytes] | None = None
        self._repeating: dict[int, Timer] = {}  # CSeq of an INVITE of theirs that waits for its ACK
        self._clock: Timer | None = None

    @property
    def alive(self) -> bool:
        """Whether requests can be sent in it."""
        return self.phase in (Phase.ANSWERED, Phase.CONFIRMED)

    @property
    def waiting(self) -> bool:
        """Whether an answer of ours waits for its ACK."""
        return bool(self._repeating)

    def _move(self, event: Event, why: str = "") -> bool:
        after = NEXT.get((self.phase, event))
        if after is None:
            return False
        if after in (Phase.ENDING, Phase.ENDED):
            self.why = self.why or why
            self._quiet()
        changed, self.phase = after is not self.phase, after
        if after is Phase.ENDED:
            self.agent.forget(self)
        if changed and self.on_change is not None:
            self.on_change()
        return True

    def _quiet(self) -> None:
        for timer in self._repeating.values():
            timer.cancel()
        self._repeating.clear()
        if self._clock is not None:
            self._clock.cancel()

    # requests of ours -----------------------------------------------------------------------------

    def request(
        self,
        method: str,
        done: Done,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str | None = None,
    ) -> None:
        """Send a request in the dialog. A 481 or 408 to it ends the call (RFC 3261 §12.2.1.2)."""
        request = self.dialog.request(method, headers=headers, body=body, content_type=content_type)

        heard = False

        def outcome(result: Outcome) -> None:
            nonlocal heard
            if heard and isinstance(result, Response):
                self.again(result)  # only the 2xx of an INVITE comes more than once
                return
            heard = True
            if isinstance(result, Response):
                if result.status // 100 == 2 and method == "INVITE":
                    self.take(result, result.cseq.number)
                elif result.status // 100 == 2 and method == "UPDATE":
                    self.dialog.refresh(result)
                    self.watch(session_timer.agreed(result))
                if result.status in (408, 481):
                    self.end("gone")
            done(result)

        self.agent.exchange(request, self.flow, outcome, credentials=self.credentials)

    def bye(self, done: Done | None = None, *, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Hang up. ``done`` gets the answer to the BYE; at once "transport" when the call is over already."""
        if not self._move(Event.LEAVE, "local"):
            if done is not None:
                done("transport")
            return
        self._bye(done, headers)

    def _bye(self, done: Done | None = None, headers: Iterable[tuple[str, str]] = ()) -> None:
        def outcome(result: Outcome) -> None:
            self._move(Event.OVER)
            if done is not None:
                done(result)

        try:
            self.agent.exchange(
                self.dialog.request("BYE", headers=headers), self.flow, outcome, credentials=self.credentials
            )
        except SipError:  # no room for it, or their Contact cannot be written: over all the same
            outcome("transport")

    def reinvite(self, done: Done, *, body: bytes, content_type: str = "application/sdp") -> None:
        """Change or refresh the session (§14.1); the ACK is sent, and ``body`` follows the answer."""
        self._ours, self._ours_type = body, content_type
        self.request("INVITE", done, body=body, content_type=content_type)

    def take(self, response: Response, cseq: int) -> None:
        """A 2xx to an INVITE of ours: note it and send its ACK."""
        self.response, self.body = response, response.body
        self.dialog.refresh(response)
        if allow := response.headers.all("Allow"):
            self.theirs_allow = frozenset(each.upper() for each in allow)
        ack = self.agent.prepared(self.dialog.request("ACK", cseq=cseq), self.flow).encode()
        self._ack = (cseq, ack)
        self.agent.send(self.flow, ack)
        self.watch(session_timer.agreed(response))

    def again(self, response: Response) -> None:
        """A 2xx came once more: so does its ACK (§13.2.2.4)."""
        if self._ack is not None and self._ack[0] == response.cseq.number:
            self.agent.send(self.flow, self._ack[1])

    def end(self, why: str) -> None:
        """Over without a word from us."""
        self._move(Event.LEFT, why)

    # requests of theirs ---------------------------------------------------------------------------

    def incoming(self, transaction: ServerTransaction) -> None:
        """A request in the dialog; BYE is answered here, the others by ``on_request``."""
        request = transaction.request
        transaction.call = self.user or self
        if request.method == "BYE":
            transaction.respond(200)
            self.end("bye")
            return
        if not self.dialog.admit(request):
            transaction.respond(500, "CSeq Out Of Order", headers=[("Retry-After", "1")])
            return
        if request.method == "INVITE" and self._repeating:
            transaction.respond(500, headers=[("Retry-After", "2")])  # §14.2
            return
        if self.on_request is not None:
            self.on_request(transaction)
            return
        if request.method == "INVITE":
            self.accept(transaction, body=self._ours, content_type=self._ours_type if self._ours else None)
        elif request.method == "UPDATE" and request.body:
            transaction.respond(488)
        elif request.method == "UPDATE":
            self._timed(transaction, 200)
        else:
            transaction.respond(200 if request.method in ("INFO", "OPTIONS", "MESSAGE", "NOTIFY") else 405)

    def accept(
        self,
        transaction: ServerTransaction,
        *,
        body: bytes,
        content_type: str | None = "application/sdp",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """200 to an INVITE of theirs, the first or a later one, repeated until its ACK (§13.3.1.4)."""
        request = transaction.request
        self.body = request.body or self.body
        self._ours, self._ours_type = body, content_type or self._ours_type
        response = self._timed(transaction, 200, body=body, content_type=content_type, headers=headers)
        if response is None:
            return
        number, clocks = request.cseq.number, self.agent.clocks
        until = self.agent.now() + clocks.limit
        self._repeat(transaction, response.encode(), number, clocks.t1, until)

    def _timed(
        self,
        transaction: ServerTransaction,
        status: int,
        *,
        body: bytes = b"",
        content_type: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Response | None:
        """Answer, agreeing on a session timer; None: the interval was too small, which was said."""
        more = [*headers]
        if self.dialog.contact:
            more.append(("Contact", self.dialog.contact))
        try:
            timer = session_timer.asked(transaction.request)
        except IntervalTooSmall:
            transaction.respond(422, headers=[("Min-SE", str(MINIMUM_S))])
            return None
        if timer is not None:
            more.append(("Session-Expires", timer[1]))
            if not timer[0].ours:
                more.append(("Require", "timer"))
        response = transaction.respond(status, headers=more, body=body, content_type=content_type)
        self.watch(timer[0] if timer is not None else None)
        return response

    def _repeat(self, transaction: ServerTransaction, data: bytes, number: int, wait: float, until: float) -> None:
        def again() -> None:
            self._repeating.pop(number, None)
            if self.agent.now() >= until:
                if self._move(Event.UNACKED, "no_ack"):
                    self._bye()
                return
            self.agent.send(transaction.flow, data)
            self._repeat(transaction, data, number, min(2 * wait, self.agent.clocks.t2), until)

        self._repeating[number] = self.agent.timers.at(min(self.agent.now() + wait, until), again)

    def acked(self, request: Request) -> None:
        """The ACK of a 2xx of ours."""
        timer = self._repeating.pop(request.cseq.number, None)
        if timer is not None:
            timer.cancel()
            self.body = request.body or self.body
            self._move(Event.ACKED)

    # session timer --------------------------------------------------------------------------------

    def watch(self, timer: SessionTimer | None) -> None:
        """Refresh by half time, or hang up when the other side's refresh stays away (RFC 4028 §10)."""
        if self._clock is not None:
            self._clock.cancel()
        if timer is None or not self.alive:
            return
        wait = timer.refresh_after if timer.ours else timer.expire_after
        self._clock = self.agent.timers.at(self.agent.now() + wait, lambda: self._due(timer))

    def _due(self, timer: SessionTimer) -> None:
        if not timer.ours:
            if self._move(Event.LEAVE, "expired"):
                self._bye()
            return
        expires = [("Session-Expires", f"{timer.interval};refresher=uac"), ("Supported", "timer")]

        def outcome(result: Outcome) -> None:
            if isinstance(result, Response) and result.status // 100 == 2:
                return
            if self._move(Event.LEAVE, "expired"):
                self._bye()

        if "UPDATE" in self.theirs_allow or not self._ours:
            self.request("UPDATE", outcome, headers=expires)
        else:
            self.request("INVITE", outcome, headers=expires, body=self._ours, content_type=self._ours_type)

    def record(self) -> dict[str, Any]:
        """A plain record, good for JSON; ``restored`` makes a confirmed call of it again."""
        return {"dialog": self.dialog.record(), "flow": list(self.flow), "body": self.body.decode("latin-1")}

    @classmethod
    def restored(cls, agent: Agent, record: Mapping[str, Any], flow: Flow | None = None) -> "Call":
        """A call of a former life, over any connection to the address. Raises SipError."""
        made = Dialog.restored(record.get("dialog") or {})
        if flow is None:
            try:
                proto, host, port, _ = record["flow"]
                flow = Flow("tcp" if proto == "tcp" else "udp", str(host), int(port))
            except (KeyError, TypeError, ValueError):
                raise SipError("record of a call: flow") from None
        call = cls(
            agent, made, flow, phase=Phase.CONFIRMED, body=str(record.get("body", "")).encode("latin-1", "replace")
        )
        agent.keep(call)
        return call
