"""Every fuzz target on its corpus, whole, cut short and a little damaged: what ``make soak`` does for longer."""

import random

import pytest

from tests.soak.fuzz import changed, seeds
from tests.soak.targets import TARGETS

CUTS = 12  # places at which each capture is cut
CHANGED = 40  # captures of each target that are damaged


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_crashes_nothing_whole_or_cut_or_damaged(name: str) -> None:
    target, found, dice = TARGETS[name], seeds(name), random.Random(name)
    assert found
    for data in found:
        target(data)
    for data in dice.sample(found, min(len(found), 10)):
        for cut in range(CUTS):
            target(data[: len(data) * cut // CUTS])
    for _ in range(CHANGED):
        target(changed(found, dice))
