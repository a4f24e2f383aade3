from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolflow.llm.providers.rehearsal.answer import answer_from
from toolflow.llm.providers.rehearsal.arguments import fill
from toolflow.llm.providers.rehearsal.composing import answer_with, open_goal
from toolflow.llm.providers.rehearsal.conversation import AssistantSaid, Called, Conversation, UserSaid
from toolflow.llm.providers.rehearsal.intents import intents
from toolflow.llm.providers.rehearsal.manners import clauses, with_value
from toolflow.llm.providers.rehearsal.matching import Part, offer_of
from toolflow.llm.providers.rehearsal.phrasing import read_fact
from toolflow.llm.providers.rehearsal.planned_call import DraftArgument, DraftCall
from toolflow.llm.providers.rehearsal.requests import word_request
from toolflow.llm.providers.rehearsal.site import MISSING
from toolflow.llm.providers.rehearsal.sources import PlannedTool
from toolflow.llm.providers.rehearsal.spoken import say, slot_for, slot_of, unsay
from toolflow.llm.providers.rehearsal.styles import Style
from toolflow.llm.providers.rehearsal.words import split_name

DAYS = st.dates().filter(lambda day: 1900 < day.year < 2100).map(lambda day: day.isoformat())
WORDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyz ABCDEFG.,!?'-éü0123456789", min_size=1, max_size=40)
FACTS: st.SearchStrategy[tuple[str, Any]] = st.one_of(
    st.tuples(
        st.sampled_from(("origin_city", "city", "destination")),
        st.sampled_from(("Rome", "New York", "Porto", "Nice")),
    ),
    st.tuples(st.sampled_from(("date", "departure_date", "check_in_date", "end_date")), DAYS),
    st.tuples(
        st.sampled_from(("guest_count", "party_size", "slot_minutes", "quantity", "max_results")),
        st.integers(1, 900),
    ),
    st.tuples(
        st.sampled_from(("amount", "max_price", "distance_km")),
        st.integers(1, 9000).map(lambda cents: cents / 4),
    ),
    st.tuples(
        st.sampled_from(("note_title", "body_text", "keywords", "reason", "x")),
        WORDS.map(str.strip).filter(bool),
    ),
    st.tuples(st.just("start_time"), DAYS.map(lambda day: f"{day}T19:30:00Z")),
    st.tuples(st.just("email"), st.sampled_from(("ana.lopez@example.com", "b@x.example.org"))),
    st.tuples(
        st.sampled_from(("order_id", "booking_reference")), st.sampled_from(("OR310448", "K5-PQ2", "#W0001"))
    ),
    st.tuples(st.sampled_from(("include_taxes", "shuffle")), st.booleans()),
    st.tuples(
        st.just("tags"),
        st.lists(st.sampled_from(("work", "home office", "trip")), min_size=1, max_size=3, unique=True),
    ),
)
STYLES = st.builds(Style, st.booleans(), st.booleans(), st.booleans(), st.booleans())


@settings(max_examples=400, deadline=None)
@given(
    st.lists(FACTS, min_size=1, max_size=4, unique_by=lambda fact: fact[0]), STYLES, st.integers(0, 10_000)
)
def test_what_the_user_says_the_assistant_reads(
    facts: list[tuple[str, Any]], style: Style, seed: int
) -> None:
    goal = {"request": "The user wants to book a table.", "facts": dict(facts), "only_when_asked": {}}
    message = open_goal(goal, [], style, random.Random(seed))
    for name, value in facts:
        if '"' in str(value):
            continue
        assert read_fact(message, slot_for(name, value)) == value, message


@settings(max_examples=200, deadline=None)
@given(FACTS, STYLES, st.integers(0, 10_000))
def test_a_plain_answer_is_read_too(fact: tuple[str, Any], style: Style, seed: int) -> None:
    name, value = fact
    message = answer_with({name: value}, style, random.Random(seed), plain=True)
    assert read_fact(message, slot_for(name, value)) == value, message


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("origin_city", "New York", "I need a bus from New York to Boston on March 8, 2026."),
        ("destination_city", "Boston", "I need a bus from New York to Boston on March 8, 2026."),
        ("departure_date", "2026-03-08", "We'd be leaving on March 8, 2026 at 08:15."),
        ("passenger_count", 3, "A table for 3 passengers, please."),
        ("email", "a@b.example.com", "Send it to a@b.example.com, thanks."),
        ("max_price", 200, "I can spend at most $200."),
        ("departure_time", "08:15", "Something at 08:15 would be good."),
    ],
)
def test_natural_phrases_are_read(name: str, value: Any, text: str) -> None:
    assert read_fact(text, slot_for(name, value)) == value


