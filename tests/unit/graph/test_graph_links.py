from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.unit.graph.word_encoder import INTEGER, NUMBER, TEXT, WordEncoder, make_tool
from toolflow.catalog.tool import Schema, Tool
from toolflow.errors import CatalogueError, GraphError
from toolflow.graph.graph import ToolGraph, build_graph
from toolflow.graph.link import Link

FLIGHT_ID: Schema = {"type": "string", "description": "Identifier of the flight."}
SEARCH = make_tool(
    "search_flights",
    {"origin_city": TEXT},
    {"flights": {"type": "array", "items": {"type": "object", "properties": {"flight_id": FLIGHT_ID}}}},
)
BOOK = make_tool("book_flight", {"flight_id": FLIGHT_ID})


def build(*tools: Tool) -> ToolGraph:
    return build_graph(tools, WordEncoder())


def joined(links: Sequence[Link]) -> set[tuple[str, str, str, str]]:
    return {(link.from_tool, link.from_field, link.to_tool, link.to_field) for link in links}


def others(count: int) -> list[Tool]:
    """Tools that are about other things, so that names of the tools under test are rare."""
    return [make_tool(f"tool{index}", {f"thing{chr(97 + index)}": TEXT}) for index in range(count)]


def test_a_result_is_linked_to_the_parameter_it_can_fill() -> None:
    (link,) = build(SEARCH, BOOK).links()
    assert link.kind == "return-parameter"
    assert (link.from_tool, link.from_field) == ("search_flights", "flights[].flight_id")
    assert (link.to_tool, link.to_field) == ("book_flight", "flight_id")
    assert 0.4 < link.weight <= 1


def test_a_shared_parameter_is_one_link_without_direction() -> None:
    links = build(BOOK, make_tool("get_seat_map", {"flight_id": FLIGHT_ID})).links()
    (shared,) = [link for link in links if link.kind == "parameter-parameter"]
    assert {shared.from_tool, shared.to_tool} == {"book_flight", "get_seat_map"}
    assert (shared.from_field, shared.to_field) == ("flight_id", "flight_id")


def test_tools_of_no_common_field_are_not_linked() -> None:
    assert list(build(SEARCH, make_tool("set_light", {"brightness": INTEGER})).links()) == []


@pytest.mark.parametrize(
    ("given", "taken", "joins"),
    [
        (INTEGER, NUMBER, True),
        (TEXT, INTEGER, False),
        (TEXT, {"type": "boolean"}, False),
        ({}, INTEGER, True),
        (TEXT, {}, True),
        ({"type": ["string", "null"]}, TEXT, True),
        ({"type": "array", "items": TEXT}, TEXT, True),
        (TEXT, {"type": "array", "items": TEXT}, True),
        ({"type": "array", "items": INTEGER}, TEXT, False),
    ],
)
def test_only_compatible_types_join(given: Schema, taken: Schema, *, joins: bool) -> None:
    graph = build(
        make_tool("find_stock", None, {"stock_symbol": given}),
        make_tool("buy_stock", {"stock_symbol": taken}),
    )
    assert bool(graph.links_among(["find_stock", "buy_stock"])) == joins


@pytest.mark.parametrize(
    "name", ["page", "limit", "api_key", "accessToken", "status", "success", "lang", "sort_by"]
)
def test_boilerplate_never_joins(name: str) -> None:
    tools = [
        make_tool(f"{verb}_flights", {name: TEXT}, {name: TEXT}, category="flights")
        for verb in ("list", "find")
    ]
    assert list(build(*tools).links()) == []


def test_boilerplate_joins_by_what_it_stands_in() -> None:
    order = {"type": "object", "properties": {"status": TEXT}}
    graph = build(
        make_tool("get_order", None, {"order": order}), make_tool("find_orders", {"order_status": TEXT})
    )
    assert joined(list(graph.links())) == {("get_order", "order.status", "find_orders", "order_status")}


def test_a_bare_id_joins_the_id_of_what_its_tool_is_about() -> None:
    graph = build(
        make_tool("search_movies", {"title_words": TEXT}, {"results": {"type": "array", "items": {
            "type": "object", "properties": {"id": TEXT}}}}),
        make_tool("get_cast", {"movie_id": TEXT}),
        make_tool("get_menu", {"restaurant_id": TEXT}),
        *others(10),
    )  # fmt: skip
    assert joined(graph.links_of("search_movies")) == {
        ("search_movies", "results[].id", "get_cast", "movie_id")
    }
    assert graph.links_of("get_menu") == ()


def test_a_generic_name_joins_tools_that_are_alike_and_no_others() -> None:
    """``id`` is everywhere: it links only what is about one thing anyway."""
    unlike = [
        make_tool(name, {"id": TEXT}, {"id": TEXT})
        for name in ("light_lamp", "cook_rice", "drive_car", "sing")
    ]
    notes = [
        make_tool(
            f"{verb}_note", {"id": TEXT}, {"id": TEXT}, description="Note of the user.", category="notes"
        )
        for verb in ("read", "edit")
    ]
    graph = build(*unlike, *notes)
    assert {link.to_tool for link in graph.links()} <= {"read_note", "edit_note"}
    assert graph.links_among(["read_note", "edit_note"]) != ()


