"""The heads: a row for each, how feature maps become a vector, and the hidden layers between it and the output."""

from collections.abc import Callable
from dataclasses import dataclass

from chest_transfer.errors import unknown_name_error


@dataclass(frozen=True)
class Head:
    """A head without its output.

    Args:
        hidden: function that creates its layers, in order.
        pooled: bool, whether it averages each feature map (global average pooling); else it keeps every value. Only a
            pooled head can be trained on stored features.
        words: str, its hidden layers as a paper describes them.
    """

    hidden: Callable[[], list]
    pooled: bool = True
    words: str = "no hidden layer"


def _dense(*units: int, dropout: tuple[float, ...] = (), l2: float = 0.0) -> Callable[[], list]:
    """Return a function that creates dense layers with ReLU, each followed by its dropout."""

    def layers() -> list:
        import keras

        created = []
        for number, width in enumerate(units):
            penalty = keras.regularizers.L2(l2) if l2 else None
            created.append(
                keras.layers.Dense(width, activation="relu", kernel_regularizer=penalty, name=f"head_dense{width}")
            )
            if dropout:
                created.append(keras.layers.Dropout(dropout[number], name=f"head_dropout{width}"))
        return created

    return layers


def _dropout_first(rate: float, then: Callable[[], list]) -> Callable[[], list]:
    """Return a function that creates dropout of whole feature maps (of their averages, which is the same) first."""

    def layers() -> list:
        import keras

        return [keras.layers.Dropout(rate, name="head_dropout"), *then()]

    return layers


HEADS = {
    "linear": Head(_dense()),
    "dense256": Head(_dense(256), words="256 units with ReLU"),
    "dense1024": Head(_dense(1024), words="1,024 units with ReLU"),
    "dropout128": Head(
        _dropout_first(0.25, _dense(128, dropout=(0.25,))),
        words="128 units with ReLU, dropout of 0.25 before and after",
    ),
    "complex": Head(
        _dropout_first(0.25, _dense(512, 256, 128, 64, 32, dropout=(0.5, 0.3, 0.5, 0.5, 0.5), l2=0.01)),
        words="512, 256, 128, 64 and 32 units with ReLU, dropout of 0.25 before and 0.3 to 0.5 after, L2 penalty 0.01",
    ),
    "dense64": Head(_dense(64), pooled=False, words="64 units with ReLU"),
    "dense256_128_64": Head(
        _dense(256, 128, 64, dropout=(0.5, 0.5, 0.5)), pooled=False,
        words="256, 128 and 64 units with ReLU, dropout of 0.5 after each",
    ),
}  # fmt: skip


def head_named(name: str) -> Head:
    """Return the head of that name.

    Raises:
        ChestTransferError: there is none; the message proposes the nearest name.
    """
    if name not in HEADS:
        raise unknown_name_error("head", name, HEADS, "correct architectures.<model>.head or probe.head in params.yaml")
    return HEADS[name]