def test_what_was_not_said_is_not_read() -> None:
    text = "I'd like to find hotels in Rome for 2 guests."
    for name, value in (
        ("check_in_date", "2026-01-01"),
        ("email", "a@b.example"),
        ("destination_city", "Oslo"),
    ):
        assert read_fact(text, slot_for(name, value)) is MISSING


def test_an_allowed_value_is_read_wherever_it_is_mentioned() -> None:
    slot = slot_of("cabin_class", {"type": "string", "enum": ["economy", "premium_economy", "first"]}, {})
    assert read_fact("We would fly premium economy this time.", slot) == "premium_economy"
    assert read_fact("We would fly.", slot) is MISSING


@given(st.one_of(DAYS, st.booleans(), st.integers(-9000, 9000), st.sampled_from((2.5, 0.125, "yes or no"))))
def test_single_values_survive_being_said(value: Any) -> None:
    assert unsay(say(value), slot_for("thing" if not isinstance(value, str) else "note", value)) == value


def test_one_of_a_kind_is_no_plural() -> None:
    template = next(one for one in clauses(slot_for("guest_count", 1), inline=True) if "guests" in one)
    assert with_value(template, 1, "1").endswith("1 guest")


@pytest.mark.parametrize(
    ("name", "description", "intent"),
    [
        ("search_flights", "Finds flights between two cities on one day.", "find flights"),
        (
            "CheckBalance",
            "Check the amount of money in a user's bank account",
            "check the amount of money in their bank account",
        ),
        ("get_order", "", "see the order"),
        ("list_bills", "Lists the user's bills, those due soonest first.", "see their bills"),
    ],
)
def test_intents_come_from_descriptions_and_names(name: str, description: str, intent: str) -> None:
    assert any(intent in phrase for phrase in intents(name, description)), intents(name, description)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Please go over the ride options for July 14, 2026 at 09:15 for the first place.", "address"),
        ("Could you list the official weather warnings in force there?", "city"),
    ],
)
def test_a_time_or_a_pointing_word_is_no_place(text: str, name: str) -> None:
    assert read_fact(text, slot_of(name, {"type": "string"}, {})) is MISSING


def test_there_is_where_the_talk_was_before_and_not_where_it_goes_next() -> None:
    offer = offer_of(
        "list_weather_alerts",
        "Lists the weather warnings in force.",
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    )
    here, next_one = "List the weather warnings in force there.", "Also, list those in force in Barcelona."
    conversation = Conversation(
        (
            UserSaid("What is the weather in Nice?"),
            Called("get_weather", {"city": "Nice"}, {"temperature": 7}),
            AssistantSaid("7 °C."),
            UserSaid(f"{here} {next_one}"),
        ),
        (offer,),
    )
    for text, city in ((here, "Nice"), (next_one, "Barcelona")):
        arguments, missing = fill(offer, Part(text, offer.name, follows=False), conversation, [])
        assert (arguments, missing) == ({"city": city}, [])


@pytest.mark.parametrize(
    ("pointer", "wanted"),
    [("the second product", "P2"), ("the cheapest product", "P3"), ("that product", "P1")],
)
def test_who_points_into_a_list_means_the_list_and_not_what_was_used_since(pointer: str, wanted: str) -> None:
    entry = {"product_id": {"type": "string"}, "quantity": {"type": "integer"}}
    items = {"type": "array", "items": {"type": "object", "properties": entry, "required": [*entry]}}
    offer = offer_of(
        "place_order",
        "Orders products from the shop.",
        {"type": "object", "properties": {"order_items": items}, "required": ["order_items"]},
    )
    shown = [{"product_id": f"P{place}", "price": 10 - place} for place in (1, 2, 3)]
    request = f"Could you order {pointer}?"
    conversation = Conversation(
        (
            UserSaid("Find lamps."),
            Called("search_products", {"keywords": "lamp"}, {"products": shown}),
            Called("save_product", {"product_id": "P1"}, {"product_id": "P1"}),
            AssistantSaid("I found three."),
            UserSaid(request),
        ),
        (offer,),
    )
    arguments, _ = fill(offer, Part(request, offer.name, follows=False), conversation, [])
    assert arguments == {"order_items": [{"product_id": wanted, "quantity": 1}]}


