"""Every address that a name resolves to is checked, and the checked one is connected to."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from hub.domain.source_url import check_url
from hub.media.sources.errors import SourceError
from hub.media.sources.policy import Resolver, admit, checked_addresses


def answers(*addresses: str) -> Resolver:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


async def test_the_demuxer_is_given_the_checked_number() -> None:
    target = await admit(check_url("rtmp://u:p@cam.example/a"), resolve=answers("10.0.0.7", "10.0.0.8"))
    assert target.url == "rtmp://u:p@10.0.0.7:1935/a"


async def test_our_own_client_is_given_every_checked_address_and_no_other() -> None:
    source = check_url("rtsp://cam.example/a")
    assert await checked_addresses(source, answers("10.0.0.7", "10.0.0.8")) == ("10.0.0.7", "10.0.0.8")
    with pytest.raises(SourceError) as caught:
        await checked_addresses(source, answers("10.0.0.7", "169.254.169.254"))
    assert caught.value.id == "source.refused"


async def test_http_keeps_its_name_beside_the_number() -> None:
    target = await admit(check_url("http://cam.example/a"), resolve=answers("10.0.0.7"))
    assert target.url == "http://10.0.0.7:80/a"
    assert target.options["headers"] == "Host: cam.example\r\n"
    other = await admit(check_url("http://cam.example:81/a"), resolve=answers("10.0.0.7"))
    assert other.options["headers"] == "Host: cam.example:81\r\n"
    assert target.options["max_redirects"] == "0"
    assert target.options["http_proxy"] == ""


async def test_https_keeps_its_name_for_the_handshake_and_is_checked_all_the_same() -> None:
    source = check_url("https://cam.example/a")
    assert (await admit(source, resolve=answers("10.0.0.7"))).url == "https://cam.example:443/a"
    with pytest.raises(SourceError):
        await admit(source, resolve=answers("169.254.169.254"))


@pytest.mark.parametrize("bad", ["169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "::ffff:169.254.169.254"])
async def test_one_bad_address_among_good_ones_refuses_the_name(bad: str) -> None:
    with pytest.raises(SourceError) as caught:
        await admit(check_url("http://cam.example/a"), resolve=answers("10.0.0.7", bad))
    assert caught.value.id == "source.refused"


async def test_an_unknown_name_is_unreachable() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    for resolve in (unknown, answers()):
        with pytest.raises(SourceError) as caught:
            await admit(check_url("http://cam.example/a"), resolve=resolve)
        assert caught.value.id == "source.unreachable"


@pytest.mark.parametrize("url", ["http://a/", "https://a/", "rtmp://a/"])
async def test_no_playlist_and_no_file_can_be_reached_through_a_network_source(url: str) -> None:
    options = (await admit(check_url(url), resolve=answers("10.0.0.7"))).options
    assert "file" not in options["protocol_whitelist"].split(",")
    assert not {"hls", "dash", "concat", "sdp"} & set(options["format_whitelist"].split(","))


def test_a_target_never_shows_its_password() -> None:
    from hub.media.sources.policy import Target

    assert "secret" not in repr(Target("rtsp://u:secret@h/", {"headers": "secret"}, "h"))


async def test_a_file_is_confined_to_the_demo_folder(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    inside, outside = folder / "a.mp4", tmp_path / "b.mp4"
    inside.write_bytes(b"x")
    outside.write_bytes(b"x")
    (folder / "link.mp4").symlink_to(outside)
    assert (await admit(check_url(f"file://{inside}", files=True), files=folder)).url == str(inside)
    refused = [outside, folder / "link.mp4", folder / ".." / "b.mp4", folder, folder / "none.mp4"]
    for path in refused:
        with pytest.raises(SourceError) as caught:
            await admit(check_url(f"file://{path}", files=True), files=folder)
        assert caught.value.id == "source.refused"
    with pytest.raises(SourceError):
        await admit(check_url(f"file://{inside}", files=True), files=None)
