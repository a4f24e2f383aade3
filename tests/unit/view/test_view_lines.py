from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from toolflow.text import one_line
from toolflow.view.lines import cut, flow, wrap

TEXTS = st.text(st.sampled_from("ab W漢👍\u0301ßİ-[]"), max_size=200)


def test_text_is_broken_at_spaces_and_within_words_too_long_for_a_line() -> None:
    assert wrap("one two abcdefghij x", 7, 9) == ("one two", "abcdefg", "hij x")


def test_wide_characters_take_two_cells() -> None:
    assert wrap("漢字漢字", 5, 9) == ("漢字", "漢字")


def test_what_is_left_out_is_marked() -> None:
    assert wrap("one two three four", 5, 2) == ("one", "two…")
    assert cut("abcdef", 4) == "abc…"
    assert cut("漢字漢字", 4) == "漢…"
    assert cut("abcd", 4) == "abcd"


@given(TEXTS, st.integers(2, 40), st.integers(1, 6))
def test_lines_stay_in_their_room(text: str, width: int, most: int) -> None:
    lines = wrap(one_line(text, 200), width, most)
    assert 1 <= len(lines) <= most
    assert all(cell_len(line) <= width for line in lines)


@given(TEXTS, st.integers(2, 40))
def test_nothing_is_lost_where_there_is_room(text: str, width: int) -> None:
    line = one_line(text, 200)
    assert "".join(wrap(line, width, 1_000)).replace(" ", "") == line.replace(" ", "")


def test_parts_flow_into_lines_behind_their_label() -> None:
    parts = [Text("12 in flight"), Text("3 waiting"), Text("4 backing off")]
    assert [line.plain for line in flow("calls", parts, 35, gutter=8, most=3)] == [
        "calls   12 in flight · 3 waiting",
        "        4 backing off",
    ]
    assert [line.plain for line in flow("calls", parts, 35, gutter=0, most=1)] == [
        "calls 12 in flight · 3 waiting …"
    ]


def test_a_part_wider_than_a_line_is_cut() -> None:
    (line,) = flow("calls", [Text("x" * 50)], 20, gutter=8, most=2)
    assert line.plain == "calls   " + "x" * 11 + "…"
