"""Which members of an archive are images: by their suffix, or as DICOM files without one."""

from chest_transfer.data.archives import Archive
from chest_transfer.data.dicom import HEADER_BYTES, is_dicom
from chest_transfer.data.file_kinds import is_image_name, may_be_dicom


def image_members(archive: Archive) -> list[str]:
    """Return the names of an archive's images, in their order."""
    return [
        member
        for member in archive.members
        if is_image_name(member) or (may_be_dicom(member) and is_dicom(archive.start(member, HEADER_BYTES)))
    ]
