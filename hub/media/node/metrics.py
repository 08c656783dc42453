"""A relay's figures for Prometheus, read when they are asked for."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.media.node.feed import Feed
from hub.media.node.manager import Streams
from hub.media.node.outbox import Outbox
from hub.media.peer.counters import TEXTS
from hub.media.peer.server import PeerServer
from hub.media.sources.units import Figures
from hub.media.transcode.pool import Pool

STATES: Final = ("idle", "connecting", "live", "frozen", "failed")
SOURCE: Final = {
    "units": "Access units that sources brought",
    "bytes": "Octets that sources brought",
    "opened": "Connections to cameras and relays that were opened",
    "packets": "RTP packets that cameras and legs sent",
    "lost": "Packets that never came",
    "late": "Packets that came after their turn, or twice",
    "malformed": "Packets that are not what they should be",
    "dropped": "Pictures and sounds that could not be put together, or found no room",
}
TRANSCODE: Final = {
    "active": "Pictures being transcoded",
    "sounds": "Sounds being transcoded",
    "started": "Processes that were started for transcoding",
    "refused": "Requests for transcoding over the limit",
    "failed": "Transcodings that broke",
    "frames_in": "Frames given to be transcoded",
    "frames_out": "Frames that were made",
    "dropped": "Frames that found no room on the way to be transcoded",
    "keyframes": "Key frames asked of encoders",
}


class _Figures(Collector):
    def __init__(self, streams: Streams, peers: PeerServer, outbox: Outbox, pool: Pool) -> None:
        self._streams = streams
        self._peers = peers
        self._outbox = outbox
        self._pool = pool
        self._feeds: dict[Feed, dict[str, int]] = {}  # what was told of each
        self._past: Counter[str] = Counter()  # of those that are gone

    def collect(self) -> Iterator[Metric]:
        """Everything at this moment."""
        states = Counter(state.state for state in self._streams.states())
        family = GaugeMetricFamily("sharpeyes_relay_streams", "Streams by state", labels=["state"])
        for name in STATES:
            family.add_metric([name], states[name])
        yield family
        yield GaugeMetricFamily("sharpeyes_relay_sessions", "WHEP and WHIP sessions", len(self._peers.sessions))
        native = float(self._peers.fanout == "native")
        yield GaugeMetricFamily("sharpeyes_relay_fanout_native", "1 where the compiled half forwards packets", native)
        yield GaugeMetricFamily("sharpeyes_relay_outlets", "Readers over HTTP", len(self._streams.outlets))
        yield GaugeMetricFamily(
            "sharpeyes_relay_picture_bytes", "Pictures kept for vision, bytes", self._streams.shelf.bytes
        )
        yield CounterMetricFamily("sharpeyes_relay_cpu_seconds", "Processor time of the relay", time.process_time())
        yield CounterMetricFamily(
            "sharpeyes_relay_bus_dropped", "Reports and pictures lost to a Redis outage", self._outbox.dropped
        )
        yield from self._legs()
        yield from self._sources()
        yield from self._transcoding()
        counters, dialled = self._peers.counters, self._streams.legs.tally.as_dict()
        for name, text in sorted(TEXTS.items()):
            yield CounterMetricFamily(f"sharpeyes_relay_peer_{name}", text, counters[name])
            yield CounterMetricFamily(
                f"sharpeyes_relay_leg_{name}", f"On legs dialled from here: {text}", dialled[name]
            )

    def _sources(self) -> Iterator[Metric]:
        """Totals of all cameras and legs, also of those that were forgotten since they were last asked for."""
        now = {
            feed: {
                "units": feed.health.units, "bytes": feed.health.bytes, "opened": feed.opened,
                **{each.name: getattr(feed.figures, each.name) for each in fields(Figures)},
            }
            for feed in self._streams.feeds
        }  # fmt: skip
        for feed, last in self._feeds.items():
            if feed not in now:
                self._past.update(last)
        self._feeds = now
        totals = Counter(self._past)
        for figures in now.values():
            totals.update(figures)
        for name, text in SOURCE.items():
            yield CounterMetricFamily(f"sharpeyes_relay_source_{name}", text, totals[name])

    def _legs(self) -> Iterator[Metric]:
        """Streams of other relays that are open here, ours that are open there, and what was lost on the way."""
        legs = [feed for feed in self._streams.feeds if feed.config.kind == "leg"]
        lost = sum(feed.figures.lost for feed in legs)
        yield GaugeMetricFamily(
            "sharpeyes_relay_legs", "Legs from other relays", sum(feed.flowing.is_set() for feed in legs)
        )
        yield GaugeMetricFamily("sharpeyes_relay_legs_pushed", "Legs to other relays", self._streams.legs.pushes)
        yield GaugeMetricFamily("sharpeyes_relay_leg_lost", "Packets lost for good on the legs of now", lost)
        yield GaugeMetricFamily("sharpeyes_relay_draining", "1 while it takes nothing new", self._streams.draining)

    def _transcoding(self) -> Iterator[Metric]:
        figures = self._pool.figures()
        cpu = figures.pop("cpu_us") / 1e6
        yield CounterMetricFamily("sharpeyes_relay_transcode_cpu_seconds", "Processor time of transcoding", cpu)
        for name in ("active", "sounds"):
            yield GaugeMetricFamily(f"sharpeyes_relay_transcode_{name}", TRANSCODE[name], figures.pop(name))
        for name, value in figures.items():
            yield CounterMetricFamily(f"sharpeyes_relay_transcode_{name}", TRANSCODE[name], value)


def registry(streams: Streams, peers: PeerServer, outbox: Outbox, pool: Pool) -> CollectorRegistry:
    """A registry of this relay alone."""
    found = CollectorRegistry(auto_describe=False)
    found.register(_Figures(streams, peers, outbox, pool))
    return found
