"""What is fuzzed: each target takes any bytes and must come back, or raise what its callers expect."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from hub.media.peer.counters import Counters
from hub.media.peer.publisher import Publisher, Terms
from hub.media.rtp.packet import RtpPacket, WireError, parse_rtp
from hub.media.rtp.rtcp import parse_rtcp
from hub.media.rtp.track import Track
from hub.media.rtp.unit import AccessUnit, Codec, UnitCodec
from hub.media.sources.aac import AacDepacketizer, AacFormat, parse_config
from hub.media.sources.choice import Chosen, choose
from hub.media.sources.depacketize import Depacketizer, H264Depacketizer, H265Depacketizer
from hub.media.sources.errors import SourceError
from hub.media.sources.h264 import Framer
from hub.media.sources.h265 import H265Framer
from hub.media.sources.receiver import TrackReceiver, Wallclock
from hub.media.stream import Stream
from hub.media.taps.health import Health
from hub.media.taps.mpegts import PACKET, Muxer
from signaling import sdp
from signaling.gb28181 import invite, manscdp, mansrtsp, ptz
from signaling.gb28181.collect import CatalogCollector
from signaling.gb28181.errors import GbError
from signaling.gb28181.framing import Deframer
from signaling.gb28181.intake import Intake
from signaling.gb28181.messages import Catalog, Unknown
from signaling.gb28181.ps import PsDemuxer
from signaling.gb28181.tree import build_tree
from signaling.ice import Credentials as IceCredentials
from signaling.ice import IceLite, StunError, is_authentic, parse_stun
from signaling.rtsp.auth import Credentials
from signaling.rtsp.client import RtspClient
from signaling.rtsp.events import Described, TransportRefused
from signaling.rtsp.message import Decoder, Interleaved, RtspError
from signaling.rtsp.session import Phase
from signaling.sip.address import SipError
from signaling.sip.layer import Flow
from signaling.sip.message import parse as parse_sip
from signaling.sip.stack import SipStack, StackConfig
from signaling.sip.stream import Framer as SipFramer

CORPUS: Final = Path(__file__).parents[1] / "corpus"
ICE: Final = IceCredentials("ourname", "ourpassword-ourpassword")  # what the checks in the corpus are signed with
URL: Final = "rtsp://10.0.0.1:8554/live"
PORTS: Final = [(5_000, 5_001), (5_002, 5_003)]


def rtsp(data: bytes, chunk: int = 0) -> tuple[Phase, int]:
    """A camera that sends these bytes, in pieces; the client's phase, and how many units came of it."""
    units: list[AccessUnit] = []
    client = RtspClient(URL, Credentials("admin", "password"))
    receivers: dict[int, tuple[TrackReceiver, bool]] = {}
    chosen: tuple[Chosen, ...] = ()
    client.start(0.0)
    size = chunk or max(1, len(data) % 700)
    for at in range(0, len(data), size):
        now = at / 1_000
        for event in client.receive(data[at : at + size], now):
            try:
                if isinstance(event, Described):
                    chosen = choose(event.presentation).tracks
                if isinstance(event, Described | TransportRefused) and client.phase is Phase.DESCRIBED:
                    ports = PORTS[: len(chosen)] if isinstance(event, TransportRefused) else ()
                    client.setup([each.offered for each in chosen], now, ports)
                    receivers.clear()
                    for place, each in enumerate(chosen):
                        receiver = TrackReceiver(
                            each.codec, each.payload_type, udp=bool(ports), clock=lambda: 1_000, emit=units.append,
                            wallclock=Wallclock(), parameter_sets=each.parameter_sets, aac=each.aac, rate=each.rate,
                        )  # fmt: skip
                        receivers |= {2 * place: (receiver, False), 2 * place + 1: (receiver, True)}
                elif isinstance(event, Interleaved) and event.channel % 4 in receivers:
                    receiver, rtcp = receivers[event.channel % 4]
                    (receiver.rtcp if rtcp else receiver.packet)(event.payload)
            except SourceError:
                return client.phase, len(units)
        client.tick(now)
        client.data_to_send()
    client.closed()
    return client.phase, len(units)


