"""TURN servers for clients that reach the media port by no other way, with credentials that run out by themselves.

draft-uberti-behave-turn-rest-00 §2.2: the user name is ``expiry:user``, the password its HMAC-SHA1 under the secret
that the TURN server shares (coturn's ``use-auth-secret``). The secret itself is never answered.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from hub.services.context import Actor, Context


@dataclass(frozen=True, slots=True)
class IceServers:
    """What a client's RTCPeerConnection is given. ``urls`` empty: there is no TURN server."""

    urls: tuple[str, ...]
    username: str
    credential: str
    expires_at: int  # ms
    only: bool  # nothing but TURN leads to the relays

    def links(self) -> list[str]:
        """As values of ``Link`` headers (RFC 9725 §4.6)."""
        return [
            f'<{url}>; rel="ice-server"; username="{self.username}"; credential="{self.credential}"; '
            'credential-type="password"'
            for url in self.urls
        ]


def ice_servers(ctx: Context, actor: Actor) -> IceServers:
    """The TURN servers for this person from now on, for SHARPEYES_TURN_TTL_S."""
    settings, now = ctx.settings, ctx.clock()
    expires = now // 1_000 + settings.turn_ttl_s
    if not settings.turn_urls:
        return IceServers((), "", "", expires * 1_000, only=False)
    username = f"{expires}:{actor.id}"
    signed = hmac.new(settings.turn_key, username.encode(), hashlib.sha1).digest()
    return IceServers(
        settings.turn_urls, username, base64.b64encode(signed).decode(), expires * 1_000, only=settings.turn_only
    )
