"""`from chest_transfer import Model`: the predictions of the command as a table."""

import io
import json

import pandas as pd
import pytest
from conftest import ROOT, run

import chest_transfer
from chest_transfer import Model
from chest_transfer.errors import ChestTransferError

PATH, NAME = "data/raw/pneumonia.zip", "pneumonia/cnn/train-none-seed1-all"


def test_it_predicts_what_the_command_predicts(evaluated, monkeypatch):
    monkeypatch.chdir(evaluated)
    model = Model(NAME)
    table = model.predict([PATH])
    printed = run(evaluated, "chest-transfer", "predict", NAME, PATH, "--csv", PYTHONPATH=str(ROOT / "src"))
    of_command = pd.read_csv(io.StringIO(printed.stdout), keep_default_na=False)
    assert table["name"].tolist() == of_command["name"].tolist()
    assert table["answer"].tolist() == of_command["answer"].tolist()
    assert table["predicted"].tolist() == of_command["predicted"].tolist()
    assert table["PNEUMONIA"].to_numpy() == pytest.approx(of_command["p:PNEUMONIA"].to_numpy(), abs=1e-5)
    assert of_command["threshold:PNEUMONIA"].unique() == pytest.approx([model.threshold], abs=1e-6)
    assert of_command["operating_point"].unique().tolist() == ["youden"]
    assert of_command["trained_on"].unique().tolist() == ["simulated patients"]
    assert model.facts["simulated"]
    assert model.classes == ["NORMAL", "PNEUMONIA"]


def test_a_file_that_cannot_be_read_has_a_row_with_the_reason(evaluated, monkeypatch, tmp_path):
    monkeypatch.chdir(evaluated)
    (tmp_path / "broken.png").write_bytes(b"no image")
    table = Model(NAME).predict(tmp_path / "broken.png")
    assert table["error"][0].startswith("broken: not an image")
    assert pd.isna(table["PNEUMONIA"][0])
    assert table["answer"][0] == ""


def test_a_model_that_is_not_there_is_an_error(evaluated, monkeypatch):
    monkeypatch.chdir(evaluated)
    with pytest.raises(ChestTransferError, match="by which models are found; run from"):
        Model("covid")
    with pytest.raises(AttributeError, match="has no attribute 'Modle'"):
        chest_transfer.Modle  # noqa: B018


def test_importing_the_package_loads_neither_tensorflow_nor_the_model_code(evaluated):
    program = "import sys, chest_transfer, json; print(json.dumps([name for name in sys.modules]))"
    loaded = json.loads(run(ROOT, "python", "-c", program, PYTHONPATH=str(ROOT / "src")).stdout)
    assert not {"tensorflow", "keras", "chest_transfer.serving"} & set(loaded)
