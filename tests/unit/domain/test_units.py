"""The tree of units."""

from hypothesis import given
from hypothesis import strategies as st

from hub.domain.units import MAX_DEPTH, UnitNode, UnitTree

TREE = UnitTree.of(
    [
        UnitNode("city", None, "city", "市"),
        UnitNode("town", "city", "town", "镇"),
        UnitNode("village", "town", "village", "村"),
        UnitNode("dept", "city", "department", "局"),
    ]
)


def test_below_is_the_unit_and_everything_under_it() -> None:
    assert TREE.below("town") == {"town", "village"}
    assert TREE.below("city") == {"city", "town", "village", "dept"}
    assert TREE.below("unknown") == {"unknown"}


def test_above_goes_up_to_the_root() -> None:
    assert TREE.above("village") == ("town", "city")
    assert TREE.above("city") == ()
    assert TREE.above("unknown") == ()


def test_only_the_city_is_the_city() -> None:
    assert [unit for unit in TREE.nodes if TREE.is_city(unit)] == ["city"]
    assert TREE.name("town") == "镇"
    assert TREE.name("gone") == "gone"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_broken_trees_with_cycles_end_too(edges: list[tuple[int, int]]) -> None:
    tree = UnitTree.of(UnitNode(f"u{child}", f"u{parent}", "town", "x") for child, parent in edges)
    for unit in tree.nodes:
        assert unit in tree.below(unit)
        assert len(tree.above(unit)) <= MAX_DEPTH
