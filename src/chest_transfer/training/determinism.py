"""Same commit, same kind and number of devices, same number of threads: the same bits."""

import contextlib
import os
import sys
import tempfile

import numpy as np


def pin(seed: int, threads: int) -> None:
    """Fix every source of chance of TensorFlow and Keras; call it before anything is built.

    Args:
        seed: of Python, NumPy, TensorFlow and Keras.
        threads: of each of TensorFlow's two pools; sums come out differently with another number.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its start-up notes say nothing that a user can act on
    with _quiet_import():
        import keras
        import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    mirror()


def mirror(kind: str = "GPU") -> None:
    """Spread each batch over all devices of a kind in this machine, where there are several.

    Whatever is built afterwards has a copy on each. Batch norm takes its averages on each device's part of a batch, so
    results are not those of one device.
    """
    import tensorflow as tf

    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    if len(devices) > 1 and not tf.distribute.has_strategy():
        tf.distribute.experimental_set_strategy(tf.distribute.MirroredStrategy(devices))


def reseed(variables, *numbers: int) -> None:
    """Set the random states among Keras variables, those of dropout and augmentation, by some numbers."""
    chance = np.random.default_rng(numbers)
    for variable in variables:
        if variable.path.endswith("seed_generator_state"):
            variable.assign(chance.integers(2**32, size=variable.shape, dtype=np.uint32))


@contextlib.contextmanager
def _quiet_import():
    """Hold back what TensorFlow's C++ writes to stderr while it is imported, whatever its log level (its #100442)."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held_back:
        stderr = os.dup(2)
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(stderr, held_back.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
