"""The simulated device's pure half."""

import random

import pytest
from typer.testing import CliRunner

from hub.cli import app
from hub.demo.gb_device import command
from hub.demo.gb_device.answers import Answers, KeyFrame, Reboot, Reply, TakePictures
from hub.demo.gb_device.camera import Head, Position
from hub.demo.gb_device.film import COLUMNS, ROWS, Film, Shot, sound_at, tone
from hub.demo.gb_device.fleet import odd
from hub.demo.gb_device.library import HOUR, Library
from hub.demo.gb_device.options import HELP, DeviceOptions, Quirk, parse_quirks
from hub.demo.gb_device.packing import Packer
from hub.demo.gb_device.player import Player
from hub.demo.gb_device.views import small_film
from hub.domain.errors import Invalid
from signaling.gb28181 import manscdp, ptz
from signaling.gb28181 import messages as m
from signaling.gb28181.items import HomePosition, PrecisePosition, SnapShot
from signaling.gb28181.ps import PsDemuxer
from signaling.sip.message import Request, parse

GOP = 5
FILM = Film(
    (tuple(Shot(bytes([0]), n % GOP == 0) for n in range(10)), tuple(Shot(bytes([1]), n % GOP == 0) for n in range(10)))
)


def device(*quirks: Quirk, **more: int) -> Answers:
    return Answers(DeviceOptions(quirks=frozenset(quirks), **{"channels": 5, **more}))  # type: ignore[arg-type] # ints


def test_every_misbehaviour_is_told_in_the_help() -> None:
    assert set(HELP) == set(Quirk)
    assert all(quirk.value in command.quirk_list() for quirk in Quirk)
    assert parse_quirks("loss, no-y") == {Quirk.LOSS, Quirk.NO_Y}
    with pytest.raises(Invalid):
        parse_quirks("loss,nonsense")


def test_a_head_moves_with_its_speed_until_it_is_stopped() -> None:
    head = Head()
    head.command(ptz.Move(pan=255, tilt=-255), 0.0)
    assert head.at(1.0) == Position(240.0, -30.0, 1.0)
    assert head.moving
    head.command(ptz.Move(), 2.0)
    stopped = head.at(2.0)
    assert head.at(100.0) == stopped
    assert stopped.pan == pytest.approx(300.0)


def test_a_head_stops_at_its_ends_and_pan_goes_round() -> None:
    head = Head()
    head.command(ptz.Move(pan=255, tilt=255, zoom=15), 0.0)
    assert head.at(60.0) == Position(180.0, 90.0, 16.0)


def test_presets_cruises_and_precise_positions_are_kept() -> None:
    head = Head()
    head.precise(10, 20, 3, 0.0)
    head.command(ptz.Preset("set", 2), 0.0)
    head.command(ptz.Move(pan=-255), 0.0)
    head.command(ptz.Preset("go", 2), 5.0)
    assert head.at(9.0) == Position(10, 20, 3)
    head.command(ptz.Cruise("add", 1, 2), 9.0)
    head.precise(359, 0, 1, 9.0)
    head.command(ptz.Cruise("start", 1), 9.0)
    assert head.at(9.0) == Position(10, 20, 3)
    head.command(ptz.Preset("delete", 2), 9.0)
    assert list(head.presets) == [1]
    head.command(ptz.Switch(1, True), 9.0)
    assert head.switches == {1: True}


def test_what_the_head_looks_at_chooses_the_picture() -> None:
    shots = (Shot(b"", True),)
    film = Film((shots,) * (1 + COLUMNS * ROWS))
    assert film.view_of(Position(0, 0, 1.0)) == 0
    seen = {film.view_of(Position(pan, tilt, 2.0)) for pan in range(0, 360, 5) for tilt in range(-30, 91, 5)}
    assert seen == set(range(1, 1 + COLUMNS * ROWS))
    assert Film((shots,)).view_of(Position(0, 0, 9)) == 0


