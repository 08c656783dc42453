"""Answers in pages, and the tree they give."""

from hypothesis import given
from hypothesis import strategies as st

from signaling.gb28181.collect import CatalogCollector, Patience, RecordCollector
from signaling.gb28181.ids import Kind
from signaling.gb28181.items import ChannelInfo, Item, Record
from signaling.gb28181.messages import Catalog, RecordInfo
from signaling.gb28181.tree import ChannelKey, build_tree, upper_ids

DEVICE = "34020000001110000001"


def items(*numbers: int) -> tuple[Item, ...]:
    return tuple(Item(id=f"3402000000132{number:07d}") for number in numbers)


def page(total: int | None, *numbers: int, sn: int = 5) -> Catalog:
    return Catalog(sn=sn, device=DEVICE, total=total, items=items(*numbers))


def test_quirk_7_the_first_page_may_come_after_two_minutes_and_the_others_every_five_seconds() -> None:
    """QUIRKS 7."""
    catalog = CatalogCollector(5, now=0)
    assert not catalog.done(120)
    catalog.page(page(6, 1, 2), 120)
    catalog.page(page(6, 3, 4), 125)
    assert not catalog.done(130)
    catalog.page(page(6, 5, 6), 130)
    assert (catalog.complete, catalog.received, catalog.missing) == (True, 6, 0)
    assert catalog.done(132)


def test_quirk_7_what_came_is_kept_and_what_is_missing_is_told() -> None:
    """QUIRKS 7: SumNum too high, or a page was lost."""
    catalog = CatalogCollector(5, now=0)
    catalog.page(page(8, 1, 2, 3), 1)
    assert not catalog.done(12)
    assert catalog.done(14)
    assert (catalog.received, catalog.expected, catalog.missing, catalog.complete) == (3, 8, 5, False)


def test_quirk_7_pages_sent_twice_count_once() -> None:
    """QUIRKS 7: and do not make a catalog look complete."""
    catalog = CatalogCollector(5, now=0)
    assert len(catalog.page(page(4, 1, 2), 1)) == 2
    assert catalog.page(page(4, 1, 2), 2) == []
    assert (catalog.received, catalog.duplicates, catalog.done(5)) == (2, 2, False)


def test_quirk_7_a_sum_that_is_too_low_loses_nothing() -> None:
    """QUIRKS 7."""
    catalog = CatalogCollector(5, now=0)
    catalog.page(page(2, 1, 2), 1)
    assert not catalog.done(1.5)
    assert len(catalog.page(page(2, 3, 4), 1.5)) == 2
    assert (catalog.received, catalog.missing) == (4, 0)


def test_quirk_7_nobody_waits_for_ever() -> None:
    """QUIRKS 7: a device that says nothing, and one that never ends."""
    assert CatalogCollector(5, now=0).done(126)
    endless = CatalogCollector(5, 0, Patience(items=50))
    now = 0.0
    while not endless.done(now) and now < 10_000:
        endless.page(page(None, int(now), int(now) + 1), now)
        now += 5
    assert now <= 905
    assert (endless.received, endless.answered) == (50, True)
    assert endless.dropped > 0


def test_an_empty_catalog_is_complete_and_another_question_s_pages_are_not_ours() -> None:
    catalog = CatalogCollector(5, now=0)
    assert catalog.page(page(3, 1, 2, 3, sn=4), 1) == []
    catalog.page(page(0), 1)
    assert (catalog.complete, catalog.received, catalog.done(2.5)) == (True, 0, True)


def test_recordings_are_collected_and_put_in_order() -> None:
    records = [Record(id="1", start=start, end=start + 10, path=f"/{start}") for start in (30, 10, 20)]
    found = RecordCollector(9, now=0)
    found.page(RecordInfo(sn=9, device="1", total=4, items=(records[0], records[1])), 1)
    found.page(RecordInfo(sn=9, device="1", total=4, items=(records[1], records[2])), 2)
    assert [each.start for each in found.in_order] == [10, 20, 30]
    assert (found.missing, found.duplicates, found.done(9)) == (1, 1, True)


MIXED = (
    Item(id="3402", name="市"),
    Item(id="340201", name="区", parental=False),
    Item(id="34020000002150000001", name="业务分组", parent_id=DEVICE),
    Item(id="34020000002160000001", name="组织", parent_id="34020000002150000001"),
    Item(id="34020000001320000001", parent_id=f"{DEVICE}/34020000002160000001"),
    Item(id="34020000001320000002", civil_code="340201"),
    Item(id="34020000001320000003", civil_code="34020109", parental=True),
    Item(id="34020000001320000004", parent_id="34020000001320000004"),
    Item(id="34020000001320000005", parent_id="nobody", info=ChannelInfo(business_group="34020000002150000001")),
    Item(id="34020000001340000001", parent_id="34020000001320000001"),
)


def test_quirk_7_the_tree_is_mixed_and_its_parents_are_wrong() -> None:
    """QUIRKS 7: civil codes, groups, virtual organisations, several parents, Parental wrong, itself as parent."""
    tree = build_tree(DEVICE, MIXED)
    above = {name: branch.parents for name, branch in tree.branches.items()}
    assert above["340201"] == ("3402",)
    assert above["34020000002160000001"] == ("34020000002150000001",)
    assert above["34020000001320000001"] == ("34020000002160000001",)
    assert above["34020000001320000002"] == above["34020000001320000003"] == ("340201",)
    assert above["34020000001320000004"] == ()
    assert above["34020000001320000005"] == ("34020000002150000001",)
    assert tree.roots == ("3402", "34020000002150000001", "34020000001320000004")
    assert tree.branches["34020000002150000001"].kind is Kind.BUSINESS_GROUP
    assert len(tree.channels()) == 5
    assert tree.branches["34020000001320000001"].children == ("34020000001340000001",)


@given(st.dictionaries(st.integers(0, 30), st.lists(st.integers(0, 30), max_size=4), max_size=31))
def test_no_tree_has_a_ring_and_none_loses_an_item(edges: dict[int, list[int]]) -> None:
    given_items = [
        Item(id=f"x{child}", parent_id="/".join(f"x{each}" for each in above)) for child, above in edges.items()
    ]
    tree = build_tree(DEVICE, given_items)
    reached: set[str] = set()
    waiting = list(tree.roots)
    while waiting:
        if (name := waiting.pop()) not in reached:
            reached.add(name)
            waiting += tree.branches[name].children
    assert reached == {item.id for item in given_items}

    def height(name: str, depth: int = 0) -> None:
        assert depth <= len(given_items)
        for parent in tree.branches[name].parents:
            height(parent, depth + 1)

    for name in tree.branches:
        height(name)


def test_quirk_8_the_same_channel_number_under_two_devices_is_two_channels() -> None:
    """QUIRKS 8: and an upper platform sees two numbers."""
    first = ChannelKey("34020000001110000001", "34020000001320000001")
    second = ChannelKey("34020000001110000002", "34020000001320000001")
    odd = ChannelKey("34020000001110000002", "1")
    assert first != second
    given_up = upper_ids([first, second, odd, first], centre="340200")
    assert given_up[first] == "34020000001320000001"
    assert len(set(given_up.values())) == 3
    assert all(len(each) == 20 for each in given_up.values())
    assert upper_ids([first, second, odd], centre="340200") == given_up
