"""Lost or left: what a vanished entry says about its node."""

from hub.bus.relay_wire import NodeInfo
from hub.services.nodes import SLACK_MS, NodeWatch, Seen


def seen(id: str, expires_at: int) -> dict[str, Seen]:
    """One live node."""
    return {id: Seen(NodeInfo(id=id, role="relay", url="http://127.0.0.1:1", since=0, seen_at=0), expires_at)}


def test_an_entry_that_ran_out_was_a_node_that_was_lost_and_it_is_told_once() -> None:
    watch = NodeWatch()
    assert watch.look(seen("relay-1", 6_000), 0) == []
    assert watch.look(seen("relay-1", 6_000), 5_800) == []
    assert [node.id for node in watch.look({}, 6_800)] == ["relay-1"]
    assert watch.look({}, 7_800) == []


def test_an_entry_that_vanished_before_its_time_was_taken_away_in_order() -> None:
    watch = NodeWatch()
    watch.look(seen("relay-1", 6_000), 0)
    assert watch.look({}, 6_000 - SLACK_MS - 1) == []


def test_a_restarted_node_has_a_new_id_and_the_old_one_is_lost() -> None:
    watch = NodeWatch()
    watch.look(seen("relay-1", 6_000), 0)
    watch.look(seen("relay-1", 6_000) | seen("relay-2", 8_000), 5_900)
    assert [node.id for node in watch.look(seen("relay-2", 12_900), 6_900)] == ["relay-1"]


def test_after_redis_was_away_nothing_is_said_of_who_is_missing() -> None:
    watch = NodeWatch()
    watch.look(seen("relay-1", 6_000), 0)
    watch.forget()
    assert watch.look({}, 60_000) == []
