"""The bones in projection: ribs from spine to cartilage, vertebrae, clavicles, scapulae, upper arms."""

import numpy as np
from PIL import Image, ImageDraw

from chest_transfer.phantom.curves import bone_profile, half_chord, smoothstep
from chest_transfer.phantom.raster import gaussian_blur
from chest_transfer.phantom.shapes import capsule_path
from chest_transfer.phantom.thorax import Thorax, arm

RIBS = 12


def skeleton(thorax: Thorax) -> np.ndarray:
    """Path through bone, in cm of solid bone: (h, w) float32."""
    return (ribs(thorax) + spine(thorax) + clavicles(thorax) + scapulae(thorax) + humeri(thorax)) * np.float32(
        thorax.anatomy.patient.bone_density
    )


def ribs(thorax: Thorax) -> np.ndarray:
    """Twelve pairs, each from the spine round the side to its cartilage, the front half crossing the back half.

    A rib runs on the cage's wall. At the angle theta from the spine it lies at x = edge * sin(theta), and has fallen by
    a drop that depends on cos(theta), so that which rib covers a pixel has a closed form for the back and the front.
    """
    plane, patient = thorax.plane, thorax.anatomy.patient
    wide = np.float32(patient.half_width)
    spacing = np.float32(patient.rib_spacing)
    wall = thorax.chest_wall + 0.03 * wide
    middle, reach = np.float32(0.15 * thorax.anatomy.pose.rotation), float(wall.max())
    columns = plane.column_slice(middle - reach, middle + reach)
    x = plane.x[:, columns]
    sine = np.clip(np.abs(x - middle) / wall, 0, 1)
    cosine = np.sqrt(1 - sine * sine)
    # Seen edge on at the side, a rib has more bone along the beam.
    along = np.minimum(1 / np.maximum(cosine, 0.05), 4.0)
    slope = sine / np.maximum(cosine, 0.08) / wall
    first = np.float32(-0.25) * spacing
    side = np.sign(x) * np.float32(0.04)
    drop = np.float32(patient.rib_drop) * wide
    fall = np.float32(0.95) * drop
    bone = np.zeros(plane.shape, np.float32)
    shells = bone[:, columns]
    halves = ((drop * (1 - cosine), drop, 1.0, 0.0), (drop + fall * cosine, fall, 0.5, 1.0))
    for reach, steepness, strength, front in halves:
        number = (plane.z - first - 0.8 * reach) / (spacing + np.float32(0.035) * reach) + side
        nearest = np.rint(number)
        away = (number - nearest) * (spacing + np.float32(0.035) * reach)
        away = away / np.sqrt(1 + np.square(slope * steepness * 0.8))
        radius = spacing * np.float32(0.215 if not front else 0.24)
        profile = bone_profile(away / radius)
        shown = (nearest >= 0) & (nearest < (RIBS if not front else 10))
        if front:
            # The cartilage between a rib and the breastbone does not show; lower ribs end further out.
            shown = shown * smoothstep((0.80 - 0.055 * np.maximum(nearest - 5, 0) - cosine) / 0.06)
        else:
            shown = shown * smoothstep((sine - 0.07) / 0.05)
        shells += profile * along * shown * (np.float32(strength * (0.075 + 0.11 * patient.child_factor)) * wide)
    shells *= sine < 1
    return bone


def spine(thorax: Thorax) -> np.ndarray:
    """Vertebral bodies with discs between, pedicles, spinous and transverse processes."""
    plane, patient = thorax.plane, thorax.anatomy.patient
    wide = np.float32(patient.half_width)
    spacing = np.float32(patient.rib_spacing)
    columns = plane.column_slice(-0.36 * wide, 0.36 * wide)
    bend = patient.scoliosis * np.sin(np.pi * plane.z / patient.lung_height)
    x = (plane.x[:, columns] + (0.35 * thorax.anatomy.pose.rotation + bend).astype(np.float32)) / wide
    phase = plane.z / spacing
    within = phase - np.floor(phase) - np.float32(0.5)
    broad = np.float32(0.105) + 0.012 * np.clip(phase / 9, 0, 1.5) + np.float32(0.06) * np.square(within)
    body = half_chord(np.square(x / broad))
    disc = smoothstep((0.5 - np.abs(within)) / 0.12)
    end_plate = np.exp(-np.square((np.abs(within) - 0.40) / 0.05))
    column = body * (0.55 + 0.45 * disc + 0.25 * end_plate)
    pedicles = np.exp(-np.square((np.square((np.abs(x) - 0.075) / 0.030) + np.square((within + 0.15) / 0.2)) - 0.8))
    process = np.exp(-np.square(x / 0.022) - np.square((within - 0.25) / 0.2))
    transverse = np.exp(-np.square((within + 0.2) / 0.13)) * smoothstep((0.22 - np.abs(x)) / 0.06)
    bone = np.zeros(plane.shape, np.float32)
    bone[:, columns] = (0.13 * column + 0.05 * pedicles + 0.06 * process + 0.04 * transverse) * wide
    return bone


