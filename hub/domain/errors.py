"""Errors with stable identifiers; ``hub.api.errors`` turns each class into one HTTP status."""

from collections.abc import Mapping
from typing import Any, ClassVar


class HubError(Exception):
    """Base of everything the hub refuses on purpose. ``id`` is stable and translated by the console."""

    status: ClassVar[int] = 400

    def __init__(self, id: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.id = id
        self.message = message
        self.details: Mapping[str, Any] = details


class Invalid(HubError):
    """The request is understood and wrong."""

    status = 422


class Unauthenticated(HubError):
    """Nobody is signed in."""

    status = 401


class Forbidden(HubError):
    """Signed in, and not allowed."""

    status = 403


class NotFound(HubError):
    """No such object, or none that this user may know of."""

    status = 404


class Conflict(HubError):
    """The object is in a state that does not allow this."""

    status = 409


class Outdated(HubError):
    """It was asked on a condition that does not hold any more."""

    status = 412


class Unconditional(HubError):
    """It may only be asked on a condition, and names none."""

    status = 428


class TooMany(HubError):
    """A limit of number, size or rate is reached."""

    status = 429


class Unavailable(HubError):
    """A part of the hub that this needs is not there now; try again."""

    status = 503


class IllegalTransition(Conflict):
    """A state machine was asked for a move that its table does not hold."""

    def __init__(self, noun: str, state: object, event: object) -> None:
        name = event if isinstance(event, str) else type(event).__name__
        super().__init__(f"{noun}.illegal_transition", f"{noun}: {name} is not possible in state {state}")
