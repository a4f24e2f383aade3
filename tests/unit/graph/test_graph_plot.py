from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.unit.graph.made_graph import make_clique, make_flows, make_graph
from tests.unit.graph.word_encoder import make_tool
from toolflow.errors import GraphError
from toolflow.graph.graph import ToolGraph
from toolflow.graph.link import ToolSet
from toolflow.graph.plot import label, lay_out, neighbourhood, picture_of_set
from toolflow.graph.plot_page import render, write_page

HOSTILE = [
    make_tool("</title><script>alert(1)</script>", description="</svg><img src=x onerror=alert(2)>"),
    make_tool('"><b onmouseover="x', category="</li><iframe src=//evil>", description="$title ${links}"),
    make_tool("\x00\x1b[31mred\u202e", category="'; body{}"),
]


class Page(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        return [found for _, found in self.elements if name in (found.get("class") or "").split()]


@pytest.fixture
def star() -> ToolGraph:
    tools = [
        make_tool(name, category="hub" if name == "hub" else "rim") for name in ("hub", *"abcdefgh", "far")
    ]
    links = [(0, rim, 0, 0.1 * rim) for rim in range(1, 9)]
    return make_graph(tools, [*links, (1, 9, 1, 0.9)])


def test_a_neighbourhood_holds_the_strongest_neighbours(star: ToolGraph) -> None:
    picture = neighbourhood(star, "hub", most=4)
    assert [tool.name for tool in picture.tools] == ["hub", "h", "g", "f"]
    assert {join.to_tool for join in picture.joins} == {"h", "g", "f"}
    assert picture.focus == {"hub"}


def test_depth_reaches_further(star: ToolGraph) -> None:
    assert "far" not in {tool.name for tool in neighbourhood(star, "hub").tools}
    assert "far" in {tool.name for tool in neighbourhood(star, "hub", depth=2).tools}


def test_a_tool_without_links_stands_alone(star: ToolGraph) -> None:
    alone = make_graph(star.tools, [])
    picture = neighbourhood(alone, "hub")
    assert ([tool.name for tool in picture.tools], picture.joins) == (["hub"], ())
    assert len(Page(render(picture)).of_class("node")) == 1


def test_what_cannot_be_drawn_is_refused(star: ToolGraph) -> None:
    with pytest.raises(GraphError, match="no tool named 'hubb'"):
        neighbourhood(star, "hubb")
    with pytest.raises(GraphError, match="depth 0"):
        neighbourhood(star, "hub", depth=0)


def test_too_many_lines_are_left_out_and_told() -> None:
    graph = make_clique([make_tool(f"tool {number}") for number in range(30)])
    picture = neighbourhood(graph, "tool 3")
    assert len(picture.joins) + picture.left_out == 30 * 29 / 2
    assert picture.left_out > 0
    assert sum("tool 3" in {join.from_tool, join.to_tool} for join in picture.joins) == 29
    assert f"{picture.left_out} weaker ones are left out" in Page(render(picture)).text


def test_labels_do_not_overlap() -> None:
    graph = make_clique([make_tool(f"a tool of quite a long name {number}") for number in range(40)])
    picture = neighbourhood(graph, graph.tools[0].name)
    spots = list(lay_out(picture).values())
    width = 6 * len(label(graph.tools[0]))
    for number, (x, y) in enumerate(spots):
        assert all(abs(x - left) >= width or abs(y - top) >= 30 for left, top in spots[:number])


def test_pictures_of_the_same_are_the_same(star: ToolGraph) -> None:
    assert render(neighbourhood(star, "hub")) == render(neighbourhood(star, "hub"))


def test_the_page_shows_tools_categories_and_joined_fields() -> None:
    tools = [make_tool("search", category="flights"), make_tool("book", category="hotels")]
    graph = make_graph(tools, [(0, 1, 0, 0.9), (0, 1, 1, 0.4)])
    page = Page(render(picture_of_set(ToolSet(graph.tools, tuple(graph.links())), "A set")))
    assert len(page.of_class("node")) == 2
    assert len(page.of_class("flow")) == len(page.of_class("shared")) == 1
    for shown in ("A set", "search → book", "field → field  (0.90)", "search – book", "flights", "hotels"):
        assert shown in page.text
    nodes = [node["class"] for node in page.of_class("node")]
    assert len(set(nodes)) == 2  # a colour for each category


def test_text_of_a_catalogue_stays_text() -> None:
    graph = make_flows(HOSTILE, [(HOSTILE[0].name, HOSTILE[1].name), (HOSTILE[1].name, HOSTILE[2].name)])
    source = render(neighbourhood(graph, HOSTILE[1].name))
    page = Page(source)
    assert {tag for tag, _ in page.elements} <= {
        *("html", "head", "meta", "title", "style", "body", "header", "h1", "p", "svg", "defs", "marker"),
        *("path", "g", "circle", "text", "footer", "ul", "li", "i", "div", "script"),
    }
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert "alert(1)" in page.text  # shown, not run
    assert "$title ${links}" in page.text
    assert not re.search("[\x00-\x08\x1b\u202e]", source)


def test_the_page_needs_no_network(star: ToolGraph) -> None:
    source = render(neighbourhood(star, "hub"))
    assert "default-src 'none'" in source
    assert not re.search(r"https?://|\bsrc=|\bhref=|@import|url\((?!#)", source)


def test_a_page_that_cannot_be_written_is_told(star: ToolGraph, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="cannot be written"):
        write_page(neighbourhood(star, "hub"), tmp_path / "missing" / "page.html")
