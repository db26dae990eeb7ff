"""Flat files over real HTTP: lists, ETags, signatures, errors, retries, and keys that stay secret."""

import logging
from datetime import date
from typing import Any

import pytest
from pydantic import SecretStr

from market_pipeline.core.markets import MARKETS
from market_pipeline.core.settings import Settings
from market_pipeline.polygon import vendor_errors
from market_pipeline.polygon.flat_file_reader import FlatFileKeys, FlatFileReader
from market_pipeline_tests.integration.market_vendor import (
    ACCESS,
    FROM_SANDBOX,
    SECRET,
    US_STOCKS,
    flat_file,
    keys_of,
    s3_error,
    s3_list,
)
from market_pipeline_tests.integration.polygon_cases import HURRY
from market_pipeline_tests.scripted_vendor import Reply, ScriptedVendor, scripted_vendor

MONDAY, TUESDAY = date(2023, 1, 9), date(2023, 1, 10)
KEY = "us_stocks_sip/day_aggs_v1/2023/01/2023-01-09.csv.gz"
FILE = Reply(flat_file(MONDAY, "AAPL"), 200, {**FROM_SANDBOX, "ETag": '"abc"'})


def files_of(vendor: ScriptedVendor) -> FlatFileReader:
    return FlatFileReader(vendor.base_url, keys_of(), source="sandbox", retry_policy=HURRY)


def failure(*replies: Reply) -> tuple[vendor_errors.PolygonError, ScriptedVendor]:
    """Read Monday's file and return the error that is raised."""
    with scripted_vendor(*replies) as vendor, files_of(vendor) as files:
        with pytest.raises(vendor_errors.PolygonError) as caught:
            files.read_session(US_STOCKS, MONDAY)
        return caught.value, vendor


def test_one_signed_request_reads_a_session() -> None:
    with scripted_vendor(FILE) as vendor, files_of(vendor) as files:
        session = files.read_session(US_STOCKS, MONDAY)
    assert vendor.paths == [f"/flatfiles/{KEY}"]
    assert (list(session.tickers), session.version, session.requests) == (["AAPL"], "abc", 1)
    headers = vendor.requests[0].headers
    assert headers["Authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={ACCESS}/")
    assert "/us-east-1/s3/aws4_request" in headers["Authorization"]
    assert headers["Accept-Encoding"] == "identity"
    assert SECRET not in str(headers)


def test_a_list_has_the_etags_of_sessions_and_takes_one_request() -> None:
    listed = {US_STOCKS.file_of(day): f"e{day.day}" for day in (MONDAY, TUESDAY, date(2023, 1, 11))}
    reply = s3_list({**listed, "us_stocks_sip/day_aggs_v1/2023/readme": "x"})
    with scripted_vendor(reply) as vendor, files_of(vendor) as files:
        found = files.list_files(US_STOCKS, MONDAY, TUESDAY)
    assert (found.versions, found.requests) == ({MONDAY: "e9", TUESDAY: "e10"}, 1)
    assert "prefix=us_stocks_sip%2Fday_aggs_v1%2F&" in vendor.paths[0]
    assert "start-after=us_stocks_sip%2Fday_aggs_v1%2F2023%2F01%2F2023-01-08.csv.gz&max-keys=2" in vendor.paths[0]


def test_a_list_of_some_pages_is_read_to_its_end() -> None:
    pages = [s3_list({US_STOCKS.file_of(MONDAY): "a"}, "to/ken"), s3_list({US_STOCKS.file_of(TUESDAY): "b"})]
    with scripted_vendor(*pages) as vendor, files_of(vendor) as files:
        found = files.list_files(US_STOCKS, MONDAY, TUESDAY)
    assert (found.versions, found.requests) == ({MONDAY: "a", TUESDAY: "b"}, 2)
    assert vendor.paths[1].endswith("&continuation-token=to%2Fken")


def test_a_malformed_list_is_an_error() -> None:
    bodies = (b"<html>", b'<?xml version="1.0" encoding="x-none"?><a/>', b"{}")
    with scripted_vendor(*(Reply(body, 200, FROM_SANDBOX) for body in bodies)) as vendor, files_of(vendor) as files:
        for _ in bodies:
            with pytest.raises(vendor_errors.BadResponseError, match="is not a list of S3's"):
                files.list_files(US_STOCKS, MONDAY, TUESDAY)


@pytest.mark.parametrize(
    ("reply", "kind", "advice"),
    [
        (s3_error(403, "AccessDenied"), vendor_errors.MissingFileError, "isn't published yet, is not in your plan"),
        (s3_error(404, "NoSuchKey"), vendor_errors.MissingFileError, "there is no such session"),
        (s3_error(404, "NoSuchBucket"), vendor_errors.UnknownEndpointError, "Check POLYGON_S3_ENDPOINT"),
        (s3_error(403, "InvalidAccessKeyId"), vendor_errors.BadKeyError, "Check POLYGON_S3_ACCESS_KEY and"),
        (s3_error(403, "SignatureDoesNotMatch"), vendor_errors.BadKeyError, "POLYGON_S3_SECRET_KEY in .env"),
        (s3_error(403, "RequestTimeTooSkewed"), vendor_errors.BadRequestError, "Set this machine's clock"),
        (Reply(b"", 301, FROM_SANDBOX), vendor_errors.BadResponseError, "Check POLYGON_S3_ENDPOINT"),
        (Reply(b"<html>", 400, FROM_SANDBOX), vendor_errors.BadRequestError, "Check POLYGON_S3_ENDPOINT"),
        (Reply(b"no file", 200, FROM_SANDBOX), vendor_errors.BadResponseError, "not a file of bars"),
        (Reply(FILE.body), vendor_errors.BadResponseError, "POLYGON_S3_ENDPOINT is neither the vendor nor a sandbox"),
    ],
)
def test_an_error_has_a_type_and_a_next_step_and_is_not_retried(
    reply: Reply, kind: type[vendor_errors.PolygonError], advice: str
) -> None:
    error, vendor = failure(reply)
    assert type(error) is kind
    assert str(error).startswith("the flat file of US stocks on 2023-01-09")
    assert advice in str(error)
    assert error.requests == len(vendor.requests) == 1


