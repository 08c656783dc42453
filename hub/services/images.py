"""Pictures that people send: looked at by header first, then really decoded, off the event loop."""

import asyncio

from hub.domain.errors import Invalid
from hub.domain.picture import PictureInfo, inspect


async def checked_picture(data: bytes) -> PictureInfo:
    """Kind and size of a picture that decodes. Raises Invalid (``picture.unknown``, ``picture.too_large``)."""
    info = inspect(data)
    if not await asyncio.to_thread(_decodes, data):
        raise Invalid("picture.unknown", "this picture is damaged", field="picture")
    return info


def _decodes(data: bytes) -> bool:
    import cv2  # half a second to load: only when somebody sends a picture
    import numpy as np

    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
    except cv2.error:
        return False
    return picture is not None and picture.size > 0
