"""One atheris fuzzer (``pip install atheris``): ``python -m tests.soak.fuzz TARGET KEPT_CORPUS [libFuzzer options]``.

Without atheris ``mutate`` below does what can be done without coverage: the corpus, changed at random.
"""

import random
import sys
import time
from collections.abc import Callable

from tests.soak.targets import CORPUS, TARGETS


def seeds(name: str) -> list[bytes]:
    """The corpus of a target; the targets that have none of their own read that of RTSP."""
    folder = CORPUS / name
    return [path.read_bytes() for path in sorted((folder if folder.is_dir() else CORPUS / "rtsp").iterdir())]


def mutate(target: Callable[[bytes], object], corpus: list[bytes], seconds: float, seed: int) -> int:
    """Call the target with changed corpus until the time is over; returns how often."""
    dice = random.Random(seed)
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        target(changed(corpus, dice))
        count += 1
    return count


def changed(corpus: list[bytes], dice: random.Random) -> bytes:
    data = bytearray(dice.choice(corpus))
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(6):
            case 0 if data:
                data[at % len(data)] ^= 1 << dice.randrange(8)
            case 1:
                data[at:at] = dice.randbytes(dice.randint(1, 8))
            case 2:
                del data[at : at + dice.randint(1, 40)]
            case 3:
                other = dice.choice(corpus)
                begin = dice.randrange(len(other) + 1)
                data[at:at] = other[begin : begin + dice.randint(1, 200)]
            case 4 if data:
                data[at % len(data)] = dice.choice((0, 0x24, 0x80, 0xFF, 0x0D, 0x0A, 0x18, 0x1C, 0x7C))
            case _:
                data[at:] = data[at : at + 20] * dice.randint(1, 4)
    return bytes(data[:20_000])


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    import atheris  # not in the lock: it has wheels for few platforms

    atheris.instrument_all()
    name, kept, *options = sys.argv[1:]
    folder = CORPUS / name
    seeds_folder = str(folder if folder.is_dir() else CORPUS / "rtsp")
    target = TARGETS[name]

    def one(data: bytes) -> None:
        target(data)

    atheris.Setup(
        [sys.argv[0], kept, seeds_folder, "-max_len=8192", "-timeout=10", "-rss_limit_mb=2048", *options], one
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
