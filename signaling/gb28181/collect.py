"""Answers that come in pages by SN and SumNum: late, miscounted, twice (GB/T 28181-2016 9.3, 9.7).

The collector keeps what came, tells what is missing, and never waits for ever. Times are seconds of the caller's clock.
"""

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from signaling.gb28181.items import Item, Record
from signaling.gb28181.messages import Catalog, RecordInfo

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long is waited. Devices were seen to send the first page after two minutes, later ones 5 s apart."""

    first_s: float = 125.0
    next_s: float = 12.0
    more_s: float = 1.0  # after SumNum was reached: some count too low, and their last page follows at once
    total_s: float = 900.0
    items: int = 100_000


class Collector(Generic[T]):
    """One question's answer as it grows."""

    def __init__(self, sn: int, now: float, key: Callable[[T], Hashable], patience: Patience = Patience()) -> None:
        self.sn = sn
        self.expected: int | None = None
        self.duplicates = 0
        self.dropped = 0  # over the bound
        self.pages = 0
        self._key = key
        self._patience = patience
        self._items: dict[Hashable, T] = {}
        self._end = now + patience.total_s
        self._deadline = now + patience.first_s

    def add(self, total: int | None, items: Iterable[T], now: float) -> list[T]:
        """A page came: its new items. What was there before is counted, and the later one stays."""
        self.pages += 1
        if total is not None:
            self.expected = max(total, self.expected or 0)
        fresh: list[T] = []
        for item in items:
            key = self._key(item)
            if key in self._items:
                self.duplicates += 1
            elif len(self._items) >= self._patience.items:
                self.dropped += 1
                continue
            else:
                fresh.append(item)
            self._items[key] = item
        reached = self.expected is not None and len(self._items) >= self.expected
        self._deadline = now + (self._patience.more_s if reached else self._patience.next_s)
        return fresh

    @property
    def deadline(self) -> float:
        """When ``done`` becomes true unless another page comes."""
        return min(self._deadline, self._end)

    def done(self, now: float) -> bool:
        """Nothing more is waited for."""
        return now >= self.deadline

    @property
    def items(self) -> tuple[T, ...]:
        """What came, without repeats, in the order of coming."""
        return tuple(self._items.values())

    @property
    def received(self) -> int:
        """How many different ones came."""
        return len(self._items)

    @property
    def missing(self) -> int:
        """How many SumNum promised more than came; 0 when it was never said."""
        return max(0, (self.expected or 0) - len(self._items))

    @property
    def answered(self) -> bool:
        """At least one page came."""
        return self.pages > 0

    @property
    def complete(self) -> bool:
        """SumNum was said and reached."""
        return self.expected is not None and not self.missing


class CatalogCollector(Collector[Item]):
    """Pages of a catalog. One device's numbers are unique in it; across devices the key is (device, channel)."""

    def __init__(self, sn: int, now: float, patience: Patience = Patience()) -> None:
        super().__init__(sn, now, lambda item: item.id, patience)

    def page(self, page: Catalog, now: float) -> list[Item]:
        """New items of a page; those of another SN are not ours and give nothing."""
        return self.add(page.total, page.items, now) if page.sn == self.sn else []


class RecordCollector(Collector[Record]):
    """Pages of recordings: at most 20,000; they are asked for while somebody waits, so patience is shorter."""

    def __init__(self, sn: int, now: float, patience: Patience | None = None) -> None:
        bounds = patience or Patience(first_s=15.0, next_s=6.0, more_s=0.3, total_s=60.0, items=20_000)
        super().__init__(sn, now, lambda each: (each.id, each.start, each.end, each.path), bounds)

    def page(self, page: RecordInfo, now: float) -> list[Record]:
        """New recordings of a page; those of another SN give nothing."""
        return self.add(page.total, page.items, now) if page.sn == self.sn else []

    @property
    def in_order(self) -> tuple[Record, ...]:
        """Recordings by their start; those without one last."""
        return tuple(sorted(self.items, key=lambda each: (each.start or math.inf, each.end or math.inf)))