def test_a_name_that_many_tools_have_weighs_less() -> None:
    pair = make_tool("find_city", None, {"city": TEXT}), make_tool("plan_trip", {"city": TEXT})
    rare = build(*pair, *others(20)).links_among(["find_city", "plan_trip"])
    crowd = [make_tool(f"job{chr(97 + index)}", {"city": TEXT}) for index in range(20)]
    common = build(*pair, *crowd).links_among(["find_city", "plan_trip"])
    assert not common or common[0].weight < rare[0].weight


def test_a_result_that_repeats_an_argument_weighs_less_than_a_new_one() -> None:
    echo = make_tool("describe_hotel", {"hotel_code_name": TEXT}, {"hotel_code_name": TEXT})
    source = make_tool("discover_hotel", None, {"hotel_code_name": TEXT})
    graph = build(echo, source, make_tool("reserve_room", {"hotel_code_name": TEXT}))
    weights = {
        link.from_tool: link.weight
        for link in graph.links_of("reserve_room")
        if link.kind == "return-parameter"
    }
    assert weights["describe_hotel"] < weights["discover_hotel"]


def test_a_required_parameter_weighs_more_than_an_optional_one() -> None:
    source = make_tool("find_hotel", None, {"hotel_name": TEXT})
    weights = [
        next(build(source, make_tool("rate_hotel", {"hotel_name": TEXT}, required=required)).links()).weight
        for required in ([], ["hotel_name"])
    ]
    assert weights[0] < weights[1]


def test_a_tool_is_never_linked_to_itself() -> None:
    tool = make_tool("rename", {"file_name": TEXT}, {"file_name": TEXT, "old": TEXT})
    assert list(build(tool).links()) == []


def test_two_tools_keep_the_best_pair_of_fields() -> None:
    gives = {"departure_airport": TEXT, "flight_number": TEXT}
    graph = build(
        make_tool("find_flight", None, gives),
        make_tool("track_flight", {"flight_number": TEXT, "airport_name": TEXT}),
    )
    assert joined(list(graph.links())) == {("find_flight", "flight_number", "track_flight", "flight_number")}


@pytest.mark.parametrize(
    ("description", "joins"),
    [
        ("red green blue pink gold", False),  # cosine 0.57: above the threshold, below the bar
        ("red green blue white black", True),
    ],
)
def test_alike_descriptions_of_unlike_names_need_more_than_the_threshold(
    description: str, *, joins: bool
) -> None:
    gives: Schema = {"alpha": {"type": "string", "description": "red green blue white black"}}
    takes: Schema = {"omega": {"type": "string", "description": description}}
    graph = build(
        make_tool("mix", None, gives, description="Paint for one wall."),
        make_tool("brush", takes, description="Paint for one wall."),
    )
    assert bool(len(graph.table)) == joins


def test_a_name_that_a_thousand_tools_share_gives_a_bounded_number_of_links() -> None:
    tools = [make_tool(f"act{index}", {"vehicle_plate": TEXT}, description="Acts.") for index in range(1_000)]
    graph = build(*tools)
    assert 0 < len(graph.table) <= 32 * 1_000
    assert graph.statistics().isolated == 0


def test_pairs_of_a_very_common_name_are_the_same_whether_they_are_kept_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("red", "green", "blue", "wide", "narrow", "early", "late")
    tools = [
        make_tool(
            f"get_{one}_{other}",
            {
                "customer_id": {"type": "string", "description": f"Who wants {one} and {other}"},
                f"{one}_key": TEXT,
            },
            {"customer_id": {"type": "string", "description": f"Who has {other} or {one}"}, "total": TEXT},
        )
        for one in words
        for other in words
    ]
    kept = build(*tools)
    monkeypatch.setattr("toolflow.graph.linking.matching._MOST_PAIRS", 100)
    found_anew = build(*tools)
    assert len(kept.table) > len(tools)
    assert found_anew.links_hash == kept.links_hash


def test_a_huge_description_is_cut_before_it_is_encoded() -> None:
    huge = "word " * 200_000
    encoder = WordEncoder()
    taken: Schema = {"order_number": {"type": "string", "description": huge}}
    build_graph([make_tool("a", taken, description=huge), make_tool("b", taken)], encoder)
    assert max(map(len, encoder.asked)) < 1_000


def test_equal_fields_of_many_tools_are_encoded_once() -> None:
    encoder = WordEncoder()
    build_graph([make_tool(f"act{index}", {"plate": TEXT}) for index in range(20)], encoder)
    assert encoder.asked.count("plate (string)") == 1


@pytest.mark.parametrize(
    "tools",
    [
        [],
        [make_tool("alone", {"city": TEXT}, {"city": TEXT})],
        [make_tool("a"), make_tool("b")],
        [make_tool("a", {"city": TEXT}), make_tool("b", {"city": TEXT})],
        [make_tool("a", None, {"city": TEXT}), make_tool("b", None, {"city": TEXT})],
        [make_tool("a", {"page": TEXT}), make_tool("???", {"!": TEXT}, {"": TEXT})],
    ],
)
def test_catalogues_that_lack_something_give_a_graph(tools: list[Tool]) -> None:
    graph = build(*tools)
    assert graph.tools == tuple(tools)
    assert graph.statistics().tools == len(tools)


