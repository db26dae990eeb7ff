"""`market-pipeline doctor`: whether everything is set up as it has to be, and how to mend what isn't."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from market_pipeline.cli.vendor_option import vendor_settings
from market_pipeline.core.settings import SettingsError
from market_pipeline.operations.findings import Finding, any_error, error

STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}
FAILED = 1
LEVEL, CHECK = 9, 18
"""Columns of text that a finding's level and its check take."""


def doctor(
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask the vendor too: one request, which says whether the key is good.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the setup, and say how to mend what is wrong with it. Nothing is started or changed.

    Exit code 1 if there is an error; warnings will do for now.
    """
    findings = []
    console = Console(soft_wrap=True, highlight=False)
    for finding in _findings(ask=ask):
        findings.append(finding)
        if not as_json:
            console.print(_line(finding))
    if as_json:
        told = {"ok": not any_error(findings), "findings": [asdict(finding) for finding in findings]}
        typer.echo(json.dumps(told, indent=2))
    else:
        console.print(_summary(findings))
    if any_error(findings):
        raise typer.Exit(FAILED)


def _findings(*, ask: bool) -> Iterator[Finding]:
    try:
        settings = vendor_settings()
    except SettingsError as problem:
        yield error("settings", str(problem))
        return
    except OSError as problem:
        yield error("settings", f"{problem.filename} can't be read ({problem.strerror})", "let this user read it")
        return
    from market_pipeline.operations.doctor import examine_all  # Dagster takes a second that others needn't

    yield from examine_all(settings, ask=ask)


def _line(finding: Finding) -> Text:
    line = Text.assemble(
        (f"{finding.level:<{LEVEL}}", STYLES[finding.level]), f"{finding.check:<{CHECK}}{finding.found}"
    )
    return line.append(f"\n{'':<{LEVEL + CHECK}}{finding.mend}") if finding.mend else line


def _summary(findings: Sequence[Finding]) -> Text:
    counts = Counter(finding.level for finding in findings)
    if any_error(findings):
        return Text(f"\n{counts['error']} to mend, {counts['warning']} to look at", style=STYLES["error"])
    if counts["warning"]:
        return Text(f"\nNothing to mend, {counts['warning']} to look at", style=STYLES["warning"])
    return Text("\nAll is well.", style=STYLES["ok"])
