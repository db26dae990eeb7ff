"""What one sandbox is told when it starts. Holds options only; what they do is in the modules named beside them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import SecretStr

from market_pipeline.core.errors import UsageError
from market_pipeline.core.plans import PlanName

HistoryEdge = Literal["refuse", "clip"]


class ClockError(UsageError):
    """An instant that no clock can show."""


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """A sandbox's options. By default there are no limits, no faults and no revisions: all answers are final."""

    now: datetime | None = None
    """The sandbox's clock, standing still (with a time zone). None: the real one."""

    keys: tuple[SecretStr, ...] = ()
    """The API keys that are accepted. Empty: any."""

    plan: PlanName = PlanName.ADVANCED
    """The vendor plan whose limits hold (`plans`)."""

    history_edge: HistoryEdge = "refuse"
    """What a range that begins before the plan's history gets: a 403, or silently its rest. Both were observed."""

    revisions: bool = False
    """Whether a session's volume, vwap and transactions are provisional until a day later (`seen`)."""

    unknown: frozenset[str] = frozenset({"NOSUCH"})
    """Tickers that don't exist. Every other well-formed ticker does."""

    also_listed: frozenset[str] = frozenset()
    """Tickers that answers about the whole market hold from the start. Others are in them once they were asked for."""

    faults: tuple[str, ...] = ()
    """Fault rules (`fault_rules`), such as `truncate:0.1`; the first that hits a request is applied."""

    seed: int = 0
    """What the fault rules' draws are made from: the same seed and requests give the same faults."""

    def __post_init__(self) -> None:
        if self.now is not None and self.now.tzinfo is None:
            raise ClockError(f"the sandbox's clock can't stop at {self.now}: give the instant a time zone")

    def clock(self) -> datetime:
        """The instant it is for the sandbox."""
        return self.now if self.now is not None else datetime.now(UTC)
