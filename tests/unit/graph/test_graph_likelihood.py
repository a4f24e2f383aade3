"""What speaks for a link in a small catalogue: in each test one link must rank above another."""

from __future__ import annotations

import pytest

from tests.unit.graph.word_encoder import NUMBER, TEXT, WordEncoder, make_tool
from toolflow.catalog.tool import Schema, Tool
from toolflow.graph.graph import build_graph
from toolflow.graph.link import Link

OTHERS = (
    make_tool("paint_wall", {"colour_name": TEXT}, {"litres": TEXT}, description="Paints."),
    make_tool("cook_rice", {"grain_kind": TEXT}, {"minutes": TEXT}, description="Cooks."),
    make_tool("sing_song", {"melody_title": TEXT}, {"loudness": TEXT}, description="Sings."),
)


def flows(*tools: Tool) -> dict[tuple[str, str], Link]:
    graph = build_graph([*tools, *OTHERS], WordEncoder())
    return {
        (link.from_tool, link.to_tool): link for link in graph.all_pairs() if link.kind == "return-parameter"
    }


def test_a_tool_that_is_told_to_return_what_is_asked_for_is_the_likelier_producer() -> None:
    links = flows(
        make_tool("look_up", {"mail": TEXT}, description="Returns the customer number of a person."),
        make_tool("greet", {"mail": TEXT}, description="Says hello to a person."),
        make_tool("send_bill", {"customer_number": TEXT}, description="Sends a bill."),
    )
    assert links["look_up", "send_bill"].weight > links["greet", "send_bill"].weight


def test_what_a_result_schema_says_of_a_result_without_fields_counts() -> None:
    bare: Schema = {"type": "string", "description": "The parcel number."}
    telling, silent = (
        Tool(name, "Acts.", {"type": "object", "properties": {"weight": TEXT}}, returns)
        for name, returns in (("hand_in", bare), ("weigh_in", {"type": "string"}))
    )
    links = flows(telling, silent, make_tool("follow", {"parcel_number": TEXT}))
    assert links["hand_in", "follow"].weight > links["weigh_in", "follow"].weight


def test_a_tool_that_takes_the_parameter_itself_tells_nothing_new() -> None:
    gives: Schema = {"ticket_number": TEXT}
    links = flows(
        make_tool("find_ticket", {"subject_line": TEXT}, gives),
        make_tool("read_ticket", {"ticket_number": TEXT}, gives),
        make_tool("edit_ticket", {"ticket_number": TEXT}, {"outcome": TEXT}),
    )
    assert links["find_ticket", "edit_ticket"].weight > links["read_ticket", "edit_ticket"].weight


@pytest.mark.parametrize("verb", ["delete", "update", "cancel"])
def test_a_tool_that_changes_things_is_seldom_a_producer(verb: str) -> None:
    links = flows(
        make_tool("list_invoice", None, {"invoice_number": TEXT}),
        make_tool(f"{verb}_invoice", None, {"invoice_number": TEXT}),
        make_tool("pay", {"invoice_number": TEXT}),
    )
    assert links["list_invoice", "pay"].weight > links[f"{verb}_invoice", "pay"].weight


def test_bare_ids_of_two_tools_about_one_thing_are_the_same_id() -> None:
    links = flows(
        make_tool("create_webhook", {"address": TEXT}, {"id": TEXT}),
        make_tool("create_project", {"address": TEXT}, {"id": TEXT}),
        make_tool("delete_webhook", {"id": TEXT}),
    )
    assert links["create_webhook", "delete_webhook"].weight > links["create_project", "delete_webhook"].weight
    assert links["create_webhook", "delete_webhook"].from_field == "id"


def test_what_logs_in_gives_the_token_that_others_take() -> None:
    links = flows(
        make_tool("log_in", {"username": TEXT}, {"access_token": TEXT}),
        make_tool("show_wallet", {"access_token": TEXT}, {"access_token": TEXT, "coins": TEXT}),
        make_tool("show_orders", {"access_token": TEXT}, {"orders_seen": TEXT}),
    )
    assert links["log_in", "show_orders"].weight > links["show_wallet", "show_orders"].weight
    assert links["log_in", "show_orders"].weight >= 0.25


