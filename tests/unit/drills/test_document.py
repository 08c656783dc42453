"""The YAML reader: what it refuses, and where it says the fault lies."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.document import MAX_CHARACTERS, MAX_DEPTH, MAX_NODES, DocumentError, duration, integer, read
from drills.rubric import parse_rubric
from drills.scenario import parse_scenario

BAD: dict[str, tuple[str, int, int]] = {
    "empty": ("", 1, 1),
    "only a comment": ("# nothing\n", 1, 1),
    "a list": ("- a\n- b\n", 1, 1),
    "a scalar": ("hello\n", 1, 1),
    "tab for indentation": ("a:\n\tb: 1\n", 2, 1),
    "unclosed bracket": ("a: [1, 2\nb: 3\n", 2, 2),
    "unclosed quote": ('a: "x\n', 2, 1),
    "anchor": ("a: 1\nb: &x 2\n", 2, 4),
    "alias": ("a: &x 1\nb: *x\n", 1, 4),
    "merge of an unknown alias": ("a: 1\n<<: *base\n", 2, 5),
    "tag": ("a: !!python/object:os.system x\n", 1, 4),
    "own tag": ("a: 1\nb:\n  - !x y\n", 3, 5),
    "tag directive": ("%TAG ! tag:x,2000:\n---\na: 1\n", 1, 1),
    "two documents": ("a: 1\n---\nb: 2\n", 2, 1),
    "duplicate key": ("a: 1\nb: 2\na: 3\n", 3, 1),
    "duplicate key, quoted otherwise": ("a: 1\n'a': 3\n", 2, 1),
    "key is a list": ("? [a]\n: 1\n", 1, 3),
    "control character": ("a: 1\nb: x\x07\n", 2, 5),
    "half a surrogate pair": ("a: \ud800\n", 1, 4),
    "escaped NUL": ('a: 1\nb: "x\\0"\n', 2, 4),
    "escaped surrogate": ('a: "\\ud800"\n', 1, 4),
    "escape beyond Unicode": ('a: 1\nb: "\\UFFFFFFFF"\n', 2, 7),
    "colon in a plain value": ("a: b: c\n", 1, 5),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_allowed_is_refused_with_its_line_and_column(name: str) -> None:
    source, line, column = BAD[name]
    with pytest.raises(DocumentError) as caught:
        read(source)
    assert (caught.value.line, caught.value.column) == (line, column), caught.value
    assert str(caught.value).startswith(f"line {line}, column {column}: ")


def test_depth_is_bounded_where_it_is_passed() -> None:
    read("a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))
    with pytest.raises(DocumentError, match="deeper") as caught:
        read("a: " + "[" * 20_000)
    assert (caught.value.line, caught.value.column) == (1, 4 + MAX_DEPTH - 1)


def test_nodes_are_bounded_where_they_are_passed() -> None:
    with pytest.raises(DocumentError, match="nodes") as caught:
        read("a:\n" + "- x\n" * (MAX_NODES + 1))
    assert caught.value.line == MAX_NODES - 1


def test_length_is_bounded_before_anything_is_read() -> None:
    with pytest.raises(DocumentError, match="longer"):
        read("a: " + "x" * MAX_CHARACTERS)
    with pytest.raises(DocumentError, match="longer"):
        read("[" * (MAX_CHARACTERS + 1))


def test_scalars_stay_as_written() -> None:
    top = read("a: no\nb: 1:30\nc: 0x10\nd: ~\n")
    assert [getattr(node, "value", None) for node in top.values.values()] == ["no", "1:30", "0x10", "~"]


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        ("0s", 0),
        ("90s", 90_000),
        ("2m", 120_000),
        ("1h", 3_600_000),
        ("1m30s", 90_000),
        ("02:30", 150_000),
        ("1:00:00", 3_600_000),
        ("90:00", 5_400_000),
        ("24h", 86_400_000),
    ],
)
def test_times_are_read(written: str, ms: int) -> None:
    assert duration(read(f"a: {written}").values["a"], "a") == ms


@pytest.mark.parametrize(
    "written", ["90", "1.5m", "-1s", "25h", "1:60", "1:60:00", "s", "2m 3", "१s", "1e3s", "''", "~"]
)
def test_what_is_no_time_is_refused(written: str) -> None:
    with pytest.raises(DocumentError):
        duration(read(f"a: {written}").values["a"], "a")


@pytest.mark.parametrize("written", ["-1", "1.0", "'1'", "0x1", "1_0", "١", "11", "1e1", "true"])
def test_what_is_no_whole_number_within_bounds_is_refused(written: str) -> None:
    with pytest.raises(DocumentError):
        integer(read(f"a: {written}").values["a"], "a", low=0, high=10)


def refused(parse: Callable[[str], object], source: str) -> DocumentError | None:
    """The refusal, or None. Any other exception passes."""
    try:
        parse(source)
    except DocumentError as error:
        return error
    return None


@given(st.text(max_size=200) | st.text(alphabet="ab:-[]{}&*!%'\"\\|>\n \t#,?0159sm", max_size=200))
def test_any_text_is_read_or_refused_within_itself(source: str) -> None:
    lines = len(source.splitlines()) + 1
    for parse in (read, parse_scenario, parse_rubric):
        refusal = refused(parse, source)
        assert refusal is None or (1 <= refusal.line <= lines and refusal.column >= 1)
