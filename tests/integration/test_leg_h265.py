"""An H.265 camera behind a leg: transcoded once, where the camera is."""

import asyncio
from pathlib import Path

from hub.demo.rtsp_camera import CameraFile
from tests.integration.camera_kit import other_film
from tests.integration.legs_kit import flows, site


async def test_viewers_behind_a_leg_see_an_h265_camera_transcoded_where_it_is(tmp_path: Path) -> None:
    async with site(tmp_path) as rig:
        film = await asyncio.to_thread(other_film, tmp_path / "film.hevc", "libx265", 50)
        rig.cameras.cameras["dome"] = CameraFile("dome", film)
        await rig.put(0, url=rig.camera("dome"))
        await rig.leg(1, 0)
        async with rig.viewer(1) as one, rig.viewer(1, owner="u-2") as two:
            await flows(one, two)
            assert await rig.metric(1, "sharpeyes_relay_sessions") == 2
        assert rig.cameras.cameras["dome"].plays == 1