@pytest.mark.parametrize("token", ["session_token", "token", "access_token"])
def test_a_token_comes_from_what_logs_in_whatever_both_are_about(token: str) -> None:
    links = flows(
        make_tool("log_in", {"username": TEXT}, {token: TEXT}, category="account"),
        make_tool("find_mail", {token: TEXT, "words": TEXT}, {"mails_seen": TEXT}, category="mail"),
        make_tool("send_mail", {token: TEXT, "text_of_it": TEXT}, {"sent_on": TEXT}, category="mail"),
    )
    assert links["log_in", "send_mail"].weight > links["find_mail", "send_mail"].weight
    assert links["log_in", "send_mail"].to_field == token


def test_the_only_tool_that_gives_what_must_be_given_is_the_surer_source() -> None:
    gives: Schema = {"berth_number": TEXT, "city_name": TEXT}
    links = flows(
        make_tool("find_berth", {"harbour": TEXT}, gives),
        *(
            make_tool(f"show_{place}", None, {"city_name": TEXT})
            for place in ("park", "lake", "hill", "shop")
        ),
        make_tool("book_berth", {"berth_number": TEXT}),
        make_tool("book_guide", {"city_name": TEXT}),
    )
    assert links["find_berth", "book_berth"].weight > links["find_berth", "book_guide"].weight


def test_what_must_be_given_is_the_likelier_taken() -> None:
    links = flows(
        make_tool("find_ship", None, {"ship_code": TEXT}),
        make_tool("steer", {"ship_code": TEXT}, required=["ship_code"]),
        make_tool("steer_so", {"ship_code": TEXT}, required=[]),
    )
    assert links["find_ship", "steer"].weight > links["find_ship", "steer_so"].weight


def test_a_tool_that_only_tells_how_it_went_gives_nothing_to_others() -> None:
    links = flows(
        make_tool("open_gate", {"gate_code": TEXT}, {"success": {"type": "boolean"}}, category="gates"),
        make_tool("look_at_gate", {"gate_code": TEXT}, category="gates"),
        make_tool("paint_gate", {"colour_of_gate": TEXT}, category="gates"),
    )
    assert links["look_at_gate", "paint_gate"].weight > links["open_gate", "paint_gate"].weight


def test_two_ways_to_do_one_thing_are_not_linked() -> None:
    gives: Schema = {"user_number": TEXT, "email": TEXT}
    links = flows(
        make_tool("find_user_by_name", {"name_of_user": TEXT}, gives),
        make_tool("find_user_by_email", {"email": TEXT}, gives),
        make_tool("greet_user", {"email": TEXT}),
    )
    assert links["find_user_by_name", "find_user_by_email"].weight < 0.25
    assert links["find_user_by_name", "greet_user"].weight >= 0.25


def test_tools_of_one_category_are_the_likelier_pair() -> None:
    links = flows(
        make_tool("find_near", None, {"place_code": TEXT}, category="maps"),
        make_tool("find_far", None, {"place_code": TEXT}, category="mail"),
        make_tool("route", {"place_code": TEXT}, category="maps"),
    )
    assert links["find_near", "route"].weight > links["find_far", "route"].weight


def test_where_fields_are_known_and_none_matches_no_link_is_likely() -> None:
    links = flows(
        make_tool("show_tide", {"coast": TEXT}, {"height_of_water": TEXT}, category="sea"),
        make_tool("hire_boat", {"boat_class": TEXT}, {"receipt": TEXT}, category="sea"),
    )
    link = links["show_tide", "hire_boat"]
    assert link.weight < 0.25
    assert link.from_field == "$"


def test_the_field_that_goes_by_the_name_is_the_one_that_is_shown() -> None:
    gives: Schema = {"note": {"type": "string", "description": "seat code seat code"}, "seat_code": TEXT}
    links = flows(make_tool("find_seat", None, gives), make_tool("take_seat", {"seat_code": TEXT}))
    assert links["find_seat", "take_seat"].from_field == "seat_code"


def test_a_bare_result_feeds_only_parameters_of_its_type() -> None:
    moment: Schema = {"type": "number", "description": "The moment of arrival."}
    moments: Schema = {"type": "array", "items": moment}
    one, many = (
        Tool(name, "Tells time.", {"type": "object", "properties": {}}, returns)
        for name, returns in (("read_clock", moment), ("read_clocks", moments))
    )
    links = flows(
        one,
        many,
        make_tool("name_arrival", {"arrival_moment": TEXT}),
        make_tool("plan_arrival", {"arrival_moment": TEXT, "moment": NUMBER}),
    )
    for name in ("read_clock", "read_clocks"):
        assert (name, "name_arrival") not in links
        assert links[name, "plan_arrival"].to_field == "moment"
    assert ("name_arrival", "plan_arrival") in links
