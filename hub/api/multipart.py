"""The one file of a request, plain or in a form: devices send either."""

from typing import Final

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from hub.domain.errors import Invalid

MAX_FIELDS: Final = 16
MAX_FILES: Final = 4


async def first_file(request: Request, most: int) -> bytes:
    """The bytes of the first file of a form, or of the whole body. Raises Invalid (``picture.unknown``, ``…large``)."""
    try:
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            data = bytearray()
            async for chunk in request.stream():
                data += chunk
                _check(len(data), most)
            return bytes(data)
        async with request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=most) as form:
            for value in form.values():
                if isinstance(value, UploadFile):
                    found = await value.read(most + 1)
                    _check(len(found), most)
                    return found
    except (HTTPException, ClientDisconnect):
        raise Invalid("picture.unknown", "the form cannot be read", field="picture") from None
    raise Invalid("picture.unknown", "there is no file in the form", field="picture")


def _check(size: int, most: int) -> None:
    if size > most:
        raise Invalid("picture.too_large", f"a picture has at most {most >> 20} MiB", field="picture")
