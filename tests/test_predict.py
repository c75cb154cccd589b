"""Predicting: pictures from anywhere, models by name, one bad file does not stop the rest, no file runs code."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import dvc.api
import keras
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, TOY, all_recorded, commands, commit, encoded, make_zip, refused, run, toy_repository
from PIL import Image

from chest_transfer.data.archives import Archive
from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.listing import read_listing
from chest_transfer.data.predictions import read_predictions
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.operating_points import calibrated_probabilities
from chest_transfer.networks.facts import StartingFacts
from chest_transfer.networks.saving import save_model
from chest_transfer.serving.image_files import ImageFile, find_images
from chest_transfer.serving.models import model_file
from chest_transfer.serving.packing import pack
from chest_transfer.serving.predict_command import uncertainty
from chest_transfer.serving.predictor import COLOR, OUTSIDE, Prediction, Predictor
from chest_transfer.serving.untrusted import check_untrusted_model
from chest_transfer.training.determinism import make_deterministic


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A toy experiment with a remote, run, committed and pushed."""
    folder = toy_repository(tmp_path_factory.mktemp("predict"), **(TOY | {"phantom__patients": 100}))
    run(folder, "dvc", "remote", "add", "-d", "storage", str(folder.parent / "remote"))
    all_recorded(folder)
    run(folder, "dvc", "push")
    commit(folder, "A model")
    return folder


@pytest.fixture(scope="module")
def packed(repository) -> Path:
    """The packed file of a trained model."""
    path = repository.parent / "packed.keras"
    predictions = repository / "data/predictions/pneumonia/cnn/train-none-seed1-all"
    distribution = repository / "data/out_of_distribution/pneumonia.npz"
    network = repository / "models/pneumonia/cnn/train-none-seed1-all.keras"
    pack([network], [predictions / "val.csv"], distribution, path)
    return path


@pytest.fixture(scope="module")
def predictor(packed):
    make_deterministic(seed=1, threads=2)
    return Predictor(packed)


@pytest.fixture(scope="module")
def members(repository) -> dict[str, bytes]:
    """Name -> bytes of the test radiographs, as they are in the archive."""
    with Archive(repository / "data/raw/pneumonia.zip") as archive:
        listing = read_listing(dataset_named("pneumonia").layout, archive)
        test = [radiograph for radiograph in listing.radiographs if radiograph.split == "test"]
        return {radiograph.name: archive.read(radiograph.member) for radiograph in test}


def test_the_most_uncertain_predictions_come_first():
    def predicted(*probabilities):
        return Prediction("a.png", probabilities=dict(zip("abc", probabilities, strict=False)))

    assert uncertainty(predicted(0.5, 0.5), multi_label=False) == pytest.approx(1)
    assert uncertainty(predicted(1.0, 0.0), multi_label=False) == 0
    exclusive = [predicted(0.98, 0.01, 0.01), predicted(0.5, 0.3, 0.2), predicted(0.34, 0.33, 0.33)]
    values = [uncertainty(one, multi_label=False) for one in exclusive]
    assert values == sorted(values)
    assert uncertainty(predicted(0.5, 0.5, 0.01), multi_label=True) > uncertainty(predicted(0.1, 0.1, 0.5), True)
    assert uncertainty(Prediction("b.png", error="broken"), multi_label=False) == -1


def test_the_command_ranks_them(repository):
    words = "predict", "pneumonia/train-none", "data/raw/pneumonia.zip", "--csv"
    listed, ranked = (
        pd.read_csv(io.StringIO(text)) for text in commands(repository, words, (*words, "--rank", "uncertain"))
    )
    assert sorted(listed["name"]) == sorted(ranked["name"])
    distance = (ranked["p:PNEUMONIA"] - 0.5).abs()
    assert distance.diff().min() > -2e-6  # but for the last digit


def command(folder, *words, check=True, **environment):
    return run(folder, "python", "-m", "chest_transfer.cli", *words, check=check, PYTHONPATH=str(ROOT / "src"),
               XDG_CACHE_HOME=str(folder.parent / "cache"), **environment)  # fmt: skip


def predicted(folder, *arguments_of) -> list[str]:
    """Run `predict` with some lists of arguments, and return what it printed for each."""
    cache = str(folder.parent / "cache")
    return commands(folder, *(("predict", *arguments) for arguments in arguments_of), XDG_CACHE_HOME=cache)


