"""How busy a relay says that it is."""

from hub.media.node.load import Load


class Machine:
    def __init__(self) -> None:
        self.cpu = self.now = 0.0

    def pass_(self, seconds: float, share: float) -> None:
        self.now += seconds
        self.cpu += seconds * share


def load(machine: Machine) -> Load:
    return Load(100, cpu=lambda: machine.cpu, clock=lambda: machine.now)


def test_the_larger_of_sessions_and_processor_counts() -> None:
    machine = Machine()
    figures = load(machine)
    machine.pass_(2, 0.0)
    assert figures.look(40) == 0.4
    for _ in range(12):
        machine.pass_(2, 0.9)
        busy = figures.look(40)
    assert 0.85 < busy <= 0.9


def test_a_short_burst_is_smoothed_and_a_share_over_one_core_is_full() -> None:
    machine = Machine()
    figures = load(machine)
    machine.pass_(2, 1.0)
    assert figures.look(0) == 0.5
    for _ in range(12):
        machine.pass_(2, 1.7)
    assert figures.look(0) == 1.0


def test_two_looks_in_a_row_do_not_divide_by_nothing() -> None:
    machine = Machine()
    figures = load(machine)
    assert (figures.look(1), figures.look(1)) == (0.01, 0.01)