@pytest.mark.parametrize(
    ("reply", "kind", "advice"),
    [
        (s3_error(503, "SlowDown"), vendor_errors.VendorDownError, "503 SlowDown. Try again later"),
        (Reply(b"<html>", 500), vendor_errors.VendorDownError, "500. Try again later"),
        (Reply(FILE.body, 200, FROM_SANDBOX, cut_after=60), vendor_errors.VendorDownError, "sandbox` running?"),
        (Reply(FILE.body[:60], 200, FROM_SANDBOX), vendor_errors.CutShortError, "is cut off. Try again later"),
    ],
)
def test_a_transient_error_is_retried(reply: Reply, kind: type[vendor_errors.PolygonError], advice: str) -> None:
    error, _ = failure(reply, reply, reply)
    assert (type(error), error.requests) == (kind, HURRY.attempts)
    assert advice in str(error)
    with scripted_vendor(reply, FILE) as vendor, files_of(vendor) as files:
        assert files.read_session(US_STOCKS, MONDAY).requests == 2


def test_files_of_a_sandbox_are_not_taken_for_the_vendors() -> None:
    with (
        scripted_vendor(FILE) as vendor,
        FlatFileReader(vendor.base_url, keys_of(), source="polygon") as files,
        pytest.raises(vendor_errors.BadResponseError, match="is a sandbox's, not the vendor's"),
    ):
        files.read_session(US_STOCKS, MONDAY)


def test_keys_are_in_no_message_or_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    leaks = (
        s3_error(403, "InvalidAccessKeyId", f"no {ACCESS}"), s3_error(403, ACCESS), s3_error(400, SECRET),
        Reply(b"", 503), Reply(f"{ACCESS} {SECRET}".encode(), 200, FROM_SANDBOX), Reply(b"", 200, {ACCESS: SECRET}),
    )  # fmt: skip
    for reply in leaks:
        error, _ = failure(reply, reply, reply)
        assert "TOPSECRET" not in f"{error!r} {error.__dict__} {error.__cause__!r} {error.__context__!r}"
    assert "TOPSECRET" not in caplog.text
    assert "Retrying" in caplog.text
    assert "TOPSECRET" not in repr(keys_of())


def test_a_server_that_is_not_there_is_reported_with_its_address() -> None:
    with (
        FlatFileReader("http://127.0.0.1:9", keys_of(), source="sandbox", retry_policy=HURRY) as files,
        pytest.raises(vendor_errors.VendorDownError, match=r"no response from http://127\.0\.0\.1:9 "),
    ):
        files.list_files(MARKETS["crypto"], MONDAY, MONDAY)


@pytest.mark.parametrize(
    ("access", "secret", "message"),
    [
        ("a", None, "^POLYGON_S3_ACCESS_KEY is set without POLYGON_S3_SECRET_KEY: set both in .env, or neither$"),
        ("", "s", "^POLYGON_S3_SECRET_KEY is set without POLYGON_S3_ACCESS_KEY"),
        ("a\nb", "s", "^POLYGON_S3_ACCESS_KEY has spaces or letters that no key has"),
        ("a", "gehe\u00efm", "^POLYGON_S3_SECRET_KEY has spaces or letters that no key has"),
    ],
)
def test_unusable_keys_are_an_error(access: str, secret: str | None, message: str) -> None:
    settings = Settings(
        _env_file=None,
        polygon_s3_access_key=SecretStr(access),
        polygon_s3_secret_key=None if secret is None else SecretStr(secret),
    )
    with pytest.raises(vendor_errors.BadKeyError, match=message):
        FlatFileReader.from_settings(settings)


def test_there_are_no_files_without_keys() -> None:
    assert FlatFileReader.from_settings(Settings(_env_file=None)) is None
    blank = Settings(_env_file=None, polygon_s3_access_key=SecretStr(" "), polygon_s3_secret_key=SecretStr(""))
    assert FlatFileKeys.from_settings(blank) is None


def test_the_files_of_a_sandbox_are_at_its_address_unless_another_is_set() -> None:
    keys: dict[str, Any] = {"polygon_s3_access_key": SecretStr("a"), "polygon_s3_secret_key": SecretStr("s")}
    sandbox = "http://127.0.0.1:8900"
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({}, "https://files.massive.com", "polygon"),
        ({"polygon_base_url": sandbox}, sandbox, "sandbox"),
        ({"polygon_base_url": sandbox, "polygon_s3_endpoint": "http://s3.internal"}, "http://s3.internal", "sandbox"),
        ({"polygon_s3_endpoint": "https://files.polygon.io"}, "https://files.polygon.io", "polygon"),
        ({"polygon_s3_endpoint": "https://mirror.example"}, "https://mirror.example", "sandbox"),
    ]
    for fields, url, source in cases:
        settings = Settings(_env_file=None, **keys, **fields)
        files = FlatFileReader.from_settings(settings)
        assert files is not None
        assert (settings.files_url, files.source) == (url, source)
