"""The log, the system itself, ICE servers."""

from typing import Any, Literal

from hub.api.schemas.base import Reply


class EventItem(Reply):
    seq: int
    kind: str
    at: int
    unit: str
    ref: str
    by_name: str | None
    data: dict[str, Any] | None


class Events(Reply):
    items: list[EventItem]
    next: int  # pass as ?after=


class Node(Reply):
    id: str
    role: str
    since: int
    seen_at: int
    load: float


class Model(Reply):
    name: str
    source: Literal["environment", "data", "official", "demonstration", "none"]
    demonstration: bool
    sha256: str | None


class System(Reply):
    name: str
    version: str
    demo: bool
    now: int
    model: Model
    nodes: list[Node]


class IceServer(Reply):
    urls: list[str]
    username: str
    credential: str


class IceServers(Reply):
    items: list[IceServer]
    expires_at: int
    only: bool  # RTCConfiguration.iceTransportPolicy is "relay"
