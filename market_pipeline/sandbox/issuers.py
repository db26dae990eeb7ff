"""Issuers of a generated market: companies listed, renamed and delisted, in slots that they occupy in turn.

A slot has a role by its number (a common stock, a fund, a company with preferred shares...). Its companies follow one
another with months between; some take the name of the one before. Everything follows from the seed and the slot, so a
smaller market is a part of a larger one. Times are places in the calendar's list of sessions.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from market_pipeline.sandbox.random_numbers import draw_uniform_series, make_identifier
from market_pipeline.sandbox.ticker_roots import LIVELY_NAMES, LIVELY_SLOTS, NAMES, name_root

ROLES = (
    "classes", "preferred", "preferred pair", "when issued", "spac", "nasdaq spac", "rights", "adr", "illiquid",
    "preferred", *["fund"] * 6, *["common"] * 4,
)  # fmt: skip
"""The role of each slot, in turn: about the mix of the market's tickers."""

YEAR = 252
MEAN_LIFE, MEAN_SPAC_LIFE, SHORTEST_LIFE = 90 * YEAR, 16 * YEAR, 120
LIVELY = 20
"""Factor by which lives in the lively slots are shorter."""

SHARE_RENAMED, SHARE_RENAMED_LIVELY, SHARE_REUSED = 0.3, 0.6, 0.2
SHARE_WITH_SPLIT, SHARE_HALTED = 0.25, 0.04
RATIOS = ((1.0, 2.0), (1.0, 3.0), (2.0, 3.0), (1.0, 4.0), (10.0, 1.0))
DRAWS = 24
SEPARATION = 40
"""Sessions after which the parts of a unit trade by themselves."""


@dataclass(frozen=True)
class Issue:
    """One security: its kind, its tickers with first and last place in the list of sessions, its events.

    `liquidity` is the share of sessions on which it trades. `halt` has the first and the last place without trades,
    `split` the place of its first session and the numbers of shares before and after. `key` is unique.
    """

    key: str
    kind: str
    periods: tuple[tuple[str, int, int], ...]
    liquidity: float = 1.0
    halt: tuple[int, int] | None = None
    split: tuple[int, float, float] | None = None

    @property
    def figi(self) -> str:
        """An identifier in the form of a composite FIGI."""
        return f"BBG{make_identifier('figi', self.key)[:9].upper()}"


@dataclass(frozen=True)
class _Company:
    """One company of a slot: its root, its first and last place, and its random numbers."""

    root: str
    first: int
    last: int
    draws: list[float]
    later_root: str | None

    def find_place(self, share: float) -> int:
        """Return the place after this share of its life."""
        return self.first + int((self.last - self.first) * share)

    def issue(self, kind: str, ticker: str, first: int, last: int, luck: int) -> Issue:
        """Return one of its securities; `luck` is the first of the random numbers that decide about it."""
        trades, share = self.draws[luck], self.draws[luck + 1]
        liquidity = 1.0 if trades < ALWAYS_TRADED[kind] else 0.03 + 0.94 * share
        return Issue(f"{ticker} {first}", kind, ((ticker, first, last),), liquidity)


ALWAYS_TRADED = {
    "CS": 0.94, "ADRC": 0.9, "ETF": 0.92, "PFD": 0.6, "WARRANT": 0.4, "UNIT": 0.3, "RIGHT": 0.5, "WHEN ISSUED": 1.0,
}  # fmt: skip
"""Share of the securities of a kind that trade on every session."""


def generate_issues(seed: int, slot: int, sessions: int, taken: frozenset[str]) -> Iterator[Issue]:
    """Return the securities of all companies of a slot, oldest first.

    Args:
        seed: the market's.
        slot: its number.
        sessions: the number of sessions; a company with a longer life trades to the end.
        taken: roots that can't be used.
    """
    role = ROLES[slot % len(ROLES)]
    for company in _generate_companies(seed, slot, role, sessions, taken):
        for issue in _issue_all(company, role):
            first, last = issue.periods[0][1], issue.periods[-1][2]
            if first <= last:
                yield issue


def _generate_companies(seed: int, slot: int, role: str, sessions: int, taken: frozenset[str]) -> Iterator[_Company]:
    lively = slot < LIVELY_SLOTS
    mean = (MEAN_SPAC_LIFE if "spac" in role else MEAN_LIFE) / (LIVELY if lively else 1)
    renamed = SHARE_RENAMED_LIVELY if lively else SHARE_RENAMED
    most = (LIVELY_NAMES if lively else NAMES) // 2
    former: list[str] = []
    first = 0
    for number in range(most):
        draws = draw_uniform_series(DRAWS, "company", seed, slot, number).tolist()
        reuses = bool(former) and draws[0] < SHARE_REUSED
        root = former[int(draws[1] * len(former))] if reuses else name_root(slot, number, taken)
        last = first + SHORTEST_LIFE + int(-mean * math.log(1.0 - draws[2]))
        later_root = name_root(slot, most + number, taken) if draws[3] < renamed else None
        yield _Company(root, first, min(last, sessions - 1), draws, later_root)
        former = [root, *([later_root] if later_root else [])]
        first = last + 30 + int(200 * draws[4])
        if first + SHORTEST_LIFE > sessions:
            return


