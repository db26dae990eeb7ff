"""`market-pipeline doctor`: check the setup, and print each finding with its fix."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from market_pipeline.cli.vendor_option import load_vendor_settings
from market_pipeline.core.settings import SettingsError
from market_pipeline.core.wording import format_count
from market_pipeline.operations.findings import Finding, error, has_error

STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}
FAILED = 1
LEVEL, CHECK = 9, 18
"""Widths of the columns with a finding's level and the name of its check, in characters."""


def doctor(
    ask: Annotated[bool, typer.Option("--ask", help="Try the vendor key too, with one request.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the setup, and print how to fix what is wrong. Nothing is started or changed.

    Exit code 1 if there is an error; warnings can wait.
    """
    findings = []
    console = Console(soft_wrap=True, highlight=False)
    for finding in _check(ask_vendor=ask):
        findings.append(finding)
        if not as_json:
            console.print(_format(finding))
    if as_json:
        # The key "mend" is part of the output that programs read.
        objects = [
            {"check": finding.check, "level": finding.level, "found": finding.found, "mend": finding.fix}
            for finding in findings
        ]
        typer.echo(json.dumps({"ok": not has_error(findings), "findings": objects}, indent=2))
    else:
        console.print(_summarize(findings))
    if has_error(findings):
        raise typer.Exit(FAILED)


def _check(*, ask_vendor: bool) -> Iterator[Finding]:
    try:
        settings = load_vendor_settings()
    except SettingsError as problem:
        yield error("settings", str(problem))
        return
    except OSError as problem:
        yield error("settings", f"{problem.filename} can't be read ({problem.strerror})", "let this user read it")
        return
    from market_pipeline.operations.doctor import run_checks  # importing Dagster takes a second

    yield from run_checks(settings, ask_vendor=ask_vendor)


def _format(finding: Finding) -> Text:
    line = Text.assemble(
        (f"{finding.level:<{LEVEL}}", STYLES[finding.level]), f"{finding.check:<{CHECK}}{finding.found}"
    )
    return line.append(f"\n{'':<{LEVEL + CHECK}}{finding.fix}") if finding.fix else line


def _summarize(findings: Sequence[Finding]) -> Text:
    counts = Counter(finding.level for finding in findings)
    if has_error(findings):
        return Text(
            f"\n{format_count(counts['error'], 'error')} to fix, {format_count(counts['warning'], 'warning')}",
            style=STYLES["error"],
        )
    if counts["warning"]:
        return Text(f"\nNothing to fix, {format_count(counts['warning'], 'warning')}", style=STYLES["warning"])
    return Text("\nNo problem was found.", style=STYLES["ok"])
