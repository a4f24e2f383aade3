"""Digests of tools and schemas: of the content, and without keeping alive what has passed."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from toolflow.journal.digest import digest_of_schema


class Schema(dict[str, Any]):
    """A schema whose end can be seen."""


def test_equal_schemas_have_equal_digests_and_others_have_not() -> None:
    one, same, other = ({"type": "object", "title": title} for title in ("a", "a", "b"))
    assert digest_of_schema(one) == digest_of_schema(same) == digest_of_schema(one)
    assert digest_of_schema(one) != digest_of_schema(other)


def test_the_schemas_of_a_thousand_plans_are_let_go() -> None:
    """Each dialogue has a schema of its own for its plan: a long run would hold them all."""
    kept: list[weakref.ref[Schema]] = []
    for dialogue in range(1_000):
        schema = Schema(type="object", title=f"plan {dialogue}")
        digest_of_schema(schema)
        kept.append(weakref.ref(schema))
        del schema
    gc.collect()
    assert sum(schema() is not None for schema in kept) < 500
