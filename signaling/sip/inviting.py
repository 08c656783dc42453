"""An INVITE of ours until it is answered (RFC 3261 §9.1, §13.2): ringing, calling off, forks, session timers."""

from collections.abc import Callable
from typing import Final

from signaling.rtsp.auth import Credentials
from signaling.sip.call import Agent, Call, Exchange, Outcome, Phase
from signaling.sip.dialog import Dialog
from signaling.sip.layer import Flow, cancel_of
from signaling.sip.message import Request, Response
from signaling.sip.session_timer import MINIMUM_S

MAX_FORKS: Final = 8


class Inviting:
    """An INVITE of ours, not answered yet. ``done`` gets the Call, the refusal, or why there is neither."""

    def __init__(
        self,
        agent: Agent,
        request: Request,
        flow: Flow,
        done: Callable[[Call | Outcome], None],
        *,
        provisional: Callable[[Response], None] | None = None,
        credentials: Credentials | None = None,
        limit: float = 60.0,
    ) -> None:
        self.call: Call | None = None
        self.agent, self.flow = agent, flow
        self._done: Callable[[Call | Outcome], None] | None = done
        self._provisional, self._credentials = provisional, credentials
        self._cancelled = self._cancel_sent = self._ringing = self._raised = False
        self._forks: set[str] = set()
        self._request = request
        self._exchange = self._send(request)
        self._timer = agent.timers.at(agent.now() + limit, self._too_late)

    def _send(self, request: Request) -> Exchange:
        return self.agent.exchange(
            request, self.flow, self._outcome, provisional=self._heard, credentials=self._credentials
        )

    def cancel(self) -> None:
        """Call it off (RFC 3261 §9.1): CANCEL as soon as that is allowed, BYE should a 2xx cross it."""
        if self._cancelled or self.call is not None:
            return
        self._cancelled = True
        if self._ringing:
            self._cancel()

    def _cancel(self) -> None:
        if not self._cancel_sent:
            self._cancel_sent = True
            transaction = self._exchange.transaction
            self.agent.transact(cancel_of(transaction.request), self.flow, lambda _: None)
            transaction.limit(self.agent.clocks.limit)

    def _too_late(self) -> None:
        self.cancel()
        self._tell("timeout")

    def _tell(self, what: Call | Outcome) -> None:
        self._timer.cancel()
        done, self._done = self._done, None
        if done is not None:
            done(what)

    def _heard(self, response: Response) -> None:
        self._ringing = True
        if self._cancelled:
            self._cancel()
        elif self._provisional is not None:
            self._provisional(response)

    def _outcome(self, result: Outcome) -> None:
        if not isinstance(result, Response):
            self._tell(result)
            return
        if result.status // 100 == 2:
            self._answered(result)
        elif result.status == 422 and not self._raised and not self._cancelled:
            self._raise_interval(result)
        else:
            self._tell(result)

    def _raise_interval(self, response: Response) -> None:
        """RFC 4028 §7.3."""
        self._raised = True
        wanted = response.headers.get("Min-SE") or str(MINIMUM_S)
        again = Request(
            method="INVITE", uri=self._request.uri, headers=self._request.headers.copy(), body=self._request.body
        )
        again.headers.remove("Via")
        again.headers.set("Session-Expires", wanted)
        again.headers.set("Min-SE", wanted)
        again.headers.set("CSeq", f"{self._exchange.transaction.request.cseq.number + 1} INVITE")
        self._exchange = self._send(again)

    def _answered(self, response: Response) -> None:
        tag = response.to.tag or ""
        if self.call is not None and tag == self.call.dialog.remote_tag:
            self.call.again(response)
            return
        if len(self._forks) >= MAX_FORKS and tag not in self._forks:
            return
        request = self._exchange.transaction.request
        dialog = Dialog.of_client(request, response)
        call = Call(self.agent, dialog, self.flow, phase=Phase.CONFIRMED, ours=request.body)
        call.credentials = self._credentials
        first = self.call is None and not self._cancelled
        if first:
            self.call = call
            self.agent.keep(call)
        call.take(response, request.cseq.number)
        if first:
            self._tell(call)
            return
        # Another branch answered too, or the 2xx crossed our CANCEL: acknowledged, and hung up (§13.2.2.4).
        if tag not in self._forks:
            self._forks.add(tag)
            call.bye()
        if self._cancelled:
            self._tell("timeout")
