"""How a device is asked for the sub stream of a channel: one line in the INVITE's description, and which one.

``a=streamnumber`` is what GB/T 28181-2022 annex G names. Devices of 2016 have none by the standard; makers have their
own: Dahua ``a=streamprofile``, TP-LINK and Mercury ``a=streamMode``, some others ``a=stream``. Others take no notice
and send the main stream.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from signaling.gb28181.edition import Edition, knows_2022

SubForm: TypeAlias = Literal["streamnumber", "streamprofile", "streamMode", "stream"]
SubPolicy: TypeAlias = Literal["auto", "off", "streamnumber", "streamprofile", "streamMode", "stream"]
"""``auto``: by edition and maker, and not at all where neither tells."""
FORMS: Final[tuple[SubForm, ...]] = ("streamnumber", "streamprofile", "streamMode", "stream")
_MAKERS: Final[Mapping[str, SubForm]] = {
    "dahua": "streamprofile", "大华": "streamprofile", "tp-link": "streamMode", "tplink": "streamMode",
    "mercury": "streamMode", "水星": "streamMode",
}  # fmt: skip


def form_of(policy: SubPolicy, *, edition: Edition | None, maker: str) -> SubForm | None:
    """The line to use; None: this device is not asked for a sub stream. ``maker`` is whatever it says of its origin."""
    if policy == "off":
        return None
    if policy != "auto":
        return policy
    said = maker.lower()
    if (found := next((form for name, form in _MAKERS.items() if name in said), None)) is not None:
        return found
    return "streamnumber" if knows_2022(edition) else None


def attribute(form: SubForm, number: int) -> str:
    """The line that asks for the main (0) or the sub (1) stream."""
    if form == "streamMode":
        return f"a=streamMode:{'SUB' if number else 'MAIN'}"
    return f"a={form}:{number}"
