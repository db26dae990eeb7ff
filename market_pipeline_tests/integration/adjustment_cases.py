"""The table of docs/corporate-actions.md as cases: the vendor's records, the stored rows, and the adjusted series.

Each has bars from 2024-03-11 to 2024-03-22, one close before 2024-03-15 and one from then on, unless it names others.
Factors are worked out by hand or published, never taken from the code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from market_pipeline.core.sessions import list_sessions

FIRST, EVE, DAY, MONDAY, LAST = (date(2024, 3, day) for day in (11, 14, 15, 18, 22))
NEXT_MONDAY = date(2024, 3, 25)
CONTRADICTED = "the vendor lists it more than once, with different values"

Record = dict[str, Any]


def split(before: Any, after: Any, vendor_id: str = "E1", day: object = DAY) -> Record:
    return {"execution_date": str(day), "split_from": before, "split_to": after, "id": vendor_id}


def dividend(amount: Any, vendor_id: str = "E1", day: object = DAY, **changes: Any) -> Record:
    known = {"currency": "USD", "distribution_type": "recurring", "frequency": 4, "pay_date": "2024-04-01"}
    declared = {"declaration_date": "2024-02-20", "record_date": "2024-03-18"}
    return {"ex_dividend_date": str(day), "cash_amount": amount, "id": vendor_id, **known, **declared, **changes}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table.

    `earlier_splits` is an earlier response, where the vendor has changed its list. `rejected` has the reasons and if
    the record is listed still. `examined` is the session with the expected values, by default the one before.
    """

    name: str
    symbol: str
    before: float = 50.0
    after: float = 50.0
    closes: Mapping[date, float] = field(default_factory=dict)
    splits: tuple[Record, ...] = ()
    dividends: tuple[Record, ...] = ()
    earlier_splits: tuple[Record, ...] | None = None
    requested: bool = True
    stored: tuple[int, int]
    rejected: tuple[tuple[str, bool], ...] = ()
    examined: date = EVE
    split_factor: float | None = 1.0
    dividend_factor: float | None = 1.0
    adj_close: float | None
    because: str | None = None
    not_applied: str | None = None
    """The mart's reason for each action, where it is not part of `because`."""
    returned: float | None = 0.0
    """The total return of DAY as daily_returns has it; None where it is not known."""

    @property
    def bars(self) -> Mapping[date, float]:
        """The closes by session."""
        days = list_sessions("XNYS", FIRST, LAST)
        return self.closes or {day: self.before if day < DAY else self.after for day in days}


UNREADABLE = "it can't be read: 'a lot' is no number"

