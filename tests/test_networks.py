"""The table of backbones, the heads, starting points and saved models."""

import hashlib
import json
import shutil
import sys
import zipfile

import keras
import numpy as np
import pytest
from conftest import ROOT, change_settings, refused, run, stage

from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.backbones import BACKBONES, PREPROCESSING, backbone_named, build_backbone
from chest_transfer.networks.blocks import blocks_of
from chest_transfer.networks.classifier import build_classifier, logits_network
from chest_transfer.networks.facts import RANDOM_STARTS, ClassifierFacts, StartingFacts
from chest_transfer.networks.heads import HEADS, head_named
from chest_transfer.networks.saving import load_model, read_facts, save_model
from chest_transfer.networks.starting_points import load_starting_point
from chest_transfer.networks.weights import imagenet_file, load_starting_weights
from chest_transfer.settings import Architecture, PartialWeights, WeightsFile
from chest_transfer.training.determinism import make_deterministic

FACTS = StartingFacts(
    backbone="cnn", weights="none", weights_sha256=None, image_size=32, precision="float32", preprocessing="standard"
)
ARCHITECTURE = Architecture(head="linear", learning_rate_factor=1.0)
# Channels of the last feature maps, and parameters without the top, as Keras publishes them.
SHAPES = {
    "cnn": (64, 97_152), "cnn_three": (128, 92_672), "cnn_strided": (16, 2_480),
    "vgg16": (512, 14_714_688), "vgg19": (512, 20_024_384),
    "resnet50": (2048, 23_587_712), "resnet50v2": (2048, 23_564_800), "resnet101": (2048, 42_658_176),
    "inceptionv3": (2048, 21_802_784), "xception": (2048, 20_861_480), "densenet121": (1024, 7_037_504),
    "densenet201": (1920, 18_321_984), "efficientnetv2b0": (1280, 5_919_312),
    "mobilenetv2": (1280, 2_257_984), "convnext_tiny": (768, 27_820_128),
}  # fmt: skip


@pytest.fixture(autouse=True)
def deterministic():
    make_deterministic(seed=1, threads=2)


def radiographs(size: int, count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 1), dtype=np.uint8)


@pytest.mark.parametrize("name", BACKBONES)
def test_each_backbone_at_its_smallest_size_from_raw_pixels_to_a_file_and_back(name, tmp_path):
    row = BACKBONES[name]
    backbone = build_backbone(name, row.smallest)
    channels, parameters = SHAPES[name]
    assert backbone.output.shape[-1] == channels
    assert len(backbone.output.shape) == 4
    assert backbone.count_params() == parameters
    model = build_classifier(backbone, "dense256", classes=3, multi_label=False)
    # One flat graph, but for the short sequences that ConvNeXt consists of: Grad-CAM reaches every feature map.
    assert not any(isinstance(layer, keras.Model) and type(layer) is not keras.Sequential for layer in model.layers)
    in_blocks = [layer.name for block in blocks_of(backbone) for layer in block]
    assert sorted(in_blocks) == sorted(layer.name for layer in backbone.layers if layer.weights)
    images = radiographs(row.smallest)
    before = np.asarray(model(images))  # not as a graph, which takes longer to build than to run
    assert before.shape == (2, 3)
    assert before.sum(axis=1) == pytest.approx(1, abs=1e-5)
    facts = FACTS.model_copy(update={"backbone": name, "image_size": row.smallest})
    save_model(model, tmp_path / "m.keras", facts)
    loaded, loaded_facts = load_model(tmp_path / "m.keras", StartingFacts)
    assert (np.asarray(loaded(images)) == before).all()
    assert loaded_facts == facts


@pytest.mark.parametrize("mode", PREPROCESSING)
def test_preprocessing_is_that_of_keras(mode):
    model = build_backbone("cnn" if mode in ("unit", "standard") else "mobilenetv2", 32, mode)
    preprocessing = keras.Model(model.input, model.get_layer("preprocessing").output)
    gray = radiographs(32).astype(np.float32)
    if mode in ("unit", "standard"):
        expected = gray / 255 if mode == "unit" else (gray - 128) / 64
    else:
        expected = keras.applications.imagenet_utils.preprocess_input(gray.repeat(3, axis=-1), mode=mode)
    assert preprocessing.predict(gray, verbose=0) == pytest.approx(expected, abs=1e-4)


