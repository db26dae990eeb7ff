"""Trust in listed splits and dividends: repeats become one, contradictory and impossible ones are rejected.

A rejected action that the vendor still lists leaves adjusted prices before its date unknown. The rules, each with an
example: docs/corporate-actions.md.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum, auto
from itertools import combinations
from typing import Any

from market_pipeline.warehouse.corporate_action_refresh import (
    LAST_DAY,
    SPLITS,
    Action,
    ActionTable,
    RefreshPlan,
    UnreadableAction,
)

CONTRADICTED = "the vendor lists it more than once, with different values"
NOT_POSITIVE = "its factor or amount is zero or negative"
IMPLAUSIBLE = "its factor or amount is outside all that is possible, 1e-9 to 1e12"
OUT_OF_RANGE = "its date is not among those requested"
AMOUNTS = ("split_from", "split_to", "cash_amount")
SMALLEST, LARGEST = 1e-9, 1e12
"""Bounds of amounts and of a split's factor: beyond them, factors and prices would leave a double's range."""


@dataclass(frozen=True)
class RejectedAction:
    """An action that is not, or no longer, in its table, and the reason; `date` is None if unreadable.

    `listed` is true if adjusted prices before its date are not known, as the vendor still lists it.
    """

    symbol: str
    date: date | None
    reason: str
    payload: Mapping[str, Any]
    listed: bool


class _Relation(Enum):
    SAME = auto()
    SEPARATE = auto()
    CONTRADICTORY = auto()


def separate_rejected(
    actions: ActionTable, plan: RefreshPlan, listed: Iterable[Action | UnreadableAction]
) -> tuple[list[Action], list[RejectedAction]]:
    """Return the trusted actions of a response, each once, and the rejected ones with their reasons."""
    candidates: dict[tuple[Any, ...], Action] = {}
    rejected: list[RejectedAction] = []
    for action in listed:
        if isinstance(action, UnreadableAction):
            reason = f"it can't be read: {action.problem}"
            rejected.append(RejectedAction(action.symbol, action.date, reason, action.record, listed=True))
        elif action["symbol"] in plan.recent and action[actions.date] < plan.since:
            continue  # known from the symbol's history: a response with more than was requested proves nothing
        elif any(action.get(name, 1) <= 0 for name in AMOUNTS):
            rejected.append(reject(actions, action, NOT_POSITIVE, listed=True))
        elif not all(SMALLEST <= value <= LARGEST for value in _list_magnitudes(action)):
            rejected.append(reject(actions, action, IMPLAUSIBLE, listed=True))
        elif not plan.start(action["symbol"]) <= action[actions.date] <= LAST_DAY:
            rejected.append(reject(actions, action, OUT_OF_RANGE, listed=False))
        else:
            candidates[tuple(action[name] for name in actions.columns)] = action
    accepted: list[Action] = []
    for group in _group_related(actions, list(candidates.values())):
        if group.is_contradictory:
            rejected += [reject(actions, action, CONTRADICTED, listed=True) for action in group.actions]
        else:
            accepted += _merge_repeats(actions, group.actions)
    return accepted, rejected


def _list_magnitudes(action: Action) -> list[float]:
    """Return an action's amounts, and the factor of a split."""
    values = [action[name] for name in AMOUNTS if name in action]
    return [*values, action["split_to"] / action["split_from"]] if "split_to" in action else values


def reject(actions: ActionTable, action: Action, reason: str, *, listed: bool) -> RejectedAction:
    """Return an action as a rejected one."""
    payload = {name: action[name] for name in actions.columns}
    return RejectedAction(action["symbol"], action[actions.date], reason, payload, listed)


@dataclass
class _Group:
    actions: list[Action]
    is_contradictory: bool = False


def _group_related(actions: ActionTable, candidates: Sequence[Action]) -> list[_Group]:
    """Put repeats and contradictions, of one day or one id, into one group each."""
    compare = _compare_splits if actions is SPLITS else _compare_dividends
    groups = [_Group([action]) for action in candidates]
    buckets: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
    for number, action in enumerate(candidates):
        buckets[(action["symbol"], action[actions.date])].append(number)
        if action["vendor_id"] is not None:
            buckets[(action["symbol"], "id", action["vendor_id"])].append(number)
    for numbers in buckets.values():
        for one, other in combinations(numbers, 2):
            if candidates[one][actions.date] != candidates[other][actions.date]:
                relation = _Relation.CONTRADICTORY  # one id on two days
            else:
                relation = compare(candidates[one], candidates[other])
            if relation is not _Relation.SEPARATE:
                _join(groups, one, other, contradictory=relation is _Relation.CONTRADICTORY)
    return list({id(group): group for group in groups}.values())


def _join(groups: list[_Group], one: int, other: int, *, contradictory: bool) -> None:
    kept, added = groups[one], groups[other]
    kept.is_contradictory |= contradictory
    if kept is not added:
        kept.actions += added.actions
        kept.is_contradictory |= added.is_contradictory
        groups[:] = [kept if group is added else group for group in groups]


def _compare_splits(one: Action, other: Action) -> _Relation:
    """Compare two splits of one day: a ratio twice is one split."""
    equal = one["split_from"] * other["split_to"] == other["split_from"] * one["split_to"]
    return _Relation.SAME if equal else _Relation.CONTRADICTORY


def _compare_dividends(one: Action, other: Action) -> _Relation:
    """Compare two dividends of one day, by what matters: amount, currency, kind, pay date and the vendor's id."""
    same_id = one["vendor_id"] is not None and one["vendor_id"] == other["vendor_id"]
    two_ids = None not in (one["vendor_id"], other["vendor_id"]) and not same_id
    two_kinds = _differ(one, other, "dividend_type") or _differ(one, other, "currency")
    if one["cash_amount"] != other["cash_amount"]:
        separate = not same_id and (two_ids or two_kinds)
    elif two_kinds:
        separate = not same_id
    elif _differ(one, other, "pay_date"):
        separate = False  # it can't be known whether this is one payment or two
    else:
        return _Relation.SAME
    return _Relation.SEPARATE if separate else _Relation.CONTRADICTORY


def _differ(one: Action, other: Action, name: str) -> bool:
    """Return True if both have a value, and not the same."""
    return None not in (one[name], other[name]) and one[name] != other[name]


def _merge_repeats(actions: ActionTable, group: Sequence[Action]) -> list[Action]:
    """Return each of a group's actions once, with the values that its repeats add; the most complete ones first."""
    compare = _compare_splits if actions is SPLITS else _compare_dividends
    kept: list[dict[str, Any]] = []
    for action in sorted(group, key=lambda one: (_count_missing(one), one["vendor_id"] or "", repr(one))):
        known = next((one for one in kept if compare(one, action) is _Relation.SAME), None)
        if known is None:
            kept.append(dict(action))
        else:
            known.update({name: value for name, value in action.items() if known[name] is None})
    return list(kept)


def _count_missing(action: Action) -> int:
    return sum(value is None for value in action.values())
