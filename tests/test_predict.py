"""Predicting: any place with pictures, one bad file apart, models by name, and no code from a stranger's file."""

import io
import json
import shutil
import zipfile

import dvc.api
import keras
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, TOY, all_recorded, commit, encoded, make_zip, refused, run, toy_repository
from PIL import Image

from chest_transfer.data.archives import Archive
from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.predictions import read_predictions
from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.saving import save_model
from chest_transfer.serving.pictures import Picture, pictures
from chest_transfer.serving.predicting import COLOURED, OUTSIDE, Predictor
from chest_transfer.serving.untrusted import refuse_code
from chest_transfer.training.determinism import pin


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
def predictor(repository):
    pin(seed=1, threads=2)
    return Predictor(repository / "models/pneumonia/cnn/train-none.keras")


@pytest.fixture(scope="module")
def members(repository) -> dict[str, bytes]:
    """Name -> bytes of the test radiographs, as they are in the archive."""
    with Archive(repository / "data/raw/pneumonia.zip") as archive:
        listing = dataset_named("pneumonia").layout.read(archive)
        return {one.name: archive.read(one.member) for one in listing.radiographs if one.split == "test"}


def command(folder, *words, check=True, **environment):
    return run(folder, "python", "-m", "chest_transfer.cli", *words, check=check, PYTHONPATH=str(ROOT / "src"),
               XDG_CACHE_HOME=str(folder.parent / "cache"), **environment)  # fmt: skip


def test_a_file_is_read_as_its_dataset_was_and_answered_as_it_was_scored(predictor, members, repository):
    table = read_predictions(repository / "data/predictions/pneumonia/cnn/train-none/test.csv")
    told = list(predictor.predict(Picture(name, members[name]) for name in table.names))
    arrays = open_arrays(repository / "data/arrays/pneumonia/test.npz")
    assert all((one.pixels == image).all() for one, image in zip(told, arrays.images, strict=True))
    detail = json.loads((repository / "metrics/detail/pneumonia.json").read_text())["train"]["none"]
    called = np.array(["PNEUMONIA" in one.called for one in told])
    sensitivity = called[table.truth[:, 1] == 1].mean()
    assert sensitivity == pytest.approx(detail["sensitivity"], abs=1e-6)
    assert predictor.threshold == pytest.approx(detail["threshold"], abs=1e-5)


def test_at_another_operating_point_it_is_the_same_model_loaded_once(predictor, members):
    other = predictor.at("sensitivity 0.95")
    assert other.network is predictor.network
    told = list(other.predict(Picture(name, content) for name, content in members.items()))
    other.heat_maps(told[:1], ["PNEUMONIA"])
    assert predictor.at("youden")._loaded.grad_cam is other._loaded.grad_cam
    assert (predictor.point, other.point) == ("youden", "sensitivity 0.95")
    assert other.threshold == predictor.facts["thresholds"]["sensitivity 0.95"][1]


def test_one_bad_file_does_not_stop_the_rest(predictor, members):
    good = next(iter(members.values()))
    given = [Picture("a", good), Picture("b", b"no picture"), Picture("c", None, "gone"), Picture("d", good[:-40])]
    told = list(predictor.predict([*given, Picture("e", good)]))
    assert [bool(one.error) for one in told] == [False, True, True, True, False]
    assert told[2].error == "gone"
    assert told[0].probabilities == pytest.approx(told[4].probabilities, abs=1e-6)


def test_what_is_no_such_radiograph_gets_no_confident_answer_in_silence(predictor, members):
    pixels = np.asarray(Image.open(io.BytesIO(next(iter(members.values())))).convert("L"))
    photograph = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    negative, turned, photo = predictor.predict([
        Picture("negative", encoded(255 - pixels)), Picture("turned", encoded(np.rot90(pixels))),
        Picture("photograph", encoded(photograph)),
    ])  # fmt: skip
    assert OUTSIDE in negative.cautions
    assert OUTSIDE in turned.cautions
    assert COLOURED in photo.cautions


