"""Medical devices and other objects on the patient: monitor leads, tubes, lines, pacemakers, buttons.

They depend on the view and the age, never on the findings: that would be a shortcut for a classifier to learn.
"""

import numpy as np

from chest_transfer.phantom.curves import smoothstep
from chest_transfer.phantom.raster import draw_lines
from chest_transfer.phantom.shapes import ImagePlane, ellipse_radius_squared
from chest_transfer.phantom.thorax import Thorax

# All numbers were chosen for appearance. Probabilities are by view: patients who cannot stand (AP) carry more devices.
# x is in half widths of the rib cage and z in lung heights, radii and widths are in half widths; attenuations are
# natural logarithms of incoming over outgoing intensity; pairs and (x, z) bounds are (lowest, highest).

LEADS_PROBABILITY, LEADS = {"AP": 0.16, "PA": 0.06}, (1, 4)
ELECTRODE_BOUNDS = (-0.9, 0.1), (0.9, 0.9)
ELECTRODE_ATTENUATION, ELECTRODE_RADIUS, ELECTRODE_SHARPNESS = 0.9, 0.05, 4
LEAD_END_X, LEAD_END_Z = 1.3, (0.2, 1.4)  # outside of the chest on either side
LEAD_ATTENUATION, LEAD_WIDTH = 0.8, 0.016

# An endotracheal tube ends above the carina, a gastric tube below the diaphragm.
TUBE_PROBABILITY, ENDOTRACHEAL_PROBABILITY = {"AP": 0.12, "PA": 0.02}, 0.6
ENDOTRACHEAL_TUBE_END, GASTRIC_TUBE_END = (0.1, 0.32), 1.15  # z
TUBE_TOP, TUBE_END_X = (0.02, -0.8), 0.05  # both coordinates in half widths
TUBE_ATTENUATION, TUBE_WIDTH = 0.5, 0.03

# A central venous line from below a clavicle to the superior vena cava.
LINE_PROBABILITY = {"AP": 0.08, "PA": 0.05}
LINE_START, LINE_END = (0.9, -0.05), (-0.1, 0.4)
LINE_ATTENUATION, LINE_WIDTH = 0.6, 0.02

PACEMAKER_PROBABILITY, PACEMAKER_AGE = 0.02, 45  # years, older than
PACEMAKER_CENTER, PACEMAKER_RADII = (0.72, 0.22), (0.17, 0.15)
PACEMAKER_ATTENUATION, PACEMAKER_SHARPNESS = 2.5, 5
PACEMAKER_LEAD_END, PACEMAKER_LEAD_ATTENUATION, PACEMAKER_LEAD_WIDTH = (0.25, 0.8), 0.9, 0.014

BUTTONS_PROBABILITY, BUTTONS = 0.06, (1, 3)
BUTTON_BOUNDS = (-0.8, -0.2), (0.8, 1.0)
BUTTON_ATTENUATION, BUTTON_RADIUS, BUTTON_SHARPNESS = 1.2, 0.03, 3

WIRE_SEGMENTS, WIRE_BEND_SD = 23, 0.14


def project_devices(thorax: Thorax, rng: np.random.Generator) -> np.ndarray:
    """Sample the devices on a patient; on most there is none.

    Returns:
        (H, W) float32, attenuation (natural logarithm of the intensity) by devices.
    """
    patient, view = thorax.anatomy.patient, thorax.anatomy.pose.view
    devices = np.zeros(thorax.plane.shape, np.float32)
    if rng.random() < LEADS_PROBABILITY[view]:
        for _ in range(rng.integers(*LEADS, endpoint=True)):
            devices = np.maximum(devices, _monitor_lead(thorax, rng))
    if rng.random() < TUBE_PROBABILITY[view]:
        devices = np.maximum(devices, _tube(thorax, rng))
    if rng.random() < LINE_PROBABILITY[view]:
        devices = np.maximum(devices, _central_line(thorax, rng))
    if rng.random() < PACEMAKER_PROBABILITY and patient.age > PACEMAKER_AGE:
        devices = np.maximum(devices, _pacemaker(thorax, rng))
    if rng.random() < BUTTONS_PROBABILITY:
        for _ in range(rng.integers(*BUTTONS, endpoint=True)):
            devices = np.maximum(devices, _button(thorax, rng))
    return devices


