from __future__ import annotations

from typing import Any

import msgspec
import pytest

from toolflow.agents.formats import result_format
from toolflow.agents.prompts import shipped_prompts
from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message
from toolflow.llm.providers.rehearsal.site import MISSING
from toolflow.llm.providers.rehearsal.tidy import tidy
from toolflow.llm.providers.rehearsal.world import World


@pytest.fixture
def service(sample_tools: tuple[Tool, ...], ask: Any) -> Any:
    """A service that remembers: calls a sample tool and keeps the history."""
    tools = {tool.name: tool for tool in sample_tools}
    history: list[dict[str, Any]] = []
    prompts = shipped_prompts()

    def call(name: str, **arguments: Any) -> Any:
        tool = tools[name]
        shape, wrapped = result_format(tool)
        task = prompts.render(
            "tool", "task", tool=tool, history=history, arguments=arguments, wrapped=wrapped
        )
        messages = [Message("system", prompts.render("tool", "system")), Message("user", task)]
        reply = ask(messages, "tool_result", schema=dict(shape.schema), seed=len(history))
        result = msgspec.json.decode(reply.content)
        result = result["result"] if wrapped else result
        assert tool.result_problems(result) == []
        history.append({"tool": name, "arguments": arguments, "result": result})
        return result

    return call


def test_an_id_means_the_same_thing_later(service: Any) -> None:
    found = service("search_hotels", city="Rome", check_in_date="2026-05-01", check_out_date="2026-05-03")
    for hotel in found["hotels"]:
        details = service("get_hotel_details", hotel_id=hotel["hotel_id"])
        assert details["hotel_name"] == hotel["hotel_name"]
        assert details["location"]["address"] == hotel["address"]
        assert details["location"]["city"] == "Rome"


def test_the_same_call_gets_the_same_answer(service: Any) -> None:
    first = service("search_restaurants", city="Oslo")
    service("get_current_weather", city="Oslo")
    assert service("search_restaurants", city="Oslo") == first


def test_arguments_are_echoed_and_limits_kept(service: Any) -> None:
    found = service("search_products", keywords="standing desk", max_results=2)
    assert len(found["products"]) <= 2
    assert found["total_results"] == len(found["products"])
    assert all("standing desk" in product["product_name"].lower() for product in found["products"])


def test_reads_see_writes(service: Any) -> None:
    booked = service("create_note", note_title="Shopping", body_text="Bread and olives")
    read = service("get_note", note_id=booked["note_id"])
    assert read["note_title"] == "Shopping"
    assert read["body_text"] == "Bread and olives"
    service("update_note", note_id=booked["note_id"], body_text="Only bread")
    assert service("get_note", note_id=booked["note_id"])["body_text"] == "Only bread"


def test_what_was_made_is_found_by_its_words_and_by_no_others(service: Any) -> None:
    made = service("create_contact", full_name="Andre Tanaka")
    others = service("search_contacts", keywords="Weber")["contacts"]
    assert made["contact_id"] not in [one["contact_id"] for one in others]
    found = service("search_contacts", keywords="tanaka")["contacts"]
    assert found[0]["contact_id"] == made["contact_id"]


def test_what_was_deleted_is_listed_no_more(service: Any) -> None:
    kept, gone = (
        service("create_reminder", reminder_text=text, start_time="2026-09-28T08:15:00Z")["reminder_id"]
        for text in ("renew the passport", "water the plants")
    )
    service("delete_reminder", reminder_id=gone)
    listed = [one["reminder_id"] for one in service("list_reminders", date="2026-09-28")["reminders"]]
    assert kept in listed
    assert gone not in listed


def test_what_was_cancelled_stays_cancelled(service: Any) -> None:
    order = service("get_order", order_id="OR310448")
    assert order["order_status"] != "cancelled"
    assert service("cancel_order", order_id="OR310448")["order_status"] == "cancelled"
    assert service("get_order", order_id="OR310448")["order_status"] == "cancelled"


def test_what_was_just_asked_for_is_not_over_yet(service: Any) -> None:
    booked = service(
        "book_appointment", doctor_id="DR8498", start_time="2026-03-16T08:00:00Z", visit_reason="a cough"
    )
    assert booked["appointment_status"] == "booked"
    ride = service("request_ride", address="1 Mill Lane", ride_option_id="RO1", email="a.b@example.com")
    assert ride["ride_status"] == "requested"


def test_a_total_is_price_times_quantity(service: Any) -> None:
    shows = service("list_showtimes", movie_id="MV2290", city="Lyon", date="2026-04-02")
    show = shows["showtimes"][0]
    order = service("book_movie_tickets", showtime_id=show["showtime_id"], ticket_count=3)
    assert order["amount"] == pytest.approx(3 * show["price"])
    assert order["start_time"] == show["start_time"]


def test_flights_arrive_after_they_depart(service: Any) -> None:
    found = service(
        "search_flights", origin_city="Rome", destination_city="Oslo", departure_date="2026-06-01"
    )
    for flight in found["flights"]:
        assert flight["departure_time"].startswith("2026-06-01")
        assert flight["departure_time"] < flight["arrival_time"]
    prices = [flight["price"] for flight in found["flights"]]
    assert prices == sorted(prices)


def test_a_tool_that_does_not_tell_what_it_returns(ask: Any) -> None:
    tool = Tool(
        "book_flight", "Book a flight", {"type": "object", "properties": {"from": {"type": "string"}}}
    )
    shape, wrapped = result_format(tool)
    task = shipped_prompts().render(
        "tool", "task", tool=tool, history=[], arguments={"from": "Rome"}, wrapped=wrapped
    )
    result = msgspec.json.decode(
        ask([Message("user", task)], "tool_result", schema=dict(shape.schema)).content
    )["result"]
    assert result["from"] == "Rome"
    assert result["status"]
    assert any(name.endswith("_id") for name in result)


