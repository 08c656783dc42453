"""What real devices say, replayed whole, cut short, and changed a little at every place."""

import random
from pathlib import Path

import pytest

from signaling.rtsp.session import Phase
from tests.soak.fuzz import mutate, seeds
from tests.soak.targets import CORPUS, TARGETS, h264, h265, rtsp


def captured(name: str) -> bytes:
    return (CORPUS / "rtsp" / f"{name}.bin").read_bytes()


@pytest.mark.parametrize("name", ["hikvision", "dahua", "live555", "old-dvr"])
@pytest.mark.parametrize("chunk", [1, 7, 60])
def test_a_device_is_played_however_tcp_splits_it(name: str, chunk: int) -> None:
    phase, units = rtsp(captured(name), chunk)
    assert phase is Phase.ENDED  # by the end of the capture
    assert units >= 3


def test_h265_is_described_and_set_up() -> None:
    assert rtsp(captured("h265")) == (Phase.ENDED, 0)  # the capture ends behind the description


@pytest.mark.parametrize(("name", "pictures"), [("fragments", 3), ("aggregates", 3), ("start-codes", 3), ("losses", 1)])
def test_payloads_of_every_form_give_their_pictures(name: str, pictures: int) -> None:
    assert h264((CORPUS / "h264" / f"{name}.bin").read_bytes()) == pictures


@pytest.mark.parametrize(
    ("name", "pictures"), [("fragments", 8), ("aggregates", 8), ("start-codes", 8), ("reordered", 8), ("losses", 2)]
)
def test_payloads_of_h265_do_so_too(name: str, pictures: int) -> None:
    assert h265((CORPUS / "h265" / f"{name}.bin").read_bytes()) == pictures


@pytest.mark.parametrize("path", sorted(CORPUS.rglob("*.bin")), ids=lambda path: path.stem)
def test_a_capture_cut_short_anywhere_crashes_nothing(path: Path) -> None:
    data, target = path.read_bytes(), TARGETS[path.parent.name]
    for cut in range(0, len(data), 1 + len(data) // 120):
        target(data[:cut])


@pytest.mark.parametrize("name", TARGETS)
def test_changed_captures_crash_nothing(name: str) -> None:
    assert mutate(TARGETS[name], seeds(name), 0.5, seed=random.Random(name).randrange(10**6)) > 0
