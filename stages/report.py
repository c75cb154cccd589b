"""report: the experiment as one page that opens anywhere, report/index.html; report/report.md; report/cards/*.md."""

from chest_transfer.errors import run
from chest_transfer.reporting.writing import write_report
from chest_transfer.settings import read_settings


def main() -> None:
    settings = read_settings()
    for path in write_report(settings):
        print(path)


if __name__ == "__main__":
    run(main)
