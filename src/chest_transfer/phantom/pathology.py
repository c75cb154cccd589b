"""What findings add to a normal thorax: consolidated or emptied lung, extra tissue and bone, altered vessels.

Findings are placed in a lung's own coordinates: `lateral` (0 midline, 1 chest wall) and `height` (0 apex, 1 diaphragm).
"""

from functools import cached_property

import numpy as np

from chest_transfer.phantom.curves import half_chord, smoothstep
from chest_transfer.phantom.raster import smooth_noise
from chest_transfer.phantom.shapes import ellipse_radius_squared
from chest_transfer.phantom.thorax import Lung, Thorax
from chest_transfer.phantom.vessels import Vessels, airway_map

# All numbers were chosen for appearance.
# Wavelengths of the noise that breaks up the outlines and the density of findings, half widths of the rib cage.
COARSE_WAVELENGTH, MEDIUM_WAVELENGTH, FINE_WAVELENGTH = 0.34, 0.15, 0.035
# Aspiration and infection favor the right lung, whose main bronchus is wider and steeper (standard anatomy).
RIGHT_SIDE_PROBABILITY = 0.55
VISIBLE_LUNG_PATH = 0.5  # of the longest path through a lung: there, neither heart nor diaphragm hides a lesion
# An ill-defined patch: its density falls with the squared distance from its center.
PATCH_FALLOFF, PATCH_MEDIUM_NOISE = 0.6, 0.15
MOTTLE_LIMITS = (0.1, 1.6)
RETICULAR_LINE_SHARPNESS, RETICULAR_MEDIUM_NOISE = 3.2, 0.5


