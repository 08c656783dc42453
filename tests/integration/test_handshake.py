"""The DTLS handshake over a path that loses, repeats, delays and reorders: it ends with keys on both sides."""

import asyncio
import struct
from collections.abc import Callable, Coroutine, Iterator
from functools import cache
from itertools import combinations, permutations, product
from typing import Any

import pytest

from hub.media.peer.dtls import AGAIN, GIVEN_UP, Certificate, Dtls, DtlsFailed
from tests.bench.light_client import LightViewer
from tests.integration.media_kit import feeding
from tests.integration.test_whep import h264, serving

PATIENCE = 30.0
LONG = 1.5  # seconds: longer than the first retransmission takes
Prints = tuple[tuple[str, str], ...]
Rule = Callable[[str, int], str]
"""What becomes of the n-th datagram of the client ("c") or the server ("s"): "" passes."""


@cache
def certificates() -> tuple[Certificate, Certificate]:
    return Certificate.generateCertificate(), Certificate.generateCertificate()


def prints(of: Certificate) -> Prints:
    return tuple((f.algorithm, f.value) for f in of.getFingerprints() if f.algorithm == "sha-256")


def records(datagram: bytes) -> Iterator[bytes]:
    """Each record of a flight in a datagram of its own, as other stacks send them (RFC 6347 §4.1.1)."""
    at = 0
    while at < len(datagram):
        (size,) = struct.unpack_from("!H", datagram, at + 11)
        yield datagram[at : at + 13 + size]
        at += 13 + size


class Pair:
    """Relay and client with a path between them that follows a rule."""

    def __init__(self, rule: Rule, *, apart: bool = False) -> None:
        ours, theirs = certificates()
        self._rule, self._apart = rule, apart
        self._held: dict[str, list[bytes]] = {"c": [], "s": []}
        self.sent = {"c": 0, "s": 0}
        self.server = Dtls(ours, lambda data: self._leaves("s", data))
        self.client = Dtls(theirs, lambda data: self._leaves("c", data), active=True)

    def _leaves(self, who: str, flight: bytes) -> None:
        to = self.client if who == "s" else self.server
        for data in records(flight) if self._apart else (flight,):
            match self._rule(who, self._count(who)):
                case "lost":
                    continue
                case "late":
                    asyncio.get_running_loop().call_later(LONG, to.feed, data)
                case "twice":
                    to.feed(data)
                    to.feed(data)
                case "again late":
                    to.feed(data)
                    asyncio.get_running_loop().call_later(LONG, to.feed, data)
                case "held":
                    self._held[who].append(data)
                case "then the held":
                    for one in (data, *self._held[who]):
                        to.feed(one)
                    self._held[who].clear()
                case _:
                    to.feed(data)

    def _count(self, who: str) -> int:
        self.sent[who] += 1
        return self.sent[who] - 1

    async def shake(self) -> bool:
        """Whether both have keys, and they are each other's."""
        ours, theirs = certificates()
        try:
            await asyncio.gather(self.server.shake(prints(theirs), PATIENCE), self.client.shake(prints(ours), PATIENCE))
            said = self.server.protect_rtcp(struct.pack("!BBHI", 0x80, 201, 1, 7))
            session: Any = self.client._receiver
            return bytes(session.unprotect_rtcp(said))[4:] == struct.pack("!I", 7)
        except DtlsFailed:
            return False
        finally:
            await asyncio.gather(self.client.stop(), self.server.stop())


async def all_end_with_keys(cases: dict[str, Coroutine[Any, Any, bool]]) -> None:
    """All at once, since each waits for timers of OpenSSL."""
    found = dict(zip(cases, await asyncio.gather(*cases.values()), strict=True))
    assert [name for name, done in found.items() if not done] == []


def only(what: str, *which: tuple[str, int]) -> Rule:
    return lambda who, n: what if (who, n) in which else ""


