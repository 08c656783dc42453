"""Print the messages of /ws (signaling/wire.py) as an OpenAPI document, for openapi-typescript."""

import json
import sys

from pydantic import TypeAdapter
from signaling.wire import ClientMessage, ServerMessage

schemas: dict[str, object] = {}
for name, union, mode in (
    ("ClientMessage", ClientMessage, "validation"),
    ("ServerMessage", ServerMessage, "serialization"),
):
    schema = TypeAdapter(union).json_schema(mode=mode, ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs"))
    schemas[name] = schema
json.dump(
    {
        "openapi": "3.1.0",
        "info": {"title": "ws", "version": "1"},
        "paths": {},
        "components": {"schemas": schemas},
    },
    sys.stdout,
    ensure_ascii=False,
)
