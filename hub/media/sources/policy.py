"""Which address a source is really connected to: resolve, check every address, then connect to the checked one.

A name is resolved here and who connects is handed the number, so that a second answer of the name server (DNS
rebinding) changes nothing. Our own RTSP client connects to exactly these numbers and still says the name, in its
requests and as SNI. For PyAV, HTTP's Host is given beside; limits: RTMP servers see the number as their virtual host,
and https must keep the name, since FFmpeg sends no SNI for a number: it resolves once more, right after the check
here; what a rebinding reaches in that moment would still have to speak TLS. A certificate is not verified, as cameras
sign their own: TLS hides the password from listeners, it does not prove who answers.
"""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from hub.domain.source_url import PORTS, ParsedSource, refuse_address
from hub.media.sources.errors import SourceError

Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Name and port to addresses. Raises OSError."""

RESOLVE_S: Final = 5.0
MAX_ADDRESSES: Final = 16

# A playlist names further addresses that nobody checked, so no playlist format is among these.
FORMATS: Final = "h264,hevc,mpegts,mpeg,flv,live_flv,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mjpeg,mpjpeg"
PROTOCOLS: Final[Mapping[str, str]] = {
    "http": "http,tcp",
    "https": "https,tls,tcp",
    "rtmp": "rtmp,tcp",
    "file": "file",
}


@dataclass(frozen=True)
class Target:
    """What the demuxer is given. ``url`` and ``options`` hold secrets: never print them."""

    url: str = field(repr=False)
    options: Mapping[str, str] = field(repr=False)
    name: str  # the host as it was written


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Addresses by the system's resolver, in its order of preference. Raises OSError."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[str]] = loop.create_future()

    def settle(found: Sequence[str] | OSError) -> None:
        if answer.done():
            return
        if isinstance(found, OSError):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def ask() -> None:
        found: Sequence[str] | OSError
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(info[4][0]) for info in infos))
        except OSError as error:
            found = error
        except UnicodeError as error:
            found = OSError(str(error))
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
            loop.call_soon_threadsafe(settle, found)

    # Not the loop's executor: a name server that does not answer would hold up the end of the process.
    threading.Thread(target=ask, name=f"resolve/{host}", daemon=True).start()
    return await answer


async def admit(source: ParsedSource, *, resolve: Resolver = system_resolver, files: Path | None = None) -> Target:
    """Decide on a source now. ``files`` is the one folder that ``file:`` may point into.

    Raises SourceError ``source.refused`` or ``source.unreachable`` (the name is unknown).
    """
    if source.scheme == "file":
        path = _confined(Path(source.tail), files)
        return Target(str(path), {"format_whitelist": FORMATS, "protocol_whitelist": "file"}, path.name)
    addresses = await checked_addresses(source, resolve)
    url = source.url(None if source.scheme == "https" else addresses[0])
    return Target(url, _options(source), source.host)


async def checked_addresses(source: ParsedSource, resolve: Resolver = system_resolver) -> Sequence[str]:
    """The addresses of a source's host, at least one, every one of them checked.

    Raises SourceError ``source.refused`` when one of them is never pulled, ``source.unreachable`` without any.
    """
    try:
        async with asyncio.timeout(RESOLVE_S):
            addresses = (await resolve(source.host, source.port))[:MAX_ADDRESSES]
    except (OSError, TimeoutError):
        raise SourceError("source.unreachable", f"the name {source.host} is not known") from None
    if not addresses:
        raise SourceError("source.unreachable", f"the name {source.host} has no address")
    for text in addresses:
        if (why := refuse_address(ipaddress.ip_address(text))) is not None:
            raise SourceError("source.refused", f"{source.host}: {why}")
    return addresses


def _options(source: ParsedSource) -> dict[str, str]:
    options = {
        "protocol_whitelist": PROTOCOLS[source.scheme],
        "format_whitelist": FORMATS,
        "fpsprobesize": "0",  # the frame rate is of no interest, and finding it takes a second
        "analyzeduration": "2000000",
    }
    if source.scheme in {"http", "https"}:
        options |= {
            "max_redirects": "0",
            "http_proxy": "",  # else one of the environment would connect for us, unchecked
            "headers": f"Host: {source.netloc.removesuffix(f':{PORTS[source.scheme]}')}\r\n",
            "reconnect": "0",
            "user_agent": "sharpeyes",
        }
    if source.scheme == "https":
        options["tls_verify"] = "0"
    return options


def _confined(path: Path, folder: Path | None) -> Path:
    if folder is None:
        raise SourceError("source.refused", "files are not pulled")
    try:
        real = path.resolve(strict=True)
        inside = real.is_relative_to(folder.resolve(strict=True)) and real.is_file()
    except (OSError, RuntimeError):  # RuntimeError: a loop of links
        inside = False
    if not inside:
        raise SourceError("source.refused", "the file is not in the demo's own folder")
    return real
