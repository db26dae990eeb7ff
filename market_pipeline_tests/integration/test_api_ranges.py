"""Files read by parts: HEAD with the length, byte ranges, and the limits of the kept files."""

import io
from collections.abc import Iterator

import pytest
import requests
from pyarrow import parquet

from market_pipeline.api import kept_files
from market_pipeline.api.generated.formats import MEDIA_TYPES, ResponseFormat
from market_pipeline.warehouse import embedded
from market_pipeline_tests.integration.api_cases import TABLES, Api, problem, serving

MANY = f"{TABLES}/many"
ROWS = 30_000
FILES = pytest.mark.parametrize("kind", [kind for kind in ResponseFormat if kind is not ResponseFormat.JSON])


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over a table of more rows than a complete response has."""
    with serving(server, tmp_path_factory.mktemp("api")) as api:
        api.execute(
            "CREATE TABLE analytics.many AS SELECT id, id * 0.5::float AS price, 'x' || id AS words "
            f"FROM generate_series(1, {ROWS}) AS id",
            "ALTER TABLE analytics.many ADD PRIMARY KEY (id)",
        )
        yield api


def get(api: Api, method: str, kind: ResponseFormat, rows: int = ROWS, **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    parameters = {"format": str(kind), "id": f"lte.{rows}"}
    return api.session.request(method, api.url + MANY, params=parameters, headers=named, timeout=60)


@FILES
@pytest.mark.parametrize("rows", [10, ROWS], ids=["complete", "streamed"])
def test_a_file_is_read_by_parts(api: Api, kind: ResponseFormat, rows: int) -> None:
    head = get(api, "HEAD", kind, rows, accept_encoding="gzip")
    assert (head.status_code, head.content, head.headers["accept-ranges"]) == (200, b"", "bytes")
    assert head.headers["content-type"].partition(";")[0] == MEDIA_TYPES[kind]
    size, tag = int(head.headers["content-length"]), head.headers["etag"]
    parts = []
    for begin in range(0, size, 100_000):
        end = min(size, begin + 100_000) - 1
        part = get(api, "GET", kind, rows, range=f"bytes={begin}-{end}", if_range=tag, accept_encoding="gzip")
        assert (part.status_code, part.headers["content-range"]) == (206, f"bytes {begin}-{end}/{size}")
        assert (part.headers["etag"], part.headers["x-as-of"]) == (tag, head.headers["x-as-of"])
        parts.append(part.content)
    assert b"".join(parts) == get(api, "GET", kind, rows).content


@pytest.mark.parametrize(
    ("text", "part"),
    [("bytes=0-0", slice(0, 1)), ("bytes=-8", slice(-8, None)), ("bytes=5-", slice(5, None)),
     ("bytes=10-99999999", slice(10, None)), ("bytes=-99999999", slice(None)), ("bytes=3-9", slice(3, 10))],
)  # fmt: skip
def test_every_form_of_one_range_is_understood(api: Api, text: str, part: slice) -> None:
    whole = get(api, "GET", ResponseFormat.CSV, 100).content
    response = get(api, "GET", ResponseFormat.CSV, 100, range=text)
    assert (response.status_code, response.content) == (206, whole[part])


@pytest.mark.parametrize("text", ["bytes=9-3", "bytes=-", "bytes=1-2,5-6", "rows=1-2", "bytes=a-b", "1-2"])
def test_a_malformed_range_and_several_ranges_are_ignored(api: Api, text: str) -> None:
    whole = get(api, "GET", ResponseFormat.CSV, 100).content
    response = get(api, "GET", ResponseFormat.CSV, 100, range=text)
    assert (response.status_code, response.content) == (200, whole)


@pytest.mark.parametrize("text", ["bytes=99999999-", "bytes=-0"])
def test_a_range_beyond_the_end_is_a_416_with_the_size(api: Api, text: str) -> None:
    response = get(api, "GET", ResponseFormat.CSV, 100, range=text)
    size = len(get(api, "GET", ResponseFormat.CSV, 100).content)
    problem(response, 416)
    assert response.headers["content-range"] == f"bytes */{size}"


def test_all_parts_are_of_one_file_while_rows_change(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    head = get(api, "HEAD", ResponseFormat.PARQUET, 200)
    api.execute("UPDATE analytics.many SET price = -1 WHERE id = 1")
    try:
        part = get(api, "GET", ResponseFormat.PARQUET, 200, range="bytes=0-")
        assert part.headers["etag"] == head.headers["etag"]
        assert parquet.read_table(io.BytesIO(part.content))["price"][0].as_py() == 0.5
        changed = get(api, "GET", ResponseFormat.PARQUET, 200)  # all of it is always read anew
        assert parquet.read_table(io.BytesIO(changed.content))["price"][0].as_py() == -1
        monkeypatch.setattr(kept_files, "KEPT_FRESH_SECONDS", 0)
        again = get(api, "HEAD", ResponseFormat.PARQUET, 200)
        assert again.headers["etag"] != head.headers["etag"]
        stale = get(api, "GET", ResponseFormat.PARQUET, 200, range="bytes=0-3", if_range=head.headers["etag"])
        assert (stale.status_code, stale.content) == (200, changed.content)
        mixed = get(api, "GET", ResponseFormat.PARQUET, 200, range="bytes=0-3", if_match=head.headers["etag"])
        assert "request its length again by HEAD" in problem(mixed, 412)["detail"]
        for match in (again.headers["etag"], f'"other", {again.headers["etag"]}', "*"):
            same = get(api, "GET", ResponseFormat.PARQUET, 200, range="bytes=0-3", if_match=match)
            assert (same.status_code, same.content) == (206, changed.content[:4])
        known = get(api, "HEAD", ResponseFormat.PARQUET, 200, if_none_match=again.headers["etag"])
        assert (known.status_code, known.headers["etag"]) == (304, again.headers["etag"])
    finally:
        api.execute("UPDATE analytics.many SET price = 0.5 WHERE id = 1")


def test_json_has_no_parts(api: Api) -> None:
    response = api.get(MANY, [("limit", "3")], range="bytes=0-3")
    assert (response.status_code, response.json()["count"]) == (200, 3)


def test_a_file_that_is_too_large_to_keep_is_sent_in_full(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_files, "KEPT_FILE_BYTES", 20_000)
    head = get(api, "HEAD", ResponseFormat.CSV, ROWS - 1)
    assert (head.status_code, head.headers["accept-ranges"]) == (200, "none")
    assert "content-length" not in head.headers
    whole = get(api, "GET", ResponseFormat.CSV, ROWS - 1, range="bytes=0-3")
    assert (whole.status_code, len(whole.content.splitlines())) == (200, ROWS)


def test_a_file_without_room_to_keep_is_sent_in_full(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    response = get(api, "GET", ResponseFormat.CSV, 3, range="bytes=0-3")
    assert (response.status_code, len(response.content.splitlines())) == (200, 4)


def test_few_files_are_kept_and_the_one_used_longest_ago_is_removed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_files, "KEPT_FILES_OF_ONE", 2)
    first, second = (get(api, "HEAD", ResponseFormat.CSV, rows).headers["etag"] for rows in (1_001, 1_002))
    get(api, "GET", ResponseFormat.CSV, 1_001, range="bytes=0-1")
    get(api, "HEAD", ResponseFormat.CSV, 1_003)  # removes the second
    api.execute("UPDATE analytics.many SET price = -1 WHERE id = 1")
    try:
        assert get(api, "GET", ResponseFormat.CSV, 1_001, range="bytes=0-1").headers["etag"] == first
        assert get(api, "GET", ResponseFormat.CSV, 1_002, range="bytes=0-1").headers["etag"] != second
    finally:
        api.execute("UPDATE analytics.many SET price = 0.5 WHERE id = 1")
