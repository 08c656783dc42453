"""``sharpeyes relay``: the command line's half of ``hub.relay_commands``."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli_parts import Data, fail, settled
from hub.domain.errors import HubError, Unavailable

relay = typer.Typer(help="Relays: list them, empty one before it stops.", no_args_is_help=True)


@relay.command("list")
def relay_list(data: Data = None) -> None:
    """Show the relays that run: state, zone, media port, load, streams, sessions."""
    from hub.relay_commands import Site, line

    async def work(site: "Site") -> None:
        for node in await site.nodes():
            print(line(node))

    _at_relays(data, work)


@relay.command("drain")
def relay_drain(
    node: Annotated[str, typer.Argument(help="Id of the relay, or how it begins.")],
    data: Data = None,
    wait: Annotated[int, typer.Option("--wait", min=1, max=86_400, help="Seconds to wait until it is empty.")] = 300,
) -> None:
    """Empty a relay: it gets nothing new, and its viewers and cameras go to the others. Ends when it is empty."""
    from hub.relay_commands import Site, drain

    async def work(site: "Site") -> None:
        if not await drain(site, node, wait_s=wait, say=lambda text: print(text, flush=True)):
            raise Unavailable("relay.not_empty", f"it is not empty after {wait} s; it goes on draining")

    _at_relays(data, work)


@relay.command("undrain")
def relay_undrain(
    node: Annotated[str, typer.Argument(help="Id of the relay, or how it begins.")], data: Data = None
) -> None:
    """Let a drained relay take streams again."""
    from hub.relay_commands import Site, undrain

    async def work(site: "Site") -> None:
        print(f"{(await undrain(site, node)).id}  up")

    _at_relays(data, work)


def _at_relays(data: Path | None, work: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    from hub.relay_commands import run

    try:
        asyncio.run(run(settled(data=data), work))
    except HubError as error:
        fail(error)
