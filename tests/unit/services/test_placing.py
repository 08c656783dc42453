"""Which relay serves whom: decisions over nodes, loads, zones and legs, without any of them running."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.bus.registry import DIALS, DRAINING, ZONE
from hub.bus.relay_wire import NodeInfo, StreamState
from hub.services.placing import BETTER, FULL, choose, dials, heir, viewing, way
from hub.services.states import STALE_MS, StreamBook


def node(name: str, load: float = 0.0, *, zone: str = "", dials: str = "*", draining: bool = False) -> NodeInfo:
    facts = {ZONE: zone, DIALS: dials, DRAINING: "1" if draining else ""}
    return NodeInfo(id=name, role="relay", url=f"http://{name}", since=1, seen_at=1, load=load, facts=facts)


def test_a_new_stream_goes_to_no_relay_that_drains_unless_all_do() -> None:
    assert choose("cam-1", [node("a", draining=True), node("b", 0.9)]).id == "b"
    assert choose("cam-1", [node("a", draining=True)]).id == "a"


def test_viewers_stay_where_the_stream_is_until_that_relay_is_full() -> None:
    a, b = node("a", FULL - 0.01), node("b")
    assert viewing("cam-1", a, [a, b]).id == "a"
    a = node("a", FULL)
    assert viewing("cam-1", a, [a, b]).id == "b"


def test_a_full_relay_keeps_its_viewers_when_the_others_are_hardly_better() -> None:
    a, b = node("a", 0.9), node("b", 0.9 - BETTER + 0.01)
    assert viewing("cam-1", a, [a, b]).id == "a"


def test_a_draining_relay_sends_its_viewers_away_even_to_a_busier_one() -> None:
    a, b = node("a", 0.1, draining=True), node("b", 0.9)
    assert viewing("cam-1", a, [a, b]).id == "b"
    assert viewing("cam-1", a, [a, node("b", draining=True)]).id == "a"  # better there than nowhere


def test_a_second_viewer_elsewhere_costs_no_second_leg() -> None:
    a, b, c = node("a", 1.0), node("b", 0.1), node("c", 0.5)
    assert viewing("cam-1", a, [a, b, c]).id == "b"
    assert viewing("cam-1", a, [a, b, c], {"c"}).id == "c"
    assert viewing("cam-1", a, [a, b, node("c", FULL)], {"c"}).id == "b"


def test_a_viewer_who_has_a_connection_is_served_there_if_the_stream_can_come() -> None:
    a, b = node("a"), node("b", 0.99, draining=True)
    assert viewing("cam-1", a, [a, b], at=b).id == "b"
    alone = node("b", zone="far", dials="")
    a = node("a", zone="near", dials="")
    assert viewing("cam-1", a, [a, alone], at=alone).id == "a"


@pytest.mark.parametrize(
    ("origin", "at", "expected"),
    [
        (("in", "*"), ("out", "*"), "dialled"),
        (("in", "out"), ("out", ""), "pushed"),
        (("in", ""), ("out", "in"), "dialled"),
        (("in", ""), ("out", ""), None),
        (("in", ""), ("in", ""), "dialled"),  # within a zone everybody reaches everybody
        (("in", "x,out,y"), ("out", "x"), "pushed"),
    ],
)
def test_a_leg_is_opened_from_the_side_that_can(
    origin: tuple[str, str], at: tuple[str, str], expected: str | None
) -> None:
    a, b = node("a", zone=origin[0], dials=origin[1]), node("b", zone=at[0], dials=at[1])
    assert way(a, b) == expected


def test_a_relay_that_says_nothing_of_zones_reaches_everybody() -> None:
    silent = NodeInfo(id="old", role="relay", url="http://old", since=1, seen_at=1)
    assert dials(silent, node("b", zone="far", dials=""))


def test_a_relay_that_has_viewers_of_a_stream_inherits_it() -> None:
    nodes = [node("a", 0.1), node("b", 0.5)]
    assert heir("cam-1", nodes, {"b"}).id == "b"
    assert heir("cam-1", [nodes[0], node("b", FULL)], {"b"}).id == "a"
    assert heir("cam-1", [nodes[0], node("b", draining=True)], {"b"}).id == "a"


loads = st.floats(0, 1, allow_nan=False)
sites = st.lists(
    st.builds(
        lambda load, zone, dials, draining: (load, zone, dials, draining),
        loads, st.sampled_from(["", "in", "out"]), st.sampled_from(["*", "", "in", "in,out"]), st.booleans(),
    ),
    min_size=1, max_size=5,
)  # fmt: skip


@given(sites, st.sets(st.sampled_from("01234")))
def test_whoever_serves_a_viewer_can_have_the_stream_and_is_not_worse_off(
    given: list[tuple[float, str, str, bool]], legs: set[str]
) -> None:
    nodes = [
        node(str(i), load, zone=zone, dials=dials, draining=draining)
        for i, (load, zone, dials, draining) in enumerate(given)
    ]
    for origin in nodes:
        found = viewing("cam-1", origin, nodes, legs)
        assert found.id == origin.id or way(origin, found) is not None
        if found.id != origin.id:
            assert origin.load >= FULL or origin.facts[DRAINING]
            assert not found.facts[DRAINING]
        for order in itertools.islice(itertools.permutations(nodes), 6):
            assert viewing("cam-1", origin, list(order), legs).id == found.id  # every process decides alike


# what relays say of legs ----------------------------------------------------------------------------


def said(node: str, state: str = "live", *, origin: str | None = None, viewers: int = 0) -> StreamState:
    return StreamState.model_validate(
        {"stream": "cam-1", "node": node, "state": state, "origin": origin, "viewers": viewers}
    )


def test_a_leg_speaks_of_its_viewers_only_and_they_count_once() -> None:
    book = StreamBook(lambda: 0)
    book.heard(said("a", viewers=3))  # two of its own, and the leg
    book.heard(said("b", "failed", origin="http://a", viewers=4))
    state = book.state_of("cam-1")
    assert state is not None
    assert (state.node, state.state, state.viewers) == ("a", "live", 6)
    assert (book.legs(), book.legs_of("cam-1")) == ([("cam-1", "b", "http://a")], {"b"})
    book.heard(said("b", "idle", origin="http://a"))
    assert book.legs() == []


def test_the_last_word_of_one_who_gave_the_stream_away_is_no_news_of_it() -> None:
    book = StreamBook(lambda: 0)
    book.heard(said("a"))
    book.heard(said("b", "connecting"))
    book.heard(said("a", "idle"))
    assert book.node_of("cam-1") == "b"
    book.heard(said("b", "idle"))
    state = book.state_of("cam-1")
    assert state is not None
    assert state.state == "idle"


def test_legs_of_a_vanished_relay_and_old_words_are_forgotten() -> None:
    now = 0
    book = StreamBook(lambda: now)
    book.heard(said("b", origin="http://a"))
    book.relays([node("a")])
    assert book.legs() == []
    book.heard(said("a", origin="http://b"))
    now = STALE_MS
    assert book.legs() == []
