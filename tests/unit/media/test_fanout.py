"""The hot loop with the real libsrtp: every viewer can read its packets, and what fails is counted, never raised."""

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pylibsrtp
import pytest

from hub.media.peer import udp
from hub.media.peer.counters import Counters
from hub.media.peer.fanout import Fanout, Repair, Shape, Target
from hub.media.peer.places import reachable
from hub.media.rtp.extension import elements, layout
from hub.media.rtp.numbering import Numbering
from hub.media.rtp.packet import RtpPacket, parse_rtp, repaired
from hub.media.rtp.sendlog import SendLog
from hub.media.rtp.track import Track
from hub.media.rtp.unit import AccessUnit
from tests.unit.media.halves import both_halves, fanout_of

PROFILES = [
    (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44, 16),
    (pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30, 10),
]


def session(profile: int, size: int, kind: int) -> Any:
    policy = pylibsrtp.Policy(key=bytes(range(size)), ssrc_type=kind, srtp_profile=profile)
    policy.allow_repeat_tx = True
    policy.window_size = 1_024
    return pylibsrtp.Session(policy)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected ends on the loopback: datagrams must be seen as they leave."""
    with udp.bind("127.0.0.1", 0) as out, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as into:
        into.bind(("127.0.0.1", 0))
        into.settimeout(5)
        yield out, into


def path_of(sock: socket.socket) -> bytes:
    host, port = sock.getsockname()
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton(host))


def picture(size: int) -> AccessUnit:
    data = b"\0\0\1\x67\x42\xe0\x1f\0\0\1\x68\xce\0\0\1\x65" + b"\x55" * size
    return AccessUnit("video", "h264", data, 0, True, 0)


@both_halves
@pytest.mark.parametrize("gso", [True, False])
def test_every_viewer_reads_its_own_packets(pair: tuple[socket.socket, socket.socket], gso: bool, half: str) -> None:
    out, into = pair
    counters = Counters()
    fanout = fanout_of(half, out.fileno(), counters, gso=gso)
    packets = Track("h264").append_unit(picture(9_000))
    groups: dict[Shape, list[Target]] = {}
    readers, keep = [], []
    for n, (profile, size, tag) in enumerate(PROFILES * 2):
        keep.append(session(profile, size, pylibsrtp.Policy.SSRC_ANY_OUTBOUND))
        readers.append(session(profile, size, pylibsrtp.Policy.SSRC_ANY_INBOUND))
        target = Target(keep[-1]._srtp[0], tag, 96 + n, path_of(into), Numbering(100 * (n + 1)))
        target.numbering.begin(packets[0].n)
        groups.setdefault(target.shape, []).append(target)
    fanout.live(groups, packets)
    order = [0, 2, 1, 3]  # by tag
    for which in order:
        for n, packet in enumerate(packets):
            plain = readers[which].unprotect(into.recv(2_048))
            kind, seq, stamp = struct.unpack_from("!xBHI", plain)
            assert (kind & 0x7F, seq, stamp) == (96 + which, 100 * (which + 1) + n, packet.timestamp)
            assert plain[12:] == packet.data[12:]
    assert counters.packets_out == 4 * len(packets)
    assert counters.send_errors == counters.drops == counters.protect_failed == 0


@both_halves
def test_a_retransmission_is_the_identical_datagram(pair: tuple[socket.socket, socket.socket], half: str) -> None:
    out, into = pair
    fanout = fanout_of(half, out.fileno(), Counters())
    profile, size, tag = PROFILES[0]
    keys = session(profile, size, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    packets = Track("h264").append_unit(picture(10))
    target = Target(keys._srtp[0], tag, 96, path_of(into), Numbering(7))
    target.numbering.begin(packets[0].n)
    fanout.live({target.shape: [target]}, packets)
    first = into.recv(2_048)
    fanout.exact(target, [(packets[0], 7, target.numbering.segment)])
    assert into.recv(2_048) == first


@both_halves
def test_keys_that_refuse_cost_nobody_else_a_packet(pair: tuple[socket.socket, socket.socket], half: str) -> None:
    out, into = pair
    counters = Counters()
    profile, size, tag = PROFILES[0]
    keys = [session(profile, size, pylibsrtp.Policy.SSRC_ANY_OUTBOUND) for _ in range(2)]
    packets = Track("h264").append_unit(picture(10))
    targets = [
        Target(key._srtp[0], tag, 96, path_of(into), Numbering(first))
        for key, first in zip(keys, (5_000, 7), strict=True)
    ]
    fanout = fanout_of(half, out.fileno(), counters)
    for target in targets:
        target.numbering.begin(packets[0].n)
    fanout.exact(
        targets[0], [(packets[0], 9_000, targets[0].numbering.segment)]
    )  # now 5000 is behind its window, and libsrtp refuses it
    into.recv(2_048)
    fanout.live({targets[0].shape: targets}, packets)
    assert struct.unpack_from("!H", into.recv(2_048), 2)[0] == 7
    assert (counters.protect_failed, counters.drops) == (1, 1)


def _grow(session: Any, packet: Any, length: Any) -> int:
    length[0] += 16
    return 0


@both_halves
def test_a_send_that_fails_is_counted(half: str) -> None:
    counters = Counters()
    fanout = fanout_of(half, -1, counters, protect=_grow)
    target = Target(None, 16, 96, bytes(16), Numbering(1))
    packets = Track("h264").append_unit(picture(5_000))
    target.numbering.begin(packets[0].n)
    fanout.live({target.shape: [target]}, packets)
    assert counters.send_errors == len(packets)
    assert errno.EBADF not in udp.NO_GSO
    assert fanout.gso


def test_runs_are_equal_sizes_with_a_smaller_last() -> None:
    fanout = Fanout(-1, Counters())
    assert [(at, n) for _, at, n in fanout._runs([40, 100, 100, 60, 60, 100], 16)] == [(0, 1), (1, 3), (4, 1), (5, 1)]
    assert [(at, n) for _, at, n in fanout._runs([1_400] * 48, 16)] == [(0, 45), (45, 3)]
    fanout.gso = False
    assert [(at, n) for _, at, n in fanout._runs([100, 100], 16)] == [(0, 1), (1, 1)]


def test_a_wildcard_is_announced_as_an_address_that_can_be_reached() -> None:
    assert reachable(["192.0.2.9", "::1"]) == ("192.0.2.9", "::1")
    for wildcard in ("0.0.0.0", "::"):
        assert not {"0.0.0.0", "::"} & set(reachable([wildcard]))


@pytest.mark.parametrize(
    ("path", "address"),
    [
        (struct.pack("=H", socket.AF_INET) + b"\x0f\xa0\xc0\x00\x02\x07" + bytes(8), ("192.0.2.7", 4_000)),
        (struct.pack("=H", socket.AF_INET6) + b"\x0f\xa0" + bytes(4) + bytes(15) + b"\x01" + bytes(4), ("::1", 4_000)),
        (
            struct.pack("=H", socket.AF_INET6) + b"\x0f\xa0" + bytes(14) + b"\xff\xff\xc0\x00\x02\x07" + bytes(4),
            ("192.0.2.7", 4_000),
        ),
    ],
)
def test_raw_addresses_are_read(path: bytes, address: tuple[str, int]) -> None:
    assert udp.address_of(path) == address


@both_halves
def test_viewers_with_extensions_and_repairs_read_what_they_should(
    pair: tuple[socket.socket, socket.socket], half: str
) -> None:
    out, into = pair
    counters = Counters()
    fanout = fanout_of(half, out.fileno(), counters, clock_us=lambda: 1_500_000)
    track = Track("h264")
    packets = track.append_unit(picture(9_000))
    profile, size, tag = PROFILES[0]
    groups: dict[Shape, list[Target]] = {}
    targets, readers, keep = [], [], []
    for n, placed in enumerate((layout((1, "0"), transport=3), layout((1, "0"), transport=3), layout(None, time=2))):
        keep.append(session(profile, size, pylibsrtp.Policy.SSRC_ANY_OUTBOUND))
        readers.append(session(profile, size, pylibsrtp.Policy.SSRC_ANY_INBOUND))
        log = SendLog() if placed.transport_at else None
        target = Target(
            keep[-1]._srtp[0], tag, 96, path_of(into), Numbering(10 * n + 1),
            layout=placed, log=log, repair=Repair(97, track.rtx_ssrc, 7),
        )  # fmt: skip
        target.numbering.begin(packets[0].n)
        targets.append(target)
        groups.setdefault(target.shape, []).append(target)
    assert len(groups) == 2  # alike viewers share a template
    fanout.live(groups, packets)
    for which, (target, reader) in enumerate(zip(targets, readers, strict=True)):
        for n, packet in enumerate(packets):
            found = parse_rtp(reader.unprotect(into.recv(2_048)))
            assert (found.seq, found.payload, found.ssrc) == (10 * which + 1 + n, packet.data[12:], track.ssrc)
            said = elements(found.profile, found.extension)
            if which < 2:
                assert said == {1: b"0", 3: (1 + n).to_bytes(2, "big")}
            else:
                assert said == {2: (3 << 17).to_bytes(3, "big")}
        assert target.log is None or target.log.next == len(packets) + 1
    assert targets[0].repair is not None
    fanout.again(targets[0], targets[0].repair, [(packets[1], 2, targets[0].numbering.segment)])
    again = parse_rtp(readers[0].unprotect(into.recv(2_048)))
    assert (again.payload_type, again.seq, again.ssrc) == (97, 7, track.rtx_ssrc)
    assert repaired(again, 96, track.ssrc) == replace(
        parse_rtp(packets[1].data), payload_type=96, seq=2, marker=packets[1].marker
    )
    assert elements(again.profile, again.extension)[3] == (len(packets) + 1).to_bytes(2, "big")
    assert counters.send_errors == counters.drops == counters.protect_failed == 0


@both_halves
def test_a_target_with_a_number_of_its_own_is_told_apart_by_it(
    pair: tuple[socket.socket, socket.socket], half: str
) -> None:
    """Live, again under its own number, and as a retransmission; who shares the template keeps the track's."""
    out, into = pair
    profile, size, tag = PROFILES[0]
    fanout = fanout_of(half, out.fileno(), Counters())
    packets = Track("h264").append_unit(picture(10))
    keys = [session(profile, size, pylibsrtp.Policy.SSRC_ANY_OUTBOUND) for _ in range(2)]
    reader = session(profile, size, pylibsrtp.Policy.SSRC_ANY_INBOUND)
    targets = [
        Target(keys[0]._srtp[0], tag, 96, path_of(into), Numbering(7), ssrc=0xFEDC0102),
        Target(keys[1]._srtp[0], tag, 96, path_of(into), Numbering(9)),
    ]
    for target in targets:
        target.numbering.begin(packets[0].n)
    fanout.live({targets[0].shape: targets}, packets)
    first = into.recv(2_048)
    assert parse_rtp(reader.unprotect(first)).ssrc == 0xFEDC0102
    assert struct.unpack_from("!I", into.recv(2_048), 8) == struct.unpack_from("!I", packets[0].data, 8)
    fanout.exact(targets[0], [(packets[0], 7, targets[0].numbering.segment)])
    assert into.recv(2_048) == first
    fanout.again(targets[0], Repair(97, 0x01020304, 5), [(packets[0], 7, targets[0].numbering.segment)])
    assert parse_rtp(reader.unprotect(into.recv(2_048))).ssrc == 0x01020304