def test_live_pictures_are_due_at_the_films_rate_and_a_new_view_begins_with_a_key_frame() -> None:
    player = Player(FILM, 100.0)
    cues = [player.take() for _ in range(3)]
    assert [cue.shot.key for cue in cues] == [True, False, False]
    assert [cue.pts for cue in cues] == [0, 3_600, 7_200]
    assert player.due() == pytest.approx(100.12)
    turned = player.take(1)
    assert (turned.shot, turned.pts) == (FILM.views[1][0], 10_800)
    assert not player.take(1).shot.key
    player.want_key()
    assert player.take(1).shot.key


def test_a_recording_can_be_paused_sought_and_sped_up_and_ends() -> None:
    player = Player(FILM, 0.0, length_s=10)
    player.take()
    player.pause()
    assert player.due() is None
    player.go(50.0)
    assert player.due() == pytest.approx(50.0)
    player.go(60.0, seek_s=8.0, scale=2.0)
    assert player.take().index == 200
    assert player.due() == pytest.approx(60.02)
    player.go(61.0, scale=16.0)
    keys = [player.take() for _ in range(4)]
    assert all(cue.shot.key for cue in keys)
    player.go(70.0, seek_s=10.0)
    assert player.finished
    assert player.due() is None


def test_recordings_are_hours_up_to_now() -> None:
    library = Library("c", 24)
    now = 1_000 * HOUR + 1_800
    found = library.find(now - 3 * HOUR, now + HOUR, now)
    assert [(each.start, each.end) for each in found][-1] == (1_000 * HOUR, now)
    assert len(found) == 4
    assert library.find(0, now, now, "alarm") == ()
    assert library.cut(0, now, now) == (now - 24 * HOUR, now)
    assert library.cut(now, now + 5, now) is None


def replies(answers: Answers, message: m.Message) -> list[tuple[float, m.Message | m.Unknown]]:
    return [
        (each.delay_s, manscdp.parse(each.body)) for each in answers.take(message, 0.0, 0) if isinstance(each, Reply)
    ]


def test_a_late_and_slow_catalog_says_when() -> None:
    """QUIRKS 7."""
    late = replies(device(Quirk.CATALOG_LATE, Quirk.CATALOG_SLOW), m.CatalogQuery(sn=1, device="34020000001180000001"))
    assert [delay for delay, _ in late] == [120, 125, 130, 135, 140]
    assert replies(device(Quirk.CATALOG_NEVER), m.CatalogQuery(sn=1, device="34020000001180000001")) == []


def test_one_channel_can_be_asked_for_and_a_stranger_gets_an_empty_catalog() -> None:
    answers = device()
    channel = answers.options.channel_id(2)
    pages = [page for _, page in replies(answers, m.CatalogQuery(sn=1, device=channel))]
    assert [[item.id for item in page.items] for page in pages if isinstance(page, m.Catalog)] == [[channel]]
    _, empty = replies(answers, m.CatalogQuery(sn=1, device="nobody"))[0]
    assert isinstance(empty, m.Catalog)
    assert (empty.total, empty.items) == (0, ())


def test_silly_heartbeats_and_shared_channels() -> None:
    """QUIRKS 5 and 8."""
    answers = device(Quirk.SILLY_HEARTBEAT)
    _, config = replies(answers, m.ConfigDownload(sn=1, device=answers.device))[0]
    assert isinstance(config, m.Config)
    assert config.basic is not None
    assert (config.basic.heartbeat_s, config.basic.heartbeat_misses) == (0, 0)
    first, second = device(Quirk.SHARED_CHANNELS, number=1), device(Quirk.SHARED_CHANNELS, number=2)
    assert first.device != second.device
    assert set(first.channels) == set(second.channels)
    assert not set(device(number=1).channels) & set(device(number=2).channels)


