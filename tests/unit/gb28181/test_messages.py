"""Every message in both directions."""

import dataclasses
from typing import Any

import pytest

from signaling.gb28181 import manscdp, xml
from signaling.gb28181 import messages as m
from signaling.gb28181.errors import GbError
from signaling.gb28181.ids import Kind
from signaling.gb28181.items import (
    AlarmReset,
    AlarmState,
    AlarmType,
    BasicParam,
    Card,
    ChannelInfo,
    CruisePoint,
    CruiseTrack,
    DragZoom,
    HomePosition,
    Item,
    PrecisePosition,
    PresetItem,
    Record,
    SnapShot,
    VideoParamOpt,
)

DEVICE = "34020000001110000001"
CHANNEL = "34020000001320000001"
ITEM = Item(
    id=CHANNEL, name="北门", manufacturer="M", model="P", owner="O", civil_code="340200", address="a&b", parental=False,
    parent_id=DEVICE, safety_way=0, register_way=1, secrecy=0, status=True, longitude=120.5, latitude=31.25,
    info=ChannelInfo(ptz_type=1),
)  # fmt: skip
RECORD = Record(
    id=CHANNEL, name="r", path="/1", address="a", start=1_782_000_000, end=1_782_003_600, type="time", size=5
)
HEAD: dict[str, Any] = {"sn": 7, "device": DEVICE}
ALL: list[m.Message] = [
    m.Keepalive(**HEAD),
    m.AlarmNotify(**HEAD, priority=1, method=5, at=1_782_000_000, description="越界", info=AlarmType(type=5)),
    m.CatalogNotify(**HEAD, total=1, items=(dataclasses.replace(ITEM, event="UPDATE"),)),
    m.PositionNotify(**HEAD, at=1_782_000_000, longitude=120.1234567, latitude=31.2, speed=3.5, direction=9),
    m.MediaStatus(**HEAD),
    m.BroadcastNotify(sn=7, source=DEVICE, target=CHANNEL),
    m.SnapShotFinished(**HEAD, session="s" * 32, files=("a.jpg", "b.jpg")),
    m.CatalogQuery(**HEAD), m.DeviceInfoQuery(**HEAD), m.DeviceStatusQuery(**HEAD),
    m.RecordQuery(**HEAD, start=1_782_000_000, end=1_782_003_600),
    m.AlarmQuery(**HEAD), m.PositionQuery(**HEAD, interval_s=5), m.ConfigDownload(**HEAD), m.PresetQuery(**HEAD),
    m.HomePositionQuery(**HEAD), m.CruiseListQuery(**HEAD), m.CruiseQuery(**HEAD, number=3), m.PtzPositionQuery(**HEAD),
    m.CardQuery(**HEAD),
    m.Catalog(**HEAD, total=2, items=(ITEM, dataclasses.replace(ITEM, id="2", info=None))),
    m.DeviceInfo(**HEAD, name="北门", result=True, manufacturer="M", model="P", firmware="1", channels=16),
    m.DeviceStatus(**HEAD, result=True, online=True, status=True, encode=True, record=False, device_time=1_782_000_000,
                   alarms=(AlarmState(id=CHANNEL, duty="ONDUTY"),)),
    m.RecordInfo(**HEAD, name="n", total=1, items=(RECORD,)),
    m.AlarmResponse(**HEAD), m.PositionResponse(**HEAD, result=False),
    m.ControlResponse(**HEAD), m.ConfigResponse(**HEAD),
    m.Config(**HEAD, result=True, basic=BasicParam(name="n", expires_s=3600, heartbeat_s=60, heartbeat_misses=3),
             video=VideoParamOpt(download_speed="1/2/4", resolution="4/5/6")),
    m.BroadcastResponse(**HEAD),
    m.Presets(**HEAD, items=(PresetItem(id="1", name="门"),)),
    m.HomePositionInfo(**HEAD, home=HomePosition(enabled=True, reset_s=60, preset=1)),
    m.CruiseList(**HEAD, total=1, items=(CruiseTrack(number=1, name="c"),)),
    m.Cruise(**HEAD, number=1, name="c", total=1, points=(CruisePoint(preset=1, stay_s=5, speed=3),)),
    m.PtzPosition(**HEAD, pan=10.5, tilt=-3, zoom=2),
    m.CardStatus(**HEAD, total=1, cards=(Card(id=1, name="SD", status="ok", capacity_mb=100, free_mb=50),)),
    m.DeviceControl(**HEAD, ptz="A50F0108004F000C"), m.DeviceControl(**HEAD, reboot=True),
    m.DeviceControl(**HEAD, record=False),
    m.DeviceControl(**HEAD, guard=True), m.DeviceControl(**HEAD, reset_alarm=True, alarm=AlarmReset(method="2")),
    m.DeviceControl(**HEAD, keyframe=True), m.DeviceControl(**HEAD, zoom_in=DragZoom(length=1, width=2, length_x=3)),
    m.DeviceControl(**HEAD, home=HomePosition(enabled=False)),
    m.DeviceControl(**HEAD, precise=PrecisePosition(pan=359.5, tilt=-10, zoom=1)),
    m.DeviceConfig(**HEAD, basic=BasicParam(name="n")),
    m.DeviceConfig(**HEAD, snapshot=SnapShot(count=2, interval_s=1, upload_url="http://h/u?a=1&b=2", session="s" * 32)),
]  # fmt: skip


