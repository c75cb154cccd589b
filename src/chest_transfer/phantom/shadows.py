"""What findings add to a thorax: lungs filled or emptied, tissue and calcium laid over, and the commonest shadows.

Everything is placed in a lung's own coordinates: `lateral` (0 spine, 1 chest wall) and `height` (0 apex, 1 dome).
"""

from functools import cached_property

import numpy as np

from chest_transfer.phantom.shapes import ellipse, half_chord, noise, ramp
from chest_transfer.phantom.thorax import Lung, Thorax
from chest_transfer.phantom.vessels import Vessels, airways

Random = np.random.Generator


class Shadows:
    """What findings add to a thorax.

    Args:
        filled: (h, w) share of the lung's path that is airless, 0-1; negative where there is more air than in lung.
        tissue: (h, w) cm of soft tissue added along the beam.
        bone: (h, w) cm of calcium added.
        emptied: (h, w) 0-1 where the vessels are gone.
        vessels: (h, w) gain of the vessels' marks.
    """

    def __init__(self, thorax: Thorax, vessels: Vessels, random: Random):
        self.thorax, self.plane, self.random, self._vessels = thorax, thorax.plane, random, vessels
        self.wide = thorax.anatomy.patient.half_width
        self.tall = thorax.anatomy.patient.lung_height
        shape = self.plane.shape
        self.filled, self.tissue, self.bone, self.emptied, self.vessels = (
            np.zeros(shape, np.float32) for _ in range(5)
        )
        self._noises = random.spawn(3)

    # Drawn when first asked for: many findings need none of them.

    @cached_property
    def coarse(self) -> np.ndarray:
        return noise(self._noises[0], self.plane, 0.34 * self.wide)

    @cached_property
    def medium(self) -> np.ndarray:
        return noise(self._noises[1], self.plane, 0.15 * self.wide)

    @cached_property
    def fine(self) -> np.ndarray:
        return noise(self._noises[2], self.plane, 0.035 * self.wide)

    @cached_property
    def airways(self) -> np.ndarray:
        return airways(self.thorax, self._vessels)

    def between(self, low: float, high: float) -> float:
        """Any number between, each as likely."""
        return self.random.uniform(low, high)

    def lung(self, side: int | None = None) -> Lung:
        return self.thorax.lungs[(self.side() if side is None else side) > 0]

    def side(self) -> int:
        """Right a little more often than left, as the wider bronchus has it."""
        return -1 if self.random.random() < 0.55 else 1

    def place(self, lung: Lung, lateral: float, height: float) -> tuple[float, float]:
        """The point (x, z) at a lung's own coordinates."""
        dome = self.thorax.anatomy.domes[lung.number]
        z = height * dome
        row = int(np.clip(self.plane.row(z), 0, self.plane.shape[0] - 1))
        return lung.side * lateral * float(self.thorax.edge[row, 0]), z

    def clear_place(self, lung: Lung) -> tuple[float, float]:
        """A point (x, z) of a lung that neither the heart nor the diaphragm hides."""
        rows, columns = np.nonzero(lung.path > 0.5 * lung.path.max())
        chosen = int(self.random.integers(len(rows)))
        row, column = rows[chosen], columns[chosen]
        return float(self.plane.x[row, column]), float(self.plane.z[row, 0])

    def cloud(self, x: float, z: float, rx: float, rz: float, ragged: float = 0.3, soft: float = 1.9) -> np.ndarray:
        """0-1: an ill-defined patch, its edge broken up by noise."""
        squares = ellipse(self.plane, x, z, rx, rz)
        return ramp((1.0 - 0.6 * squares + ragged * (self.coarse + 0.15 * self.medium)) / soft)

    def fill(self, lung: Lung, share: np.ndarray, bronchogram: float = 0.0) -> None:
        """Fill a share of a lung with fluid; its airways may stay open in it (air bronchogram)."""
        share = np.clip(share, 0, 1) * (lung.path > 0)
        if bronchogram:
            share = share * (1 - bronchogram * self.airways)
        self.filled = 1 - (1 - self.filled) * (1 - share)

    def patchy(self, share: np.ndarray, coarse: float, fine: float) -> np.ndarray:
        """A patch that is denser here and thinner there."""
        return share * np.clip(1 + coarse * self.medium + fine * self.fine, 0.1, 1.6)

    def net(self) -> np.ndarray:
        """0-1: fine crossing lines, as of thickened septa."""
        return np.maximum(1 - 3.2 * np.abs(self.fine - 0.5 * self.medium), 0)

    def ball(self, x: float, z: float, radius: float, ragged: float = 0.0, degrees: float = 0.0, long: float = 1.0):
        """cm along the beam through a ball whose outline may be lobulated."""
        squares = ellipse(self.plane, x, z, radius * long, radius, degrees)
        return 2 * np.float32(radius) * half_chord(squares * (1 + ragged * self.medium))


Range = tuple[float, float]


def airspace(
    shadows: Shadows, severity: float, lateral: Range, height: Range, size: Range, side: int, bronchogram: float
) -> None:
    """One patch of filled air spaces: anywhere within ranges of `lateral`, `height` and `size` (of the half width)."""
    lung = shadows.lung(side)
    x, z = shadows.place(lung, shadows.between(*lateral), shadows.between(*height))
    radius = shadows.between(*size) * shadows.wide
    share = shadows.cloud(x, z, radius, radius * shadows.between(0.8, 1.4))
    shadows.fill(lung, shadows.patchy(share, 0.08, 0.04) * np.float32(severity), bronchogram)


def haze(shadows: Shadows, share: float) -> None:
    """Both lungs less clear throughout, most about the hila."""
    for lung in shadows.thorax.lungs:
        near = 0.75 + 0.5 * np.maximum(0, 1 - lung.lateral) + 0.12 * shadows.coarse
        shadows.fill(lung, near * np.float32(share))


def meniscus(shadows: Shadows, lung: Lung, level: float) -> None:
    dome = np.float32(shadows.thorax.anatomy.domes[lung.number])
    curve = np.float32(shadows.thorax.anatomy.dome_curve[lung.number])
    # Little fluid fills the angle beside the dome; much of it rises over the dome.
    surface = dome + curve * np.float32(0.72) - np.float32(0.62 * shadows.tall * level)
    climb = np.float32(0.10 * shadows.wide + 0.2 * shadows.wide * min(1.0, 2 * level))
    away = np.clip(1 - lung.lateral, 0, 1)
    border = surface - climb * (np.exp(-away * 7) + 0.25 * np.exp(-np.clip(lung.lateral - 0.15, 0, 1) * 8))
    beyond = shadows.plane.z - border
    shadows.fill(lung, np.float32(0.93) * ramp(beyond / np.float32(0.13 * shadows.wide) + 0.2))
    shadows.tissue += np.float32(0.25 * shadows.wide) * ramp(beyond / np.float32(0.2 * shadows.wide)) * (lung.path > 0)
