"""A thin line between two relays: the smaller picture for all behind it, and the larger one again; losses mended."""

from hub.domain.clock import system_clock
from hub.media.peer.subscriber import Wish
from hub.media.stream import Stream
from tests.integration.layered import Layered
from tests.integration.live_rig import until
from tests.integration.narrow_path import narrow_path
from tests.integration.subscriber_kit import subscribing
from tests.integration.test_leg_layers import MAIN, SIDES, SUB, leg, viewer_of
from tests.integration.test_substream import Camera, feeding
from tests.integration.test_whep import serving

NARROW = 500_000
PATIENCE = 60.0


@SIDES
async def test_a_camera_behind_a_thin_line_is_seen_by_its_sub_stream_and_by_its_main_stream_again(side: str) -> None:
    camera, copy = Camera(), Stream("cam-1", clock=system_clock)
    async with (
        feeding(camera) as feed,
        serving() as a,
        serving() as b,
        narrow_path((a if side == "pulled" else b).port, upwards=side == "pushed") as path,
        leg(a, feed.stream, b, copy, asks=False, side=side, path=path),
        subscribing(b, Wish(copy, width=1_280)),
    ):
        await until(lambda: len(viewer_of(b).seats) == 1)
        (seat,) = viewer_of(b).seats.values()
        await until(lambda: seat.sender.packets > 100)
        assert (camera.open, seat.sender.layer) == ([MAIN], 0)
        path.rate = NARROW
        await until(lambda: seat.sender.layer == 1, seconds=PATIENCE)
        assert sorted(camera.open) == [MAIN, SUB]
        assert copy.layers("video")[0].resting  # the other relay has said so
        before = seat.sender.packets
        await until(lambda: seat.sender.packets > before + 50)
        path.rate = None
        await until(lambda: seat.sender.layer == 0, seconds=PATIENCE)
        await until(lambda: camera.open == [MAIN], seconds=PATIENCE)  # nobody behind the line has a use for it
        assert a.counters["protect_failed"] == a.counters["internal_errors"] == b.counters["internal_errors"] == 0


async def test_of_a_member_behind_a_thin_line_only_the_small_layer_comes_until_the_line_is_wide_again() -> None:
    source, copy = Stream("mem-1", clock=system_clock), Stream("mem-1", clock=system_clock)
    publisher = Layered(source)
    async with (
        serving() as a,
        serving() as b,
        narrow_path(a.port) as path,
        publisher.playing(),
        leg(a, source, b, copy, asks=True, side="pulled", path=path),
        subscribing(b, Wish(copy, width=1_280)),
    ):
        await until(lambda: len(viewer_of(b).seats) == 1)
        (seat,) = viewer_of(b).seats.values()
        await until(lambda: seat.sender.layer == 1)
        path.rate = NARROW
        await until(lambda: seat.sender.layer == 0, seconds=PATIENCE)
        assert copy.layers("video")[1].resting  # the other relay has said so
        before = seat.sender.packets
        await until(lambda: seat.sender.packets > before + 50)
        path.rate = None
        await until(lambda: seat.sender.layer == 1, seconds=PATIENCE)


async def test_losses_of_a_leg_of_layers_are_mended_on_the_leg() -> None:
    source, copy = Stream("mem-1", clock=system_clock), Stream("mem-1", clock=system_clock)
    publisher = Layered(source)
    async with (
        serving() as a,
        serving() as b,
        narrow_path(a.port) as path,
        publisher.playing(),
        leg(a, source, b, copy, asks=True, side="pulled", path=path),
    ):
        path.loss = 0.05
        await until(lambda: copy.counters.units > 2_000, seconds=PATIENCE)
        seats = a.sessions[0].seats.values()
        assert all(seat.sender.repair is not None for seat in seats)  # by RTX
        assert path.lost > 50
        assert a.counters["retransmitted"] >= path.lost * 0.8
        tracks = copy.layers("video")
        assert sum(track.head + 1 - track.counters.packets for track in tracks) < 20  # the youngest are on their way
        assert not any(seat.paused for seat in seats)  # loss that is mended leaves the picture as it is