def server(data: bytes) -> None:
    """The decoder as the demo's server uses it, and the same bytes at once and one by one."""
    whole, single = Decoder(), Decoder()
    seen: list[list[object]] = [[], []]
    for number, (decoder, step) in enumerate(((whole, max(1, len(data))), (single, 1))):
        try:
            for at in range(0, len(data), step):
                seen[number] += decoder.feed(data[at : at + step])
        except RtspError:
            seen[number].append("error")
    assert seen[0] == seen[1]


def h264(data: bytes) -> int:
    """Records of flags (marker, lost, another picture), length, payload; returns how many pictures came of them."""
    return _pictures(data, "h264", H264Depacketizer(), Framer())


def h265(data: bytes) -> int:
    """The same of H.265."""
    return _pictures(data, "h265", H265Depacketizer(), H265Framer())


def _pictures(data: bytes, codec: UnitCodec, depacketizer: Depacketizer, framer: Framer | H265Framer) -> int:
    muxer, health, track = Muxer(), Health(), Track("h265" if codec == "h265" else "h264")
    at = seq = timestamp = pictures = 0
    while at + 3 <= len(data):
        flags, size = data[at], int.from_bytes(data[at + 1 : at + 3], "big")
        payload = data[at + 3 : at + 3 + size]
        at += 3 + size
        packet = RtpPacket(bool(flags & 1), 96, seq & 0xFFFF, timestamp, 1, payload)
        seq += 1
        timestamp += 3_600 if flags & 5 else 0
        for unit in depacketizer.push(packet, int(bool(flags & 2))):
            picture = framer.assembled(unit.nals)
            if picture is not None:
                pictures += 1
                made = AccessUnit("video", codec, picture.data, unit.timestamp, picture.keyframe, 0)
                health.observe(made)
                track.append_unit(made)
                assert len(muxer.write(made)) % PACKET == 0
    return pictures


def aac(data: bytes) -> int:
    """The same records as sound, by both ways of packing; returns how many frames came of them."""
    frames = at = 0
    generic, latm = AacDepacketizer(AacFormat(2, 16_000, 1)), AacDepacketizer(AacFormat(2, 16_000, 1, latm=True))
    while at + 3 <= len(data):
        flags, size = data[at], int.from_bytes(data[at + 1 : at + 3], "big")
        packet = RtpPacket(bool(flags & 1), 97, 0, 0, 1, data[at + 3 : at + 3 + size])
        at += 3 + size
        frames += sum(len(each.push(packet, int(bool(flags & 2)))) for each in (generic, latm))
    with contextlib.suppress(ValueError):
        parse_config(data)
    return frames


def rtp(data: bytes) -> None:
    """One datagram as RTP and as RTCP."""
    for parse in (parse_rtp, parse_rtcp):
        try:
            parse(data)
        except WireError:
            continue


def publisher(data: bytes) -> int:
    """Records of length and one packet, as a member sends them once they are decrypted; how many were taken."""
    taken = 0
    for video in ("h264", "vp8"):
        codecs: dict[int, Codec] = {102: "h264" if video == "h264" else "vp8", 111: "opus"}
        terms = Terms(codecs, {103: 102}, {77: 1}, ("q", "f"), rid=10, repaired_rid=11, transport=3, level=1)
        stream = Stream("mem-1", clock=lambda: 1_000)
        member = Publisher(stream, terms, 1, Counters(), lambda: None)
        stream.publisher(list(codecs.values()), member.request_keyframe, layers=2)
        at, now = 0, 1_000
        while at + 2 <= len(data):
            size = int.from_bytes(data[at : at + 2], "big") & 0x7FF
            packet, at, now = data[at + 2 : at + 2 + size], at + 2 + size, now + 7
            with contextlib.suppress(WireError):
                if len(packet) > 1 and 192 <= packet[1] <= 223:
                    member.feedback(parse_rtcp(packet), now)
                else:
                    member.packet(parse_rtp(packet), now, now * 1_000)
            if now % 3 == 0:
                member.flush(now)
                member.due(now)
        member.flush(now)
        taken += sum(track.counters.packets for track in stream.layers("video"))
    return taken


