"""Endpoints: what is a base URL, where the key comes from, and that it shows up nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolflow.config import load_config
from toolflow.errors import UsageError
from toolflow.llm.endpoint import ANTHROPIC_BASE_URL, OPENAI_BASE_URL, Endpoint, speaks, speaks_there
from toolflow.llm.providers.openai import OpenAIProvider

KEY = "sk-very-secret-0123456789"


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8000/v1",
        "http://localhost:8000/v1/",
        " http://localhost:8000/v1/chat/completions ",
        "http://localhost:8000/v1/chat/completions/",
    ],
)
def test_base_urls_are_brought_into_one_form(text: str) -> None:
    assert Endpoint(text).base_url == "http://localhost:8000/v1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("localhost:8000/v1", "no base URL"),
        ("", "no base URL"),
        ("ftp://host/v1", "no base URL"),
        ("http:///v1", "no base URL"),
        ("http://host/v 1", "no base URL"),
        ("http://host\x1b/v1", "no base URL"),
        ("http://a..b/v1", "cannot be read"),
        ("http://host:port/v1", "cannot be read"),
        ("http://[::1/v1", "cannot be read"),
        ("http://host/v1?api-version=1", "must end before"),
        ("http://user:hunter2hunter2@host/v1", "user name or password"),
    ],
)
def test_what_is_no_base_url_is_refused_with_a_hint(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        Endpoint(text)
    assert caught.value.hint
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "headers", "said"),
    [("sk-\x00secret", {}, "the API key"), ("sk-ü", {}, "the API key"), (None, {"X-A": "b\nc"}, "'X-A'")],
)
def test_what_http_cannot_carry_is_refused_unshown(
    key: str | None, headers: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        Endpoint("http://host/v1", key, headers)
    assert "secret" not in str(caught.value)


def test_the_environment_names_the_endpoint() -> None:
    environment = {"OPENAI_API_KEY": f"{KEY}\n", "OPENAI_BASE_URL": "http://vllm:8000/v1"}
    assert Endpoint.from_environment(environment) == Endpoint("http://vllm:8000/v1", KEY)
    assert Endpoint.from_environment(environment, "http://other/v1").base_url == "http://other/v1"
    assert Endpoint.from_environment({}) == Endpoint(OPENAI_BASE_URL)


def test_secrets_are_in_no_repr_and_are_cut_out_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    endpoint = Endpoint("http://host/v1", KEY, {"X-Team": "team-secret-1"})
    for text in (repr(endpoint), str(endpoint), repr(OpenAIProvider(endpoint))):
        assert "secret" not in text
    assert endpoint.redact(f"bad {KEY} of team-secret-1") == "bad *** of ***"


def test_a_header_of_ones_own_replaces_the_bearer_token() -> None:
    endpoint = Endpoint("http://host/v1", KEY, {"Authorization": "Basic abc"})
    assert endpoint.sent_headers() == {"Authorization": "Basic abc"}
    assert Endpoint("http://host/v1", "  ").sent_headers() == {}


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)
    return monkeypatch


def test_proxy_variables_mean_what_users_expect(proxies: pytest.MonkeyPatch) -> None:
    plain, tls = Endpoint("http://host/v1"), Endpoint("https://host/v1")
    assert plain.proxy() is None
    proxies.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert (plain.proxy(), tls.proxy()) == (None, "http://proxy:3128")
    proxies.setenv("ALL_PROXY", "proxy:8080")
    assert (plain.proxy(), tls.proxy()) == ("http://proxy:8080", "http://proxy:3128")
    proxies.setenv("NO_PROXY", "host")
    assert (plain.proxy(), tls.proxy()) == (None, None)


def test_a_proxy_of_another_kind_is_refused(proxies: pytest.MonkeyPatch) -> None:
    proxies.setenv("ALL_PROXY", "socks5://proxy:1080")
    with pytest.raises(UsageError, match="socks5"):
        Endpoint("http://host/v1").proxy()


@pytest.mark.parametrize(
    "text",
    [
        "https://api.anthropic.com",
        "https://api.anthropic.com/",
        "https://api.anthropic.com/v1/",
        "https://api.anthropic.com/v1/messages",
    ],
)
def test_anthropics_base_urls_are_brought_into_one_form(text: str) -> None:
    assert Endpoint(text, api="anthropic").base_url == "https://api.anthropic.com/v1"
    assert speaks(text) == "anthropic"


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("http://localhost:8000/v1", "openai"),
        ("http://gateway/anthropic/v1/messages", "anthropic"),
        ("https://notanthropic.com/v1", "openai"),
    ],
)
def test_what_is_spoken_is_told_by_the_url(url: str, api: str) -> None:
    assert speaks(url) == api


CLAUDE, GPT = "claude-haiku-4-5", "gpt-4.1"
OPENAI, ANTHROPIC = {"OPENAI_API_KEY": KEY}, {"ANTHROPIC_API_KEY": KEY}


@pytest.mark.parametrize(
    ("environment", "models", "api"),
    [
        ({}, [CLAUDE], None),
        (OPENAI, [], "openai"),
        (OPENAI, [CLAUDE], "openai"),
        (ANTHROPIC, [], None),
        (ANTHROPIC, [GPT], None),
        (ANTHROPIC, [CLAUDE, GPT], None),
        (ANTHROPIC, [CLAUDE], "anthropic"),
        (OPENAI | ANTHROPIC, [CLAUDE], "anthropic"),
        (OPENAI | ANTHROPIC, [GPT], "openai"),
        (ANTHROPIC | {"OPENAI_BASE_URL": "http://gateway/v1"}, [CLAUDE], "openai"),
        ({"ANTHROPIC_BASE_URL": "http://gateway"}, [CLAUDE], "anthropic"),
    ],
)
def test_what_the_environment_points_at(
    environment: dict[str, str], models: list[str], api: str | None
) -> None:
    assert speaks_there(environment, models) == api


def test_anthropics_variables_name_its_endpoint() -> None:
    environment = OPENAI | {"ANTHROPIC_API_KEY": "sk-ant-1", "ANTHROPIC_BASE_URL": "http://gateway/anthropic"}
    assert Endpoint.from_environment(environment, api="anthropic") == Endpoint(
        "http://gateway/anthropic/v1", "sk-ant-1", api="anthropic"
    )
    assert Endpoint.from_environment({}, api="anthropic").base_url == ANTHROPIC_BASE_URL


def test_header_values_are_secrets_of_the_configuration() -> None:
    config = load_config(None, {"headers": {"X-Team": "team-secret-1"}, "api": "anthropic"})
    assert config.headers["X-Team"].get_secret_value() == "team-secret-1"
    assert "team-secret" not in repr(config) + str(config.model_dump(mode="json"))


def test_headers_of_the_command_line_join_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("headers: {X-Team: a, X-Env: b}")
    config = load_config(file, {"headers": {"X-Team": "c"}})
    assert {name: value.get_secret_value() for name, value in config.headers.items()} == {
        "X-Team": "c",
        "X-Env": "b",
    }
