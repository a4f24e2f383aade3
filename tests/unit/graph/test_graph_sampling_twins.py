from __future__ import annotations

import pytest

from tests.unit.graph.made_graph import make_clique
from tests.unit.graph.word_encoder import TEXT, make_tool
from toolflow.graph.sampling.sampler import GraphSampler, SizeRange
from toolflow.graph.sampling.twins import twin_groups


def are_twins(*names: str, descriptions: tuple[str, ...] = ("", "")) -> bool:
    tools = [
        make_tool(name, {"city": TEXT}, description=text)
        for name, text in zip(names, descriptions, strict=True)
    ]
    return len(set(twin_groups(tools))) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("Buses_1_FindBus", "Buses_2_FindBus"), ("get_v1_users", "get_v2_users")],
)
def test_copies_of_a_service_are_twins(one: str, other: str) -> None:
    assert are_twins(one, other)


@pytest.mark.parametrize(("one", "other"), [("tool_1", "tool_2"), ("find_bus", "find_train"), ("a", "b")])
def test_other_names_are_not(one: str, other: str) -> None:
    assert not are_twins(one, other)


def test_tools_that_say_the_same_are_twins() -> None:
    same = ("Finds the weather of a city.", "Find v2: finds THE weather of a city")
    assert not are_twins("a", "b", descriptions=same)
    assert are_twins("a", "b", descriptions=("Finds the weather (1)", "the weather: finds"))
    assert not are_twins("a", "b", descriptions=("test", "test"))


def test_a_numbering_of_many_tools_makes_no_twins() -> None:
    tools = [make_tool(f"api_{number}_call", {}) for number in range(100)]
    assert len(set(twin_groups(tools))) == 100


def test_twins_do_not_fill_a_set() -> None:
    copies = [make_tool(f"Buses_{number}_FindBus") for number in range(6)]
    others = [make_tool(name) for name in ("map", "book", "pay")]
    sampler = GraphSampler(make_clique([*copies, *others]), sizes=SizeRange(4, 4))
    for index in range(60):
        names = [tool.name for tool in sampler.sample(index).tools]
        assert sum(name.startswith("Buses") for name in names) <= 1


def test_twins_fill_a_set_where_there_is_nothing_else() -> None:
    copies = [make_tool(f"Buses_{number}_FindBus") for number in range(6)]
    sampler = GraphSampler(make_clique(copies), sizes=SizeRange(4, 4))
    assert {len(sampler.sample(index).tools) for index in range(20)} == {4}
