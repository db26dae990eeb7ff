"""`market-pipeline doctor`: whether everything is set up as it has to be, and how to mend what isn't."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from market_pipeline.findings import Finding, any_error, error
from market_pipeline.settings import SettingsError, load_settings

STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}
FAILED = 1


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
    if any_error(findings):
        raise typer.Exit(FAILED)


def _findings(*, ask: bool) -> Iterator[Finding]:
    try:
        settings = load_settings()
    except SettingsError as problem:
        yield error("settings", str(problem))
        return
    except OSError as problem:
        yield error("settings", f"{problem.filename} can't be read ({problem.strerror})", "let this user read it")
        return
    from market_pipeline.orchestration.checkup import examine_all  # Dagster takes a second that others needn't

    yield from examine_all(settings, ask=ask)


def _line(finding: Finding) -> Text:
    line = Text.assemble((f"{finding.level:<9}", STYLES[finding.level]), f"{finding.check}: {finding.found}")
    return line.append(f"\n{'':<9}{finding.mend}") if finding.mend else line
