"""The hot loop: packets made once, and per viewer only rewritten, protected and sent.

Per batch the packets are laid out once in a template; per viewer the template is copied, each packet gets its
sequence number (and payload type), libsrtp protects it in place, and one segmented send carries each run of equal
sizes. ``fanout_native.py`` is the same class with its hot loops in C, behind ``live``, ``exact`` and ``again``.

Never protect two different plaintexts under one (SSRC, rollover counter, sequence number): what is written here is a
function of the packet and of the viewer's ``Numbering`` alone.
"""

import secrets
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from pylibsrtp._binding import ffi as srtp_ffi
from pylibsrtp._binding import lib as srtp_lib

from hub.media.peer import udp
from hub.media.peer.counters import Counters
from hub.media.peer.tcp import Line
from hub.media.rtp.extension import PLAIN, Layout, send_time
from hub.media.rtp.numbering import Numbering, Segment
from hub.media.rtp.packet import HEADER
from hub.media.rtp.sendlog import SendLog
from hub.media.rtp.track import Packet

STRIDE: Final = 1_536
SLOTS: Final = 48  # packets a pass; the kernel segments a send into 64 datagrams at most
MAX_SEND: Final = 65_000  # bytes of one segmented send, below what one UDP datagram may hold
_SWAPPED: Final = [(seq & 0xFF) << 8 | seq >> 8 for seq in range(0x10000)]  # to network order


Protect: TypeAlias = Callable[[Any, Any, Any], int]
Shape: TypeAlias = tuple[int, Layout]
"""What targets must have in common to share a template: the SRTP tag and the header extension."""
Item: TypeAlias = tuple[Packet, int, Segment]


def _clock_us() -> int:
    return time.monotonic_ns() // 1_000


class Repair:
    """The retransmission stream of one viewer's track (RFC 4588): an SSRC and a sequence space of its own."""

    __slots__ = ("next", "payload_type", "ssrc")

    def __init__(self, payload_type: int, ssrc: int, first: int | None = None) -> None:
        self.payload_type = payload_type
        self.ssrc = ssrc
        self.next = secrets.randbelow(1 << 14) + 1 if first is None else first  # extended, as in ``Numbering``


class Target:
    """Where one viewer's track goes: keys, path and numbers. ``tag`` is what SRTP appends to each packet, in bytes.

    ``log`` numbers and remembers what is sent when the layout has transport-cc. ``ssrc`` is written over that of the
    packets (0: theirs stays): a connection of many tracks gives each stretch of a track a number of its own, since
    whoever has stopped receiving one has forgotten its rollovers. ``line`` is the TCP connection of a path that is
    one: such a target never comes in the groups of ``live``, only by ``exact`` and ``again``.
    """

    __slots__ = (
        "layout", "length", "line", "log", "name", "name_at", "numbering", "octets", "packets", "payload_type",
        "repair", "session", "shape", "srtp", "ssrc", "tag",
    )  # fmt: skip

    def __init__(
        self,
        srtp: Any,
        tag: int,
        payload_type: int,
        path: bytes,
        numbering: Numbering,
        *,
        layout: Layout = PLAIN,
        log: SendLog | None = None,
        repair: Repair | None = None,
        ssrc: int = 0,
    ) -> None:
        self.srtp = srtp
        self.session = 0 if srtp is None else int(udp.ffi.cast("uintptr_t", srtp))  # as the native half wants it
        self.ssrc = ssrc
        self.tag = tag
        self.payload_type = payload_type
        self.numbering = numbering
        self.layout = layout
        self.log = log
        self.repair = repair
        self.shape = (tag, layout)
        self.packets = 0
        self.octets = 0
        self.move(path)

    def move(self, path: bytes) -> None:
        """Send to another address from now on."""
        self.line = path if isinstance(path, Line) else None
        self.name = udp.ffi.new("char[]", path)
        self.name_at = int(udp.ffi.cast("uintptr_t", self.name))
        self.length = len(path)


