"""Clients generated from `/openapi.json`: every operation, by openapi-python-client and openapi-typescript."""

import importlib
import json
import pkgutil
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from market_pipeline.warehouse import embedded
from market_pipeline_tests.integration.api_cases import Api, load_autumn, serving
from market_pipeline_tests.integration.test_rest_clients import CLIENTS

NAMED_BY_TITLES = "post_hooks: []\nuse_path_prefixes_for_title_model_names: false\n"
NAMED_BY_PATHS = "post_hooks: []\n"


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over the autumn's bars."""
    with serving(server, tmp_path_factory.mktemp("generated")) as api:
        load_autumn(api.warehouse)
        yield api


@pytest.fixture(scope="module")
def document(api: Api) -> Any:
    """The API's documentation."""
    return api.get("/openapi.json").json()


def titles(node: Any) -> Iterator[str]:
    """Yield the titles of all schemas."""
    if isinstance(node, dict):
        if isinstance(node.get("title"), str):
            yield node["title"]
        for part in node.values():
            yield from titles(part)
    elif isinstance(node, list):
        for part in node:
            yield from titles(part)


def test_no_two_schemas_have_one_title(document: Any) -> None:
    assert [title for title, count in Counter(titles(document["components"])).items() if count > 1] == []


@pytest.mark.parametrize("configuration", [NAMED_BY_PATHS, NAMED_BY_TITLES], ids=["by paths", "by titles"])
def test_a_python_client_is_generated_with_every_operation_and_reads(
    api: Api, document: Any, configuration: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
    (tmp_path / "configuration.yaml").write_text(configuration, encoding="utf-8")
    program = Path(sys.executable).with_name("openapi-python-client")
    options = ["--path", "openapi.json", "--meta", "none", "--output-path", "desk_client", "--fail-on-warning"]
    ran = subprocess.run(
        [program, "generate", *options, "--config", "configuration.yaml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "WARNING" not in ran.stdout + ran.stderr
    monkeypatch.syspath_prepend(tmp_path)
    try:
        package = importlib.import_module("desk_client")
        modules = [module.name for module in pkgutil.walk_packages(package.__path__, "desk_client.")]
        for name in modules:
            importlib.import_module(name)
        operations = {operation["operationId"] for path in document["paths"].values() for operation in path.values()}
        assert operations <= {name.rpartition(".")[2] for name in modules}
        client = sys.modules["desk_client.client"].Client(api.url)
        found = sys.modules["desk_client.api.tables.read_market_data"].sync(client=client, symbol="eq.IBM", limit=2)
        closes = api.sql("SELECT close FROM market_data WHERE symbol = 'IBM' ORDER BY date LIMIT 2")
        assert [bar.close for bar in found.data] == [close for (close,) in closes]
        arrays = sys.modules["desk_client.api.tables.read_rest"]
        tables = sys.modules["desk_client.models.read_rest_table"].ReadRestTable
        rows = arrays.sync(tables.MARKET_DATA, client=client, select="close", and_="(symbol.eq.IBM)", limit=2)
        assert [row["close"] for row in rows] == [close for (close,) in closes]
    finally:
        for name in [name for name in sys.modules if re.match(r"desk_client(\.|$)", name)]:
            del sys.modules[name]


def test_a_typescript_client_is_generated_with_every_operation(document: Any, tmp_path: Path) -> None:
    programs = CLIENTS / "node_modules" / ".bin"
    if shutil.which("node") is None or not (programs / "openapi-typescript").exists():
        pytest.skip("the JavaScript clients are not installed: `make clients`")
    (tmp_path / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
    commands: list[list[str | Path]] = [
        [programs / "openapi-typescript", "openapi.json", "--output", "schema.d.ts"],
        [programs / "tsc", "--noEmit", "--strict", "schema.d.ts"],
    ]
    for command in commands:
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    declared = (tmp_path / "schema.d.ts").read_text(encoding="utf-8").partition("export interface operations")[2]
    operations = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert [name for name in operations if not re.search(rf"^ +{name}: {{$", declared, re.MULTILINE)] == []
