"""YOLO through ultralytics: the only module that imports torch. Loads .pt, .onnx and OpenVINO folders."""

import contextlib
import importlib
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from vision.detections import Detections, DetectorFailed
from vision.frames import Frame

MAX_OBJECTS: Final = 300
OVERLAP: Final = 0.5  # boxes of one class that overlap more are one object: people must not be counted twice


class YoloDetector:
    """A detector of one set of weights, ready (a first inference has been done) when the constructor returns."""

    def __init__(
        self, weights: Path, *, image_size: int = 640, threads: int = 1, config_folder: Path | None = None
    ) -> None:
        """Load. ``threads`` of the CPU are used; ``config_folder`` is where ultralytics may write its settings.

        Raises DetectorFailed in one line: missing, damaged, not a detector, a runtime is not installed.
        """
        self._image_size = image_size
        folder = config_folder or Path(tempfile.gettempdir()) / "sharpeyes-ultralytics"
        with _one_line(f"the weights {weights.name} cannot be used"):
            if not weights.exists():
                raise FileNotFoundError("no such file")
            self._model, self._device = _load(weights, threads, folder)
            names = dict(self._model.names)
        self._classes = {int(number): str(name) for number, name in names.items()}
        noise = np.random.default_rng(1).integers(0, 255, (360, 640, 3), np.uint8)
        self.detect(Frame("warm-up", 0, noise), confidence=1e-4)  # low: the suppression of boxes is tried too
        if weights.suffix == ".onnx" and self._device == "cpu":
            with _one_line(f"the weights {weights.name} cannot be used"):
                _limit_onnx_threads(self._model, weights, threads)

    @property
    def classes(self) -> Mapping[int, str]:
        """Names by class id."""
        return self._classes

    @property
    def device(self) -> str:
        """Where it computes: ``cpu`` or a CUDA device."""
        return self._device

    def detect(self, frame: Frame, *, confidence: float) -> Detections:
        """Objects with at least this confidence, at most 300. Raises DetectorFailed."""
        with _one_line("the inference failed"):
            results = self._model.predict(
                frame.pixels, imgsz=self._image_size, conf=confidence, iou=OVERLAP, max_det=MAX_OBJECTS,
                device=self._device, verbose=False, save=False,
            )  # fmt: skip
            boxes = results[0].boxes
            return Detections.of(boxes.xyxyn.cpu().numpy(), boxes.conf.cpu().numpy(), boxes.cls.cpu().numpy())


@contextlib.contextmanager
def _one_line(what: str) -> Iterator[None]:
    """Turn whatever a third-party loader raises into DetectorFailed with one line."""
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise DetectorFailed(f"{what}: {type(error).__name__}: {lines[0][:200]}") from error


def _load(weights: Path, threads: int, folder: Path) -> tuple[Any, str]:
    folder.mkdir(parents=True, exist_ok=True)
    # Read by ultralytics at import. It must not look for updates, install packages or write into the home folder.
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false")
    os.environ["YOLO_CONFIG_DIR"] = str(folder)
    # Read by the libraries under torch and OpenVINO when they start their thread pools.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    import torch

    _mend_torchvision()
    torch.set_num_threads(threads)
    from ultralytics.models import YOLO

    model = YOLO(str(weights), task="detect")
    device = "cpu"
    if torch.cuda.is_available() and (weights.suffix == ".pt" or _onnx_has_cuda(weights)):
        device = "cuda:0"
    if weights.suffix == ".pt" and getattr(model, "task", "detect") != "detect":
        raise ValueError(f"the model's task is {model.task}; detect is needed")
    # An exported model tells its names only once its runtime is set up, which the first prediction does.
    model.predict(np.full((64, 64, 3), 114, np.uint8), imgsz=64, device=device, verbose=False, save=False)
    return model, device


def _onnx_has_cuda(weights: Path) -> bool:
    if weights.suffix != ".onnx":
        return False
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _limit_onnx_threads(model: Any, weights: Path, threads: int) -> None:
    """ONNX Runtime takes every core unless the session is told otherwise, and ultralytics passes no options."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    backend = model.predictor.model.backend
    backend.session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])


def _mend_torchvision() -> None:
    """A CPU build of torch with the registry's torchvision lacks the operator ``torchvision::nms``, so that
    importing torchvision, which ultralytics does, fails. Define the operators it declares; the one that is used
    here, ``nms``, is made from ultralytics' own. Raises RuntimeError when something else is wrong."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    else:
        return
    import torch

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    spec = importlib.util.find_spec("torchvision")
    assert spec is not None
    assert spec.origin is not None
    declared = (Path(spec.origin).parent / "_meta_registrations.py").read_text("utf-8")
    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch's own gap
    for name in sorted({"nms", *re.findall(r"register_fake\(.torchvision::(\w+)", declared)}):
        inputs = "Tensor dets, Tensor scores, float iou_threshold" if name == "nms" else "Tensor input"
        library.define(f"{name}({inputs}) -> Tensor")
    _LIBRARIES.append(library)  # the definitions end with their object
    torchvision: Any = importlib.import_module("torchvision")
    torchvision.ops.nms = torchvision.ops.boxes.nms = _nms


_LIBRARIES: Final[list[Any]] = []


def _nms(dets: Any, scores: Any, iou_threshold: float) -> Any:
    from ultralytics.utils.nms import TorchNMS

    return TorchNMS.nms(dets, scores, iou_threshold)
