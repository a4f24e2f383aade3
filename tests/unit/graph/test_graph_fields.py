from __future__ import annotations

from typing import Any

from toolflow.catalog.tool import Schema, Tool
from toolflow.graph.linking.fields import (
    ANY_TYPE,
    Field,
    bare_types,
    parameter_fields,
    return_fields,
    type_name,
)


def returning(schema: Schema | None) -> Tool:
    return Tool("tool", "", {"type": "object"}, schema)


def paths(fields: tuple[Field, ...]) -> list[str]:
    return [field.path for field in fields]


def by_path(schema: Schema) -> dict[str, Field]:
    return {field.path: field for field in return_fields(returning(schema))}


def an_object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


TEXT = {"type": "string"}


def test_nested_fields_have_dotted_paths_shallow_ones_first() -> None:
    flights = {"type": "array", "items": an_object(flight_id=TEXT, stops={"type": "array", "items": TEXT})}
    fields = return_fields(returning(an_object(flights=flights, currency=TEXT)))
    assert paths(fields) == [
        "flights",
        "currency",
        "flights[]",
        "flights[].flight_id",
        "flights[].stops",
        "flights[].stops[]",
    ]


def test_a_list_at_the_top_has_paths_that_begin_with_brackets() -> None:
    schema = {"type": "array", "items": an_object(city=TEXT)}
    assert paths(return_fields(returning(schema))) == ["[].city"]


def test_values_of_a_map_stand_under_any_key() -> None:
    rates = {"type": "object", "additionalProperties": {"type": "number"}}
    fields = by_path(an_object(exchange_rates=rates))
    assert fields["exchange_rates.*"].words == ("exchange", "rate")
    assert fields["exchange_rates.*"].types == by_path(an_object(x={"type": "number"}))["x"].types


def test_elements_bear_the_name_and_the_description_of_their_list() -> None:
    ids = {"type": "array", "description": "Ids of the hotels found.", "items": TEXT}
    element = by_path(an_object(hotel_ids=ids))["hotel_ids[]"]
    assert element.words == ("hotel", "id")
    assert element.description == "Ids of the hotels found."
    assert type_name(element.types) == "string"


def test_the_parent_of_a_field_is_the_object_it_stands_in() -> None:
    flights = {"type": "array", "items": an_object(id=TEXT)}
    assert by_path(an_object(flights=flights))["flights[].id"].parent == ("flight",)


def test_a_nested_field_is_required_only_if_all_that_it_stands_in_is() -> None:
    inner = an_object(street=TEXT) | {"required": ["street"]}
    schema = an_object(home=inner, work=inner) | {"required": ["home"]}
    fields = {field.path: field for field in parameter_fields(Tool("tool", "", schema))}
    assert fields["home.street"].required
    assert not fields["work.street"].required


def test_types_join_over_variants_and_an_unknown_type_is_none() -> None:
    schema = an_object(
        code={"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
        size={"type": ["number", "null"]},
        anything={},
    )
    fields = by_path(schema)
    assert fields["code"].types == by_path(an_object(x={"type": ["number", "string"]}))["x"].types
    assert fields["size"].types == by_path(an_object(x={"type": "integer"}))["x"].types
    assert fields["anything"].types == 0
    assert ANY_TYPE & fields["code"].types == fields["code"].types


def test_a_path_that_variants_share_is_one_field() -> None:
    schema = {
        "anyOf": [an_object(total=TEXT), an_object(total={"type": "number", "description": "Sum."})],
    }
    fields = return_fields(returning(schema))
    assert paths(fields) == ["total"]
    assert fields[0].description == "Sum."
    assert fields[0].types == by_path(an_object(x={"type": ["string", "number"]}))["x"].types


def test_references_are_followed_inside_the_schema_only() -> None:
    schema = an_object(home={"$ref": "#/$defs/address~1a"}, away={"$ref": "https://example.com/a"})
    schema["$defs"] = {"address/a": an_object(street=TEXT)}
    assert paths(return_fields(returning(schema))) == ["home", "away", "home.street"]


def test_a_schema_that_refers_to_itself_ends() -> None:
    person = an_object(full_name=TEXT, friend={"$ref": "#/$defs/person"})
    schema = {"$ref": "#/$defs/person", "$defs": {"person": person}}
    assert paths(return_fields(returning(schema))) == ["full_name", "friend"]
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
    assert return_fields(returning(loop)) == ()
    root = an_object(child={"$ref": "#"})
    assert paths(return_fields(returning(root)))[0] == "child"


def test_a_schema_that_doubles_at_every_level_ends_with_a_bounded_number_of_fields() -> None:
    definitions: dict[str, Any] = {"d30": TEXT}
    for level in range(30):
        inner = {"$ref": f"#/$defs/d{level + 1}"}
        definitions[f"d{level}"] = an_object(left=inner, right={"anyOf": [inner, inner]})
    fields = return_fields(returning({"$ref": "#/$defs/d0", "$defs": definitions}))
    assert 2 < len(fields) <= 256


def test_a_result_without_names_has_the_types_of_its_values() -> None:
    number = by_path(an_object(x={"type": "number"}))["x"].types
    text = by_path(an_object(x=TEXT))["x"].types
    array = by_path(an_object(x={"type": "array"}))["x"].types
    assert bare_types(returning({"type": "integer"})) == number
    assert bare_types(returning({"anyOf": [{"type": "number"}, TEXT, {"type": "null"}]})) == number | text
    assert bare_types(returning({"type": "array", "items": {"type": "array", "items": TEXT}})) == array | text


def test_a_result_that_may_hold_names_or_is_not_known_may_be_anything() -> None:
    for schema in (
        None,
        {},
        {"type": "object"},
        {"type": "array"},
        {"type": "array", "items": an_object(city=TEXT)},
        {"anyOf": [TEXT, {"type": "object"}]},
        {"$ref": "#"},
    ):
        assert bare_types(returning(schema)) == ANY_TYPE


def test_a_list_of_itself_ends() -> None:
    assert bare_types(returning({"type": "array", "items": {"$ref": "#"}})) == ANY_TYPE


def test_descriptions_are_cut_and_their_blanks_folded() -> None:
    field = by_path(an_object(note={"type": "string", "description": "a \n b " + "x" * 1_000_000}))["note"]
    assert field.description.startswith("a b xxx")
    assert len(field.description) <= 200


def test_nothing_known_gives_no_field() -> None:
    assert return_fields(returning(None)) == ()
    assert return_fields(returning({"type": "string", "description": "Done."})) == ()
    assert parameter_fields(Tool("tool", "", {"type": "object", "properties": {}})) == ()
