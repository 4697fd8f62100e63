"""A real Chromium without a window, driven through its own driver."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # CI runs as root, and the only pages are ours
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--window-size=1000,1400",
)


def found() -> tuple[str, str]:
    """Return the paths of browser and driver; skip the test where one is missing."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no chromium and chromedriver on this machine (Debian: apt-get install chromium chromium-driver)")
    return browser, driver


@contextmanager
def browser(folder: Path) -> Iterator[webdriver.Chrome]:
    """Open one with an empty profile in `folder`; its console is kept for `complaints`."""
    binary, driver = found()
    options = Options()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(driver, env={**os.environ, "no_proxy": "*", "HOME": str(folder)})
    opened = webdriver.Chrome(options=options, service=service)
    try:
        yield opened
    finally:
        opened.quit()


def complaints(opened: webdriver.Chrome) -> list[dict[str, Any]]:
    """Return what the browser complained of since the last call: errors of scripts, blocked and failed loads."""
    return [line for line in opened.get_log("browser") if line["level"] in {"SEVERE", "WARNING"}]
