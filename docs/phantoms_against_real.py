"""docs/phantoms-against-real.png: gray levels and power spectra of simulated and of real radiographs.

    python -m docs.phantoms_against_real ARCHIVES

ARCHIVES is a folder of public archives, under the names that Kaggle gives them. Only curves leave them, no image.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from scipy.signal.windows import hann

from chest_transfer.data.archives import Archive
from chest_transfer.data.catalog import CATALOG
from chest_transfer.data.downloads import fetch
from chest_transfer.data.listing import read_listing
from chest_transfer.data.radiographs import decode_square
from chest_transfer.phantom.archive import write_archive
from chest_transfer.settings import Phantom

# Pixels a side at which both are compared: none larger than the real samples had.
SIZES = {"pneumonia": 224, "tuberculosis": 224, "covid": 224, "nih": 64}
COLORS = {"real": "#d1495b", "simulated": "#1f6f8b"}
IMAGES = 160


def images_of(name: str, path: Path) -> np.ndarray:
    """Return `IMAGES` radiographs of an archive, spread evenly over it: (n, side, side) uint8."""
    with Archive(path) as archive:
        listed = read_listing(CATALOG[name].layout, archive).radiographs
        chosen = [listed[row] for row in np.linspace(0, len(listed) - 1, IMAGES).astype(int)]
        return np.stack([decode_square(archive.read(radiograph.member), SIZES[name]) for radiograph in chosen])


def spectra(images: np.ndarray) -> np.ndarray:
    """Return (n, side / 2) power by cycles per image side, averaged over directions."""
    side = images.shape[1]
    window = np.outer(hann(side), hann(side))
    scaled = images / 255.0
    scaled = (scaled - scaled.mean(axis=(1, 2), keepdims=True)) * window
    power = np.abs(np.fft.fftshift(np.fft.fft2(scaled), axes=(1, 2))) ** 2
    y, x = np.indices((side, side)) - side // 2
    ring = np.hypot(x, y).astype(int).ravel()
    sums = np.stack([np.bincount(ring, one.ravel())[: side // 2] for one in power])
    return sums / np.bincount(ring)[: side // 2]


def draw_band(axis, x: np.ndarray, curves: np.ndarray, label: str) -> None:
    """Draw the median over images, and the band that contains the middle 80 % of them."""
    low, middle, high = np.percentile(curves, [10, 50, 90], axis=0)
    axis.plot(x, middle, color=COLORS[label], label=label, linewidth=1.6)
    axis.fill_between(x, low, high, color=COLORS[label], alpha=0.16, linewidth=0)


def main(archives: str) -> None:
    plt.rcParams |= {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    figure, axes = plt.subplots(2, len(SIZES), figsize=(13, 5.8), layout="constrained")
    bins = np.linspace(0, 256, 33)
    with tempfile.TemporaryDirectory() as folder:
        for column, name in enumerate(SIZES):
            real, simulated = Path(folder) / "real.zip", Path(folder) / "simulated.zip"
            fetch(CATALOG[name], archives, real, checksums=Path(folder) / "checksums.txt")
            write_archive(CATALOG[name], Phantom(seed=1, patients=IMAGES, image_size=SIZES[name]), simulated, 2)
            for label, path in (("real", real), ("simulated", simulated)):
                images = images_of(name, path)
                counts = np.stack([np.histogram(image, bins, density=True)[0] for image in images])
                draw_band(axes[0, column], (bins[1:] + bins[:-1]) / 2, counts, label)
                power = spectra(images)
                draw_band(axes[1, column], np.arange(1, power.shape[1]), power[:, 1:], label)
            axes[0, column].set(title=name, xlabel="gray level", ylim=(0, None), yticks=[])
            axes[1, column].set(xscale="log", yscale="log", xlabel="cycles per image side")
    axes[0, 0].set_ylabel("share of pixels")
    axes[1, 0].set_ylabel("power")
    axes[0, 0].legend(frameon=False)
    figure.savefig("docs/phantoms-against-real.png", dpi=100, metadata={"Software": None})
    print("docs/phantoms-against-real.png")


if __name__ == "__main__":
    main(sys.argv[1])
