from __future__ import annotations

import pytest

from toolflow.graph.linking.words import normal_words, singular, split_identifier


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("flight_id", "flight id"),
        ("flightId", "flight id"),
        ("FlightID", "flight id"),
        ("flight-ids", "flight ids"),
        ("flightIDs", "flight ids"),
        ("HTTPResponseCode", "http response code"),
        ("GET_movie-movie_id", "get movie movie id"),
        ("address1", "address 1"),
        ("base64", "base64"),
        ("  ", ""),
        ("城市_名", "城市 名"),
    ],
)
def test_an_identifier_is_split_into_its_words(identifier: str, words: str) -> None:
    assert " ".join(split_identifier(identifier)) == words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("flight_ids", "FlightID"),
        ("lat", "latitude"),
        ("userid", "user_id"),
        ("postal_code", "zipcode"),
        ("categories", "category"),
        ("movies", "movie"),
        ("statuses", "status"),
        ("addresses", "address"),
        ("boxes", "box"),
        ("text_2", "text"),
        ("phone1", "phone"),
    ],
)
def test_spellings_of_one_name_have_equal_normal_words(one: str, other: str) -> None:
    assert normal_words(one) == normal_words(other)


@pytest.mark.parametrize("word", ["news", "address", "status", "analysis", "bus", "gps"])
def test_words_that_only_look_plural_stay(word: str) -> None:
    assert singular(word) == word


def test_a_name_of_digits_keeps_them() -> None:
    assert normal_words("2024") == ("2024",)


def test_of_a_name_of_any_length_only_so_much_is_read() -> None:
    assert len("".join(split_identifier("a" * 1_000_000))) == 200
