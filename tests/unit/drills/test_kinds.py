"""The leaf reads the hub's events without importing the hub: this holds the two together."""

from drills.envelope import ENDED, FAILURES, STARTED
from drills.metrics import FIELDS
from hub.domain.events import KINDS


def test_every_kind_and_field_that_a_score_reads_is_one_that_the_hub_writes() -> None:
    for kind, fields in FIELDS.items():
        assert fields <= set(KINDS[kind].model_fields), kind
    assert {STARTED, ENDED} | FAILURES <= set(KINDS)
