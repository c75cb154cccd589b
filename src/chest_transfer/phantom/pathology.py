"""What findings add to a thorax: lungs filled or emptied, tissue and calcium laid over, and the commonest pathology.

Everything is placed in a lung's own coordinates: `lateral` (0 spine, 1 chest wall) and `height` (0 apex, 1 dome).
"""

from functools import cached_property

import numpy as np

from chest_transfer.phantom.curves import half_chord, smoothstep
from chest_transfer.phantom.raster import smooth_noise
from chest_transfer.phantom.shapes import ellipse_radius_squared
from chest_transfer.phantom.thorax import Lung, Thorax
from chest_transfer.phantom.vessels import Vessels, airway_map

Random = np.random.Generator


class Pathology:
    """What findings add to a thorax.

    Args:
        filled: (h, w) share of the lung's path that is airless, 0-1; negative where there is more air than in lung.
        tissue: (h, w) cm of soft tissue added along the beam.
        bone: (h, w) cm of calcium added.
        emptied: (h, w) 0-1 where the vessels are gone.
        vessels: (h, w) gain of the vessels' marks.
    """

    def __init__(self, thorax: Thorax, vessels: Vessels, rng: Random):
        self.thorax, self.plane, self.rng, self._vessels = thorax, thorax.plane, rng, vessels
        self.half_width = thorax.anatomy.patient.half_width
        self.lung_height = thorax.anatomy.patient.lung_height
        shape = self.plane.shape
        self.airless_fraction, self.added_tissue, self.added_bone, self.vessel_loss, self.vessel_gain = (
            np.zeros(shape, np.float32) for _ in range(5)
        )
        self._noises = rng.spawn(3)

    # Drawn when first asked for: many findings need none of them.

    @cached_property
    def coarse_noise(self) -> np.ndarray:
        return smooth_noise(self._noises[0], self.plane, 0.34 * self.half_width)

    @cached_property
    def medium_noise(self) -> np.ndarray:
        return smooth_noise(self._noises[1], self.plane, 0.15 * self.half_width)

    @cached_property
    def fine_noise(self) -> np.ndarray:
        return smooth_noise(self._noises[2], self.plane, 0.035 * self.half_width)

    @cached_property
    def airway_map(self) -> np.ndarray:
        return airway_map(self.thorax, self._vessels)

    def uniform(self, low: float, high: float) -> float:
        """Any number between, each as likely."""
        return self.rng.uniform(low, high)

    def choose_lung(self, side: int | None = None) -> Lung:
        return self.thorax.lungs[(self.random_side() if side is None else side) > 0]

    def random_side(self) -> int:
        """Right a little more often than left, as the wider bronchus has it."""
        return -1 if self.rng.random() < 0.55 else 1

    def point_in_lung(self, lung: Lung, lateral: float, height: float) -> tuple[float, float]:
        """The point (x, z) at a lung's own coordinates."""
        dome = self.thorax.anatomy.dome_z[lung.index]
        z = height * dome
        row = int(np.clip(self.plane.row_at(z), 0, self.plane.shape[0] - 1))
        return lung.side * lateral * float(self.thorax.chest_wall[row, 0]), z

    def random_visible_point(self, lung: Lung) -> tuple[float, float]:
        """A point (x, z) of a lung that neither the heart nor the diaphragm hides."""
        rows, columns = np.nonzero(lung.path > 0.5 * lung.path.max())
        chosen = int(self.rng.integers(len(rows)))
        row, column = rows[chosen], columns[chosen]
        return float(self.plane.x[row, column]), float(self.plane.z[row, 0])

    def ill_defined_patch(
        self, x: float, z: float, rx: float, rz: float, ragged: float = 0.3, soft: float = 1.9
    ) -> np.ndarray:
        """0-1: an ill-defined patch, its edge broken up by noise."""
        squares = ellipse_radius_squared(self.plane, x, z, rx, rz)
        return smoothstep((1.0 - 0.6 * squares + ragged * (self.coarse_noise + 0.15 * self.medium_noise)) / soft)

    def consolidate(self, lung: Lung, share: np.ndarray, bronchogram: float = 0.0) -> None:
        """Fill a share of a lung with fluid; its airways may stay open in it (air bronchogram)."""
        share = np.clip(share, 0, 1) * (lung.path > 0)
        if bronchogram:
            share = share * (1 - bronchogram * self.airway_map)
        self.airless_fraction = 1 - (1 - self.airless_fraction) * (1 - share)

    def mottle(self, share: np.ndarray, coarse: float, fine: float) -> np.ndarray:
        """A patch that is denser here and thinner there."""
        return share * np.clip(1 + coarse * self.medium_noise + fine * self.fine_noise, 0.1, 1.6)

    def reticular_pattern(self) -> np.ndarray:
        """0-1: fine crossing lines, as of thickened septa."""
        return np.maximum(1 - 3.2 * np.abs(self.fine_noise - 0.5 * self.medium_noise), 0)

    def ball_path(
        self, x: float, z: float, radius: float, ragged: float = 0.0, degrees: float = 0.0, long: float = 1.0
    ):
        """cm along the beam through a ball whose outline may be lobulated."""
        squares = ellipse_radius_squared(self.plane, x, z, radius * long, radius, degrees)
        return 2 * np.float32(radius) * half_chord(squares * (1 + ragged * self.medium_noise))


Range = tuple[float, float]


def airspace_opacity(
    pathology: Pathology, severity: float, lateral: Range, height: Range, size: Range, side: int, bronchogram: float
) -> None:
    """One patch of filled air spaces: anywhere within ranges of `lateral`, `height` and `size` (of the half width)."""
    lung = pathology.choose_lung(side)
    x, z = pathology.point_in_lung(lung, pathology.uniform(*lateral), pathology.uniform(*height))
    radius = pathology.uniform(*size) * pathology.half_width
    share = pathology.ill_defined_patch(x, z, radius, radius * pathology.uniform(0.8, 1.4))
    pathology.consolidate(lung, pathology.mottle(share, 0.08, 0.04) * np.float32(severity), bronchogram)


def diffuse_haze(pathology: Pathology, share: float) -> None:
    """Both lungs less clear throughout, most about the hila."""
    for lung in pathology.thorax.lungs:
        near = 0.75 + 0.5 * np.maximum(0, 1 - lung.lateral) + 0.12 * pathology.coarse_noise
        pathology.consolidate(lung, near * np.float32(share))


def add_pleural_fluid(pathology: Pathology, lung: Lung, level: float) -> None:
    dome = np.float32(pathology.thorax.anatomy.dome_z[lung.index])
    curve = np.float32(pathology.thorax.anatomy.dome_drop[lung.index])
    # Little fluid fills the angle beside the dome; much of it rises over the dome.
    surface = dome + curve * np.float32(0.72) - np.float32(0.62 * pathology.lung_height * level)
    climb = np.float32(0.10 * pathology.half_width + 0.2 * pathology.half_width * min(1.0, 2 * level))
    away = np.clip(1 - lung.lateral, 0, 1)
    border = surface - climb * (np.exp(-away * 7) + 0.25 * np.exp(-np.clip(lung.lateral - 0.15, 0, 1) * 8))
    beyond = pathology.plane.z - border
    pathology.consolidate(lung, np.float32(0.93) * smoothstep(beyond / np.float32(0.13 * pathology.half_width) + 0.2))
    pathology.added_tissue += (
        np.float32(0.25 * pathology.half_width)
        * smoothstep(beyond / np.float32(0.2 * pathology.half_width))
        * (lung.path > 0)
    )
