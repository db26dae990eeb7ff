"""Vendor of a command: the settings', or the sandbox of a running `market-pipeline up --sandbox`."""

from market_pipeline.cli.output import print_note
from market_pipeline.core.settings import Settings, load_settings
from market_pipeline.operations.up_session import with_running_sandbox


def vendor_settings(*, quiet: bool = False) -> Settings:
    """The settings of a command that asks the vendor; unless `quiet`, a line says that a sandbox stands in for it."""
    settings = load_settings()
    found = with_running_sandbox(settings)
    if found is not settings and not quiet:
        print_note(f"The sandbox of `market-pipeline up` answers in place of the vendor, at {found.polygon_base_url}.")
    return found