def _monitor_lead(thorax: Thorax, rng: np.random.Generator) -> np.ndarray:
    """An electrode on the chest and the wire that leaves it sideways."""
    plane, half_width, lung_height = _scales(thorax)
    electrode = rng.uniform(*ELECTRODE_BOUNDS) * (half_width, lung_height)
    end = rng.choice([-LEAD_END_X, LEAD_END_X]) * half_width, rng.uniform(*LEAD_END_Z) * lung_height
    wire = LEAD_ATTENUATION * _wire(plane, electrode, end, rng, half_width, LEAD_WIDTH)
    radius = ELECTRODE_RADIUS * half_width
    disc = smoothstep(ELECTRODE_SHARPNESS * (1 - ellipse_radius_squared(plane, *electrode, radius, radius)))
    return np.maximum(wire, ELECTRODE_ATTENUATION * disc)


def _tube(thorax: Thorax, rng: np.random.Generator) -> np.ndarray:
    """A tube in the trachea or through the esophagus into the stomach."""
    plane, half_width, lung_height = _scales(thorax)
    if rng.random() < ENDOTRACHEAL_PROBABILITY:
        end_z = rng.uniform(*ENDOTRACHEAL_TUBE_END) * lung_height
    else:
        end_z = GASTRIC_TUBE_END * lung_height
    top = TUBE_TOP[0] * half_width, TUBE_TOP[1] * half_width
    end = TUBE_END_X * half_width, end_z
    return TUBE_ATTENUATION * _wire(plane, top, end, rng, half_width, TUBE_WIDTH)


def _central_line(thorax: Thorax, rng: np.random.Generator) -> np.ndarray:
    plane, half_width, lung_height = _scales(thorax)
    side = rng.choice([-1, 1])
    start = side * LINE_START[0] * half_width, LINE_START[1] * lung_height
    end = LINE_END[0] * half_width, LINE_END[1] * lung_height
    return LINE_ATTENUATION * _wire(plane, start, end, rng, half_width, LINE_WIDTH)


def _pacemaker(thorax: Thorax, rng: np.random.Generator) -> np.ndarray:
    plane, half_width, lung_height = _scales(thorax)
    x, z = rng.choice([-1, 1]) * PACEMAKER_CENTER[0] * half_width, PACEMAKER_CENTER[1] * lung_height
    radius_x, radius_z = PACEMAKER_RADII[0] * half_width, PACEMAKER_RADII[1] * half_width
    # Squared once more: a rounded rectangle.
    radius_squared = np.square(ellipse_radius_squared(plane, x, z, radius_x, radius_z))
    box = PACEMAKER_ATTENUATION * smoothstep(PACEMAKER_SHARPNESS * (1 - radius_squared))
    lead_end = PACEMAKER_LEAD_END[0] * half_width, PACEMAKER_LEAD_END[1] * lung_height
    lead = PACEMAKER_LEAD_ATTENUATION * _wire(plane, (x, z), lead_end, rng, half_width, PACEMAKER_LEAD_WIDTH)
    return np.maximum(box, lead)


def _button(thorax: Thorax, rng: np.random.Generator) -> np.ndarray:
    plane, half_width, lung_height = _scales(thorax)
    x, z = rng.uniform(*BUTTON_BOUNDS) * (half_width, lung_height)
    radius = BUTTON_RADIUS * half_width
    disc = smoothstep(BUTTON_SHARPNESS * (1 - ellipse_radius_squared(plane, x, z, radius, radius)))
    return BUTTON_ATTENUATION * disc


def _scales(thorax: Thorax) -> tuple[ImagePlane, float, float]:
    return thorax.plane, thorax.anatomy.patient.half_width, thorax.anatomy.patient.lung_height


def _wire(
    plane: ImagePlane,
    start: tuple[float, float],
    end: tuple[float, float],
    rng: np.random.Generator,
    half_width: float,
    width: float,
) -> np.ndarray:
    """Draw a wire or tube that bends at random between two points.

    Args:
        plane: ImagePlane to draw on.
        start, end: tuple of two floats, (x, z), cm.
        rng: numpy Generator.
        half_width: float, half width of the rib cage, cm.
        width: float, of the wire, in half widths of the rib cage.

    Returns:
        (H, W) float32, 1 on the wire, 0 away from it.
    """
    along = np.linspace(0, 1, WIRE_SEGMENTS + 1)[:, np.newaxis]
    points = np.asarray(start) * (1 - along) + np.asarray(end) * along
    points = points + rng.normal(0, WIRE_BEND_SD * half_width, 2) * np.sin(np.pi * along)
    segments = np.concatenate([points[:-1], points[1:]], axis=1)
    widths = np.full(WIRE_SEGMENTS, width * half_width)
    return np.minimum(draw_lines(plane, segments, np.ones(WIRE_SEGMENTS), widths), 1)
