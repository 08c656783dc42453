"""Which layer a viewer gets, and how its numbers go on when that changes. Pure.

A layer is one of the publisher's simulcast encodings, or a camera's main and sub stream; a VP8 layer may have
temporal layers, which are left out before a viewer is sent down to a smaller picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from hub.media.rtp.track import TEMPORAL, Packet

ALIVE_MS: Final = 1_500  # a layer without packets for so long has been switched off
HEADROOM: Final = 1.15  # of the estimate that a step up must leave
SPARE: Final = 0.8  # a layer's picture may be so much smaller than the tile


@dataclass(frozen=True, slots=True)
class Layer:
    """What is known of one layer now. ``rates`` are bit/s up to and with each temporal layer, ascending."""

    index: int
    width: int  # 0 when unknown
    rates: tuple[int, ...]
    alive: bool


class Choice(NamedTuple):
    """A layer and the highest temporal layer of it that is sent."""

    layer: int
    temporal: int


ALL: Final = TEMPORAL - 1


def choose(layers: Sequence[Layer], current: Choice, *, width: int | None, budget: int | None) -> Choice:
    """The best layer for a tile of ``width`` pixels within ``budget`` bit/s; ``None`` for either sets no limit.

    The smallest picture that fills the tile is the aim. What does not fit the budget loses temporal layers first,
    then goes to the next smaller picture; the smallest one's base layer is sent whatever it costs. A step up must
    leave HEADROOM, so that a rate on the edge does not swing.
    """
    alive = sorted((layer for layer in layers if layer.alive), key=lambda layer: (layer.width, layer.index))
    if not alive:
        return current
    top = len(alive) - 1
    if width is not None:
        top = next((i for i, layer in enumerate(alive) if layer.width >= width * SPARE), top)
    ladder = [
        (Choice(layer.index, temporal if temporal < len(layer.rates) - 1 else ALL), rate)
        for layer in alive[: top + 1]
        for temporal, rate in enumerate(layer.rates)
        if temporal == 0 or rate > layer.rates[temporal - 1]
    ]
    at = next((i for i, (choice, _) in enumerate(ladder) if choice == current), len(ladder))
    for i in range(len(ladder) - 1, 0, -1):
        choice, rate = ladder[i]
        if budget is None or rate * (HEADROOM if i > at else 1.0) <= budget:
            return choice
    return ladder[0][0]


class Tile(NamedTuple):
    """One of several pictures that share a path. ``width`` is that of its tile, ``None``: as large as can be."""

    layers: Sequence[Layer]
    current: Choice
    width: int | None


def allot(tiles: Sequence[Tile], budget: int | None) -> list[int | None]:
    """What each tile may cost, in their order: all get their smallest picture, then larger tiles go first."""
    if budget is None:
        return [None] * len(tiles)
    least = [min((layer.rates[0] for layer in tile.layers if layer.alive), default=0) for tile in tiles]
    spare = max(budget - sum(least), 0)
    shares: list[int | None] = [None] * len(tiles)
    widths = [tile.width if tile.width is not None else 1 << 20 for tile in tiles]
    for i in sorted(range(len(tiles)), key=lambda i: -widths[i]):
        layers, current, width = tiles[i]
        share = shares[i] = least[i] + spare
        if not any(layer.alive for layer in layers):
            continue
        layer, temporal = choose(layers, current, width=width, budget=share)
        rates = next((each.rates for each in layers if each.index == layer), (0,))
        spare = max(spare - max(rates[min(temporal, len(rates) - 1)] - least[i], 0), 0)
    return shares


def wish(tiles: Sequence[Tile]) -> int | None:
    """Bit/s by which every tile would get its best picture, headroom included; ``None`` when all have it."""
    total, short = 0, False
    for layers, current, width in tiles:
        best = choose(layers, current, width=width, budget=None)
        rates = next((each.rates for each in layers if each.index == best.layer), (0,))
        total += rates[min(best.temporal, len(rates) - 1)]
        short = short or best != current
    return int(total * HEADROOM * 1.05) if short else None


class Lane(NamedTuple):
    """A layer that goes over a leg for everybody behind it. ``wanted``: somebody there has a use for it."""

    layer: Layer
    wanted: bool
    sent: bool


class Load(NamedTuple):
    """What a leg is to carry: the indexes of its layers, and how much of the smallest where that goes alone.

    ``narrow``: less than is wanted there; ``wish`` are the bit/s that would allow all of it.
    """

    layers: tuple[int, ...]
    temporal: int = ALL
    narrow: bool = False
    wish: int | None = None


def load(lanes: Sequence[Lane], budget: int | None, *, full: bool, narrow: bool) -> Load:
    """What fits the line between two relays, the smallest picture first.

    Layers are left out only once the line was found ``full``: what an estimate has not seen yet is no reason to take
    pictures away from everybody behind it. They come back (``narrow``: some are left out now) with HEADROOM.
    """
    living = sorted((lane for lane in lanes if lane.layer.alive), key=lambda lane: (lane.layer.width, lane.layer.index))
    total = sum(lane.layer.rates[-1] for lane in living if lane.wanted)
    enough = budget is None or total == 0
    if not enough and budget is not None:
        enough = total * HEADROOM <= budget if narrow else not full or total <= budget
    if enough or budget is None:
        return Load(tuple(lane.layer.index for lane in lanes if lane.wanted))
    spent, taken = living[0].layer.rates[-1], [living[0].layer]
    for lane in living[1:]:
        spent += lane.layer.rates[-1]
        if spent * (1.0 if lane.sent else HEADROOM) > budget:
            break
        taken.append(lane.layer)
    temporal = ALL
    rates = taken[0].rates
    if len(taken) == 1 and rates[-1] > budget:
        temporal = max((i for i, rate in enumerate(rates[:-1]) if rate <= budget), default=0)
        temporal = temporal if len(rates) > 1 else ALL
    return Load(tuple(layer.index for layer in taken), temporal, True, int(total * HEADROOM * 1.05))


class Meter:
    """Bit rates of one layer by temporal layer, from totals of octets that are looked at now and then."""

    def __init__(self) -> None:
        self._before: tuple[int, tuple[int, ...]] | None = None
        self.rates: tuple[int, ...] = (0,)

    def look(self, totals: Sequence[int], now_ms: int) -> None:
        """Take the totals by temporal layer; rates follow with a time constant of about a second."""
        if self._before is not None and (since := now_ms - self._before[0]) > 0:
            gained = [(total - had) * 8_000 // since for total, had in zip(totals, self._before[1], strict=True)]
            share = min(1.0, since / 1_000)
            old = self._split(len(totals))
            new = [int(was + (now - was) * share) for was, now in zip(old, gained, strict=True)]
            used = max((i for i, total in enumerate(totals) if total), default=0)
            self.rates = tuple(sum(new[: i + 1]) for i in range(used + 1))
        self._before = (now_ms, tuple(totals))

    def _split(self, count: int) -> list[int]:
        padded = [*self.rates, *[self.rates[-1]] * (count - len(self.rates))]
        return [rate - (padded[i - 1] if i else 0) for i, rate in enumerate(padded)]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a viewer was sent last: timestamp, VP8 picture id and TL0PICIDX as they left (-1: none)."""

    timestamp: int
    picture: int
    base: int


