"""States of an order: 指令 -> 送达 -> 签收 -> 反馈 -> 复核 -> 归档."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Final

from hub.domain.errors import IllegalTransition


class OrderState(StrEnum):
    ISSUED = "issued"
    DELIVERED = "delivered"
    SIGNED = "signed"
    FEEDBACK = "feedback"
    RETURNED = "returned"
    REVIEWED = "reviewed"
    CLOSED = "closed"


class OrderMove(StrEnum):
    DELIVER = "deliver"  # a terminal shows it
    SIGN = "sign"
    FEED_BACK = "feed_back"
    ACCEPT = "accept"
    SEND_BACK = "send_back"
    CLOSE = "close"


_S, _M = OrderState, OrderMove

NEXT: Final[Mapping[tuple[OrderState, OrderMove], OrderState]] = {
    (_S.ISSUED, _M.DELIVER): _S.DELIVERED,
    (_S.ISSUED, _M.SIGN): _S.SIGNED,  # a terminal without receipts, or a telephone
    (_S.DELIVERED, _M.SIGN): _S.SIGNED,
    (_S.SIGNED, _M.FEED_BACK): _S.FEEDBACK,
    (_S.FEEDBACK, _M.FEED_BACK): _S.FEEDBACK,
    (_S.FEEDBACK, _M.ACCEPT): _S.REVIEWED,
    (_S.FEEDBACK, _M.SEND_BACK): _S.RETURNED,
    (_S.RETURNED, _M.FEED_BACK): _S.FEEDBACK,
    (_S.REVIEWED, _M.CLOSE): _S.CLOSED,
}

UNSIGNED: Final = frozenset({_S.ISSUED, _S.DELIVERED})
"""States in which the limit for signing runs."""

UNANSWERED: Final = UNSIGNED | {_S.SIGNED}
"""States in which the limit for feedback runs."""

_LOCAL: Final = timezone(timedelta(hours=8))  # one time zone in all of China; numbers begin anew at its New Year


def step(state: OrderState, move: OrderMove) -> OrderState:
    """The state after a move. Raises IllegalTransition."""
    if (after := NEXT.get((state, move))) is None:
        raise IllegalTransition("order", state.value, move.value)
    return after


def year_of(at: int) -> int:
    """The year whose numbers an order of this time gets."""
    return datetime.fromtimestamp(at / 1_000, UTC).astimezone(_LOCAL).year
