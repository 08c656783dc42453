"""One still picture of a demo camera, for the story's feedback from the scene."""

import asyncio
from typing import Any, Final

import structlog

from hub.domain.ids import CameraId

log: Final = structlog.get_logger(__name__)
TIMEOUT_S: Final = 6.0
WIDTH: Final = 960


async def snapshot(rtsp_port: int, camera: CameraId) -> bytes | None:
    """A JPEG of what the camera shows now; None where it cannot be had, which is logged."""
    try:
        return await asyncio.to_thread(_grab, f"rtsp://127.0.0.1:{rtsp_port}/{camera}")
    except (OSError, ValueError) as error:
        log.warning("demo.no_picture", camera=camera, error=type(error).__name__)
        return None


def _grab(url: str) -> bytes | None:
    import av  # both take a while to load, and only the first start needs them
    import cv2

    with av.open(url, options={"rtsp_transport": "tcp"}, timeout=(TIMEOUT_S, TIMEOUT_S)) as container:
        for frame in container.decode(video=0):
            picture: Any = frame.to_ndarray(format="bgr24")
            height = round(picture.shape[0] * WIDTH / picture.shape[1])
            good, data = cv2.imencode(".jpg", cv2.resize(picture, (WIDTH, height)), [cv2.IMWRITE_JPEG_QUALITY, 82])
            return bytes(data) if good else None
    return None
