"""The backbones: a row for each, with its builder, the inputs that it was designed for, and its ImageNet weights.

A new backbone is one row here, and its settings under `architectures` in params.yaml.
Hashes and file names: keras/src/applications of Keras 3.15. Papers: VGG 1409.1556, ResNet 1512.03385, ResNetV2
1603.05027, Inception 1512.00567, Xception 1610.02357, DenseNet 1608.06993, MobileNetV2 1801.04381,
EfficientNetV2 2104.00298, ConvNeXt 2201.03545.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chest_transfer.errors import ChestTransferError, unknown_name_error

PRECISIONS = ("float32", "mixed_bfloat16")  # of a backbone's layers; weights are float32 in both
# Each mode turns gray levels 0-255 into scale * level + offset, the same in all channels or a value for each of three.
# Gray has no color order, so `caffe` (BGR) is the same image with its means in BGR order.
PREPROCESSING = {
    "unit": (1 / 255, 0.0),
    "standard": (1 / 64, -2.0),  # about mean 0 and standard deviation 1 for radiographs
    "tf": (1 / 127.5, -1.0),
    "torch": (
        (1 / 255 / 0.229, 1 / 255 / 0.224, 1 / 255 / 0.225),
        (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
    ),
    "caffe": ((1.0, 1.0, 1.0), (-103.939, -116.779, -123.68)),
}


@dataclass(frozen=True)
class ImageNetFile:
    """Keras' own file of ImageNet weights without the classifier.

    Args:
        folder: str, below Keras' download address.
        file: str, its name, in which `{alpha}` and `{side}` stand for MobileNetV2's width and image size.
        digest: str, its MD5 or SHA-256, or None where Keras publishes none.
    """

    folder: str
    file: str
    digest: str | None


@dataclass(frozen=True)
class Backbone:
    """A convolutional network up to its last feature maps.

    Args:
        name: str, the key of `BACKBONES`.
        build: function from (input tensor, options) to a Keras model from that input to feature maps (h, w, C).
        preprocessing: str, a key of `PREPROCESSING`.
        smallest: int, pixels a side that it needs at least.
        channels: int, that it expects; the gray channel is repeated.
        imagenet: ImageNetFile, or None where no such weights exist.
        options: tuple of str, settings that it takes besides the head and the learning rate.
        reference: str, its paper, a key of `reporting/paper/references.bib`; empty for our own.
        not_exported_as: tuple of str, keys of `exporting.FORMS` that cannot hold it.
    """

    name: str
    build: Callable
    preprocessing: str
    smallest: int = 32
    channels: int = 3
    imagenet: ImageNetFile | None = None
    options: tuple[str, ...] = ()
    reference: str = ""
    not_exported_as: tuple[str, ...] = ()


def _keras_application(name: str, **fixed) -> Callable:
    def build(tensor, **options):
        import keras

        application = getattr(keras.applications, name)
        return application(include_top=False, weights=None, input_tensor=tensor, **fixed, **options)

    return build


def _cnn(tensor):
    import keras
    from keras import layers

    features = _convolutions_and_pools(tensor, (16, 32, 64))
    # Not halved again: heat maps stay fine enough to point at an opacity.
    for number in (1, 2):
        features = layers.Conv2D(
            64, 3, padding="same", activation="relu", name=f"block4_conv{number}"
        )(features)  # fmt: skip
    return keras.Model(_source(tensor), features)


def _cnn_three(tensor):
    import keras

    return keras.Model(_source(tensor), _convolutions_and_pools(tensor, (32, 64, 128)))


def _convolutions_and_pools(features, numbers_of_filters: tuple[int, ...]):
    """Return feature maps after convolutions with so many filters, each followed by a pool that halves them."""
    from keras import layers

    for number, filters in enumerate(numbers_of_filters, start=1):
        features = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"block{number}_conv")(features)
        features = layers.MaxPooling2D(name=f"block{number}_pool")(features)
    return features


def _cnn_strided(tensor):
    import keras
    from keras import layers

    features = tensor
    for number in (1, 2):
        features = layers.Conv2D(
            16, 3, strides=2, padding="same", activation="relu", name=f"block{number}_conv"
        )(features)  # fmt: skip
        features = layers.MaxPooling2D(name=f"block{number}_pool")(features)
    return keras.Model(_source(tensor), features)


def _source(tensor):
    import keras

    return keras.utils.get_source_inputs(tensor)


_NO_TOP = "_weights_tf_dim_ordering_tf_kernels_notop.h5"
_MOBILENET = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{side}_no_top.h5"
_ROWS = (
    # With inputs of 0-1, which no layer centers, the last two did not start to learn for one seed in two.
    Backbone("cnn", _cnn, "standard", channels=1),
    Backbone("cnn_three", _cnn_three, "standard", channels=1),
    Backbone("cnn_strided", _cnn_strided, "standard", channels=1),
    Backbone("vgg16", _keras_application("VGG16"), "caffe", reference="simonyan2015",
             imagenet=ImageNetFile("vgg16", "vgg16" + _NO_TOP, "6d6bbae143d832006294945121d1f1fc")),
    Backbone("vgg19", _keras_application("VGG19"), "caffe", reference="simonyan2015",
             imagenet=ImageNetFile("vgg19", "vgg19" + _NO_TOP, "253f8cb515780f3b799900260a226db6")),
    Backbone("resnet50", _keras_application("ResNet50"), "caffe", reference="he2016",
             imagenet=ImageNetFile("resnet", "resnet50" + _NO_TOP, "4d473c1dd8becc155b73f8504c6f6626")),
    Backbone("resnet50v2", _keras_application("ResNet50V2"), "tf", reference="he2016identity",
             imagenet=ImageNetFile("resnet", "resnet50v2" + _NO_TOP, "fac2f116257151a9d068a22e544a4917")),
    Backbone("resnet101", _keras_application("ResNet101"), "caffe", reference="he2016",
             imagenet=ImageNetFile("resnet", "resnet101" + _NO_TOP, "88cf7a10940856eca736dc7b7e228a21")),
    Backbone("inceptionv3", _keras_application("InceptionV3"), "tf", 75, reference="szegedy2016",
             imagenet=ImageNetFile("inception_v3", "inception_v3" + _NO_TOP, "bcbd6486424b2319ff4ef7d526e38f63")),
    Backbone("xception", _keras_application("Xception"), "tf", 71, reference="chollet2017",
             imagenet=ImageNetFile("xception", "xception" + _NO_TOP, "b0042744bf5b25fce3cb969f33bebb97")),
    Backbone("densenet121", _keras_application("DenseNet121"), "torch", reference="huang2017",
             imagenet=ImageNetFile("densenet", "densenet121" + _NO_TOP, "30ee3e1110167f948a6b9946edeeb738")),
    Backbone("densenet201", _keras_application("DenseNet201"), "torch", reference="huang2017",
             imagenet=ImageNetFile("densenet", "densenet201" + _NO_TOP, "c13680b51ded0fb44dff2d8f86ac8bb1")),
    Backbone("mobilenetv2", _keras_application("MobileNetV2"), "tf", reference="sandler2018",
             imagenet=ImageNetFile("mobilenet_v2", _MOBILENET, None), options=("alpha",)),
    Backbone("efficientnetv2b0", _keras_application("EfficientNetV2B0", include_preprocessing=False), "torch",
             reference="tan2021",
             imagenet=ImageNetFile("efficientnet_v2", "efficientnetv2-b0_notop.h5",
                                   "893217f2bb855e2983157299931e43ff")),
    Backbone("convnext_tiny", _keras_application("ConvNeXtTiny", include_preprocessing=False), "torch",
             reference="liu2022", not_exported_as=("h5", "onnx"),  # its LayerScale; its grouped convolutions and Erfc
             imagenet=ImageNetFile("convnext", "convnext_tiny_notop.h5",
                                   "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1")),
)  # fmt: skip
BACKBONES = {row.name: row for row in _ROWS}


def build_backbone(name: str, image_size: int, preprocessing: str | None = None, precision: str = "float32", **options):
    """Build a backbone with random weights, as one flat graph from raw gray levels to feature maps.

    Args:
        name: str, a key of `BACKBONES`.
        image_size: int, pixels a side.
        preprocessing: str, in place of the backbone's own, for weights that were trained on other inputs.
        precision: str, one of `PRECISIONS`.
        options: its settings, e.g. `alpha`; None counts as not given.

    Returns:
        A Keras model from (N, image_size, image_size, 1) with values 0-255 to (N, h, w, c), of that precision.

    Raises:
        ChestTransferError: the name is unknown, the image too small, or the backbone does not take an option.
    """
    import keras

    row = backbone_named(name)
    check_image_size(row, image_size)
    options = {key: value for key, value in options.items() if value is not None}
    check_options(row, options)
    check_preprocessing(row, preprocessing or row.preprocessing)
    scale, offset = PREPROCESSING[preprocessing or row.preprocessing]
    radiograph = pixels = keras.Input((image_size, image_size, 1), name="radiograph")
    previous_policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        if row.channels > 1:
            pixels = keras.layers.Concatenate(name="gray_in_each_channel")([pixels] * row.channels)
        pixels = keras.layers.Rescaling(scale, offset, name="preprocessing")(pixels)
        features = row.build(pixels, **options).output
    finally:
        keras.config.set_dtype_policy(previous_policy)
    return keras.Model(radiograph, features, name=name)


def check_image_size(row: Backbone, image_size: int) -> None:
    """Check that images are large enough; raises a ChestTransferError where they are not."""
    if image_size < row.smallest:
        raise ChestTransferError(
            f"{row.name} needs images of {row.smallest} pixels a side or more, received {image_size}; "
            f"run: dvc exp run -S image_size={row.smallest}"
        )


def check_options(row: Backbone, options: Iterable[str]) -> None:
    """Check that a backbone takes some options; raises a ChestTransferError where it does not."""
    if unknown := set(options) - set(row.options):
        allowed = ", ".join(row.options) or "none"
        raise ChestTransferError(
            f"{row.name} takes no '{min(unknown)}' (allowed: {allowed}); correct architectures.{row.name}"
        )


def check_preprocessing(row: Backbone, preprocessing: str) -> None:
    """Check that a preprocessing fits the channels of a backbone; raises a ChestTransferError where it does not."""
    if row.channels == 1 and not isinstance(PREPROCESSING[preprocessing][0], float):
        raise ChestTransferError(
            f"{row.name} has one channel, preprocessing '{preprocessing}' three (allowed: unit, standard, tf)"
        )


def backbone_named(name: str) -> Backbone:
    """Return the row of `BACKBONES` with that name.

    Raises:
        ChestTransferError: there is none; the message proposes the nearest name.
    """
    if name not in BACKBONES:
        raise unknown_name_error("model", name, BACKBONES)
    return BACKBONES[name]
