"""Structured logs: JSON lines in DATA/logs/<role>.log (rotated), warnings in words on the terminal."""

import logging
import logging.handlers
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

import structlog

FILE_BYTES: Final = 10 * 1024 * 1024
FILES_KEPT: Final = 5
SECRET_KEYS: Final = frozenset({"password", "token", "secret", "authorization", "cookie", "url"})


def mask(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide values whose name says secret; a last net under code that never logs them on purpose."""
    for key in event:
        if key.lower() in SECRET_KEYS:
            event[key] = "***"
    return event


def configure(role: str, folder: Path | None, level: str) -> None:
    """Send structlog and the standard library's logging through one pipe. Call once at start."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.WARNING)
    terminal.setFormatter(
        _formatter(
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
            shared,
        )
    )
    handlers: list[logging.Handler] = [terminal]
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{role}.log"
        file = logging.handlers.RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8")
        file.setFormatter(_formatter(structlog.processors.JSONRenderer(ensure_ascii=False), shared))
        handlers.append(file)
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)
    for noisy in ("uvicorn.access", "httpx", "httpcore", "aioice", "aiortc", "alembic", "aiosqlite", "multipart"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _formatter(
    renderer: structlog.typing.Processor, shared: list[structlog.typing.Processor]
) -> structlog.stdlib.ProcessorFormatter:
    final: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if isinstance(renderer, structlog.processors.JSONRenderer):
        final.append(structlog.processors.format_exc_info)
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*final, renderer])
