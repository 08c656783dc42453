"""Subscriptions (RFC 6665), both sides, as GB/T 28181 devices keep them: Expires may be missing, a NOTIFY may come
before the 200, Subscription-State and Event may be missing in it. No I/O; the ``Agent`` of ``call`` sends.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Final, Protocol, TypeAlias

from signaling.rtsp.auth import Credentials
from signaling.sip.address import SipError, parse_params
from signaling.sip.call import Agent, Outcome
from signaling.sip.dialog import Dialog
from signaling.sip.layer import Flow, ServerTransaction
from signaling.sip.message import Request, Response, number_of
from signaling.sip.timers import Timer

DEFAULT_S: Final = 3_600
SHORTEST_S: Final = 10
LONGEST_S: Final = 604_800
LATE_S: Final = 32.0  # how long the first NOTIFY, and the NOTIFY of an unsubscription, may take (timer N)


class Phase(Enum):
    """Life of a subscription."""

    ASKED = "asked"
    ACTIVE = "active"
    LEAVING = "leaving"
    ENDED = "ended"


class Event(Enum):
    """What moves it."""

    ACCEPTED = "2xx"
    NOTIFIED = "NOTIFY"
    LEAVE = "unsubscribed"
    OVER = "ended"


NEXT: Final[Mapping[tuple[Phase, Event], Phase]] = {
    (Phase.ASKED, Event.ACCEPTED): Phase.ACTIVE,
    (Phase.ASKED, Event.NOTIFIED): Phase.ACTIVE,
    (Phase.ASKED, Event.LEAVE): Phase.LEAVING,
    (Phase.ASKED, Event.OVER): Phase.ENDED,
    (Phase.ACTIVE, Event.ACCEPTED): Phase.ACTIVE,
    (Phase.ACTIVE, Event.NOTIFIED): Phase.ACTIVE,
    (Phase.ACTIVE, Event.LEAVE): Phase.LEAVING,
    (Phase.ACTIVE, Event.OVER): Phase.ENDED,
    (Phase.LEAVING, Event.ACCEPTED): Phase.LEAVING,
    (Phase.LEAVING, Event.NOTIFIED): Phase.LEAVING,
    (Phase.LEAVING, Event.OVER): Phase.ENDED,
}


class Registry(Protocol):
    """Where the stack finds subscriptions by the dialog's key."""

    def keep_subscription(self, key: tuple[str, str], what: "Subscriber | Notifier") -> None: ...

    def forget_subscription(self, key: tuple[str, str]) -> None: ...


class SubscriptionAgent(Agent, Registry, Protocol):
    """What a subscription needs of the stack."""