def test_passengers_are_counted_and_pay_a_fare_each(service: Any) -> None:
    found = service(
        "search_flights", origin_city="Rome", destination_city="Oslo", departure_date="2026-06-01"
    )
    flight = found["flights"][0]
    passengers = [{"full_name": name, "date_of_birth": "1990-01-01"} for name in ("Ada Moss", "Ben Moss")]
    booked = service(
        "book_flight", flight_id=flight["flight_id"], passengers=passengers, email="ada.moss@example.com"
    )
    assert booked["passenger_count"] == 2
    assert booked["amount"] == pytest.approx(2 * flight["price"])
    again = service("get_flight_booking", booking_reference=booked["booking_reference"])
    assert again["amount"] == booked["amount"]


def test_an_order_costs_what_its_items_cost(service: Any) -> None:
    products = service("search_products", keywords="desk lamp")["products"]
    wanted = [{"product_id": one["product_id"], "quantity": place} for place, one in enumerate(products, 2)]
    due = sum(one["price"] * place for place, one in enumerate(products, 2))
    order = service("place_order", order_items=wanted, address="1 Mill Lane")
    assert order["amount"] == pytest.approx(due)
    other = service("get_order", order_id="OR310448")
    assert other["amount"] == pytest.approx(
        sum(item["price"] * item["quantity"] for item in other["order_items"])
    )
    second = service("get_order", order_id=order["order_id"])
    assert second["amount"] == order["amount"]


def test_one_gets_back_what_was_paid(service: Any) -> None:
    order = service("get_order", order_id="OR310448")
    item = order["order_items"][0]
    returned = service(
        "request_return",
        order_id="OR310448",
        product_id=item["product_id"],
        return_reason="does_not_fit",
        quantity=1,
    )
    assert returned["refund_amount"] == pytest.approx(item["price"])
    tickets = service("book_movie_tickets", showtime_id="ST43260", ticket_count=5, email="a.b@example.com")
    cancelled = service("cancel_ticket_order", ticket_order_id=tickets["ticket_order_id"])
    assert cancelled["refund_amount"] == tickets["amount"]


def test_a_transfer_leaves_the_rest_of_the_balance(service: Any) -> None:
    account = max(service("list_accounts")["accounts"], key=lambda one: one["balance"])
    sent = service("send_transfer", account_id=account["account_id"], payee_id="PY837", amount=100)
    assert sent["remaining_balance"] == pytest.approx(account["balance"] - 100)
    sent = service("send_transfer", account_id=account["account_id"], payee_id="PY121", amount=50)
    assert sent["remaining_balance"] == pytest.approx(account["balance"] - 150)
    sent = service("send_transfer", account_id=account["account_id"], payee_id="PY121", amount=10_000_000)
    assert sent["remaining_balance"] == 0


def test_a_rate_is_that_of_the_currencies(service: Any) -> None:
    yen = service("convert_currency", amount=200, currency="EUR", target_currency="JPY")
    assert 100 < yen["exchange_rate"] < 250
    assert yen["converted_amount"] == pytest.approx(200 * yen["exchange_rate"])
    back = service("convert_currency", amount=yen["converted_amount"], currency="JPY", target_currency="EUR")
    assert back["converted_amount"] == pytest.approx(200, rel=0.01)


def test_what_moved_on_an_account_is_summed_by_direction(service: Any) -> None:
    listed = service("list_transactions", account_id="AC4200", start_date="2026-05-01")
    for way in ("in", "out"):
        moved = [one["amount"] for one in listed["transactions"] if one["direction"] == way]
        assert listed[f"money_{way}"] == pytest.approx(sum(moved))


def test_a_journey_begins_and_ends_at_airports_of_its_cities(service: Any) -> None:
    found = service(
        "search_flights", origin_city="Toronto", destination_city="Helsinki", departure_date="2026-06-01"
    )
    details = service("get_flight_details", flight_id=found["flights"][0]["flight_id"])
    assert details["departure"]["airport_code"] == "YYZ"
    assert details["arrival"]["airport_code"] == "HEL"


def test_who_has_an_address_bears_its_name(service: Any) -> None:
    sent = service("send_email", email="elena.hughes@example.com", subject="Hello", body_text="How are you?")
    assert service("get_email", message_id=sent["message_id"])["full_name"] == "Elena Hughes"


def test_it_is_cold_when_it_snows() -> None:
    world = World([], "get_weather", {})
    weather: dict[str, Any] = {"weather_condition": "snow", "temperature_c": 29.0, "feels_like_c": 5.0}
    tidy(weather, world)
    assert weather["temperature_c"] <= 2
    assert abs(weather["feels_like_c"] - weather["temperature_c"]) <= 6
    warm: dict[str, Any] = {"weather_condition": "sunny", "temperature_c": 29.0, "feels_like_c": 27.0}
    tidy(warm, world)
    assert warm == {"weather_condition": "sunny", "temperature_c": 29.0, "feels_like_c": 27.0}


def test_what_lost_a_part_is_still_there() -> None:
    history = [
        {
            "tool": "create_playlist",
            "arguments": {"name": "Mix"},
            "result": {"playlist_id": "P1", "name": "Mix"},
        },
        {
            "tool": "remove_track",
            "arguments": {"playlist_id": "P1", "track_id": "T1"},
            "result": {"ok": True},
        },
    ]
    assert World(history, "list_playlists", {}).known("playlists", False)[0]["playlist_id"] == "P1"
    history.append({"tool": "delete_playlist", "arguments": {"playlist_id": "P1"}, "result": {"ok": True}})
    assert World(history, "list_playlists", {}).known("playlists", False) is MISSING
