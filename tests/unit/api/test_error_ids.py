"""docs/protocol.md names every error id that a client can meet."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
CLASSES = {"Invalid", "Unauthenticated", "Forbidden", "NotFound", "Conflict", "TooMany", "Unavailable"}
ROOMS = ("services", "api", "store")


def raised() -> Iterator[tuple[str, str]]:
    """(id, file) of each refusal that is raised with a literal id."""
    for room in ROOMS:
        for file in sorted((ROOT / "hub" / room).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLASSES:
                    match node.args:
                        case [ast.Constant(value=str(id)), *_]:
                            yield id, file.name


def test_every_error_id_is_documented() -> None:
    documented = set(re.findall(r"`([a-z0-9_]+\.[a-z0-9_]+)`", (ROOT / "docs" / "protocol.md").read_text()))
    ids = dict(raised())
    assert len(ids) > 40
    assert {id: file for id, file in ids.items() if id not in documented} == {}
