"""16 bits: whether this processor computes a convolution faster in bfloat16 than in float32."""

import time

TRIALS = 5
IMAGES, SIDE, CHANNELS = 16, 28, 128  # of the convolution that is timed, as in the middle of a ResNet50


def bfloat16_speedup() -> float:
    """Return how many times as fast a convolution runs in bfloat16 as in float32, within about a second."""
    import tensorflow as tf

    seconds = {}
    for dtype in (tf.float32, tf.bfloat16):
        images = tf.zeros([IMAGES, SIDE, SIDE, CHANNELS], dtype)
        kernel = tf.zeros([3, 3, CHANNELS, CHANNELS], dtype)
        convolve = tf.function(lambda images, kernel: tf.nn.conv2d(images, kernel, 1, "SAME"))
        convolve(images, kernel)  # traced, and threads started
        times = []
        for _ in range(TRIALS):
            start = time.perf_counter()
            convolve(images, kernel).numpy()
            times.append(time.perf_counter() - start)
        seconds[dtype] = min(times)
    return seconds[tf.float32] / seconds[tf.bfloat16]


def warn_if_slower(precision: str) -> None:
    """Print a caution if 16 bits are asked for on a processor that is slower with them."""
    if precision != "mixed_bfloat16":
        return
    speedup = bfloat16_speedup()
    if speedup < 1:
        print(
            f"CAUTION: this processor is {1 / speedup:.1f} times slower in 16 bits than in 32; "
            "run: dvc exp run -S precision=float32",
            flush=True,
        )
