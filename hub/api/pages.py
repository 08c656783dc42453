"""What is no JSON: pictures, and the console's files with the page for every path of its own."""

from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

PACKAGE: Final = Path(__file__).resolve().parent.parent
RESERVED: Final = ("/api/", "/whep/", "/whip/", "/ws", "/healthz", "/readyz", "/metrics")
FOR_EVER: Final = "public, max-age=31536000, immutable"
_NOT_BUILT: Final = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>SharpEyes</title>
<body><h1>控制台尚未构建</h1><p>The interface works, but the console was not built.
Run <code>make console</code> and load this page again.</p></body></html>"""


def picture(data: bytes, media_type: str) -> Response:
    """A picture as an answer: shown where it is asked for, never taken for anything else, never kept by proxies."""
    headers = {
        "Content-Disposition": "inline",
        "Cache-Control": "private, max-age=3600",
        "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    }
    return Response(data, media_type=media_type, headers=headers)


def console_dir() -> Path | None:
    """Where the built console lies: inside the package, or in a checkout; None when it was not built."""
    for folder in (PACKAGE / "console_dist", PACKAGE.parent / "console" / "dist"):
        if (folder / "index.html").is_file():
            return folder
    return None


class Console:
    """ASGI: files of the console; any other path of a browser gets its page, which has routes of its own."""

    def __init__(self, folder: Path | None = None) -> None:
        self._given = folder
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _close(send)
            return
        await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> ASGIApp:
        path: str = scope["path"]
        if path.startswith(RESERVED):
            raise HTTPException(404, "there is nothing here")
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, "this is a page")
        if self._folder is None:  # it may be built while we run
            self._folder = self._given or console_dir()
        if self._folder is None:
            return HTMLResponse(_NOT_BUILT, 503)
        file = self._file(path)
        if file is not None:
            hashed = path.startswith("/assets/")
            return FileResponse(file, headers={"Cache-Control": FOR_EVER if hashed else "no-cache"})
        if "." in path.rpartition("/")[2]:
            raise HTTPException(404, "there is no such file")
        return FileResponse(self._folder / "index.html", headers={"Cache-Control": "no-cache"})

    def _file(self, path: str) -> Path | None:
        """The file of a path, if it lies within the console's folder."""
        assert self._folder is not None
        if "\x00" in path:
            return None
        root = self._folder.resolve()
        try:
            file = (root / path.lstrip("/")).resolve()
            return file if file.is_relative_to(root) and file.is_file() else None
        except (OSError, RuntimeError):  # a name longer than names can be, a loop of links
            return None


async def _close(send: Send) -> None:
    await send({"type": "websocket.close", "code": 1000})
