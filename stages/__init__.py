"""One thin script for each stage of dvc.yaml, run from the project's folder: `python -m stages.download pneumonia`."""

import sys
from pathlib import Path

# A queued experiment must run the code of its own copy, not that of an installed package (treeverse/dvc#10419).
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
