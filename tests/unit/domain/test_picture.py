"""Pictures by their own bytes: kind and size from the header, whatever else the file says."""

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.errors import Invalid
from hub.domain.picture import MAX_BYTES, inspect

GREY = np.full((33, 47, 3), 128, np.uint8)


def encoded(kind: str) -> bytes:
    ok, data = cv2.imencode(f".{kind}", GREY)
    assert ok
    return bytes(data)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_kind_and_size_are_read_from_the_header(kind: str) -> None:
    info = inspect(encoded(kind))
    assert (info.media_type, info.width, info.height) == (f"image/{kind}", 47, 33)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\x2e\0\0" + b"\x20\0\0", (47, 33)),
        (b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", 46 | 32 << 14), (47, 33)),
    ],
)
def test_all_kinds_of_webp_are_known(data: bytes, size: tuple[int, int]) -> None:
    info = inspect(data)
    assert (info.width, info.height) == size


@pytest.mark.parametrize(
    "data", [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a\1\0\1\0", b"BM" + b"\0" * 60]
)
def test_other_files_are_no_pictures(data: bytes) -> None:
    with pytest.raises(Invalid) as raised:
        inspect(data)
    assert raised.value.id == "picture.unknown"


def test_a_picture_of_too_many_pixels_or_bytes_is_refused_before_it_is_decoded() -> None:
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack("!II", 60_000, 60_000) + b"\x08\x02\0\0\0"
    for data in (bomb, b"\xff\xd8\xff" + b"\0" * MAX_BYTES):
        with pytest.raises(Invalid) as raised:
            inspect(data)
        assert raised.value.id == "picture.too_large"


def outcome(data: bytes) -> str:
    """What becomes of these bytes: a media type, or the id of the refusal."""
    try:
        info = inspect(data)
    except Invalid as error:
        return error.id
    return info.media_type if info.width > 0 and info.height > 0 else "nothing"


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_file_cut_anywhere_is_refused_until_its_header_is_whole(kind: str) -> None:
    data = encoded(kind)
    outcomes = [outcome(data[:cut]) for cut in range(len(data))]
    whole = outcomes.index(f"image/{kind}")
    assert set(outcomes[:whole]) == {"picture.unknown"}
    assert set(outcomes[whole:]) == {f"image/{kind}"}


@given(st.binary(max_size=64), st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF1234WEBPVP8 ", b""]))
def test_any_bytes_are_either_a_picture_or_refused_by_name(data: bytes, magic: bytes) -> None:
    known = {"image/jpeg", "image/png", "image/webp", "picture.unknown", "picture.too_large"}
    assert outcome(magic + data) in known
