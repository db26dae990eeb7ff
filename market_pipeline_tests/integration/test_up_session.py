"""The sandbox of a running `up --sandbox`, as other commands on the data folder find it, and when they must not."""

import json
import os
from collections.abc import Iterator

import psutil
import pytest

from market_pipeline.cli.main import main
from market_pipeline.core.settings import Settings, load_settings
from market_pipeline.operations.up_session import UpSession, up_folder, use_running_sandbox
from market_pipeline.sandbox.loopback_server import running_sandbox

NOTE = "The sandbox of `market-pipeline up` is used in place of the vendor, at "
MARKET = "https://api.massive.com"


@pytest.fixture
def sandbox(environment: dict[str, str], settings: Settings) -> Iterator[str]:
    """A sandbox that an `up`, which is this process, has left word of in the data folder."""
    up_folder(settings).mkdir(parents=True)
    with running_sandbox() as url:
        UpSession.begin(1, "http://127.0.0.1:9", "http://127.0.0.1:9", url).write(settings)
        yield url


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_commands_ask_the_sandbox_and_say_so_in_a_line(sandbox: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("symbols", "add", "AAPL") == 0
    said = capsys.readouterr()
    assert said.err == f"{NOTE}{sandbox}.\n"
    assert said.out.startswith("AAPL: AAPL (sandbox)")
    dates = ("--start", "2012-01-03", "--end", "2012-01-31")
    assert run("backfill", "--symbols", "AAPL", *dates, "--json", "--quiet") == 0
    said = capsys.readouterr()
    assert (json.loads(said.out)["symbols"][0]["loaded"], said.err) == (20, "")
    assert run("backfill", "--symbols", "AAPL", *dates, "--dry-run") == 0
    said = capsys.readouterr()
    assert (said.err, "1 request in all. At 60,000 a minute" in said.out) == (f"{NOTE}{sandbox}.\n", True)


def test_doctor_and_status_know_of_it(sandbox: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("doctor", "--json")
    said = capsys.readouterr()
    [key] = [finding for finding in json.loads(said.out)["findings"] if finding["check"] == "vendor key"]
    assert (key["level"], key["found"]) == ("ok", f"not needed: bars come from the sandbox at {sandbox}")
    assert said.err == f"{NOTE}{sandbox}.\n"
    run("status", "--json")
    state = json.loads(capsys.readouterr().out)
    assert (state["vendor"], state["vendor_is_sandbox"]) == (sandbox, True)


def test_the_vendors_key_does_not_go_to_it(sandbox: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGON_API_KEY", "the-vendors")
    found = use_running_sandbox(load_settings())
    assert (found.polygon_base_url, found.polygon_api_key, found.source) == (sandbox, None, "sandbox")


def test_an_address_of_the_users_own_wins(sandbox: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGON_BASE_URL", MARKET)
    assert use_running_sandbox(load_settings()).polygon_base_url == MARKET


@pytest.mark.parametrize("gone", ["up", "its process id, taken by another", "sandbox", "the file"])
def test_one_that_is_gone_is_not_asked(sandbox: str, settings: Settings, gone: str) -> None:
    me = psutil.Process()
    urls = ("http://127.0.0.1:9", "http://127.0.0.1:9")
    if gone == "up":
        UpSession("mark", 1, *urls, sandbox, 2**22 + 1, me.create_time()).write(settings)
    elif gone == "sandbox":
        UpSession.begin(1, *urls, "http://127.0.0.1:9").write(settings)
    elif gone == "the file":
        (up_folder(settings) / "session.json").unlink()
    else:
        UpSession("mark", 1, *urls, sandbox, os.getpid(), me.create_time() - 1).write(settings)
    assert use_running_sandbox(load_settings()).polygon_base_url == MARKET
