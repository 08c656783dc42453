"""How much a path carries: the sender's estimate from transport-wide feedback. Pure; every time is given.

Delay gradient and loss, after draft-ietf-rmcat-gcc-02: a growing one-way delay says that a queue fills (§5.3, §5.4),
then the rate falls to a share of what arrived (§5.5); loss above 10 % lowers it as well (§6). The smaller counts.
"""

from collections import deque
from collections.abc import Sequence
from operator import mul
from typing import Final

from hub.media.rtp.sendlog import Burst

START: Final = 1_500_000  # bit/s
FLOOR: Final = 100_000
CEILING: Final = 50_000_000
BACK_OFF: Final = 0.85  # of what arrived, on overuse
CLIMB: Final = 0.16  # a second, while nothing is known of the limit
CLIMB_FREE: Final = 0.32  # and when nothing was hit for CALM_MS
CALM_MS: Final = 3_000
CLIMB_NEAR: Final = 0.03  # and close to where it was hit
STEP_NEAR: Final = 40_000  # bit/s a second, if that is more: some packets a round trip
REACH: Final = 4  # times what arrives: an estimate that nothing tests goes no further
REACH_MORE: Final = 300_000
WINDOW: Final = 20  # bursts of the trend line
GAIN: Final = 4.0
MIN_US: Final = 5_000  # bursts that left closer together are one
RATE_US: Final = 500_000  # arrivals are counted over so long
LATELY_US: Final = 240_000  # and so long when the rate is cut
DEEP_US: Final = 200_000  # a queue that has to be drained before anything comes in time
BACK_OFF_DEEP: Final = 0.7
OVERUSE_US: Final = 10_000
REBASE_US: Final = 10_000_000
SILENT_MS: Final = 1_500
STANDING_US: Final = 120_000  # a queue of so long that neither grows nor drains is too long as well
STANDING_FOR_MS: Final = 300
STANDING_CUTS: Final = 4  # after so many, and less sent, it is no queue: the path itself has become longer
OBEYED: Final = 0.8  # of what arrived at the first of them
BASE_US: Final = 15_000_000  # the shortest delay is that of one or two such spans
FEW: Final = 10  # packets: what is lost of fewer tells nothing
FULL_MS: Final = 1_000  # a path counts as full for so long after it was found so
PROVED_MS: Final = 3_000  # what a probe has shown is believed for so long without anything that uses it


class Trend:
    """Whether the one-way delay grows: a line through its last values, against a threshold that adapts."""

    __slots__ = (
        "_before", "_delays", "_first", "_last", "_over_us", "_smooth", "_sum", "_sums", "_times", "_updated", "falls",
        "grows", "threshold",
    )  # fmt: skip

    def __init__(self) -> None:
        self.threshold = 12.5  # ms
        self.grows = self.falls = False
        self._before: tuple[int, int] | None = None  # sent, arrived
        self._first = 0
        self._sum = self._smooth = 0.0  # ms
        self._times: deque[float] = deque(maxlen=WINDOW)  # ms since ``_first``
        self._delays: deque[float] = deque(maxlen=WINDOW)
        self._sums = [0.0, 0.0, 0.0, 0.0]  # of times, delays, times by delays, times squared: kept, not added up anew
        self._over_us = 0
        self._last = 0.0
        self._updated = 0

    def burst(self, sent_us: int, arrived_us: int) -> None:
        """Take one burst that came. One function, since every viewer has ten feedbacks a second."""
        before = self._before
        if before is None or abs(arrived_us - before[1]) > 10_000_000:
            self._reset(sent_us, arrived_us)
            return
        sent = sent_us - before[0]
        if sent < MIN_US:  # part of the one before, as far as a queue is concerned
            return
        self._sum += (arrived_us - before[1] - sent) / 1_000
        self._smooth = delay = self._smooth + (self._sum - self._smooth) * 0.2
        self._before = (sent_us, arrived_us)
        times, delays, sums = self._times, self._delays, self._sums
        if arrived_us - self._first > REBASE_US:  # small numbers lose nothing in the sums
            moved = (arrived_us - self._first) / 1_000
            self._first = arrived_us
            times = self._times = deque((at - moved for at in times), WINDOW)
            self._add_up()
            sums = self._sums
        at, count = (arrived_us - self._first) / 1_000, len(times)
        if count == WINDOW:
            gone, had = times[0], delays[0]
            sums[0] -= gone
            sums[1] -= had
            sums[2] -= gone * had
            sums[3] -= gone * gone
        else:
            count += 1
        times.append(at)
        delays.append(delay)
        sums[0] += at
        sums[1] += delay
        sums[2] += at * delay
        sums[3] += at * at
        slope = 0.0
        if count >= 4:
            mean = sums[0] / count
            below = sums[3] - mean * sums[0]
            slope = (sums[2] - mean * sums[1]) / below if below > 0 else 0.0
        self._judge(slope * (count * 3 if count < 20 else 60) * GAIN, sent, arrived_us)

    def _add_up(self) -> None:
        """Anew, so that what rounding leaves behind does not grow."""
        times, delays = self._times, self._delays
        self._sums = [sum(times), sum(delays), sum(map(mul, times, delays)), sum(map(mul, times, times))]

    def _reset(self, sent_us: int, arrived_us: int) -> None:
        self._times.clear()
        self._delays.clear()
        self._add_up()
        self._sum = self._smooth = 0.0
        self._before, self._first, self._updated = (sent_us, arrived_us), arrived_us, arrived_us
        self.grows = self.falls = False
        self._over_us = 0

    def _judge(self, trend: float, since_us: int, now_us: int) -> None:
        threshold = self.threshold
        over = trend > threshold
        self._over_us = self._over_us + since_us if over else 0
        self.grows = over and self._over_us > OVERUSE_US and trend >= self._last
        self.falls = trend < -threshold
        self._last = trend
        distance = abs(trend) - threshold
        if distance < 15.0:  # a spike teaches nothing (§5.4)
            step = min((now_us - self._updated) / 1_000, 100.0)
            threshold += (0.039 if distance < 0 else 0.0087) * distance * step
            self.threshold = 6.0 if threshold < 6.0 else min(threshold, 600.0)
        self._updated = now_us


