"""A contact sheet of 100 radiographs with the lungs that the network finds, and the boxes around them, to look at.

    dvc exp run -S preprocess.region=lungs preprocess@covid preprocess@tuberculosis
    python -m bench.lungs FOLDER covid tuberculosis ...

Each dataset gives an equal part of the 100, chosen by a hash of their names. Where the archive has lung masks, as
COVID's has, the Dice coefficient with these is printed, too. FOLDER gets `sheet.png`. A person should then count those
boxes in which both lungs are seen whole.
"""

import argparse
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from chest_transfer.data.archives import Archive
from chest_transfer.data.arrays import read_npz
from chest_transfer.data.descriptions import read_images
from chest_transfer.data.radiographs import decode_square
from chest_transfer.data.regions import MASK_SIDE, SIDE, lung_window
from chest_transfer.data.selection import order_by_name_hash
from chest_transfer.training.determinism import make_deterministic

COUNT, COLUMNS, SHOWN = 100, 10, 256  # radiographs, in a row, pixels a side
MASK, BOX, NONE = (255, 200, 0), (0, 255, 255), (255, 0, 0)


def samples(dataset: str, count: int) -> list[tuple[bytes, bytes | None]]:
    """Return the files of some radiographs, and of their lung masks where the archive has any."""
    members = read_images(Path("data/arrays", dataset))["member"].to_numpy(str)
    with Archive(Path(f"data/raw/{dataset}.zip")) as archive:
        names, chosen = set(archive.members), members[order_by_name_hash(members)][:count]
        masks = [str(PurePosixPath(name).parent.with_name("masks") / PurePosixPath(name).name) for name in chosen]
        return [
            (archive.read(name), archive.read(mask) if mask in names else None)
            for name, mask in zip(chosen, masks, strict=True)
        ]


def drawn(image: Image.Image, mask: np.ndarray, number: int) -> Image.Image:
    """Return a radiograph with the outline of its lungs and the box around them; red without a box."""
    lungs = Image.fromarray(np.uint8(255) * (mask > 0.5)).resize(image.size, Image.Resampling.BILINEAR)
    lungs = lungs.point(lambda value: 255 * (value > 127))
    outline = np.asarray(lungs) != np.asarray(lungs.filter(ImageFilter.MinFilter(5)))
    picture = np.stack([np.asarray(image)] * 3, axis=-1)
    picture[outline] = MASK
    picture, window = Image.fromarray(picture), lung_window(mask)
    edges = (window.pixels(*image.size) if window else (0, 0, *image.size)) - np.array([0, 0, 1, 1])
    ImageDraw.Draw(picture).rectangle(tuple(edges.tolist()), outline=BOX if window else NONE, width=3)
    ImageDraw.Draw(picture).text((5, 5), str(number), (0, 255, 0))
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("datasets", nargs="+")
    arguments = parser.parse_args()
    make_deterministic(0, 2)
    from chest_transfer.networks.lung_network import LungNetwork
    from chest_transfer.training.lung_segmentation import dice

    network = LungNetwork.of_arrays(read_npz(Path("models/regions/lungs.npz")))
    sheet, number = Image.new("RGB", (COLUMNS * SHOWN, -(-COUNT // COLUMNS) * SHOWN)), 0
    for dataset in arguments.datasets:
        files = samples(dataset, COUNT // len(arguments.datasets))
        found = network.masks(np.stack([decode_square(content, SIDE) for content, _ in files]))
        print(f"{dataset}: no lungs found in {sum(lung_window(mask) is None for mask in found)} of {len(files)}")
        true = [(row, decode_square(mask, MASK_SIDE) > 127) for row, (_, mask) in enumerate(files) if mask]
        if true:
            rows, masks = zip(*true, strict=True)
            print(f"{dataset}: Dice {dice(found[list(rows)] > 0.5, np.stack(masks)).mean():.3f} of {len(true)} masks")
        for (content, _), mask in zip(files, found, strict=True):
            place = number % COLUMNS * SHOWN, number // COLUMNS * SHOWN
            sheet.paste(drawn(Image.fromarray(decode_square(content, SHOWN)), mask, number), place)
            number += 1
    arguments.folder.mkdir(parents=True, exist_ok=True)
    sheet.save(arguments.folder / "sheet.png")
    print(arguments.folder / "sheet.png")


if __name__ == "__main__":
    main()