def _issue_all(company: _Company, role: str) -> list[Issue]:
    root, first, last = company.root, company.first, company.last
    common = _add_events(company.issue("CS", root, first, last, 5), company)
    if role == "common":
        return [_add_rename(common, company)]
    if role == "fund":
        return [_add_rename(replace(common, kind="ETF"), company)]
    if role == "adr":
        return [_add_rename(replace(common, kind="ADRC"), company)]
    if role == "illiquid":
        return [_add_rename(replace(common, liquidity=0.05 + 0.6 * company.draws[6]), company)]
    return [*_OTHER_ISSUES[role](company, common)]


def _issue_classes(company: _Company, common: Issue) -> list[Issue]:
    """Return two share classes, and no plain ticker."""
    first, last = company.first, company.last
    second = company.issue("CS", f"{company.root}.B", first, last, 7)
    return [replace(common, key=f"{company.root}.A {first}", periods=((f"{company.root}.A", first, last),)), second]


def _issue_preferred(company: _Company, common: Issue) -> list[Issue]:
    """Return a common stock and two preferred ones, of which the second is issued later and called earlier."""
    middle, end = company.find_place(0.25), company.find_place(0.9)
    return [
        common,
        company.issue("PFD", f"{company.root}pA", company.first, company.last, 7),
        company.issue("PFD", f"{company.root}pB", middle, end, 9),
    ]


def _issue_preferred_pair(company: _Company, common: Issue) -> list[Issue]:
    """Return a common stock, a preferred one, and another company's whose ticker differs by case only."""
    first, last = company.first, company.last
    preferred = company.issue("PFD", f"{company.root}pA", first, last, 7)
    return [common, preferred, company.issue("CS", f"{company.root}PA", company.find_place(0.05), last, 9)]


def _issue_when_issued(company: _Company, common: Issue) -> list[Issue]:
    """Return a stock that is first traded when issued, beside another company's whose ticker differs by case only."""
    begin = company.first + 12 + int(30 * company.draws[8])
    return [
        company.issue("WHEN ISSUED", f"{company.root}w", company.first, begin - 1, 7),
        replace(
            common, key=f"{company.root} {begin}", periods=((company.root, begin, company.last),), halt=None, split=None
        ),
        company.issue("CS", f"{company.root}W", company.first, company.find_place(0.6), 9),
    ]


def _issue_spac(company: _Company, common: Issue) -> list[Issue]:
    return _issue_unit_and_parts(company, common, {"UNIT": ".U", "WARRANT": ".WS"})


def _issue_nasdaq_spac(company: _Company, common: Issue) -> list[Issue]:
    return _issue_unit_and_parts(company, common, {"UNIT": "U", "WARRANT": "W", "RIGHT": "R"})


def _issue_unit_and_parts(company: _Company, common: Issue, suffixes: dict[str, str]) -> list[Issue]:
    """Return a unit, and the parts that trade by themselves some weeks later; the stock may be renamed."""
    later, root = company.first + SEPARATION, company.root
    stock = replace(common, key=f"{root} {later}", periods=((root, later, company.last),), split=None, halt=None)
    others = [
        company.issue(
            kind, root + suffix, company.first if kind == "UNIT" else later, company.find_place(0.8), 7 + 2 * place
        )
        for place, (kind, suffix) in enumerate(suffixes.items())
    ]
    return [_add_rename(stock, company), *others]


def _issue_rights(company: _Company, common: Issue) -> list[Issue]:
    """Return a common stock, and rights that trade for some weeks."""
    begin = company.find_place(0.3 + 0.5 * company.draws[8])
    rights = company.issue("RIGHT", f"{company.root}r", begin, min(begin + 15, company.last), 9)
    return [common, rights, company.issue("PFD", f"{company.root}pC", company.first, company.last, 11)]


_OTHER_ISSUES = {
    "classes": _issue_classes,
    "preferred": _issue_preferred,
    "preferred pair": _issue_preferred_pair,
    "when issued": _issue_when_issued,
    "spac": _issue_spac,
    "nasdaq spac": _issue_nasdaq_spac,
    "rights": _issue_rights,
}


def _add_events(issue: Issue, company: _Company) -> Issue:
    """Add a halt of some weeks and a split to some securities, within the middle of their lives."""
    draws = company.draws
    begin = company.find_place(0.1 + 0.7 * draws[14])
    halt = (begin, min(begin + 9 + int(40 * draws[15]), company.last - 1)) if draws[13] < SHARE_HALTED else None
    before, after = RATIOS[int(draws[17] * len(RATIOS))]
    split = (company.find_place(0.05 + 0.9 * draws[18]), before, after) if draws[16] < SHARE_WITH_SPLIT else None
    return replace(issue, halt=halt, split=split)


def _add_rename(issue: Issue, company: _Company) -> Issue:
    """Give some securities a second ticker for the later part of their lives."""
    ((ticker, first, last),) = issue.periods
    change = company.find_place(0.15 + 0.7 * company.draws[19])
    if company.later_root is None or not first < change < last:
        return issue
    return replace(issue, periods=((ticker, first, change - 1), (company.later_root, change, last)))
