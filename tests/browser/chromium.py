"""The Chromium of the tests. `python -m tests.browser.chromium` prints its path or an error."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = ("--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")
MISSING = (
    "The browser tests need a Chromium: install one (Debian: apt-get install chromium; elsewhere: .venv/bin/playwright "
    "install chromium), or set CHROMIUM to its path."
)


def find_chromium(playwright: Playwright) -> str:
    """Return the program that CHROMIUM names, or one of the system, or Playwright's own. Raise `LookupError`."""
    named = os.environ.get("CHROMIUM", "")
    if named:
        if found := shutil.which(named):
            return found
        raise LookupError(f"Expected the path of a Chromium in CHROMIUM, got {named!r}.")
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    if Path(playwright.chromium.executable_path).exists():
        return playwright.chromium.executable_path
    raise LookupError(MISSING)


def start_chromium(playwright: Playwright) -> Browser:
    """Start Chromium without background requests. Root needs it without its sandbox."""
    flags = [*_FLAGS, "--no-sandbox"] if os.geteuid() == 0 else [*_FLAGS]
    return playwright.chromium.launch(executable_path=find_chromium(playwright), args=flags)


if __name__ == "__main__":
    with sync_playwright() as started:
        try:
            print(find_chromium(started))  # noqa: T201
        except LookupError as problem:
            sys.exit(str(problem))
