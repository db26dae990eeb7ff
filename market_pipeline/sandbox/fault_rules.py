"""Fault rules: the choice of a fault for each request, the same in every repetition.

A rule is written `name[=argument][:probability][@subject][*times]`: `truncate:0.1` truncates a tenth of the responses,
`500@MSFT` fails every request about that ticker alone, `500@splits` those to the endpoints of that kind (as
/_sandbox/stats counts them), `500@range/MSFT` those of both, `429=30*2` the first two requests.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from market_pipeline.sandbox.faults import FaultError, VendorFault, find_fault
from market_pipeline.sandbox.random_numbers import draw_number

RULE_FORM = re.compile(
    r"(?P<name>\w+)(=(?P<argument>[^:@*]+))?(:(?P<probability>[0-9.]+))?(@(?P<subject>[^*]+))?(\*(?P<times>[0-9]+))?"
)


@dataclass(frozen=True)
class Rule:
    """One fault and the requests it applies to. `subject` None: any; `times` None: without end."""

    fault: VendorFault
    argument: str
    probability: float = 1.0
    subject: str | None = None
    times: int | None = None


def parse_rule(text: str) -> Rule:
    """Parse a rule.

    Raises:
        FaultError: the text has another form, or there is no such fault.
    """
    found = RULE_FORM.fullmatch(text)
    if found is None:
        raise FaultError(f"fault rule {text!r} is not of the form name[=argument][:probability][@subject][*times]")
    fault, argument = find_fault(found["name"], found["argument"])
    try:
        probability = float(found["probability"] or 1)
    except ValueError:
        raise FaultError(f"fault rule {text!r}: the probability is a number from 0 to 1") from None
    if probability > 1:
        raise FaultError(f"fault rule {text!r}: the probability is a number from 0 to 1")
    return Rule(fault, argument, probability, found["subject"], int(found["times"]) if found["times"] else None)


class Scenario:
    """The rules of one sandbox. Draws depend only on the seed and on the number of equal requests so far."""

    def __init__(self, rules: Iterable[str], seed: int) -> None:
        self._rules = [parse_rule(rule) for rule in rules]
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Forget all requests."""
        self._requests: Counter[str] = Counter()
        self._applied: Counter[int] = Counter()

    def choose_rule(self, target: str, ticker: str | None, kind: str | None = None) -> Rule | None:
        """Count the request and return the first rule that applies to it.

        Args:
            target: path and query.
            ticker: the ticker it is about, or the session of a request for a whole one; None for several.
            kind: the kind of endpoint.
        """
        found = self.find_next_rule(target, ticker, kind)
        self._requests[target] += 1
        if found is None:
            return None
        self._applied[found[0]] += 1
        return found[1]

    def find_next_rule(self, target: str, ticker: str | None, kind: str | None = None) -> tuple[int, Rule] | None:
        """Return the rule that would apply to the next such request, with its place; counts nothing."""
        subjects = (None, ticker, kind, f"{kind}/{ticker}")
        for place, rule in enumerate(self._rules):
            if rule.fault.applies_to(kind) and self._matches(place, rule, target, subjects):
                return place, rule
        return None

    def _matches(self, place: int, rule: Rule, target: str, subjects: tuple[str | None, ...]) -> bool:
        if rule.subject not in subjects or (rule.times is not None and self._applied[place] >= rule.times):
            return False
        return draw_number(self._seed, place, target, self._requests[target] + 1) < rule.probability