CASES = [
    Case(name="split", symbol="ASPL", before=100, after=25, splits=(split(1, 4),), stored=(1, 0),
         split_factor=0.25, adj_close=25),
    Case(name="reverse split", symbol="REVS", before=2, after=20, splits=(split(10, 1),), stored=(1, 0),
         split_factor=10, adj_close=20),
    # 5 %: 20 shares become 21.
    Case(name="stock dividend", symbol="STKD", before=105, after=100, splits=(split(20, 21),), stored=(1, 0),
         split_factor=0.95238095238095238, adj_close=100),
    # As Yahoo Finance lists GE HealthCare's of 2023-01-04: 1281 for 1000.
    Case(name="spin-off listed as a split", symbol="SPIN", before=128.1, after=100, splits=(split(1000, 1281),),
         stored=(1, 0), split_factor=0.78064012490241999, adj_close=100),
    Case(name="spin-off listed as a dividend", symbol="SPID", before=80, after=60,
         dividends=(dividend(20.0, distribution_type="special"),), stored=(0, 1), dividend_factor=0.75, adj_close=60),
    Case(name="spin-off not listed", symbol="SPIU", before=80, after=60, stored=(0, 0), adj_close=80, returned=-0.25),
    # Microsoft's 3.08 dollars of 2004-11-15 after a close of 29.97, as published.
    Case(name="special dividend", symbol="SPEC", before=29.97, after=27.39,
         dividends=(dividend(3.08, distribution_type="special", frequency=0),), stored=(0, 1),
         dividend_factor=0.89723056389723056, adj_close=26.89, returned=(27.39 + 3.08) / 29.97 - 1),
    Case(name="return of capital", symbol="ROCA", after=49,
         dividends=(dividend(1.0, distribution_type="return_of_capital"),), stored=(0, 1), dividend_factor=0.98,
         adj_close=49),
    # Yahoo Finance's own example, Microsoft in February 2003: 0.08 dollars after a close of 24.96.
    Case(name="regular dividend", symbol="REGU", before=24.96, after=24.88, dividends=(dividend(0.08),), stored=(0, 1),
         dividend_factor=0.99679487179487179, adj_close=24.88),
    Case(name="split and dividend of one day", symbol="BOTH", before=100, after=49, splits=(split(1, 2),),
         dividends=(dividend(1.0),), stored=(1, 1), split_factor=0.5, dividend_factor=0.98, adj_close=49),
    Case(name="two payments on one day", symbol="DVA",
         dividends=(dividend(0.5, "E1"), dividend(2.0, "E2", pay_date="2024-04-15")), stored=(0, 2),
         dividend_factor=0.95, adj_close=47.5, returned=0.05),
    Case(name="in another currency", symbol="CADV", dividends=(dividend(0.5, currency="CAD"),), stored=(0, 1),
         dividend_factor=None, adj_close=None, because="dividend of 2024-03-15: not in US dollars", returned=None),
    Case(name="without a currency", symbol="NOCU", dividends=(dividend(0.5, currency=None),), stored=(0, 1),
         dividend_factor=None, adj_close=None, because="dividend of 2024-03-15: not in US dollars", returned=None),
    Case(name="on a day without a session", symbol="SATU", dividends=(dividend(0.5, day="2024-03-16"),), stored=(0, 1),
         examined=DAY, dividend_factor=0.99, adj_close=49.5),
    Case(name="on the first bar", symbol="ONFI", closes={DAY: 50, MONDAY: 50}, dividends=(dividend(0.5),),
         stored=(0, 1), examined=DAY, adj_close=50, not_applied="no close in the ten sessions before", returned=None),
    Case(name="before the first bar", symbol="BEFO", splits=(split(1, 4, day="2024-03-01"),), stored=(1, 0),
         examined=FIRST, adj_close=50),
    Case(name="today", symbol="TODA", before=100, after=100, splits=(split(1, 2, day=LAST),), stored=(1, 0),
         split_factor=0.5, adj_close=50),
    Case(name="in the future", symbol="FUTU", splits=(split(1, 2, day=NEXT_MONDAY),), stored=(1, 0), adj_close=50,
         not_applied="announced"),
    Case(name="withdrawn", symbol="WITH", earlier_splits=(split(1, 4),), stored=(0, 0),
         rejected=(("the vendor no longer lists it", False),), adj_close=50),
    Case(name="corrected", symbol="CORR", before=100, after=20, earlier_splits=(split(1, 4),), splits=(split(1, 5),),
         stored=(1, 0), rejected=(("the vendor has corrected it", False),), split_factor=0.2, adj_close=20),
    Case(name="moved to another day", symbol="MOVE", before=100, after=25,
         earlier_splits=(split(1, 4, day=MONDAY),), splits=(split(1, 4),), stored=(1, 0),
         rejected=(("the vendor has corrected it", False),), split_factor=0.25, adj_close=25),
    # The price falls on Friday, the split is listed for Monday: Friday's close is adjusted once too often.
    Case(name="dated a day late", symbol="LATE", before=100, after=25, splits=(split(1, 4, day=MONDAY),),
         stored=(1, 0), examined=DAY, split_factor=0.25, adj_close=6.25, returned=-0.75),
    Case(name="doubled split", symbol="DBLS", before=100, after=25, splits=(split(1, 4, "E1"), split(2, 8, "E2")),
         stored=(1, 0), split_factor=0.25, adj_close=25),
    Case(name="doubled dividend", symbol="DVB",
         dividends=(dividend(0.5, "E1"), dividend(0.5, "E2", declaration_date=None)), stored=(0, 1),
         dividend_factor=0.99, adj_close=49.5, returned=0.01),
    Case(name="contradictory splits", symbol="SPX", before=100, after=25.5,
         splits=(split(1, 4, "E1"), split(1, 5, "E2")), stored=(0, 0), rejected=((CONTRADICTED, True),) * 2,
         split_factor=None, adj_close=None, because=f"split of 2024-03-15: {CONTRADICTED}", returned=None),
    Case(name="contradictory dividends", symbol="DVC",
         dividends=(dividend(0.5, "E1"), dividend(0.5, "E2", pay_date="2024-04-15")), stored=(0, 0),
         rejected=((CONTRADICTED, True),) * 2, dividend_factor=None, adj_close=None,
         because=f"dividend of 2024-03-15: {CONTRADICTED}", returned=None),
    Case(name="one id with two values", symbol="DVI", dividends=(dividend(0.5), dividend(0.6)), stored=(0, 0),
         rejected=((CONTRADICTED, True),) * 2, dividend_factor=None, adj_close=None,
         because=f"dividend of 2024-03-15: {CONTRADICTED}", returned=None),
    Case(name="one id on two days", symbol="SPI", before=100, after=25, splits=(split(1, 4), split(1, 4, day=MONDAY)),
         stored=(0, 0), rejected=((CONTRADICTED, True),) * 2, split_factor=None, adj_close=None,
         because=f"split of 2024-03-18: {CONTRADICTED}", returned=None),
    Case(name="not positive", symbol="NPOS", splits=(split(1, 0),), stored=(0, 0),
         rejected=(("its factor or amount is zero or negative", True),), split_factor=None, adj_close=None,
         because="split of 2024-03-15: its factor or amount is zero or negative", returned=None),
    Case(name="unreadable amount", symbol="UNRA", dividends=(dividend("a lot"),), stored=(0, 0),
         rejected=((UNREADABLE, True),), dividend_factor=None, adj_close=None,
         because=f"dividend of 2024-03-15: {UNREADABLE}", returned=None),
    Case(name="unreadable date", symbol="UNRD", splits=(split(1, 4, day="soon"),), stored=(0, 0),
         rejected=(("it can't be read: Invalid isoformat string: 'soon'", True),), examined=LAST, split_factor=None,
         adj_close=None, because="a split without a readable date: it can't be read: Invalid isoformat string: 'soon'",
         returned=None),
    Case(name="out of range", symbol="RANG", splits=(split(1, 4, day="1962-03-15"),), stored=(0, 0),
         rejected=(("its date is not among those requested", False),), adj_close=50),
    Case(name="no close in the ten sessions before", symbol="GAPS", closes={date(2024, 2, 27): 50, DAY: 50, MONDAY: 50},
         dividends=(dividend(0.5),), stored=(0, 1), examined=date(2024, 2, 27), dividend_factor=None, adj_close=None,
         because="dividend of 2024-03-15: no close in the ten sessions before", returned=None),
    Case(name="more than the price", symbol="MORE", dividends=(dividend(50.0),), stored=(0, 1), dividend_factor=None,
         adj_close=None, because="dividend of 2024-03-15: it exceeds the close before",
         not_applied="cannot be combined with another of that day, or exceeds the close before", returned=1.0),
    Case(name="never requested", symbol="NEVR", requested=False, stored=(0, 0), split_factor=None,
         dividend_factor=None, adj_close=None, because="splits and dividends were never requested", returned=None),
    Case(name="failed request", symbol="FAIL", before=100, after=25, splits=(split(1, 4),), stored=(1, 0),
         split_factor=0.25, adj_close=25),
]  # fmt: skip
