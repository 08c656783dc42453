"""What a simulated device can be told, with a switch for each misbehaviour seen in the field."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from hub.domain.errors import Invalid
from signaling.gb28181.edition import Edition
from signaling.gb28181.ids import make_id
from signaling.gb28181.substream import SubForm

SoundKind: TypeAlias = Literal["g711a", "aac", "none"]


class Quirk(StrEnum):
    """One way in which real devices differ from the standard."""

    UTF8_AS_GB2312 = "utf8-as-gb2312"
    SINGLE_QUOTES = "single-quotes"
    RAW_AMPERSAND = "raw-ampersand"
    LOWER_TAGS = "lower-tags"
    USER_ADMIN = "user-admin"
    SHORT_ID = "short-id"
    ROUTE = "route"
    DATE = "date"
    PADDED_LENGTH = "padded-length"
    COMPACT_HEADERS = "compact-headers"
    PROVISIONAL_101 = "provisional-101"
    REGISTER_FLOOD = "register-flood"
    NAT_MOVES = "nat-moves"
    SILLY_HEARTBEAT = "silly-heartbeat"
    NO_KEEPALIVE = "no-keepalive"
    FOREIGN_MEDIA_STATUS = "foreign-media-status"
    NO_MEDIA_STATUS = "no-media-status"
    CATALOG_LATE = "catalog-late"
    CATALOG_SLOW = "catalog-slow"
    CATALOG_TOO_HIGH = "catalog-too-high"
    CATALOG_TOO_LOW = "catalog-too-low"
    CATALOG_TWICE = "catalog-twice"
    CATALOG_NEVER = "catalog-never"
    MIXED_TREE = "mixed-tree"
    SHARED_CHANNELS = "shared-channels"
    RECORDS_NEED_TYPE = "records-need-type"
    TCP_AT_ONCE = "tcp-at-once"
    NO_Y = "no-y"
    SHORT_Y = "short-y"
    OTHER_SSRC = "other-ssrc"
    ZERO_SSRC = "zero-ssrc"
    PAYLOAD_98 = "payload-98"
    PAYLOAD_33 = "payload-33"
    BARE_H264 = "bare-h264"
    SIDE_SOUND = "side-sound"
    TRANSPORT_STREAM = "transport-stream"
    BAD_MAP = "bad-map"
    LATE_MAP = "late-map"
    NO_MAP = "no-map"
    SVAC = "svac"
    PRIVATE_PACKETS = "private-packets"
    LONE_PACKS = "lone-packs"
    OPEN_PES = "open-pes"
    SYSTEM_HEADERS = "system-headers"
    LOSS = "loss"
    REORDER = "reorder"
    DOLLAR_FRAMING = "dollar-framing"
    MID_PACKET = "mid-packet"
    NO_ANSWER = "no-answer"
    REFUSES = "refuses"
    SILENT = "silent"
    SILENT_UDP = "silent-udp"
    GARBAGE = "garbage"
    NO_KEY_FRAME = "no-key-frame"
    ONE_STREAM = "one-stream"
    REFUSES_SUB = "refuses-sub"


HELP: Final[dict[Quirk, str]] = {
    Quirk.UTF8_AS_GB2312: "bodies are UTF-8, declared as GB2312",
    Quirk.SINGLE_QUOTES: "the XML declaration has single quotes",
    Quirk.RAW_AMPERSAND: "raw & and < in names and addresses",
    Quirk.LOWER_TAGS: "end tags in lower case",
    Quirk.USER_ADMIN: "the digest's user name is admin",
    Quirk.SHORT_ID: "identifiers of eighteen digits",
    Quirk.ROUTE: "REGISTER carries a Route header",
    Quirk.DATE: "REGISTER carries a Date without a time zone",
    Quirk.PADDED_LENGTH: "Content-Length is padded with blanks",
    Quirk.COMPACT_HEADERS: "header names in compact form",
    Quirk.PROVISIONAL_101: "INVITE is first answered 101 Dialog Establishment",
    Quirk.REGISTER_FLOOD: "registers five times a second for two seconds, then as usual",
    Quirk.NAT_MOVES: "keepalives come from another port than REGISTER",
    Quirk.SILLY_HEARTBEAT: "ConfigDownload tells a heartbeat of 0 s and 0 misses",
    Quirk.NO_KEEPALIVE: "sends no keepalives",
    Quirk.FOREIGN_MEDIA_STATUS: "MediaStatus comes From somebody else, with the call's Call-ID",
    Quirk.NO_MEDIA_STATUS: "says nothing when a file has been sent",
    Quirk.CATALOG_LATE: "the first page of the catalog comes late (--late seconds)",
    Quirk.CATALOG_SLOW: "one item a page, pages 5 s apart (a fraction of --late if that is smaller)",
    Quirk.CATALOG_TOO_HIGH: "SumNum is larger than what comes",
    Quirk.CATALOG_TOO_LOW: "SumNum is smaller than what comes",
    Quirk.CATALOG_TWICE: "every page is sent twice",
    Quirk.CATALOG_NEVER: "Catalog is never answered",
    Quirk.MIXED_TREE: "civil codes, business group, virtual organisations, several parents, Parental wrong",
    Quirk.SHARED_CHANNELS: "every device has the same channel numbers",
    Quirk.RECORDS_NEED_TYPE: "RecordInfo without Type=all finds nothing",
    Quirk.TCP_AT_ONCE: "dials on its own 200, without waiting for the ACK",
    Quirk.NO_Y: "the answer lacks y=",
    Quirk.SHORT_Y: "y= has six digits",
    Quirk.OTHER_SSRC: "sends and answers another SSRC than asked",
    Quirk.ZERO_SSRC: "sends SSRC 0",
    Quirk.PAYLOAD_98: "PS under payload type 98",
    Quirk.PAYLOAD_33: "PS under payload type 33",
    Quirk.BARE_H264: "H.264 in RTP, not in PS, though PS was answered",
    Quirk.SIDE_SOUND: "G.711A as an elementary stream beside the PS",
    Quirk.TRANSPORT_STREAM: "MPEG-TS labelled PS",
    Quirk.BAD_MAP: "a program stream map with wrong inner length and CRC",
    Quirk.LATE_MAP: "the first map comes after 10 pictures",
    Quirk.NO_MAP: "no map at all",
    Quirk.SVAC: "the map says SVAC, which cannot be decoded",
    Quirk.PRIVATE_PACKETS: "private 0xBD packets",
    Quirk.LONE_PACKS: "pack headers by themselves",
    Quirk.OPEN_PES: "PES packets of length zero",
    Quirk.SYSTEM_HEADERS: "system headers anywhere",
    Quirk.LOSS: "1 % of the packets are lost",
    Quirk.REORDER: "2 % of the packets change places",
    Quirk.DOLLAR_FRAMING: "TCP with $ framing instead of two bytes of length",
    Quirk.MID_PACKET: "a TCP connection that starts in the middle of a packet",
    Quirk.NO_ANSWER: "INVITE is never answered",
    Quirk.REFUSES: "INVITE is answered 486",
    Quirk.SILENT: "answers, and sends nothing",
    Quirk.SILENT_UDP: "sends nothing on UDP; TCP works",
    Quirk.GARBAGE: "RTP packets without anything in them that can be read",
    Quirk.NO_KEY_FRAME: "never sends a key frame",
    Quirk.ONE_STREAM: "sends one stream of a channel only: another INVITE ends the first by BYE",
    Quirk.REFUSES_SUB: "an INVITE for the sub stream is answered 488",
}


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """One simulated device. ``id`` empty: made from domain and ``number``."""

    server_id: str = "34020000002000000001"
    domain: str = "3402000000"
    host: str = "127.0.0.1"  # the platform's
    port: int = 5060
    transport: Literal["udp", "tcp"] = "udp"
    password: str = field(default="", repr=False)
    id: str = ""
    number: int = 1
    channels: int = 1
    name: str = ""
    channel_names: tuple[str, ...] = ()  # of the first channels
    place: tuple[float, float] = (120.55, 32.38)  # longitude and latitude of the first
    local_host: str = "127.0.0.1"
    expires_s: int = 3_600
    heartbeat_s: float = 60.0
    page: int = 4  # items in a page of a catalog or a list of recordings
    edition: Edition = "2022"
    charset: Literal["gb18030", "utf-8"] = "gb18030"
    sound: SoundKind = "g711a"
    sub: SubForm | None = None  # the line of an INVITE by which it gives its sub stream; None: it has none
    late_s: float = 120.0
    recorded_hours: int = 24
    quirks: frozenset[Quirk] = frozenset()

    def __post_init__(self) -> None:
        if not 0 < self.number <= 999 and not self.id:
            raise Invalid("demo.device", "a device's number is 1 to 999")
        if not 1 <= self.channels <= 999 or not 1 <= self.page <= 500:
            raise Invalid("demo.device", "a device has 1 to 999 channels and 1 to 500 items a page")
        if not 0.05 <= self.heartbeat_s <= 3_600 or not 1 <= self.expires_s <= 604_800:
            raise Invalid("demo.device", "heartbeat or expiry is out of range")

    def has(self, quirk: Quirk) -> bool:
        """Whether it misbehaves so."""
        return quirk in self.quirks

    @property
    def device_id(self) -> str:
        """Its identifier: type 118, a network video recorder."""
        made = self.id or make_id(self.domain[:8], 118, self.number)
        return made[:18] if self.has(Quirk.SHORT_ID) and not self.id else made

    @property
    def username(self) -> str:
        """Of its digest."""
        return "admin" if self.has(Quirk.USER_ADMIN) else self.device_id

    def channel_id(self, index: int) -> str:
        """Identifier of the channel ``index`` from 0: type 132."""
        number = 0 if self.has(Quirk.SHARED_CHANNELS) else self.number
        made = make_id(self.domain[:8], 132, number * 1_000 + index + 1)
        return made[2:] if self.has(Quirk.SHORT_ID) else made


def parse_quirks(names: str) -> frozenset[Quirk]:
    """Names parted by commas. Raises Invalid ``demo.quirk`` naming the one that is unknown."""
    found = set()
    for name in filter(None, (part.strip() for part in names.split(","))):
        try:
            found.add(Quirk(name))
        except ValueError:
            raise Invalid("demo.quirk", f"no misbehaviour {name[:40]!r}; `--quirks list` names them all") from None
    return frozenset(found)
