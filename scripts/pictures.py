"""Photograph the web page and Dagster's partitions for the README: `make pictures`.

The demo's recorded bars are loaded into a new data folder, `market-pipeline up --sandbox` serves them, and a headless
browser takes the pictures, so that they show the code as it is.
"""

import io
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import requests
from PIL import Image

from market_pipeline.core.sockets import find_free_port
from market_pipeline_tests.end_to_end.browser import PROGRAMS, Browser, Tab, find_browser

CHECKOUT = Path(__file__).resolve().parents[1]
PICTURES = CHECKOUT / "docs" / "pictures"
COMMAND = Path(sys.executable).with_name("market-pipeline")
INHERITED = ("HOME", "LANG", "PATH", "TMPDIR")
"""Variables of the environment that the project gets: none of its settings is among them."""

WIDTH, HEIGHT = 1280, 900
COLORS = 256
MOST_BYTES = 200_000
START_SECONDS = 120
SHOWN_SECONDS = 120
"""Time limits: of the services to start, and of a page to show what it is photographed for."""

PAGE = "/?symbol=AAPL&range=5Y"
PARTITIONS = (
    "/assets/market_data/AAPL?view=partitions&partition=2013-02-28"
    "&default_range=%5B2011-01-03...2013-03-01%5D&status=MATERIALIZED"
)
DRAWN = "document.querySelectorAll('#candles canvas').length > 0"
LISTED = "document.body?.innerText.includes('Latest materialization') && document.body.innerText.includes('2013-02-28')"


def main() -> None:
    """Take the pictures.

    Raises:
        SystemExit: there is no browser, or a picture is too large.
    """
    program = find_browser()
    if program is None:
        raise SystemExit(f"pictures need Chromium: install one of {', '.join(PROGRAMS)}, so that it is on the PATH")
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="market-pipeline-pictures-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL has a user of its own if root takes the pictures
        environment = {variable: os.environ[variable] for variable in INHERITED if variable in os.environ}
        environment["MARKET_PIPELINE_DATA_DIR"] = str(folder / "data")
        run(environment, "demo")
        try:
            with serving(environment) as (api, dagster), browsing(program, folder) as browser:
                photograph(browser, "page-light", api + PAGE, DRAWN)
                photograph(browser, "page-dark", api + PAGE, DRAWN, dark=True)
                photograph(browser, "partitions", dagster + PARTITIONS, LISTED)
        finally:
            run(environment, "db", "stop")


def run(environment: Mapping[str, str], *arguments: str) -> None:
    """Run a command of the project."""
    print(f"market-pipeline {' '.join(arguments)}", flush=True)
    subprocess.run([COMMAND, *arguments], env=environment, cwd=CHECKOUT, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def serving(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Run the project's services, and yield the URLs of the API and of Dagster's UI.

    Raises:
        SystemExit: they are not up in time.
    """
    api, dagster = find_free_port(), find_free_port()
    arguments = ["up", "--sandbox", "--api-port", str(api), "--ui-port", str(dagster)]
    print(f"market-pipeline {' '.join(arguments)}", flush=True)
    process = subprocess.Popen(
        [COMMAND, *arguments], env=environment, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = monotonic() + START_SECONDS
        while not (responds(f"http://127.0.0.1:{api}/health") and responds(f"http://127.0.0.1:{dagster}/server_info")):
            if process.poll() is not None or monotonic() > end:
                raise SystemExit("the services did not start: try `market-pipeline up --sandbox`")
            sleep(1)
        yield f"http://127.0.0.1:{api}", f"http://127.0.0.1:{dagster}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def responds(url: str) -> bool:
    """Return True if a server responds at a URL."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


@contextmanager
def browsing(program: str, folder: Path) -> Iterator[Browser]:
    """Start a browser, and close it at the end."""
    browser = Browser(program, folder / "browser")
    try:
        yield browser
    finally:
        browser.close()


def photograph(browser: Browser, name: str, url: str, condition: str, *, dark: bool = False) -> None:
    """Write a picture of a page once a condition in JavaScript holds in it.

    Raises:
        SystemExit: the condition doesn't hold in time, or the picture is too large.
    """
    tab = Tab(browser, width=WIDTH, height=HEIGHT, dark=dark)
    tab.call("Emulation.setScrollbarsHidden", hidden=True)
    tab.call("Page.navigate", url=url)
    end = monotonic() + SHOWN_SECONDS
    while not tab.evaluate(f"Boolean({condition})"):
        if monotonic() > end:
            raise SystemExit(f"{url} does not show what was expected: {condition}")
        sleep(1)
    sleep(3)  # fonts, and the last drawing
    file = PICTURES / f"{name}.png"
    Image.open(io.BytesIO(tab.photograph())).convert("RGB").quantize(COLORS).save(file, optimize=True)
    size = file.stat().st_size
    print(f"{file.relative_to(CHECKOUT)}: {size:,} bytes")
    if size > MOST_BYTES:
        raise SystemExit(f"{file.name} has more than {MOST_BYTES:,} bytes")


if __name__ == "__main__":
    main()
