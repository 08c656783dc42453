"""What commands share: options, settings, and the one line that says what went wrong."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from hub.domain.errors import HubError
from hub.settings import Settings

T = TypeVar("T")
Data = Annotated[Path | None, typer.Option("--data", help="Data folder (default .data).", show_default=False)]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on (default 127.0.0.1).")]
Port = Annotated[int | None, typer.Option("--port", help="Port of console and interface (default 8800).")]
TlsCert = Annotated[Path | None, typer.Option("--tls-cert", help="Certificate chain (PEM).")]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="Private key (PEM).")]
SelfSigned = Annotated[bool, typer.Option("--tls-self-signed", help="Make a certificate; its fingerprint is printed.")]


def fail(error: HubError) -> NoReturn:
    """Say it in one line on standard error; exit status 1."""
    line = f" (line {error.details['line']})" if error.details.get("line") else ""
    print(f"sharpeyes: {error.message}{line}", file=sys.stderr)
    raise typer.Exit(1)


def settled(**given: Any) -> Settings:
    """Settings from environment and options, or one plain line."""
    try:
        return Settings.load(**given)
    except HubError as error:
        fail(error)


def ask(settings: Settings, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Run ``work(context)`` on the installation's database."""
    from hub.offline import with_context

    try:
        return asyncio.run(with_context(settings, work))
    except HubError as error:
        fail(error)
