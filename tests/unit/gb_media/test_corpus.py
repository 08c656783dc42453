"""Program streams as files: whole, cut short, cut in two, changed; and whatever bytes somebody can think of."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.gb28181.ps import PsDemuxer
from tests.soak.fuzz import mutate, seeds
from tests.soak.targets import CORPUS, TARGETS, framing, ps

FILES = sorted((CORPUS / "ps").glob("*.bin"))
PIECES = [
    b"\0\0\1\xba", b"\0\0\1\xbb", b"\0\0\1\xbc", b"\0\0\1\xe0", b"\0\0\1\xc0", b"\0\0\1\xbd",
    b"\0\0\1\x65\x88", b"\0\0", b"\xff" * 9, b"\x47", b"\0\x20\x80\x80\x05\x21\0\1\0\1", b"\0\0\x80\0\0",
    b"\x44\0\4\0\4\1\0\0\3\xf8",
]  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("size", [400, 1_316, 100_000])
def test_every_picture_of_every_file_comes_out(path: Path, size: int) -> None:
    data = path.read_bytes()
    if "mpegts" in str(path) and size != 1_316:
        size = 3 * 188
    assert ps(data, size) == 6


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_cut_short_gives_the_pictures_up_to_there(path: Path) -> None:
    data = path.read_bytes()
    counts = [ps(data[:cut]) for cut in range(0, len(data) + 1, 997)]
    assert counts == sorted(counts)


@pytest.mark.parametrize(("name", "count"), [("rfc4571", 20), ("dollar", 20), ("middle", 19)])
@pytest.mark.parametrize("size", [1, 60, 1_460])
def test_connections_of_every_kind_give_their_packets(name: str, count: int, size: int) -> None:
    assert framing((CORPUS / "framing" / f"{name}.bin").read_bytes(), size) == count


@pytest.mark.parametrize("name", ["ps", "framing"])
def test_changed_files_crash_nothing(name: str) -> None:
    assert mutate(TARGETS[name], seeds(name), 1.0, seed=28_181) > 10


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=40), max_size=60), st.integers(1, 200), st.booleans())
def test_whatever_comes_nothing_raises_and_nothing_grows(parts: list[bytes], size: int, markers: bool) -> None:
    data = b"".join(parts)
    ps(data, size, markers)
    framing(data, size)


def test_hostile_streams_cost_time_in_proportion() -> None:
    """Tiny PES packets with a new time each, or with none, and never a picture: no work is done twice."""
    head = b"\0\0\1\xba\x44\0\4\0\4\1\0\0\3\xf8" + b"\0\0\1\xbc\0\x0e\xe1\xff\0\0\0\x04\x1b\xe0\0\0crcc"
    for pattern in (
        lambda n: b"\0\0\1\xe0\0\x09\x80\x80\x05\x21" + n.to_bytes(3, "big") + b"\1A",
        lambda n: b"\0\0\1\xe0\0\x04\x80\0\0A",
        lambda n: b"\0\0\1\xe0\0\x09\x80\0\0\0\0\1\x09\xf0\0",
        lambda n: b"\0\0\1\xe0\0\0\x80\0\0\0\0\1\x67B",
    ):
        demuxer, spent = PsDemuxer(), []
        demuxer.feed(head)
        for part in range(4):
            data = b"".join(pattern(part * 5_000 + n) for n in range(5_000))
            before = time.process_time()
            for at in range(0, len(data), 1_400):
                demuxer.feed(data[at : at + 1_400])
            spent.append(time.process_time() - before)
        assert sum(spent) < 10 * float(os.environ.get("PATIENCE", "1"))  # quadratic would be minutes
