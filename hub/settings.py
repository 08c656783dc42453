"""Settings: defaults, then environment, then command line. The only reader of the environment."""

import hashlib
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from hub.domain.errors import Invalid
from hub.domain.zones import Network, Zones, announced, entries, networks

PREFIX: Final = "SHARPEYES_"
LISTS: Final = frozenset({"relay_dials", "trusted_proxies", "turn_urls"})  # separated by commas in the environment
BY_ZONE: Final = frozenset({"announce", "zones"})  # zone=value,value;zone=value
# RFC 7065 §3.1; the host is written into a header, so nothing but a host
_TURN_URL: Final = re.compile(
    r"turns?:([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?(\?transport=(udp|tcp))?"
)


class Settings(BaseModel):
    """Everything an installation can choose. Each field is ``SHARPEYES_<NAME>`` in the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Field(default=Path(".data"), description="folder of database, secrets, pictures, embedded Redis")
    name: str = Field(default="如意市指挥中心", max_length=40, description="name of the centre on the console")
    host: str = Field(default="127.0.0.1", description="address that the console and the interface listen on")
    port: int = Field(default=8800, ge=1, le=65_535, description="TCP port of the console and the interface")
    media_host: str = Field(default="", description="address of the media port; empty: as host")
    media_port: int = Field(default=0, ge=0, le=65_535, description="port of all media, UDP and TCP; 0: port + 1")
    media_tcp: bool = Field(default=True, description="media by TCP as well, for networks that let no UDP through")
    announce: tuple[str, ...] = Field(
        default=(), description="addresses that browsers reach the media port by: all, or zone=address,address;zone=..."
    )
    zones: tuple[str, ...] = Field(
        default=(), description="networks that clients sit in: zone=network,network;zone=network"
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="networks of proxies whose X-Forwarded-For is believed, with commas"
    )
    turn_urls: tuple[str, ...] = Field(
        default=(), max_length=8, description="TURN servers (turn:host:3478?transport=udp, turns:...), with commas"
    )
    turn_secret: SecretStr = Field(default=SecretStr(""), description="secret that the TURN servers share")
    turn_secret_file: Path | None = Field(default=None, description="file that holds it instead")
    turn_ttl_s: int = Field(default=43_200, ge=60, le=7 * 86_400, description="TURN credentials hold so long")
    turn_only: bool = Field(default=False, description="browsers use nothing but TURN")
    database_url: str = Field(default="", description="SQLAlchemy URL; empty: SQLite in the data folder")
    redis_url: str = Field(default="", description="Redis URL; empty: an embedded one on a socket in the data folder")
    relays: int = Field(default=1, ge=1, le=64, description="relays on this machine: media port, + 10, + 20 ...")
    relay_zone: str = Field(default="", max_length=40, description="network that this machine's relays stand in")
    relay_dials: tuple[str, ...] = Field(
        default=("*",), description="zones that these relays can open connections to; * for all"
    )
    gb_media_host: str = Field(
        default="",
        max_length=64,
        description="address of this relay that GB/T 28181 devices send to; empty: as media_host",
    )
    gb_media_ports: str = Field(
        default="30000-31999",
        pattern=r"^(|\d{1,5}-\d{1,5})$",
        description="ports that GB/T 28181 devices send to; empty: any",
    )
    internal_host: str = Field(default="127.0.0.1", description="address of the roles' internal HTTP")
    weights: Path | None = Field(default=None, description="YOLO weights to use")
    fanout: str = Field(default="", pattern="^(native|python|)$", description="force one half of the relay's fast path")
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    gb_id: str = Field(
        default="", pattern=r"^([0-9]{20}|)$", description="our identifier in GB/T 28181 (20 digits); empty: no gateway"
    )
    gb_domain: str = Field(default="", pattern=r"^([0-9]{8,20}|)$", description="SIP domain; empty: 10 digits of gb_id")
    upload_url: str = Field(
        default="",
        pattern=r"^(https?://[^/?#\s]{1,255}|)$",
        description="where devices reach the interface, for pictures",
    )
    sip_host: str = Field(default="", description="address that SIP listens on; empty: as host")
    sip_port: int = Field(default=5060, ge=0, le=65_535, description="UDP and TCP port of SIP")
    sip_address: str = Field(default="", description="address that devices reach SIP by; empty: as routes say")
    demo: bool = Field(default=False, description="set by `sharpeyes demo` only")
    demo_rtsp_port: int = Field(default=0, ge=0, le=65_535, description="RTSP port of the demo cameras; 0: port + 2")
    transcode_most: int = Field(
        default=0, ge=0, le=256, description="pictures that one relay transcodes at once; 0: as many as it has cores"
    )
    transcode_size: str = Field(
        default="1280x720",
        pattern=r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$",
        description="transcoded pictures are no larger",
    )
    transcode_rate: int = Field(default=25, ge=1, le=60, description="transcoded pictures a second at most")
    linger_s: float = Field(default=10.0, ge=0, le=3_600, description="a source stays open so long after the last")

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **given: object) -> Self:
        """Read settings from the environment; ``given`` (not None) wins. Raises Invalid naming the variable."""
        env = os.environ if environ is None else environ
        values: dict[str, object] = {}
        for field in cls.model_fields:
            if (text := env.get(PREFIX + field.upper())) is not None and text != "":
                values[field] = _read(field, text)
        values.update({key: value for key, value in given.items() if value is not None})
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = PREFIX + str(first["loc"][0]).upper()
            message = str(first["msg"]).removeprefix("Value error, ")
            raise Invalid("settings.invalid", f"{where}: {message}", field=where) from None

    def environ(self) -> dict[str, str]:
        """These settings as environment variables, for child processes."""
        result = {}
        for field in type(self).model_fields:
            value = getattr(self, field)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            text = ",".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
            result[PREFIX + field.upper()] = text
        return result

    @field_validator("announce")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        announced(value)
        return value

    @field_validator("turn_urls")
    @classmethod
    def _turn(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not _TURN_URL.fullmatch(url):
                raise ValueError(f"{url[:80]!r} is no address of a TURN server (turn:host:port?transport=udp|tcp)")
        return value

    @field_validator("zones")
    @classmethod
    def _zones(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        Zones.of(value)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        networks(value)
        return value

    @property
    def addresses(self) -> dict[str, tuple[str, ...]]:
        """What is announced, by zone; "" for everybody."""
        return announced(self.announce)

    @cached_property
    def client_zones(self) -> Zones:
        """The networks that clients sit in."""
        return Zones.of(self.zones)

    @cached_property
    def proxies(self) -> tuple[Network, ...]:
        """Networks of proxies that are believed."""
        return networks(self.trusted_proxies)

    @cached_property
    def turn_key(self) -> bytes:
        """The secret that the TURN servers share. Raises Invalid naming the variable where there is none."""
        if self.turn_secret_file is None:
            secret = self.turn_secret.get_secret_value()
            if not secret:
                where = PREFIX + "TURN_SECRET"
                raise Invalid("settings.invalid", f"{where}: SHARPEYES_TURN_URLS needs it, or {where}_FILE")
            return secret.encode()
        where = PREFIX + "TURN_SECRET_FILE"
        try:
            secret_bytes = self.turn_secret_file.read_bytes()[:1_024].strip()
        except OSError as error:
            raise Invalid("settings.invalid", f"{where}: {error.strerror}", field=where) from None
        if not secret_bytes:
            raise Invalid("settings.invalid", f"{where}: the file is empty", field=where)
        return secret_bytes

    @property
    def gb_port_range(self) -> tuple[int, int]:
        """First and last port for GB/T 28181 media; zeros leave the choice to the system."""
        first, _, last = (self.gb_media_ports or "0-0").partition("-")
        return min(int(first), 65_535), min(int(last), 65_535)

    @property
    def udp_port(self) -> int:
        """The media port in force."""
        return self.media_port or self.port + 1

    @property
    def media_ports(self) -> tuple[int, ...]:
        """The media ports of this machine's relays."""
        return tuple(self.udp_port + 10 * n for n in range(self.relays))

    @property
    def rtsp_port(self) -> int:
        """The demo cameras' RTSP port in force."""
        return self.demo_rtsp_port or self.port + 2

    @property
    def upload_base(self) -> str | None:
        """Where devices bring their pictures; None: this interface cannot be reached by others."""
        if self.upload_url:
            return self.upload_url
        if self.host in ("127.0.0.1", "::1", "localhost") and not self.demo:
            return None
        host = self.sip_address or self.host
        return None if host in ("0.0.0.0", "::") else f"http://{f'[{host}]' if ':' in host else host}:{self.port}"  # noqa: S104 - compared

    @property
    def gb_realm(self) -> str:
        """The SIP domain in force."""
        return self.gb_domain or self.gb_id[:10]

    @property
    def sip_bind(self) -> str:
        """The address of SIP in force."""
        return self.sip_host or self.host

    @property
    def database(self) -> str:
        """SQLAlchemy URL in force."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data.resolve() / 'hub.sqlite3'}"

    @property
    def redis_socket(self) -> Path:
        """Socket of the embedded Redis: in the data folder, or in a private one under /tmp where that is too deep.

        Unix socket paths end at 107 bytes (unix(7)).
        """
        socket = self.data.resolve() / "redis" / "redis.sock"
        if len(os.fsencode(socket)) <= 107:
            return socket
        name = hashlib.sha256(os.fsencode(socket)).hexdigest()[:16]
        return Path("/tmp") / f"sharpeyes-{os.getuid()}-{name}" / "redis.sock"  # noqa: S108 - owner and mode are checked

    @property
    def redis(self) -> str:
        """Redis URL in force."""
        return self.redis_url or f"unix://{quote(str(self.redis_socket))}"


def _read(field: str, text: str) -> object:
    """A variable's text as the field's value."""
    if field in BY_ZONE:
        return entries(text)
    return tuple(filter(None, (part.strip() for part in text.split(",")))) if field in LISTS else text
