"""One person cannot take all the places of a relay; and a relay in a container is registered where others reach it."""

from pathlib import Path

import pytest

from hub.bus.relay_wire import OfferIn
from hub.domain.errors import TooMany
from hub.media.node.manager import MAX_SESSIONS_OF_ONE
from tests.integration.test_relay_node import registered, relay
from tests.integration.test_whep import client, offer_of


async def test_a_greedy_sign_in_leaves_places_for_others(tmp_path: Path) -> None:
    """Offers alone are enough to hold a place until the handshake's limit, so nobody has to connect for this."""
    async with relay(tmp_path) as rig, client() as pc:
        await rig.put("cam-1")
        pc.addTransceiver("video", direction="recvonly")
        sdp = await offer_of(pc)
        for _ in range(MAX_SESSIONS_OF_ONE):
            await rig.relays.whep(rig.url, "cam-1", OfferIn(sdp=sdp, owner="greedy"))
        with pytest.raises(TooMany) as refused:
            await rig.relays.whep(rig.url, "cam-1", OfferIn(sdp=sdp, owner="greedy"))
        assert refused.value.id == "relay.full"
        assert (await rig.relays.whep(rig.url, "cam-1", OfferIn(sdp=sdp, owner="modest"))).session
        await rig.relays.end_owner(rig.url, "greedy")
        assert (await rig.relays.whep(rig.url, "cam-1", OfferIn(sdp=sdp, owner="greedy"))).session


async def test_a_relay_that_listens_everywhere_is_registered_under_an_address_that_answers(tmp_path: Path) -> None:
    async with relay(tmp_path, internal_host="0.0.0.0") as rig:
        redis = rig.redis.client()
        (node,) = await registered(redis)
        await redis.aclose()
        assert "0.0.0.0" not in node.url
        assert await rig.relays.streams(node.url) == []