@pytest.mark.parametrize("message", ALL, ids=lambda each: f"{each.ROOT}-{each.CMD}")
@pytest.mark.parametrize("charset", ["gb18030", "utf-8"])
def test_every_message_is_read_as_it_was_written(message: m.Message, charset: str) -> None:
    assert manscdp.parse(manscdp.write(message, "utf-8" if charset == "utf-8" else "gb18030")) == message


def test_every_type_that_is_read_is_in_this_test() -> None:
    assert {type(each) for each in ALL} == set(m.TYPES.values())


def test_a_keepalive_is_read_alike_by_the_short_way_and_by_the_parser() -> None:
    body = manscdp.write(m.Keepalive(sn=43, device=DEVICE))
    assert manscdp.parse(body) == manscdp.from_node(xml.parse(body)) == m.Keepalive(sn=43, device=DEVICE)


def test_elements_stand_in_the_standards_order() -> None:
    """2016 A.2.5.2."""
    text = manscdp.write(ALL[1]).decode("gb18030")
    tags = ["CmdType", "SN", "DeviceID", "AlarmPriority", "AlarmMethod", "AlarmTime", "AlarmDescription", "Info"]
    assert sorted(tags, key=lambda tag: text.index(f"<{tag}>")) == tags


def test_quirk_6_media_status_names_the_call_by_nothing_but_its_dialog() -> None:
    """QUIRKS 6: its From and DeviceID may be anybody's; the body alone tells no call."""
    body = (
        b"<Notify><CmdType>MediaStatus</CmdType><SN>8</SN><DeviceID>1</DeviceID><NotifyType>121</NotifyType></Notify>"
    )
    assert manscdp.parse(body) == m.MediaStatus(sn=8, device="1", type=121)


def test_quirk_9_a_query_for_recordings_says_type_all() -> None:
    """QUIRKS 9: Dahua."""
    text = manscdp.write(m.RecordQuery(sn=1, device=CHANNEL, start=0, end=60)).decode()
    assert "<Type>all</Type>" in text
    assert "<StartTime>1970-01-01T08:00:00</StartTime>" in text


def test_quirk_11_the_key_frame_command_is_spelled_as_in_the_standard() -> None:
    """QUIRKS 11: IFameCmd; the corrected spelling of 2022 is read too."""
    assert b"<IFameCmd>Send</IFameCmd>" in manscdp.write(m.DeviceControl(sn=1, device=CHANNEL, keyframe=True))
    head = b"<Control><CmdType>DeviceControl</CmdType><SN>1</SN><DeviceID>1</DeviceID>"
    body = head + b"<IFrameCmd>Send</IFrameCmd></Control>"
    assert manscdp.parse(body) == m.DeviceControl(sn=1, device="1", keyframe_2022=True)


def test_quirk_11_ptz_types_up_to_seven_are_taken() -> None:
    """QUIRKS 11; inside Info or beside it."""
    inside = xml.parse(b"<Item><DeviceID>1</DeviceID><Info><PTZType>7</PTZType></Info></Item>")
    beside = xml.parse(b"<Item><DeviceID>1</DeviceID><PTZType>3</PTZType></Item>")
    wrong = xml.parse(b"<Item><DeviceID>1</DeviceID><PTZType>88</PTZType></Item>")
    root = xml.Node("response", children=[xml.Node("devicelist", children=[inside, beside, wrong])])
    root.children.append(xml.Node("cmdtype", text="Catalog"))
    message = manscdp.from_node(root)
    assert isinstance(message, m.Catalog)
    assert [item.ptz for item in message.items] == [7, 3, 0]


def test_senseless_values_are_as_if_absent() -> None:
    body = (
        b"<Response><CmdType>Catalog</CmdType><SN>x</SN><SumNum>-4</SumNum><DeviceList>"
        b"<Item><Name>none</Name></Item>"
        b"<Item><DeviceID>9</DeviceID><Longitude>NaN</Longitude><Latitude>1e999</Latitude><Port>77777</Port>"
        b"<Status>?</Status><ParentID>9/8/8/7</ParentID></Item></DeviceList></Response>"
    )
    message = manscdp.parse(body)
    assert isinstance(message, m.Catalog)
    assert (message.sn, message.total, len(message.items)) == (0, None, 1)
    item = message.items[0]
    assert (item.longitude, item.place, item.port, item.status) == (None, None, None, None)
    assert item.parents == ("8", "7")
    assert item.kind is Kind.CHANNEL


def test_unknown_commands_are_kept_for_the_trace() -> None:
    body = b"<Query><CmdType>Weather</CmdType><SN>3</SN><DeviceID>4</DeviceID></Query>"
    found = manscdp.parse(body)
    assert isinstance(found, m.Unknown)
    assert (found.root, found.cmd, found.sn, found.device) == ("query", "Weather", 3, "4")


@pytest.mark.parametrize("body", [b"<html><CmdType>Catalog</CmdType></html>", b"<Query><SN>1</SN></Query>"])
def test_xml_that_is_no_manscdp_is_refused(body: bytes) -> None:
    with pytest.raises(GbError) as refused:
        manscdp.parse(body)
    assert refused.value.code == "gb28181.manscdp"


def test_a_configuration_nobody_typed_can_be_shown() -> None:
    node = xml.parse(
        b"<Response><CmdType>ConfigDownload</CmdType><SVACEncodeConfig><ROI><N>2</N></ROI></SVACEncodeConfig></Response>"
    )
    assert manscdp.flatten(node) == {"cmdtype": "ConfigDownload", "svacencodeconfig/roi/n": "2"}