class Pathology:
    """What the findings of one radiograph add to a thorax; each finding adds to what is there.

    Args:
        thorax: Thorax without the findings' opacities.
        vessels: Vessels of the same thorax.
        rng: numpy Generator that decides where findings lie and what they look like.

    Attributes:
        airless_fraction: (H, W) float32, fraction of the lung along the beam that holds no air, 0-1; negative, down to
            -1, where there is more air than in normal lung.
        added_tissue: (H, W) float32, cm of soft tissue added along the beam.
        haze: (H, W) float32, the part of `airless_fraction` that is a haze over both lungs.
        added_bone: (H, W) float32, cm of bone or calcium added along the beam.
        vessel_loss: (H, W) float32, 0-1, 1 where no vessels are left.
        vessel_gain: (H, W) float32, by how much vessels and bronchial walls are more prominent; 0 for normal.
    """

    def __init__(self, thorax: Thorax, vessels: Vessels, rng: np.random.Generator):
        self.thorax, self.plane, self.rng, self._vessels = thorax, thorax.plane, rng, vessels
        self.half_width = thorax.anatomy.patient.half_width
        self.lung_height = thorax.anatomy.patient.lung_height
        self.airless_fraction, self.haze, self.added_tissue, self.added_bone, self.vessel_loss, self.vessel_gain = (
            np.zeros(self.plane.shape, np.float32) for _ in range(6)
        )
        self._noise_rngs = rng.spawn(3)

    # Noise and airways are computed on first use: many findings need none of them.

    @cached_property
    def coarse_noise(self) -> np.ndarray:
        return smooth_noise(self._noise_rngs[0], self.plane, COARSE_WAVELENGTH * self.half_width)

    @cached_property
    def medium_noise(self) -> np.ndarray:
        return smooth_noise(self._noise_rngs[1], self.plane, MEDIUM_WAVELENGTH * self.half_width)

    @cached_property
    def fine_noise(self) -> np.ndarray:
        return smooth_noise(self._noise_rngs[2], self.plane, FINE_WAVELENGTH * self.half_width)

    @cached_property
    def airways(self) -> np.ndarray:
        return airway_map(self.thorax, self._vessels)

    def uniform(self, low: float, high: float) -> float:
        """Sample a number from [low, high), uniformly."""
        return self.rng.uniform(low, high)

    def occurs(self, probability: float) -> bool:
        """Decide at random whether an event of this probability occurs."""
        return self.rng.uniform(0, 1) < probability

    def random_side(self) -> int:
        """Choose a side at random: -1 for the patient's right, 1 for the left."""
        return -1 if self.rng.random() < RIGHT_SIDE_PROBABILITY else 1

    def affected_sides(self, unilateral_probability: float) -> tuple[int, ...]:
        """Choose at random whether one side is affected, and which, or both."""
        return (self.random_side(),) if self.occurs(unilateral_probability) else (-1, 1)

    def lung_on(self, side: int) -> Lung:
        return self.thorax.lungs[side > 0]

    def random_lung(self) -> Lung:
        return self.lung_on(self.random_side())

    def point_in_lung(self, lung: Lung, lateral: float, height: float) -> tuple[float, float]:
        """Convert a lung's own coordinates to a point (x, z) in cm.

        Args:
            lung: Lung.
            lateral: float, 0 at the midline, 1 at the chest wall.
            height: float, 0 at the apex, 1 at the top of the diaphragm's dome.
        """
        z = height * self.thorax.anatomy.dome_z[lung.index]
        row = int(np.clip(self.plane.row_at(z), 0, self.plane.shape[0] - 1))
        return lung.side * lateral * float(self.thorax.chest_wall[row, 0]), z

    def random_visible_point(self, lung: Lung) -> tuple[float, float]:
        """Sample a point (x, z), in cm, of a lung that neither the heart nor the diaphragm hides."""
        rows, columns = np.nonzero(lung.path > VISIBLE_LUNG_PATH * lung.path.max())
        chosen = int(self.rng.integers(len(rows)))
        row, column = rows[chosen], columns[chosen]
        return float(self.plane.x[row, column]), float(self.plane.z[row, 0])

    def ill_defined_patch(
        self, x: float, z: float, radius_x: float, radius_z: float, raggedness: float = 0.3, softness: float = 1.9
    ) -> np.ndarray:
        """Density of a patch whose outline is broken up by noise.

        Args:
            x, z: float, center, cm.
            radius_x, radius_z: float, semi-axes, cm.
            raggedness: float, amplitude of the noise in the outline.
            softness: float, width of the transition at the outline.

        Returns:
            (H, W) float32, 0-1.
        """
        radius_squared = ellipse_radius_squared(self.plane, x, z, radius_x, radius_z)
        outline_noise = self.coarse_noise + PATCH_MEDIUM_NOISE * self.medium_noise
        return smoothstep((1.0 - PATCH_FALLOFF * radius_squared + raggedness * outline_noise) / softness)

    def mottle(self, density: np.ndarray, medium: float, fine: float) -> np.ndarray:
        """Make a density uneven.

        Args:
            density: (H, W) float array.
            medium, fine: float, amplitudes of the medium and the fine noise.
        """
        return density * np.clip(1 + medium * self.medium_noise + fine * self.fine_noise, *MOTTLE_LIMITS)

    def reticular_pattern(self) -> np.ndarray:
        """(H, W) float32, 0-1: fine crossing lines, like those of thickened interlobular septa."""
        from_line = np.abs(self.fine_noise - RETICULAR_MEDIUM_NOISE * self.medium_noise)
        return np.maximum(1 - RETICULAR_LINE_SHARPNESS * from_line, 0)

    def ball_path(
        self,
        x: float,
        z: float,
        radius: float,
        raggedness: float = 0.0,
        degrees: float = 0.0,
        elongation: float = 1.0,
    ) -> np.ndarray:
        """Path through a ball.

        Args:
            x, z: float, center, cm.
            radius: float, cm.
            raggedness: float, how lobulated the outline is; 0 for a smooth one.
            degrees: float, direction of the long axis.
            elongation: float, long axis over short axis.

        Returns:
            (H, W) float32, cm along the beam.
        """
        radius_squared = ellipse_radius_squared(self.plane, x, z, radius * elongation, radius, degrees)
        return 2 * np.float32(radius) * half_chord(radius_squared * (1 + raggedness * self.medium_noise))

    def consolidate(self, lung: Lung, fraction: np.ndarray, air_bronchogram: float = 0.0) -> None:
        """Replace a fraction of a lung's remaining air by fluid.

        Args:
            lung: Lung to consolidate.
            fraction: (H, W) float array, clipped to 0-1.
            air_bronchogram: float, 0-1, how much air stays in the large airways.
        """
        fraction = np.clip(fraction, 0, 1) * (lung.path > 0)
        if air_bronchogram:
            fraction = fraction * (1 - air_bronchogram * self.airways)
        self.airless_fraction = 1 - (1 - self.airless_fraction) * (1 - fraction)
