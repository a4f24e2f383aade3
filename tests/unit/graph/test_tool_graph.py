from __future__ import annotations

import pytest

from tests.unit.graph.word_encoder import TEXT, WordEncoder, make_tool
from toolflow.catalog.catalogue import Catalogue
from toolflow.errors import GraphError
from toolflow.graph.graph import ToolGraph, build_graph
from toolflow.graph.statistics import Hub

FIND = make_tool("find_flight", {"origin_city": TEXT}, {"flight_id": TEXT})
BOOK = make_tool("book_flight", {"flight_id": TEXT}, {"booking_number": TEXT})
CANCEL = make_tool("cancel_booking", {"booking_number": TEXT})
TRACK = make_tool("track_flight", {"flight_id": TEXT}, category="flights")
LAMP = make_tool("set_lamp", {"brightness": TEXT}, description="Sets a lamp.", category="home")


@pytest.fixture(scope="module")
def graph() -> ToolGraph:
    return build_graph([FIND, BOOK, CANCEL, TRACK, LAMP], WordEncoder())


def test_the_graph_knows_what_it_was_built_from(graph: ToolGraph) -> None:
    assert graph.content_hash == Catalogue(graph.tools).content_hash
    assert (graph.encoder, graph.threshold) == ("words-64", 0.43)
    assert len(graph) == 5
    assert "book_flight" in graph
    assert "sell_flight" not in graph
    assert graph.tool("book_flight") is BOOK


def test_links_of_a_tool_are_all_that_touch_it(graph: ToolGraph) -> None:
    touching = [link for link in graph.links() if "book_flight" in (link.from_tool, link.to_tool)]
    assert list(graph.links_of("book_flight")) == touching
    assert {(link.from_tool, link.to_tool) for link in touching if link.kind == "return-parameter"} == {
        ("find_flight", "book_flight"),
        ("book_flight", "cancel_booking"),
    }
    (shared,) = [link for link in touching if link.kind == "parameter-parameter"]
    assert {shared.from_tool, shared.to_tool} == {"book_flight", "track_flight"}
    assert graph.links_of("set_lamp") == ()


def test_links_among_tools_have_both_ends_in_them(graph: ToolGraph) -> None:
    names = ["find_flight", "track_flight", "cancel_booking", "set_lamp", "find_flight"]
    among = [link for link in graph.links() if {link.from_tool, link.to_tool} <= set(names)]
    assert list(graph.links_among(names)) == among
    assert len(among) == 1
    assert graph.links_among([]) == ()


def test_neighbours_come_strongest_first_with_their_strongest_weight(graph: ToolGraph) -> None:
    neighbours = graph.neighbours("book_flight")
    assert set(neighbours) == {"find_flight", "cancel_booking", "track_flight"}
    assert list(neighbours.values()) == sorted(neighbours.values(), reverse=True)
    for name, weight in neighbours.items():
        assert weight == max(link.weight for link in graph.links_among(["book_flight", name]))


def test_an_unknown_tool_is_told_with_names_like_it(graph: ToolGraph) -> None:
    for ask in (graph.links_of, graph.neighbours, graph.tool, lambda name: graph.links_among([name])):
        with pytest.raises(GraphError, match="book_fligth") as caught:
            ask("book_fligth")
        assert "'book_flight'" in (caught.value.hint or "")
    with pytest.raises(GraphError) as caught:
        graph.tool("zzz")
    assert "'book_flight'" in (caught.value.hint or "")  # names one that is there


def test_statistics_count_tools_links_and_components(graph: ToolGraph) -> None:
    statistics = graph.statistics()
    assert statistics.tools == 5
    assert statistics.links == {"return-parameter": 3, "parameter-parameter": 1}
    assert (statistics.degree_mean, statistics.degree_median, statistics.degree_max) == (1.6, 2, 3)
    assert (statistics.components, statistics.largest_component, statistics.isolated) == (1, 4, 1)
    assert statistics.hubs[0] == Hub("book_flight", 3)
    assert "set_lamp" not in {hub.tool for hub in statistics.hubs}
    assert statistics.to_json()["hubs"][0] == {"tool": "book_flight", "degree": 3}


def test_statistics_of_tools_without_links_say_so() -> None:
    statistics = build_graph([FIND, LAMP], WordEncoder()).statistics()
    assert sum(statistics.links.values()) == 0
    assert (statistics.isolated, statistics.components, statistics.hubs) == (2, 0, ())
    assert build_graph([], WordEncoder()).statistics().tools == 0


def test_networkx_gets_every_tool_and_link(graph: ToolGraph) -> None:
    other = graph.to_networkx()
    assert set(other) == {tool.name for tool in graph.tools}
    assert other.nodes["set_lamp"] == {"description": "Sets a lamp.", "category": "home"}
    assert other.graph["content_hash"] == graph.content_hash
    edges = {(source, target, data["kind"]): data for source, target, data in other.edges(data=True)}
    assert len(edges) == len(graph.table)
    flow = edges["find_flight", "book_flight", "return-parameter"]
    assert (flow["kind"], flow["from_field"], flow["directed"]) == ("return-parameter", "flight_id", True)
    shared = [data for (*_, kind), data in edges.items() if kind == "parameter-parameter"]
    assert not any(data["directed"] for data in shared)
    assert len(shared) == 1


def test_the_same_catalogue_and_encoder_give_the_same_graph(graph: ToolGraph) -> None:
    again = build_graph(graph.tools, WordEncoder())
    assert list(again.links()) == list(graph.links())


def test_a_graph_is_built_from_a_catalogue_too(graph: ToolGraph) -> None:
    assert list(build_graph(Catalogue(graph.tools), WordEncoder()).links()) == list(graph.links())