def test_pictures_are_found_in_files_folders_patterns_and_archives(tmp_path):
    png = encoded(np.full((8, 8), 9, np.uint8))
    for name in ("b.png", "a.jpg", "inner/c.PNG", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png)
    make_zip(tmp_path / "z.zip", {"x/1.png": png, "x/readme.md": "text"})

    def names(place):
        return [picture.name.removeprefix(f"{tmp_path}/") for picture in pictures([str(place)])]

    assert names(tmp_path) == ["a.jpg", "b.png", "inner/c.PNG"]
    assert names(tmp_path / "*.png") == ["b.png"]
    assert names(tmp_path / "z.zip") == ["z.zip/x/1.png"]
    assert names(tmp_path / "b.png") == ["b.png"]
    (absent,) = pictures([str(tmp_path / "absent.png")])
    assert absent.content is None
    assert "no picture there" in absent.reason


def test_the_command_tells_a_table_json_and_csv_and_draws_heat_maps(repository, members, tmp_path):
    for number, content in enumerate(list(members.values())[:3]):
        (tmp_path / f"{number}.jpeg").write_bytes(content)
    table = command(repository, "predict", "pneumonia/train-none", str(tmp_path), "--heatmap", str(tmp_path / "heat"))
    assert "chosen on validation" in table.stdout
    assert "not a medical device" in table.stdout
    drawn = sorted((tmp_path / "heat").glob("*.png"))
    assert [path.name[:6] for path in drawn] == ["0001-0", "0002-1", "0003-2"]
    with Image.open(drawn[0]) as picture:
        assert picture.size == (32, 32)
    told = json.loads(
        command(repository, "predict", "pneumonia/cnn/train-none", str(tmp_path / "0.jpeg"), "--json").stdout
    )
    comma = pd.read_csv(io.StringIO(
        command(repository, "predict", "pneumonia/train-none", str(tmp_path / "0.jpeg"), "--csv").stdout
    ))  # fmt: skip
    assert told["predictions"][0]["probabilities"]["PNEUMONIA"] == pytest.approx(comma["p:PNEUMONIA"][0], abs=1e-6)


def test_the_exit_code_says_that_a_file_could_not_be_read(repository, members, tmp_path):
    (tmp_path / "good.jpeg").write_bytes(next(iter(members.values())))
    (tmp_path / "bad.png").write_bytes(b"nothing")
    done = command(repository, "predict", "pneumonia", str(tmp_path), check=False)
    assert done.returncode == 2
    assert "error: broken" in done.stdout
    assert "PNEUMONIA" in done.stdout or "NORMAL" in done.stdout


def test_a_fresh_clone_pulls_a_model_that_it_has_not_and_one_of_an_older_revision(repository, members, tmp_path):
    run(tmp_path, "git", "clone", "-q", str(repository), "clone")
    (tmp_path / "one.jpeg").write_bytes(next(iter(members.values())))
    answers = [
        json.loads(command(tmp_path / "clone", "predict", *words, "../one.jpeg", "--json").stdout)["predictions"][0]
        for words in (["pneumonia/train-none"], ["--rev", "HEAD", "pneumonia/cnn/train-none"])
    ]
    assert answers[0]["probabilities"] == answers[1]["probabilities"]
    assert not (tmp_path / "clone/models/pneumonia").exists()