def description(data: bytes) -> None:
    """A session description."""
    try:
        found = sdp.parse(data.decode(errors="replace"))
    except sdp.SdpError:
        return
    for media in found.media:
        try:
            media.formats()
        except sdp.SdpError:
            continue


def gb28181(data: bytes) -> None:
    """A body of a MESSAGE: read, written again, read alike; a catalog also as a tree. And as PTZ, MANSRTSP and SDP."""
    for parse in (mansrtsp.parse, invite.parse, lambda body: ptz.decode(body.decode("latin-1"))):
        try:
            parse(data)
        except GbError:
            continue
    try:
        message = manscdp.parse(data)
    except GbError:
        return
    if isinstance(message, Unknown):
        manscdp.flatten(message.node)
        return
    again = manscdp.parse(manscdp.write(message, "utf-8"), "utf-8")
    assert type(again) is type(message)
    if isinstance(message, Catalog):
        collector = CatalogCollector(message.sn, 0)
        collector.page(message, 1)
        build_tree(message.device, collector.items)


def stun(data: bytes) -> None:
    """One datagram as a check: to a fresh agent, and to one that has checked paths and was restarted."""
    for agent in (IceLite(ICE, "remote", 0), IceLite(ICE, "remote", 0)):
        if len(data) % 2:
            agent.restart("other")
        for n in range(3):
            try:
                message = parse_stun(data)
                reply = agent.request(message, bytes((n,)), ("192.0.2.1", 4_000 + n), n)
            except StunError:
                continue
            parse_stun(reply)
            assert is_authentic(message, ICE.pwd.encode()), "answered without a proof"


def sip(data: bytes) -> int:
    """A datagram to a node, and the same bytes as a TCP stream at once and one by one; how much was answered."""
    stack = SipStack(
        StackConfig(),
        now=lambda: 0.0,
        local=lambda _: ("10.0.0.1", 5060),
        on_request=lambda transaction: transaction.respond(200),
    )
    stack.receive(data, Flow("udp", "192.0.2.1", 5060))
    try:
        message = parse_sip(data)
        assert parse_sip(message.encode()).body == message.body
    except SipError:
        pass
    whole, single = SipFramer(), SipFramer()
    found = whole.feed(data)
    assert found == [message for at in range(len(data)) for message in single.feed(data[at : at + 1])]
    assert (whole.pings, str(whole.broken)) == (single.pings, str(single.broken))
    for message_bytes in found:
        stack.receive(message_bytes, Flow("tcp", "192.0.2.1", 5060, 1))
    return len(stack.take())


def ps(data: bytes, size: int = 1_316, markers: bool = False) -> int:
    """Payloads under the name of PS, and the same bytes without RTP; how many pictures came of the payloads."""
    intake, bare, pictures = Intake(), PsDemuxer(), 0
    h264_framer, h265_framer = Framer(), H265Framer()
    for place, at in enumerate(range(0, len(data), size)):
        piece = data[at : at + size]
        if place % 37 == 36:
            intake.lost()
        bare.feed(piece, marker=not markers)
        units = intake.packet(piece, 96, place * 3_600, markers and place % 3 == 0)
        if at + size >= len(data):
            units += intake.end()
        for unit in units:
            framer = h265_framer if unit.codec == "h265" else h264_framer
            if unit.nals and framer.assembled(unit.nals) is not None:
                pictures += 1
    bare.end()
    assert len(bare._carry) <= 8_192
    return pictures


def framing(data: bytes, size: int = 1_460) -> int:
    """A TCP connection, framed in one of three ways; how many packets came out of it."""
    deframer, packets = Deframer(), 0
    for at in range(0, len(data), size):
        packets += len(deframer.feed(data[at : at + size]))
    return packets


TARGETS: Final[Mapping[str, Callable[[bytes], object]]] = {
    "rtsp": rtsp,
    "server": server,
    "h264": h264,
    "h265": h265,
    "aac": aac,
    "rtp": rtp,
    "publisher": publisher,
    "stun": stun,
    "sdp": description,
    "sip": sip,
    "gb28181": gb28181,
    "ps": ps,
    "framing": framing,
}
