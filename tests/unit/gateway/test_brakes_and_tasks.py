"""What one sender may cause, and that what fails fails alone."""

import asyncio

import pytest

from hub.gateway.brakes import Brake
from hub.gateway.tasks import Errands, forever
from hub.gateway.traces import Traces
from signaling.sip.layer import Flow


def test_a_brake_lets_its_burst_through_and_then_its_rate() -> None:
    brake = Brake(rate=2, burst=3)
    assert [brake.lets("a", 0) for _ in range(5)] == [True, True, True, False, False]
    assert brake.lets("b", 0)  # another's is its own
    assert [brake.lets("a", 1_000) for _ in range(3)] == [True, True, False]


def test_what_costs_more_than_is_left_takes_nothing() -> None:
    brake = Brake(rate=1, burst=10)
    assert brake.lets("a", 0, 8)
    assert not brake.lets("a", 0, 5)
    assert brake.lets("a", 0, 2)


def test_keys_that_somebody_makes_up_do_not_add_up() -> None:
    brake = Brake(rate=1, burst=1, keys=100)
    for number in range(1_000):
        brake.lets(number, 0)
    assert len(brake) == 100


async def test_a_loop_that_fails_begins_anew_and_its_neighbours_go_on() -> None:
    begun = 0
    again = asyncio.Event()

    async def fails() -> None:
        nonlocal begun
        begun += 1
        if begun == 3:
            again.set()
        raise RuntimeError("one message too strange")

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(forever("fails", fails, again_s=0))
        await again.wait()
        task.cancel()


async def test_an_errand_that_fails_ends_nothing_and_runs_once_at_a_time() -> None:
    release = asyncio.Event()

    async def fails() -> None:
        await release.wait()
        raise RuntimeError

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        errands = Errands(group, limit=2)
        assert errands.start("a", fails)
        assert not errands.start("a", fails)
        assert errands.start("b", fails)
        assert not errands.start("c", fails)
        assert (errands.refused, len(errands)) == (1, 2)
        release.set()
    assert len(errands) == 0


def message(name: str) -> bytes:
    return f"MESSAGE sip:x SIP/2.0\r\nFrom: <sip:{name}@d>;tag=1\r\n\r\n".encode()


def test_names_that_nobody_knows_are_not_traced() -> None:
    traces = Traces(lambda: 0, lambda device: device == "34020000001180000001")
    for number in range(1_000):
        traces.note("in", Flow("udp", "10.0.0.1", number + 1), message(f"3402000000118{number:07d}"))
    assert traces.bytes < 10_000
    assert len(traces.of("34020000001180000001")) == 1


@pytest.mark.parametrize("count", [10, 400])
def test_bytes_of_traces_are_counted_as_they_come_and_go(count: int) -> None:
    traces = Traces(lambda: 0)
    for _ in range(count):
        traces.note("in", Flow("udp", "10.0.0.1", 5060), message("34020000001180000001"))
    one = traces.bytes / len(traces.of("34020000001180000001"))
    assert len(traces.of("34020000001180000001")) == min(count, 200)
    assert one > len(message("34020000001180000001"))


def test_a_from_alone_makes_nobody_the_owner_of_an_address() -> None:
    traces = Traces(lambda: 0)
    flow = Flow("udp", "10.0.0.66", 5060)
    traces.note("in", flow, message("34020000001180000001"))
    assert traces.owner(flow) is None
    traces.claim(flow, "34020000001180000001")
    assert traces.owner(flow) == "34020000001180000001"
