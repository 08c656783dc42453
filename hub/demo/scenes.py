"""The demo cameras' video: rendered and encoded once, then looped by the demo's RTSP server.

Each file is H.264 Annex B, constrained baseline level 3.1 (720p25), one key frame every 2 s with its parameter
sets before it, an access unit delimiter before every picture and no B-frames, so that any access unit may follow
the last one of the loop and browsers decode it unchanged. Read it with ``access_units``.
"""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Colorspace

from hub.demo import scene_parts, scene_script
from hub.demo.cameras_list import CAMERAS, SceneCamera, View
from hub.demo.scene_parts import Picture, Sprite
from hub.domain.errors import Unavailable

VERSION: Final = 1  # raise it when the rendering changes: old files are then made again
WIDTH, HEIGHT, FPS, GOP = 1280, 720, 25, 50
MAX_FILE: Final = 64 * 1024 * 1024
_X264: Final = {
    "preset": "veryfast",
    "profile": "baseline",
    "level": "3.1",
    "crf": "25",
    "x264-params": (
        "keyint=50:min-keyint=50:scenecut=0:open-gop=0:bframes=0:ref=1:repeat-headers=1:aud=1:threads=1:"
        "vbv-maxrate=2200:vbv-bufsize=2200:colorprim=bt709:transfer=bt709:colormatrix=bt709"
    ),
}
_FONT: Final = "uni"  # OpenCV's built-in font, which draws Chinese without any font of the system


@dataclass(slots=True)
class Renderer:
    """Draws one camera's frames. Not shared between threads."""

    camera: SceneCamera
    _street: Picture = field(init=False)
    _stage: Picture = field(init=False)
    _cast: dict[tuple[str, int], Sprite] = field(init=False, default_factory=dict)
    _still: Picture | None = field(init=False, default=None)
    _font: cv2.FontFace = field(init=False)

    def __post_init__(self) -> None:
        self._street = scene_parts.asset("bus.jpg")
        zone = self.camera.script == "intruder"
        self._stage = scene_parts.backdrop(self._street, self.camera.backdrop, self.camera.look, zone=zone)
        self._font = cv2.FontFace(_FONT)

    @property
    def play(self) -> scene_script.Play:
        """The script of this camera."""
        return scene_script.PLAYS[self.camera.script]

    def frame(self, index: int) -> Picture:
        """The picture number ``index`` of the loop, BGR."""
        play = self.play
        shown = index / FPS
        at = (shown + self.camera.phase) % play.seconds
        picture = self._background(at)
        scale = WIDTH / self.camera.view.width
        for actor, x, y, speed in scene_script.drawn_order(play.actors, at):
            bob = abs(np.sin(at * 7.5)) * 5 if speed and actor.figure != "bus" else 0.0
            height = 335.0 if actor.figure == "bus" else scene_script.stature(y)
            sprite = self._figure(actor).sized(height * scale, mirror=actor.mirror)
            left = (x - self.camera.view.x) * scale - sprite.alpha.shape[1] / 2
            foot = (y - bob - self.camera.view.y) * scale
            if actor.figure != "bus":
                _shadow(picture, left + sprite.alpha.shape[1] / 2, foot, sprite.alpha.shape[1])
            _lay(picture, sprite, round(left), round(foot - sprite.alpha.shape[0]))
        if self.camera.mirror:
            picture = np.asarray(cv2.flip(picture, 1), np.uint8)
        self._caption(picture, shown)
        return picture

    def _figure(self, actor: scene_script.Actor) -> Sprite:
        key = (actor.figure, actor.tint)
        if key not in self._cast:
            look = self.camera.look
            self._cast[key] = (
                scene_parts.bus(self._street, look)
                if actor.figure == "bus"
                else scene_parts.person(self._street, actor.figure, actor.tint, look)
            )
        return self._cast[key]

    def _background(self, at: float) -> Picture:
        if self.camera.backdrop == "photo":
            return _cut(self._stage, self._moving_view(at))
        if self._still is None:
            self._still = _cut(self._stage, self.camera.view)
        return self._still.copy()

    def _moving_view(self, at: float) -> View:
        """A camera on patrol over the street picture: pan (with zoom) or tilt."""
        seconds = self.play.seconds
        if self.camera.script == "pan":
            width = scene_script.swing(at * 2, seconds, 640, 520)
            return View(scene_script.swing(at, seconds, 10, 790 - width), 388 + (640 - width) * 0.2, width)
        width = scene_script.swing(at, seconds, 800, 660)
        return View((810 - width) * 0.4, scene_script.swing(at, seconds, 20, 490), width)

    def _caption(self, picture: Picture, shown: float) -> None:
        name = f"{self.camera.id.upper()}  {self.camera.name}"
        clock = f"演示 {int(shown) // 60:02d}:{shown % 60:04.1f} / {self.play.seconds} 秒"
        for text, x, y in ((name, 28, HEIGHT - 28), (clock, WIDTH - 330, 48)):
            cv2.putText(picture, text, (x + 2, y + 2), (0, 0, 0), self._font, 32, 600)
            cv2.putText(picture, text, (x, y), (255, 255, 255), self._font, 32, 600)


