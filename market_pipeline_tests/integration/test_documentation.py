"""The documentation can be built, and its links and commands exist."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from market_pipeline.cli.commands import app
from market_pipeline.cli.lazy import PassthroughCommand
from market_pipeline.core.settings import Settings
from market_pipeline_tests.end_to_end.conftest import CHECKOUT

DOCS = CHECKOUT / "docs"
README = CHECKOUT / "README.md"
PAGES = sorted(
    [
        *CHECKOUT.glob("*.md"),
        *DOCS.rglob("*.md"),
        *DOCS.rglob("*.ipynb"),
        *(CHECKOUT / "market_pipeline").rglob("README.md"),
    ]
)
OTHERS = {
    "DAGSTER_HOME", "DAGSTER_CODE_HOST", "DAGSTER_CODE_PORT", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "EXTRAS",
    "FORCE", "RELEASE",
}  # fmt: skip
"""Variables that aren't settings of the project's."""
COMMANDS = typer.main.get_command(app)


def text(page: Path) -> str:
    """Return the text of a page; of a notebook, that of its cells between the code."""
    written = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return written
    cells = json.loads(written)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


@pytest.fixture(params=PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def page(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    options: list[str | Path] = ["--quiet", "--fail-on-warning", "--keep-going", "-d", tmp_path / "read"]
    arguments = [sys.executable, "-m", "sphinx", *options, DOCS, tmp_path / "site"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "site" / "index.html").exists()


def test_the_readme_links_every_page() -> None:
    assert {page.name for page in DOCS.glob("*.md")} - set(re.findall(r"\(docs/([\w-]+\.md)", text(README))) == {
        "index.md"
    }


def test_the_picture_matches_the_code() -> None:
    drawn = subprocess.run([sys.executable, DOCS / "picture.py"], capture_output=True, text=True, check=True).stdout
    assert drawn == text(DOCS / "architecture.svg"), "run `make docs`"


def test_the_readme_shows_every_picture_and_none_is_large() -> None:
    shown = set(re.findall(r'(?:src|srcset)="([^"]+)"', text(README)))
    pictures = sorted((DOCS / "pictures").iterdir())
    assert shown == {str(picture.relative_to(CHECKOUT)) for picture in pictures}
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size <= 200_000, picture.name


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text(page), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_has_an_existing_file_and_heading(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def typed(page: Path) -> Iterator[str]:
    """Yield the commands of a page: lines of its shell blocks, and code within its text."""
    blocks = re.findall(r"```(?:bash|ini)?\n(.*?)```", text(page), re.DOTALL)
    for block in blocks:
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text(page), flags=re.DOTALL))


def ours(page: Path) -> Iterator[list[str]]:
    """Yield the words of each `market-pipeline` command, without the program."""
    for line in typed(page):
        for part in re.split(r"\||&&|\s&(?:\s|$)|\s#\s", line.replace(r"\|", "|")):
            found = re.search(r"(?:^|[\s/])market-pipeline (.*)", part)
            if found and not line.startswith(("kubectl", "helm", "docker build")):
                yield [word for word in shlex.split(found[1]) if word != "..."]


def unknown(words: list[str]) -> str | None:
    """Return the first word of a command that is unknown or one argument too many; arguments may be left out."""
    command = COMMANDS
    while words and hasattr(command, "commands") and not words[0].startswith("--"):
        if words[0] not in command.commands:
            return words[0]
        command, words = command.commands[words[0]], words[1:]
    if isinstance(command, PassthroughCommand):
        return None
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    return next((option for option in options if option not in known | {"--help"}), None) or surplus(command, words)


def surplus(command: Any, words: list[str]) -> str | None:
    """Return the first argument of a command that is more than it takes."""
    with_values = {
        name
        for parameter in command.params
        for name in parameter.opts
        if parameter.param_type_name == "option" and not parameter.is_flag
    }
    most = [parameter.nargs for parameter in command.params if parameter.param_type_name == "argument"]
    arguments = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if not word.startswith("-") and before not in with_values
    ]
    return None if -1 in most else next(iter(arguments[sum(most) :]), None)


def test_every_command_and_option_exists(page: Path) -> None:
    for words in ours(page):
        assert unknown(words) is None, f"{page.name}: market-pipeline {' '.join(words)}: no {unknown(words)}"


def test_every_target_of_make_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text(CHECKOUT / "Makefile"), re.MULTILINE))
    for line in typed(page):
        if line.startswith("make "):
            named = takewhile(lambda word: re.fullmatch("[a-z-]+", word), line.split()[1:])
            assert set(named) <= targets, line


def test_every_variable_is_a_setting(page: Path) -> None:
    known = {name.upper() for name in Settings.model_fields} | OTHERS
    for line in typed(page):
        for name in re.findall(r"(?:^|\s)([A-Z][A-Z_]{3,})=", line):
            assert name in known, f"{page.name}: {name}"


def test_every_file_that_is_named_exists(page: Path) -> None:
    for line in typed(page):
        for name in re.findall(r"(?:^|\s)((?:docs|deploy|scripts|benchmarks|market_pipeline|dbt)/[\w./-]+)", line):
            assert (CHECKOUT / name).exists(), f"{page.name}: {name}"


def test_services_and_containers_are_those_of_the_compose_file() -> None:
    services = yaml.safe_load(text(CHECKOUT / "docker-compose.yml"))["services"]
    documented = dict(re.findall(r"^\| `(\w+)` \| (?:`(\w+)`)? ?\|", text(DOCS / "deployment.md"), re.MULTILINE))
    known = {name: service.get("container_name", "") for name, service in services.items()}
    assert {name: documented.get(name) for name in known} == known


def test_the_glossary_is_in_order() -> None:
    words = re.findall(r"^\| ([a-z ,A-Z]+) \| ", text(DOCS / "glossary.md"), re.MULTILINE)[1:]
    assert words == sorted(words, key=str.lower)
    assert len(words) > 30


def test_every_decision_is_listed_and_has_its_three_parts() -> None:
    folder = DOCS / "decisions"
    listed = re.findall(r"^\| \[.*\]\(([\w-]+\.md)\)", text(folder / "index.md"), re.MULTILINE)
    assert set(listed) == {page.name for page in folder.glob("*.md")} - {"index.md"}
    for name in listed:
        assert re.findall(r"^\*\*(\w+)\.\*\*", text(folder / name), re.MULTILINE) == [
            "Context", "Decision", "Consequences",
        ], name  # fmt: skip


def test_the_guide_names_files_that_exist() -> None:
    roots = (
        CHECKOUT,
        CHECKOUT / "market_pipeline",
        CHECKOUT / "market_pipeline" / "api",
        CHECKOUT / "market_pipeline_tests",
    )
    named = re.findall(r"`([\w./-]+/[\w.*-]+\.(?:py|md|sql|yml)|[\w/]+/[\w]+)`", text(CHECKOUT / "CONTRIBUTING.md"))
    assert len(named) > 30
    for name in named:
        assert any(list(root.glob(name)) for root in roots), name


def test_the_workflow_runs_what_the_checkout_has() -> None:
    workflow = yaml.safe_load(text(CHECKOUT / ".github" / "workflows" / "ci.yml"))
    [job] = workflow["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands == ["bash .ci/run"]
    assert (CHECKOUT / ".ci" / "run").exists()


def test_the_hooks_are_the_checks_of_make_check() -> None:
    [hooks] = yaml.safe_load(text(CHECKOUT / ".pre-commit-config.yaml"))["repos"]
    tools = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks["hooks"]}
    check = text(CHECKOUT / "Makefile").partition("\ncheck: ")[2].partition("\n\n")[0]
    assert tools == set(re.findall(r"\$\(BIN\)/([\w-]+)", check))
