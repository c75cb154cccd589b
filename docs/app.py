"""The app with two answers as docs/app.png: python -m docs.app. Needs Chromium and trained models."""

import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from docs.report import BROWSER

PICTURE = Path(__file__).with_name("app.png")
SIZE = {"width": 1200, "height": 1010}


def main() -> None:
    if BROWSER is None:
        sys.exit("error: this needs Chromium")
    command = [sys.executable, "-m", "chest_transfer.cli", "app", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().split(" on ")[1].split()[0]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport=SIZE)
            page.goto(address)
            for name in ("healthy child", "child with pneumonia"):
                page.click(f"text={name}")
                page.wait_for_selector(f"article:has-text('{name}') .value")
            page.screenshot(path=PICTURE)
            browser.close()
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
