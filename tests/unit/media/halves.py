"""Both halves of the fan-out under the same tests: ``@both_halves`` gives ``half``, ``fanout_of`` makes one."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from hub.media.peer import udp
from hub.media.peer.counters import Counters
from hub.media.peer.fanout import Fanout, Item, Repair, Target
from hub.media.peer.fanout_build import NotBuilt
from hub.media.peer.fanout_native import NativeFanout, load

Protect = Callable[[Any, Any, Any], int]


def missing() -> str:
    """Why there is no native half to test; empty when there is one."""
    try:
        load()
    except NotBuilt as reason:
        return f"native half: {reason}"
    return ""


NATIVE: Final = pytest.mark.skipif(bool(missing()), reason=missing() or "built")
BOTH: Final = ["python", pytest.param("native", marks=NATIVE)]
both_halves = pytest.mark.parametrize("half", BOTH)


class _Watched(NativeFanout):
    """Calls a Python function in the place of libsrtp; what that raises inside C is raised again behind it."""

    def __init__(self, fd: int, counters: Counters, *, protect: Protect, **more: Any) -> None:
        self._faults: list[Exception] = []

        def called(session: Any, packet: Any, length: Any) -> int:
            try:
                return protect(session, packet, length)
            except Exception as fault:
                self._faults.append(fault)
                return 1

        self._kept = udp.ffi.callback("int(void *, void *, int *)", called)
        super().__init__(fd, counters, protect=int(udp.ffi.cast("uintptr_t", self._kept)), **more)

    def live(self, groups: Any, packets: Any) -> None:
        super().live(groups, packets)
        self._raise()

    def exact(self, target: Target, items: Any) -> None:
        super().exact(target, items)
        self._raise()

    def again(self, target: Target, repair: Repair, items: list[Item] | Any) -> None:
        super().again(target, repair, items)
        self._raise()

    def _raise(self) -> None:
        if self._faults:
            raise self._faults[0]


def fanout_of(half: str, fd: int, counters: Counters, *, protect: Protect | None = None, **more: Any) -> Fanout:
    """A fan-out; ``protect(session, packet, length)`` in the place of libsrtp's."""
    if half == "python":
        return Fanout(fd, counters, **more) if protect is None else Fanout(fd, counters, protect=protect, **more)
    return NativeFanout(fd, counters, **more) if protect is None else _Watched(fd, counters, protect=protect, **more)
