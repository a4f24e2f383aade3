from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolflow.catalog.docstrings import Docstring, parse_docstring

GOOGLE = """Book a room.

    Rooms are
    booked at once.

    Args:
        city (str): Where the hotel
            stands.
        *nights (list[tuple[int, int]], optional): Which: one pair a stay.
        note: Free text.

    Returns:
        dict[str, int]: The booking by room.

    Raises:
        ValueError: No room.

    Example:
        book("Oslo")
    """

NUMPY = """Book a room.

    Parameters
    ----------
    city : str
        Where the hotel
        stands.
    width, height : float, optional
        Of the bed.
    note
        Free text.

    Returns
    -------
    dict of str to int
        The booking by room.

    Notes
    -----
    None.
    """

REST = """Book a room.

    :param city: Where the hotel
        stands.
    :type city: str
    :param str note: Free text.
    :raises ValueError: No room.
    :return: The booking by room.
    :rtype: dict
    """


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            GOOGLE,
            Docstring(
                "Book a room.\nRooms are booked at once.",
                {
                    "city": "Where the hotel stands.",
                    "nights": "Which: one pair a stay.",
                    "note": "Free text.",
                },
                "The booking by room.",
            ),
        ),
        (
            NUMPY,
            Docstring(
                "Book a room.",
                {
                    "city": "Where the hotel stands.",
                    "width": "Of the bed.",
                    "height": "Of the bed.",
                    "note": "Free text.",
                },
                "The booking by room.",
            ),
        ),
        (
            REST,
            Docstring(
                "Book a room.",
                {"city": "Where the hotel stands.", "note": "Free text."},
                "The booking by room.",
            ),
        ),
        ("Returns:\n    Bookings: all of the city.", Docstring("", {}, "all of the city.")),
        ("Returns:\n    What we know: nothing.", Docstring("", {}, "What we know: nothing.")),
        ("One line.", Docstring("One line.")),
        ("Usage note: it is slow.", Docstring("Usage note: it is slow.")),
        ("", Docstring()),
        (None, Docstring()),
    ],
)
def test_the_three_styles(text: str | None, expected: Docstring) -> None:
    assert parse_docstring(text) == expected


@given(st.text(alphabet=" \n:-argsRetun*()x", max_size=200))
def test_any_text_is_read(text: str) -> None:
    parse_docstring(text)
