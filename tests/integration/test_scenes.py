"""The demo's video: what browsers and relays rely on, and what the demonstration model sees in it."""

import json
from pathlib import Path

import av
import pytest

from hub.api.schemas.rules import CrowdParams, IntrusionParams
from hub.demo import scene_parts, scenes
from hub.demo.cameras_list import CAMERAS, SceneCamera
from hub.demo.film import nal_type, read_film, split_nals
from hub.demo.scenes import FPS, GOP, HEIGHT, WIDTH, access_units, ensure_scenes
from hub.domain.errors import Unavailable
from hub.models import PACKAGED
from tests.integration import scenes_rig
from vision.frames import Frame
from vision.pipeline import Pipeline, RuleConfig
from vision.yolo import YoloDetector


def test_there_are_twelve_cameras_that_all_look_different() -> None:
    assert [camera.id for camera in CAMERAS] == [f"cam-{n:02d}" for n in range(1, 13)]
    assert len({camera.name for camera in CAMERAS}) == 12
    assert len({scenes._fingerprint(camera) for camera in CAMERAS}) == 12
    middles = [scenes.Renderer(camera).frame(100) for camera in CAMERAS]
    for n, one in enumerate(middles):
        for other in middles[n + 1 :]:
            assert abs(one.astype(int) - other.astype(int)).mean() > 5


def test_the_rules_of_the_list_are_such_as_the_interface_accepts() -> None:
    kinds = set()
    for rule in (rule for camera in CAMERAS for rule in camera.rules):
        (CrowdParams if rule.kind == "crowd" else IntrusionParams).model_validate(rule.params)
        kinds.add(rule.kind)
    assert kinds == {"crowd", "intrusion"}


@pytest.mark.parametrize("camera", scenes_rig.WANTED)
def test_every_group_begins_with_its_parameter_sets_and_nothing_refers_backwards_in_time(camera: str) -> None:
    units = access_units(scenes_rig.encoded()[camera])
    assert len(units) % GOP == 0
    for number, unit in enumerate(units):
        kinds = [nal_type(nal, "h264") for nal in split_nals(unit)]
        key = number % GOP == 0
        assert kinds[0] == 9
        assert (7 in kinds, 8 in kinds, 5 in kinds) == (key, key, key)
    sps = next(nal for nal in split_nals(units[0]) if nal_type(nal, "h264") == 7)
    profile, flags, level = sps[1:4]
    assert (profile, level) == (0x42, 31)
    assert flags & 0xC0 == 0xC0  # constrained baseline: what 42e01f offers


def test_the_loop_decodes_over_its_seam_in_order_without_reordering() -> None:
    units = access_units(scenes_rig.encoded()["cam-09"])
    codec = av.CodecContext.create("h264", "r")
    frames = [frame for unit in units[-GOP:] + units[:GOP] for frame in codec.decode(av.Packet(unit))]
    frames += codec.decode(None)
    assert len(frames) == 2 * GOP
    assert {(frame.width, frame.height) for frame in frames} == {(WIDTH, HEIGHT)}
    assert all(frame.pict_type != av.video.frame.PictureType.B for frame in frames)


def test_the_bit_rate_suits_a_town_of_cameras() -> None:
    for path in scenes_rig.encoded().values():
        seconds = len(access_units(path)) / FPS
        assert 0.2e6 < path.stat().st_size * 8 / seconds < 2.2e6


def test_the_demo_camera_server_reads_the_files() -> None:
    path = scenes_rig.encoded()["cam-03"]
    film = read_film(path)
    assert len(film.frames) == len(access_units(path))
    assert sum(frame.key for frame in film.frames) == len(film.frames) // GOP


RAISED = {"cam-01": "crowd", "cam-03": "intrusion", "cam-05": "crowd", "cam-07": None, "cam-11": "intrusion"}


def test_the_rules_of_the_demo_fire_once_a_loop_and_rest_in_between(tmp_path: Path) -> None:
    """Real inference over the second and third loop of each watched camera, one picture each 2 s."""
    watched = [camera for camera in CAMERAS if camera.rules]
    assert {camera.id for camera in watched} == set(RAISED)
    pipeline = Pipeline(YoloDetector(PACKAGED, config_folder=tmp_path))
    for camera in watched:
        renderer = scenes.Renderer(camera)
        rules = [RuleConfig(rule.id, rule.kind, rule.params) for rule in camera.rules]
        fired: list[str] = []
        pictures = [renderer.frame(index) for index in range(0, renderer.play.seconds * FPS, GOP)]
        for number, picture in enumerate(pictures * 3):
            look = pipeline.look(Frame(camera.id, 2_000 * number, picture), rules)
            if number >= len(pictures):  # the first loop may begin in the middle of things
                fired += [found.kind for found in look.findings if not found.repeat]
        kind = RAISED[camera.id]
        assert fired == ([] if kind is None else [kind, kind]), camera.id


SHORT = SceneCamera("cam-99", "试验", "Trial", "city", "photo", "pan")


def test_a_second_run_encodes_nothing_and_a_changed_scene_is_encoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def write(path: Path, camera: SceneCamera) -> None:
        made.append(camera.id)
        path.write_bytes(b"film")

    monkeypatch.setattr(scenes, "_write", write)
    told: list[tuple[int, int]] = []
    ensure_scenes(tmp_path, [SHORT, CAMERAS[0]], lambda done, whole: told.append((done, whole)))
    assert told == [(0, 2), (1, 2), (2, 2)]
    ensure_scenes(tmp_path, [SHORT, CAMERAS[0]])
    assert len(made) == 2
    (tmp_path / "cam-99.h264").write_bytes(b"cut")  # damaged
    ensure_scenes(tmp_path, [SHORT])
    assert made[2:] == ["cam-99"]
    ensure_scenes(tmp_path, [SceneCamera("cam-99", "改名", "Trial", "city", "photo", "pan")])
    assert made[3:] == ["cam-99"]
    (tmp_path / "manifest.json").write_text("[]")
    ensure_scenes(tmp_path, [SHORT])
    assert made[4:] == ["cam-99"]
    assert "cam-99" in json.loads((tmp_path / "manifest.json").read_text())["cameras"]


def test_a_failed_encoding_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: scenes.Renderer, index: int) -> None:
        raise MemoryError

    monkeypatch.setattr(scenes.Renderer, "frame", broken)
    with pytest.raises(MemoryError):
        ensure_scenes(tmp_path, [SHORT])
    assert list(tmp_path.iterdir()) == []


def test_missing_pictures_and_a_folder_that_cannot_be_written_are_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "demo").write_text("a file where a folder is needed")
    assert scenes.main([str(tmp_path)]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    with pytest.raises(Unavailable, match="nothing"):
        scene_parts.asset("nothing.jpg")


def test_a_file_that_is_no_scene_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.h264").write_bytes(b"hello")
    with pytest.raises(Unavailable):
        access_units(tmp_path / "x.h264")