def test_predictions_for_files_are_those_that_were_scored(predictor, members, repository):
    table = read_predictions(repository / "data/predictions/pneumonia/cnn/train-none-seed1-all/test.csv")
    predictions = list(predictor.predict(ImageFile(name, members[name]) for name in table.names))
    arrays = open_arrays(repository / "data/arrays/pneumonia/test.npz")
    assert all((one.pixels == image).all() for one, image in zip(predictions, arrays.images, strict=True))
    probabilities = np.array([list(prediction.probabilities.values()) for prediction in predictions])
    scored = calibrated_probabilities(table.logits, predictor.facts.temperature, multi_label=False)
    assert probabilities == pytest.approx(scored, abs=1e-5)
    detail = json.loads((repository / "metrics/detail/pneumonia.json").read_text())["train"]["none"]
    predicted = np.array(["PNEUMONIA" in prediction.labels for prediction in predictions])
    sensitivity = predicted[table.labels[:, 1] == 1].mean()
    assert sensitivity == pytest.approx(detail["sensitivity"], abs=1e-6)
    assert predictor.threshold == pytest.approx(detail["threshold"], abs=1e-5)


def test_the_model_at_another_operating_point_is_loaded_once(predictor, members):
    other = predictor.at("sensitivity 0.95")
    assert other.network is predictor.network
    predictions = list(other.predict(ImageFile(name, content) for name, content in members.items()))
    other.heat_maps(predictions[:1], ["PNEUMONIA"])
    assert predictor.at("youden")._loaded.heat_maps is other._loaded.heat_maps
    assert (predictor.operating_point, other.operating_point) == ("youden", "sensitivity 0.95")
    assert other.threshold == predictor.facts.thresholds["sensitivity 0.95"][1]


def test_one_bad_file_does_not_stop_the_rest(predictor, members):
    good = next(iter(members.values()))
    files = [
        ImageFile("a", good),
        ImageFile("b", b"no picture"),
        ImageFile("c", None, "gone"),
        ImageFile("d", good[:-40]),
    ]
    predictions = list(predictor.predict([*files, ImageFile("e", good)]))
    assert [bool(prediction.error) for prediction in predictions] == [False, True, True, True, False]
    assert predictions[2].error == "gone"
    assert predictions[0].probabilities == pytest.approx(predictions[4].probabilities, abs=1e-6)


def test_predictions_for_other_pictures_than_such_radiographs_have_cautions(predictor, members):
    pixels = np.asarray(Image.open(io.BytesIO(next(iter(members.values())))).convert("L"))
    photograph = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    negative, turned, photo = predictor.predict([
        ImageFile("negative", encoded(255 - pixels)), ImageFile("turned", encoded(np.rot90(pixels))),
        ImageFile("photograph", encoded(photograph)),
    ])  # fmt: skip
    assert OUTSIDE in negative.cautions
    assert OUTSIDE in turned.cautions
    assert COLOR in photo.cautions


def test_pictures_are_found_in_files_folders_patterns_and_archives(tmp_path):
    png = encoded(np.full((8, 8), 9, np.uint8))
    for name in ("b.png", "a.jpg", "inner/c.PNG", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png)
    make_zip(tmp_path / "z.zip", {"x/1.png": png, "x/readme.md": "text"})

    def names(place):
        return [picture.name.removeprefix(f"{tmp_path}/") for picture in find_images([str(place)])]

    assert names(tmp_path) == ["a.jpg", "b.png", "inner/c.PNG"]
    assert names(tmp_path / "*.png") == ["b.png"]
    assert names(tmp_path / "z.zip") == ["z.zip/x/1.png"]
    assert names(tmp_path / "b.png") == ["b.png"]
    (absent,) = find_images([str(tmp_path / "absent.png")])
    assert absent.content is None
    assert "no picture there" in absent.reason


def test_the_command_prints_a_table_json_or_csv_and_writes_heat_maps(repository, members, tmp_path):
    for number, content in enumerate(list(members.values())[:3]):
        (tmp_path / f"{number}.jpeg").write_bytes(content)
    table, from_json, from_csv = predicted(
        repository,
        ("pneumonia/train-none", str(tmp_path), "--heatmap", str(tmp_path / "heat")),
        ("pneumonia/cnn/train-none", str(tmp_path / "0.jpeg"), "--json"),
        ("pneumonia/train-none", str(tmp_path / "0.jpeg"), "--csv"),
    )
    assert "chosen on validation" in table
    assert "not a medical device" in table
    heat_maps = sorted((tmp_path / "heat").glob("*.png"))
    assert [path.name[:6] for path in heat_maps] == ["0001-0", "0002-1", "0003-2"]
    with Image.open(heat_maps[0]) as picture:
        assert picture.size == (32, 32)
    probability = json.loads(from_json)["predictions"][0]["probabilities"]["PNEUMONIA"]
    assert probability == pytest.approx(pd.read_csv(io.StringIO(from_csv))["p:PNEUMONIA"][0], abs=1e-6)


