"""The hot loop: packets made once, and per viewer only rewritten, protected and sent.

Per batch the packets are laid out once in a template; per viewer the template is copied, each packet gets its
sequence number (and payload type), libsrtp protects it in place, and one segmented send carries each run of equal
sizes. A native half may replace ``Fanout`` behind these two methods: ``live`` and ``exact``.

Never protect two different plaintexts under one (SSRC, rollover counter, sequence number): what is written here is a
function of the packet and of the viewer's ``Numbering`` alone.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pylibsrtp._binding import ffi as srtp_ffi
from pylibsrtp._binding import lib as srtp_lib

from hub.media.peer import udp
from hub.media.peer.counters import Counters
from hub.media.rtp.numbering import Numbering
from hub.media.rtp.packet import HEADER
from hub.media.rtp.track import Packet

STRIDE: Final = 1_536
SLOTS: Final = 48  # packets a pass; the kernel segments a send into 64 datagrams at most
MAX_SEND: Final = 65_000  # bytes of one segmented send, below what one UDP datagram may hold
_SWAPPED: Final = [(seq & 0xFF) << 8 | seq >> 8 for seq in range(0x10000)]  # to network order

Protect = Callable[[Any, Any, Any], int]


class Target:
    """Where one viewer's track goes: keys, path and numbers. ``tag`` is what SRTP appends to each packet, in bytes."""

    __slots__ = ("length", "name", "numbering", "octets", "packets", "payload_type", "srtp", "tag")

    def __init__(self, srtp: Any, tag: int, payload_type: int, path: bytes, numbering: Numbering) -> None:
        self.srtp = srtp
        self.tag = tag
        self.payload_type = payload_type
        self.numbering = numbering
        self.packets = 0
        self.octets = 0
        self.move(path)

    def move(self, path: bytes) -> None:
        """Send to another address from now on."""
        self.name = udp.ffi.new("char[]", path)
        self.length = len(path)


class Fanout:
    """Buffers and the two ways to send. Belongs to the thread of the loop."""

    def __init__(
        self, fd: int, counters: Counters, *, gso: bool = True, protect: Protect = srtp_lib.srtp_protect
    ) -> None:
        self.gso = gso
        self._fd = fd
        self._counters = counters
        self._protect = protect
        self._template = udp.ffi.new("char[]", STRIDE * SLOTS)
        self._work = udp.ffi.new("char[]", STRIDE * SLOTS)
        self._bytes = udp.ffi.cast("uint8_t *", self._work)
        self._words = udp.ffi.cast("uint16_t *", self._work)
        self._buffer = udp.ffi.buffer(self._work)
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

    def live(self, groups: Mapping[int, Sequence[Target]], packets: Sequence[Packet]) -> None:
        """Send new packets, ascending and without gaps, to every target; ``groups`` sorts the targets by their tag."""
        for at in range(0, len(packets), SLOTS):
            self._pass(groups, packets[at : at + SLOTS])

    def exact(self, target: Target, items: Sequence[tuple[Packet, int, int]]) -> None:
        """Send packets to one target under given numbers (16 bit) and timestamps."""
        for at in range(0, len(items), SLOTS):
            part = items[at : at + SLOTS]
            sizes = self._lay([packet for packet, _, _ in part], target.payload_type, self._work, self._lengths)
            for i, (_, seq, timestamp) in enumerate(part):
                struct.pack_into("!HI", self._buffer, i * STRIDE + 2, seq & 0xFFFF, timestamp)
            self._finish(target, sizes, self._runs(sizes, target.tag))

    def _pass(self, groups: Mapping[int, Sequence[Target]], packets: Sequence[Packet]) -> None:
        base_type: int | None = None
        count, first = len(packets), packets[0].n
        sizes: list[int] = []
        copy, size_bytes, span = udp.ffi.memmove, 4 * count, STRIDE * count
        work, template, lengths, words = self._work, self._template, self._lengths, self._words
        protect, slots, length_at = self._protect, self._slots, self._length_at
        for tag, targets in groups.items():
            if not targets:
                continue
            if base_type is None:
                base_type = targets[0].payload_type
                sizes = self._lay(packets, base_type, template, self._sizes)
            runs = self._runs(sizes, tag)
            for target in targets:
                copy(work, template, span)
                copy(lengths, self._sizes, size_bytes)
                if target.payload_type != base_type:
                    self._retype(packets, target.payload_type)
                numbering, srtp = target.numbering, target.srtp
                number = first + numbering.delta
                failed = 0
                for i in range(count):
                    words[i * (STRIDE // 2) + 1] = _SWAPPED[number + i & 0xFFFF]
                    if protect(srtp, slots[i], length_at[i]):
                        failed += 1
                numbering.highest = max(numbering.highest, number + count - 1)
                self._send(target, sizes, runs, failed)

    def _lay(self, packets: Sequence[Packet], payload_type: int, where: Any, sizes: Any) -> list[int]:
        found = []
        view = udp.ffi.cast("uint8_t *", where)
        for i, packet in enumerate(packets):
            size = len(packet.data)
            udp.ffi.memmove(where + i * STRIDE, packet.data, size)
            view[i * STRIDE + 1] = (0x80 if packet.marker else 0) | payload_type
            sizes[i] = size
            found.append(size)
        return found

    def _retype(self, packets: Sequence[Packet], payload_type: int) -> None:
        for i, packet in enumerate(packets):
            self._bytes[i * STRIDE + 1] = (0x80 if packet.marker else 0) | payload_type

    def _finish(self, target: Target, sizes: list[int], runs: list[tuple[Any, int, int]]) -> None:
        failed = 0
        for i in range(len(sizes)):
            if self._protect(target.srtp, self._slots[i], self._length_at[i]):
                failed += 1
        self._send(target, sizes, runs, failed)

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

    def _send(self, target: Target, sizes: list[int], runs: list[tuple[Any, int, int]], failed: int) -> None:
        counters = self._counters
        if failed:  # what was not protected must not leave; the whole batch is lost for this viewer
            counters.protect_failed += failed
            counters.drops += len(sizes)
            return
        total = sum(sizes)
        target.packets += len(sizes)
        target.octets += total - HEADER * len(sizes)
        counters.packets_out += len(sizes)
        counters.bytes_out += total
        if not self.gso and len(runs) > 1:
            self._send_many(target, len(runs))
            return
        name, length, sendmsg, fd = target.name, target.length, udp.libc.sendmsg, self._fd
        for header, first, count in runs:
            header.msg_name = name
            header.msg_namelen = length
            if sendmsg(fd, header, udp.MSG_DONTWAIT) < 0:
                self._refused(target, udp.ffi.errno, first, count, sizes)

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
