"""Take screenshots of all pages and states: `make screenshots`. Those in `docs/screenshots/` are replaced."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.chromium import start_chromium
from tests.browser.people import People, Site
from tests.browser.scenes import SCENES
from tests.browser.studio import FOLDER, Studio
from tests.installation import ROOT, Installation
from tests.processes import wait_until
from tests.ups import free_port, start_up

_IN_DOCUMENTS = ROOT / "docs" / "screenshots"


def main() -> None:
    """Write all screenshots to `screenshots/`, and replace those of the documentation."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.webp"):
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-") as folder, sync_playwright() as playwright:
        installation = Installation(Path(folder) / "data")
        installation.environment["TVARR_BACKUP_SCHEDULE_ENABLED"] = "true"
        up = start_up(installation.prepared(), free_port())
        try:
            wait_until(up.is_complete, "it is complete", seconds=60)
            browser, site = start_chromium(playwright), Site(up, installation)
            studio = Studio(People(browser, site), site, browser.new_page())
            for scene in SCENES:
                scene(studio)
            for shown in _IN_DOCUMENTS.glob("*.webp"):
                shutil.copyfile(FOLDER / shown.name, shown)
        finally:
            up.process.terminate()
            up.process.wait(timeout=30)


if __name__ == "__main__":
    main()