class Subscriber:
    """We asked. ``on_notify`` gets the transaction of each NOTIFY and answers it (200 unless it does).

    ``on_change`` is called when the phase changes; ``why`` says how it ended: stopped, refused, timeout, transport,
    expired, or the reason that the other side gave. ``response`` is the last answer.
    """

    def __init__(
        self,
        agent: SubscriptionAgent,
        request: Request,
        flow: Flow,
        on_notify: Callable[[ServerTransaction], None],
        *,
        credentials: Credentials | None = None,
    ) -> None:
        self.phase = Phase.ASKED
        self.why = ""
        self.response: Response | None = None
        self.on_change: Callable[[], None] | None = None
        self._agent, self.flow, self._on_notify, self._credentials = agent, flow, on_notify, credentials
        self._expires = request.expires or DEFAULT_S
        request.headers.default("Expires", str(self._expires))
        self._request = agent.prepared(request, flow)
        self.key = (self._request.call_id, self._request.from_.tag or "")
        self._dialog: Dialog | None = None
        self._timer: Timer | None = None
        self._end: Timer | None = None
        agent.keep_subscription(self.key, self)
        agent.exchange(self._request, flow, self._first, credentials=credentials)

    def _move(self, event: Event, why: str = "") -> None:
        after = NEXT.get((self.phase, event))
        if after is None:
            return
        changed, self.phase = after is not self.phase, after
        if after is Phase.ENDED:
            self.why = self.why or why
            self._agent.forget_subscription(self.key)
        if after in (Phase.ENDED, Phase.LEAVING):
            for timer in (self._timer, self._end if after is Phase.ENDED else None):
                if timer is not None:
                    timer.cancel()
        if changed and self.on_change is not None:
            self.on_change()

    def _first(self, result: Outcome) -> None:
        if not isinstance(result, Response):
            self._move(Event.OVER, result)
            return
        self.response = result
        if result.status // 100 != 2:
            self._move(Event.OVER, f"refused: {result.summary}")
            return
        self._made(result)
        if self.phase is Phase.LEAVING:
            self._unsubscribe()
            return
        self._move(Event.ACCEPTED)
        self._expect(result.expires)

    def _made(self, message: Response | Request) -> None:
        """The dialog, by the 2xx or by a NOTIFY that came first."""
        if isinstance(message, Response):
            made = Dialog.of_client(self._request, message)
            made.local_cseq = max(made.local_cseq, message.cseq.number)
        else:
            made = Dialog.of_server(message, self.key[1], self._request.headers.get("Contact") or "")
            made.local_cseq = self._request.cseq.number
            made.local, made.remote = str(self._request.from_.uri), str(self._request.to.uri)
        if self._dialog is not None:
            made.local_cseq = max(made.local_cseq, self._dialog.local_cseq)
            made.remote_cseq = self._dialog.remote_cseq
        self._dialog = made

    def _expect(self, expires: int | None) -> None:
        """Refresh in time: at 4/5 of what is left, that a lost answer may be asked for again."""
        seconds = self._expires if expires is None else min(expires, LONGEST_S)
        for timer in (self._timer, self._end):
            if timer is not None:
                timer.cancel()
        if self.phase is not Phase.ACTIVE:
            return
        seconds = max(seconds, SHORTEST_S)
        now, timers = self._agent.now(), self._agent.timers
        self._timer = timers.at(now + 0.8 * seconds, self._refresh)
        self._end = timers.at(now + seconds + LATE_S, lambda: self._move(Event.OVER, "expired"))

    def _again(self, expires: int) -> Request:
        assert self._dialog is not None
        request = self._dialog.request("SUBSCRIBE", body=self._request.body)
        for name in ("Event", "Accept", "Content-Type", "Subject", "X-GB-Ver"):
            if (value := self._request.headers.get(name)) is not None:
                request.headers.set(name, value)
        request.headers.set("Expires", str(expires))
        return request

    def _refresh(self) -> None:
        def outcome(result: Outcome) -> None:
            if isinstance(result, Response) and result.status // 100 == 2:
                self.response = result
                self._expect(result.expires)
            elif isinstance(result, Response) and result.status not in (408, 500, 503, 504):
                self._move(Event.OVER, f"refused: {result.summary}")
            elif not isinstance(result, Response) and self.phase is Phase.ACTIVE:
                # Once more before it runs out (§4.1.2.2 leaves the subscription standing after such a failure).
                self._timer = self._agent.timers.at(self._agent.now() + SHORTEST_S, self._refresh)

        self._agent.exchange(self._again(self._expires), self.flow, outcome, credentials=self._credentials)

    def numbered(self, number: int) -> None:
        """A challenge cost a number."""
        self._request.headers.set("CSeq", f"{number} SUBSCRIBE")
        if self._dialog is not None:
            self._dialog.local_cseq = max(self._dialog.local_cseq, number)

    def stop(self) -> None:
        """Unsubscribe; the phase is ENDED once the other side said so, or after 32 s."""
        if self.phase in (Phase.LEAVING, Phase.ENDED):
            return
        self.why = "stopped"
        self._move(Event.LEAVE)
        if self._end is not None:
            self._end.cancel()
        self._end = self._agent.timers.at(self._agent.now() + LATE_S, lambda: self._move(Event.OVER))
        if self._dialog is not None:
            self._unsubscribe()

    def _unsubscribe(self) -> None:
        def outcome(result: Outcome) -> None:
            if not isinstance(result, Response) or result.status // 100 != 2:
                self._move(Event.OVER)

        self._agent.exchange(self._again(0), self.flow, outcome, credentials=self._credentials)

    def incoming(self, transaction: ServerTransaction) -> None:
        """A NOTIFY of ours."""
        request = transaction.request
        if request.method != "NOTIFY":
            transaction.respond(405, headers=[("Allow", "NOTIFY")])
            return
        if self._dialog is None:
            self._made(request)
        assert self._dialog is not None
        if not self._dialog.admit(request):
            transaction.respond(500, "CSeq Out Of Order", headers=[("Retry-After", "1")])
            return
        state, semicolon, rest = (request.headers.get("Subscription-State") or "active").partition(";")
        try:
            params = dict(parse_params(semicolon + rest))
        except SipError:
            params = {}
        self._on_notify(transaction)
        if not transaction.answered:
            transaction.respond(200)
        if state.strip().lower() == "terminated":
            self._move(Event.OVER, params.get("reason") or "terminated")
            return
        first = self.phase is Phase.ASKED
        self._move(Event.NOTIFIED)
        if (expires := number_of(params.get("expires"))) is not None or first:
            self._expect(expires)


