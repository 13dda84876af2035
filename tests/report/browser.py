"""A real, headless Chromium of the system, through selenium, for tests with the marker ``browser``."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVERS = ("chromedriver", "chromium.chromedriver")


@contextmanager
def browser(cache: Path, *, reachable: str = "") -> Iterator[Any]:
    """Yield a driver of the installed browser; the test is skipped where there is none.

    *reachable* is the only host that it may ask, if any.
    """
    from selenium import webdriver

    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver = next((path for name in DRIVERS if (path := shutil.which(name))), None)
    if found is None or driver is None:
        pytest.skip("no Chromium with its chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = found
    # Containers have neither a sandbox for root nor a large /dev/shm; host rules prove that no network is used.
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars",
                 f"--host-resolver-rules=MAP * ~NOTFOUND{f', EXCLUDE {reachable}' if reachable else ''}",
                 f"--user-data-dir={cache}"):  # fmt: skip
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield chrome
    finally:
        chrome.quit()


def show(chrome: Any, page: Path, width: int, height: int) -> None:
    """Open a page in a window of a size in CSS pixels, as a phone would below 500."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chrome.get(page.resolve().as_uri())


def shoot(chrome: Any, file: Path, width: int, height: int) -> bytes:
    """Write a picture of the upper part of the page and return it."""
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    shot = chrome.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    data = base64.b64decode(shot["data"])
    file.write_bytes(data)
    return data
