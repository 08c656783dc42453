"""The viewers of one track: who waits for a key frame, who catches up from the GOP cache, who is live on a layer."""

import itertools
from collections.abc import Callable, Sequence
from typing import Final

from hub.media.peer.counters import Counters
from hub.media.peer.fanout import Fanout, Item, Shape
from hub.media.peer.pacer import Pacer
from hub.media.peer.sender import REPLAY_EVERY_MS, Phase, Sender
from hub.media.rtp import rtcp
from hub.media.rtp.layers import ALIVE_MS, Choice, Layer, Meter, Seen, choose, splice
from hub.media.rtp.track import HISTORY, Packet, Track

CHUNK: Final = 32  # packets of a catching-up viewer per turn: what a browser's receive buffer holds
CHUNK_EVERY_S: Final = 0.002
SQUEEZED_MS: Final = 1  # between the timestamps of cached frames
STALE_MS: Final = 5_000  # an older GOP is no live picture
STANDING_MS: Final = 1_000  # a camera that brought nothing for so long stands: a replay would make it look alive
YOUNG_FRAMES: Final = 30  # of a publisher: a longer GOP costs more than the key frame that one can ask for
METER_EVERY_MS: Final = 500
PROBE_FROM: Final = 64  # newest packets; the larger of them are repeated
PROBE_MOST: Final = 96  # packets a turn
HELD_TURNS: Final = 500  # of CHUNK_EVERY_S: a second of waiting for a TCP connection


class _Floor:
    """One layer's track, who is live on it, and how far it has been handed out."""

    def __init__(self, track: Track) -> None:
        self.track = track
        self.live: dict[Shape, list[Sender]] = {}
        self.odd: list[Sender] = []  # rewritten one by one
        self.released = track.head
        self.meter = Meter()

    def senders(self) -> list[Sender]:
        """Everybody who is live here."""
        return [sender for senders in self.live.values() for sender in senders] + self.odd