def swapped(who: str, first: int, second: int) -> Rule:
    fate = {(who, first): "held", (who, second): "then the held"}
    return lambda who, n: fate.get((who, n), "")


async def test_a_handshake_takes_two_datagrams_of_each_side() -> None:
    """What the others lose is counted by this."""
    pair = Pair(lambda who, n: "")
    assert await pair.shake()
    assert pair.sent == {"c": 3, "s": 3}  # and a close_notify


@pytest.mark.parametrize("what", ["lost", "late", "twice", "again late"])
async def test_whatever_happens_to_any_one_datagram_there_are_keys(what: str) -> None:
    """RFC 6347 §4.2.4."""
    await all_end_with_keys({f"{who}{n}": Pair(only(what, (who, n))).shake() for who, n in product("cs", range(2))})


async def test_any_two_datagrams_may_be_lost() -> None:
    which = list(product("cs", range(3)))
    await all_end_with_keys({f"{both}": Pair(only("lost", *both)).shake() for both in combinations(which, 2)})


async def test_any_record_that_travels_alone_may_be_lost() -> None:
    which = list(product("cs", range(7)))
    await all_end_with_keys({f"{one}": Pair(only("lost", one), apart=True).shake() for one in which})


async def test_records_may_overtake_each_other() -> None:
    which = [(who, *pair) for who in "cs" for pair in permutations(range(1, 7), 2) if pair[0] < pair[1]]
    await all_end_with_keys({f"{one}": Pair(swapped(*one), apart=True).shake() for one in which})


async def test_a_way_there_and_back_may_take_longer_than_the_first_timer() -> None:
    await all_end_with_keys({"late": Pair(lambda who, n: "late").shake()})


def noting(said: list[bytes], event: asyncio.Event) -> Callable[[bytes], None]:
    """A path that leads nowhere."""

    def send(data: bytes) -> None:
        said.append(data)
        event.set()

    return send


async def test_a_hello_that_comes_again_is_answered_again_at_once() -> None:
    """RFC 6347 §4.2.4: browsers send it again after 50 ms, where the server's own timer takes a second."""
    ours, theirs = certificates()
    said: list[bytes] = []
    hellos: list[bytes] = []
    asked, there = asyncio.Event(), asyncio.Event()
    server = Dtls(ours, noting(said, there))
    client = Dtls(theirs, noting(hellos, asked), active=True)
    calling = asyncio.create_task(client.shake(prints(ours), PATIENCE))
    await asked.wait()
    shaking = asyncio.create_task(server.shake(prints(theirs), PATIENCE))
    server.feed(hellos[0])
    await there.wait()
    assert len(said) == 1
    other = hellos[0][:20] + b"\xff" + hellos[0][21:]
    server.feed(other)  # somebody else's, or a false one: our answer is not meant for it
    assert len(said) == 1
    for _ in range(AGAIN + 3):  # and not for ever
        server.feed(hellos[0])
    assert said == [said[0]] * (1 + AGAIN)
    for flight in said:
        client.feed(flight)
    async with asyncio.timeout(PATIENCE):
        while len(hellos) < 2:  # noqa: ASYNC110 - the flight of keys comes by itself
            await asyncio.sleep(0.01)
        server.feed(hellos[-1])
        await shaking
        client.feed(said[-1])
        await calling
    await asyncio.gather(client.stop(), server.stop())


# a handshake that comes to nothing ----------------------------------------------------------------------


def quietly(to: Dtls) -> Callable[[bytes], None]:
    """A path that loses nothing."""

    def send(data: bytes) -> None:
        to.feed(data)

    return send


async def begun() -> tuple[Dtls, "asyncio.Task[None]", list[bytes], "asyncio.Task[None]", Dtls]:
    """A relay's side that has sent its first flight to a client that does not get it."""
    ours, theirs = certificates()
    said: list[bytes] = []
    there = asyncio.Event()
    server = Dtls(ours, noting(said, there))
    client = Dtls(theirs, quietly(server), active=True)
    shaking = asyncio.create_task(server.shake(prints(theirs), PATIENCE))
    calling = asyncio.create_task(client.shake(prints(ours), PATIENCE))
    await there.wait()
    return server, shaking, said, calling, client


