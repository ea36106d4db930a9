"""What an image becomes: how many pictures go through a tower, and how many tokens come of them.

Source: transformers 5.23, models/*/processing_*.py and image_processing_*.py; fixtures/images runs them.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, sqrt


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one image becomes.

    Attributes:
        crops: pictures that go through the tower.
        pixels: of each of them.
        patches: of each of them.
        features: what the tower hands to the language model of all of them, each in the place of a token.
        tokens: the image takes of a prompt: features, and marks before, between and after them.
    """

    crops: int
    pixels: int
    patches: int
    features: int
    tokens: int


class Sight(ABC):
    """How a family's processor sees images."""

    __slots__ = ()

    @abstractmethod
    def see(self, width: int, height: int, *, beside: int = 0) -> Seen:
        """What becomes of an image of so many pixels, with so many others beside it in its sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole(Sight):
    """Every image is scaled to one size.

    Attributes:
        side: in pixels.
        marks: tokens around it.
        crops: pictures it is cut into, and filled up to.
    """

    side: int
    patches: int
    features: int
    marks: int = 0
    crops: int = 1

    def see(self, width: int, height: int, *, beside: int = 0) -> Seen:
        """The same for all sizes."""
        del width, height, beside
        return Seen(
            crops=self.crops,
            pixels=self.side**2,
            patches=self.patches,
            features=self.features,
            tokens=self.features + self.marks,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Native(Sight, ABC):
    """An image keeps its shape, its sides made whole tokens.

    Attributes:
        side: of a token, in pixels.
        merged: patches of a token.
        marks: tokens around the image.
        row_marks: tokens after each row.
        padded: patches that every image is filled up to; 0 where it is not.
    """

    side: int
    merged: int
    marks: int = 0
    row_marks: int = 0
    padded: int = 0

    @abstractmethod
    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of tokens."""

    def see(self, width: int, height: int, *, beside: int = 0) -> Seen:
        """One picture, however large."""
        del beside
        columns, rows = self.grid(width, height)
        features = columns * rows
        patches = self.padded or self.merged * features
        return Seen(
            crops=1,
            pixels=patches * self.side**2 // self.merged,
            patches=patches,
            features=features,
            tokens=features + self.row_marks * rows + self.marks,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounded(Native):
    """Sides are rounded to the nearest token, and scaled where the image is then too small or too large (Qwen-VL).

    Attributes:
        least, most: pixels of an image.
        grown: whether a side shorter than a token is first scaled up to one (GLM-4V).
    """

    least: int
    most: int
    grown: bool = False

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of tokens."""
        shorter = min(width, height)
        if self.grown and shorter < self.side:
            width, height = (int(each * (self.side / shorter)) for each in (width, height))
        columns, rows = round(width / self.side), round(height / self.side)
        pixels = columns * rows * self.side**2
        if pixels > self.most:
            shrunk = sqrt(width * height / self.most)
            columns, rows = (max(1, floor(each / shrunk / self.side)) for each in (width, height))
        elif pixels < self.least:
            grown = sqrt(self.least / (width * height))
            columns, rows = (ceil(each * grown / self.side) for each in (width, height))
        return columns, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded(Native):
    """An image whose longer side is too long is scaled down; sides are rounded up to whole tokens (Pixtral).

    Attributes:
        longest: side of an image, in pixels.
    """

    longest: int

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of tokens."""
        ratio = max(1.0, max(width, height) / self.longest)
        columns, rows = (ceil(max(1, int(each / ratio)) / self.side) for each in (width, height))
        return columns, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled(Native):
    """Every image is scaled to as many tokens as there may be, its sides rounded down (Gemma 4).

    Attributes:
        most: tokens of an image.
    """

    most: int

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of tokens; of a strip thinner than one, a single row."""
        ratio = sqrt(self.most * self.side**2 / (width * height))
        columns, rows = (floor(ratio * each / self.side) for each in (width, height))
        if not rows:
            return min(width // height, self.most), 1
        if not columns:
            return 1, min(height // width, self.most)
        return columns, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk(Native):
    """An image with too many patches is scaled down; sides are padded to whole tokens (Kimi).

    Attributes:
        most: patches of an image.
        longest: side of an image, in patches.
    """

    most: int
    longest: int

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of tokens."""
        patch = self.side // round(sqrt(self.merged))
        patches = max(1, width // patch) * max(1, height // patch)
        ratio = min(1.0, sqrt(self.most / patches), self.longest * patch / max(width, height))
        columns, rows = (ceil(max(1, int(each * ratio)) / self.side) for each in (width, height))
        return columns, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiled(Sight, ABC):
    """An image is scaled to a grid of tiles and cut into them; if there are several, it is also seen whole.

    Attributes:
        side: of a tile, in pixels.
        patches, features: of a tile.
        marks: tokens around the image.
        tile_marks: tokens with each of several tiles.
        row_marks: tokens after each row of several tiles.
        least, most: tiles of a grid.
    """

    side: int
    patches: int
    features: int
    marks: int = 0
    tile_marks: int = 0
    row_marks: int = 0
    least: int = 1
    most: int = 1

    @abstractmethod
    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of tiles."""

    def see(self, width: int, height: int, *, beside: int = 0) -> Seen:
        """The tiles and the whole."""
        del beside
        columns, rows = self.grid(width, height)
        tiles = columns * rows
        crops = tiles + 1 if tiles > 1 else 1
        between = tiles * self.tile_marks + rows * self.row_marks if tiles > 1 else 0
        features = crops * self.features
        return Seen(
            crops=crops,
            pixels=self.side**2,
            patches=self.patches,
            features=features,
            tokens=features + between + self.marks,
        )

    @property
    def grids(self) -> list[tuple[int, int]]:
        """All there may be, the smallest first."""
        sides = range(1, self.most + 1)
        grids = ((columns, rows) for columns in sides for rows in sides)
        allowed = (grid for grid in grids if self.least <= grid[0] * grid[1] <= self.most)
        return sorted(allowed, key=lambda grid: grid[0] * grid[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest(Tiled):
    """The grid most like the image in shape; of those alike the larger, if the image fills half of it (InternVL)."""

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of tiles."""
        shape = width / height
        nearest = min(abs(shape - columns / rows) for columns, rows in self.grids)
        alike = [grid for grid in self.grids if abs(shape - grid[0] / grid[1]) == nearest]
        filled = [grid for grid in alike if 2 * width * height > self.side**2 * grid[0] * grid[1]]
        return filled[-1] if filled else alike[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted(Tiled):
    """The grid that the image is least enlarged for, or least reduced where it is larger than all (Llama 4)."""

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of tiles; of grids it is scaled alike for, the smallest."""

        def scale(grid: tuple[int, int]) -> Fraction:
            return min(Fraction(grid[0] * self.side, width), Fraction(grid[1] * self.side, height))

        enlarging = [grid for grid in self.grids if scale(grid) >= 1]
        return min(enlarging, key=scale) if enlarging else max(self.grids, key=scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretched(Tiled):
    """An image is scaled until its longer side is so long, then cut into tiles, the last ones filled (Idefics 3).

    Attributes:
        longer: side, in pixels.
        splits: whether it is cut at all.
    """

    longer: int
    splits: bool = True

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of tiles."""
        if not self.splits:
            return 1, 1
        longer = min(self.longer, _LONGEST)
        shorter = int(longer * min(width, height) / max(width, height))
        shorter += shorter % 2
        columns = ceil(longer / self.side)
        # Scaling to whole tiles keeps the shape that the first scaling has rounded.
        rows = max(1, ceil(columns * self.side * shorter // longer / self.side))
        return (columns, rows) if width >= height else (rows, columns)


# Source: transformers 5.23, models/idefics3/image_processing_idefics3.py, MAX_IMAGE_SIZE.
_LONGEST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpadded(Sight):
    """The canvas that shows most of the image is cut into tiles; what pads it is left out of the features (LLaVA-NeXT).

    Attributes:
        side: of a tile, in pixels.
        across: features along the side of a tile.
        canvases: sizes in pixels, height and width.
        most: tiles whose features are kept, those of more being scaled down; 0 without a limit.
        extra: features of the whole besides its patches (a class token).
        splits_many: whether it is cut if it is not the only one of its sequence.
    """

    side: int
    across: int
    canvases: tuple[tuple[int, int], ...]
    extra: int = 0
    most: int = 0
    splits_many: bool = True

    def see(self, width: int, height: int, *, beside: int = 0) -> Seen:
        """The tiles and the whole; each row of features of the tiles ends in a mark of the model's own."""
        whole = self.across**2
        if beside and not self.splits_many:
            return self._seen(crops=1, features=whole + 1)
        canvas_height, canvas_width = self._canvas(width, height)
        rows, columns = canvas_height // self.side, canvas_width // self.side
        across, down = self._without_padding(width, height, columns * self.across, rows * self.across)
        if self.most:
            ratio = sqrt(across * down / (self.most * whole))
            if ratio > 1.1:
                across, down = int(across // ratio), int(down // ratio)
        return self._seen(crops=rows * columns + 1, features=whole + self.extra + (across + 1) * down)

    def _seen(self, *, crops: int, features: int) -> Seen:
        return Seen(
            crops=crops,
            pixels=self.side**2,
            patches=self.across**2,
            features=features,
            tokens=features,
        )

    def _canvas(self, width: int, height: int) -> tuple[int, int]:
        """That which most of the image's pixels are left on, and which it wastes least of."""

        def shown(canvas: tuple[int, int]) -> tuple[int, int]:
            scale = min(canvas[1] / width, canvas[0] / height)
            pixels = min(int(width * scale) * int(height * scale), width * height)
            return pixels, pixels - canvas[0] * canvas[1]

        return max(self.canvases, key=shown)

    @staticmethod
    def _without_padding(width: int, height: int, across: int, down: int) -> tuple[int, int]:
        if width / height > across / down:
            padding = (down - int(round(height * (across / width), 7))) // 2
            return across, down - 2 * padding
        padding = (across - int(round(width * (down / height), 7))) // 2
        return across - 2 * padding, down


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked(Nearest):
    """As many tiles as cover the image, or the nearest grid if those are too many; padding is masked (Phi-4).

    Attributes:
        patch: its side, in pixels.
    """

    patch: int

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of tiles."""
        columns, rows = ceil(width / self.side), ceil(height / self.side)
        return (columns, rows) if columns * rows <= self.most else Nearest.grid(self, width, height)

    def see(self, width: int, height: int, *, beside: int = 0) -> Seen:
        """The tiles and the whole: rows of both end in a mark, and one stands between them."""
        del beside
        columns, rows = self.grid(width, height)
        across, down = columns * self.side, rows * self.side
        if across / width < down / height:
            padding = 0, down - int(height * (across / width))
        else:
            padding = across - int(width * (down / height)), 0
        # Two patches on each side become one feature.
        seen_across, seen_down = (
            ceil((full // self.patch - empty // self.patch) / 2)
            for full, empty in zip((across, down), padding, strict=True)
        )
        whole = self.side // self.patch // 2
        features = whole * (whole + 1) + (seen_across + 1) * seen_down + 1
        return Seen(
            crops=columns * rows + 1,
            pixels=self.side**2,
            patches=self.patches,
            features=features,
            tokens=features,
        )
