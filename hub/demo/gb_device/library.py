"""Recordings of a simulated device: an hour each, for as many hours back as it is told. Pure."""

from dataclasses import dataclass

from signaling.gb28181.items import Record

HOUR = 3_600
BYTES_A_SECOND = 60_000
MAX_RECORDS = 2_000


@dataclass(frozen=True, slots=True)
class Library:
    """One channel's. Everything up to ``now`` is recorded."""

    channel: str
    hours: int

    def find(self, start: int, end: int, now: int, kind: str = "all") -> tuple[Record, ...]:
        """Recordings that touch the time from ``start`` to ``end`` (Unix seconds), oldest first."""
        if kind not in ("all", "time", ""):
            return ()
        first = max(start, now - self.hours * HOUR) // HOUR * HOUR
        last = min(end, now)
        records = []
        for begin in range(first, last, HOUR):
            until = min(begin + HOUR, now)
            records.append(
                Record(
                    id=self.channel, name=f"REC{begin}", path=f"/record/{self.channel}/{begin}.ps", address="SD1",
                    start=begin, end=until, secrecy=0, type="time", recorder=self.channel,
                    size=(until - begin) * BYTES_A_SECOND,
                )
            )  # fmt: skip
            if len(records) == MAX_RECORDS:
                break
        return tuple(records)

    def cut(self, start: int, end: int, now: int) -> tuple[int, int] | None:
        """The part of a wished time that is recorded; None: nothing of it."""
        first, last = max(start, now - self.hours * HOUR), min(end, now)
        return (first, last) if first < last else None
