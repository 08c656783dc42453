"""The demo town's cameras: real RTSP from looped films."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import structlog

from hub.demo.rtsp_camera import CameraFile
from hub.demo.rtsp_server import RtspServer
from hub.domain.errors import Unavailable


async def run_cameras(files: Mapping[str, Path], host: str, port: int) -> None:
    """Serve ``rtsp://host:port/<path>`` for each entry until cancelled.

    Raises Unavailable ``demo.port_taken`` when the port is not to be had.
    """
    server = RtspServer(CameraFile(path, file) for path, file in files.items())
    try:
        async with server.listening(host, port):
            structlog.get_logger(__name__).info("demo.cameras", count=len(files), host=host, port=server.port)
            await asyncio.Event().wait()
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unavailable("demo.port_taken", f"the demo cameras cannot listen on {host}:{port}: {reason}") from None
