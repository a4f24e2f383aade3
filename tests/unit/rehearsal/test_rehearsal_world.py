from __future__ import annotations

from typing import Any

import msgspec
import pytest

from toolflow.agents.formats import result_format
from toolflow.agents.prompts import shipped_prompts
from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message


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


def test_what_was_cancelled_stays_cancelled(service: Any) -> None:
    order = service("get_order", order_id="OR310448")
    assert order["order_status"] != "cancelled"
    assert service("cancel_order", order_id="OR310448")["order_status"] == "cancelled"
    assert service("get_order", order_id="OR310448")["order_status"] == "cancelled"


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
