"""A camera's address as what a relay is told."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from hub.bus.relay_wire import StreamConfig
from hub.domain.gb_url import SCHEME
from hub.domain.ids import GbId

PICTURES_EVERY_MS: Final = 2_000


def gb_url(
    device: GbId, channel: GbId, *, media: str = "auto", sub: str = "auto", query: Mapping[str, int] | None = None
) -> str:
    """The address of a channel; ``media`` says how its pictures come, ``sub`` how its sub stream is asked for,
    ``start`` and ``end`` name a recording."""
    policies = {name: value for name, value in (("media", media), ("sub", sub)) if value != "auto"}
    given: dict[str, Any] = {**(query or {}), **policies}
    return f"{SCHEME}://{device}/{channel}" + (f"?{urlencode(given)}" if given else "")


def config_of(url: str, *, watched: bool, gateway: str | None, sub_url: str | None = None) -> StreamConfig:
    """What a relay is told of this address; ``gateway`` is the internal URL of the one that speaks for us."""
    every = PICTURES_EVERY_MS if watched else None
    if not url.startswith(f"{SCHEME}://"):
        return StreamConfig(url=url, sub_url=sub_url, pictures_every_ms=every)
    where, _, text = url.partition("?")
    query = dict(parse_qsl(text))
    media, sub = query.pop("media", "auto"), query.pop("sub", "auto")
    live = not query and sub != "off"
    rest = f"?{urlencode(query)}" if query else ""
    return StreamConfig.model_validate(
        {
            "kind": "gb28181",
            "url": where + rest,
            "sub_url": f"{where}?stream=1&sub={sub}" if live else None,
            # Without one the relay says that the gateway does not answer, and tries again.
            "gateway": gateway or "http://127.0.0.1:9",
            "media": media,
            "pictures_every_ms": every,
            "keep_open": "listen" in query,  # a platform speaks whether somebody listens or not
        }
    )
