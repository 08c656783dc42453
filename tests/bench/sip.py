"""What SIP costs: ``python -m tests.bench.sip [--quick] [--json]``. CPU time of this process, one thread;
the gateway's own figures are of its process (``sip_gateway``).

Each key is a function of ``FIGURES``, called with ``quick``; the best of several rounds counts: the machine is shared.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Final

from signaling.sip.layer import Flow, ServerTransaction
from signaling.sip.message import Request, parse, respond
from signaling.sip.stack import SipStack, StackConfig
from tests.bench import sip_chain, sip_gateway
from tests.bench.common import arguments, show

GOALS: Final = {"register_parse_us": 60.0, "keepalive_core_percent_20000": 5.0}
ROUNDS: Final = 5
DATE: Final = ("Date", "2026-01-01T00:00:00.000")


def register(number: int) -> bytes:
    """A device's REGISTER with credentials; everything that differs between devices differs."""
    device, chance = f"3402000000132{number:07d}", hashlib.md5(b"%d" % number, usedforsecurity=False).hexdigest()
    host = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return (
        f"REGISTER sip:34020000002000000001@3402000000 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {host}:5060;rport;branch=z9hG4bK{chance[:10]}\r\n"
        f"From: <sip:{device}@3402000000>;tag={chance[10:20]}\r\n"
        f"To: <sip:{device}@3402000000>\r\n"
        f"Call-ID: {chance[20:]}\r\n"
        f"CSeq: 2 REGISTER\r\n"
        f"Contact: <sip:{device}@{host}:5060>\r\n"
        f'Authorization: Digest username="{device}", realm="3402000000", nonce="{chance}", '
        f'uri="sip:34020000002000000001@3402000000", response="{chance}", algorithm=MD5\r\n'
        f"Max-Forwards: 70\r\nUser-Agent: IP Camera\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def best_us(work: Callable[[], None], count: int) -> float:
    """CPU microseconds a piece, the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return best / count * 1e6


def register_parse_us(quick: bool) -> float:
    """Parse a REGISTER, note received and rport, build the 200 with Date and Expires, serialise it."""
    messages = [register(number) for number in range(500 if quick else 5_000)]

    def work() -> None:
        for data in messages:
            request = parse(data)
            assert isinstance(request, Request)
            request.via.received_from("203.0.113.7", 40_000)
            respond(request, 200, tag="0123456789abcdef", headers=[("Expires", "3600"), DATE]).encode()

    return best_us(work, len(messages))


def register_stack_us(quick: bool) -> float:
    """The same through the whole stack without sockets: matching, a server transaction with its timer, the answer."""
    messages = [register(number) for number in range(500 if quick else 5_000)]

    def work() -> None:
        clock = 0.0

        def answer(transaction: ServerTransaction) -> None:
            transaction.respond(200, headers=[("Expires", "3600"), DATE])

        stack = SipStack(StackConfig(), now=lambda: clock, local=lambda _: ("10.0.0.1", 5060), on_request=answer)
        for at, data in enumerate(messages):
            stack.receive(data, Flow("udp", "203.0.113.7", 1_024 + at % 60_000))
            stack.take()
        clock = 100.0
        stack.tick()
        assert len(stack.transactions) == 0

    return best_us(work, len(messages))


FIGURES: Final[Mapping[str, Callable[[bool], float]]] = {
    "register_parse_us": register_parse_us,
    "register_stack_us": register_stack_us,
}


def main() -> None:
    """Measure every figure and print."""
    given = arguments("CPU cost of SIP")
    figures = {key: measure(given.quick) for key, measure in FIGURES.items()}
    figures |= asyncio.run(sip_gateway.measure(given.quick))
    figures |= asyncio.run(sip_chain.measure(given.quick))
    show("sip", figures, GOALS, as_json=given.json)


if __name__ == "__main__":
    main()
