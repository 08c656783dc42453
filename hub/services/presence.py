"""Who is connected now: this process counts its own sockets, and hears of the others' every two seconds."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from hub.domain.clock import Clock
from hub.domain.ids import UnitId, UserId

STALE_MS: Final = 7_000
MOST_PEOPLE: Final = 10_000


class Presence:
    """Implements ``hub.services.units.Online``. A person with three browsers is one person."""

    def __init__(self, node: str, clock: Clock) -> None:
        self._node = node
        self._clock = clock
        self._mine: Counter[tuple[UserId, UnitId]] = Counter()
        self._others: dict[str, tuple[Mapping[UserId, UnitId], int]] = {}
        self.changed: Callable[[], None] = lambda: None

    def came(self, user: UserId, unit: UnitId) -> None:
        """A socket of this person opened here."""
        self._mine[user, unit] += 1
        if self._mine[user, unit] == 1:
            self.changed()

    def went(self, user: UserId, unit: UnitId) -> None:
        """A socket of this person closed here."""
        self._mine[user, unit] -= 1
        if self._mine[user, unit] <= 0:
            del self._mine[user, unit]
            self.changed()

    def report(self) -> dict[str, Any]:
        """What the other processes should know: a message of the live channel."""
        people = dict(list(self._mine)[:MOST_PEOPLE])
        return {"presence": self._node, "people": people}

    def heard(self, message: Mapping[str, Any]) -> None:
        """Take another process's report; our own, and what is none, is passed over."""
        node, people = message.get("presence"), message.get("people")
        if not isinstance(node, str) or node == self._node or not isinstance(people, dict):
            return
        people = {user: unit for user, unit in people.items() if isinstance(unit, str)}
        before = self._others.get(node, ({}, 0))[0]
        self._others[node] = (people, self._clock())
        if people != before:
            self.changed()

    def forget_stale(self) -> None:
        """Drop processes that have not reported for a while."""
        limit = self._clock() - STALE_MS
        stale = [node for node, (_, at) in self._others.items() if at < limit]
        for node in stale:
            del self._others[node]
        if stale:
            self.changed()

    def people(self) -> dict[UserId, UnitId]:
        """Everybody connected anywhere, with the unit."""
        found: dict[UserId, UnitId] = {}
        for people, _ in self._others.values():
            found.update(people)
        found.update(self._mine.keys())
        return found

    def by_unit(self) -> Mapping[UnitId, int]:
        """Connected people by unit; units without any are left out."""
        return dict(Counter(self.people().values()))

    def is_online(self, user: UserId) -> bool:
        """Whether this person has at least one open connection, here or at another process."""
        return user in self.people()