def test_a_schema_that_refers_to_itself_gives_links_all_the_same() -> None:
    node: Schema = {
        "type": "object",
        "properties": {"flight_id": TEXT, "next_leg": {"$ref": "#/$defs/leg"}},
    }
    circular = Tool("plan_route", "", {"type": "object"}, {"$ref": "#/$defs/leg", "$defs": {"leg": node}})
    assert joined(list(build(circular, BOOK).links())) == {
        ("plan_route", "flight_id", "book_flight", "flight_id")
    }


def test_links_come_strongest_first_with_weights_of_four_digits() -> None:
    tools = [SEARCH, BOOK, make_tool("get_flight", {"flight_id": FLIGHT_ID}, {"flight_id": FLIGHT_ID})]
    weights = [link.weight for link in build(*tools, *others(5)).links()]
    assert weights == sorted(weights, reverse=True)
    assert all(0 < weight <= 1 and weight == round(weight, 4) for weight in weights)


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(GraphError, match="threshold") as caught:
        build_graph([SEARCH], WordEncoder(), threshold=threshold)
    assert "0.43" in (caught.value.hint or "")


def test_a_higher_threshold_gives_no_more_links() -> None:
    tools = [SEARCH, BOOK, make_tool("find_flight", {"flight_code": FLIGHT_ID}, {"flight_ref": FLIGHT_ID})]
    low, high = (build_graph(tools, WordEncoder(), threshold=threshold) for threshold in (0.2, 0.95))
    assert joined(list(high.links())) <= joined(list(low.links()))
    assert (low.threshold, high.threshold) == (0.2, 0.95)


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(CatalogueError, match="book_flight"):
        build(BOOK, BOOK)


def test_progress_tells_every_stage_to_its_end() -> None:
    last: dict[str, tuple[int, int]] = {}

    def progress(stage: str, done: int, total: int) -> None:
        last[stage] = (done, total)

    build_graph([SEARCH, BOOK], WordEncoder(), progress=progress)
    assert len(last) >= 4
    assert all(done == total for done, total in last.values())


def test_in_a_small_catalogue_every_pair_that_may_be_linked_is_kept_as_a_candidate() -> None:
    tools = [SEARCH, BOOK, make_tool("set_light", {"brightness": INTEGER}), make_tool("ping")]
    graph = build(*tools)
    pairs = [link for link in graph.all_pairs() if link.kind == "return-parameter"]
    consumers = ("search_flights", "book_flight", "set_light")
    assert {(link.from_tool, link.to_tool) for link in pairs} == {
        (tool.name, consumer) for tool in tools for consumer in consumers if tool.name != consumer
    }
    assert len(pairs) == 9
    weights = [link.weight for link in graph.all_pairs()]
    assert weights == sorted(weights, reverse=True)
    assert all(link.weight < 0.25 for link in list(graph.all_pairs())[len(graph.table) :])


def test_a_tool_of_unknown_results_is_a_producer_by_what_it_is_about() -> None:
    graph = build(
        make_tool("get_reservation", {"passenger_surname": TEXT}, description="Reservation of a passenger."),
        make_tool("paint_wall", {"colour_name": TEXT}, description="Paints."),
        make_tool("cancel_trip", {"reservation_id": TEXT}, description="Cancels a reservation."),
    )
    weights = {
        link.from_tool: link
        for link in graph.all_pairs()
        if link.to_tool == "cancel_trip" and link.from_field == "$"
    }
    assert weights["get_reservation"].weight > weights["paint_wall"].weight
    assert weights["get_reservation"].to_field == "reservation_id"


def test_in_a_large_catalogue_no_tool_is_linked_to_more_than_a_fiftieth() -> None:
    producer = make_tool("register_vehicle", None, {"vehicle_plate": TEXT})
    tools = [make_tool(f"act{index}", {"vehicle_plate": TEXT}) for index in range(10_000)]
    statistics = build(producer, *tools).statistics()
    assert 0 < statistics.degree_max <= 200


def test_with_their_tools_fields_are_told_apart_by_them() -> None:
    tools = (
        make_tool("find_hotel", None, {"rating": {"type": "number", "description": "Mean of the reviews"}}),
        make_tool("rate_hotel", {"rating": {"type": "number", "description": "Mean of the reviews"}}),
        make_tool("tune_engine", {"rating": {"type": "number", "description": "Mean of the reviews"}}),
    )
    plain, told = (build_graph(tools, WordEncoder(), with_tool=with_tool) for with_tool in (False, True))

    def lead(graph: ToolGraph) -> float:
        weight = {link.to_tool: link.weight for link in graph.all_pairs() if link.from_tool == "find_hotel"}
        return weight["rate_hotel"] - weight["tune_engine"]

    assert lead(told) > lead(plain)
    assert (plain.encoder, told.encoder) == ("words-64", "words-64, with tools")
