"""The tables of states: every move that is not in a table is refused, by name."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain import alert, incident, order
from hub.domain.errors import IllegalTransition
from hub.domain.order import OrderMove, OrderState

MACHINES: list[tuple[str, type[StrEnum], type[StrEnum], Mapping[Any, Any], Callable[..., Any]]] = [
    ("order", order.OrderState, order.OrderMove, order.NEXT, order.step),
    ("alert", alert.AlertState, alert.AlertMove, alert.NEXT, alert.step),
    ("incident", incident.IncidentState, incident.IncidentMove, incident.NEXT, incident.step),
]


@pytest.mark.parametrize(("noun", "states", "moves", "table", "step"), MACHINES, ids=[each[0] for each in MACHINES])
def test_every_pair_of_state_and_move_is_either_in_the_table_or_refused(
    noun: str, states: type[StrEnum], moves: type[StrEnum], table: Mapping[Any, Any], step: Callable[..., Any]
) -> None:
    for state in states:
        for move in moves:
            if (state, move) in table:
                assert step(state, move) is table[state, move]
            else:
                with pytest.raises(IllegalTransition) as raised:
                    step(state, move)
                assert (raised.value.id, raised.value.status) == (f"{noun}.illegal_transition", 409)


@given(st.lists(st.sampled_from(OrderMove), max_size=30))
def test_an_order_is_never_closed_without_signature_feedback_and_review(moves: list[OrderMove]) -> None:
    state, done = OrderState.ISSUED, []
    for move in moves:
        try:
            state = order.step(state, move)
        except IllegalTransition:
            continue
        done.append(move)
    if state is OrderState.CLOSED:
        assert done.index(OrderMove.SIGN) < done.index(OrderMove.FEED_BACK) < done.index(OrderMove.ACCEPT)
        assert done[-1] is OrderMove.CLOSE


@pytest.mark.parametrize(
    ("at", "year"),
    [(1_798_732_799_999, 2026), (1_798_732_800_000, 2027)],  # 2026-12-31T15:59:59.999Z is the last of 2026 in China
)
def test_an_orders_year_is_that_of_china(at: int, year: int) -> None:
    assert order.year_of(at) == year
