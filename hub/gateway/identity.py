"""Who the gateway is in SIP, and how its requests begin."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from signaling.gb28181.edition import HEADER, OURS
from signaling.sip.address import sip_uri
from signaling.sip.message import Request, make_request


@dataclass(frozen=True, slots=True)
class Identity:
    """``server_id`` twenty digits, ``domain`` ten; ``host`` and ``port`` where devices reach us."""

    server_id: str
    domain: str
    host: str
    port: int

    def at(self, port: int) -> "Identity":
        """The same at another port."""
        return replace(self, port=port)

    @property
    def uri(self) -> str:
        """Our address of record."""
        return sip_uri(self.server_id, self.domain)

    @property
    def contact(self) -> str:
        """Where we are."""
        return f"<{sip_uri(self.server_id, self.host, self.port)}>"

    def request(
        self,
        method: str,
        user: str,
        host: str,
        *,
        to_domain: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str | None = None,
    ) -> Request:
        """A request of ours to ``user`` at ``host`` (the domain, or host and port)."""
        extra = [*headers, (HEADER, OURS)]
        return make_request(
            method,
            f"sip:{user}@{host}",
            from_=self.uri,
            to=f"sip:{user}@{to_domain or self.domain}",
            headers=extra,
            body=body,
            content_type=content_type,
        )
