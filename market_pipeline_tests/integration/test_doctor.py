"""`market-pipeline doctor` on real databases, with and without problems."""

import json
import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, make_url

from market_pipeline.cli.main import main
from market_pipeline.core.settings import Settings
from market_pipeline.dbt_project import find_manifest_file
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse import embedded

Findings = dict[str, dict[str, Any]]
RunCommand = Callable[..., tuple[int, Findings]]

SECRET = "a-key-nobody-may-see"


@pytest.fixture
def dagster_database() -> None:
    """Give Dagster no database yet, as in a new warehouse."""


@pytest.fixture
def doctor(
    environment: dict[str, str],
    dbt_manifest: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> RunCommand:
    """Function that returns the exit code and the findings by check; it asserts that no secret is shown."""
    monkeypatch.setenv("POLYGON_BASE_URL", "http://127.0.0.1:9")

    def _doctor(*arguments: str, **changes: str) -> tuple[int, Findings]:
        for name, value in changes.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(["doctor", "--json", *arguments])
        output = capfd.readouterr().out
        assert SECRET not in output
        assert "hunter2" not in output
        result = json.loads(output[output.index("{") :])
        assert result["ok"] is not bool(ended.value.code)
        return int(str(ended.value.code or 0)), {finding["check"]: finding for finding in result["findings"]}

    return _doctor


def test_a_new_warehouse_has_only_the_warnings_of_parts_that_never_ran(doctor: RunCommand, settings: Settings) -> None:
    find_manifest_file(settings).unlink()
    code, findings = doctor()
    assert code == 0
    levels = {check: finding["level"] for check, finding in findings.items()}
    usual = {"data folder", "database's disk", "API's port", "UI's port"}  # as this machine has it
    assert {check: level for check, level in levels.items() if check not in usual} == {
        "settings": "ok", "vendor key": "ok", "database": "ok", "PostgreSQL": "ok", "pooler": "ok", "schema": "ok",
        "API's sessions": "ok", "clock": "ok", "time zones": "ok", "rights": "ok", "writing": "ok",
        "connections": "ok", "Dagster": "warning", "dbt project": "ok", "analysts' tables": "warning",
        "markets": "ok",
    }  # fmt: skip
    assert usual < set(findings)
    assert findings["Dagster"]["mend"] == "start it with `market-pipeline up`"
    assert "`market-pipeline marts`" in findings["analysts' tables"]["mend"]


def test_an_invalid_setting_is_the_only_finding(doctor: RunCommand) -> None:
    code, findings = doctor(BACKFILL_SCHEDULE_HOUR="25")
    assert code == 1
    assert list(findings) == ["settings"]
    assert "BACKFILL_SCHEDULE_HOUR" in findings["settings"]["found"]


def test_a_database_that_is_down_is_an_error_and_the_rest_is_still_checked(doctor: RunCommand) -> None:
    code, findings = doctor(DATABASE_URL="postgresql://user:hunter2@127.0.0.1:9/market_data")
    assert code == 1
    assert "127.0.0.1:9/market_data can't be used" in findings["database"]["found"]
    assert findings["data folder"]["level"] in ("ok", "warning")
    assert "schema" not in findings


def test_the_market_requires_a_key(doctor: RunCommand) -> None:
    without = doctor(POLYGON_BASE_URL="https://api.massive.com")[1]["vendor key"]
    assert (without["level"], "POLYGON_API_KEY not set" in without["found"]) == ("error", True)
    assert doctor(POLYGON_API_KEY=SECRET)[1]["vendor key"]["found"] == "POLYGON_API_KEY is set; --ask tries it"


def test_the_option_ask_checks_the_key_and_the_vendors_clock(doctor: RunCommand) -> None:
    with running_sandbox(SandboxConfig(keys=(SecretStr("good"),))) as url:
        code, findings = doctor("--ask", POLYGON_BASE_URL=url, POLYGON_API_KEY="good")
        assert (code, findings["vendor"]["level"], findings["vendor's clock"]["level"]) == (0, "ok", "ok")
        assert findings["flat files"]["found"].startswith("no keys are set")
        code, findings = doctor("--ask", POLYGON_API_KEY=SECRET)
        assert (code, findings["vendor"]["level"]) == (1, "error")
        assert "POLYGON_API_KEY" in findings["vendor"]["found"]
    code, findings = doctor("--ask")
    assert code == 1
    assert "no response from" in findings["vendor"]["found"]


def test_the_option_ask_tries_the_keys_of_flat_files(doctor: RunCommand) -> None:
    config = SandboxConfig(market_tickers=20, file_keys={"access": SecretStr(SECRET)})
    with running_sandbox(config) as url:
        file_keys = {"POLYGON_BASE_URL": url, "POLYGON_S3_ACCESS_KEY": "access"}
        code, findings = doctor("--ask", POLYGON_S3_SECRET_KEY="wrong", **file_keys)
        assert (code, findings["flat files"]["level"]) == (1, "error")
        assert "POLYGON_S3_SECRET_KEY" in findings["flat files"]["found"]
        code, findings = doctor("--ask", POLYGON_S3_SECRET_KEY=SECRET, **file_keys)
        assert (code, findings["flat files"]["level"]) == (0, "ok")
        assert findings["flat files"]["found"] == f"{url} responds, and accepts the keys"


def test_an_older_schema_and_a_role_without_rights_are_reported_with_the_fix(
    doctor: RunCommand, warehouse: Engine, server: embedded.Server
) -> None:
    with warehouse.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
        connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        connection.exec_driver_sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO pg_monitor")
    with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS doctor_role")
        connection.execute("CREATE ROLE doctor_role LOGIN PASSWORD 'hunter2' IN ROLE pg_monitor")
    address = make_url(warehouse.url).set(drivername="postgresql", username="doctor_role", password="hunter2")
    try:
        code, findings = doctor(DATABASE_URL=address.render_as_string(hide_password=False))
    finally:
        with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
            connection.execute("DROP ROLE doctor_role")
    assert code == 1
    assert findings["schema"]["found"].endswith("run `market-pipeline db migrate`")
    lacking = findings["rights"]["found"]
    assert "doctor_role may not make tables in public, make schemas, read and write all tables" in lacking
    assert lacking.endswith("make dagsters own database")
    assert "GRANT CREATE ON SCHEMA public TO doctor_role; " in findings["rights"]["mend"]
    assert findings["rights"]["mend"].endswith("ALTER ROLE doctor_role CREATEDB")


def test_the_embedded_server_is_not_started(
    doctor: RunCommand, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    code, findings = doctor()
    assert code == 1
    assert "`market-pipeline db start`" in findings["database"]["found"]
    assert not (settings.market_pipeline_data_dir / "postgres").exists()


def test_text_has_a_line_for_each_finding_and_its_fix(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:hunter2@127.0.0.1:9/market_data")
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    assert ended.value.code == 1
    output = capfd.readouterr().out
    assert re.search(r"^ok +settings +every", output, re.MULTILINE)
    assert re.search(r"^error +database +.*DATABASE_URL is right", output, re.MULTILINE)
    assert re.search(r"^2 errors to fix, \d warnings?$", output, re.MULTILINE)  # as many warnings as this machine has


def test_a_database_set_read_only_after_a_failover_is_an_error(doctor: RunCommand, warehouse: Engine) -> None:
    with warehouse.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(
            f'ALTER DATABASE "{connection.engine.url.database}" SET default_transaction_read_only = on'
        )
    code, findings = doctor()
    assert code == 1
    assert findings["writing"]["level"] == "error"
