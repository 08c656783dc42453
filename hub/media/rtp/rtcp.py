"""RTCP (RFC 3550 §6, RFC 4585, RFC 5104, RFC 7728, REMB): what comes back from peers, and what we tell them."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from hub.media.rtp import twcc
from hub.media.rtp.packet import WireError
from hub.media.rtp.twcc import Arrivals

SR, RR, SDES, BYE, RTPFB, PSFB = 200, 201, 202, 203, 205, 206
_HEAD: Final = struct.Struct("!BBH")
MAX_PACKETS: Final = 32  # of one compound packet
MAX_TRANSPORT: Final = 4  # transport-wide feedbacks of one compound that are looked at
MAX_LOST: Final = 512  # sequence numbers that the NACKs of one compound may ask for
MAX_RATE: Final = 1 << 40  # bit/s that a REMB may tell
MAX_FLOWS: Final = 16  # streams that one message pauses or resumes
NTP_EPOCH_MS: Final = 2_208_988_800_000


@dataclass(frozen=True, slots=True)
class Block:
    """One report block (RFC 3550 §6.4.1). ``jitter`` counts the media clock."""

    ssrc: int
    fraction_lost: int  # of 256
    lost: int
    highest: int
    jitter: int
    lsr: int
    dlsr: int


class Report(NamedTuple):  # each feedback begins with one: a tuple is made three times as fast as a frozen dataclass
    """A receiver report, or the report half of a sender report."""

    sender: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """The sender half of a sender report: ``ntp`` is the 64-bit NTP time of ``timestamp``."""

    sender: int
    ntp: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class Nack:
    """Generic NACK (RFC 4585 §6.2.1): the lost sequence numbers, in the order asked for."""

    media: int
    lost: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """PLI (RFC 4585 §6.3.1) or FIR (RFC 5104 §4.3.1)."""

    media: int


@dataclass(frozen=True, slots=True)
class Bye:
    """The sources that leave (RFC 3550 §6.6)."""

    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Remb:
    """The rate that a receiver thinks it can take, bit/s (draft-alvestrand-rmcat-remb-03 §2.2)."""

    rate: int


class Flow(IntEnum):
    """What a Flowing says (RFC 7728 §8.1)."""

    PAUSE = 0  # send it no more
    RESUME = 1  # send it again
    PAUSED = 2  # it is not sent any more


@dataclass(frozen=True, slots=True)
class Flowing:
    """A receiver wants an RTP stream paused or resumed, or its sender says that it is (RFC 7728 §8)."""

    target: int
    flow: Flow


Feedback: TypeAlias = Report | SenderInfo | Nack | KeyframeRequest | Bye | Remb | Flowing | Arrivals


def parse_rtcp(data: bytes) -> list[Feedback]:
    """Parse a compound packet (RFC 3550 §6.1; reduced size allowed, RFC 5506). Unknown types are passed over.

    Raises WireError.
    """
    found: list[Feedback] = []
    at = count = transports = lost = 0
    while at < len(data):
        if at + 4 > len(data) or (count := count + 1) > MAX_PACKETS:
            raise WireError("RTCP packet is short, or there are too many", at)
        b0, kind, words = _HEAD.unpack_from(data, at)
        end = at + 4 + 4 * words
        if b0 >> 6 != 2 or end > len(data):
            raise WireError("RTCP header is wrong", at)
        body = data[at + 4 : end]
        if b0 & 0x20:
            if not body or not 0 < body[-1] <= len(body):
                raise WireError("RTCP padding is wrong", at)
            body = body[: -body[-1]]
        if kind != RTPFB:
            found += _one(kind, b0 & 0x1F, body, at)
        else:
            transports += b0 & 0x1F == 15
            if transports <= MAX_TRANSPORT and lost < MAX_LOST:
                items = _one(kind, b0 & 0x1F, body, at)
                lost += sum([len(item.lost) for item in items if isinstance(item, Nack)])
                found += items
        at = end
    return found


def _one(kind: int, count: int, body: bytes, at: int) -> list[Feedback]:
    if kind == SR:
        if len(body) < 24 + 24 * count:
            raise WireError("sender report is short", at)
        sender, ntp, timestamp = struct.unpack_from("!IQI", body)
        return [SenderInfo(sender, ntp, timestamp), Report(sender, _blocks(body, 24, count))]
    if kind == RR:
        if len(body) < 4 + 24 * count:
            raise WireError("receiver report is short", at)
        return [Report(struct.unpack_from("!I", body)[0], _blocks(body, 4, count))]
    if kind == BYE:
        if len(body) < 4 * count:
            raise WireError("BYE is short", at)
        return [Bye(struct.unpack_from(f"!{count}I", body))]
    if kind in (RTPFB, PSFB):
        if len(body) < 8:
            raise WireError("feedback is short", at)
        return _feedback(kind, count, body)
    return []


def _blocks(body: bytes, at: int, count: int) -> tuple[Block, ...]:
    blocks = []
    for offset in range(at, at + 24 * count, 24):
        ssrc, loss, highest, jitter, lsr, dlsr = struct.unpack_from("!IIIIII", body, offset)
        lost = loss & 0xFFFFFF
        blocks.append(Block(ssrc, loss >> 24, lost - (lost >> 23 << 24), highest, jitter, lsr, dlsr))
    return tuple(blocks)


def _feedback(kind: int, fmt: int, body: bytes) -> list[Feedback]:
    media = struct.unpack_from("!I", body, 4)[0]
    if kind == RTPFB and fmt == 1:
        return [Nack(media, _lost(body))]
    if kind == RTPFB and fmt == 15:
        return [twcc.parse(body[8:])]
    if kind == RTPFB and fmt == 9:
        return [*_flowing(body)]
    if kind == PSFB and fmt == 15 and body[8:12] == b"REMB" and len(body) >= 16:
        word = struct.unpack_from("!I", body, 12)[0]
        return [Remb(min((word & 0x3FFFF) << (word >> 18 & 0x3F), MAX_RATE))]
    if kind == PSFB and fmt == 1:
        return [KeyframeRequest(media)]
    if kind == PSFB and fmt == 4:  # the media SSRC of a FIR is zero, its entries name the targets
        targets = [struct.unpack_from("!I", body, at)[0] for at in range(8, len(body) - 7, 8)]
        return [KeyframeRequest(target) for target in targets[:MAX_PACKETS]]
    return []


def _lost(body: bytes) -> tuple[int, ...]:
    lost: list[int] = []
    for at in range(8, len(body) - 3, 4):
        pid, mask = struct.unpack_from("!HH", body, at)
        lost.append(pid)
        lost += [(pid + bit + 1) & 0xFFFF for bit in range(16) if mask >> bit & 1]
        if len(lost) >= MAX_LOST:
            break
    return tuple(lost[:MAX_LOST])


_FLOWS: Final = frozenset(Flow)


def _flowing(body: bytes) -> list[Flowing]:
    """The entries of a PAUSE-RESUME message; what is none of ours (REFUSED) is passed over."""
    found: list[Flowing] = []
    at = 8
    while at + 8 <= len(body) and len(found) < MAX_FLOWS:
        target, kind, words = struct.unpack_from("!IBB", body, at)
        if kind >> 4 in _FLOWS:
            found.append(Flowing(target, Flow(kind >> 4)))
        at += 8 + 4 * words
    return found


def ntp_of(ms: int) -> int:
    """64-bit NTP time of milliseconds since the Unix epoch (RFC 3550 §4)."""
    return ((ms + NTP_EPOCH_MS) << 32) // 1000


def ms_of(ntp: int) -> int:
    """Milliseconds since the Unix epoch of a 64-bit NTP time."""
    return (ntp * 1000 >> 32) - NTP_EPOCH_MS


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


def sender_report(ssrc: int, ntp: int, timestamp: int, packets: int, octets: int) -> bytes:
    """SR without blocks (RFC 3550 §6.4.1); counts wrap at 32 bits."""
    m = 0xFFFFFFFF
    return _packet(SR, 0, struct.pack("!IQIII", ssrc, ntp, timestamp & m, packets & m, octets & m))


def receiver_report(ssrc: int, blocks: tuple[Block, ...]) -> bytes:
    """RR (RFC 3550 §6.4.2)."""
    body = struct.pack("!I", ssrc)
    for b in blocks:
        loss = b.fraction_lost << 24 | (max(-0x800000, min(b.lost, 0x7FFFFF)) & 0xFFFFFF)
        body += struct.pack("!IIIIII", b.ssrc, loss, b.highest & 0xFFFFFFFF, b.jitter, b.lsr, b.dlsr)
    return _packet(RR, len(blocks), body)


def cname(ssrc: int, name: str) -> bytes:
    """SDES with a CNAME (RFC 3550 §6.5.1)."""
    text = name.encode()[:255]
    chunk = struct.pack("!IBB", ssrc, 1, len(text)) + text
    return _packet(SDES, 1, chunk + bytes(4 - len(chunk) % 4))


def bye(sources: tuple[int, ...]) -> bytes:
    """BYE (RFC 3550 §6.6)."""
    return _packet(BYE, len(sources), struct.pack(f"!{len(sources)}I", *sources))


def pli(sender: int, media: int) -> bytes:
    """Picture loss indication (RFC 4585 §6.3.1)."""
    return _packet(PSFB, 1, struct.pack("!II", sender, media))


def nack(sender: int, media: int, lost: list[int]) -> bytes:
    """Generic NACK of ascending sequence numbers (RFC 4585 §6.2.1)."""
    pairs: list[list[int]] = []
    for seq in lost:
        if pairs and 0 < (distance := (seq - pairs[-1][0]) & 0xFFFF) <= 16:
            pairs[-1][1] |= 1 << distance - 1
        else:
            pairs.append([seq, 0])
    return _packet(RTPFB, 1, struct.pack("!II", sender, media) + b"".join(struct.pack("!HH", *p) for p in pairs))


def transport(sender: int, media: int, body: bytes) -> bytes:
    """Transport-wide feedback, its body from ``twcc.ArrivalLog.feedback``."""
    if padding := -len(body) % 4:
        body += bytes(padding - 1) + bytes((padding,))
    made = _packet(RTPFB, 15, struct.pack("!II", sender, media) + body)
    return bytes((made[0] | 0x20,)) + made[1:] if padding else made


def flowing(sender: int, target: int, flow: Flow, number: int, highest: int = 0) -> bytes:
    """PAUSE, RESUME or PAUSED of one stream (RFC 7728 §8). ``number`` is the PauseID, ``highest`` goes with PAUSED."""
    last = struct.pack("!I", highest & 0xFFFFFFFF) if flow is Flow.PAUSED else b""
    entry = struct.pack("!IBBH", target, flow << 4, len(last) // 4, number & 0xFFFF) + last
    return _packet(RTPFB, 9, struct.pack("!II", sender, 0) + entry)


def remb(sender: int, bits_per_second: int, ssrcs: tuple[int, ...]) -> bytes:
    """Receiver estimated maximum bit rate (draft-alvestrand-rmcat-remb-03 §2.2)."""
    exponent = max(0, bits_per_second.bit_length() - 18)
    word = len(ssrcs) << 24 | exponent << 18 | bits_per_second >> exponent
    return _packet(PSFB, 15, struct.pack(f"!II4sI{len(ssrcs)}I", sender, 0, b"REMB", word, *ssrcs))
