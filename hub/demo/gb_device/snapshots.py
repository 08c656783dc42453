"""SnapShotConfig of 2022: pictures taken of the film and sent to the platform by HTTP."""

import asyncio
from collections.abc import Callable
from fractions import Fraction
from typing import Final

import httpx

from hub.demo.gb_device.camera import Channel
from hub.demo.gb_device.film import Film
from signaling.gb28181.items import SnapShot

TIMEOUT_S: Final = 10.0


def jpeg(film: Film, view: int) -> bytes:
    """The view's first key frame as JPEG."""
    import av  # only who takes pictures needs a codec
    from av.video.codeccontext import VideoCodecContext

    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    frames = [*decoder.decode(av.Packet(film.views[view][0].data)), *decoder.decode(None)]
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, VideoCodecContext)
    frame = frames[0].reformat(format="yuvj420p")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))


async def upload(
    film: Film, channel: Channel, wanted: SnapShot, now: Callable[[], float], wall: int
) -> tuple[str, ...]:
    """Names of the pictures that were taken by the platform; those that it refused are not among them."""
    sent: list[str] = []
    async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
        for number in range(wanted.count):
            if number:
                await asyncio.sleep(wanted.interval_s)
            picture = await asyncio.to_thread(jpeg, film, film.view_of(channel.head.at(now())))
            name = f"{channel.id}02{wall + number}{number:05d}.jpg"
            channel.snapshots += 1
            try:
                answer = await client.post(
                    wanted.upload_url,
                    data={"SessionID": wanted.session},
                    files={"file": (name, picture, "image/jpeg")},
                )
            except httpx.HTTPError:
                continue
            if answer.is_success:
                sent.append(name)
    return tuple(sent)
