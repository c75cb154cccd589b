""".dvc/plots/page.html: the page of `dvc plots show` with Vega inside, so that it draws without a network.

    python -m docs.plots_page

Fetches the three packages of npm at the versions below and checks their hashes. Their licenses, BSD-3-Clause, are kept
in the page.
"""

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import requests

PAGE = Path(__file__).parents[1] / ".dvc/plots/page.html"
# Name -> version, and the SHA-512 that npm publishes.
PACKAGES = {
    "vega": ("5.33.0", "jNAGa7TxLojOpMMMrKMXXBos4K6AaLJbCgGDOw1YEkLRjUkh12pcf65J2lMSdEHjcEK47XXjKiOUVZ8L+MniBA=="),
    "vega-lite": ("5.23.0", "l4J6+AWE3DIjvovEoHl2LdtCUkfm4zs8Xxx7INwZEAv+XVb6kR6vIN1gt3t2gN2gs/y4DYTs/RPoTeYAuEg6mA=="),
    "vega-embed": (
        "6.29.0",
        "PmlshTLtLFLgWtF/b23T1OwX53AugJ9RZ3qPE2c01VFAbgt3/GSNI/etzA/GzdrkceXFma+FDHNXUppKuM0U6Q==",
    ),
}
TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
{refresh_tag}
<title>Chest Transfer: plots</title>
<style>
body { margin: 0 auto; max-width: 96rem; padding: 1rem; font: 15px/1.5 system-ui, sans-serif; color: #1c2024;
  columns: 38rem auto; column-gap: 2rem; }
body > div { display: inline-block; width: 100%; overflow-x: auto; break-inside: avoid; margin: 0 0 1.2rem !important; }
body > div:has(canvas[width="0"]) { display: none; }  /* a table without rows */
img { max-width: 100%; height: auto; }
table { border-spacing: 15px; }
</style>
SCRIPTS
</head>
<body>
{plot_divs}
</body>
</html>
"""


def script_of(name: str, version: str, sha512: str) -> str:
    """Return a package's script for browsers, with its license, as an element of a page."""
    address = f"https://registry.npmjs.org/{name}/-/{name}-{version}.tgz"
    content = requests.get(address, timeout=60).content
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != sha512:
        raise SystemExit(f"error: {address} is not the file that was expected; compare its hash with npm's")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        script, license_text = (
            archive.extractfile(f"package/{path}").read().decode() for path in (f"build/{name}.min.js", "LICENSE")
        )
    # A closing tag inside a script would end it; DVC replaces names in braces.
    script = script.replace("</script", "<\\/script")
    return f"<script>\n/*! {name} {version}\n{license_text.strip()}\n*/\n{script}\n</script>"


def main() -> None:
    scripts = "\n".join(script_of(name, version, sha512) for name, (version, sha512) in PACKAGES.items())
    PAGE.write_text(TEMPLATE.replace("SCRIPTS", scripts))
    print(PAGE.relative_to(Path.cwd()))


if __name__ == "__main__":
    main()
