"""Every parser under mutated good input: it answers, or refuses with its own error, and never takes long.

``SOAK_SECONDS`` (default 10) is spent on each. The seed is printed; ``SOAK_SEED`` repeats a run.
"""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from drills.document import DocumentError
from drills.rubric import parse_rubric
from drills.scenario import parse_scenario
from hub.media.rtp import packet, rtcp, sps
from signaling import ice, sdp, whip, wire
from signaling.rtsp import message

SECONDS: Final = float(os.environ.get("SOAK_SECONDS", "10"))
SEED: Final = int(os.environ.get("SOAK_SEED", str(random.SystemRandom().randrange(2**32))))
DRILLS: Final = Path(__file__).parents[2] / "hub" / "demo" / "drill"
SLOW_S: Final = 1.0  # CPU seconds for one small input: a bound against catastrophe, not a benchmark

OFFER: Final = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n"
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:actpass\r\n"
    f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=42e01f\r\n"
    "a=rtpmap:97 VP8/90000\r\n"
)
RTSP: Final = b"DESCRIBE rtsp://h/cam RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 3\r\n\r\nabc$\x00\x00\x04abcd"
STUN: Final = ice.binding_request("abcd:efgh", b"abcdefghijklmnopqrstuv")
RTCP: Final = rtcp.sender_report(1, 2, 3, 4, 5) + rtcp.nack(1, 2, [5, 6, 40]) + rtcp.pli(1, 2)
RTP: Final = bytes.fromhex("90e0123400000001000000025ede0001") + b"\x10\x01\x00\x00" + b"payload"
SPS: Final = bytes.fromhex("6742c01fda014016ec0440000003004000000c83c60ca8")


def rtsp(data: bytes) -> None:
    for _ in message.Decoder().feed(data):
        pass


def as_text(parse: Callable[[str], Any]) -> Callable[[bytes], Any]:
    return lambda data: parse(data.decode("utf-8", "replace"))


CASES: Final[dict[str, tuple[Callable[[bytes], Any], list[bytes], type[Exception]]]] = {
    "sdp": (as_text(sdp.parse), [OFFER.encode()], sdp.SdpError),
    "whip offer": (as_text(whip.read_offer), [OFFER.encode()], sdp.SdpError),
    "stun": (ice.parse_stun, [STUN], ice.StunError),
    "rtp": (packet.parse_rtp, [RTP], packet.WireError),
    "rtcp": (rtcp.parse_rtcp, [RTCP], packet.WireError),
    "sps": (sps.parse_sps, [SPS], ValueError),
    "rtsp": (rtsp, [RTSP], message.RtspError),
    "ws": (wire.parse_client, [b'{"type":"call.answer","conference":"conf-1","accept":true}'], wire.WireError),
    "scenario": (as_text(parse_scenario), [p.read_bytes() for p in DRILLS.glob("*.scenario.yaml")], DocumentError),
    "rubric": (as_text(parse_rubric), [p.read_bytes() for p in DRILLS.glob("*.rubric.yaml")], DocumentError),
}


def mutated(chance: random.Random, good: bytes) -> bytes:
    """A few cuts, flips, doublings and insertions."""
    data = bytearray(good)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                del data[at : at + chance.randint(1, 40)]
            case 1:
                data[at:at] = chance.randbytes(chance.randint(1, 8))
            case 2 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 3:
                data[at:at] = data[at : at + chance.randint(1, 400)] * chance.randint(1, 4)
            case _:
                data[at:at] = chance.choice(
                    (b"\x00", b"\xff" * 4, b"\r\n", b"-1", b"9" * 30, b"{[", b": &a *a", "值".encode())
                )
    return bytes(data)


@pytest.mark.parametrize("name", CASES)
def test_a_parser_answers_or_refuses_by_name(name: str) -> None:
    parse, good, refusal = CASES[name]
    chance = random.Random(SEED)
    end = time.monotonic() + SECONDS
    count = refused = 0
    while time.monotonic() < end:
        data = mutated(chance, chance.choice(good))
        began = time.process_time()
        try:
            parse(data)
        except refusal:
            refused += 1
        except Exception as error:
            raise AssertionError(f"{name}: {type(error).__name__} on {data!r} (SOAK_SEED={SEED})") from error
        spent = time.process_time() - began
        assert spent < SLOW_S, f"{name}: {spent:.1f} s for {len(data)} bytes: {data[:200]!r}"
        count += 1
    print(f"{name}: {count} inputs, {refused} refused, seed {SEED}")
    assert 0 < refused < count
