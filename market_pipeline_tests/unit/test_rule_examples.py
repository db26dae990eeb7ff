"""Examples of filters by flag, in documentation and code: each names a rule that exists."""

import re
from pathlib import Path

from market_pipeline.api.generated.openapi import DESCRIPTION
from market_pipeline.api.generated.value_types import VALUE_KINDS
from market_pipeline.quality.rules import SUSPICIOUS

ROOT = Path(__file__).parents[2]
FOLDERS = ("market_pipeline", "docs", "dbt/models")
SUFFIXES = (".py", ".md", ".yml", ".sql", ".js", ".html")
EXAMPLE = re.compile(r"\bcs\.([a-z]\w+)")


def test_every_example_of_a_filter_by_flag_names_a_rule() -> None:
    files = [ROOT / "README.md", *(file for folder in FOLDERS for file in (ROOT / folder).rglob("*"))]
    texts = [
        file.read_text(encoding="utf-8") for file in files if file.suffix in SUFFIXES and "vendor" not in file.parts
    ]
    examples = {name for text in texts for name in EXAMPLE.findall(text)}
    assert EXAMPLE.search(DESCRIPTION)
    assert examples | {VALUE_KINDS["text[]"].example} <= {rule.name for rule in SUSPICIOUS}