def _cut(stage: Picture, view: View) -> Picture:
    """The view of the stage at the video's size, with sub-pixel precision."""
    scale = WIDTH / view.width
    matrix = np.array([[scale, 0, -view.x * scale], [0, scale, -view.y * scale]])
    cut = cv2.warpAffine(stage, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, np.uint8)


def _lay(picture: Picture, sprite: Sprite, left: int, top: int) -> None:
    """Blend a sprite into the picture, clipped at its edges."""
    height, width = sprite.alpha.shape[:2]
    x0, y0, x1, y1 = max(0, left), max(0, top), min(WIDTH, left + width), min(HEIGHT, top + height)
    if x0 >= x1 or y0 >= y1:
        return
    part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    under = picture[y0:y1, x0:x1]
    picture[y0:y1, x0:x1] = (under * (1 - sprite.alpha[part]) + sprite.colour[part]).astype(np.uint8)


def _shadow(picture: Picture, x: float, y: float, width: float) -> None:
    """A soft dark ellipse under the feet."""
    half, deep = int(width * 0.55), max(4, int(width * 0.09))
    x0, y0, x1, y1 = int(x) - half, int(y) - deep - 3, int(x) + half, int(y) + deep - 1
    x0, y0, x1, y1 = max(0, x0), max(0, y0), min(WIDTH, x1), min(HEIGHT, y1)
    if x0 >= x1 or y0 >= y1:
        return
    across = (np.arange(x0, x1) - x) / half
    down = (np.arange(y0, y1) - (y - 2)) / deep
    dark = 1 - 0.45 * np.clip(1.2 - (across[None, :] ** 2 + down[:, None] ** 2), 0, 1)
    picture[y0:y1, x0:x1] = (picture[y0:y1, x0:x1] * dark[..., None]).astype(np.uint8)


