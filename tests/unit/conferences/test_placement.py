"""Choosing a relay, and the book of what relays say."""

from collections import Counter

from hub.bus.relay_wire import NodeInfo, StreamState
from hub.services.placing import choose
from hub.services.states import STALE_MS, StreamBook


def node(name: str, load: float = 0.0, since: int = 1) -> NodeInfo:
    return NodeInfo(id=name, role="relay", url=f"http://{name}", since=since, seen_at=1, load=load)


def state(stream: str, node: str = "r1", **given: object) -> StreamState:
    return StreamState.model_validate({"stream": stream, "node": node, "state": "live"} | given)


def test_the_least_loaded_relay_is_chosen() -> None:
    assert choose("cam-1", [node("a", 0.9), node("b", 0.2), node("c", 0.5)]).id == "b"


def test_equal_relays_share_streams_and_every_process_chooses_alike() -> None:
    nodes = [node("a", 0.01), node("b", 0.02), node("c")]
    places = [choose(f"cam-{n}", nodes).id for n in range(600)]
    assert min(Counter(places).values()) > 120
    assert places == [choose(f"cam-{n}", nodes[::-1]).id for n in range(600)]


def test_a_relay_less_moves_only_its_own_streams() -> None:
    nodes = [node("a"), node("b"), node("c")]
    for n in range(200):
        before = choose(f"cam-{n}", nodes).id
        if before != "c":
            assert choose(f"cam-{n}", nodes[:2]).id == before


class Book:
    def __init__(self) -> None:
        self.now = 0
        self.changed: list[str] = []
        self.book = StreamBook(lambda: self.now)
        self.book.listen(self.changed.append)


def test_only_changes_are_told() -> None:
    it = Book()
    for viewers in (0, 0, 1, 1):
        it.book.heard(state("cam-1", viewers=viewers))
    assert it.changed == ["cam-1", "cam-1"]


def test_an_old_word_counts_no_more() -> None:
    it = Book()
    it.book.heard(state("cam-1"))
    it.now = STALE_MS - 1
    assert it.book.state_of("cam-1") is not None
    it.now = STALE_MS
    assert it.book.state_of("cam-1") is None
    assert it.book.in_use() == []


def test_without_a_relay_every_camera_says_so_and_unknown_before_anybody_looked() -> None:
    it = Book()
    assert it.book.state_of("cam-1") is None
    it.book.relays([])
    said = it.book.state_of("cam-1")
    assert said is not None
    assert (said.state, said.reason) == ("failed", "relay.none")
    it.book.relays([node("r1")])
    assert it.book.state_of("cam-1") is None


def test_what_a_vanished_or_restarted_relay_said_is_forgotten_and_told() -> None:
    it = Book()
    it.book.relays([node("r1"), node("r2")])
    it.book.heard(state("cam-1", "r1"))
    it.book.heard(state("cam-2", "r2"))
    it.changed.clear()
    it.book.relays([node("r2")])
    assert it.changed == ["cam-1"]
    it.book.relays([node("r2", since=9)])
    assert it.changed == ["cam-1", "cam-2"]
    assert it.book.state_of("cam-2") is None
