"""REGISTER (GB/T 28181-2016 9.1): who may, for how long, and what time it is."""

from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from hub.domain.clock import Clock
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

log: Final = structlog.get_logger(__name__)

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
        checked = self._authority.check(request.headers.all("Authorization"), "REGISTER", lambda _: password)
        if checked.verdict in (Verdict.MISSING, Verdict.STALE, Verdict.FORGED):
            self.counts["challenged"] += 1
            challenges = self._authority.challenges(stale=checked.verdict is Verdict.STALE)
            tx.respond(401, headers=[("WWW-Authenticate", value) for value in challenges])
            return
        if not checked.good:
            self._refuse(tx, device, WHY[checked.verdict])
            return
        self._accept(tx, device)

    def _refuse(self, tx: ServerTransaction, device: str, why: str) -> None:
        self.counts["refused"] += 1
        self._devices.refused(device, why)
        log.info("device.refused", device=device, reason=why, peer=f"{tx.flow.host}:{tx.flow.port}")
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
                contact=str(contact) if contact else "",
                call_id=request.call_id,
                edition=edition_of(request.headers.get(HEADER)),
                user_agent=request.headers.get("User-Agent") or "",
            )
        except GbError as error:
            log.warning("device.not_taken", device=device, error=error.code)
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


def address_of(flow: Flow) -> Address:
    """Where a message came from, as a registration keeps it."""
    return Address(flow.host, flow.port, flow.transport, flow.connection or None)
