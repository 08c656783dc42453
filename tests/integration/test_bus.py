"""The bus against the real embedded Redis, its death included."""

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.exceptions import NoPermissionError, ResponseError

from hub.bus import leases, redis_server, registry, streams
from hub.bus.connection import BUS_ERRORS
from hub.bus.relay_wire import NODES_KEY, NodeInfo
from hub.domain.errors import Unavailable
from hub.settings import Settings
from tests.integration.redis_rig import RedisRig, running_redis


@pytest.fixture
async def rig() -> AsyncIterator[RedisRig]:
    async with running_redis() as rig:
        yield rig


def node(name: str, role: registry.Role = "relay", load: float = 0.0) -> NodeInfo:
    return NodeInfo(id=name, role=role, url=f"http://127.0.0.1:1/{name}", since=1, seen_at=2, load=load)


async def test_folder_and_configuration_are_private_and_there_is_no_tcp_port(rig: RedisRig) -> None:
    conf = redis_server.configuration(rig.settings)
    assert stat.S_IMODE(conf.stat().st_mode) == 0o600
    assert stat.S_IMODE(conf.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(rig.settings.redis_socket.stat().st_mode) == 0o600
    async with rig.client() as redis:
        assert (await redis.config_get("port"))["port"] == "0"
        assert (await redis.config_get("save"))["save"] == ""


async def test_scripts_are_refused(rig: RedisRig) -> None:
    async with rig.client() as redis:
        with pytest.raises((NoPermissionError, ResponseError), match=r"(?i)permission"):
            await redis.eval("return 1", 0)


async def test_a_folder_with_spaces_quotes_and_chinese_works(tmp_path: Path) -> None:
    rig = RedisRig(Path("/tmp") / f'数 "据"{tmp_path.name[-12:]}')
    try:
        await rig.start()
        async with rig.client() as redis:
            assert await redis.ping()
    finally:
        await rig.kill()
        for path in sorted(rig.settings.data.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        rig.settings.data.rmdir()


async def test_a_data_folder_too_deep_for_a_socket_gets_a_private_one_elsewhere(tmp_path: Path) -> None:
    rig = RedisRig(tmp_path / ("d" * 110))
    socket = rig.settings.redis_socket
    try:
        await rig.start()
        assert len(str(socket)) <= redis_server.MAX_SOCKET_PATH
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    finally:
        await rig.kill()
        socket.unlink(missing_ok=True)
        socket.parent.rmdir()


def test_a_file_where_the_folder_should_be_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "redis").write_text("in the way")
    with pytest.raises(Unavailable) as refused:
        redis_server.prepare(Settings(data=tmp_path))
    assert refused.value.id == "redis.folder"
    assert "\n" not in refused.value.message


async def test_nodes_are_listed_by_role_and_rubbish_is_left_out(rig: RedisRig) -> None:
    async with rig.client() as redis:
        await registry.announce(redis, node("r2"))
        await registry.announce(redis, node("r1", load=0.5))
        await registry.announce(redis, node("v1", "vision"))
        await redis.set(NODES_KEY.format(id="bad"), "{")
        assert [found.id for found in await registry.nodes(redis, "relay")] == ["r1", "r2"]
        assert len(await registry.nodes(redis)) == 3
        assert 0 < await redis.pttl(NODES_KEY.format(id="r1")) <= registry.TTL_MS


async def test_an_orderly_stop_withdraws_the_node_at_once(rig: RedisRig) -> None:
    async with rig.client() as redis:
        beat = asyncio.create_task(registry.heartbeat(redis, lambda: node("r1")))
        async with asyncio.timeout(60):
            while not await registry.nodes(redis):  # noqa: ASYNC110 - another process would be waited for alike
                await asyncio.sleep(0.01)
        beat.cancel()
        await asyncio.gather(beat, return_exceptions=True)
        assert await registry.nodes(redis) == []


async def test_a_lease_has_one_holder_until_it_gives_it_back(rig: RedisRig) -> None:
    async with rig.client() as redis:
        assert await leases.acquire(redis, "job", "a", ttl_ms=5_000) == "a"
        assert await leases.acquire(redis, "job", "b", ttl_ms=5_000) == "a"
        assert not await leases.renew(redis, "job", "b", ttl_ms=5_000)
        assert not await leases.release(redis, "job", "b")
        assert await leases.renew(redis, "job", "a", ttl_ms=60_000)
        assert await redis.pttl("lease:job") > 5_000
        assert await leases.release(redis, "job", "a")
        assert await leases.acquire(redis, "job", "b", ttl_ms=5_000) == "b"


async def test_of_many_who_want_a_lease_at_once_all_see_the_same_holder(rig: RedisRig) -> None:
    async with rig.client() as redis:
        seen = await asyncio.gather(*(leases.acquire(redis, "job", f"h{n}", ttl_ms=5_000) for n in range(20)))
        assert len(set(seen)) == 1


async def test_only_one_of_many_takes_over_from_the_dead(rig: RedisRig) -> None:
    async with rig.client() as redis:
        await leases.acquire(redis, "job", "dead", ttl_ms=60_000)
        moved = await asyncio.gather(
            *(leases.take_over(redis, "job", "dead", f"h{n}", ttl_ms=5_000) for n in range(10))
        )
        assert sum(moved) == 1
        assert await leases.holder_of(redis, "job") == f"h{moved.index(True)}"


async def test_work_that_a_dead_consumer_left_goes_to_another(rig: RedisRig) -> None:
    async with rig.client() as redis:
        await streams.publish(redis, "work", "one", maxlen=16)
        async with asyncio.timeout(60):
            async for entry in streams.GroupReader(redis, "work", "g", "dies").entries():
                assert entry.text == "one"
                break  # never acknowledged
            heir = streams.GroupReader(redis, "work", "g", "heir", idle_ms=1)
            async for entry in heir.entries():
                assert entry.text == "one"
                await heir.ack(entry)
                break
        assert (await redis.xpending("work", "g"))["pending"] == 0


async def test_an_entry_that_nobody_gets_done_is_put_aside_and_counted(rig: RedisRig) -> None:
    async with rig.client() as redis:
        await streams.publish(redis, "work", "poison", maxlen=16)
        reader = streams.GroupReader(redis, "work", "g", "c", idle_ms=0)
        seen = 0
        async with asyncio.timeout(60):
            async for entry in reader.entries():
                seen += entry.text == "poison"
                if seen == streams.MOST_DELIVERIES:
                    await streams.publish(redis, "work", "next", maxlen=16)
                if entry.text == "next":
                    await reader.ack(entry)
                    break
        assert seen == streams.MOST_DELIVERIES
        assert reader.put_aside == 1
        assert await redis.xlen("work:aside") == 1


async def test_a_stream_is_bounded(rig: RedisRig) -> None:
    async with rig.client() as redis:
        for n in range(1_000):
            await streams.publish(redis, "work", str(n), maxlen=100)
        assert await redis.xlen("work") < 300  # trimmed by whole nodes of the radix tree


async def test_a_reader_outlives_redis_and_reads_on_when_it_is_back(
    rig: RedisRig, capsys: pytest.CaptureFixture[str]
) -> None:
    redis = rig.client()
    got: asyncio.Queue[str] = asyncio.Queue()

    async def read() -> None:
        reader = streams.GroupReader(redis, "work", "g", "c")
        async for entry in reader.entries():
            got.put_nowait(entry.text)
            await reader.ack(entry)

    reading = asyncio.create_task(read())
    async with asyncio.timeout(30):
        await streams.publish(redis, "work", "before", maxlen=16)
        assert await got.get() == "before"
        await rig.kill()
        with pytest.raises(BUS_ERRORS):
            await redis.ping()
        await rig.start()  # empty: stream and group are gone
        await streams.publish(redis, "work", "after", maxlen=16)
        assert await got.get() == "after"
        await redis.flushall()  # the group vanishes under a reader that waits
        await streams.publish(redis, "work", "later", maxlen=16)
        assert await got.get() == "later"
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await redis.aclose()
    assert capsys.readouterr().out.count("bus.lost") == 1