def test_who_points_at_one_thing_means_no_other() -> None:
    properties = {"bill_id": {"type": "string"}, "account_id": {"type": "string"}}
    schema = {"type": "object", "properties": properties, "required": [*properties]}
    offer = offer_of("pay_bill", "Pays a bill.", schema)
    conversation = Conversation(
        (
            UserSaid("List my bills and accounts."),
            Called("list_bills", {}, {"bills": [{"bill_id": "B1"}, {"bill_id": "B2"}]}),
            Called("list_accounts", {}, {"accounts": [{"account_id": "A1"}, {"account_id": "A2"}]}),
            Called("list_transactions", {"account_id": "A1"}, {"transactions": []}),
            AssistantSaid("Here they are."),
            UserSaid("Pay the second bill."),
        ),
        (offer,),
    )
    part = Part("Pay the second bill.", offer.name, follows=False)
    arguments, _ = fill(offer, part, conversation, [])
    assert arguments == {"bill_id": "B2", "account_id": "A1"}


def test_an_object_is_told_field_by_field_in_a_request_for_several_calls() -> None:
    people = {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"full_name": {"type": "string"}, "email": {"type": "string"}},
            "required": ["full_name", "email"],
        },
    }
    schema = {"type": "object", "properties": {"guests": people}, "required": ["guests"]}
    offer = offer_of("book_table", "Books a table for guests.", schema)
    (slot,) = offer.slots
    guests = [{"full_name": "Ada Lovelace", "email": "ada@example.com"}]
    call = DraftCall(PlannedTool(offer, ()), arguments=[DraftArgument(slot, "user", guests)])
    request = word_request([call, call], [offer], random.Random(1))
    assert "{" not in request
    assert read_fact(request, slot) == guests


def test_of_an_object_without_known_fields_nothing_is_said_or_asked() -> None:
    loose = {"type": "object"}
    policy = {
        "type": "object",
        "properties": {
            "policy_name": {"type": "string"},
            "access": loose,
            "rules": {"type": "array", "items": loose},
        },
        "required": ["policy_name", "access", "rules"],
    }
    schema = {
        "type": "object",
        "properties": {"policy": policy, "extra": loose},
        "required": ["policy", "extra"],
    }
    offer = offer_of("make_policy", "Makes a policy.", schema)
    (slot, _) = offer.slots
    facts = {"policy": {"policy_name": "Birch", "access": {}, "rules": [{}]}, "extra": {}}
    told = answer_with(facts, Style(), random.Random(1), plain=True)
    assert told == "The policy name is Birch."
    assert read_fact(told, slot) == facts["policy"]
    assert read_fact("Make a policy, please.", slot) is MISSING
    conversation = Conversation(
        (UserSaid("Make a policy."), AssistantSaid("Which one?"), UserSaid(told)), (offer,)
    )
    assert fill(offer, Part("Make a policy.", offer.name, follows=False), conversation, []) == (facts, [])


@pytest.mark.parametrize("name", ["城市", "été", "—", "_", "2"])
def test_any_name_has_words(name: str) -> None:
    assert split_name(name)
    assert answer_from([Called("list_things", {}, {name: [{name: "Oslo"}]})], random.Random(1))


def test_people_without_names_are_called_by_their_addresses() -> None:
    guests = [{"response_status": "accepted", "email": f"{name}@example.com"} for name in ("ada", "ben")]
    told = answer_from([Called("list_guests", {}, {"guests": guests})], random.Random(0))
    assert "ada@example.com (accepted)" in told