@both_halves
def test_the_largest_packet_of_a_publisher_leaves_with_every_extension(
    pair: tuple[socket.socket, socket.socket], half: str
) -> None:
    """Foreign publishers fill an MTU of their own: what a track takes must also go out."""
    out, into = pair
    profile, size, tag = PROFILES[0]
    counters = Counters()
    fanout = fanout_of(half, out.fileno(), counters)
    track = Track("vp8")
    payload = bytes((0x90, 0x80, 5, 0x10)) + bytes(1_396)
    packets = track.append_rtp([RtpPacket(True, 96, 7, 0, 1, payload)], 0)
    keys = session(profile, size, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    reader = session(profile, size, pylibsrtp.Policy.SSRC_ANY_INBOUND)
    target = Target(
        keys._srtp[0], tag, 96, path_of(into), Numbering(7),
        layout=layout((1, "sixteen-letters-"), level=4, time=2, transport=3), log=SendLog(),
    )  # fmt: skip
    target.numbering.begin(packets[0].n)
    fanout.live({target.shape: [target]}, packets)
    first = into.recv(2_048)
    assert len(first) > 1_456
    assert reader.unprotect(first)[-1_400:] == payload
    fanout.again(target, Repair(97, 0x01020304, 5), [(packets[0], 7, target.numbering.segment)])
    assert len(into.recv(2_048)) == len(first) + 2
    assert counters.protect_failed == counters.send_errors == 0
