"""Parameters of every command: no empty values, symbols, dates."""

from collections.abc import Callable, Iterator

import pytest
import typer

from market_pipeline.cli import completion, parameters
from market_pipeline.cli.commands import app
from market_pipeline.cli.lazy import PassthroughCommand
from market_pipeline.cli.main import main

Run = Callable[..., tuple[int, str]]


def commands(command: object, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], typer.core.TyperCommand]]:
    """Yield every command that parses its arguments, with its words."""
    if hasattr(command, "commands"):
        for name, found in command.commands.items():
            yield from commands(found, (*words, name))
    elif not isinstance(command, PassthroughCommand):
        assert isinstance(command, typer.core.TyperCommand)
        yield words, command


COMMANDS = dict(commands(typer.main.get_command(app)))
OPTIONS = [
    (*words, parameter.opts[0])
    for words, command in COMMANDS.items()
    for parameter in command.params
    if isinstance(parameter, typer.core.TyperOption) and not parameter.is_flag
]
ARGUMENTS = [
    words
    for words, command in COMMANDS.items()
    if any(isinstance(parameter, typer.core.TyperArgument) for parameter in command.params)
]
SYMBOLS = [words for words in OPTIONS if words[-1] == "--symbols"]
DATES = [words for words in OPTIONS if words[-1] in ("--start", "--end")]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Run:
    """Function that returns a command's exit code and standard error, and asserts that standard output is empty."""
    monkeypatch.setenv("MARKET_PIPELINE_DATA_DIR", f"{tmp_path}/data")

    def _run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        output = capsys.readouterr()
        assert output.out == ""
        return int(ended.value.code or 0), output.err

    return _run


def test_commands_with_these_parameters_exist() -> None:
    assert {words[0] for words in SYMBOLS} == {"backfill", "coverage", "gaps", "export", "reconcile"}
    assert {words[0] for words in DATES} == {"backfill", "export", "market", "reconcile"}
    assert ("symbols", "check") in ARGUMENTS
    assert len(OPTIONS) > 25


@pytest.mark.parametrize("words", OPTIONS, ids=" ".join)
@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_value_is_a_wrong_command(run: Run, words: tuple[str, ...], value: str) -> None:
    result = (2, f"error: {words[-1]} is empty: give it a value (is a variable of the shell not set?)\n")
    assert run(*words, value) == result
    assert run(*words[:-1], f"{words[-1]}={value}") == result


@pytest.mark.parametrize("words", ARGUMENTS, ids=" ".join)
def test_an_empty_argument_is_a_wrong_command(run: Run, words: tuple[str, ...]) -> None:
    code, output = run(*words, "")
    assert (code, output.splitlines()) == (
        2,
        ["error: an argument is empty: give it a value (is a variable of the shell not set?)"],
    )


@pytest.mark.parametrize("url", ["foo", "localhost:8000", "http://", "http://[::1"])
def test_the_url_of_the_api_is_checked_before_anything_is_read(run: Run, url: str) -> None:
    error = f"error: --api-url: {url!r} is not a URL: write it as http://host:port\n"
    assert run("status", "--api-url", url) == (2, error)


def test_the_values_that_a_choice_has_are_named_without_typers_own_words(run: Run) -> None:
    error = "error: --asset-class: 'bond' is not one of 'stock', 'etf', 'crypto'\n"
    assert run("symbols", "add", "AAPL", "--asset-class", "bond") == (2, error)


@pytest.mark.parametrize("words", SYMBOLS, ids=" ".join)
@pytest.mark.parametrize(
    ("symbols", "why"),
    [
        (",", "',' has an empty name (is a variable of the shell not set?)"),
        ("AAPL,,MSFT", "has an empty name"),
        ("AAPL,", "has an empty name"),
        ("*,AAPL", "has names beside *"),
        ("aapl", "did you mean AAPL?"),
        ("AAPL, msft", "did you mean MSFT?"),
        ("btc-usd", "did you mean BTC or BTC-USD?"),
        ("X:BTCUSD", "did you mean BTC or BTC-USD?"),
        ("brk/b", "did you mean BRK.B?"),
        ("AAPL MSFT", "put commas between symbols"),
    ],
)
def test_symbols_are_parsed_the_same_way_everywhere(run: Run, words: tuple[str, ...], symbols: str, why: str) -> None:
    code, output = run(*words, symbols)
    assert (code, len(output.splitlines()), why in output) == (2, 1, True), output


@pytest.mark.parametrize("words", DATES, ids=" ".join)
@pytest.mark.parametrize("value", ["01/02/2024", "20240102", "2024-02-30", "today", "2024-01-02T00:00", " 2024-01-02"])
def test_dates_are_parsed_the_same_way_everywhere(run: Run, words: tuple[str, ...], value: str) -> None:
    assert run(*words, value) == (2, f"error: {words[-1]}: {value!r} is not a date: write it as YYYY-MM-DD\n")


@pytest.mark.parametrize("value", [",", "CS,", "CS,,ETF"])
def test_a_list_of_types_has_no_empty_one(run: Run, value: str) -> None:
    code, output = run("universe", "--date", "2024-01-02", "--type", value)
    assert (code, f"error: --type: {value!r} has an empty code" in output) == (2, True)


@pytest.mark.parametrize("option", ["--min-price", "--min-dollar-volume"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "five"])
def test_an_amount_is_a_number_from_0_on(run: Run, option: str, value: str) -> None:
    reason = f"error: {option}: {value!r} is not an amount from 0 on: write it as 5, 0.25 or 1e6\n"
    assert run("universe", "--date", "2024-01-02", f"{option}={value}") == (2, reason)


@pytest.mark.parametrize("command", ["check", "remove", "add"])
def test_one_symbol_in_lower_case_is_an_error_with_a_suggestion(run: Run, command: str) -> None:
    code, output = run("symbols", command, "aapl")
    assert (code, "did you mean AAPL?" in output) == (2, True)


def test_blanks_and_duplicates_in_a_list_do_not_matter() -> None:
    assert parameters.parse_symbols(" AAPL , BRK.B,AAPL").names == ("AAPL", "BRK.B")
    assert str(parameters.parse_symbols(" * ")) == "*"


def test_every_symbol_parameter_is_completed() -> None:
    completed = {
        words
        for words, command in COMMANDS.items()
        for parameter in command.params
        if parameter.name in ("symbols", "symbol") and parameter._custom_shell_complete is not None  # noqa: SLF001 - Click shows it in no other way
    }
    assert completed == {words[:-1] for words in SYMBOLS} | {
        ("symbols", name) for name in ("check", "history", "remove", "rename")
    }


def test_completion_is_silent_and_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MARKET_PIPELINE_DATA_DIR", f"{tmp_path}/data")
    assert completion.complete_symbol("A") == []
    monkeypatch.setenv("DATABASE_URL", "postgresql://user@127.0.0.1:1/nowhere")
    assert completion.complete_symbols("A") == []
    monkeypatch.setenv("DATABASE_URL", "nonsense")
    assert completion.complete_symbols("A") == []
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []  # type: ignore[attr-defined]
