"""``python -m hub.api.openapi > openapi.json``: the interface's document, without database or Redis."""

import json
import sys

from hub.api.app import create_app


def main() -> None:
    """Print the document; the console's types are generated from it."""
    json.dump(create_app(None).openapi(), sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
