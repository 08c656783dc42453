"""The four transaction machines (RFC 3261 §17, with the accepted states of RFC 6026), one table each.

A table says for every state and input which state follows and what is to be done; ``layer`` does it. An input from the
wire that a state does not know is passed over there; one of our own is an ``IllegalMove``.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, TypeAlias


class State(Enum):
    """States of all four; each machine uses some."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class In(Enum):
    """What may happen to a transaction."""

    PROVISIONAL = "1xx arrived"
    SUCCESS = "2xx arrived"
    FINAL = "3xx-6xx arrived"
    REQUEST = "the request arrived again"
    ACK = "ACK arrived"
    SEND_PROVISIONAL = "send 1xx"
    SEND_SUCCESS = "send 2xx"
    SEND_FINAL = "send 3xx-6xx"
    RETRY = "timer A, E or G"
    GIVE_UP = "timer B, F or H"
    FORGET = "timer D, I, J, K, L or M"
    LOST = "the transport failed"


class Do(Enum):
    """What follows."""

    SEND = "send the request, or the last response, (again)"
    ACK = "send the ACK of a failure"
    UP = "tell the user of the response"
    AGAIN = "set the retry timer, doubled"
    AGAIN_SLOW = "set the retry timer to T2"
    STOP = "stop retrying and giving up"
    WAIT_UNRELIABLE = "set the forget timer; on a reliable transport it is due at once"
    WAIT = "set the forget timer, on every transport"
    GIVE_UP = "set the give-up timer"
    TIMED_OUT = "tell the user that no answer came"
    BROKEN = "tell the user that the transport failed"


class IllegalMove(RuntimeError):
    """A command that the transaction's state does not know, as a second final response."""

    def __init__(self, state: State, happened: In) -> None:
        super().__init__(f"{happened.value} in state {state.value}")
        self.state = state
        self.happened = happened


Table: TypeAlias = Mapping[tuple[State, In], tuple[State, tuple[Do, ...]]]
S, D = State, Do

INVITE_CLIENT: Final[Table] = {  # RFC 3261 figure 5, RFC 6026 figure 3
    (S.CALLING, In.RETRY): (S.CALLING, (D.SEND, D.AGAIN)),
    (S.CALLING, In.GIVE_UP): (S.TERMINATED, (D.TIMED_OUT,)),
    (S.CALLING, In.LOST): (S.TERMINATED, (D.BROKEN,)),
    (S.CALLING, In.PROVISIONAL): (S.PROCEEDING, (D.STOP, D.UP)),
    (S.CALLING, In.SUCCESS): (S.ACCEPTED, (D.STOP, D.UP, D.WAIT)),
    (S.CALLING, In.FINAL): (S.COMPLETED, (D.STOP, D.ACK, D.UP, D.WAIT_UNRELIABLE)),
    (S.PROCEEDING, In.PROVISIONAL): (S.PROCEEDING, (D.UP,)),
    (S.PROCEEDING, In.SUCCESS): (S.ACCEPTED, (D.UP, D.WAIT)),
    (S.PROCEEDING, In.FINAL): (S.COMPLETED, (D.ACK, D.UP, D.WAIT_UNRELIABLE)),
    (S.PROCEEDING, In.LOST): (S.TERMINATED, (D.BROKEN,)),
    # Not of the RFC, which would wait for ever after a 100: the user gives up (§9.1 after CANCEL, or its own limit).
    (S.PROCEEDING, In.GIVE_UP): (S.TERMINATED, (D.TIMED_OUT,)),
    (S.COMPLETED, In.FINAL): (S.COMPLETED, (D.ACK,)),
    (S.COMPLETED, In.LOST): (S.TERMINATED, ()),
    (S.COMPLETED, In.FORGET): (S.TERMINATED, ()),
    (S.ACCEPTED, In.SUCCESS): (S.ACCEPTED, (D.UP,)),
    (S.ACCEPTED, In.LOST): (S.ACCEPTED, ()),
    (S.ACCEPTED, In.FORGET): (S.TERMINATED, ()),
}

