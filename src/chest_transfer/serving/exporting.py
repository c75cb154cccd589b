"""Exporting: a model as h5, SavedModel, TFLite or ONNX, opened again and compared with the original."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chest_transfer.errors import ChestTransferError
from chest_transfer.files import atomic_write, write_text
from chest_transfer.networks.backbones import BACKBONES
from chest_transfer.networks.facts import PackedFacts
from chest_transfer.networks.saving import FACTS
from chest_transfer.serving.parity import Sample, area_change

# The largest difference of probabilities that is accepted; none for int8, whose difference is reported.
TOLERANCE = {"h5": 1e-6, "savedmodel": 1e-6, "tflite": 1e-4, "tflite-float16": 0.02, "onnx": 1e-4}


@dataclass(frozen=True)
class Exported:
    """An export, compared with its model.

    Args:
        path: Path of its file or folder.
        largest_difference: float, between its probabilities and the model's.
        area_change: its area under the ROC curve minus the model's, with the bounds of the interval; None where no
            labels are known.
    """

    path: Path
    largest_difference: float
    area_change: tuple[float, float, float] | None


def export(network, facts: PackedFacts, form: str, path: Path, sample: Sample) -> Exported:
    """Write a model in another form, with its facts beside it, and compare its probabilities with the model's.

    It takes raw gray levels (N, size, size, 1) float32, 0-255, as the model does, and gives probabilities before
    calibration; the facts contain classes, temperature and thresholds. TFLite takes one radiograph at a time.

    Args:
        network: Keras model.
        facts: PackedFacts of its file.
        form: str, a key of `FORMS`.
        path: Path of the file (a folder for `savedmodel`) to write; `<path>.facts.json` is written too, and into the
            folder.
        sample: Sample to compare on, and from which `tflite-int8` takes its ranges.

    Raises:
        ChestTransferError: the form is unknown, a package is missing, or the probabilities differ too much.
    """
    if form not in FORMS:
        raise ChestTransferError(f"unknown form '{form}' (allowed: {', '.join(FORMS)})")
    if form in (impossible := BACKBONES[facts.backbone].not_exported_as):
        allowed = ", ".join(name for name in FORMS if name not in impossible)
        raise ChestTransferError(f"{facts.backbone} cannot be exported as {form} (allowed: {allowed})")
    inputs, examples = (images[..., np.newaxis].astype(np.float32) for images in (sample.images, sample.examples))
    expected = network.predict(inputs, verbose=0)
    write, read = FORMS[form]
    with atomic_write(path) as aside:
        write(network, aside, examples)
        if aside.is_dir():
            (aside / FACTS).write_text(_json(facts))
        exported = read(aside)(inputs)
        difference = float(np.abs(exported - expected).max())
        allowed = TOLERANCE.get(form, 1.0)
        if difference > allowed:
            raise ChestTransferError(
                f"the {form} export differs from the model by up to {difference:.2g} (allowed: {allowed:g}); "
                "nothing was written"
            )
    write_text(path.with_name(path.name + f".{FACTS}"), _json(facts))
    return Exported(path, difference, area_change(sample, facts, expected, exported))


def _json(facts: PackedFacts) -> str:
    return json.dumps(facts.model_dump(), indent=2, sort_keys=True) + "\n"


def _write_h5(network, path: Path, examples: np.ndarray) -> None:
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    # By Keras' own writer of the old format: `model.save` would choose it by the ending of the file's name alone.
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_model_to_hdf5(network, file, include_optimizer=False)


def _read_h5(path: Path) -> Callable:
    import keras

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "model.h5")
        shutil.copyfile(path, copy)
        network = keras.saving.load_model(copy, compile=False)
    return lambda inputs: network.predict(inputs, verbose=0)


def _write_saved_model(network, path: Path, examples: np.ndarray) -> None:
    network.export(path, format="tf_saved_model", verbose=False)


def _read_saved_model(path: Path) -> Callable:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    return lambda inputs: loaded.serve(inputs).numpy()


def _write_tflite(precision: str) -> Callable:
    def write(network, path: Path, examples: np.ndarray) -> None:
        import tensorflow as tf

        with tempfile.TemporaryDirectory() as folder:
            # Through a SavedModel, because the converter cannot read a Keras 3 model object.
            network.export(folder, format="tf_saved_model", verbose=False)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            if precision != "float32":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if precision == "float16":
                converter.target_spec.supported_types = [tf.float16]
            if precision == "int8":
                converter.representative_dataset = lambda: ([example[np.newaxis]] for example in examples)
            path.write_bytes(converter.convert())

    return write


def _read_tflite(path: Path) -> Callable:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise _missing("ai-edge-litert") from None
    interpreter = Interpreter(model_content=path.read_bytes())
    interpreter.allocate_tensors()
    input_index = interpreter.get_input_details()[0]["index"]
    output_index = interpreter.get_output_details()[0]["index"]

    def predict(inputs: np.ndarray) -> np.ndarray:
        probabilities = []
        for image in inputs:
            interpreter.set_tensor(input_index, image[np.newaxis])
            interpreter.invoke()
            probabilities.append(interpreter.get_tensor(output_index)[0].copy())
        return np.array(probabilities)

    return predict


def _write_onnx(network, path: Path, examples: np.ndarray) -> None:
    try:
        import tf2onnx  # noqa: F401 - Keras' export needs it
    except ImportError:
        raise _missing("tf2onnx") from None
    network.export(path, format="onnx", verbose=False)


def _read_onnx(path: Path) -> Callable:
    try:
        import onnxruntime
    except ImportError:
        raise _missing("onnxruntime") from None
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda inputs: session.run(None, {name: inputs})[0]


def _missing(package: str) -> ChestTransferError:
    return ChestTransferError(f"this needs {package}, which is not installed; run: pip install --editable '.[export]'")


FORMS: dict[str, tuple[Callable, Callable]] = {
    "h5": (_write_h5, _read_h5),
    "savedmodel": (_write_saved_model, _read_saved_model),
    "tflite": (_write_tflite("float32"), _read_tflite),
    "tflite-float16": (_write_tflite("float16"), _read_tflite),
    "tflite-int8": (_write_tflite("int8"), _read_tflite),
    "onnx": (_write_onnx, _read_onnx),
}