def clavicles(thorax: Thorax) -> np.ndarray:
    """From the breastbone to the shoulder, bent like an S; higher and flatter in a view from the front."""
    plane, anatomy = thorax.plane, thorax.anatomy
    wide, height = np.float32(anatomy.patient.half_width), np.float32(anatomy.patient.lung_height)
    supine = anatomy.pose.view == "AP"
    x = (plane.x + np.float32(0.7 * anatomy.pose.rotation)) / wide
    along = (np.abs(x) - 0.1) / 1.05
    rise = np.float32(0.22 if supine else 0.3) + np.float32(0.35 * anatomy.pose.arm_elevation)
    start = height * np.float32(0.10 if supine else 0.135)
    course = start - wide * (rise * along + np.float32(0.055) * np.sin(np.float32(2 * np.pi) * along))
    radius = wide * (0.042 + 0.022 * np.square(2 * along - 1))
    shown = smoothstep((along + 0.02) / 0.03) * smoothstep((1.02 - along) / 0.04)
    return bone_profile((plane.z - course) / (1.08 * radius)) * shown * (0.15 * wide)


def scapulae(thorax: Thorax) -> np.ndarray:
    """Thin blades with thick borders, over the lungs' edges in AP and beside them in PA; and the shoulders' sockets."""
    plane, anatomy = thorax.plane, thorax.anatomy
    wide = anatomy.patient.half_width
    out = 0.0 if anatomy.pose.view == "AP" else 0.16
    up = 0.22 * anatomy.pose.arm_elevation
    corners = np.array(
        [(1.16, 0.08), (0.80 + out, 0.04), (0.74 + out, 0.22), (0.93 + out, 0.82), (1.04 + out, 0.76), (1.2, 0.32)]
    )
    corners[:, 0] += 0.25 * up * (corners[:, 1] > 0.5)
    corners[:, 1] -= up
    layer = Image.new("F", plane.shape[::-1])
    draw = ImageDraw.Draw(layer)
    for side in (-1, 1):
        points = [
            (plane.column_at(side * x * wide, row), row)
            for x, row in ((x, plane.row_at(z * wide)) for x, z in corners.tolist())
        ]
        draw.polygon(points, fill=0.035 * wide)
        border = max(1, round(0.03 * wide / plane.pixel_size))
        draw.line([*points[2:], points[0]], fill=0.11 * wide, width=border)
        spine_row = plane.row_at((0.16 - up) * wide)
        ends = [
            (plane.column_at(side * x * wide, spine_row), row)
            for x, row in ((0.78 + out, spine_row), (1.22, spine_row - 0.13 * wide / plane.pixel_size))
        ]
        draw.line(ends, fill=0.09 * wide, width=2 * border)
    return gaussian_blur(np.asarray(layer), 0.014 * wide / plane.pixel_size)


def humeri(thorax: Thorax) -> np.ndarray:
    plane, wide = thorax.plane, thorax.anatomy.patient.half_width
    bone = np.zeros(plane.shape, np.float32)
    for side in (-1, 1):
        shoulder, elbow, _ = arm(thorax.anatomy, side)
        shaft = capsule_path(plane, shoulder, elbow, 0.075 * wide) - 0.75 * capsule_path(
            plane, shoulder, elbow, 0.05 * wide
        )
        head = capsule_path(plane, shoulder, (shoulder[0] + 0.01, shoulder[1] + 0.02), 0.14 * wide)
        bone = np.maximum(bone, np.maximum(1.3 * shaft, 0.55 * head))
    return bone
