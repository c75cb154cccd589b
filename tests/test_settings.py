"""params.yaml: typed, frozen, and refused in one line that names the key, what is allowed and the nearest name."""

import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

import pydantic
import pytest
from conftest import ROOT, change_settings, refused, run, stage

from chest_transfer.data.regions import OUTSIDE_LUNGS, REGIONS
from chest_transfer.data.squares import SQUARE_FITS
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.grad_cam import METHODS
from chest_transfer.evaluation.operating_points import OPERATING_POINTS
from chest_transfer.model_names import REGIMES, TRANSFERRED
from chest_transfer.networks.backbones import BACKBONES, PRECISIONS, PREPROCESSING
from chest_transfer.networks.heads import HEADS
from chest_transfer.settings import Section, Settings, read_settings
from chest_transfer.training.losses import IMBALANCES
from chest_transfer.training.schedules import SCHEDULES
from chest_transfer.yaml_files import read_yaml

FITS = ("pretrain", "probe", "finetune", "train", "transfer")  # sections that train a network
# Every setting with a list of allowed values -> where the code that uses it has them.
REGISTRIES = {
    "precision": PRECISIONS,
    "preprocess.fit": SQUARE_FITS,
    "preprocess.region": REGIONS,
    "preprocess.outside_lungs": OUTSIDE_LUNGS,
    "preprocess.splits": ("archive", "pooled"),  # without a registry, like `own.uncertain`: conditions in code
    "preprocess.duplicates": ("keep", "drop"),
    "own.uncertain": ("ignore", "positive", "negative"),
    "own.empty": ("ignore", "positive", "negative"),
    "own.rows": ("one", "any", "majority"),
    "transfer.regime": [regime for regime in REGIMES if regime not in TRANSFERRED],
    "evaluate.operating_point": OPERATING_POINTS,
    "explain.method": METHODS,
    "weights_files.preprocessing": PREPROCESSING,
    **{f"{section}.schedule": SCHEDULES for section in FITS},
    **{f"{section}.imbalance": IMBALANCES for section in FITS},
}
SETTINGS_FILES = [ROOT / "params.yaml", *sorted(ROOT.glob("presets/*.yaml"))]


def test_the_settings_of_the_project_are_valid_and_frozen():
    settings = read_settings(ROOT / "params.yaml")
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        settings.seeds = (2,)


