"""The runbook's curl commands in docs/api.md, each run on a live server and compared with the documented response."""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine

from market_pipeline.api.server import running_api
from market_pipeline.core.settings import Settings
from market_pipeline.warehouse.api_keys import Scope, create_key
from market_pipeline_tests.end_to_end.conftest import CHECKOUT, Run
from market_pipeline_tests.end_to_end.curl import fetched

DOCUMENT = CHECKOUT / "docs" / "api.md"
HERE = "http://localhost:8000"
CHANGING = (
    (r"20(?:2[5-9]|[3-9]\d)-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "2026-11-24T02:00:00Z"),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "00000000-0000-0000-0000-000000000000"),
)
"""Patterns of values that differ every time, and their stand-ins in the document."""


@dataclass(frozen=True)
class Example:
    """A command of the document, and the response beneath it."""

    command: str
    response: str


def examples(text: str) -> list[Example]:
    """Return the runbook's commands, in order."""
    part = text.partition("<!-- runbook -->")[2].partition("<!-- end -->")[0]
    blocks = re.findall(r"```bash\n(.*?)```\n+(?:```json\n(.*?)```)?", part, re.DOTALL)
    return [Example(command.strip(), response.strip()) for command, response in blocks]


def run_example(command: str, url: str, key: str) -> str:
    """Return the output of a command: curl with -X, -H and -d, and the pipes of the document."""
    curl, *pipes = command.replace("\\\n", " ").replace("YOUR_KEY", key).replace(HERE, url).split(" | ")
    text = fetched(shlex.split(curl)[1:])
    for pipe in pipes:
        text = PIPES[pipe.split()[0]](text, pipe)
    for pattern, stands in CHANGING:
        text = re.sub(pattern, stands, text)
    return text.strip()


PIPES: dict[str, Callable[[str, str], str]] = {
    "python": lambda text, _pipe: json.dumps(json.loads(text), indent=4),
    "head": lambda text, pipe: "\n".join(text.splitlines()[: int(pipe.split("-")[1])]),
}


def prepare(run: Run) -> None:
    """Run the preparations that the document names."""
    done = run("market-pipeline", "symbols", "add", "AAPL", "--no-check")
    assert done.returncode == 0, done.stderr
    arguments = ["--symbols", "AAPL", "--start", "2024-01-01", "--end", "2024-11-11"]
    done = run("python", "scripts/backfill.py", *arguments, POLYGON_API_KEY="sandbox")
    assert done.returncode == 0, done.stderr


def test_responses_to_the_runbooks_curls_are_those_of_the_document(
    run: Run, settings: Settings, warehouse: Engine, environment: dict[str, str]
) -> None:
    prepare(run)
    key = create_key(warehouse, "operations", Scope.ADMIN).get_secret_value()
    documented = examples(DOCUMENT.read_text(encoding="utf-8"))
    assert len(documented) == 6
    with running_api(settings) as url:
        for example in documented:
            assert run_example(example.command, url, key) == example.response, example.command


@pytest.mark.parametrize(
    "path", ["health", "api/v1/metrics", "api/v1/status", "api/v1/symbols", "api/v1/historical", "api/v1/admin/symbols"]
)
def test_every_endpoint_of_the_runbook_is_in_the_document(path: str) -> None:
    assert any(f"{HERE}/{path}" in example.command for example in examples(DOCUMENT.read_text(encoding="utf-8")))