def test_controls_change_the_channel_and_have_effects() -> None:
    answers = device()
    channel = next(iter(answers.channels.values()))

    def control(**given: object) -> list[object]:
        message = m.DeviceControl(sn=1, device=channel.id, **given)  # type: ignore[arg-type] # any of its fields
        return list(answers.take(message, 0.0, 0))

    assert control(ptz=ptz.encode(ptz.Preset("set", 9))) == []
    assert 9 in channel.head.presets
    assert control(ptz="A50F") == []
    assert answers.refused == 1
    assert control(precise=PrecisePosition(pan=5.0)) == []
    assert channel.head.at(0.0).pan == 5.0
    assert control(keyframe=True) == [KeyFrame(channel)]
    assert control(reboot=True) == [Reboot()]
    assert isinstance(control(snapshot=SnapShot(upload_url="http://h/"))[1], TakePictures)
    control(record=False)
    control(home=HomePosition(enabled=True, preset=3))
    assert (channel.recording, channel.head.home.preset, channel.head.home.reset_s) == (False, 3, 60)
    message = m.DeviceControl(sn=1, device="nobody", guard=True)
    answer = answers.take(message, 0.0, 0)[0]
    assert isinstance(answer, Reply)
    assert manscdp.parse(answer.body) == m.ControlResponse(sn=1, device="nobody", result=False)


def test_packets_hold_what_the_film_holds() -> None:
    film, sound = small_film(1, (64, 48)), tone()
    packer, demuxer, player = Packer(DeviceOptions(), 7), PsDemuxer(), Player(film, 0.0)
    units = []
    for _ in range(20):
        cue = player.take()
        for packet in packer.packets(cue, sound_at(cue.index, sound)):
            units += demuxer.feed(packet[12:], marker=bool(packet[1] & 0x80))
    assert len([unit for unit in units if unit.codec == "h264"]) >= 19
    assert len([unit for unit in units if unit.codec == "pcma"]) >= 18
    assert len(tone()) == 8_000


def test_odd_headers_are_still_the_same_message() -> None:
    """QUIRKS 4 and 9."""
    plain = (
        b"MESSAGE sip:1@3402000000 SIP/2.0\r\nVia: SIP/2.0/UDP 1.1.1.1:5060;branch=z9hG4bK1\r\n"
        b"From: <sip:2@3402000000>;tag=1\r\nTo: <sip:1@3402000000>\r\nCall-ID: 5\r\nCSeq: 1 MESSAGE\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 3\r\n\r\na:b"
    )
    changed = odd(plain, frozenset({Quirk.PADDED_LENGTH, Quirk.COMPACT_HEADERS}))
    assert b"\r\nl:     3\r\n" in changed
    message = parse(changed)
    assert isinstance(message, Request)
    assert (message.call_id, message.body) == ("5", b"a:b")


def test_loss_is_one_percent_and_repeatable() -> None:
    options = DeviceOptions(quirks=frozenset({Quirk.LOSS}))
    shot = Shot(b"\0\0\0\1\x65" + random.Random(1).randbytes(140_000), True)
    film = Film(((shot,),))
    player = Player(film, 0.0)
    packer = Packer(options, 1, seed=3)
    sent = sum(len(packer.packets(player.take(), b"")) for _ in range(100))
    whole = Packer(DeviceOptions(), 1)
    player = Player(film, 0.0)
    all_of_them = sum(len(whole.packets(player.take(), b"")) for _ in range(100))
    assert 0.985 < sent / all_of_them < 0.995


@pytest.mark.parametrize(
    "arguments",
    [["--server", "nonsense"], ["--transport", "sctp"], ["--edition", "2019"], ["--sound", "mp3"], ["--quirks", "x"],
     ["--film", "/no/file"], ["--first", "990", "--devices", "20"], ["--password-file", "/no/file"], ["--domain", "x"]],
)  # fmt: skip
def test_the_command_says_in_one_line_what_is_wrong(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["demo", "device", "--film", "small", "--seconds", "0.1", *arguments])
    assert result.exit_code == 1
    assert result.output.strip().splitlines()[-1].startswith("sharpeyes: ")


def test_the_command_lists_misbehaviours_and_ends_by_itself() -> None:
    listed = CliRunner().invoke(app, ["demo", "device", "--quirks", "list"])
    assert listed.exit_code == 0
    assert "catalog-late" in listed.output
    ran = CliRunner().invoke(app, ["demo", "device", "--film", "small", "--server", "127.0.0.1:9", "--seconds", "0.3"])
    assert ran.exit_code == 0
    assert "devices 1  online 0" in ran.output