def test_the_best_model_is_taken_away_by_its_artifacts_name(repository, tmp_path):
    run(repository, "git", "tag", "-a", "pneumonia@v1.0.0", "-m", "First model")
    run(tmp_path, "git", "clone", "-q", str(repository), "clone")
    run(tmp_path, "dvc", "artifacts", "get", str(tmp_path / "clone"), "pneumonia", "--out", "registered.keras")
    run(tmp_path, "dvc", "get", str(tmp_path / "clone"), "models/best/pneumonia.keras", "--out", "got.keras")
    opened = dvc.api.read("models/best/pneumonia.keras", repo=str(tmp_path / "clone"), mode="rb")
    best = (repository / "models/best/pneumonia.keras").read_bytes()
    copies = [(tmp_path / f"{name}.keras").read_bytes() for name in ("registered", "got")]
    assert [*copies, opened] == [best] * 3
    detail = json.loads((repository / "metrics/detail/pneumonia.json").read_text())
    facts = Predictor(tmp_path / "got.keras").facts
    areas = {way: scores["none"]["validation_auc"] for way, scores in detail.items()}
    assert areas[facts["regime"]] == max(areas.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pneumonia/trian-none"], "did you mean 'pneumonia/cnn/train-none'"),
        (["covid"], "unknown model 'covid'"),
        (["--rev", "nowhere", "pneumonia"], "revision 'nowhere'"),
        (["--operating-point", "best", "pneumonia/train-none"], "no operating point 'best'"),
    ],
)
def test_a_wrong_name_is_told_in_one_line(repository, words, said):
    assert said in refused(command(repository, "predict", *words, "x.png", check=False))


def test_a_file_that_is_no_whole_classifier_is_told(repository, tmp_path):
    with pytest.raises(ChestTransferError, match="lacks 'classes': no classifier"):
        Predictor(repository / "models/pretrained/cnn/none.keras")
    old = tmp_path / "old.keras"
    shutil.copyfile(repository / "models/pneumonia/cnn/train-none.keras", old)

    def without_scope(members):
        facts = json.loads(members["facts.json"])
        del facts["scope"]
        members["facts.json"] = json.dumps(facts)

    rewritten(old, without_scope)
    with pytest.raises(ChestTransferError, match=r"lacks 'scope': .*older version"):
        Predictor(old)


def test_a_flipped_byte_in_a_model_file_is_noticed(repository, tmp_path):
    damaged = tmp_path / "damaged.keras"
    content = bytearray((repository / "models/pneumonia/cnn/train-none.keras").read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(content)
    with pytest.raises(ChestTransferError, match="is damaged, or no saved model"):
        Predictor(damaged).network  # noqa: B018 - loads it


def saved_with(tmp_path, layer) -> str:
    inputs = keras.Input((4,))
    path = tmp_path / "stranger.keras"
    save_model(keras.Model(inputs, layer(inputs)), path, {"classes": ["a"]})
    return path


def rewritten(path, change) -> None:
    """Change a model file's members: name -> bytes."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    make_zip(path, members)


def test_a_strangers_lambda_layer_is_refused_before_anything_is_built(tmp_path):
    path = saved_with(tmp_path, keras.layers.Lambda(lambda x: x + 1))
    with pytest.raises(ChestTransferError, match=r"Lambda.*could run code"):
        refuse_code(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"module": "keras.layers"', '"module": "os"'), ('"class_name": "Dense"', '"class_name": "TFSMLayer"'),
     ('"registered_name": null', '"registered_name": "package>Own"')],
)  # fmt: skip
def test_classes_from_elsewhere_are_refused(tmp_path, old, new):
    path = saved_with(tmp_path, keras.layers.Dense(2))
    refuse_code(path)

    def change(members):
        assert old in members["config.json"].decode()
        members["config.json"] = members["config.json"].decode().replace(old, new).encode()

    rewritten(path, change)
    with pytest.raises(ChestTransferError, match="could run code"):
        refuse_code(path)


def test_other_members_and_other_files_are_refused(tmp_path):
    path = saved_with(tmp_path, keras.layers.Dense(2))
    rewritten(path, lambda members: members.update({"payload.pkl": b"cos\nsystem\n"}))
    with pytest.raises(ChestTransferError, match=r"payload\.pkl"):
        refuse_code(path)
    (tmp_path / "old.h5").write_bytes(b"\x89HDF")
    with pytest.raises(ChestTransferError, match="no saved model of this project"):
        refuse_code(tmp_path / "old.h5")
