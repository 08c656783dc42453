"""The pages of this process that have a media connection, and the hints that concern them."""

from collections.abc import Mapping
from typing import Any

from hub.services.subscriptions import Subscription


class Subscriptions:
    """Those of one process."""

    def __init__(self) -> None:
        self._open: set[Subscription] = set()

    def join(self, subscription: Subscription) -> None:
        """A page came."""
        self._open.add(subscription)

    def part(self, subscription: Subscription) -> None:
        """And went. Its pictures stay until its connection ends, so that a page may come back to them."""
        self._open.discard(subscription)

    def live(self, message: Mapping[str, Any]) -> None:
        """A hint of the live channel."""
        for subscription in tuple(self._open):
            if "media_gone" in message:
                subscription.gone(str(message["media_gone"]))
            elif "subscriber" in message:
                what, reason = str(message.get("what")), str(message.get("reason", ""))
                subscription.reported(str(message["subscriber"]), what, reason)
            elif "moves" in message:
                subscription.moves({str(id) for _, id in message["moves"]})
            elif "conference" in message:
                subscription.conference(str(message["conference"]))
