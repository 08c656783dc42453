"""States of a conference member: 振铃 -> 应答 -> 入会 -> 离开. A conference itself runs until ``ended_at``."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from hub.domain.errors import IllegalTransition

RING_MS: Final = 45_000
"""A unit's call rings so long."""

LOST_MS: Final = 30_000
"""A member without media and without a connection is taken to have left after so long."""

MOST_MEMBERS: Final = 64


class MemberState(StrEnum):
    RINGING = "ringing"
    ANSWERED = "answered"  # a person took the call; no media yet
    JOINED = "joined"  # the relay received media
    DECLINED = "declined"
    MISSED = "missed"
    LEFT = "left"


class MemberMove(StrEnum):
    RING = "ring"  # invited again
    ANSWER = "answer"
    DECLINE = "decline"
    MISS = "miss"  # rang out
    MEDIA = "media"  # first media packet at the relay
    LEAVE = "leave"
    RETURN = "return"  # who had left, or was lost, comes back
    END = "end"  # the conference ended


_S, _M = MemberState, MemberMove

NEXT: Final[Mapping[tuple[MemberState, MemberMove], MemberState]] = {
    (_S.RINGING, _M.ANSWER): _S.ANSWERED,
    (_S.RINGING, _M.DECLINE): _S.DECLINED,
    (_S.RINGING, _M.MISS): _S.MISSED,
    (_S.RINGING, _M.END): _S.LEFT,  # not "missed": nobody let it ring out
    (_S.ANSWERED, _M.MEDIA): _S.JOINED,
    (_S.ANSWERED, _M.LEAVE): _S.LEFT,
    (_S.ANSWERED, _M.END): _S.LEFT,
    (_S.JOINED, _M.MEDIA): _S.JOINED,  # published anew, after a reload of the page
    (_S.JOINED, _M.LEAVE): _S.LEFT,
    (_S.JOINED, _M.END): _S.LEFT,
    (_S.DECLINED, _M.RING): _S.RINGING,
    (_S.DECLINED, _M.END): _S.DECLINED,
    (_S.MISSED, _M.RING): _S.RINGING,
    (_S.MISSED, _M.END): _S.MISSED,
    (_S.LEFT, _M.RING): _S.RINGING,
    (_S.LEFT, _M.RETURN): _S.ANSWERED,
    (_S.LEFT, _M.END): _S.LEFT,
}

ACTIVE: Final = frozenset({_S.ANSWERED, _S.JOINED})
"""A person is in."""

OPEN: Final = ACTIVE | {_S.RINGING}
"""The unit need not be rung again."""


def step(state: MemberState, move: MemberMove) -> MemberState:
    """The state after a move. Raises IllegalTransition."""
    if (after := NEXT.get((state, move))) is None:
        raise IllegalTransition("conference", state.value, move.value)
    return after


def is_over(states: Iterable[MemberState]) -> bool:
    """Whether nobody is in any more: then the conference ends, and what still rings stops."""
    return not any(state in ACTIVE for state in states)
