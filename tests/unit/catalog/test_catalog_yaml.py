from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from toolflow.catalog.load import load_catalogue
from toolflow.errors import CatalogueError

OPENAPI = """\
# a comment first
openapi: 3.1.0
info: {title: Countries, version: 2024-01-31}
paths:
  /countries:
    get:
      operationId: list_countries
      parameters:
        - name: code
          in: query
          schema: {type: string, enum: [NO, SE], default: NO}
        - {name: since, in: query, schema: {type: string, default: 2024-01-31}}
        - {name: small, in: query, schema: {type: boolean, default: true}}
      responses:
        200:
          content:
            application/json:
              schema: {type: array, items: {type: string}}
"""


@pytest.mark.parametrize("name", ["countries.yaml", "countries.yml", "countries.yaml.gz", "countries.txt"])
def test_yaml_is_read_by_its_name_or_its_content(tmp_path: Path, name: str) -> None:
    data = OPENAPI.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    tool = load_catalogue([tmp_path / name]).catalogue["list_countries"]
    # Norway is a word, a date is text, and a status code is a key.
    assert tool.properties["code"]["enum"] == ["NO", "SE"]
    assert tool.properties["since"]["default"] == "2024-01-31"
    assert tool.properties["small"]["default"] is True
    assert tool.returns == {"type": "array", "items": {"type": "string"}}


def test_yaml_of_a_folder_is_read_and_other_yaml_passed_over(tmp_path: Path) -> None:
    (tmp_path / "countries.yaml").write_text(OPENAPI, encoding="utf-8")
    (tmp_path / "compose.yaml").write_text("services: {web: !custom {image: web}}", encoding="utf-8")
    report = load_catalogue([tmp_path])
    assert len(report.catalogue) == 1
    assert [Path(file).name for file in report.ignored] == ["compose.yaml"]


def test_any_format_may_be_yaml(tmp_path: Path) -> None:
    path = tmp_path / "tools.yaml"
    path.write_text("- {name: ping, description: Pings., parameters: {type: object}}\n", encoding="utf-8")
    assert load_catalogue([path]).formats == {"openai": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("openapi: 3.0.0\npaths: [1, 2\n", r"bad\.yaml:3: not valid YAML"),
        ("openapi: 3.0.0\npaths: !!python/object/apply:os.getcwd []\n", r"bad\.yaml:2: not valid YAML"),
        ("a: 1\n---\nb: 2\n", r"bad\.yaml:2: not valid YAML"),
        ("a: &a [*a]\n", "nested too deep"),
        ("? [1, 2]\n: 3\n", "YAML"),
    ],
)
def test_wrong_yaml_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogueError, match=message):
        load_catalogue([path])


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(CatalogueError, match="aliases"):
        load_catalogue([path])
