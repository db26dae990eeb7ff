"""Options of a sandbox. Their effects are in the modules named beside them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import Literal

from pydantic import SecretStr

from market_pipeline.core.errors import UsageError
from market_pipeline.core.plans import PlanName

HistoryEdge = Literal["refuse", "clip"]


MOST_TICKERS = 30_000
"""The largest generated market: its roots are all different up to that."""


class ClockError(UsageError):
    """The clock's instant has no time zone."""


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """A sandbox's options. By default there are no limits, no faults and no revisions."""

    now: datetime | None = None
    """The instant that the sandbox's clock is stopped at (with a time zone). None: the real time."""

    keys: tuple[SecretStr, ...] = ()
    """The API keys that are accepted. Empty: any."""

    plan: PlanName = PlanName.ADVANCED
    """The vendor plan whose limits apply (`plan_limits`)."""

    history_edge: HistoryEdge = "refuse"
    """Response to a range that begins before the plan's history: a 403, or the rest of it. Both were observed."""

    revisions: bool = False
    """A session's volume, vwap and transactions are provisional until a day later (`visibility`)."""

    unknown: frozenset[str] = frozenset({"NOSUCH"})
    """Tickers that don't exist. Every other well-formed ticker does, unless there is a generated market."""

    also_listed: frozenset[str] = frozenset()
    """Tickers in responses about the whole market from the start. Others are added when they are first requested."""

    faults: tuple[str, ...] = ()
    """Fault rules (`fault_rules`), such as `truncate:0.1`; the first that matches a request is applied."""

    seed: int = 0
    """Seed of the fault rules' random draws and of the generated market: the same seed and requests give the same."""

    market_tickers: int = 0
    """About the number of generated tickers that trade on a usual session (`population`); 0: no generated market."""

    file_keys: Mapping[str, SecretStr] = field(default_factory=dict)
    """Secret keys by access key that may read the flat files (`object_storage`). Empty: any, without a check."""

    files_published: time = time(11)
    """The time in New York at which a session's flat file is published, on the next day."""

    def __post_init__(self) -> None:
        if self.now is not None and self.now.tzinfo is None:
            raise ClockError(f"the sandbox's clock can't be set to {self.now}: give the instant a time zone")

    def read_clock(self) -> datetime:
        """Return the sandbox's current instant."""
        return self.now if self.now is not None else datetime.now(UTC)
