"""The ribs in projection: twelve pairs, each from the spine around the side to its cartilage."""

import numpy as np

from chest_transfer.phantom.curves import Linear, bone_profile, smoothstep
from chest_transfer.phantom.thorax import Thorax

RIB_PAIRS = 12
ANTERIOR_RIB_PAIRS = 10  # the two lowest pairs are floating ribs: they have no anterior part

# The remaining parameters were chosen for appearance.
OUTSIDE_OF_LUNG = 0.03  # half widths from the lung's border to the ribs' axes
ROTATION = 0.15  # cm that the ribs' midline moves per cm of rotation
# Limits that keep the path finite where a rib is seen edge on.
MIN_COSINE_OF_PATH, MAX_PATH_GAIN, MIN_COSINE_OF_SLOPE = 0.05, 4.0, 0.08
FIRST_RIB_Z = -0.25  # rib spacings; where the first rib leaves the spine
SIDE_OFFSET = 0.04  # rib spacings between a left rib and the right one of its pair
ANTERIOR_DROP = 0.95  # descent from the side to the front over the descent from the spine to the side
DESCENT_FACTOR = 0.8  # of the nominal descent, for all ribs alike
SPACING_GAIN = 0.035  # by which ribs diverge per cm of descent
POSTERIOR_RADIUS, ANTERIOR_RADIUS = 0.215, 0.24  # rib spacings
POSTERIOR_DENSITY, ANTERIOR_DENSITY = 1.0, 0.5
# Bone along the beam, half widths, by the child factor: a child's ribs are thick for the size of the chest.
RIB_THICKNESS = Linear(0.075, 0.11)
# A rib appears beside the spine, at the sine of its angle, and ends at its cartilage, at the cosine of its angle.
SPINE_END_SINE, SPINE_END_TRANSITION = 0.07, 0.05
CARTILAGE_COSINE, CARTILAGE_COSINE_PER_RIB, CARTILAGE_TRANSITION = 0.80, 0.055, 0.06
SHORTER_FROM_RIB = 5  # from the next rib on (counted from 0), the bony part ends farther from the breastbone each time


def project_ribs(thorax: Thorax) -> np.ndarray:
    """Project all ribs; the anterior halves cross the posterior ones.

    A rib runs on the rib cage's wall. At the angle a from the spine it lies at x = wall * sin(a), and has descended by
    an amount that depends on cos(a) alone. Which rib covers a pixel therefore has a closed form, once for the posterior
    and once for the anterior half.

    Returns:
        (H, W) float32, cm of bone along the beam.
    """
    plane, patient = thorax.plane, thorax.anatomy.patient
    half_width, spacing = np.float32(patient.half_width), np.float32(patient.rib_spacing)
    wall = thorax.chest_wall + OUTSIDE_OF_LUNG * half_width
    midline, reach = np.float32(ROTATION * thorax.anatomy.pose.rotation), float(wall.max())
    columns = plane.column_slice(midline - reach, midline + reach)
    x = plane.x[:, columns]
    sine = np.clip(np.abs(x - midline) / wall, 0, 1)
    cosine = np.sqrt(1 - sine * sine)
    # Seen edge on at the side, a rib has more bone along the beam.
    path_gain = np.minimum(1 / np.maximum(cosine, MIN_COSINE_OF_PATH), MAX_PATH_GAIN)
    slope = sine / np.maximum(cosine, MIN_COSINE_OF_SLOPE) / wall
    first_z = np.float32(FIRST_RIB_Z) * spacing
    side_offset = np.sign(x) * np.float32(SIDE_OFFSET)
    posterior_drop = np.float32(patient.rib_drop) * half_width
    anterior_drop = np.float32(ANTERIOR_DROP) * posterior_drop
    bone = np.zeros(plane.shape, np.float32)
    window = bone[:, columns]
    for anterior in (False, True):
        if anterior:
            drop, radius, density, pairs = anterior_drop, ANTERIOR_RADIUS, ANTERIOR_DENSITY, ANTERIOR_RIB_PAIRS
            descent = posterior_drop + anterior_drop * cosine
        else:
            drop, radius, density, pairs = posterior_drop, POSTERIOR_RADIUS, POSTERIOR_DENSITY, RIB_PAIRS
            descent = posterior_drop * (1 - cosine)
        local_spacing = spacing + np.float32(SPACING_GAIN) * descent
        fractional_rib = (plane.z - first_z - DESCENT_FACTOR * descent) / local_spacing + side_offset
        rib = np.rint(fractional_rib)
        distance = (fractional_rib - rib) * local_spacing
        # Measured across the rib, not along z.
        distance = distance / np.sqrt(1 + np.square(slope * drop * DESCENT_FACTOR))
        profile = bone_profile(distance / (spacing * np.float32(radius)))
        visible = (rib >= 0) & (rib < pairs)
        if anterior:
            # The cartilage between a rib and the breastbone casts no shadow.
            end = CARTILAGE_COSINE - CARTILAGE_COSINE_PER_RIB * np.maximum(rib - SHORTER_FROM_RIB, 0)
            visible = visible * smoothstep((end - cosine) / CARTILAGE_TRANSITION)
        else:
            visible = visible * smoothstep((sine - SPINE_END_SINE) / SPINE_END_TRANSITION)
        thickness = np.float32(density * RIB_THICKNESS(patient.child_factor)) * half_width
        window += profile * path_gain * visible * thickness
    window *= sine < 1
    return bone
