"""Addresses of databases: parsed as libpq does, and no part of an unreadable one is ever shown."""

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from market_pipeline.core.database_address import AddressError, DatabaseAddress
from market_pipeline.core.settings import SettingsError, load_settings


def read(url: str) -> DatabaseAddress:
    return DatabaseAddress.parse(SecretStr(url))


@pytest.mark.parametrize(
    ("url", "where", "parameters"),
    [
        (
            "postgresql://ann:p%40s%2Fs@db.example:6543/market?sslmode=require",
            "db.example:6543/market",
            {"user": "ann", "password": "p@s/s", "host": "db.example", "port": "6543", "sslmode": "require"},
        ),
        ("postgres:///market?host=/run/pg&port=5433", "/run/pg:5433/market", {"host": "/run/pg", "port": "5433"}),
        ("postgresql+psycopg://%2Frun%2Fpg/market", "/run/pg:5432/market", {"host": "/run/pg"}),
        ("postgresql://a:1,b:2/market", "a:1,b:2/market", {"host": "a,b", "port": "1,2"}),
        ("postgresql://a,b:2/market", "a:5432,b:2/market", {"host": "a,b", "port": ",2"}),
        ("postgresql://[::1]:5433/market", "[::1]:5433/market", {"host": "::1", "port": "5433"}),
        ("postgresql://ann@/market", "localhost:5432/market", {"user": "ann"}),
        ("postgresql://a:p#x?y:z@h/market", "h:5432/market", {"user": "a", "password": "p#x?y:z", "host": "h"}),
        ("postgresql://h/market?options=-c%20a%3Db%2Bc", "h:5432/market", {"host": "h", "options": "-c a=b+c"}),
        ("postgresql://h/market?user=ann@us", "h:5432/market", {"host": "h", "user": "ann@us"}),
    ],
)
def test_an_address_is_read_as_by_libpq_and_described_without_user_and_password(
    url: str, where: str, parameters: dict[str, str]
) -> None:
    address = read(url)
    assert address.where == where
    assert address.parameters == {**parameters, "dbname": "market"}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:a%2Bb%25%20c@db:6543/my%20db?options=-c%20x%3D1",
        "postgresql://a:1,b:2/market?target_session_attrs=read-write",
        "postgresql:///market?host=/run/pg&port=5433",
        "postgresql://[::1]/market",
    ],
)
def test_a_rewritten_address_is_the_same_for_libpq_and_for_sqlalchemy(url: str) -> None:
    written = read(url).url("postgresql+psycopg").get_secret_value()
    assert read(written) == read(url)
    assert DatabaseAddress.from_engine_url(make_url(written)) == read(url)


def test_an_address_for_another_database_or_role_keeps_the_servers_parameters() -> None:
    address = read("postgresql://ann:hunter2@a,b/market?sslmode=require&sslkey=/ann.key&passfile=/ann")
    assert (
        address.for_database("other").url().get_secret_value().startswith("postgresql://ann:hunter2@/other?host=a%2Cb")
    )
    assert address.for_role("eve", "x").parameters == {
        "user": "eve", "password": "x", "host": "a,b", "dbname": "market", "sslmode": "require",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("postgresql://user:hunt@er2/word@host/db", "percent-encoded"),
        ("postgresql://user:hunt/er2@host/db", "percent-encoded"),
        ("postgresql://user:hunter2@x@host/db", "percent-encoded"),
        ("postgresql://user:hunter2%zz@host/db", "percent-encoded"),
        ("postgresql://user:hunter2%FF@host/db", "percent-encoded"),
        ("postgresql://user:hunter2%00@host/db", "percent-encoded"),
        ("postgresql://user:hunter2 x@host/db", "percent-encoded"),
        ("postgresql://user:hunter2@host/db?schema=x", "parameters that libpq knows"),
        ("postgresql://user:x@hunter2:word/db", "port"),
        ("postgresql://user:x@host:70000/hunter2", "port"),
        ("postgresql://user:hunter2@host", "names no database"),
        ("postgresql://user:hunter2%0A@host/db", "line break"),
        ("hunter2", "is not of the form postgresql://user:password@host:5432/database"),
        ("mysql://user:hunter2@host/db", "is not of the form"),
    ],
)
def test_an_unreadable_address_is_a_one_line_error_that_shows_none_of_it(
    url: str, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AddressError, match=error):
        read(url)
    for variable in ("DATABASE_URL", "DAGSTER_DATABASE_URL"):
        monkeypatch.setenv(variable, url)
        with pytest.raises(SettingsError, match=f"{variable}: .*{error}") as caught:
            load_settings()
        message = str(caught.value)
        assert "\n" not in message
        assert not any(part in message for part in ("hunt", "er2", "user:x"))
        monkeypatch.delenv(variable)
