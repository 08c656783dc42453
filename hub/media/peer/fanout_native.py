"""The native half of the fan-out: the same class, with the loop over viewers and packets in C (``_fanout.c``).

What a packet says is decided in Python by the same code as before; C copies, numbers, protects and sends. It runs on
the loop's thread like the Python half: libsrtp's sessions are shared with RTCP and may not be used from two threads.
"""

import importlib
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from pylibsrtp._binding import ffi as srtp_ffi
from pylibsrtp._binding import lib as srtp_lib

from hub.media.peer import fanout_build
from hub.media.peer.counters import Counters
from hub.media.peer.fanout import STRIDE, Fanout, Shape, Target
from hub.media.rtp.packet import HEADER
from hub.media.rtp.track import Packet

JOBS: Final = 128  # viewers a call: after so many the loop's other threads get a look in
_JOB: Final = struct.Struct("=QQIIiIHHI")  # struct fan_job

log = structlog.get_logger(__name__)


def load() -> Any:
    """The compiled module. Raises NotBuilt with one plain line when there is none, or one of another version."""
    try:
        found = importlib.import_module("hub.media.peer._fanout")
    except ImportError as error:
        raise fanout_build.NotBuilt(f"it is not built ({error}); `make native` builds it") from None
    if found.lib.FAN_VERSION != fanout_build.VERSION or found.ffi.sizeof("struct fan_job") != _JOB.size:
        raise fanout_build.NotBuilt("it was built from another version; `make native` builds it anew")
    return found


def protect_address() -> int:
    """Where libsrtp's ``srtp_protect`` is."""
    return int(srtp_ffi.cast("uintptr_t", srtp_ffi.addressof(srtp_lib, "srtp_protect")))


def choose(which: str, fd: int, counters: Counters) -> Fanout:
    """The fan-out that ``SHARPEYES_FANOUT`` names; empty: the native half where it is built.

    Raises RuntimeError in one plain line when ``native`` is demanded and not there.
    """
    fanout: Fanout
    reason = "SHARPEYES_FANOUT=python"
    if which != "python":
        try:
            fanout = NativeFanout(fd, counters)
        except fanout_build.NotBuilt as missing:
            reason = str(missing)
            if which == "native":
                raise RuntimeError(f"SHARPEYES_FANOUT=native, but {reason}") from None
        else:
            log.info("peer.fanout", half=fanout.half)
            return fanout
    fanout = Fanout(fd, counters)
    log.info("peer.fanout", half=fanout.half, reason=reason)
    return fanout


class NativeFanout(Fanout):
    """``Fanout`` with its hot loops in C. ``protect`` is an address of a function like ``srtp_protect``."""

    half = "native"

    def __init__(
        self,
        fd: int,
        counters: Counters,
        *,
        gso: bool = True,
        protect: int = 0,
        clock_us: Callable[[], int] = lambda: time.monotonic_ns() // 1_000,
    ) -> None:
        super().__init__(fd, counters, gso=gso, clock_us=clock_us)
        native = load()
        self._lib = native.lib
        self._jobs = native.ffi.new("struct fan_job[]", JOBS)
        self._job_bytes = native.ffi.buffer(self._jobs)
        self._batch = batch = native.ffi.new("struct fan_batch *")
        self._sizes_c = native.ffi.cast("int *", self._sizes)
        self._lengths_c = native.ffi.cast("int *", self._lengths)
        self._laid = native.ffi.cast("char *", self._template)
        batch.protect = protect or protect_address()
        batch.work = native.ffi.cast("char *", self._work)
        batch.fd = fd
        batch.stride = STRIDE

    def _pass(self, groups: Mapping[Shape, Sequence[Target]], packets: Sequence[Packet]) -> None:
        now = self._clock_us()
        count, first = len(packets), packets[0].n
        batch, pack, jobs = self._batch, _JOB.pack_into, self._job_bytes
        for (tag, layout), targets in groups.items():
            if not targets:
                continue
            sizes = self._lay(packets, targets[0].payload_type, layout, self._laid_out, self._sizes, now)
            total = sum(sizes)
            octets = total - HEADER * count
            batch.sizes, batch.count, batch.tag, batch.transport_at = self._sizes_c, count, tag, layout.transport_at
            for at in range(0, len(targets), JOBS):
                part, offset = targets[at : at + JOBS], 0
                for target in part:
                    numbering, sends = target.numbering, target.log
                    number, running = first + numbering.delta, -1
                    if sends is not None:
                        running = sends.next & 0xFFFF
                        sends.sent(count, total, now)
                    pack(
                        jobs, offset, target.session, target.name_at, target.length, number & 0xFFFF, running,
                        target.ssrc, target.payload_type, 0, 0,
                    )  # fmt: skip
                    offset += _JOB.size
                    if number + count > numbering.highest:
                        numbering.highest = number + count - 1
                    target.packets += count
                    target.octets += octets
                self._counters.packets_out += count * len(part)
                self._counters.bytes_out += total * len(part)
                batch.gso = self.gso
                if self._lib.fan_live(batch, self._laid, self._jobs, len(part)):
                    raise RuntimeError("the native fan-out was given a batch that cannot be")
                self._account(part, count, total)

    def _finish(self, target: Target, sizes: list[int], now: int) -> None:
        if target.line is not None:  # by TCP
            super()._finish(target, sizes, now)
            return
        batch, count, total = self._batch, len(sizes), sum(sizes)
        running = -1
        if target.log is not None:
            running = target.log.next & 0xFFFF
            target.log.sent(count, total, now)
        _JOB.pack_into(
            self._job_bytes, 0, target.session, target.name_at, target.length, 0, running, 0, target.payload_type, 0, 0
        )
        target.packets += count
        target.octets += total - HEADER * count
        self._counters.packets_out += count
        self._counters.bytes_out += total
        batch.sizes, batch.count, batch.tag = self._lengths_c, count, target.tag
        batch.transport_at, batch.gso = target.layout.transport_at, self.gso
        if self._lib.fan_exact(batch, self._jobs):
            raise RuntimeError("the native fan-out was given a batch that cannot be")
        self._account((target,), count, total)

    def _account(self, targets: Sequence[Target], count: int, total: int) -> None:
        """Count what did not leave, and take back what was booked for those whom libsrtp refused."""
        batch, counters = self._batch, self._counters
        if not batch.gso:
            self.gso = False
        if not (batch.refused or batch.dropped or batch.errors):
            return
        counters.protect_failed += batch.refused
        counters.drops += batch.dropped
        counters.send_errors += batch.errors
        for i, target in enumerate(targets if batch.refused else ()):
            if self._jobs[i].failed:
                target.packets -= count
                target.octets -= total - HEADER * count
                counters.packets_out -= count
                counters.bytes_out -= total
                if target.log is not None:
                    target.log.unsent(count, total)
        batch.refused = batch.dropped = batch.errors = 0
