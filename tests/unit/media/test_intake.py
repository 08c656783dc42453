"""What one peer may send in a second."""

from hub.media.peer.intake import WINDOW_MS, Intake


def test_so_many_come_in_each_second_and_a_quiet_second_saves_nothing_up() -> None:
    intake, now = Intake(), 1_000
    for _ in range(3):
        assert [intake.takes(now, 5) for _ in range(8)] == [True] * 5 + [False] * 3
        now += 10 * WINDOW_MS


def test_the_second_does_not_begin_anew_while_the_flood_goes_on() -> None:
    intake = Intake()
    taken = [intake.takes(1_000 + ms, 100) for ms in range(2 * WINDOW_MS)]
    assert sum(taken[:WINDOW_MS]) == sum(taken[WINDOW_MS:]) == 100
