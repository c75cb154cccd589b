"""profile@D: fingerprints of D's radiographs, and what its training radiographs look like; no TensorFlow."""

from pathlib import Path

from chest_transfer.data.arrays import open_arrays, write_npz
from chest_transfer.data.fingerprints import split_fingerprints
from chest_transfer.data.splits import SPLITS
from chest_transfer.errors import run_stage
from chest_transfer.evaluation.out_of_distribution import fit_out_of_distribution, sample_thumbnails


def main(dataset: str) -> None:
    folder = Path(f"data/arrays/{dataset}")
    arrays = {split: open_arrays(folder / f"{split}.npz") for split in SPLITS}
    write_npz(Path(f"data/fingerprints/{dataset}.npz"), split_fingerprints(folder, arrays))
    distribution = fit_out_of_distribution(arrays["train"].images, arrays["val"].images)
    write_npz(Path(f"data/out_of_distribution/{dataset}.npz"), distribution.arrays())
    write_npz(Path(f"data/thumbnails/{dataset}.npz"), {"images": sample_thumbnails(arrays["test"].images)})


if __name__ == "__main__":
    run_stage(main)
