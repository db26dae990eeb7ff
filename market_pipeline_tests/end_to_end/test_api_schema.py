"""The API against its own OpenAPI document: every allowed request gets a documented response, never a 5xx.

Schemathesis makes the requests: the documentation's examples, the edges of every parameter, random ones, and sequences
along its links.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import Engine

from market_pipeline.api.server import running_api
from market_pipeline.core.settings import Settings
from market_pipeline.warehouse.api_keys import Scope, create_key
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, recorded

CASES = 2_000
CONFIGURATION = """
# What a schema can't express: two dates in the wrong order, and an instant that goes with one adjustment only.
[[operations]]
include-path = "/api/v1/historical/{symbol}"
parameters = { symbol = "AAPL" }
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "409"]

[[operations]]
include-path = "/api/v1/universe"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404"]

[[operations]]
include-path = "/api/v1/changes"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404"]

[[operations]]
include-path = "/api/v1/admin/backfills"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404"]

# An instant is named by one of two parameters, and a snapshot has to be there.
[[operations]]
include-path-regex = "^/api/v1/tables/(market_data|daily_bars_adjusted|splits|dividends|adjust.*|secur.*|symbol_.*)$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404"]

# A column's filter depends on its type alone, and these four tables have every type: the others get their examples and
# random requests.
[[operations]]
include-path-regex = "^/api/v1/tables/(?!(market_data|daily_bars_adjusted|rejected_bars|tracked_symbols)$)"
phases.coverage.enabled = false

# PostgREST's columns, orders and trees have a grammar of their own, and a limit that is no number has no effect there.
[[operations]]
include-path = "/rest/v1/{table}"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "416"]
checks.negative_data_rejection.expected-statuses = ["2xx", "400", "404", "405", "416"]

# Along the links that are documented; the id of a symbol is no filter of a table.
[phases.stateful]
inference.algorithms = []
"""


@pytest.fixture
def api(settings: Settings, environment: dict[str, str], warehouse: Engine) -> Iterator[str]:
    """URL of an API over a warehouse with some bars, without a limit of requests."""
    add_symbols(warehouse, [AAPL])
    load_frame(warehouse, AAPL, recorded("AAPL", date(2000, 9, 1), date(2001, 2, 1)))
    with running_api(settings.model_copy(update={"api_requests_per_minute": 0})) as url:
        yield url


def documentation(api: str) -> dict[str, Any]:
    """The OpenAPI document without cursors, which only the API can make."""
    found: dict[str, Any] = requests.get(f"{api}/openapi.json", timeout=30).json()
    for path in found["paths"].values():
        for operation in path.values():
            kept = [each for each in operation.get("parameters", []) if each["name"] != "cursor"]
            operation["parameters"] = kept
    return found


@pytest.mark.timeout(600)
def test_every_documented_request_has_a_documented_response(api: str, warehouse: Engine, tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(documentation(api)), encoding="utf-8")
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION, encoding="utf-8")
    key = create_key(warehouse, "operations", Scope.ADMIN).get_secret_value()
    program = Path(sys.executable).with_name("schemathesis")
    # A symbol that is removed is still shown, as inactive: its bars are kept.
    checks = ["--checks", "all", "--exclude-checks", "use_after_free"]
    options = ["--warnings", "off", "--max-examples", "2", "--seed", "1", "--generation-database", "none"]
    ran = subprocess.run(
        [program, "run", "openapi.json", "--url", api, "--header", f"X-API-Key: {key}", *checks, *options],
        cwd=tmp_path, capture_output=True, text=True, timeout=580, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    made = re.search(r"(\d+) generated", ran.stdout)
    assert made is not None
    assert int(made[1]) >= CASES, ran.stdout[-1500:]


def test_clients_can_be_generated_from_the_documentation(api: str) -> None:
    document = requests.get(f"{api}/openapi.json", timeout=30).json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    bars = document["components"]["schemas"]["market_data.row"]["properties"]
    assert (bars["close"]["type"], bars["date"]["format"], bars["vwap"]["type"]) == (
        "number",
        "date",
        ["number", "null"],
    )
    assert all(operation["summary"] and operation["responses"]["default"] for operation in operations)
