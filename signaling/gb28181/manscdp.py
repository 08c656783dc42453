"""MANSCDP bodies: bytes to typed messages (see ``messages``) and back (GB/T 28181-2016 annex A; -2022 annex A)."""

import re
from typing import Any, Final, Literal

from signaling.gb28181 import fields, xml
from signaling.gb28181.errors import GbError
from signaling.gb28181.messages import TYPES, Keepalive, Message, Unknown
from signaling.gb28181.xml import Charset, Node, Tag

CONTENT_TYPE: Final = "Application/MANSCDP+xml"
_ROOTS: Final = frozenset({"notify", "query", "response", "control"})
_KEEPALIVE: Final = re.compile(
    rb"(?:\s*<\?xml[^>]{0,60}\?>)?\s*<Notify>\s*<CmdType>Keepalive</CmdType>\s*<SN>([0-9]{1,10})</SN>\s*"
    rb"<DeviceID>([0-9A-Za-z]{1,32})</DeviceID>\s*<Status>([A-Za-z]{1,16})</Status>\s*(?:<Info>\s*</Info>\s*)?"
    rb"</Notify>\s*\Z"
)


def parse(body: bytes, charset: Charset = "auto") -> Message | Unknown:
    """The message in a body.

    Raises GbError: ``gb28181.xml`` and its kin, or ``gb28181.manscdp`` when the body is XML but no MANSCDP.
    """
    if (usual := _KEEPALIVE.match(body)) is not None:  # what 20,000 devices send every minute
        sn, device, status = usual.groups()
        return Keepalive(sn=int(sn), device=device.decode(), status=status.decode())
    return from_node(xml.parse(body, charset))


def from_node(node: Node) -> Message | Unknown:
    """The message in an element that was parsed before. Raises GbError ``gb28181.manscdp``."""
    cmd = node.get("CmdType")[:64]
    if node.name not in _ROOTS or not cmd:
        raise GbError("gb28181.manscdp", "the body is XML, but no MANSCDP message")
    number = node.get("SN")
    sn = int(number) if number.isascii() and number.isdigit() and len(number) <= 10 else 0
    device = node.get("DeviceID")[:32]
    made = TYPES.get((node.name, cmd.lower()))
    if made is None:
        return Unknown(node.name, cmd, sn, device, node)
    values: dict[str, Any] = fields.read_values(made, node)
    return made(sn=sn, device=device, **values)


def write(message: Message, charset: Literal["gb18030", "utf-8"] = "gb18030") -> bytes:
    """The body of a message, elements in the standard's order."""
    head = [Tag("CmdType", message.CMD), Tag("SN", str(message.sn))]
    if message.NAMES_DEVICE:
        head.append(Tag("DeviceID", message.device))
    return xml.write(Tag(message.ROOT, head + fields.write_group(message)), charset)


def flatten(node: Node, limit: int = 200) -> dict[str, str]:
    """Every text of an element as ``Path/To/Tag`` in lower case -> text: for configurations nobody typed."""
    found: dict[str, str] = {}
    stack = [("", each) for each in reversed(node.children)]
    while stack and len(found) < limit:
        path, each = stack.pop()
        name = f"{path}/{each.name}" if path else each.name
        if each.text:
            found.setdefault(name[:200], each.text[:500])
        stack.extend((name, child) for child in reversed(each.children))
    return found
