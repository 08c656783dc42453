"""The documents name what the code has."""

from pathlib import Path

import pytest

from hub.settings import PREFIX, Settings

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_stands_in_the_installation_guide(field: str) -> None:
    assert f"`{PREFIX}{field.upper()}`" in (ROOT / "docs/install.md").read_text(encoding="utf-8")
