"""Determinism: the same commit, kind and number of devices, and number of threads give the same bits."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

# Keras imports these for functions that are not used here, and does without them where they are not installed.
UNUSED_BY_KERAS = ("matplotlib", "sklearn")


def make_deterministic(seed: int, threads: int) -> None:
    """Seed TensorFlow and Keras, fix their threads and their kernels; call it before anything is built.

    Args:
        seed: int, of Python, NumPy, TensorFlow and Keras.
        threads: int, of each of TensorFlow's two pools; sums differ in the last bits with another number.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up notes ask nothing of the user
    # On processors without AVX-512, TensorFlow leaves oneDNN off, and its own convolutions do not use a second thread.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with _hidden(*UNUSED_BY_KERAS), _without_garbage_collection():  # 40 % and 20 % of the time of this import
        import keras
        import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    distribute_over_devices()


def use_all_threads() -> None:
    """Configure TensorFlow to predict with every thread of this machine; call it before anything is built."""
    make_deterministic(seed=0, threads=os.cpu_count() or 1)


def distribute_over_devices(kind: str = "GPU") -> None:
    """Spread each batch over all devices of a kind in this machine, where there are several.

    Whatever is built afterwards has a copy on each. Batch norm averages over each device's part of a batch, so results
    differ from those of one device.
    """
    import tensorflow as tf

    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    if len(devices) > 1 and not tf.distribute.has_strategy():
        tf.distribute.experimental_set_strategy(tf.distribute.MirroredStrategy(devices))


def reseed(variables, *seeds: int) -> None:
    """Set the random states among Keras variables, those of dropout and augmentation, from some integers."""
    rng = np.random.default_rng(seeds)
    for variable in variables:
        if variable.path.endswith("seed_generator_state"):
            variable.assign(rng.integers(2**32, size=variable.shape, dtype=np.uint32))


@contextmanager
def _hidden(*packages: str) -> Iterator[None]:
    """Let the import of these packages raise ImportError inside the block, unless they have been imported before."""
    hidden = [package for package in packages if package not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # None means that it cannot be imported
    try:
        yield
    finally:
        for package in hidden:
            del sys.modules[package]


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Collect no garbage inside the block, and never look through the objects that it leaves again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
