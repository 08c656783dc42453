"""TURN credentials as signed-in people get them, tried at a real coturn by a real client."""

import asyncio
import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import aioice
import pytest
from aioice.stun import TransactionFailed

from hub.domain.clock import system_clock
from hub.domain.errors import Invalid
from hub.settings import Settings
from tests.integration.api_rig import Rig, api
from tests.integration.turn_rig import SECRET, TURNSERVER, WHY, coturn

URLS = ("turn:192.0.2.1:3478?transport=udp", "turns:turn.example:5349?transport=tcp")


def with_turn(rig: Rig, **given: Any) -> None:
    """The rig's settings with TURN: frozen, so another object takes their place."""
    settings = rig.ctx.settings.model_copy(
        update={"turn_urls": URLS, "turn_secret": Settings(turn_secret=SECRET).turn_secret} | given
    )
    object.__setattr__(rig.ctx, "settings", settings)


async def test_signed_in_people_get_credentials_that_end_and_nobody_gets_the_secret(tmp_path: Path) -> None:
    async with api(tmp_path) as rig:
        assert (await rig.call("commander", "GET", "/media/ice-servers", 200))["items"] == []
        with_turn(rig, turn_ttl_s=600)
        found = await rig.call("commander", "GET", "/media/ice-servers", 200)
        (server,) = found["items"]
        expiry, user = server["username"].split(":")
        assert server["urls"] == list(URLS)
        assert int(expiry) == rig.clock() // 1_000 + 600
        assert found["expires_at"] == int(expiry) * 1_000
        me = await rig.call("commander", "GET", "/sessions/current", 200)
        assert user == me["id"]
        signed = hmac.new(SECRET.encode(), server["username"].encode(), hashlib.sha1).digest()
        assert server["credential"] == base64.b64encode(signed).decode()
        await rig.call(None, "GET", "/media/ice-servers", 401)
        await rig.call("auditor", "GET", "/media/ice-servers", 403)
        for path in ("/system", "/media/ice-servers"):
            assert SECRET not in str(await rig.call("commander", "GET", path, 200))
        assert SECRET not in repr(rig.ctx.settings)


def test_the_secret_may_lie_in_a_file_and_what_is_wrong_with_it_is_said_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "turn-secret"
    file.write_text(SECRET + "\n")
    environ = {"SHARPEYES_TURN_URLS": ",".join(URLS), "SHARPEYES_TURN_SECRET_FILE": str(file)}
    assert Settings.load(environ).turn_key == SECRET.encode()
    direct = Settings.load({"SHARPEYES_TURN_URLS": URLS[0], "SHARPEYES_TURN_SECRET": SECRET})
    assert Settings.load(direct.environ()).turn_key == SECRET.encode()
    for wrong, says in (
        ({"SHARPEYES_TURN_SECRET_FILE": str(tmp_path / "none")}, "SHARPEYES_TURN_SECRET_FILE: No such file"),
        ({"SHARPEYES_TURN_SECRET_FILE": ""}, "SHARPEYES_TURN_SECRET: SHARPEYES_TURN_URLS needs it"),
    ):
        with pytest.raises(Invalid, match=says):
            _ = Settings.load(environ | wrong).turn_key
    for url in ('turn:a"; rel=x', "http://turn", "turn:", "turn:a\r\nX: y", "stun:a?transport=udp"):
        with pytest.raises(Invalid, match="SHARPEYES_TURN_URLS"):
            Settings.load(environ | {"SHARPEYES_TURN_URLS": url})


@pytest.mark.skipif(TURNSERVER is None, reason=WHY)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_coturn_takes_the_credentials_until_they_end(tmp_path: Path, transport: str) -> None:
    async with api(tmp_path) as rig, coturn(tmp_path) as port, asyncio.timeout(60):
        rig.clock.now = system_clock()  # coturn lives by the real time
        with_turn(rig, turn_ttl_s=3_600)
        (server,) = (await rig.call("commander", "GET", "/media/ice-servers", 200))["items"]
        assert await allocated(port, transport, server["username"], server["credential"]) == "127.0.0.1"
        for username, password in (
            (server["username"], "wrong"), ("1000000000:u-1", credential("1000000000:u-1")),
        ):  # fmt: skip
            with pytest.raises((TransactionFailed, ConnectionError)):
                await allocated(port, transport, username, password)


def credential(username: str) -> str:
    return base64.b64encode(hmac.new(SECRET.encode(), username.encode(), hashlib.sha1).digest()).decode()


async def allocated(port: int, transport: str, username: str, password: str) -> str:
    """The address of a relayed candidate."""
    made, _ = await aioice.turn.create_turn_endpoint(
        asyncio.DatagramProtocol, server_addr=("127.0.0.1", port), username=username, password=password,
        transport=transport,
    )  # fmt: skip
    try:
        return str(made.get_extra_info("sockname")[0])
    finally:
        made.close()
