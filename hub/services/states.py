"""What relays say about streams, as heard on the states channel: the last word on each, while it is fresh."""

from collections.abc import Callable, Collection
from typing import Final

from hub.bus.relay_wire import NodeInfo, StreamState
from hub.domain.clock import Clock
from hub.domain.ids import CameraId

STALE_MS: Final = 15_000  # a relay repeats each state every 5 s
MOST_STREAMS: Final = 50_000

Listener = Callable[[str], None]
"""Called with the id of a stream whose state changed; it must not wait."""


class StreamBook:
    """Last states by stream. Bounded: the one heard longest ago goes first, and is counted."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[str, tuple[StreamState, int]] = {}
        self._legs: dict[tuple[str, str], tuple[StreamState, int]] = {}  # (stream, relay) that has it by a leg
        self._nodes: dict[str, NodeInfo] | None = None  # None: not looked yet
        self._listeners: list[Listener] = []
        self.forgotten = 0

    def listen(self, listener: Listener) -> None:
        """Have ``listener`` called after each change."""
        self._listeners.append(listener)

    def heard(self, state: StreamState) -> None:
        """Take a relay's word.

        A relay that has the stream by a leg speaks of its own viewers only; one that has given the stream away says
        last of all that it is idle there, which is no news of the stream.
        """
        if state.origin is not None:
            self._heard_leg(state)
            return
        self._legs.pop((state.stream, state.node), None)
        said = self._said.get(state.stream)
        if (
            said is not None
            and said[0].node != state.node
            and state.state == "idle"
            and said[0].state != "idle"
            and self._clock() - said[1] < STALE_MS
        ):
            return
        before = self._said.pop(state.stream, None)
        self._said[state.stream] = (state, self._clock())  # at the end: the order of hearing
        while len(self._said) > MOST_STREAMS:
            del self._said[next(iter(self._said))]
            self.forgotten += 1
        if before is None or before[0] != state:
            self._changed(state.stream)

    def _heard_leg(self, state: StreamState) -> None:
        key = (state.stream, state.node)
        before = self._legs.pop(key, None)
        if state.state != "idle":
            self._legs[key] = (state, self._clock())
            while len(self._legs) > MOST_STREAMS:
                del self._legs[next(iter(self._legs))]
                self.forgotten += 1
        if (before[0].viewers if before is not None else 0) != state.viewers:
            self._changed(state.stream)

    def legs(self) -> list[tuple[str, str, str]]:
        """Streams that a relay has from another one now: stream, relay, and where the leg leads."""
        now = self._clock()
        return [
            (stream, node, state.origin or "")
            for (stream, node), (state, at) in self._legs.items()
            if now - at < STALE_MS
        ]

    def legs_of(self, stream: str) -> set[str]:
        """The relays that have this stream by a leg now."""
        return {node for found, node, _ in self.legs() if found == stream}

    def relays(self, nodes: Collection[NodeInfo]) -> None:
        """Take the list of live relays. What a vanished or restarted relay said counts no more."""
        now = {node.id: node for node in nodes}
        before, self._nodes = self._nodes, now
        gone = [
            stream
            for stream, (state, _) in self._said.items()
            if state.node not in now or self._restarted(before, now[state.node])
        ]
        self._legs = {key: said for key, said in self._legs.items() if key[1] in now}
        for stream in gone:
            del self._said[stream]
        for stream in gone:
            self._changed(stream)

    @staticmethod
    def _restarted(before: dict[str, NodeInfo] | None, node: NodeInfo) -> bool:
        was = before.get(node.id) if before else None
        return was is not None and was.since != node.since

    def state_of(self, camera: CameraId) -> StreamState | None:
        """The last fresh word; ``failed`` with ``relay.none`` while there is no relay; None: nobody has wanted it."""
        if (said := self._said.get(camera)) is not None and self._clock() - said[1] < STALE_MS:
            return self._with_legs(said[0])
        if self._nodes is not None and not self._nodes:
            return StreamState(stream=camera, node="", state="failed", reason="relay.none")
        return None

    def _with_legs(self, state: StreamState) -> StreamState:
        """Each leg is a viewer where it comes from; its own viewers count instead."""
        legs = [said.viewers for (stream, _), (said, _) in self._legs.items() if stream == state.stream]
        if not legs:
            return state
        return state.model_copy(update={"viewers": max(0, state.viewers - len(legs)) + sum(legs)})

    def node_of(self, stream: str) -> str | None:
        """The relay that speaks of this stream, while its word is fresh."""
        said = self._said.get(stream)
        return said[0].node if said is not None and self._clock() - said[1] < STALE_MS else None

    def in_use(self) -> list[tuple[str, str]]:
        """Streams that are not idle, each with its relay."""
        now = self._clock()
        return [
            (stream, state.node)
            for stream, (state, at) in self._said.items()
            if state.state != "idle" and now - at < STALE_MS
        ]

    def _changed(self, stream: str) -> None:
        for listener in self._listeners:
            listener(stream)