def encoded(camera: SceneCamera) -> Iterator[bytes]:
    """Access units of the camera's whole loop, Annex B."""
    renderer = Renderer(camera)
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    codec.framerate, codec.time_base, codec.options = Fraction(FPS), Fraction(1, FPS), dict(_X264)
    for index in range(renderer.play.seconds * FPS):
        frame = av.VideoFrame.from_ndarray(renderer.frame(index), format="bgr24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
        frame.pts, frame.time_base = index, Fraction(1, FPS)
        for packet in codec.encode(frame):
            yield bytes(packet)
    for packet in codec.encode(None):
        yield bytes(packet)


def access_units(path: Path) -> list[bytes]:
    """The file's access units in order, each beginning with its delimiter (H.264 7.4.1.2.3). Raises Unavailable."""
    if path.stat().st_size > MAX_FILE:
        raise Unavailable("demo.scene_invalid", f"{path.name} is larger than {MAX_FILE} bytes")
    parts = path.read_bytes().split(b"\x00\x00\x00\x01\x09")
    if parts[0] or len(parts) < 2:
        raise Unavailable("demo.scene_invalid", f"{path.name} does not begin with an access unit delimiter")
    return [b"\x00\x00\x00\x01\x09" + part for part in parts[1:]]


def _fingerprint(camera: SceneCamera) -> str:
    """Changes when the camera's picture would: rules do not count."""
    look = {key: value for key, value in asdict(camera).items() if key not in ("rules", "unit", "name_en")}
    script = repr(scene_script.PLAYS[camera.script])
    return hashlib.sha256(json.dumps([VERSION, look, script], sort_keys=True).encode()).hexdigest()


def _write(path: Path, camera: SceneCamera) -> None:
    """Encode into a temporary file beside ``path``, then rename: a reader never sees half a file."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{camera.id}-")
    try:
        with os.fdopen(handle, "wb") as file:
            for unit in encoded(camera):
                file.write(unit)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _manifest(folder: Path) -> dict[str, dict[str, object]]:
    try:
        found = json.loads((folder / "manifest.json").read_text("utf-8"))
        cameras = found["cameras"]
        return {str(key): dict(value) for key, value in cameras.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}  # missing or damaged: everything is encoded again


def _current(path: Path, camera: SceneCamera, known: dict[str, dict[str, object]]) -> bool:
    entry = known.get(camera.id, {})
    if entry.get("fingerprint") != _fingerprint(camera):
        return False
    return path.is_file() and path.stat().st_size == entry.get("bytes")


def ensure_scenes(
    folder: Path, cameras: Sequence[SceneCamera] = CAMERAS, progress: Callable[[int, int], None] | None = None
) -> dict[str, Path]:
    """Encode what is missing or outdated into ``folder`` and return camera id -> file.

    ``progress(done, all)`` is called once at the start and after each file, from this thread.
    Raises Unavailable when the wheel's pictures are missing, OSError when the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {camera.id: folder / f"{camera.id}.h264" for camera in cameras}
    known = _manifest(folder)
    todo = [camera for camera in cameras if not _current(paths[camera.id], camera, known)]
    done = len(cameras) - len(todo)
    report = progress or (lambda done, whole: None)
    report(done, len(cameras))
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1), thread_name_prefix="scene") as pool:
        running = {pool.submit(_write, paths[camera.id], camera): camera for camera in todo}
        for future in as_completed(running):
            future.result()
            camera = running[future]
            size = paths[camera.id].stat().st_size
            known[camera.id] = {"fingerprint": _fingerprint(camera), "bytes": size}
            _write_manifest(folder, known)
            done += 1
            report(done, len(cameras))
    return paths


def _write_manifest(folder: Path, known: dict[str, dict[str, object]]) -> None:
    text = json.dumps({"version": VERSION, "fps": FPS, "gop": GOP, "cameras": known}, indent=1, sort_keys=True)
    part = folder / ".manifest.json"
    part.write_text(text, "utf-8")
    part.replace(folder / "manifest.json")


def main(arguments: Sequence[str]) -> int:
    """``python -m hub.demo.scenes DATA_DIR``: encode the films under DATA_DIR/demo/scenes."""
    if len(arguments) != 1:
        print("usage: python -m hub.demo.scenes DATA_DIR", file=sys.stderr)
        return 2
    folder = Path(arguments[0]) / "demo" / "scenes"
    try:
        ensure_scenes(folder, CAMERAS, lambda done, whole: print(f"demo scenes: {done}/{whole}", flush=True))
        from hub.demo.gb_town import DEVICES, ensure_film  # which needs this module

        for device in DEVICES:
            ensure_film(folder, device)
    except (Unavailable, OSError) as error:
        print(f"demo scenes: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
