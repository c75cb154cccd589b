"""Phantoms: archives in each dataset's own layout, the same bytes each time, that a reader takes for the real one."""

import pytest

from chest_transfer.data.archives import Archive
from chest_transfer.data.catalog import CATALOG
from chest_transfer.data.radiographs import decode
from chest_transfer.phantom.archive import write_archive
from chest_transfer.settings import Phantom

SETTINGS = Phantom(seed=1, patients=60, image_size=48)


@pytest.mark.parametrize("name", CATALOG)
def test_every_dataset_has_phantoms_that_its_own_layout_reads(name, tmp_path):
    dataset = CATALOG[name]
    write_archive(dataset, SETTINGS, tmp_path / "a.zip")
    with Archive(tmp_path / "a.zip") as archive:
        listing = dataset.layout.read(archive)
        image = decode(archive.read(listing.radiographs[0].member), 48)
    assert image.std() > 20
    assert {label for radiograph in listing.radiographs for label in radiograph.labels} <= set(dataset.classes)
    if name in ("pneumonia", "tuberculosis", "covid", "mendeley"):
        assert {label for radiograph in listing.radiographs for label in radiograph.labels} == set(dataset.classes)
        assert len({radiograph.patient or radiograph.name for radiograph in listing.radiographs}) == 60


def test_the_same_settings_give_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_archive(CATALOG["covid"], SETTINGS.model_copy(update={"seed": seed}), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()


def test_datasets_show_other_people_unless_the_catalog_says_the_same(tmp_path):
    def images(name: str) -> set[bytes]:
        write_archive(CATALOG[name], SETTINGS, tmp_path / name)
        with Archive(tmp_path / name) as archive:
            return {archive.read(member) for member in archive.members if member.endswith((".png", ".jpeg"))}

    assert images("pneumonia") == images("mendeley")
    assert images("nih") == images("nih_top15")
    assert not images("tuberculosis") & images("covid")
