"""The first screen of report/index.html as docs/report.png: python -m docs.report. Needs Chromium."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE, PICTURE = Path("report/index.html"), Path(__file__).with_name("report.png")
SIZE = "1100,1300"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def main() -> None:
    if BROWSER is None or not PAGE.exists():
        sys.exit("error: this needs Chromium, and report/index.html; run: make report")
    with tempfile.TemporaryDirectory() as profile:
        quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        shot = [f"--user-data-dir={profile}", "--hide-scrollbars", f"--window-size={SIZE}", f"--screenshot={PICTURE}"]
        subprocess.run([BROWSER, *quiet, *shot, PAGE.resolve().as_uri()], check=True, capture_output=True)


if __name__ == "__main__":
    main()