def choices(section: type[Section], prefix: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each setting with a list of allowed values, and these."""
    for name, field in section.model_fields.items():
        yield from choices_of_annotation(field.annotation, prefix + name)


def choices_of_annotation(annotation: Any, key: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    if get_origin(annotation) is Literal:
        yield key, get_args(annotation)
    elif isinstance(annotation, type) and issubclass(annotation, Section):
        yield from choices(annotation, f"{key}.")
    elif get_origin(annotation) is dict:
        yield from choices_of_annotation(get_args(annotation)[1], key)
    elif get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from choices_of_annotation(member, key)


def test_lists_of_allowed_values_are_those_of_the_code_that_uses_them():
    assert dict(choices(Settings)) == {key: tuple(names) for key, names in REGISTRIES.items()}


def assert_equal_but_for_types(read: Any, content: Any, key: str = "") -> None:
    """Compare settings with the content of their file; lists may have become tuples, and integers floats."""
    if isinstance(content, dict):
        assert type(read) is dict, key
        assert read.keys() == content.keys(), key
        for name in content:
            assert_equal_but_for_types(read[name], content[name], f"{key}.{name}")
    elif isinstance(content, list):
        assert type(read) is tuple, key
        assert len(read) == len(content), key
        for value, original in zip(read, content, strict=True):
            assert_equal_but_for_types(value, original, key)
    else:
        assert read == content, key
        assert type(read) is type(content) or (type(read) is float and type(content) is int), key


@pytest.mark.parametrize("path", SETTINGS_FILES, ids=lambda path: path.stem)
def test_reading_settings_changes_no_value(path):
    """Reading checks values and changes none, but for tuples in place of lists and floats in place of integers.

    On that ground `settings.py` is not part of the fingerprint of a stage's code (`source_code.NOT_FOLLOWED`): DVC
    tracks the values that a stage reads in params.yaml, and an edit of `settings.py` cannot change what they are.
    """
    assert_equal_but_for_types(read_settings(path).model_dump(exclude_unset=True), read_yaml(path))


def test_reading_settings_changes_no_value_of_any_setting(project):
    """As above, for integers where floats are expected, for optional keys, and for files of weights."""
    own = {"path": "weights.h5", "preprocessing": "tf"}
    change_settings(
        project / "params.yaml", weights_files={"own": own}, weights=["own", "none"], train__learning_rate=1,
        train__augmentation__rotation=180,
        architectures__mobilenetv2__alpha=1, sources={"pneumonia": "a.zip"},
    )  # fmt: skip
    settings = read_settings(project / "params.yaml")
    assert_equal_but_for_types(settings.model_dump(exclude_unset=True), read_yaml(project / "params.yaml"))
    assert (settings.train.learning_rate, type(settings.train.learning_rate)) == (1.0, float)


def test_the_only_default_is_that_of_a_setting_that_most_backbones_do_not_have():
    settings = read_settings(ROOT / "params.yaml")
    added = settings.model_dump()
    for name, architecture in settings.architectures.items():
        if "alpha" not in architecture.model_fields_set:
            assert added["architectures"][name].pop("alpha") is None
    assert added == settings.model_dump(exclude_unset=True)


def test_every_backbone_has_settings_and_a_head_that_exists():
    architectures = read_settings(ROOT / "params.yaml").architectures
    assert list(architectures) == list(BACKBONES)
    assert {architecture.head for architecture in architectures.values()} <= set(HEADS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train__epochs": "10"}, "'train.epochs' should be a valid integer, received '10'"),
        ({"train__epochs": 1.5}, "'train.epochs' should be a valid integer"),
        ({"seeds": [True]}, "'seeds.0' should be a valid integer, received True"),
        ({"seeds": [1, 1]}, "'seeds' in params.yaml has an entry twice: 1, 1"),
        ({"seed": 3}, "unknown key 'seed', did you mean 'seeds'?"),
        ({"patients": ["some"]}, "'patients.0' should be all, or a number of patients from 2 to 1000000, received 's"),
        ({"patients": [1, "all"]}, "'patients.0' should be all, or a number of patients from 2 to 1000000, received 1"),
        (
            {"patients": [50], "datasets": ["pneumonia", "tuberculosis"], "transfer__sources": ["tuberculosis"]},
            "transfer starts from models of all training patients, which `patients` does not name (received: 50)",
        ),
        ({"train__learning_rate": 5}, "'train.learning_rate' should be less than or equal to 1, received 5"),
        ({"train__learning_rate": float("nan")}, "'train.learning_rate' should be"),
        ({"train__epocs": 3}, "unknown key 'train.epocs', did you mean 'epochs'? (allowed: epochs, patience"),
        ({"seeeds": 3}, "unknown key 'seeeds', did you mean 'seeds'?"),
        ({"train__augmentation__zoon": 0.1}, "unknown key 'train.augmentation.zoon', did you mean 'zoom'?"),
        ({"architectures__cnn__hed": "linear"}, "unknown key 'architectures.cnn.hed', did you mean 'head'?"),
        ({"preprocess__outside_lungs": "black"}, "is black (allowed with whole radiographs: keep); run: dvc exp"),
        ({"preprocess__fit": "sqeeze"}, "should be 'squeeze', 'pad' or 'crop', received 'sqeeze'"),
        ({"image_size": 8}, "'image_size' should be greater than or equal to 32, received 8"),
        ({"datasets": "pneumonia"}, "'datasets' should be a list"),
        ({"datasets": []}, "'datasets' should"),
        ({"model": "resnet5"}, "unknown model 'resnet5'; did you mean 'resnet50'? (allowed: cnn,"),
        ({"weights": ["imagnet"]}, "unknown weights 'imagnet'; did you mean 'imagenet'? (allowed: none, statist"),
        ({"weights": ["none", "none"]}, "has an entry twice"),
        ({"weights": ["phantom"]}, "train.weights names 'none', which is not among the starting weights (allowed: ph"),
    ],
)  # fmt: skip
def test_the_error_names_the_key_the_value_and_what_is_allowed(project, change, message):
    change_settings(project / "params.yaml", **change)
    with pytest.raises(ChestTransferError) as error:
        read_settings(project / "params.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_key_a_missing_file_and_a_file_that_is_not_yaml_are_errors_of_one_line(tmp_path):
    (tmp_path / "a.yaml").write_text("model: cnn\n")
    (tmp_path / "b.yaml").write_text("model: [cnn\nseed: 1\n")
    (tmp_path / "twice.yaml").write_text("seed: 1\nseed: 2\n")
    for name, message in (
        ("a.yaml", "key 'datasets' is missing"),
        ("b.yaml", "is not YAML"),
        ("twice.yaml", "is not YAML: .*found a key twice"),
        ("c.yaml", "no settings at"),
    ):
        with pytest.raises(ChestTransferError, match=message) as error:
            read_settings(tmp_path / name)
        assert "\n" not in str(error.value)


def test_a_learning_rate_that_dvc_writes_as_3e_05_is_read_as_a_float(project):
    # What `dvc exp run -S train.learning_rate=3e-5` does to the file.
    text = (project / "params.yaml").read_text()
    assert "learning_rate: 0.001" in text
    (project / "params.yaml").write_text(text.replace("learning_rate: 0.001", "learning_rate: 3e-05"))
    assert read_settings(project / "params.yaml").train.learning_rate == 3e-5


def test_a_stage_refuses_bad_settings_with_exit_code_1(project):
    change_settings(project / "params.yaml", train__epochs=0)
    assert "'train.epochs'" in refused(stage(project, "download", "pneumonia", check=False))
    assert not (project / "data").exists()


def test_help_names_the_targets():
    assert "make repro" in run(ROOT, "make", "help").stdout
