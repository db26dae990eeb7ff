"""The sandbox of a running `up --sandbox`, as other commands on the data folder find and use it."""

import json
import os
from collections.abc import Iterator

import psutil
import pytest
from pydantic import SecretStr

from market_pipeline.cli.main import main
from market_pipeline.core.settings import Settings, load_settings
from market_pipeline.operations.up_session import UpSession, find_up_folder, use_running_sandbox
from market_pipeline.sandbox.loopback_server import running_sandbox

NOTE = "The sandbox of `market-pipeline up` is used in place of the vendor, at "
MARKET = "https://api.massive.com"


@pytest.fixture
def sandbox(environment: dict[str, str], settings: Settings) -> Iterator[str]:
    """A sandbox with a session file in the data folder, as an `up` in this process would write it."""
    find_up_folder(settings).mkdir(parents=True)
    with running_sandbox() as url:
        UpSession.begin(1, "http://127.0.0.1:9", "http://127.0.0.1:9", url).write(settings)
        yield url


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_commands_use_the_sandbox_and_report_it_in_a_line(sandbox: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("symbols", "add", "AAPL") == 0
    output = capsys.readouterr()
    assert output.err == f"{NOTE}{sandbox}.\n"
    assert output.out.startswith("AAPL: AAPL (sandbox)")
    dates = ("--start", "2012-01-03", "--end", "2012-01-31")
    assert run("backfill", "--symbols", "AAPL", *dates, "--json", "--quiet") == 0
    output = capsys.readouterr()
    assert (json.loads(output.out)["symbols"][0]["loaded"], output.err) == (20, "")
    assert run("backfill", "--symbols", "AAPL", *dates, "--dry-run") == 0
    output = capsys.readouterr()
    assert (output.err, "1 request in all. At 60,000 a minute" in output.out) == (f"{NOTE}{sandbox}.\n", True)


@pytest.mark.usefixtures("dbt_manifest")
def test_doctor_and_status_use_the_sandbox(sandbox: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("doctor", "--json")
    output = capsys.readouterr()
    [key] = [finding for finding in json.loads(output.out)["findings"] if finding["check"] == "vendor key"]
    assert (key["level"], key["found"]) == ("ok", f"not needed: bars come from the sandbox at {sandbox}")
    assert output.err == f"{NOTE}{sandbox}.\n"
    run("status", "--json")
    state = json.loads(capsys.readouterr().out)
    assert (state["vendor"], state["vendor_is_sandbox"]) == (sandbox, True)


def test_the_vendor_key_is_not_sent_to_the_sandbox(sandbox: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLYGON_API_KEY", "POLYGON_S3_ACCESS_KEY", "POLYGON_S3_SECRET_KEY"):
        monkeypatch.setenv(name, "the-vendors")
    monkeypatch.setenv("POLYGON_S3_ENDPOINT", "https://files.massive.com")
    found = use_running_sandbox(load_settings())
    assert (found.polygon_base_url, found.polygon_api_key, found.source) == (sandbox, None, "sandbox")
    assert found.files_url == sandbox
    assert found.polygon_s3_access_key == found.polygon_s3_secret_key == SecretStr("sandbox")


def test_polygon_base_url_overrides_the_sandbox(sandbox: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGON_BASE_URL", MARKET)
    assert use_running_sandbox(load_settings()).polygon_base_url == MARKET


@pytest.mark.parametrize("gone", ["up", "its process id, taken by another", "sandbox", "the file"])
def test_a_sandbox_that_is_gone_is_not_used(sandbox: str, settings: Settings, gone: str) -> None:
    me = psutil.Process()
    urls = ("http://127.0.0.1:9", "http://127.0.0.1:9")
    if gone == "up":
        UpSession("mark", 1, *urls, sandbox, 2**22 + 1, me.create_time()).write(settings)
    elif gone == "sandbox":
        UpSession.begin(1, *urls, "http://127.0.0.1:9").write(settings)
    elif gone == "the file":
        (find_up_folder(settings) / "session.json").unlink()
    else:
        UpSession("mark", 1, *urls, sandbox, os.getpid(), me.create_time() - 1).write(settings)
    assert use_running_sandbox(load_settings()).polygon_base_url == MARKET
