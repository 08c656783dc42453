"""The annotated pictures that a worker keeps."""

import pytest

from hub import vision_parts
from hub.vision_parts import KEPT_FOR_MS, PictureStore


def test_a_picture_is_kept_for_ten_minutes_and_no_longer() -> None:
    now = [1_000_000]
    store = PictureStore(lambda: now[0])
    key = store.put(b"jpeg")
    now[0] += KEPT_FOR_MS
    assert store.get(key) == b"jpeg"
    now[0] += 1
    assert store.get(key) is None


def test_the_oldest_picture_goes_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision_parts, "KEPT_PICTURES", 3)
    store = PictureStore(lambda: 0)
    keys = [store.put(bytes([n])) for n in range(5)]
    assert [store.get(key) for key in keys] == [None, None, b"\x02", b"\x03", b"\x04"]


def test_a_picture_cannot_be_found_by_guessing_its_name() -> None:
    store = PictureStore(lambda: 0)
    keys = {store.put(b"x") for _ in range(100)}
    assert len(keys) == 100
    assert all(len(key) == 24 for key in keys)
