"""Names of models: which fit is meant, and which one stands for several."""

import pytest

from chest_transfer.errors import ChestTransferError
from chest_transfer.model_names import ModelName, first_of_each, with_most_patients
from chest_transfer.serving.models import fits_of_name


def test_the_headline_is_of_the_most_patients_and_heat_maps_are_of_the_first_seed():
    names = [
        ModelName("covid", "cnn", regime, "none", seed, patients)
        for regime in ("probe", "train")
        for patients in (50, 200)
        for seed in (3, 1)
    ]
    assert {name.fit for name in with_most_patients(names)} == {"seed3-200", "seed1-200"}
    assert [str(name) for name in first_of_each(names)] == [
        "covid/cnn/probe-none-seed3-200", "covid/cnn/train-none-seed3-200"
    ]  # fmt: skip
    with_all = [*names, ModelName("covid", "cnn", "train", "none", 3), ModelName("covid", "cnn", "as_is", "nih", 3)]
    assert [name.fit for name in with_most_patients(with_all)] == ["seed3-all", "seed3-all"]
    assert all(ModelName.parse(str(name)) == name for name in with_all)


@pytest.mark.parametrize(
    "text", ["covid/cnn/train-none", "covid/cnn/trian-none-seed1-all", "covid/cnn/train-none-1-all"]
)
def test_another_form_is_refused(text):
    with pytest.raises(ChestTransferError, match=r"unknown model .*<dataset>/<backbone>/train-<start>-seed<seed>-"):
        ModelName.parse(text)


# dvc.lock keeps the models of all experiments, also those from before seeds were part of their names.
OUTPUTS = [
    f"models/covid/cnn/train-none{fit}.keras" for fit in ("", "-seed0-all", "-seed1-50", "-seed2-50", "-seed3-all")
]


@pytest.mark.parametrize(
    ("seeds", "patients", "name", "fit"),
    [
        ("[2, 1]", "[50]", "covid/train-none", "seed2-50"),  # the first seed of the settings
        ("[1, 2, 3]", "[50, all]", "covid/cnn/train-none", "seed3-all"),  # with the most patients
        ("[9]", "[all]", "covid/cnn/train-none", "seed0-all"),  # none is of the settings: the lowest seed
        ("[9]", "[all]", "covid/cnn/train-none-seed1-50", "seed1-50"),
    ],
)
def test_a_name_without_seed_and_patients_means_the_fit_that_the_settings_ask_for(
    tmp_path, monkeypatch, seeds, patients, name, fit
):
    (tmp_path / "params.yaml").write_text(f"model: cnn\nseeds: {seeds}\npatients: {patients}\n")
    monkeypatch.chdir(tmp_path)
    assert fits_of_name(name, dict.fromkeys(OUTPUTS, "0" * 32), None)[1][0].fit == fit


def test_a_model_from_before_seeds_were_part_of_its_name_is_refused(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text("model: cnn\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ChestTransferError, match="'covid/cnn/train-none' was made by an earlier version, which had one"
    ):
        fits_of_name("covid/train-none", {OUTPUTS[0]: "0" * 32}, None)
