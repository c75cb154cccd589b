"""params.yaml: typed, frozen, and refused in one line that names the key, what is allowed and the nearest name."""

from typing import get_args

import pydantic
import pytest
from conftest import ROOT, change_settings, refused, run, stage

from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.grad_cam import METHODS
from chest_transfer.networks.backbones import BACKBONES
from chest_transfer.networks.heads import HEADS
from chest_transfer.settings import Settings, read_settings
from chest_transfer.training.operating import OPERATING_POINTS


def test_the_shipped_settings_are_valid_and_frozen():
    settings = read_settings(ROOT / "params.yaml")
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        settings.seed = 2


def test_operating_points_and_methods_are_those_that_the_code_has():
    fields = {section: Settings.model_fields[section].annotation.model_fields for section in ("evaluate", "explain")}
    assert get_args(fields["evaluate"]["operating_point"].annotation) == OPERATING_POINTS
    assert get_args(fields["explain"]["method"].annotation) == METHODS


def test_every_backbone_has_settings_and_a_head_that_exists():
    architectures = read_settings(ROOT / "params.yaml").architectures
    assert list(architectures) == list(BACKBONES)
    assert {architecture.head for architecture in architectures.values()} <= set(HEADS)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"train__epochs": "10"}, "'train.epochs' should be a valid integer, received '10'"),
        ({"train__epochs": 1.5}, "'train.epochs' should be a valid integer"),
        ({"seed": True}, "'seed' should be a valid integer, received True"),
        ({"train__learning_rate": 5}, "'train.learning_rate' should be less than or equal to 1, received 5"),
        ({"train__learning_rate": float("nan")}, "'train.learning_rate' should be"),
        ({"train__epocs": 3}, "unknown key 'train.epocs', did you mean 'epochs'? (allowed: epochs, patience"),
        ({"seeed": 3}, "unknown key 'seeed', did you mean 'seed'?"),
        ({"train__augmentation__zoon": 0.1}, "unknown key 'train.augmentation.zoon', did you mean 'zoom'?"),
        ({"architectures__cnn__hed": "linear"}, "unknown key 'architectures.cnn.hed', did you mean 'head'?"),
        ({"preprocess__fit": "sqeeze"}, "should be 'squeeze', 'pad' or 'crop', received 'sqeeze'"),
        ({"image_size": 8}, "'image_size' should be greater than or equal to 32, received 8"),
        ({"datasets": "pneumonia"}, "'datasets' should be a list"),
        ({"datasets": []}, "'datasets' should"),
        ({"model": "resnet5"}, "unknown model 'resnet5'; did you mean 'resnet50'? (allowed: cnn,"),
        ({"weights": ["imagnet"]}, "unknown weights 'imagnet'; did you mean 'imagenet'? (allowed: none, phantom,"),
        ({"weights": ["none", "none"]}, "names one twice"),
        ({"weights": ["phantom"]}, "train.weights names 'none', which is not among the starting points (allowed: ph"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(project, change, told):
    change_settings(project / "params.yaml", **change)
    with pytest.raises(ChestTransferError) as error:
        read_settings(project / "params.yaml")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_key_and_a_file_that_is_no_yaml_are_told_in_one_line(tmp_path):
    (tmp_path / "a.yaml").write_text("model: cnn\n")
    (tmp_path / "b.yaml").write_text("model: [cnn\nseed: 1\n")
    for name, told in (
        ("a.yaml", "key 'datasets' is missing"),
        ("b.yaml", "is not YAML"),
        ("c.yaml", "no settings at"),
    ):
        with pytest.raises(ChestTransferError, match=told) as error:
            read_settings(tmp_path / name)
        assert "\n" not in str(error.value)


def test_a_rate_that_dvc_writes_as_3e_05_arrives_as_a_float(project):
    # What `dvc exp run -S train.learning_rate=3e-5` does to the file.
    text = (project / "params.yaml").read_text().replace("learning_rate: 0.001", "learning_rate: 3e-05")
    (project / "params.yaml").write_text(text)
    assert read_settings(project / "params.yaml").train.learning_rate == 3e-5


def test_a_stage_refuses_bad_settings_with_exit_code_1(project):
    change_settings(project / "params.yaml", train__epochs=0)
    assert "'train.epochs'" in refused(stage(project, "download", "pneumonia", check=False))
    assert not (project / "data").exists()


def test_help_names_the_targets():
    assert "make repro" in run(ROOT, "make", "help").stdout