def test_the_exit_code_is_2_if_a_file_could_not_be_read(repository, members, tmp_path):
    (tmp_path / "good.jpeg").write_bytes(next(iter(members.values())))
    (tmp_path / "bad.png").write_bytes(b"nothing")
    done = command(repository, "predict", "pneumonia", str(tmp_path), check=False)
    assert done.returncode == 2
    assert "error: broken" in done.stdout
    assert "PNEUMONIA" in done.stdout or "NORMAL" in done.stdout


def test_a_fresh_clone_pulls_a_model_of_this_or_another_revision(repository, members, tmp_path):
    run(tmp_path, "git", "clone", "-q", str(repository), "clone")
    (tmp_path / "one.jpeg").write_bytes(next(iter(members.values())))
    names = ["pneumonia/train-none"], ["--rev", "HEAD", "pneumonia/cnn/train-none"]
    printed = predicted(tmp_path / "clone", *((*words, "../one.jpeg", "--json") for words in names))
    predictions = [json.loads(output)["predictions"][0] for output in printed]
    assert predictions[0]["probabilities"] == predictions[1]["probabilities"]
    assert not (tmp_path / "clone/models/pneumonia").exists()


def test_a_project_in_a_folder_of_a_larger_repository_finds_its_revisions(repository, members, tmp_path):
    larger = tmp_path / "larger"
    run(tmp_path, "git", "clone", "-q", str(repository), "larger/projects/chest")
    project = larger / "projects/chest"
    shutil.rmtree(project / ".git")
    run(project, "dvc", "remote", "modify", "storage", "url", str(repository.parent / "remote"))
    run(larger, "git", "init", "-q")
    commit(larger, "Everything")
    (project / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")  # what this folder has does not matter
    (tmp_path / "one.jpeg").write_bytes(next(iter(members.values())))
    arguments = str(tmp_path / "one.jpeg"), "--rev", "HEAD", "--json"
    for output in predicted(project, ("pneumonia", *arguments), ("pneumonia/train-none", *arguments)):
        assert json.loads(output)["predictions"][0]["probabilities"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"\x89HDF\r\n\x1a\n", "an HDF5 file"), (b"%PDF-1.4", "a PDF document"), (b"x", "File is not a zip file")],
)
def test_a_file_that_is_no_model_is_named(tmp_path, content, kind):
    (tmp_path / "model.h5").write_bytes(content)
    with pytest.raises(ChestTransferError, match=rf"no saved model of this project \({kind}.*\); give a .keras file"):
        check_untrusted_model(tmp_path / "model.h5")


def test_the_best_model_is_fetched_as_one_file_at_a_git_tag(repository, tmp_path):
    run(repository, "git", "tag", "-a", "pneumonia-v1.0.0", "-m", "First model")
    run(tmp_path, "git", "clone", "-q", str(repository), "clone")
    clone, path = str(tmp_path / "clone"), "models/best/pneumonia.keras"
    run(tmp_path, "dvc", "get", clone, path, "--rev", "pneumonia-v1.0.0", "--out", "tagged.keras")
    run(tmp_path, "dvc", "get", clone, path, "--out", "latest.keras")
    opened = dvc.api.read(path, repo=clone, rev="pneumonia-v1.0.0", mode="rb")
    best = (repository / path).read_bytes()
    copies = [(tmp_path / f"{name}.keras").read_bytes() for name in ("tagged", "latest")]
    assert [*copies, opened] == [best] * 3
    detail = json.loads((repository / "metrics/detail/pneumonia.json").read_text())
    facts = Predictor(tmp_path / "tagged.keras").facts
    areas = {regime: scores["none"]["validation_auc"] for regime, scores in detail.items()}
    assert areas[facts.regime] == max(areas.values())


