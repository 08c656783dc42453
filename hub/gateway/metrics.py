"""The gateway's figures in Prometheus form."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.gateway.devices import Devices
from hub.gateway.reports import Reports


class _Figures(Collector):
    def __init__(self, devices: Devices, reports: Reports, counts: Mapping[str, Mapping[str, int]]) -> None:
        self._devices = devices
        self._reports = reports
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        states = GaugeMetricFamily("sharpeyes_gateway_devices", "Devices by state", labels=["state"])
        found: dict[str, int] = {}
        for known in self._devices.registered.all():
            found[known.phase.value] = found.get(known.phase.value, 0) + 1
        for state, count in sorted(found.items()):
            states.add_metric([state], count)
        yield states
        yield GaugeMetricFamily("sharpeyes_gateway_calls", "Calls that run", sum(self._devices.calls.values()))
        yield CounterMetricFamily("sharpeyes_gateway_reports_dropped", "Reports lost", self._reports.dropped)
        for room, counts in self._counts.items():
            for name, value in sorted(counts.items()):
                text = f"Total of {name}: {room}"
                yield CounterMetricFamily(f"sharpeyes_gateway_{room}_{name}", text, value)


def registry(devices: Devices, reports: Reports, counts: Mapping[str, Mapping[str, int]]) -> CollectorRegistry:
    """A registry of this gateway alone; ``counts`` are counters by room, read when somebody asks."""
    found = CollectorRegistry(auto_describe=False)
    found.register(_Figures(devices, reports, counts))
    return found