class Fanout:
    """Buffers and the three ways to send. Belongs to the thread of the loop."""

    half = "python"

    def __init__(
        self,
        fd: int,
        counters: Counters,
        *,
        gso: bool = True,
        protect: Protect = srtp_lib.srtp_protect,
        clock_us: Callable[[], int] = _clock_us,
    ) -> None:
        self.gso = gso
        self._fd = fd
        self._counters = counters
        self._protect = protect
        self._clock_us = clock_us
        self._template = udp.ffi.new("char[]", STRIDE * SLOTS)
        self._work = udp.ffi.new("char[]", STRIDE * SLOTS)
        self._words = udp.ffi.cast("uint16_t *", self._work)
        self._bytes = udp.ffi.cast("uint8_t *", self._work)
        self._buffer = udp.ffi.buffer(self._work)
        self._laid_out = udp.ffi.buffer(self._template)
        self._slots = [self._work + i * STRIDE for i in range(SLOTS)]
        self._lengths = srtp_ffi.new("int[]", SLOTS)
        self._sizes = srtp_ffi.new("int[]", SLOTS)
        self._length_at = [self._lengths + i for i in range(SLOTS)]
        self._iov = udp.ffi.new("struct iovec[]", SLOTS)
        self._messages = udp.ffi.new("struct mmsghdr[]", SLOTS)
        self._headers = [udp.ffi.addressof(self._messages[i], "msg_hdr") for i in range(SLOTS)]
        self._controls: dict[int, Any] = {}
        for i in range(SLOTS):
            self._iov[i].iov_base = self._slots[i]

    def live(self, groups: Mapping[Shape, Sequence[Target]], packets: Sequence[Packet]) -> None:
        """Send new packets, ascending and without gaps, to every target; ``groups`` sorts the targets by shape.

        The segment of each must be plain, and the packets behind its anchor.
        """
        for at in range(0, len(packets), SLOTS):
            self._pass(groups, packets[at : at + SLOTS])

    def exact(self, target: Target, items: Sequence[Item]) -> None:
        """Send packets to one target under given numbers (16 bit), rewritten as their segments say."""
        for at in range(0, len(items), SLOTS):
            part, now = items[at : at + SLOTS], self._clock_us()
            packets = [packet for packet, _, _ in part]
            sizes = self._lay(packets, target.payload_type, target.layout, self._buffer, self._lengths, now)
            start = HEADER + len(target.layout.block)
            for i, (packet, seq, segment) in enumerate(part):
                self._rewrite(i, seq, start, packet, segment)
                if target.ssrc:
                    struct.pack_into("!I", self._buffer, i * STRIDE + 8, target.ssrc)
            self._finish(target, sizes, now)

    def again(self, target: Target, repair: Repair, items: Sequence[Item]) -> None:
        """Send packets once more, as retransmissions of their numbers (RFC 4588 §4)."""
        for at in range(0, len(items), SLOTS):
            part, now = items[at : at + SLOTS], self._clock_us()
            packets = [packet for packet, _, _ in part]
            sizes = self._lay(packets, repair.payload_type, target.layout, self._buffer, self._lengths, now, gap=2)
            start = HEADER + len(target.layout.block)
            for i, (packet, seq, segment) in enumerate(part):
                self._rewrite(i, repair.next & 0xFFFF, start + 2, packet, segment)
                repair.next += 1
                struct.pack_into("!I", self._buffer, i * STRIDE + 8, repair.ssrc)
                struct.pack_into("!H", self._buffer, i * STRIDE + start, seq)
            self._finish(target, sizes, now)

    def _rewrite(self, i: int, seq: int, start: int, packet: Packet, segment: Segment) -> None:
        """Number, time and picture ids of one packet in the work buffer; its payload begins at ``start``."""
        struct.pack_into("!HI", self._buffer, i * STRIDE + 2, seq, segment.timestamp(packet))
        if packet.vp8 is None:
            return
        if segment.picture and (picture := segment.picture_of(packet)) >= 0:
            at = i * STRIDE + start + packet.vp8.picture_at
            if packet.vp8.narrow:
                self._bytes[at] = picture
            else:
                struct.pack_into("!H", self._buffer, at, 0x8000 | picture)
        if segment.base and (base := segment.base_of(packet)) >= 0:
            self._bytes[i * STRIDE + start + packet.vp8.base_at] = base

    def _pass(self, groups: Mapping[Shape, Sequence[Target]], packets: Sequence[Packet]) -> None:
        now = self._clock_us()
        count, first = len(packets), packets[0].n
        copy, size_bytes, span = udp.ffi.memmove, 4 * count, STRIDE * count
        work, template, lengths, words = self._work, self._template, self._lengths, self._words
        slots, length_at = self._slots[:count], self._length_at[:count]
        protect = self._protect
        rows = range(1, span // 2, STRIDE // 2)  # where the sequence numbers are, in words
        for (tag, layout), targets in groups.items():
            if not targets:
                continue
            base_type = targets[0].payload_type
            sizes = self._lay(packets, base_type, layout, self._laid_out, self._sizes, now)
            runs, ahead = self._runs(sizes, tag), layout.transport_at // 2 - 1
            for target in targets:
                copy(work, template, span)
                copy(lengths, self._sizes, size_bytes)
                if target.payload_type != base_type:
                    self._retype(packets, target.payload_type)
                numbering, srtp, log = target.numbering, target.srtp, target.log
                number, failed = first + numbering.delta, 0
                if log is not None and ahead > 0:
                    running = log.next
                    for row in rows:
                        words[row + ahead] = _SWAPPED[running & 0xFFFF]
                        running += 1
                if own := target.ssrc:
                    high, low = _SWAPPED[own >> 16], _SWAPPED[own & 0xFFFF]
                    for row in rows:
                        words[row + 3], words[row + 4] = high, low
                for i, row in enumerate(rows):
                    words[row] = _SWAPPED[number + i & 0xFFFF]
                    if protect(srtp, slots[i], length_at[i]):
                        failed += 1
                numbering.highest = max(numbering.highest, number + count - 1)
                self._send(target, sizes, runs, failed, now)

    def _lay(
        self, packets: Sequence[Packet], payload_type: int, layout: Layout, where: Any, sizes: Any, now: int,
        *, gap: int = 0,
    ) -> list[int]:  # fmt: skip
        """Packets side by side, with the header extension and ``gap`` bytes in front of the payload; their sizes."""
        found = []
        block = bytearray(layout.block)
        if layout.time_at:
            block[layout.time_at - HEADER : layout.time_at - HEADER + 3] = send_time(now)
        first = 0x90 if block else 0x80
        heads = bytes((first, payload_type)), bytes((first, 0x80 | payload_type))  # without and with the marker
        between = bytes(block) + bytes(gap)
        for i, packet in enumerate(packets):
            data, at = packet.data, i * STRIDE
            row = heads[packet.marker] + data[2:HEADER] + between + data[HEADER:]
            sizes[i] = size = len(row)
            where[at : at + size] = row  # in one piece: each call into cffi costs more than the copying
            if layout.level_at and packet.level >= 0:
                where[at + layout.level_at : at + layout.level_at + 2] = bytes((layout.level_id << 4, packet.level))
            found.append(size)
        return found

    def _retype(self, packets: Sequence[Packet], payload_type: int) -> None:
        for i, packet in enumerate(packets):
            self._bytes[i * STRIDE + 1] = (0x80 if packet.marker else 0) | payload_type

    def _finish(self, target: Target, sizes: list[int], now: int) -> None:
        """Number for transport-cc what lies in the work buffer, protect and send it."""
        runs = self._runs(sizes, target.tag)
        failed = 0
        word = target.layout.transport_at // 2
        for i in range(len(sizes)):
            if target.log is not None and word:
                self._words[i * (STRIDE // 2) + word] = _SWAPPED[target.log.next + i & 0xFFFF]
            if self._protect(target.srtp, self._slots[i], self._length_at[i]):
                failed += 1
        self._send(target, sizes, runs, failed, now)

    # runs: what one send call carries ---------------------------------------------------------------

    def _runs(self, sizes: list[int], tag: int) -> list[tuple[Any, int, int]]:
        """Message header, first packet and number of packets of each send."""
        for i, size in enumerate(sizes):
            self._iov[i].iov_len = size + tag
        runs: list[tuple[Any, int, int]] = []
        at = 0
        while at < len(sizes):
            end = at + 1
            if self.gso:  # equal sizes, and the last may be smaller
                most = at + MAX_SEND // (sizes[at] + tag)
                while end < len(sizes) and end < most and sizes[end] == sizes[at]:
                    end += 1
                if end < len(sizes) and end < most and sizes[end] < sizes[at]:
                    end += 1
            header = self._headers[len(runs)]
            header.msg_iov = self._iov + at
            header.msg_iovlen = end - at
            header.msg_control = self._control(sizes[at] + tag) if end - at > 1 else udp.ffi.NULL
            header.msg_controllen = 24 if end - at > 1 else 0
            runs.append((header, at, end - at))
            at = end
        return runs

    def _control(self, size: int) -> Any:
        control = self._controls.get(size)
        if control is None:
            control = self._controls[size] = udp.segment_control(size)
        return control

    def _send(self, target: Target, sizes: list[int], runs: list[tuple[Any, int, int]], failed: int, now: int) -> None:
        counters, log = self._counters, target.log
        if failed:  # what was not protected must not leave; the whole batch is lost for this viewer
            counters.protect_failed += failed
            counters.drops += len(sizes)
            if log is not None:
                log.next += len(sizes)
            return
        total = sum(sizes)
        if log is not None:
            log.sent(len(sizes), total, now)
        target.packets += len(sizes)
        target.octets += total - HEADER * len(sizes)
        counters.packets_out += len(sizes)
        counters.bytes_out += total
        if target.line is not None:
            self._send_line(target.line, sizes, target.tag)
            return
        if not self.gso and len(runs) > 1:
            self._send_many(target, len(runs))
            return
        name, length, sendmsg, fd = target.name, target.length, udp.libc.sendmsg, self._fd
        for header, first, count in runs:
            header.msg_name = name
            header.msg_namelen = length
            if sendmsg(fd, header, udp.MSG_DONTWAIT) < 0:
                self._refused(target, udp.ffi.errno, first, count, sizes)

    def _send_line(self, line: Line, sizes: list[int], tag: int) -> None:
        """The batch over TCP, each packet with its length in front (RFC 4571 §2)."""
        frames = bytearray()
        for i, size in enumerate(sizes):
            frames += (size + tag).to_bytes(2, "big")
            frames += self._buffer[i * STRIDE : i * STRIDE + size + tag]
        if not line.write(bytes(frames)):
            self._counters.tcp_dropped += len(sizes)

    def _send_many(self, target: Target, count: int) -> None:
        for header in self._headers[:count]:
            header.msg_name = target.name
            header.msg_namelen = target.length
        sent = udp.libc.sendmmsg(self._fd, self._messages, count, udp.MSG_DONTWAIT)
        if sent < count:
            self._count_lost(udp.ffi.errno, count - max(sent, 0))

    def _refused(self, target: Target, error: int, first: int, count: int, sizes: list[int]) -> None:
        """One run did not leave: without GSO in the kernel it goes again packet by packet, else it is lost."""
        if not (self.gso and count > 1 and error in udp.NO_GSO):
            self._count_lost(error, count)
            return
        self.gso = False
        for i in range(first, first + count):
            size = sizes[i] + target.tag
            data = bytes(self._buffer[i * STRIDE : i * STRIDE + size])
            if error := udp.send(self._fd, data, bytes(udp.ffi.buffer(target.name, target.length))):
                self._count_lost(error, 1)

    def _count_lost(self, error: int, count: int) -> None:
        if error in udp.FULL:
            self._counters.drops += count
        else:
            self._counters.send_errors += count