CLIENT: Final[Table] = {  # RFC 3261 figure 6
    (S.TRYING, In.RETRY): (S.TRYING, (D.SEND, D.AGAIN)),
    (S.TRYING, In.GIVE_UP): (S.TERMINATED, (D.TIMED_OUT,)),
    (S.TRYING, In.LOST): (S.TERMINATED, (D.BROKEN,)),
    (S.TRYING, In.PROVISIONAL): (S.PROCEEDING, (D.UP,)),
    (S.TRYING, In.SUCCESS): (S.COMPLETED, (D.STOP, D.UP, D.WAIT_UNRELIABLE)),
    (S.TRYING, In.FINAL): (S.COMPLETED, (D.STOP, D.UP, D.WAIT_UNRELIABLE)),
    (S.PROCEEDING, In.RETRY): (S.PROCEEDING, (D.SEND, D.AGAIN_SLOW)),
    (S.PROCEEDING, In.GIVE_UP): (S.TERMINATED, (D.TIMED_OUT,)),
    (S.PROCEEDING, In.LOST): (S.TERMINATED, (D.BROKEN,)),
    (S.PROCEEDING, In.PROVISIONAL): (S.PROCEEDING, (D.UP,)),
    (S.PROCEEDING, In.SUCCESS): (S.COMPLETED, (D.STOP, D.UP, D.WAIT_UNRELIABLE)),
    (S.PROCEEDING, In.FINAL): (S.COMPLETED, (D.STOP, D.UP, D.WAIT_UNRELIABLE)),
    (S.COMPLETED, In.FORGET): (S.TERMINATED, ()),
    (S.COMPLETED, In.LOST): (S.TERMINATED, ()),
}

INVITE_SERVER: Final[Table] = {  # RFC 3261 figure 7, RFC 6026 figure 2
    (S.PROCEEDING, In.REQUEST): (S.PROCEEDING, (D.SEND,)),
    (S.PROCEEDING, In.SEND_PROVISIONAL): (S.PROCEEDING, (D.SEND,)),
    (S.PROCEEDING, In.SEND_SUCCESS): (S.ACCEPTED, (D.SEND, D.WAIT)),
    (S.PROCEEDING, In.SEND_FINAL): (S.COMPLETED, (D.SEND, D.AGAIN, D.GIVE_UP)),
    (S.PROCEEDING, In.LOST): (S.TERMINATED, (D.BROKEN,)),
    (S.COMPLETED, In.REQUEST): (S.COMPLETED, (D.SEND,)),
    (S.COMPLETED, In.RETRY): (S.COMPLETED, (D.SEND, D.AGAIN)),
    (S.COMPLETED, In.ACK): (S.CONFIRMED, (D.STOP, D.WAIT_UNRELIABLE)),
    (S.COMPLETED, In.GIVE_UP): (S.TERMINATED, (D.TIMED_OUT,)),
    (S.COMPLETED, In.LOST): (S.TERMINATED, (D.BROKEN,)),
    (S.CONFIRMED, In.FORGET): (S.TERMINATED, ()),
    (S.CONFIRMED, In.LOST): (S.TERMINATED, ()),
    (S.ACCEPTED, In.SEND_SUCCESS): (S.ACCEPTED, (D.SEND,)),
    (S.ACCEPTED, In.LOST): (S.ACCEPTED, (D.BROKEN,)),
    (S.ACCEPTED, In.FORGET): (S.TERMINATED, ()),
}

SERVER: Final[Table] = {  # RFC 3261 figure 8
    (S.TRYING, In.SEND_PROVISIONAL): (S.PROCEEDING, (D.SEND,)),
    (S.TRYING, In.SEND_SUCCESS): (S.COMPLETED, (D.SEND, D.WAIT_UNRELIABLE)),
    (S.TRYING, In.SEND_FINAL): (S.COMPLETED, (D.SEND, D.WAIT_UNRELIABLE)),
    (S.TRYING, In.LOST): (S.TERMINATED, (D.BROKEN,)),
    (S.PROCEEDING, In.REQUEST): (S.PROCEEDING, (D.SEND,)),
    (S.PROCEEDING, In.SEND_PROVISIONAL): (S.PROCEEDING, (D.SEND,)),
    (S.PROCEEDING, In.SEND_SUCCESS): (S.COMPLETED, (D.SEND, D.WAIT_UNRELIABLE)),
    (S.PROCEEDING, In.SEND_FINAL): (S.COMPLETED, (D.SEND, D.WAIT_UNRELIABLE)),
    (S.PROCEEDING, In.LOST): (S.TERMINATED, (D.BROKEN,)),
    (S.COMPLETED, In.REQUEST): (S.COMPLETED, (D.SEND,)),
    (S.COMPLETED, In.FORGET): (S.TERMINATED, ()),
    (S.COMPLETED, In.LOST): (S.TERMINATED, ()),
}

COMMANDS: Final = frozenset((In.SEND_PROVISIONAL, In.SEND_SUCCESS, In.SEND_FINAL))


def step(table: Table, state: State, happened: In) -> tuple[State, tuple[Do, ...]]:
    """The next state and what to do. What the wire brings at a wrong time changes nothing. Raises IllegalMove."""
    if (after := table.get((state, happened))) is not None:
        return after
    if happened in COMMANDS:
        raise IllegalMove(state, happened)
    return state, ()
