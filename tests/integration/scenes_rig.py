"""The demo's scenes, encoded once for all tests of a run."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from hub.demo.cameras_list import CAMERAS
from hub.demo.scenes import GOP, access_units, ensure_scenes

WANTED = ("cam-01", "cam-03", "cam-09")  # a crowd, an intruder, hardly anybody


@functools.cache
def encoded() -> dict[str, Path]:
    """Camera id -> file, of three cameras."""
    folder = Path(tempfile.mkdtemp(prefix="se-scenes-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return ensure_scenes(folder, [camera for camera in CAMERAS if camera.id in WANTED])


def keyframes(camera: str) -> list[bytes]:
    """The camera's key frames, 2 s apart, as a relay keeps them."""
    return access_units(encoded()[camera])[::GOP]
