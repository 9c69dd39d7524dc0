"""Renders labels and organelles as a serial-section electron microscope would show them, section by section."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from axonem_eval.synthetic.fill import smooth_field
from axonem_eval.synthetic.organelles import ENDOSOME, MICROTUBULE, MITOCHONDRION, SYNAPSE, VESICLE, Organelles

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U32 = NDArray[np.uint32]
U8 = NDArray[np.uint8]

MEMBRANE_NM = 8.0
FIELD_NM = 160.0


@dataclass(frozen=True)
class Imaging:
    """How the tissue looks. Grey values 0..255; rates are per section; nm in the section's plane.

    A missing section is 0 throughout, a partly missing one on one side of a line. Labels go on through both.
    slip: one section lies aside; translation: all from there on do. Both move labels and grey values alike, as in
    annotated stacks. anisotropic blur comes from the section's thickness: oblique membranes are grey smears.
    """

    cytoplasm_grey: float = 168.0
    membrane_contrast: float = 95.0
    noise: float = 7.5
    texture: float = 7.0
    blur_nm: float = 5.0
    staining_gap_fraction: float = 0.03
    brightness_sd: float = 5.0
    contrast_sd: float = 0.06
    blurred_rate: float = 0.02
    missing_rate: float = 0.01
    partly_missing_rate: float = 0.01
    slip_rate: float = 0.02
    translation_rate: float = 0.01
    misalignment_nm: float = 40.0


@dataclass(frozen=True)
class Defect:
    """What is wrong with a section: kind is missing, partly_missing, blurred, slip or translation.

    shift_nm : (y,x) of a slip or translation. line : (angle, offset as a fraction of the width) of what is missing.
    """

    section: int
    kind: str
    shift_nm: tuple[float, float] = (0.0, 0.0)
    line: tuple[float, float] = (0.0, 0.0)


def draw_defects(sections: int, imaging: Imaging, rng: np.random.Generator) -> tuple[Defect, ...]:
    """Which sections suffer what; the first and the last section stay whole."""
    defects: list[Defect] = []
    for z in range(1, sections - 1):
        u = rng.random(5)
        angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.25, 0.3)
        direction, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1) * imaging.misalignment_nm
        shift = (float(size * np.sin(direction)), float(size * np.cos(direction)))
        if u[0] < imaging.missing_rate:
            defects.append(Defect(z, "missing"))
        elif u[1] < imaging.partly_missing_rate:
            defects.append(Defect(z, "partly_missing", line=(angle, offset)))
        elif u[2] < imaging.blurred_rate:
            defects.append(Defect(z, "blurred"))
        if u[3] < imaging.slip_rate:
            defects.append(Defect(z, "slip", shift))
        elif u[4] < imaging.translation_rate:
            defects.append(Defect(z, "translation", shift))
    return tuple(defects)


def section_shifts(sections: int, defects: tuple[Defect, ...]) -> F64:
    """Displacement of each section in nm, (z,2) y,x."""
    shift = np.zeros((sections, 2))
    for d in defects:
        if d.kind == "slip":
            shift[d.section] += d.shift_nm
        elif d.kind == "translation":
            shift[d.section :] += d.shift_nm
    return shift


def render(
    labels: U32,
    voxel_nm: F64,
    kind_of_label: U8,
    neurite_of_label: NDArray[np.int32],
    organelles: Organelles,
    defects: tuple[Defect, ...],
    imaging: Imaging,
    seed: int,
) -> U8:
    """Grey values (z,y,x) of dense labels; kind_of_label, neurite_of_label : by label.

    One section at a time, each with its own random numbers: the memory needed is the result and a few sections.
    """
    raw = np.zeros(labels.shape, np.uint8)
    fields = _Fields(np.array(labels.shape) * voxel_nm, imaging, np.random.default_rng([seed, 11]))
    base = _base_grey(kind_of_label, imaging, np.random.default_rng([seed, 12]))
    order = np.argsort(organelles.spheres[:, 0], kind="stable")
    things = Organelles(organelles.spheres[order], organelles.sort[order], organelles.neurite[order])
    shift_nm = section_shifts(len(labels), defects)
    specimen = _Specimen(labels, voxel_nm, neurite_of_label, things, shift_nm, base, fields, imaging)
    by_section: dict[int, list[Defect]] = {}
    for d in defects:
        by_section.setdefault(d.section, []).append(d)
    grain = _Grain(voxel_nm)
    for z in range(len(labels)):
        kinds = {d.kind: d for d in by_section.get(z, [])}
        rng = np.random.default_rng([seed, 13, z])
        textures = grain.step(labels.shape[1:], rng)
        if "missing" in kinds:
            continue
        grey = _camera(specimen.section(z, textures), voxel_nm, imaging, "blurred" in kinds, rng)
        if "partly_missing" in kinds:
            grey[_beyond_line(grey.shape, kinds["partly_missing"].line)] = 0
        raw[z] = np.clip(grey + 0.5, 0, 255).astype(np.uint8)
    return raw


class _Grain:
    """Three textures (grain, clumps, cristae), white across a section and correlated through depth."""

    DEPTH_NM = (14.0, 40.0, 20.0)

    def __init__(self, voxel_nm: F64) -> None:
        pixel = float(voxel_nm[1])
        self.sigma = (max(0.5, 7.0 / pixel), max(0.7, 20.0 / pixel), max(0.6, 9.0 / pixel))
        self.keep = [float(np.exp(-voxel_nm[0] / depth)) for depth in self.DEPTH_NM]
        self.planes: list[F32] = []

    def step(self, shape: tuple[int, ...], rng: np.random.Generator) -> list[F32]:
        """The textures of the next section."""
        new = [blur(rng.standard_normal(shape, dtype=np.float32), s, keep_variance=True) for s in self.sigma]
        if self.planes:
            for i, (old, keep) in enumerate(zip(self.planes, self.keep, strict=True)):
                new[i] = np.float32(keep) * old + np.float32(np.sqrt(1 - keep * keep)) * new[i]
        self.planes = new
        return new


class _Fields:
    """Slow variation through the volume: staining (1 = full, near 0 in a gap) and mottling of the cytoplasm."""

    def __init__(self, extent_nm: F64, imaging: Imaging, rng: np.random.Generator) -> None:
        shape = tuple(int(n) + 4 for n in np.ceil(extent_nm / FIELD_NM))
        noise = smooth_field(rng, shape, 0.7)
        level = np.quantile(noise, imaging.staining_gap_fraction) if imaging.staining_gap_fraction > 0 else -99.0
        self.staining: F32 = np.clip(0.12 + 2.2 * (noise - level), 0.12, 1.0).astype(np.float32)
        self.mottling: F32 = smooth_field(rng, shape, 0.8)


def _base_grey(kind_of_label: U8, imaging: Imaging, rng: np.random.Generator) -> F32:
    """Grey of each label's cytoplasm: every cell is stained a little differently; glia is paler or darker."""
    n = len(kind_of_label)
    grey = imaging.cytoplasm_grey + rng.normal(0, 5.0, n) + np.array([-3.0, 5.0, 4.0])[kind_of_label]
    grey -= np.where(rng.random(n) < 0.1, rng.uniform(8, 24, n), 0)  # a few cells take up more stain
    grey[0] = imaging.cytoplasm_grey + 20  # extracellular space
    return grey.astype(np.float32)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Specimen:
    """Labels and what lies in them; organelles by z, shift_nm (z,2), base : grey by label."""

    labels: U32
    voxel_nm: F64
    neurite_of_label: NDArray[np.int32]
    organelles: Organelles
    shift_nm: F64
    base: F32
    fields: _Fields
    imaging: Imaging

    def section(self, z: int, textures: list[F32]) -> F32:
        """The specimen in one section, before the camera, float32 (y,x)."""
        labels, voxel_nm = self.labels, self.voxel_nm
        here = labels[z]
        above, below = labels[max(z - 1, 0)], labels[min(z + 1, len(labels) - 1)]
        thin = float(min(1.0, 2.2 * MEMBRANE_NM / voxel_nm[0]))  # share of a section that a flat membrane fills
        edge = _membranes(here, above, below, np.float32(thin * 0.62), int(MEMBRANE_NM // voxel_nm[1]))
        pixel = float(voxel_nm[1])
        sharp = blur(edge, max(0.6, 5.0 / pixel))
        wide = blur(edge, max(1.0, 16.0 / pixel))
        at = (z + 0.5) * float(voxel_nm[0])
        stain = _plane(self.fields.staining, at, voxel_nm, here.shape)
        mottle = _plane(self.fields.mottling, at, voxel_nm, here.shape)
        grain, clump, folds = textures
        grey = self.base[here] + self.imaging.texture * (grain + 0.6 * clump) + 3.0 * mottle
        organelle, synapse = self._stamped(z, at, folds)
        contrast = self.imaging.membrane_contrast
        grey -= contrast * organelle
        dark = np.minimum(1.0, 1.15 * sharp) * stain
        dark = np.maximum(dark, np.minimum(1.0, 1.9 * wide) * synapse)
        grey -= contrast * dark * (1 - 0.4 * np.minimum(organelle, 1)) * (1 + 0.06 * clump)
        return grey.astype(np.float32)  # type: ignore[no-any-return]

    def _stamped(self, z: int, at_nm: float, folds: F32) -> tuple[F32, F32]:
        """Darkness of organelles, and strength of synaptic densities, both 0..1, float32 (y,x)."""
        here, things = self.labels[z], self.organelles
        near = slice(*np.searchsorted(things.spheres[:, 0], [at_nm - 220.0, at_nm + 220.0]))
        local = things.spheres[near].copy()
        local[:, 1:3] -= self.shift_nm[z]
        inside = np.full(here.shape, np.float32(1e3))
        small, synapse = np.zeros(here.shape, np.float32), np.zeros(here.shape, np.float32)
        own = things.sort[near], things.neurite[near]
        _stamp(local, *own, at_nm, self.voxel_nm, here, self.neurite_of_label, inside, small, synapse)
        body = np.where(inside < 0, 0.68 + 0.18 * folds, 0)  # folds: the cristae, some 40 nm apart
        rim = np.exp(-0.5 * (inside / max(6.0, 0.7 * float(self.voxel_nm[1]))) ** 2)
        small[inside < 8] = 0
        return np.clip(np.maximum(body, 0.9 * rim) + small, 0, 1.05).astype(np.float32), synapse


@njit(cache=True)  # type: ignore[untyped-decorator]
def _stamp(  # noqa: PLR0913  a compiled kernel takes flat arrays
    spheres: F64,
    sort: U8,
    host: NDArray[np.int32],
    at: float,
    voxel: F64,
    here: U32,
    neurite_of_label: NDArray[np.int32],
    inside: F32,
    small: F32,
    synapse: F32,
) -> None:
    ny, nx = here.shape
    half = 0.5 * voxel[0]
    soft = max(4.0, 0.5 * voxel[1])
    for i in range(len(spheres)):
        dz = abs(spheres[i, 0] - at)
        r = spheres[i, 3]
        kind = sort[i]
        if kind != MITOCHONDRION:
            dz = max(0.0, dz - half)  # small things show wherever the section contains them
        reach = r + 3 * soft + 8.0
        if dz >= reach:
            continue
        y0, y1 = max(0, int((spheres[i, 1] - reach) / voxel[1])), min(ny - 1, int((spheres[i, 1] + reach) / voxel[1]))
        x0, x1 = max(0, int((spheres[i, 2] - reach) / voxel[2])), min(nx - 1, int((spheres[i, 2] + reach) / voxel[2]))
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                if kind != SYNAPSE and neurite_of_label[here[y, x]] != host[i]:
                    continue
                dy, dx = (y + 0.5) * voxel[1] - spheres[i, 1], (x + 0.5) * voxel[2] - spheres[i, 2]
                d = np.sqrt(dz * dz + dy * dy + dx * dx) - r
                if kind == MITOCHONDRION:
                    inside[y, x] = min(inside[y, x], d)
                elif kind == SYNAPSE:
                    synapse[y, x] = max(synapse[y, x], min(1.0, max(0.0, -d / (0.5 * r))))
                elif kind == MICROTUBULE:
                    small[y, x] = max(small[y, x], 0.28 * np.exp(-0.5 * (max(d, 0.0) / soft) ** 2))
                else:
                    ring = np.exp(-0.5 * (d / soft) ** 2)
                    lumen = 0.12 if d < 0 else 0.0
                    depth = 0.6 if kind == VESICLE else 0.55
                    if d < -soft and kind == ENDOSOME:
                        small[y, x] = min(small[y, x], 0.05)
                    else:
                        small[y, x] = max(small[y, x], max(depth * ring, lumen))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _membranes(here: U32, above: U32, below: U32, flat: np.float32, thick: int) -> F32:
    """1 beside a boundary in the plane, up to `flat` a side where the next section holds another label."""
    ny, nx = here.shape
    out = np.zeros((ny, nx), np.float32)
    for y in range(ny):
        for x in range(nx):
            v = here[y, x]
            edge = np.float32(0)
            for k in range(1, max(1, thick // 2) + 1):
                if (
                    (y >= k and here[y - k, x] != v)
                    or (y + k < ny and here[y + k, x] != v)
                    or (x >= k and here[y, x - k] != v)
                    or (x + k < nx and here[y, x + k] != v)
                ):
                    edge = np.float32(1)
            if edge == 0:
                if above[y, x] != v:
                    edge += flat
                if below[y, x] != v:
                    edge += flat
            out[y, x] = min(edge, np.float32(1))
    return out


def blur(image: F32, sigma_pixels: float, *, keep_variance: bool = False) -> F32:
    """Gaussian blur of a 2D image, mirrored at its edges; optionally scaled so that white noise keeps its variance."""
    taps = np.arange(-int(np.ceil(2.6 * sigma_pixels)), int(np.ceil(2.6 * sigma_pixels)) + 1)
    kernel = np.exp(-0.5 * (taps / sigma_pixels) ** 2)
    kernel /= np.sqrt((kernel**2).sum()) if keep_variance else kernel.sum()
    return _blur(np.ascontiguousarray(image, np.float32), kernel.astype(np.float32))  # type: ignore[no-any-return]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _blur(image: F32, kernel: F32) -> F32:
    ny, nx = image.shape
    half = len(kernel) // 2
    rows = np.zeros((ny, nx), np.float32)
    for y in range(ny):
        for k in range(len(kernel)):
            s = abs(y + k - half)
            s = min(s, max(0, 2 * ny - 2 - s)) if ny > 1 else 0
            weight = kernel[k]
            for x in range(nx):
                rows[y, x] += weight * image[s, x]
    out = np.zeros((ny, nx), np.float32)
    for y in range(ny):
        for k in range(len(kernel)):
            weight = kernel[k]
            d = k - half
            for x in range(nx):
                s = abs(x + d)
                if s >= nx:
                    s = max(0, 2 * nx - 2 - s)
                out[y, x] += weight * rows[y, s]
    return out


@njit(cache=True)  # type: ignore[untyped-decorator]
def _bilinear_plane(field: F32, at: float, vy: float, vx: float, ny: int, nx: int, cell: float) -> F32:
    out = np.empty((ny, nx), np.float32)
    gz = min(at / cell, field.shape[0] - 1.001)
    k = int(gz)
    plane = field[k] * np.float32(1 - (gz - k)) + field[k + 1] * np.float32(gz - k)
    for y in range(ny):
        gy = min((y + 0.5) * vy / cell, field.shape[1] - 1.001)
        j = int(gy)
        fy = gy - j
        for x in range(nx):
            gx = min((x + 0.5) * vx / cell, field.shape[2] - 1.001)
            i = int(gx)
            fx = gx - i
            out[y, x] = (plane[j, i] * (1 - fx) + plane[j, i + 1] * fx) * (1 - fy) + (
                plane[j + 1, i] * (1 - fx) + plane[j + 1, i + 1] * fx
            ) * fy
    return out


def _plane(field: F32, at_nm: float, voxel_nm: F64, shape: tuple[int, ...]) -> F32:
    """A section through a coarse field."""
    plane = _bilinear_plane(field, at_nm, float(voxel_nm[1]), float(voxel_nm[2]), shape[0], shape[1], FIELD_NM)
    return plane  # type: ignore[no-any-return]


def _camera(grey: F32, voxel_nm: F64, imaging: Imaging, out_of_focus: bool, rng: np.random.Generator) -> F32:
    """Blur, section-wise brightness and contrast, shot noise."""
    pixel = float(voxel_nm[1])
    sigma = imaging.blur_nm / pixel + (2.2 if out_of_focus else 0.0)
    if sigma > 0.3:
        grey = blur(grey, sigma)
    gain = 1 + rng.normal(0, imaging.contrast_sd)
    offset = rng.normal(0, imaging.brightness_sd)
    noise = rng.standard_normal(grey.shape, dtype=np.float32)
    noise = 0.75 * noise + 0.66 * blur(noise, 0.6, keep_variance=True)
    mean = imaging.cytoplasm_grey
    return ((grey - mean) * gain + mean + offset + imaging.noise * noise).astype(np.float32)


def _beyond_line(shape: tuple[int, ...], line: tuple[float, float]) -> NDArray[np.bool_]:
    """What lies beyond a straight line, (y,x)."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    angle, offset = line
    across = (y / shape[0] - 0.5) * np.sin(angle) + (x / shape[1] - 0.5) * np.cos(angle)
    return across > offset  # type: ignore[no-any-return]