async def test_who_waits_for_a_handshake_that_was_given_up_is_told() -> None:
    """Else a client whose datagrams came too late would send its flight again for ever."""
    server, shaking, said, calling, client = await begun()
    shaking.cancel()
    await asyncio.wait((shaking,))
    await server.stop()
    assert said[-1] == GIVEN_UP
    client.feed(said[-1])
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(DtlsFailed, match="failed"):
            await calling
    await client.stop()


async def test_a_handshake_ends_when_it_is_told_to_though_a_datagram_comes_at_that_moment() -> None:
    """Python 3.11's ``wait_for`` forgets its cancellation then."""
    server, shaking, _, calling, client = await begun()
    server.feed(b"\x16\xfe\xfd" + bytes(10))
    shaking.cancel()
    await asyncio.wait((shaking,), timeout=PATIENCE / 10)
    assert shaking.cancelled()
    await server.stop()
    calling.cancel()
    await asyncio.wait((calling,))
    await client.stop()


async def test_a_client_whose_certificate_is_not_that_of_the_offer_is_told() -> None:
    ours, theirs = certificates()
    client: Dtls
    server = Dtls(ours, lambda data: quietly(client)(data))
    client = Dtls(theirs, quietly(server), active=True)
    ended = asyncio.Event()
    found = await asyncio.gather(
        server.shake(prints(ours), PATIENCE), client.shake(prints(ours), PATIENCE), return_exceptions=True
    )
    assert isinstance(found[0], DtlsFailed)
    assert found[1] is None
    client.on_closed(ended.set)
    await server.stop()
    async with asyncio.timeout(PATIENCE):
        await ended.wait()
    await client.stop()


# with a relay's socket ----------------------------------------------------------------------------------


class Lossy(LightViewer):
    """Its path loses the n-th datagram of the handshake in one direction, or all behind that."""

    def __init__(self, way: str, which: int, *, all_more: bool = False) -> None:
        super().__init__()
        self._loses = way, which
        self._all_more = all_more
        self._passed = {"out": 0, "in": 0}

    def _is_lost(self, way: str, first: int) -> bool:
        if not 20 <= first <= 63:
            return False
        n = self._passed[way]
        self._passed[way] += 1
        loses, which = self._loses
        return loses == way and (n == which or (self._all_more and n > which))

    def _send(self, data: bytes) -> None:
        if not self._is_lost("out", data[0]):
            super()._send(data)

    def _sort(self, size: int) -> None:
        if not self._is_lost("in", self._buffer[0]):
            super()._sort(size)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("way", ["out", "in"])
async def test_a_viewer_sees_pictures_whichever_datagram_of_its_handshake_is_lost(way: str, which: int) -> None:
    """The relay's last flight as well, behind which its media already comes."""
    viewer = Lossy(way, which)
    async with asyncio.timeout(PATIENCE), serving() as server:
        stream = h264()

        async def post(sdp: str) -> str:
            return (await server.whep(stream, sdp, owner="u")).sdp

        async with feeding(stream):
            await viewer.join(post)
            await viewer.seen.wait()
            await viewer.close()
        assert server.counters["dtls_failed"] == server.counters["internal_errors"] == 0


async def test_a_viewer_whose_handshake_the_relay_gives_up_hears_of_it() -> None:
    viewer = Lossy("out", 1, all_more=True)
    async with asyncio.timeout(PATIENCE), serving(handshake_s=0.5) as server:
        stream = h264()

        async def post(sdp: str) -> str:
            return (await server.whep(stream, sdp, owner="u")).sdp

        with pytest.raises(RuntimeError, match="DTLS failed"):
            await viewer.join(post)
        await viewer.close()
        assert server.counters["dtls_failed"] == 1
