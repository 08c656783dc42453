"""Weights: which are used, how they are fetched (from a server on loopback), what is said when they cannot be."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hub import models
from hub.domain.errors import Invalid, Unavailable
from hub.settings import Settings

BODY = b"weights " * 20_000
SHA256 = hashlib.sha256(BODY).hexdigest()


class Releases(BaseHTTPRequestHandler):
    """Serves every model; other folders redirect, refuse or lie."""

    def do_GET(self) -> None:
        folder, _, name = self.path.strip("/").rpartition("/")
        if folder == "moved":
            self._answer(302, location=f"/files/{name}")
        elif folder == "away":
            self._answer(302, location="ftp://127.0.0.1/x")
        elif folder == "ring":
            self._answer(302, location=self.path)
        elif folder == "files":
            self._answer(200, BODY)
        elif folder == "short":
            self._answer(200, BODY, length=len(BODY) + 1)
        else:
            self._answer(404)

    def _answer(self, status: int, body: bytes = b"", length: int | None = None, location: str = "") -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body) if length is None else length))
        if location:
            self.send_header("location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def releases() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Releases)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_clean_installation_uses_the_demonstration_model_and_says_so(tmp_path: Path) -> None:
    found = models.resolve(Settings(data=tmp_path))
    assert (found.source, found.demonstration, found.path.exists()) == ("demonstration", True, True)
    assert found.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()
    assert models.describe(Settings(data=tmp_path))["demonstration"] is True


def test_the_order_is_setting_then_folder_then_fetched_then_packaged(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with releases() as url:
        path = models.pull(settings, "yolo11n", sha256=SHA256, release=f"{url}/files/")
    assert path == tmp_path / "models" / "yolo11n.pt"
    assert models.resolve(settings).source == "official"
    for age, name in ((100, "old.onnx"), (50, "own.pt"), (10, "notes.txt")):
        file = tmp_path / "models" / name
        file.write_bytes(b"mine")
        os.utime(file, (1_700_000_000 - age, 1_700_000_000 - age))
    found = models.resolve(settings)
    assert (found.source, found.name, found.demonstration) == ("data", "own", False)
    chosen = tmp_path / "chosen.pt"
    chosen.write_bytes(b"chosen")
    assert models.resolve(Settings(data=tmp_path, weights=chosen)).source == "environment"


def test_weights_that_were_chosen_and_are_missing_are_an_error_not_a_reason_to_take_others(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        models.resolve(Settings(data=tmp_path, weights=tmp_path / "nowhere.pt"))


def test_a_fetched_file_that_was_changed_since_is_not_loaded(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with releases() as url:
        models.pull(settings, "yolo11n", sha256=SHA256, release=f"{url}/files/").write_bytes(b"something else")
    with pytest.raises(Unavailable, match="fetch them again"):
        models.resolve(settings)


def test_a_wrong_checksum_leaves_nothing_behind(tmp_path: Path) -> None:
    with releases() as url, pytest.raises(Unavailable, match=SHA256):
        models.pull(Settings(data=tmp_path), "yolo11n", release=f"{url}/files/")  # the official one is built in
    assert list((tmp_path / "models").iterdir()) == []


def test_without_a_known_checksum_the_computed_one_is_told_and_nothing_is_kept(tmp_path: Path) -> None:
    with releases() as url, pytest.raises(Invalid, match=f"{SHA256}.*--sha256"):
        models.pull(Settings(data=tmp_path), "yolo11x", release=f"{url}/files/")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_redirect_is_followed_but_not_off_http_and_not_for_ever(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with releases() as url:
        models.pull(settings, "yolo11n", sha256=SHA256, release=f"{url}/moved/")
        with pytest.raises(Unavailable, match="without https"):
            models.pull(settings, "yolo11n", sha256=SHA256, release=f"{url}/away/")
        with pytest.raises(Unavailable, match="more than 5"):
            models.pull(settings, "yolo11n", sha256=SHA256, release=f"{url}/ring/")


@pytest.mark.parametrize(("folder", "words"), [("none", "answered 404"), ("short", "cannot be reached")])
def test_a_refusal_and_a_broken_download_are_said_in_one_line(tmp_path: Path, folder: str, words: str) -> None:
    with releases() as url, pytest.raises(Unavailable, match=words) as caught:
        models.pull(Settings(data=tmp_path), "yolo11n", sha256=SHA256, release=f"{url}/{folder}/")
    assert "\n" not in caught.value.message
    assert list((tmp_path / "models").iterdir()) == []


def test_offline_says_what_to_do_instead(tmp_path: Path) -> None:
    with releases() as url:
        pass  # the port is free again: nobody answers
    with pytest.raises(Unavailable, match="SHARPEYES_WEIGHTS"):
        models.pull(Settings(data=tmp_path), "yolo11n", release=f"{url}/")


def test_a_file_over_the_limit_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "MAX_FILE", len(BODY) - 1)
    with releases() as url, pytest.raises(Unavailable, match="over"):
        models.pull(Settings(data=tmp_path), "yolo11n", sha256=SHA256, release=f"{url}/files/")
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("name", ["", "../yolo11n", "yolo11n.pt", "resnet50", "yolo11n\n", "http://x/yolo11n"])
def test_only_names_of_official_models_are_asked_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match="official"):
        models.pull(Settings(data=tmp_path), name, release="http://127.0.0.1:9/")


def test_a_checksum_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="64"):
        models.pull(Settings(data=tmp_path), "yolo11n", sha256="abc", release="http://127.0.0.1:9/")
