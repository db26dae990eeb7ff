"""Two hundred backfills posted at once, half of them the same: the responses, and the runs.

Run it with `python -m benchmarks.campaigns.backfill_posts`; it takes two minutes. `market-pipeline up --sandbox` runs
beside it, in a data folder of its own. It exits with 1 if any was answered with an error that isn't a documented limit,
if more backfills were accepted than are allowed at once, or if one was executed twice.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from benchmarks.campaigns.api_load import BIN, SYMBOLS, run_command
from market_pipeline.core.sockets import find_free_port
from market_pipeline.warehouse import embedded

POSTS = 200
SAME = {"symbols": ["AAPL"], "start": "2012-01-03", "end": "2012-12-31"}
PATH = "/api/v1/admin/backfills"
WAIT_SECONDS = 300


def build_posts() -> list[dict[str, Any]]:
    """The backfills: every other one is the same, the rest are a symbol and a year each."""
    names = SYMBOLS.split(",")
    others = [
        {"symbols": [name], "start": f"{year}-01-03", "end": f"{year}-12-31"}
        for year in range(2015, 2025)
        for name in names
    ]
    return [SAME if number % 2 else others[number // 2] for number in range(POSTS)]


def post_at_once(url: str, key: str) -> list[requests.Response]:
    """Send all of them at one instant, each from a thread of its own."""
    found: list[requests.Response] = []
    together = threading.Barrier(POSTS)

    def post(wanted: dict[str, Any]) -> None:
        together.wait()
        found.append(requests.post(url + PATH, json=wanted, headers={"X-API-Key": key}, timeout=120))

    threads = [threading.Thread(target=post, args=(wanted,)) for wanted in build_posts()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def wait_until_ended(url: str, key: str) -> list[dict[str, Any]]:
    """All backfills, once none is under way any more."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        jobs: list[dict[str, Any]] = requests.get(
            f"{url}{PATH}?limit=100", headers={"X-API-Key": key}, timeout=60
        ).json()
        if all(job["ended_at"] for job in jobs):
            return jobs
        time.sleep(2)
    raise SystemExit(f"backfills are under way after {WAIT_SECONDS} s")


@contextmanager
def running(environment: Mapping[str, str]) -> Iterator[str]:
    """`up --sandbox`, and the API's address."""
    ports = ("--api-port", str(find_free_port()), "--ui-port", str(find_free_port()))
    up = subprocess.Popen(
        [BIN / "market-pipeline", "up", "--sandbox", *ports], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert up.stdout is not None
    try:
        for line in up.stdout:
            if "all is running" in line:
                break
        else:
            raise SystemExit("`up` has not started")
        threading.Thread(target=lambda: [None for _ in up.stdout or ()], daemon=True).start()
        yield f"http://127.0.0.1:{ports[1]}"
    finally:
        up.send_signal(signal.SIGINT)
        up.wait()


def measure(environment: Mapping[str, str], key: str) -> bool:
    """Print what came of it; True if all of it was as documented."""
    with running(environment) as url:
        begun = time.monotonic()
        responses = post_at_once(url, key)
        seconds = time.monotonic() - begun
        jobs = wait_until_ended(url, key)
    statuses = Counter(response.status_code for response in responses)
    ids = Counter(response.json()["id"] for response in responses if response.ok)
    runs = [run for job in jobs for run in job["run_ids"]]
    print(f"{POSTS} posts at once, {POSTS // 2} of them the same, answered within {seconds:.1f} s: {dict(statuses)}")
    print(f"backfills made: {len(jobs)}; the most often given one was given {max(ids.values())} times")
    print(f"runs made: {len(runs)}; how they ended: {dict(Counter(job['status'] for job in jobs))}")
    print("first rejection: " + next((json.loads(r.text)["detail"] for r in responses if r.status_code == 429), "none"))
    is_limited = all("Retry-After" in response.headers for response in responses if response.status_code == 429)
    return (
        set(statuses) <= {200, 202, 429}
        and is_limited
        and len(jobs) == statuses[202] == len(ids) == len(runs)
        and all(job["status"] == "succeeded" for job in jobs)
    )


def main() -> None:
    """Measure in a data folder of its own."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        Path(folder).chmod(0o755)
        environment = {**os.environ, "MARKET_PIPELINE_DATA_DIR": folder}
        environment.pop("DATABASE_URL", None)
        try:
            run_command(environment, "symbols", "init").check_returncode()
            key = run_command(environment, "keys", "create", "campaign", "--scope", "admin").stdout.strip()
            is_well = measure(environment, key)
        finally:
            embedded.destroy(Path(folder))
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
