"""What the last bits of a result depend on beside code, settings and data: instructions of the processor, libraries."""

import os
import platform
import sys
from importlib.metadata import version

LIBRARIES = ("tensorflow", "keras", "numpy")
# The widest vectors that a processor computes with, by NumPy's name for the instructions, the widest first.
INSTRUCTIONS = {"AVX512F": "AVX-512", "AVX2": "AVX2", "AVX": "AVX", "ASIMD": "NEON"}


def machine() -> str:
    """Return the kind of machine that computes here, the same for all machines that should give the same bytes.

    Such as `x86_64 with AVX-512; tensorflow 2.21.0, keras 3.15.1, numpy 2.4.6`. Where TensorFlow is loaded and finds
    GPUs, their names are in it.
    """
    from numpy._core._multiarray_umath import __cpu_features__ as features  # what `numpy.show_runtime` prints

    widest = next((name for flag, name in INSTRUCTIONS.items() if features.get(flag)), "no vector instructions")
    processor = f"{platform.machine()} with {widest}"
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        processor += ", without oneDNN"
    elif limit := os.environ.get("ONEDNN_MAX_CPU_ISA"):
        processor += f", oneDNN limited to {limit}"
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return "; ".join([processor, *_gpus(), libraries])


def _gpus() -> list[str]:
    if "tensorflow" not in sys.modules:
        return []
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    return [str(tf.config.experimental.get_device_details(device).get("device_name", "GPU")) for device in devices]
