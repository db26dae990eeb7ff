"""deploy/monitoring: the dashboard and the alarms query only metrics that `/metrics` exports and the page explains."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from market_pipeline.api.server import running_api
from market_pipeline.core.settings import Settings
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.stored_bars import AAPL, load_failure, load_frame, recorded

CHECKOUT = Path(__file__).parents[2]
FOLDER = CHECKOUT / "deploy" / "monitoring"
DASHBOARD: Mapping[str, Any] = json.loads((FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((FOLDER / "rules.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
GIVEN_BY_PROMETHEUS = {"instance", "job"}
"""The labels that every series gets from whoever scrapes it."""


def parts(expression: object) -> Iterator[Any]:
    """Yield an expression and all its parts."""
    if type(expression).__module__ == promql_parser.__name__:
        yield expression
        for name in ("expr", "lhs", "rhs", "param", "args", "vector_selector"):
            found = getattr(expression, name, None)
            for part in found if isinstance(found, list) else [found]:
                yield from parts(part)


def queried(query: str) -> Iterator[tuple[str, set[str]]]:
    """Yield the metrics of a query, each with the labels of its selector."""
    for part in parts(promql_parser.parse(query)):
        if isinstance(part, promql_parser.VectorSelector):
            yield str(part.name), {matcher.name for matcher in part.matchers.matchers}


def grouped(query: str) -> set[str]:
    """Return the labels that a query groups or joins by."""
    return {
        label.strip() for listed in re.findall(r"\b(?:by|on) \(([^)]*)\)", query) for label in listed.split(",")
    }  # fmt: skip


@pytest.fixture
def exported(settings: Settings, environment: dict[str, str], warehouse: Engine) -> dict[str, set[str]]:
    """Labels of each series that `/metrics` exports, with a load and a failure in the database."""
    add_symbols(warehouse, [AAPL])
    bars = recorded("AAPL", date(2000, 9, 20), date(2000, 10, 10))
    load_frame(warehouse, AAPL, bars)
    load_failure(warehouse, AAPL, [date(2000, 10, 11)], "the vendor returned 500", run_id="run-2")
    found: dict[str, set[str]] = {}
    with running_api(settings) as url:
        requests.get(f"{url}/health", timeout=10)
        for family in text_string_to_metric_families(requests.get(f"{url}/metrics", timeout=10).text):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_queried_metric_and_label_is_exported(exported: dict[str, set[str]]) -> None:
    for query in [*QUERIES, *(rule["expr"] for rule in RULES)]:
        known = set(GIVEN_BY_PROMETHEUS)
        for metric, labels in queried(query):
            assert metric in exported, f"{query}: there is no {metric}"
            assert labels <= exported[metric], query
            known |= exported[metric]
        assert grouped(query) <= known, query


def test_labels_of_a_legend_are_kept_by_its_query(exported: dict[str, set[str]]) -> None:
    for target in (target for panel in PANELS for target in panel["targets"]):
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        left = grouped(target["expr"]) or {label for metric, _ in queried(target["expr"]) for label in exported[metric]}
        assert named <= left | GIVEN_BY_PROMETHEUS, target


def test_every_exported_metric_is_on_the_dashboard_except_those_for_alarms(exported: dict[str, set[str]]) -> None:
    shown = {metric for query in QUERIES for metric, _ in queried(query)}
    ours = {name for name in exported if name.startswith("market_pipeline_")}
    rest = {name.removeprefix("market_pipeline_") for name in ours - shown if not name.endswith(("_sum", "_count"))}
    assert rest == {"last_run_start_timestamp_seconds", "last_run_success"}


def test_panels_do_not_overlap_and_use_the_selected_datasource() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_each_alarm_names_the_action() -> None:
    assert all(set(rule["annotations"]) == {"summary", "action"} for rule in RULES)
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    assert all((FOLDER / file).exists() for file in config["rule_files"])


def test_the_page_explains_every_metric(exported: dict[str, set[str]]) -> None:
    page = (CHECKOUT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `(market_pipeline_\w+)`", page, re.MULTILINE))
    ours = {re.sub("_(bucket|sum|count)$", "", name) for name in exported if name.startswith("market_pipeline_")}
    assert explained == ours
