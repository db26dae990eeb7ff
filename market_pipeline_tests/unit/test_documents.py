"""Documents agree with the code that they describe."""

from pathlib import Path

from market_pipeline.core.symbols import AssetClass
from market_pipeline.quality.rules import IMPOSSIBLE, SUSPICIOUS, SuspiciousRule
from market_pipeline.quality.symbol_health import CHECKS

TRUST = Path(__file__).parents[2] / "docs" / "trust.md"


def rows(marker: str) -> list[list[str]]:
    """Return the cells of the table after a marker, without its head."""
    lines = TRUST.read_text(encoding="utf-8").split(f"<!-- {marker} -->\n")[1].splitlines()
    table = lines[: next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table[2:]]


def thresholds(rule: SuspiciousRule) -> str:
    return ", ".join(f"{rule.thresholds[kind]:g}" for kind in AssetClass) if rule.thresholds else ""


def test_the_explanations_of_the_rules_match_the_code() -> None:
    assert rows("impossible") == [[rule.name, rule.meaning, rule.reasoning] for rule in IMPOSSIBLE]
    assert rows("suspicious") == [
        [rule.name, thresholds(rule), f"{rule.penalty:g}", rule.column or "", rule.reasoning] for rule in SUSPICIOUS
    ]


def test_every_check_is_explained() -> None:
    assert {
        line.split("`")[1] for line in TRUST.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    } > set(CHECKS)