class Splice(NamedTuple):
    """What is added to a segment's timestamps, picture ids and TL0PICIDX."""

    shift: int = 0
    picture: int = 0
    base: int = 0


def splice(seen: Seen | None, key: Packet, rate: int) -> Splice:
    """How a segment that begins with ``key`` goes on after what was seen.

    Layers of one track run on one time line, so mostly nothing is added; a key frame that would not be later than
    what was seen comes 10 ms after it. Picture ids and TL0PICIDX go on by one (RFC 7741 §4.2).
    """
    if seen is None:
        return Splice()
    shift = 0
    if _signed(key.timestamp - seen.timestamp) <= 0:
        shift = _signed(seen.timestamp + rate // 100 - key.timestamp)
    if key.vp8 is None:
        return Splice(shift)
    picture = base = 0
    if key.vp8.picture >= 0 and seen.picture >= 0:
        picture = (seen.picture + 1 - key.vp8.picture) & 0x7FFF
    if key.vp8.base >= 0 and seen.base >= 0:
        base = (seen.base + 1 - key.vp8.base) & 0xFF
    return Splice(shift, picture, base)


def _signed(difference: int) -> int:
    return (difference + 0x80000000 & 0xFFFFFFFF) - 0x80000000


class Temporal:
    """Leaves temporal layers out: down at any frame, up where a frame says that it depends on the base alone."""

    __slots__ = ("_dropped", "limit", "wanted")

    def __init__(self) -> None:
        self.wanted = ALL
        self.limit = ALL
        self._dropped = -1

    @property
    def idle(self) -> bool:
        """Whether everything passes."""
        return self.limit == self.wanted == ALL

    def reset(self) -> None:
        """A key frame of a new segment comes: what is wanted holds at once."""
        self.limit, self._dropped = self.wanted, -1

    def passes(self, packet: Packet) -> bool:
        """Whether the packet, in order, goes out."""
        vp8 = packet.vp8
        if vp8 is None:
            return True
        if vp8.begins and (self.wanted < self.limit or vp8.key):
            self.limit = self.wanted
        elif vp8.begins and vp8.sync and vp8.layer == self.limit + 1 <= self.wanted:
            self.limit = vp8.layer  # one by one: what lies above may depend on what was left out
        return vp8.layer <= self.limit

    def pictures(self, packets: Sequence[Packet]) -> int:
        """How many picture ids of packets that are left out were not counted before."""
        found = 0
        for packet in packets:
            picture = -1 if packet.vp8 is None else packet.vp8.picture
            if picture >= 0 and picture != self._dropped:
                self._dropped, found = picture, found + 1
        return found
