"""REGISTER (GB/T 28181-2016 9.1): who may, for how long, and what time it is."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from hub.domain.clock import Clock
from hub.domain.throttle import Throttle
from hub.gateway.brakes import Complaints
from hub.gateway.devices import Devices
from hub.gateway.traces import Traces
from signaling.gb28181.edition import HEADER, OURS, edition_of
from signaling.gb28181.errors import GbError
from signaling.gb28181.ids import is_id
from signaling.gb28181.register import Address, Change, granted, parse_expires
from signaling.gb28181.times import format_date
from signaling.sip.address import SipError
from signaling.sip.digest import Authority, Verdict
from signaling.sip.layer import Flow, ServerTransaction

WHY: Final = {
    Verdict.WRONG: "gb28181.password_wrong",
    Verdict.UNKNOWN: "gb28181.unknown_device",
    Verdict.UNSUPPORTED: "gb28181.digest_unsupported",
}


class Registrar:
    """One per gateway. ``on_online`` is told of each device that came or came back."""

    def __init__(
        self,
        devices: Devices,
        authority: Authority,
        traces: Traces,
        clock: Clock,
        on_online: Callable[[Change], None],
    ) -> None:
        self._devices = devices
        self._authority = authority
        self._traces = traces
        self._clock = clock
        self._on_online = on_online
        self.counts: Counter[str] = Counter()
        self._complaints = Complaints()
        self._guessing = Throttle(free=20, size=65_536)  # by device and host
        self._strangers = Throttle(free=200, most_ms=10_000, size=65_536)  # by host, of devices that nobody listed

    def register(self, tx: ServerTransaction) -> None:
        """Answer one."""
        request = tx.request
        try:
            device = request.to.uri.user or ""
        except SipError as error:
            tx.respond(error.status)
            return
        if not is_id(device):
            tx.respond(400, "no identifier of GB/T 28181")
            return
        password = self._devices.password(device)
        if password is None:
            self._refuse(tx, device, "gb28181.unknown_device")
            return
        table, key = self._throttle(device, tx.flow.host)
        if wait := table.wait_ms(key, self._clock()):
            self.counts["throttled"] += 1
            tx.respond(503, headers=[("Retry-After", str(wait // 1_000 + 1))])
            return
        checked = self._authority.check(request.headers.all("Authorization"), "REGISTER", lambda _: password)
        if checked.verdict in (Verdict.MISSING, Verdict.STALE, Verdict.FORGED):
            self.counts["challenged"] += 1
            challenges = self._authority.challenges(stale=checked.verdict is Verdict.STALE)
            tx.respond(401, headers=[("WWW-Authenticate", value) for value in challenges])
            return
        if not checked.good:
            table.fail(key, self._clock())
            self._refuse(tx, device, WHY[checked.verdict])
            return
        table.succeed(key)
        self._accept(tx, device)

    def _throttle(self, device: str, host: str) -> tuple[Throttle, str]:
        """Who guesses the password of one device is slowed down for it; the domain's is guessed under any name."""
        if self._devices.listed(device):
            return self._guessing, f"{host}\n{device}"
        return self._strangers, host

    def _refuse(self, tx: ServerTransaction, device: str, why: str) -> None:
        self.counts["refused"] += 1
        self._devices.refused(device, why)
        self._complaints.note("device.refused", self._clock(), device=device, reason=why, peer=tx.flow.host)
        tx.respond(403)

    def _accept(self, tx: ServerTransaction, device: str) -> None:
        request, flow = tx.request, tx.flow
        try:
            contact = request.contact
        except SipError:
            contact = None
        expires = parse_expires(request.headers.get("Expires"), contact.param("expires") if contact else None)
        try:
            change = self._devices.registered.register(
                device,
                address_of(flow),
                self._clock(),
                expires_s=expires,
                contact=_readable(str(contact)) if contact else "",
                call_id=_readable(request.call_id),
                edition=edition_of(request.headers.get(HEADER)),
                user_agent=_readable(request.headers.get("User-Agent") or ""),
            )
        except GbError as error:
            self._complaints.note("device.not_taken", self._clock(), device=device, error=error.code)
            tx.respond(503)
            return
        config = self._devices.config(device)
        headers = [("Expires", "0" if expires == 0 else str(granted(expires))), (HEADER, OURS)]
        if contact is not None:
            headers.append(("Contact", f"{request.headers.get('Contact')}"))
        if config is None or config.send_date:
            headers.append(("Date", format_date(self._clock())))
        tx.respond(200, headers=headers)
        self.counts["registered" if expires != 0 else "deregistered"] += 1
        self._traces.claim(flow, device)
        if config is not None:
            self._devices.registered.configure(device, config.heartbeat_s, config.heartbeat_misses)
        self._devices.took(change)
        if change.kind == "online" or change.restarted:
            self._on_online(change)


def _readable(text: str) -> str:
    """Header text as it may be stored and shown: devices write their names in GBK, which is no UTF-8."""
    raw = text.encode("utf-8", "surrogateescape")
    try:
        found = raw.decode("utf-8")
    except UnicodeDecodeError:
        found = raw.decode("gb18030", "replace")
    return "".join(char for char in found if char.isprintable())[:255]


def address_of(flow: Flow) -> Address:
    """Where a message came from, as a registration keeps it."""
    return Address(flow.host, flow.port, flow.transport, flow.connection or None)
