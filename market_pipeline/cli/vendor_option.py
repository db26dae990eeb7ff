"""Vendor of a command: that of the settings, or the sandbox of a running `market-pipeline up --sandbox`."""

from market_pipeline.cli.output import print_note
from market_pipeline.core.settings import Settings, load_settings
from market_pipeline.core.ticker_corrections import read_configured_corrections
from market_pipeline.operations.up_session import use_running_sandbox


def load_vendor_settings(*, quiet: bool = False) -> Settings:
    """Return the settings of a command that uses the vendor; unless `quiet`, report a sandbox in its place.

    Raises:
        TickerCorrectionsError: the file of ticker corrections can't be used; runs would fail by it.
    """
    settings = load_settings()
    used = use_running_sandbox(settings)
    read_configured_corrections(used)
    if used is not settings and not quiet:
        print_note(f"The sandbox of `market-pipeline up` is used in place of the vendor, at {used.polygon_base_url}.")
    return used