def test_multi_label_probabilities_are_independent():
    model = build_classifier(build_backbone("cnn", 32), "linear", classes=14, multi_label=True)
    assert model.predict(radiographs(32), verbose=0).sum(axis=1) == pytest.approx([7, 7], abs=2)


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_classifier_ends_in_logits_and_their_probabilities(multi_label):
    model = build_classifier(build_backbone("cnn", 32), "dense256", 3, multi_label)
    assert [layer.name for layer in model.layers[-2:]] == ["logits", "probabilities"]
    logits = logits_network(model).predict(radiographs(32), verbose=0)
    activation = keras.ops.sigmoid if multi_label else keras.ops.softmax
    assert model.predict(radiographs(32), verbose=0) == pytest.approx(np.asarray(activation(logits)), abs=1e-6)
    # A large logit, whose probability rounds to 1, still differs from a larger one.
    model.get_layer("logits").bias.assign([50.0, 0.0, 0.0])
    logits = logits_network(model).predict(radiographs(32), verbose=0)
    assert model.predict(radiographs(32), verbose=0)[:, 0].tolist() == [1, 1]
    assert logits[0, 0] != logits[1, 0]


@pytest.mark.parametrize("name", HEADS)
def test_each_head_stands_on_feature_maps(name):
    model = build_classifier(build_backbone("cnn_strided", 32), name, classes=2, multi_label=False)
    assert model.output.shape == (None, 2)


@pytest.mark.parametrize("name", ["cnn", "mobilenetv2"])
def test_bfloat16_is_the_backbones_alone_and_close_to_float32(name, tmp_path):
    make_deterministic(1, 2)
    exact = build_classifier(build_backbone(name, 32), "dense256", 2, multi_label=False)
    rounded = build_classifier(build_backbone(name, 32, precision="mixed_bfloat16"), "dense256", 2, multi_label=False)
    rounded.set_weights(exact.get_weights())
    assert {weight.dtype for weight in rounded.weights} == {"float32"}
    save_model(rounded, tmp_path / "rounded.keras", FACTS)
    loaded, _ = load_model(tmp_path / "rounded.keras", StartingFacts)
    probabilities = loaded.predict(radiographs(32), verbose=0)
    assert probabilities.dtype == np.float32
    assert (probabilities == rounded.predict(radiographs(32), verbose=0)).all()
    assert probabilities == pytest.approx(exact.predict(radiographs(32), verbose=0), abs=0.02)
    convolutions = [layer for layer in loaded.layers if "conv" in layer.name.lower()]
    assert {layer.compute_dtype for layer in convolutions} == {"bfloat16"}


def test_random_weights_follow_the_seed():
    def first_kernel(seed: int):
        make_deterministic(seed, 2)
        return load_starting_weights("cnn", "none", 32, ARCHITECTURE, {})[0].get_layer("block1_conv").kernel.numpy()

    assert (first_kernel(1) == first_kernel(1)).all()
    assert (first_kernel(1) != first_kernel(2)).any()


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Networks whose batch norms are not those of Keras' start, as after a training."""
    folder = tmp_path_factory.mktemp("starts")
    make_deterministic(5, 2)
    backbone, norm = build_backbone("cnn", 32), keras.layers.BatchNormalization()
    backbone = keras.Model(backbone.input, norm(backbone.output), name="cnn")
    norm.gamma.assign(np.linspace(0.5, 1.5, 64))
    norm.moving_variance.assign(np.linspace(1, 5, 64))
    for weights in ("none", "statistics", "imagenet", "imagenet_2"):
        facts = FACTS.model_copy(update={"weights": weights, "pretrained_blocks": {"imagenet_2": 2}.get(weights)})
        save_model(backbone, folder / f"models/pretrained/cnn/{weights}.keras", facts)
    return folder