NotifyDone: TypeAlias = Callable[[Outcome], None]


class Notifier:
    """They asked: made of a SUBSCRIBE, which is answered at once. ``active`` until it ends; then ``why`` says how."""

    def __init__(
        self,
        agent: SubscriptionAgent,
        transaction: ServerTransaction,
        contact: str,
        *,
        expires: int | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        request = transaction.request
        self._agent, self.flow = agent, transaction.flow
        self._dialog = Dialog.of_server(request, transaction.tag, contact)
        self._event = request.headers.get("Event")
        self._most = expires or DEFAULT_S
        self._until = agent.now()
        self._timer: Timer | None = None
        self.active = True
        self.why = ""
        self.on_change: Callable[[], None] | None = None
        self.key = self._dialog.key
        self.request = request
        agent.keep_subscription(self.key, self)
        self._grant(transaction, headers)

    def _grant(self, transaction: ServerTransaction, headers: Iterable[tuple[str, str]] = ()) -> None:
        asked = transaction.request.expires
        seconds = min(self._most if asked is None else asked, self._most)
        more = [("Expires", str(seconds)), *headers]
        if self._dialog.contact:
            more.append(("Contact", self._dialog.contact))
        transaction.respond(200, headers=more)
        if self._timer is not None:
            self._timer.cancel()
        if seconds == 0:
            self.end("unsubscribed")
            return
        self._until = self._agent.now() + seconds
        self._timer = self._agent.timers.at(self._until, lambda: self.end("timeout"))

    def incoming(self, transaction: ServerTransaction) -> None:
        """A SUBSCRIBE in the dialog: a refresh, or the end."""
        if transaction.method != "SUBSCRIBE":
            transaction.respond(405, headers=[("Allow", "SUBSCRIBE")])
        elif not self._dialog.admit(transaction.request):
            transaction.respond(500, "CSeq Out Of Order", headers=[("Retry-After", "1")])
        else:
            self.request, self.flow = transaction.request, transaction.flow
            self._grant(transaction)

    def notify(self, done: NotifyDone, *, body: bytes = b"", content_type: str | None = None) -> None:
        """Send one NOTIFY; a 481 or silence ends the subscription (§4.2.2)."""
        if not self.active:
            done("transport")
            return
        left = max(0, round(self._until - self._agent.now()))
        self._send(f"active;expires={left}", done, body, content_type)

    def _send(self, state: str, done: NotifyDone, body: bytes = b"", content_type: str | None = None) -> None:
        headers = [("Subscription-State", state)]
        if self._event is not None:
            headers.append(("Event", self._event))
        request = self._dialog.request("NOTIFY", headers=headers, body=body, content_type=content_type)

        def outcome(result: Outcome) -> None:
            if not isinstance(result, Response) or result.status == 481:
                self._over("gone")
            done(result)

        self._agent.exchange(request, self.flow, outcome)

    def end(self, why: str) -> None:
        """Say that it is over, by a last NOTIFY."""
        if self.active:
            self._over(why)
            reason = "timeout" if why in ("timeout", "unsubscribed") else "noresource"
            self._send(f"terminated;reason={reason}", lambda _: None)

    def _over(self, why: str) -> None:
        if not self.active:
            return
        self.active, self.why = False, why
        if self._timer is not None:
            self._timer.cancel()
        self._agent.forget_subscription(self.key)
        if self.on_change is not None:
            self.on_change()
