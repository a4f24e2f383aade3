"""Prompts: blocks as text, and a sandbox that keeps its rules however often it is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from toolflow.agents.prompts import ROLES, Prompts
from toolflow.errors import UsageError


@dataclass
class Shop:
    """Has an attribute by a name that would change a list."""

    pop: str = "lemonade"


@pytest.fixture
def prompts_of(tmp_path: Path) -> Callable[[str], Prompts]:
    def make(user: str) -> Prompts:
        for role in ROLES:
            (tmp_path / f"{role}.j2").write_text(user if role == "user" else "")
        return Prompts(str(tmp_path))

    return make


def test_values_of_one_rendering_do_not_reach_the_next(prompts_of: Callable[[str], Prompts]) -> None:
    prompts = prompts_of(
        "{% block turn %}{% if name is defined %}{{ name }}{% else %}nobody{% endif %}{% endblock %}"
    )
    said = [prompts.render("user", "turn", **values) for values in ({"name": "Ada"}, {}, {"name": "Bo"}, {})]
    assert said == ["Ada", "nobody", "Bo", "nobody"]


def test_a_value_may_hide_a_global_for_one_rendering(prompts_of: Callable[[str], Prompts]) -> None:
    prompts = prompts_of(
        "{% block turn %}{{ range }}{% endblock %}{% block count %}{{ range(2) | list }}{% endblock %}"
    )
    assert prompts.render("user", "turn", range="far") == "far"
    assert prompts.render("user", "count", unused=1) == "[0, 1]"


def test_a_missing_value_is_told_each_time(prompts_of: Callable[[str], Prompts]) -> None:
    prompts = prompts_of("{% block turn %}{{ topic }}{% endblock %}")
    for _ in range(2):
        with pytest.raises(UsageError, match="topic"):
            prompts.render("user", "turn")


@pytest.mark.parametrize("value", [[1], {"a": 1}])
def test_a_name_that_is_safe_in_one_object_stays_refused_in_another(
    prompts_of: Callable[[str], Prompts], value: Any
) -> None:
    prompts = prompts_of("{% block turn %}{{ thing.pop }}{% endblock %}")
    for _ in range(2):
        assert prompts.render("user", "turn", thing=Shop()) == "lemonade"
        with pytest.raises(UsageError, match="unsafe"):
            prompts.render("user", "turn", thing=value)


def test_internals_of_an_object_are_refused_each_time(prompts_of: Callable[[str], Prompts]) -> None:
    prompts = prompts_of("{% block turn %}{{ thing.__class__ }}{% endblock %}")
    for _ in range(2):
        with pytest.raises(UsageError, match="unsafe"):
            prompts.render("user", "turn", thing=Shop())


@pytest.mark.parametrize("wrong", ["{{ 1 / 0 }}", "{{ 1 + 'a' }}", "{{ [][3].name }}"])
def test_what_goes_wrong_in_a_template_is_told_with_its_place(
    prompts_of: Callable[[str], Prompts], wrong: str
) -> None:
    prompts = prompts_of(f"{{% block turn %}}{wrong}{{% endblock %}}")
    with pytest.raises(UsageError, match=r"prompt user\.j2, block turn: "):
        prompts.render("user", "turn")


def test_a_prompt_that_is_no_text_is_told(prompts_of: Callable[[str], Prompts], tmp_path: Path) -> None:
    prompts_of("")
    (tmp_path / "tool.j2").write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(UsageError, match=r"tool\.j2 cannot be read") as caught:
        Prompts(str(tmp_path))
    assert "UTF-8" in (caught.value.hint or "")
