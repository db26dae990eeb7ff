"""Browser for tests: Chromium, driven over a pipe in its own protocol, without a driver to install.

See https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
)  # fmt: skip
# The browser expects its ends of the pipe as 3 and 4.
PLUG = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
UNTIL = """new Promise((done, failed) => {
  const look = () => (%s) ? done() : Date.now() < end ? setTimeout(look, 25) : failed(document.body.innerText);
  const end = Date.now() + 20_000;
  look();
})"""


def find_browser() -> str | None:
    """Return the program of the first browser on the PATH; None without one."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """Chromium, controlled by its DevTools protocol over a pipe."""

    def __init__(self, program: str, folder: Path) -> None:
        for_it, self._to = os.pipe()
        self._from, by_it = os.pipe()
        plugged = [sys.executable, "-c", PLUG, str(for_it), str(by_it), program]
        quiet = subprocess.DEVNULL
        command = [*plugged, *FLAGS, f"--user-data-dir={folder}"]
        self._process = subprocess.Popen(command, pass_fds=(for_it, by_it), stdout=quiet, stderr=quiet)
        os.close(for_it)
        os.close(by_it)
        self._read = b""
        self._calls = 0
        self.events: list[Mapping[str, Any]] = []
        self.tabs: list[str] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        self._calls += 1
        result = {
            "id": self._calls,
            "method": method,
            "params": parameters,
            **({"sessionId": session} if session else {}),
        }
        os.write(self._to, json.dumps(result).encode() + b"\0")
        while (message := self._next()).get("id") != self._calls:
            self.events.append(message)
        assert "error" not in message, message
        return message["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            part = os.read(self._from, 1 << 20)
            assert part, "the browser is gone"
            self._read += part
        message, _, self._read = self._read.partition(b"\0")
        received: dict[str, Any] = json.loads(message)
        return received

    def close_tabs(self) -> None:
        """Close all tabs: a page that is left open goes on reading and drawing."""
        while self.tabs:
            self.call("Target.closeTarget", targetId=self.tabs.pop())

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)


class Tab:
    """A page of the browser with a given width, and the events that happened in it."""

    def __init__(self, browser: Browser, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        self._browser = browser
        browser.events.clear()
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        browser.tabs.append(target)
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def call(self, method: str, **parameters: Any) -> Any:
        return self._browser.call(method, self._session, **parameters)

    def evaluate(self, script: str) -> Any:
        """Evaluate a script and return its value."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, condition: str) -> None:
        self.evaluate(UNTIL % condition)

    def open(self, address: str) -> "Tab":
        self.call("Page.navigate", url=address)
        self.until("document.body?.dataset.state === 'settled'")
        return self

    def state(self, part: str) -> dict[str, str]:
        found: dict[str, str] = self.evaluate(f"({{...document.getElementById('{part}').dataset}})")
        return found

    def shown(self, selector: str) -> str:
        return str(self.evaluate(f"document.querySelector('{selector}').innerText"))

    def click(self, selector: str) -> None:
        self.evaluate(f"document.querySelector('{selector}').click()")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key)

    def photograph(self, *, full: bool = False) -> bytes:
        """Return a picture of what is shown, or of the full page, as PNG."""
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=full, **self._clip(full=full))
        return base64.b64decode(picture["data"])

    def _clip(self, *, full: bool) -> dict[str, Any]:
        if not full:
            return {}
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def events(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the events of a kind, such as requests that were sent."""
        events = self._browser.events
        return [e["params"] for e in events if e.get("method") == kind and e.get("sessionId") == self._session]
