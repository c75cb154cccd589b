"""report: the experiment as one page that opens anywhere, report/index.html; report/report.md; report/cards/*.md."""

from pathlib import Path

from chest_transfer.errors import run_stage
from chest_transfer.files import keep_only
from chest_transfer.reporting.writing import write_report
from chest_transfer.settings import read_settings

PICTURES, HEAT_MAPS = Path("data/pictures"), Path("data/heat_maps")


def main() -> None:
    settings = read_settings()
    keep_only(PICTURES, [PICTURES / dataset for dataset in settings.datasets])
    keep_only(HEAT_MAPS, [HEAT_MAPS / dataset for dataset in settings.datasets])
    for dataset in settings.datasets:
        keep_only(HEAT_MAPS / dataset, [HEAT_MAPS / dataset / settings.model])
    for path in write_report(settings):
        print(path)


if __name__ == "__main__":
    run_stage(main)
