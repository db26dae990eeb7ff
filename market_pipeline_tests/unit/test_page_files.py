"""The page's files: its modules, and those that the browser fetches before it reads the modules that import them."""

import re

from market_pipeline.api.page import STATIC


def imported_by(module: str) -> set[str]:
    return set(re.findall(r'from "\./(\w+\.js)"', (STATIC / module).read_text()))


def reachable_from(*modules: str) -> set[str]:
    found: set[str] = set()
    waiting = set(modules)
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= imported_by(module) - found
    return found


def test_the_charts_modules_are_fetched_at_once_and_not_one_import_after_the_other() -> None:
    preloaded = set(re.findall(r'rel="modulepreload" href="static/(\w+\.js)"', (STATIC / "index.html").read_text()))
    assert preloaded | imported_by("page.js") >= reachable_from("candles.js")
    assert preloaded <= reachable_from("candles.js")


def test_every_module_is_used() -> None:
    pages = "".join(page.read_text() for page in STATIC.glob("*.html"))
    entries = set(re.findall(r'src="static/(\w+\.js)"', pages))
    assert {module.name for module in STATIC.glob("*.js")} == reachable_from(*entries)