class TestStartingPoints:
    @staticmethod
    def kernels(folder, weights: str, seed: int) -> dict[str, np.ndarray]:
        """The arrays of weights that a fit starts from, by their place in the network."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            backbone, facts = load_starting_point("cnn", weights, seed)
        assert facts.weights == weights
        return {f"{number} {variable.path}": variable.numpy() for number, variable in enumerate(backbone.weights)}

    @pytest.mark.parametrize("weights", [*RANDOM_STARTS, "imagenet_2"])
    def test_random_weights_belong_to_the_seed(self, stored, weights):
        first, again, other = (self.kernels(stored, weights, seed) for seed in (1, 1, 2))
        assert all((first[name] == again[name]).all() for name in first)
        assert any((first[name] != other[name]).any() for name in first)

    def test_pretrained_weights_are_the_same_for_every_seed(self, stored):
        first, other = (self.kernels(stored, "imagenet", seed) for seed in (1, 2))
        assert all((first[name] == other[name]).all() for name in first)

    def test_partial_weights_keep_the_first_blocks_and_draw_the_rest_for_each_seed(self, stored):
        pretrained = self.kernels(stored, "imagenet", 1)
        first, other = (self.kernels(stored, "imagenet_2", seed) for seed in (1, 2))
        kernels = [name for name in pretrained if name.endswith("kernel")]  # of the four blocks, in order
        assert [(first[name] == pretrained[name]).all() for name in kernels] == [True, True, False, False, False]
        assert [(first[name] == other[name]).all() for name in kernels] == [True, True, False, False, False]

    def test_statistics_keep_mean_and_deviation_of_each_layer_and_nothing_else(self, stored):
        pretrained, drawn = (self.kernels(stored, weights, 1) for weights in ("imagenet", "statistics"))
        for name, values in pretrained.items():
            error = values.std() / np.sqrt(values.size)
            if "moving" in name:
                assert np.ptp(drawn[name]) == 0
                assert drawn[name].mean() == pytest.approx(values.mean(), rel=1e-5)
            elif values.std() > 0:
                assert drawn[name].mean() == pytest.approx(values.mean(), abs=5 * error)
                assert drawn[name].std() == pytest.approx(values.std(), rel=0.5)
                assert abs(np.corrcoef(drawn[name].ravel(), values.ravel())[0, 1]) < 0.9


class TestSaving:
    def test_equal_models_give_equal_bytes(self, tmp_path):
        for name in ("a", "b"):
            make_deterministic(1, 2)
            model = build_classifier(build_backbone("mobilenetv2", 32), "dense256", 2, multi_label=False)
            if name == "b":
                model.compile("adam", "categorical_crossentropy")  # its optimizer is not saved
                model.fit(radiographs(32), np.eye(2), epochs=0, verbose=0)
            save_model(model, tmp_path / f"{name}.keras", FACTS)
        assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras", "b.keras"]

    def test_facts_are_read_without_tensorflow(self, tmp_path):
        save_model(build_backbone("cnn", 32), tmp_path / "m.keras", FACTS)
        assert read_facts(tmp_path / "m.keras", StartingFacts) == FACTS
        with zipfile.ZipFile(tmp_path / "m.keras") as archive:
            assert "date_saved" in json.loads(archive.read("metadata.json"))
        script = (
            "import sys\nfrom pathlib import Path\n"
            "from chest_transfer.networks.facts import StartingFacts\n"
            "from chest_transfer.networks.saving import read_facts\n"
            "print(read_facts(Path('m.keras'), StartingFacts).weights, {'tensorflow', 'keras'} & set(sys.modules))"
        )
        done = run(tmp_path, sys.executable, "-c", script, PYTHONPATH=str(ROOT / "src"))
        assert done.stdout == "none set()\n"

    def test_what_is_not_a_model_is_refused(self, tmp_path):
        (tmp_path / "m.keras").write_bytes(b"not a model")
        for read in (load_model, read_facts):
            with pytest.raises(ChestTransferError, match=r"m\.keras' is not a model of this project"):
                read(tmp_path / "m.keras", StartingFacts)
            with pytest.raises(ChestTransferError, match=r"no model at .* run: dvc repro, or: dvc pull"):
                read(tmp_path / "absent.keras", StartingFacts)

    def test_a_model_of_another_kind_is_refused_with_the_fact_that_it_lacks(self, tmp_path):
        save_model(build_backbone("cnn", 32), tmp_path / "m.keras", FACTS)
        for read in (load_model, read_facts):
            message = r"m\.keras' is not such a model, or of another version: dataset: .* run: dvc repro"
            with pytest.raises(ChestTransferError, match=message):
                read(tmp_path / "m.keras", ClassifierFacts)


class TestRefusals:
    def test_an_image_too_small(self):
        with pytest.raises(ChestTransferError, match=r"needs images of 75 .* run: dvc exp run -S image_size=75"):
            build_backbone("inceptionv3", 64)

    def test_unknown_names(self):
        with pytest.raises(ChestTransferError, match=r"unknown model 'resnet5'; did you mean 'resnet50'?"):
            backbone_named("resnet5")
        with pytest.raises(ChestTransferError, match=r"unknown head 'dense25'; did you mean 'dense256'?"):
            head_named("dense25")

    def test_values_for_three_channels_where_there_is_one(self):
        with pytest.raises(ChestTransferError, match="cnn has one channel, preprocessing 'torch' three"):
            build_backbone("cnn", 32, "torch")

    def test_an_option_that_the_backbone_does_not_have(self):
        with pytest.raises(
            ChestTransferError, match=r"cnn takes no 'alpha' \(allowed: none\); correct architectures.cnn"
        ):
            build_backbone("cnn", 32, alpha=0.5)

    @pytest.mark.parametrize("name", [name for name, row in BACKBONES.items() if row.imagenet is None])
    def test_a_backbone_without_imagenet_weights_gives_the_override(self, name):
        with pytest.raises(ChestTransferError, match=rf"run: dvc exp run -S model={name} -S 'weights=\[none\]'"):
            imagenet_file(BACKBONES[name], 96)

    def test_without_a_network_the_message_says_where_to_put_the_file(self, project, tmp_path):
        change_settings(project / "params.yaml", model="resnet50", weights=["imagenet"], train__weights=[])
        offline = {"KERAS_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"}  # nothing listens there
        done = stage(project, "pretrained", "resnet50", "imagenet", check=False, **offline)
        message = refused(done)
        assert (
            "cannot download https://storage.googleapis.com/tensorflow/keras-applications/resnet/resnet50_" in message
        )
        assert f"put that file at {tmp_path}/models/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5" in message
        assert not (project / "models").exists()

    def test_a_damaged_imagenet_file_is_never_used(self, tmp_path, monkeypatch):
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        row = BACKBONES["vgg16"]
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / row.imagenet.file).write_bytes(b"half a file")
        digest = hashlib.md5(b"half a file").hexdigest()
        with pytest.raises(
            ChestTransferError, match=rf"is damaged: its md5 is {digest}, Keras publishes 6d6b.*delete it"
        ):
            imagenet_file(row, 96)


class TestWeightsFromAFile:
    def files(self, path) -> dict:
        return {"other": WeightsFile(path=str(path), preprocessing="torch")}

    def test_they_are_loaded_with_the_preprocessing_they_were_trained_with(self, tmp_path):
        donor = build_backbone("mobilenetv2", 32)
        donor.save_weights(tmp_path / "w.weights.h5")
        make_deterministic(2, 2)
        backbone, facts = load_starting_weights(
            "mobilenetv2", "other", 32, ARCHITECTURE, self.files(tmp_path / "w.weights.h5")
        )
        assert (backbone.get_layer("Conv1").kernel.numpy() == donor.get_layer("Conv1").kernel.numpy()).all()
        assert facts.preprocessing == "torch"
        digest = hashlib.sha256((tmp_path / "w.weights.h5").read_bytes()).hexdigest()
        assert facts.weights_sha256 == digest

    @pytest.mark.parametrize("whole", [True, False])
    def test_a_radiology_file_gives_the_features_of_the_network_that_it_was_trained_as(self, tmp_path, whole):
        # As such files are made: Keras' own backbone for three channels, saved whole or its weights only, fed with
        # pixels of its makers' choice.
        donor = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
        path = tmp_path / ("radiology.h5" if whole else "radiology.weights.h5")
        donor.save(path) if whole else donor.save_weights(path)
        backbone, _ = load_starting_weights(
            "mobilenetv2",
            "radiology",
            32,
            ARCHITECTURE,
            {"radiology": WeightsFile(path=str(path), preprocessing="unit")},
        )
        gray = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1)).astype(np.float32)
        expected = donor.predict(np.repeat(gray, 3, axis=-1) / 255, verbose=0)
        assert backbone.predict(gray, verbose=0) == pytest.approx(expected, abs=1e-4)

    @pytest.mark.parametrize(
        ("name", "application"), [("convnext_tiny", "ConvNeXtTiny"), ("efficientnetv2b0", "EfficientNetV2B0")]
    )
    def test_keras_own_file_of_a_network_that_preprocesses_by_itself(self, tmp_path, name, application):
        donor = getattr(keras.applications, application)(include_top=False, weights=None, input_shape=(32, 32, 3))
        donor.save(tmp_path / "keras.h5")
        files = {"other": WeightsFile(path=str(tmp_path / "keras.h5"), preprocessing=BACKBONES[name].preprocessing)}
        backbone, _ = load_starting_weights(name, "other", 32, ARCHITECTURE, files)
        gray = radiographs(32).astype(np.float32)
        expected = np.asarray(donor(np.repeat(gray, 3, axis=-1)))
        assert np.asarray(backbone(gray)) == pytest.approx(expected, abs=1e-4)

    def test_another_backbones_file_is_refused(self, tmp_path):
        build_backbone("vgg16", 32).save_weights(tmp_path / "w.weights.h5")
        with pytest.raises(ChestTransferError, match="does not hold the weights of mobilenetv2"):
            load_starting_weights("mobilenetv2", "other", 32, ARCHITECTURE, self.files(tmp_path / "w.weights.h5"))

    @pytest.mark.parametrize("classes", [0, 14])
    def test_a_classifier_on_top_is_left_out(self, tmp_path, classes):
        # CheXNet's published weights are those of a DenseNet121 with a layer for 14 findings.
        donor = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg")
        outputs = keras.layers.Dense(classes)(donor.output) if classes else donor.output
        keras.Model(donor.input, outputs).save(tmp_path / "chexnet.h5")
        backbone, _ = load_starting_weights(
            "mobilenetv2", "other", 32, ARCHITECTURE, self.files(tmp_path / "chexnet.h5")
        )
        for name in ("Conv1", "Conv_1"):
            assert (backbone.get_layer(name).kernel.numpy() == donor.get_layer(name).kernel.numpy()).all()

    def test_the_hash_and_the_license_that_settings_name_are_checked_and_kept(self, tmp_path):
        build_backbone("cnn", 32).save_weights(path := tmp_path / "w.weights.h5")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        file = WeightsFile(path=str(path), preprocessing="unit", sha256=digest, license="CC BY-NC 4.0")
        _, facts = load_starting_weights("cnn", "radiology", 32, ARCHITECTURE, {"radiology": file})
        assert (facts.weights_sha256, facts.weights_license) == (digest, "CC BY-NC 4.0")
        other = file.model_copy(update={"sha256": "0" * 64})
        with pytest.raises(ChestTransferError, match=rf"not the file that weights_files.radiology names: .* {digest}"):
            load_starting_weights("cnn", "radiology", 32, ARCHITECTURE, {"radiology": other})

    @pytest.mark.parametrize(("blocks", "is_allowed"), [(1, True), (3, True), (4, False)])
    def test_partial_weights_leave_something_random(self, tmp_path, blocks, is_allowed):
        build_backbone("cnn", 32).save_weights(tmp_path / "w.weights.h5")
        files = {"other": WeightsFile(path=str(tmp_path / "w.weights.h5"), preprocessing="unit")}
        partial = {"half": PartialWeights(weights="other", blocks=blocks)}
        arguments = "cnn", "half", 32, ARCHITECTURE, files, "float32", partial
        if is_allowed:
            facts = load_starting_weights(*arguments)[1]
            assert (facts.weights, facts.pretrained_blocks, facts.is_random) == ("half", blocks, True)
        else:
            with pytest.raises(ChestTransferError, match=r"keeps 4 blocks, of the 4 of cnn .* \(allowed: 1 to 3\)"):
                load_starting_weights(*arguments)

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(ChestTransferError, match=r"no file at .* correct weights_files.other.path"):
            load_starting_weights("cnn", "other", 32, ARCHITECTURE, self.files(tmp_path / "absent.h5"))


def test_imagenet_files_of_mobilenetv2_differ_by_width_and_size(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    # A file under the very name that Keras would download: it must be found, not fetched.
    donor = keras.applications.MobileNetV2((224, 224, 3), alpha=0.35, include_top=False, weights=None)
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    donor.save_weights(tmp_path / "w.weights.h5")
    shutil.move(tmp_path / "w.weights.h5", tmp_path / "models" / name)
    assert imagenet_file(BACKBONES["mobilenetv2"], 100, alpha=0.35) == tmp_path / "models" / name


def test_the_license_and_sources_name_no_machine():
    for path in [*ROOT.glob("*.md"), *ROOT.glob("src/**/*.py")]:
        assert "/root/" not in path.read_text()