class Viewers:
    """All senders of one track and its layers.

    ``later(seconds, call)`` schedules a turn; ``ask(layer)`` wants a key frame of a publisher; ``now`` are the tracks
    as they are at any time: a camera that gets a sub stream has one more.
    """

    def __init__(
        self,
        tracks: Sequence[Track],
        fanout: Fanout,
        counters: Counters,
        *,
        later: Callable[[float, Callable[[], None]], object],
        ask: Callable[[int], None],
        now: Callable[[], Sequence[Track]] | None = None,
    ) -> None:
        self._now = now
        self.track = tracks[0]
        self._floors = [_Floor(track) for track in tracks]
        self._fanout = fanout
        self._counters = counters
        self._later = later
        self._ask = ask
        self._catching: list[Sender] = []
        self._waiting: list[Sender] = []
        self._paused: list[Sender] = []
        self._full: list[Sender] = []  # by TCP, and their line took no more: they wait until it has drained
        self._scheduled = False
        self._metered_at = 0
        self._pacer = Pacer(self._release, later, counters)

    def __len__(self) -> int:
        still = len(self._waiting) + len(self._catching) + len(self._paused)
        return still + sum(len(floor.senders()) for floor in self._floors)

    @property
    def choice(self) -> bool:
        """Whether there is anything to choose: layers, or temporal layers."""
        self._grow()
        return len(self._floors) > 1 or any(self.track.counters.temporal[1:])

    def layers(self, now_ms: int) -> list[Layer]:
        """What is known of the layers, their rates as of the last half second."""
        if now_ms - self._metered_at >= METER_EVERY_MS:
            self._metered_at = now_ms
            for floor in self._floors:
                floor.meter.look(floor.track.counters.temporal, now_ms)
        return [
            Layer(
                i, floor.track.size[0] if floor.track.size else 0, floor.meter.rates,
                not floor.track.resting
                and floor.track.last_at is not None
                and now_ms - floor.track.last_at < ALIVE_MS,
            )
            for i, floor in enumerate(self._floors)
        ]  # fmt: skip

    def _grow(self) -> None:
        if self._now is not None and len(tracks := self._now()) > len(self._floors):
            self._floors += [_Floor(track) for track in tracks[len(self._floors) :]]

    # coming, going, choosing -------------------------------------------------------------------------

    def add(self, sender: Sender, now_ms: int) -> None:
        """Let a viewer in: the cached GOP at once where there is one, else the next key frame."""
        floor = self._floors[sender.aim]
        track = floor.track
        if track.kind == "audio":
            sender.numbering.begin(floor.released + 1)
            self._go_live(sender)
            return
        start = track.gop_start()
        fresh = track.last_at is not None and now_ms - track.last_at <= STALE_MS
        usable = fresh and start is not None and start <= floor.released
        if start is not None and usable and not (track.published and self._frames(floor, start) > YOUNG_FRAMES):
            self._catch_up(sender, start, squeeze=not track.published)
            return
        self._wait(sender)

    def _wait(self, sender: Sender) -> None:
        """For the next key frame of the layer that it aims at."""
        sender.phase = Phase.WAITING
        self._waiting.append(sender)
        self._ask(sender.aim)

    def remove(self, sender: Sender) -> None:
        """A viewer left, or is put elsewhere."""
        for floor in self._floors:
            for senders in (*floor.live.values(), floor.odd):
                if sender in senders:
                    senders.remove(sender)
        for senders in (self._waiting, self._catching, self._paused, self._full):
            if sender in senders:
                senders.remove(sender)

    def pause(self, sender: Sender) -> None:
        """Nobody looks at it: send nothing more until ``resume``."""
        if sender.phase is not Phase.PAUSED:
            self._remember(sender)
            self.remove(sender)
            sender.phase = Phase.PAUSED
            self._paused.append(sender)

    def resume(self, sender: Sender, now_ms: int) -> None:
        """Somebody looks again; begins as a new viewer does."""
        if sender.phase is not Phase.PAUSED:
            return
        self._paused.remove(sender)
        if sender.seen is None or self.track.kind == "audio":
            self.add(sender, now_ms)
            return
        floor = self._floors[sender.layer]
        fresh = floor.track.last_at is not None and now_ms - floor.track.last_at <= STALE_MS
        if floor.track.published or not fresh or not self._replay(sender):
            self._wait(sender)

    def chosen(self, sender: Sender) -> Choice:
        """The layer that a viewer goes to, and how much of it."""
        return Choice(sender.aim, sender.temporal.wanted)

    def steer(self, sender: Sender, width: int | None, budget: int | None, now_ms: int) -> None:
        """Choose the layer anew. A smaller number of frames holds at once, another picture at its next key frame."""
        if self.track.kind != "video":
            return
        layer, temporal = choose(self.layers(now_ms), self.chosen(sender), width=width, budget=budget)
        sender.temporal.wanted = temporal
        self.resettle(sender)
        if layer != sender.aim:
            sender.aim = layer
            self._counters.layer_switches += 1
        if sender.aim != sender.layer and sender.phase is not Phase.PAUSED and self.track.published:
            self._ask(sender.aim)
        elif sender.aim != sender.layer and sender.phase is Phase.LIVE and self._floors[sender.layer].track.resting:
            self._jump(sender)

    def resettle(self, sender: Sender) -> None:
        """What a live viewer gets has changed: let it share a template, or no more."""
        if sender.phase is Phase.LIVE and sender.even == (sender in self._floors[sender.layer].odd):
            self.remove(sender)
            self._go_live(sender)

    # packets -----------------------------------------------------------------------------------------

    def packets(self, packets: Sequence[Packet]) -> None:
        """New packets of one layer; each is given to every viewer of that layer exactly once."""
        self._pacer.give(packets)

    def _release(self, packets: Sequence[Packet]) -> None:
        if packets[0].layer >= len(self._floors):
            self._grow()
        floor = self._floors[packets[0].layer]
        numbers = [packet.n for packet in packets]
        first, last = numbers[0], max(numbers)
        row = numbers == list(range(first, first + len(numbers)))  # both ends alone do not tell: 1 3 2 4
        if first <= floor.released or not row or self._has_late(floor, first):
            self._one_by_one(floor, packets)
        else:
            if floor.live:
                self._fanout.live(floor.live, packets)
            for sender in floor.odd:
                self._out(sender, self._numbered(sender, packets))
        floor.released = max(floor.released, last)
        self._shed(floor)
        if (key := next((p for p in packets if p.key), None)) is not None:
            self._key_came(floor, key)

    def _key_came(self, floor: _Floor, key: Packet) -> None:
        """Whoever waits for this layer's key frame, or comes over from another layer, begins with it."""
        layer = floor.track.layer
        coming = [s for s in self._waiting if s.aim == layer and not s.clogged]
        coming += [s for f in self._floors if f is not floor for s in f.senders() if s.aim == layer]
        for sender in coming:
            self._remember(sender)
            self.remove(sender)
            self._catch_up(sender, key.n, squeeze=False)

    def _has_late(self, floor: _Floor, first: int) -> bool:
        """Whether any live viewer began later than the first of these."""
        return any(s.numbering.first_index > first for senders in floor.live.values() for s in senders)

    def _one_by_one(self, floor: _Floor, packets: Sequence[Packet]) -> None:
        """Packets of a publisher that came late or with gaps: each viewer gets those of its own segments."""
        for sender in floor.senders():
            self._out(sender, self._numbered(sender, packets))
        for sender in self._catching:  # what lies before its cursor it would never see
            if sender.layer == floor.track.layer:
                self._out(sender, self._numbered(sender, [p for p in packets if p.n < sender.cursor]))

    def _numbered(self, sender: Sender, packets: Sequence[Packet]) -> list[Item]:
        """Each packet under its number; temporal layers that are left out close the gap that they leave."""
        numbering, temporal = sender.numbering, sender.temporal
        items: list[Item] = []
        if temporal.idle:
            return [
                (p, numbering.take(p.n) & 0xFFFF, numbering.segment) for p in packets if p.n >= numbering.first_index
            ]
        out: list[Packet] = []
        for packet in packets:
            if packet.n < numbering.first_index or packet.n + numbering.delta <= numbering.highest:
                if (segment := numbering.of(sender.layer, packet.n)) is not None:  # late, and has its number
                    items.append((packet, packet.n + segment.delta & 0xFFFF, segment))
                continue
            if not temporal.passes(packet):
                out.append(packet)
                continue
            if out:
                numbering.skip(out[0].n, packet.n, temporal.pictures(out))
                out = []
            items.append((packet, numbering.take(packet.n) & 0xFFFF, numbering.segment))
        if out:
            numbering.skip(out[0].n, out[-1].n + 1, temporal.pictures(out))
        return items

    def _out(self, sender: Sender, items: Sequence[Item]) -> None:
        if sender.clogged and self.track.kind == "audio":  # late sound is worth nothing
            self._counters.tcp_dropped += len(items)
        elif items:
            self._fanout.exact(sender, items)

    def _shed(self, floor: _Floor) -> None:
        """Viewers whose line is full lose whole pictures up to a key frame; a publisher is asked once it drained."""
        if self.track.kind == "audio":
            return
        for sender in [s for s in floor.odd if s.clogged]:
            self._remember(sender)
            self.remove(sender)
            self._drain_first(sender)
            sender.phase = Phase.WAITING
            self._waiting.append(sender)
        for sender in [s for s in self._full if not s.clogged]:
            self._full.remove(sender)
            if self._floors[sender.aim].track.published:
                self._ask(sender.aim)

    def _drain_first(self, sender: Sender) -> None:
        self._counters.tcp_shed += 1
        self._full.append(sender)

    # catching up -------------------------------------------------------------------------------------

    def _frames(self, floor: _Floor, start: int) -> int:
        first, newest = floor.track.get(start), floor.track.get(floor.released)
        return 0 if first is None or newest is None else newest.frame - first.frame + 1

    def _remember(self, sender: Sender) -> None:
        """Note what the viewer was sent last, so that another segment can go on from there."""
        track = self._floors[sender.layer].track
        for n, segment in sender.numbering.newest():
            if (packet := track.get(n)) is not None and segment.layer == sender.layer:
                found = Seen(segment.timestamp(packet), segment.picture_of(packet), segment.base_of(packet))
                sender.seen = found
                return

    def _catch_up(self, sender: Sender, start: int, *, squeeze: bool) -> None:
        """Begin with packet ``start``; cached frames end at the newest one's own timestamp, drawn together."""
        floor = self._floors[sender.aim]
        track, newest, key = floor.track, floor.track.get(floor.released), floor.track.get(start)
        seen = sender.seen
        moved = seen is not None and (sender.aim != sender.layer or not sender.numbering.plain)
        if squeeze and newest is not None:
            spacing = SQUEEZED_MS * track.rate // 1000
            sender.numbering.begin(
                start, anchor_frame=newest.frame, anchor=newest.timestamp, spacing=spacing, layer=track.layer
            )
        elif moved and key is not None:
            shift, picture, base = splice(seen, key, track.rate)
            sender.numbering.begin(start, layer=track.layer, shift=shift, picture=picture, base=base)
        else:
            sender.numbering.begin(start, layer=track.layer)
        sender.layer = sender.aim
        sender.temporal.reset()
        self._begin_turns(sender, start)

    def _begin_turns(self, sender: Sender, start: int) -> None:
        sender.cursor, sender.held, sender.phase = start, 0, Phase.CATCHING
        self._catching.append(sender)
        self._turn(sender)
        self._settle()

    def _turn(self, sender: Sender) -> None:
        """Send the next portion from the history, up to what was released: the rest comes by the pacer."""
        floor = self._floors[sender.layer]
        track = floor.track
        portion: list[Packet] = []
        if sender.clogged:  # by TCP: the rest when there is room, unless that makes old pictures of it
            sender.held += 1
            if sender.held > HELD_TURNS:
                sender.phase = Phase.WAITING
                self._drain_first(sender)
            return
        while sender.cursor <= floor.released and len(portion) < CHUNK:
            if sender.cursor <= track.head - HISTORY:  # overtaken: only a new key frame helps
                sender.phase = Phase.WAITING
                return
            if (packet := track.get(sender.cursor)) is not None:
                portion.append(packet)
            sender.cursor += 1
        self._out(sender, self._numbered(sender, portion))
        if sender.cursor > floor.released:
            sender.phase = Phase.LIVE

    def _settle(self) -> None:
        """Sort the catching ones by what became of them, and come back while any are left."""
        for sender in [s for s in self._catching if s.phase is not Phase.CATCHING]:
            self._catching.remove(sender)
            if sender.phase is Phase.LIVE:
                self._go_live(sender)
            else:
                self._waiting.append(sender)
        if self._catching and not self._scheduled:
            self._scheduled = True
            self._later(CHUNK_EVERY_S, self._next)

    def _next(self) -> None:
        self._scheduled = False
        for sender in self._catching:
            self._turn(sender)
        self._settle()

    def _go_live(self, sender: Sender) -> None:
        sender.phase = Phase.LIVE
        floor = self._floors[sender.layer]
        if sender.even:
            floor.live.setdefault(sender.shape, []).append(sender)
        else:
            floor.odd.append(sender)

    # feedback ----------------------------------------------------------------------------------------

    def nack(self, sender: Sender, lost: Sequence[int], now_ms: int) -> None:
        """Send the lost packets again: as retransmissions, or identically under their own numbers."""
        self._counters.nacks += 1
        items: list[Item] = []
        if sender.repair is not None or not sender.layout.varies:
            for seq in lost:
                found = sender.numbering.find(seq)
                if found is None or (found[1].layer != sender.layer and sender.narrow):
                    continue  # the key frame of another layer has begun: it needs the room
                if (packet := self._floors[found[1].layer].track.get(found[0])) is not None:
                    items.append((packet, seq, found[1]))
            del items[sender.allow(len(items), now_ms) :]
        self._counters.retransmitted += len(items)
        self._counters.retransmit_missed += len(lost) - len(items)
        if items and sender.repair is not None:
            self._fanout.again(sender, sender.repair, items)
        elif items:
            self._fanout.exact(sender, items)

    def pad(self, sender: Sender, octets: int) -> None:
        """Send so many octets of what the viewer has already, as retransmissions: a probe of its path."""
        if sender.repair is None or sender.phase is not Phase.LIVE or sender.clogged:
            return
        track, found = self._floors[sender.layer].track, []
        for n, segment in itertools.islice(sender.numbering.newest(), PROBE_FROM):
            if (packet := track.get(n)) is not None and segment.layer == sender.layer:
                found.append((packet, n + segment.delta & 0xFFFF, segment))
        found.sort(key=lambda item: -len(item[0].data))
        items: list[Item] = []
        while found and octets > 0 and len(items) < PROBE_MOST:
            items.append(found[len(items) % len(found)])
            octets -= len(items[-1][0].data)
        if items:
            self._counters.probe_packets += len(items)
            self._fanout.again(sender, sender.repair, items)

    def picture_lost(self, sender: Sender, now_ms: int) -> None:
        """PLI or FIR: a publisher is asked for a key frame; of a camera the cached GOP is sent once more.

        The frames of the replay get new sequence numbers, and timestamps between the newest one sent and the next.
        A camera that stands is not replayed: its picture would move, and that of minutes ago would pass for now.
        """
        self._counters.pli += 1
        floor = self._floors[sender.layer]
        track = floor.track
        if track.published:
            self._ask(sender.layer)
            return
        standing = track.last_at is None or now_ms - track.last_at > STANDING_MS
        if sender.phase is Phase.LIVE and not standing and now_ms - sender.replayed_at >= REPLAY_EVERY_MS:
            self._remember(sender)
            if self._replay(sender):
                sender.replayed_at = now_ms
                self._counters.replays += 1
                return
        self._ask(sender.layer)  # of an encoder of ours; a camera cannot be asked

    def _replay(self, sender: Sender) -> bool:
        """The cached GOP once more for one who has seen a part of it; False when that cannot be.

        Not while the pacer holds packets, or a leg has brought a part of the newest frame: the rest would leave live,
        under its own timestamp, and again upon a NACK under the anchor's, two plaintexts under one number.
        """
        floor = self._floors[sender.layer]
        start, newest = floor.track.gop_start(), floor.track.get(floor.released)
        if self._pacer.busy or sender.aim != sender.layer or start is None or newest is None or not newest.marker:
            return False
        frames = self._frames(floor, start)
        spacing = max(1, min(SQUEEZED_MS * floor.track.rate // 1000, 1_800 // max(frames, 1)))
        shift = sender.numbering.segment.shift
        anchor = (newest.timestamp + shift + spacing * frames) & 0xFFFFFFFF
        first = anchor - spacing * (frames - 1)
        if sender.seen is not None and not 0 < (first - sender.seen.timestamp & 0xFFFFFFFF) < 0x80000000:
            return False  # it was replayed a moment ago, and time must not go back
        self.remove(sender)
        sender.numbering.begin(
            start, anchor_frame=newest.frame, anchor=anchor, spacing=spacing, layer=sender.layer, shift=shift
        )
        self._begin_turns(sender, start)
        return True

    def _jump(self, sender: Sender) -> None:
        """To another layer's cached GOP, drawn together: the layer of before comes no more, and nobody can be asked.

        Not while that would lead back in time: then a moment later.
        """
        floor = self._floors[sender.aim]
        start, newest = floor.track.gop_start(), floor.track.get(floor.released)
        if self._pacer.busy or start is None or newest is None or start > floor.released or not newest.marker:
            return
        self._remember(sender)
        frames = self._frames(floor, start)
        spacing = max(1, min(SQUEEZED_MS * floor.track.rate // 1000, 1_800 // max(frames, 1)))
        first = newest.timestamp + spacing
        if sender.seen is not None and not 0 < (first - sender.seen.timestamp & 0xFFFFFFFF) < 0x80000000:
            return
        self.remove(sender)
        sender.numbering.begin(
            start, anchor_frame=newest.frame, anchor=newest.timestamp + spacing * frames & 0xFFFFFFFF,
            spacing=spacing, layer=floor.track.layer,
        )  # fmt: skip
        sender.layer = sender.aim
        sender.temporal.reset()
        self._begin_turns(sender, start)

    def report(self, sender: Sender, name: str, now_ms: int) -> bytes | None:
        """A sender report and CNAME for this viewer; ``None`` while nothing was sent."""
        track = self._floors[sender.layer].track
        if sender.packets == 0 or (timestamp := track.timestamp_at(now_ms)) is None:
            return None
        ssrc, ntp = sender.ssrc or track.ssrc, rtcp.ntp_of(now_ms)
        timestamp = (timestamp + sender.numbering.segment.shift) & 0xFFFFFFFF
        return rtcp.sender_report(ssrc, ntp, timestamp, sender.packets, sender.octets) + rtcp.cname(ssrc, name)
