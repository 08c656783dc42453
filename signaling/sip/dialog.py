"""Dialogs (RFC 3261 §12): what the two ends remember, kept as plain values so that it outlives a restart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from signaling.sip.address import NameAddr, SipError, parse_name_addr, parse_uri
from signaling.sip.headers import Headers
from signaling.sip.message import Request, Response

VERSION: Final = 1
MAX_ROUTES: Final = 16
MAX_TEXT: Final = 4_096


@dataclass(slots=True)
class Dialog:
    """One dialog. Addresses are URIs as text; the route set is in the order in which we send it."""

    call_id: str
    local_tag: str
    remote_tag: str
    local: str
    remote: str
    target: str
    routes: tuple[str, ...] = ()
    local_cseq: int = 0
    remote_cseq: int = -1  # none seen yet
    contact: str = ""  # ours, as a name-addr; "" for none

    @classmethod
    def of_client(cls, request: Request, response: Response) -> Self:
        """Made by our request's answer with a To tag (§12.1.2). Raises SipError."""
        contact = response.contact
        routes = tuple(reversed(response.headers.all("Record-Route")))
        return cls(
            call_id=request.call_id,
            local_tag=request.from_.tag or "",
            remote_tag=response.to.tag or "",
            local=str(request.from_.uri),
            remote=str(request.to.uri),
            target=str(contact.uri) if contact is not None else request.uri,
            routes=_bounded(routes),
            local_cseq=request.cseq.number,
            contact=request.headers.get("Contact") or "",
        )

    @classmethod
    def of_server(cls, request: Request, tag: str, contact: str) -> Self:
        """Made by our answer with this tag (§12.1.1). Raises SipError."""
        theirs = request.contact
        return cls(
            call_id=request.call_id,
            local_tag=tag,
            remote_tag=request.from_.tag or "",
            local=str(request.to.uri),
            remote=str(request.from_.uri),
            target=str(theirs.uri) if theirs is not None else str(request.from_.uri),
            routes=_bounded(tuple(request.headers.all("Record-Route"))),
            remote_cseq=request.cseq.number,
            contact=contact,
        )

    @property
    def key(self) -> tuple[str, str]:
        """What an incoming request must name: Call-ID and our tag, which nobody guesses. Devices get the rest wrong."""
        return (self.call_id, self.local_tag)

    def request(
        self,
        method: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str | None = None,
        cseq: int | None = None,
    ) -> Request:
        """The next request in the dialog (§12.2.1.1), without Via. ``cseq`` is for ACKs: the INVITE's number."""
        if cseq is None:
            self.local_cseq = cseq = self.local_cseq + 1
        uri, routes = self._routed()
        made = Request(method=method, uri=uri, headers=Headers(), body=body)
        for value in routes:
            made.headers.add("Route", value)
        local = NameAddr(parse_uri(self.local)).with_tag(self.local_tag)
        remote = NameAddr(parse_uri(self.remote))
        made.headers.add("From", str(local))
        made.headers.add("To", str(remote.with_tag(self.remote_tag) if self.remote_tag else remote))
        made.headers.add("Call-ID", self.call_id)
        made.headers.add("CSeq", f"{cseq} {method}")
        made.headers.add("Max-Forwards", "70")
        if self.contact and method in ("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"):
            made.headers.add("Contact", self.contact)
        for name, value in headers:
            made.headers.set(name, value)
        if content_type is not None:
            made.headers.set("Content-Type", content_type)
        return made

    def _routed(self) -> tuple[str, tuple[str, ...]]:
        """Request-URI and Route values; a strict first route takes the Request-URI's place."""
        if not self.routes or parse_name_addr(self.routes[0]).uri.lr:
            return self.target, self.routes
        first = parse_name_addr(self.routes[0]).uri
        return str(replace(first, headers="")), (*self.routes[1:], f"<{self.target}>")

    def admit(self, request: Request) -> bool:
        """Whether an incoming request is in order (§12.2.2), noting its number and, when it refreshes, the target."""
        number = request.cseq.number
        if number < self.remote_cseq:
            return False
        self.remote_cseq = number
        if request.method in ("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY"):
            self.refresh(request)
        return True

    def refresh(self, message: Request | Response) -> None:
        """Take the Contact of a target refresh (§12.2.1.2)."""
        contact = message.contact
        if contact is not None:
            self.target = str(contact.uri)

    def record(self) -> dict[str, Any]:
        """A plain record, good for JSON."""
        return {
            "version": VERSION,
            "call_id": self.call_id,
            "local_tag": self.local_tag,
            "remote_tag": self.remote_tag,
            "local": self.local,
            "remote": self.remote,
            "target": self.target,
            "routes": list(self.routes),
            "local_cseq": self.local_cseq,
            "remote_cseq": self.remote_cseq,
            "contact": self.contact,
        }

    @classmethod
    def restored(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of ``record``. Raises SipError for what is none."""
        texts: dict[str, Any] = {}
        for name in ("call_id", "local_tag", "remote_tag", "local", "remote", "target", "contact"):
            value = record.get(name, "")
            if not isinstance(value, str) or len(value) > MAX_TEXT:
                raise SipError(f"record of a dialog: {name}")
            texts[name] = value
        routes = record.get("routes", [])
        numbers: dict[str, Any] = {name: record.get(name, -1) for name in ("local_cseq", "remote_cseq")}
        if record.get("version") != VERSION or not texts["call_id"] or not texts["local_tag"]:
            raise SipError("record of a dialog of another version")
        if not isinstance(routes, list) or not all(isinstance(each, str) for each in routes):
            raise SipError("record of a dialog: routes")
        if not all(isinstance(each, int) and -1 <= each < 2**31 for each in numbers.values()):
            raise SipError("record of a dialog: numbers")
        for name in ("local", "remote", "target"):
            parse_uri(texts[name])
        return cls(
            **texts,
            routes=_bounded(tuple(routes)),
            local_cseq=numbers["local_cseq"],
            remote_cseq=numbers["remote_cseq"],
        )


def _bounded(routes: tuple[str, ...]) -> tuple[str, ...]:
    if len(routes) > MAX_ROUTES:
        raise SipError("too many routes")
    for each in routes:
        parse_name_addr(each)
    return routes
