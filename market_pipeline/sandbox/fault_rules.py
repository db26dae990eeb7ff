"""When a fault is applied: to a request that asks for it, or by the rules of a scenario, repeatably.

A rule is written `name[=argument][:probability][@ticker][*times]`: `truncate:0.1` cuts a tenth of the answers short,
`500@MSFT` fails all about one ticker, `429=30*2` the first two requests.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from market_pipeline.sandbox.faults import Fault, FaultError, find_fault
from market_pipeline.sandbox.random_numbers import number

RULE_FORM = re.compile(
    r"(?P<name>\w+)(=(?P<argument>[^:@*]+))?(:(?P<probability>[0-9.]+))?(@(?P<ticker>[^*]+))?(\*(?P<times>[0-9]+))?"
)


@dataclass(frozen=True)
class Rule:
    """One fault, and which requests meet it. `ticker` None: any; `times` None: without end."""

    fault: Fault
    argument: str
    probability: float = 1.0
    ticker: str | None = None
    times: int | None = None


def read_rule(text: str) -> Rule:
    """A rule as it is written.

    Raises:
        FaultError: it can't be read, or there is no such fault.
    """
    found = RULE_FORM.fullmatch(text)
    if found is None:
        raise FaultError(f"fault rule {text!r} is not of the form name[=argument][:probability][@ticker][*times]")
    fault, argument = find_fault(found["name"], found["argument"])
    try:
        probability = float(found["probability"] or 1)
    except ValueError:
        raise FaultError(f"fault rule {text!r}: the probability is a number from 0 to 1") from None
    if probability > 1:
        raise FaultError(f"fault rule {text!r}: the probability is a number from 0 to 1")
    return Rule(fault, argument, probability, found["ticker"], int(found["times"]) if found["times"] else None)


class Scenario:
    """The rules of one sandbox. Draws depend on the seed and on how often the same thing was asked, nothing else."""

    def __init__(self, rules: Iterable[str], seed: int) -> None:
        self._rules = [read_rule(rule) for rule in rules]
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Begin again."""
        self._asked: Counter[str] = Counter()
        self._applied: Counter[int] = Counter()

    def rule_for(self, target: str, ticker: str | None) -> Rule | None:
        """The first rule that this request meets. Asking counts as a request.

        Args:
            target: what is asked for, its query included.
            ticker: what it is about; None for all.
        """
        self._asked[target] += 1
        for place, rule in enumerate(self._rules):
            if self._hits(place, rule, target, ticker):
                self._applied[place] += 1
                return rule
        return None

    def _hits(self, place: int, rule: Rule, target: str, ticker: str | None) -> bool:
        if rule.ticker not in (None, ticker) or (rule.times is not None and self._applied[place] >= rule.times):
            return False
        return number(self._seed, place, target, self._asked[target]) < rule.probability