class Queue:
    """How long packets wait on the way: their one-way delay, beyond the shortest of the last 15 to 30 s."""

    __slots__ = ("_before", "_began", "_now", "_smooth")

    def __init__(self) -> None:
        self._now = self._before = 0  # shortest delay of this span and of the last one, µs by two clocks
        self._began: int | None = None
        self._smooth = 0.0

    def burst(self, sent_us: int, arrived_us: int) -> None:
        """Take one burst that came."""
        delay = arrived_us - sent_us
        if self._began is None or abs(delay - self._before) > 10_000_000:  # the first, or a clock jumped
            self._began, self._now, self._before, self._smooth = sent_us, delay, delay, 0.0
        if sent_us - self._began > BASE_US:
            self._began, self._before, self._now = sent_us, self._now, delay
        if delay < self._now:
            self._now = delay
        least = self._now if self._now < self._before else self._before
        self._smooth += (delay - least - self._smooth) * 0.25

    @property
    def us(self) -> float:
        """The wait of now, smoothed."""
        return self._smooth

    def forget(self) -> None:
        """What seemed a queue is the path's own length."""
        self._began = None


class Bandwidth:
    """The estimate of one path, bit/s. Feed it every feedback, ask ``rate`` when something is decided."""

    def __init__(self, start: int = START) -> None:
        self.by_delay = float(start)
        self.by_loss = float(start)
        self.trend = Trend()
        self.arriving = 0  # bit/s, lately
        self.known = False  # a feedback came
        self._arrivals: deque[tuple[int, int]] = deque()  # µs of theirs, octets
        self._octets = 0
        self._limit: float | None = None  # what arrived when a queue last filled
        self._cut_ms = -10_000
        self._loss: deque[tuple[int, int, int]] = deque()  # ms, packets, lost
        self._told = self._missing = 0  # sums of those
        self._at_ms: int | None = None
        self._heard_ms = 0
        self.queue = Queue()
        self._standing_ms: int | None = None  # since when the queue is too long
        self._standing_cuts = 0
        self._standing_from = 0  # what arrived at the first of them
        self._proved = (0.0, 0)  # bit/s, until when

    @property
    def cut_ms(self) -> int:
        """When the path was last found full."""
        return self._cut_ms

    def full(self, now_ms: int) -> bool:
        """Whether the path was found full lately: a queue grew or stood, or more than a tenth was lost."""
        return now_ms - self._cut_ms < FULL_MS or (self._told >= FEW and self._missing > self._told * 0.10)

    def proved(self, rate: int, now_ms: int) -> None:
        """A probe has shown that the path carries ``rate`` bit/s."""
        self._proved, self._limit = (float(rate), now_ms + PROVED_MS), None
        self.by_delay, self.by_loss = max(self.by_delay, rate), max(self.by_loss, rate)

    def rate(self, now_ms: int) -> int:
        """What may be sent. Falls by half a second while feedback stays away: nothing seems to arrive."""
        silent = now_ms - self._heard_ms - SILENT_MS
        rate = min(self.by_delay, self.by_loss)
        if self.known and silent > 0:
            rate *= 0.5 ** (silent / 500)
        return int(max(rate, FLOOR))

    def feedback(self, bursts: Sequence[Burst], now_ms: int) -> None:
        """Take what one feedback says, oldest burst first."""
        if not bursts:
            return
        since = 0 if self._at_ms is None else min(now_ms - self._at_ms, 1_000)
        self._at_ms = self._heard_ms = now_ms
        self.known = True
        grew, trend, queue = False, self.trend, self.queue
        for sent_us, arrived_us, _, _, octets in bursts:
            if arrived_us is not None:
                self._count(arrived_us, octets)
                trend.burst(sent_us, arrived_us)
                queue.burst(sent_us, arrived_us)
                grew = grew or trend.grows
        self.arriving = self._octets * 8_000_000 // RATE_US
        grew = self._stands(now_ms) or grew
        self._follow_delay(grew, since, now_ms)
        self._follow_loss(bursts, since, now_ms)
        reach: float = self.arriving * REACH + REACH_MORE
        if now_ms < self._proved[1]:
            reach = max(reach, self._proved[0])
        self.by_delay = min(max(self.by_delay, FLOOR), max(reach, FLOOR), CEILING)
        self.by_loss = min(max(self.by_loss, FLOOR), max(self.by_delay * 1.5, FLOOR), CEILING)

    def _count(self, at_us: int, octets: int) -> None:
        arrivals, since = self._arrivals, at_us - RATE_US
        if arrivals and not -RATE_US < at_us - arrivals[-1][0] < 10_000_000:
            arrivals.clear()  # their clock jumped
            self._octets = 0
        arrivals.append((at_us, octets))
        self._octets += octets
        while arrivals[0][0] < since:
            self._octets -= arrivals.popleft()[1]

    def _lately(self) -> int:
        """What arrived in the last quarter second, bit/s: the longer count still holds what came before a drop."""
        since = self._arrivals[-1][0] - LATELY_US
        octets = sum(octets for at, octets in self._arrivals if at > since)
        return min(self.arriving, max(octets * 8_000_000 // LATELY_US, self.arriving // 2))

    def _stands(self, now_ms: int) -> bool:
        """Whether a queue that is too long neither grows nor drains: a drop to what nearly fits leaves one."""
        if self.queue.us < STANDING_US or self.trend.falls:
            self._standing_ms = None
            if self.queue.us < STANDING_US:
                self._standing_cuts = 0
            return False
        if self._standing_ms is None:
            self._standing_ms = now_ms
        if now_ms - self._standing_ms < STANDING_FOR_MS:
            return False
        self._standing_ms = now_ms
        if self._standing_cuts == 0:
            self._standing_from = self.arriving
        self._standing_cuts += 1
        if self._standing_cuts > STANDING_CUTS and self.arriving < self._standing_from * OBEYED:
            self._standing_cuts = 0
            self.queue.forget()
            return False
        return True

    def _follow_delay(self, grew: bool, since_ms: int, now_ms: int) -> None:
        if grew:
            if now_ms - self._cut_ms >= 300:  # the last cut needs a round trip to show
                self._cut_ms = now_ms
                came = self._lately()
                self._limit = float(came) if self._limit is None else self._limit * 0.5 + came * 0.5
                back_off = BACK_OFF if self.queue.us < DEEP_US else BACK_OFF_DEEP
                self.by_delay = min(self.by_delay, max(came, FLOOR) * back_off)
        elif not self.trend.falls and now_ms - self._cut_ms >= 500:  # a queue that drains is left alone (§5.5)
            near = self._limit is not None and 0.8 * self._limit < self.by_delay < 1.2 * self._limit
            if self._limit is not None and self.by_delay >= 1.2 * self._limit:
                self._limit = None
            climb = CLIMB_FREE if now_ms - self._cut_ms >= CALM_MS else CLIMB
            step = max(self.by_delay * CLIMB_NEAR, STEP_NEAR) if near else self.by_delay * climb
            self.by_delay += step * since_ms / 1_000

    def _follow_loss(self, bursts: Sequence[Burst], since_ms: int, now_ms: int) -> None:
        packets = lost = 0
        for _, _, told, missing, _ in bursts:
            packets += told
            lost += missing
        self._loss.append((now_ms, packets, lost))
        self._told += packets
        self._missing += lost
        while self._loss[0][0] < now_ms - 1_000:
            _, packets, lost = self._loss.popleft()
            self._told -= packets
            self._missing -= lost
        packets, lost = self._told, self._missing
        share = lost / packets if packets >= FEW else 0.0
        if share > 0.10:
            fallen = min(self.by_loss, self.by_delay) * (1 - 0.5 * share * since_ms / 500)
            self.by_loss = max(fallen, self.arriving / 2)
        elif share < 0.02:
            self.by_loss *= 1 + CLIMB_FREE * since_ms / 1_000
