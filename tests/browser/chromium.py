"""Which Chromium the tests drive; `python -m tests.browser.chromium` prints it, or fails in one sentence."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = ("--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")
MISSING = (
    "The tests of the pages need a Chromium: install one (Debian: apt-get install chromium; elsewhere: .venv/bin/playwright "
    "install chromium), or name its program in the variable CHROMIUM."
)


def find_chromium(playwright: Playwright) -> str:
    """The program: what CHROMIUM names, one of the system's, or Playwright's own. Raises `LookupError` in words."""
    named = os.environ.get("CHROMIUM", "")
    if named:
        if found := shutil.which(named):
            return found
        raise LookupError(f"CHROMIUM is {named!r}, and there is no such program; allowed is the path of a Chromium.")
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    if Path(playwright.chromium.executable_path).exists():
        return playwright.chromium.executable_path
    raise LookupError(MISSING)


def start_chromium(playwright: Playwright) -> Browser:
    """Chromium, silent by itself; without its sandbox where it would not start as root otherwise."""
    flags = [*_FLAGS, "--no-sandbox"] if os.geteuid() == 0 else [*_FLAGS]
    return playwright.chromium.launch(executable_path=find_chromium(playwright), args=flags)


if __name__ == "__main__":
    with sync_playwright() as started:
        try:
            print(find_chromium(started))  # noqa: T201
        except LookupError as problem:
            sys.exit(str(problem))
