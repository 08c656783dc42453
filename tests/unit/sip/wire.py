"""Two stacks with a virtual clock and a wire between them that loses, doubles and reorders by a seeded dice."""

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Final

from signaling.sip.layer import Flow, Proto, ServerTransaction
from signaling.sip.message import Request, Response, make_request
from signaling.sip.stack import SipStack, StackConfig

DELAY_S: Final = 0.02
OURS: Final = "sip:34020000002000000001@3402000000"
THEIRS: Final = "sip:34020000001320000001@3402000000"


class Wire:
    """``a`` (platform) and ``b`` (device). ``seen`` holds every message that arrived, with its time."""

    def __init__(
        self,
        handler: Callable[[ServerTransaction], object] = lambda transaction: None,
        *,
        transport: Proto = "udp",
        seed: int = 0,
        loss: float = 0.0,
        double: float = 0.0,
        late: float = 0.0,
        config: StackConfig | None = None,
    ) -> None:
        self.now = 0.0
        self.dice = random.Random(seed)
        self.loss, self.double, self.late = loss, double, late
        self.to_a = Flow(transport, "10.0.0.1", 5060, int(transport == "tcp"))
        self.to_b = Flow(transport, "10.0.0.2", 5060, int(transport == "tcp"))
        config = config or StackConfig(agent="")
        self.a_handler: Callable[[ServerTransaction], object] = lambda transaction: None
        self.a = SipStack(
            config, now=lambda: self.now, local=lambda _: ("10.0.0.1", 5060), on_request=lambda tx: self.a_handler(tx)
        )
        self.b = SipStack(config, now=lambda: self.now, local=lambda _: ("10.0.0.2", 5060), on_request=handler)
        self.seen: list[tuple[float, str, str]] = []
        self.drop: Callable[[bytes], bool] = lambda data: False
        self._air: list[tuple[float, int, SipStack, Flow, bytes]] = []
        self._serial = itertools.count()

    def _carry(self) -> None:
        for sender, receiver, source in ((self.a, self.b, self.to_a), (self.b, self.a, self.to_b)):
            for send in sender.take():
                copies = 0 if self.dice.random() < self.loss or self.drop(send.data) else 1
                copies += int(copies and self.dice.random() < self.double)
                for _ in range(copies):
                    wait = DELAY_S + (self.dice.random() * 0.9 if self.dice.random() < self.late else 0.0)
                    heapq.heappush(self._air, (self.now + wait, next(self._serial), receiver, source, send.data))

    def run(self, seconds: float = 100.0) -> None:
        """Let that much time pass."""
        end = self.now + seconds
        while True:
            self._carry()
            due = [each for each in (self.a.next_timer(), self.b.next_timer()) if each is not None]
            due += [self._air[0][0]] if self._air else []
            if not due or min(due) > end:
                self.now = end
                return
            self.now = max(self.now, min(due))
            while self._air and self._air[0][0] <= self.now:
                _, _, receiver, source, data = heapq.heappop(self._air)
                name = "b" if receiver is self.b else "a"
                self.seen.append((round(self.now, 3), name, data.split(b"\r\n", 1)[0].decode()))
                receiver.receive(data, source)
            self.a.tick()
            self.b.tick()

    def arrived(self, at: str, beginning: str) -> list[float]:
        """When messages whose first line begins so came to that side."""
        return [when for when, name, line in self.seen if name == at and line.startswith(beginning)]


def request(method: str = "MESSAGE", **more: object) -> Request:
    """One from the platform to the device."""
    return make_request(method, THEIRS, from_=OURS, to=THEIRS)


def status(outcome: object) -> int | str:
    """A response's status, or why there was none."""
    return outcome.status if isinstance(outcome, Response) else str(outcome)
