"""Films of the simulated devices: kept as files, and the sound beside them."""

from pathlib import Path

import av
import numpy as np

from hub.demo.gb_device.film import Film, Shot, load, save, tone
from hub.demo.gb_town import DEVICES, GB_ID, device_options, password_of, with_gateway
from hub.demo.town import UNITS
from hub.settings import Settings

FILM = Film(((Shot(b"key", True), Shot(b"next", False)), (Shot(b"k", True), Shot(b"", False))), 25)


def test_a_film_comes_back_as_it_was_saved_and_not_at_all_when_outdated_or_damaged(tmp_path: Path) -> None:
    path = tmp_path / "one.film"
    assert load(path, "v1") is None
    save(FILM, path, "v1")
    assert load(path, "v1") == FILM
    assert load(path, "v2") is None
    path.write_bytes(path.read_bytes()[:-1])
    assert load(path, "v1") is None
    path.write_bytes(b"\x00\n")
    assert load(path, "v1") is None


def test_the_tone_is_what_a_g711_decoder_expects() -> None:
    decoder = av.CodecContext.create("pcm_alaw", "r")
    decoder.sample_rate, decoder.layout = 8_000, "mono"
    (frame,) = decoder.decode(av.Packet(tone(440.0)))
    samples = frame.to_ndarray().reshape(-1).astype(float)
    wanted = np.sin(np.arange(8_000) * 2 * np.pi * 440 / 8_000) * 6_000
    assert np.abs(samples - wanted).max() < 200


def test_the_demo_has_twenty_cameras_by_gb28181_of_units_that_exist(tmp_path: Path) -> None:
    assert sum(len(device.channels) for device in DEVICES) == 20
    assert {device.unit for device in DEVICES} <= {unit.id for unit in UNITS}
    settings = with_gateway(Settings(data=tmp_path, port=9000, demo=True))
    assert (settings.gb_id, settings.sip_port) == (GB_ID, 9003)
    (tmp_path / "secrets").mkdir()
    passwords = {device_options(settings, device).password for device in DEVICES}
    assert len(passwords) == 4
    assert all(len(password) == 20 for password in passwords)
    assert password_of("another installation", DEVICES[0].name) != password_of("this one", DEVICES[0].name)


def test_what_somebody_chose_for_the_demo_stays(tmp_path: Path) -> None:
    settings = with_gateway(Settings(data=tmp_path, port=9000, sip_port=5060, gb_id="51010000002000000001"))
    assert (settings.gb_id, settings.sip_port, settings.gb_media_ports) == ("51010000002000000001", 5060, "")
