"""The table of a member's states: every state against every move."""

import itertools

import pytest

from hub.domain.conference import ACTIVE, NEXT, OPEN, MemberMove, MemberState, is_over, step
from hub.domain.errors import IllegalTransition

S, M = MemberState, MemberMove

EXPECTED = """
              ring      answer    decline   miss      media     leave     return    end
    ringing   -         answered  declined  missed    -         -         -         left
    answered  -         -         -         -         joined    left      -         left
    joined    -         -         -         -         joined    left      -         left
    declined  ringing   -         -         -         -         -         -         declined
    missed    ringing   -         -         -         -         -         -         missed
    left      ringing   -         -         -         -         -         answered  left
"""


def expected() -> dict[tuple[MemberState, MemberMove], MemberState | None]:
    head, *rows = [line.split() for line in EXPECTED.strip().splitlines()]
    moves = [M(word) for word in head]
    return {
        (S(row[0]), move): None if cell == "-" else S(cell)
        for row in rows
        for move, cell in zip(moves, row[1:], strict=True)
    }


@pytest.mark.parametrize(("state", "move"), list(itertools.product(S, M)))
def test_every_state_and_move_is_as_written_above(state: MemberState, move: MemberMove) -> None:
    after = expected()[state, move]
    if after is None:
        with pytest.raises(IllegalTransition) as refused:
            step(state, move)
        assert refused.value.id == "conference.illegal_transition"
    else:
        assert step(state, move) is after


def test_the_end_is_possible_from_every_state_and_leaves_nobody_in() -> None:
    assert all(step(state, M.END) not in OPEN for state in S)


def test_a_member_joins_only_after_an_answer() -> None:
    into_joined = {state for (state, _), after in NEXT.items() if after is S.JOINED}
    assert into_joined == {S.ANSWERED, S.JOINED}


@pytest.mark.parametrize("alone", list(S))
def test_a_conference_is_over_when_nobody_is_in(alone: MemberState) -> None:
    assert is_over([alone, S.RINGING, S.LEFT]) is (alone not in ACTIVE)
