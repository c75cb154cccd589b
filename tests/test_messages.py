"""docs/messages.md: what DVC and we say to the mistakes of a newcomer, word for word, before anything runs."""

import re
import shlex
import shutil

import pytest
from conftest import ROOT, run, toy_repository
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

from chest_transfer.errors import ChestTransferError
from chest_transfer.settings import read_settings

TEXT = (ROOT / "docs/messages.md").read_text()
OF_DVC, OURS = (
    re.findall(r"^\| `(-S [^|]*?)` \| `(.*?)` \|", section, re.MULTILINE)
    for section in TEXT.split("## What DVC says")[1].split("## What Chest Transfer says")
)


def test_there_are_thirty_mistakes():
    assert len(OF_DVC) + len(OURS) >= 30


@pytest.mark.parametrize(("typed", "message"), OURS, ids=[typed for typed, _ in OURS])
def test_a_setting_that_cannot_work_is_refused_with_what_is_allowed(tmp_path, typed, message):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    values = [word for word in shlex.split(typed) if word != "-S"]
    for sweep in get_hydra_sweeps(to_path_overrides(values)):
        apply_overrides(tmp_path / "params.yaml", sweep["params.yaml"])
    with pytest.raises(ChestTransferError) as error:
        read_settings(tmp_path / "params.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return toy_repository(tmp_path_factory.mktemp("messages"))


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "message"), OF_DVC, ids=[typed for typed, _ in OF_DVC])
def test_what_dvc_says_is_what_the_page_explains(repository, typed, message):
    done = run(repository, "dvc", "exp", "run", *shlex.split(typed), check=False)
    run(repository, "git", "checkout", "-q", ".")
    assert done.returncode
    assert message in done.stderr
    assert "Running stage" not in done.stdout


@pytest.mark.slow
def test_the_first_stage_refuses_and_no_other_one_runs(repository):
    done = run(repository, "dvc", "exp", "run", "-S", "image_size=16", check=False)
    run(repository, "git", "checkout", "-q", ".")
    assert "'image_size' should be greater than or equal to 32, received 16" in done.stderr
    assert re.findall("Running stage '(.*?)'", done.stdout) == ["code"]
    assert done.stderr.strip().splitlines()[-1].startswith("ERROR: failed to reproduce 'code'")