def test_models_other_than_the_best_are_packed_by_name(repository, packed, tmp_path, monkeypatch):
    monkeypatch.chdir(repository)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    names = ("pneumonia/train-none", "pneumonia/cnn/train-none", "models/pneumonia/cnn/train-none-seed1-all.keras")
    [path] = {model_file(name) for name in names}
    assert path.is_relative_to(tmp_path)
    assert path.read_bytes() == packed.read_bytes()
    assert Predictor(model_file("pneumonia/probe-none")).facts.regime == "probe"
    best = model_file("pneumonia")
    assert best == Path("models/best/pneumonia.keras")
    assert best.read_bytes() == model_file(f"pneumonia/{Predictor(best).facts.regime}-none").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pneumonia/trian-none"], "did you mean 'pneumonia/cnn/train-none'"),
        (["covid"], "unknown model 'covid'"),
        (["--rev", "nowhere", "pneumonia"], "revision 'nowhere'"),
        (["--operating-point", "best", "pneumonia/train-none"], "no operating point 'best'"),
    ],
)
def test_a_wrong_name_is_reported_in_one_line(repository, words, message):
    assert message in refused(command(repository, "predict", *words, "x.png", check=False))


def test_a_network_that_is_not_packed_is_refused_in_one_line(repository, tmp_path):
    shutil.copyfile(repository / "models/pneumonia/cnn/train-none-seed1-all.keras", tmp_path / "network.keras")
    message = refused(command(repository, "predict", str(tmp_path / "network.keras"), "x.png", check=False))
    assert "network.keras' is not such a model, or of another version: temperature: Field required" in message


def test_a_file_that_lacks_facts_or_arrays_is_refused(repository, packed, members, tmp_path):
    with pytest.raises(ChestTransferError, match=r"another version: dataset: Field required; run: dvc repro"):
        Predictor(repository / "models/pretrained/cnn/none.keras")
    incomplete = tmp_path / "incomplete.keras"
    shutil.copyfile(packed, incomplete)

    def remove_an_array(content):
        del content["out_of_distribution_mean.npy"]

    def remove_the_thresholds(content):
        facts = json.loads(content["facts.json"])
        del facts["thresholds"]
        content["facts.json"] = json.dumps(facts)

    rewrite(incomplete, remove_an_array)
    with pytest.raises(ChestTransferError, match="holds no array 'out_of_distribution_mean'"):
        list(Predictor(incomplete).predict([ImageFile("a", next(iter(members.values())))]))
    rewrite(incomplete, remove_the_thresholds)
    with pytest.raises(ChestTransferError, match=r"another version: thresholds: Field required; run: dvc repro"):
        Predictor(incomplete)


def test_a_flipped_byte_in_a_model_file_is_noticed(packed, tmp_path):
    damaged = tmp_path / "damaged.keras"
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(content)
    with pytest.raises(ChestTransferError, match="is damaged, or not a model of this project"):
        Predictor(damaged).network  # noqa: B018 - loads it


FACTS = StartingFacts(
    backbone="unknown", weights="none", weights_sha256=None, image_size=4, precision="float32", preprocessing="none"
)


def saved_with(tmp_path, layer) -> Path:
    inputs = keras.Input((4,))
    path = tmp_path / "untrusted.keras"
    save_model(keras.Model(inputs, layer(inputs)), path, FACTS)
    return path


def rewrite(path, change) -> None:
    """Change a model file's members: name -> bytes."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    make_zip(path, members)


def test_a_lambda_layer_is_refused_before_anything_is_built(tmp_path):
    path = saved_with(tmp_path, keras.layers.Lambda(lambda x: x + 1))
    with pytest.raises(ChestTransferError, match=r"Lambda.*could run code"):
        check_untrusted_model(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"module": "keras.layers"', '"module": "os"'), ('"class_name": "Dense"', '"class_name": "TFSMLayer"'),
     ('"registered_name": null', '"registered_name": "package>Own"')],
)  # fmt: skip
def test_classes_from_other_modules_are_refused(tmp_path, old, new):
    path = saved_with(tmp_path, keras.layers.Dense(2))
    check_untrusted_model(path)

    def change(members):
        assert old in members["config.json"].decode()
        members["config.json"] = members["config.json"].decode().replace(old, new).encode()

    rewrite(path, change)
    with pytest.raises(ChestTransferError, match="could run code"):
        check_untrusted_model(path)


def test_other_members_and_other_files_are_refused(tmp_path):
    path = saved_with(tmp_path, keras.layers.Dense(2))
    rewrite(path, lambda members: members.update({"payload.pkl": b"cos\nsystem\n"}))
    with pytest.raises(ChestTransferError, match=r"payload\.pkl"):
        check_untrusted_model(path)
    (tmp_path / "old.h5").write_bytes(b"\x89HDF")
    with pytest.raises(ChestTransferError, match="no saved model of this project"):
        check_untrusted_model(tmp_path / "old.h5")
