"""A relay's /metrics, read as Prometheus reads them: every figure is described, and nothing is told twice."""

from dataclasses import fields
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from hub.media.peer.counters import TEXTS, Counters
from hub.media.sources.units import Figures
from tests.integration.test_relay_node import Rig, relay


async def test_every_figure_is_described_and_is_told_once(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig:
        text = (await rig.http.get(f"{rig.url}/metrics")).text
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert all(name.startswith("sharpeyes_relay_") for name in names)
    for family in families:
        assert len(family.documentation) > 10, family.name
        assert family.type in ("counter", "gauge"), family.name
        assert family.samples, family.name
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample.name
            assert sample.value >= 0.0
    for counter in fields(Counters):
        assert TEXTS[counter.name]
        for room in ("peer", "leg"):
            assert f"sharpeyes_relay_{room}_{counter.name}" in names
    for figure in fields(Figures):
        assert f"sharpeyes_relay_source_{figure.name}" in names


async def test_totals_do_not_fall_when_a_camera_is_forgotten(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig:
        await rig.put("cam-1", pictures_every_ms=1_000)
        await rig.until("cam-1", lambda state: state.state == "live")
        before = (await figure(rig, "units"), await figure(rig, "opened"))
        assert min(before) > 0
        await rig.relays.delete_stream(rig.url, "cam-1")
        assert (await figure(rig, "units"), await figure(rig, "opened")) >= before
        await rig.put("cam-2", pictures_every_ms=1_000)
        await rig.until("cam-2", lambda state: state.state == "live")
        assert await figure(rig, "opened") == before[1] + 1


async def figure(rig: Rig, name: str) -> float:
    text = (await rig.http.get(f"{rig.url}/metrics")).text
    lines = [line.split() for line in text.splitlines() if line.startswith(f"sharpeyes_relay_source_{name}_total ")]
    return float(lines[0][1])
