"""MotionNet: a small network that compares frames by local correlation, for camera motion.

    clip --> per-frame features (stride 4) --> local correlation of chosen frame pairs
                |                                   |
                |                                   v
                |                        one code per pair (shared layers)
                v                                   |
         detail statistics ------------------------>+--> classes

Plain 3-D convolutions must find out by training that motion is a match between frames; here the
match is built in, so the layers only learn to tell the camera's motion from that of objects.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_DETAIL_FLOOR = 0.02  # local contrast, in input units, below which a patch counts as noise


class MotionNet(nn.Module):
    """Classifies the camera's own motion in a short square clip.

    Args:
        num_classes: number of labels.
        num_frames: T, frames in a clip.
        side: height and width of the input, pixels; a multiple of 16.
        features: channels of the per-frame features.
        width: channels of the layers that read correlations.
        code: numbers that describe one frame pair.
        hidden: units of the last hidden layer.
        radius: correlations reach this many cells (of 4 and of 8 pixels) each way.
    """

    cells: Tensor
    coarse_cells: Tensor
    first: Tensor
    second: Tensor

    def __init__(
        self,
        num_classes: int = 9,
        num_frames: int = 8,
        side: int = 64,
        features: int = 32,
        width: int = 64,
        code: int = 96,
        hidden: int = 192,
        radius: int = 2,
    ) -> None:
        super().__init__()
        if side % 16:
            raise ValueError(f"side is {side}; it must be a multiple of 16")
        pairs = frame_pairs(num_frames)
        self.register_buffer("first", torch.tensor([i for i, _ in pairs]), persistent=False)
        self.register_buffer("second", torch.tensor([j for _, j in pairs]), persistent=False)
        self.register_buffer("cells", _neighbours(side // 4, radius), persistent=False)
        self.register_buffer("coarse_cells", _neighbours(side // 8, radius), persistent=False)
        self.num_pairs, self.num_frames = len(pairs), num_frames
        window = (2 * radius + 1) ** 2
        self.features = nn.Sequential(
            _conv(3, features, 8, stride=4, padding=2),
            _conv(features, features, 3),
            nn.Conv2d(features, features, 3, padding=1),
        )
        self.match = _conv(window + 2, width, 1)
        self.pair_bias = nn.Parameter(torch.zeros(self.num_pairs, width, 1, 1))
        self.halve = _conv(width, width, 3, stride=2)
        self.coarse = _conv(width + window, width, 3)
        self.quarter = _conv(width, width, 3, stride=2)
        grid = (side // 16) ** 2
        self.encode = nn.Sequential(nn.Linear(width * grid, code), nn.ReLU())
        self.motion = nn.Linear(code, 4)
        self.appearance = nn.Sequential(nn.Linear(num_frames * (16 + features), 32), nn.ReLU())
        self.head = nn.Sequential(
            nn.Linear(self.num_pairs * code + 32, hidden),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, clip: Tensor) -> Tensor:
        """Classify clips.

        Args:
            clip: normalised RGB, shape (batch, 3, num_frames, side, side).

        Returns:
            Logits, shape (batch, num_classes).
        """
        codes, appearance = self._describe(clip)
        return self._classify(codes, appearance)

    def forward_with_motion(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Classify clips and estimate the motion within each frame pair; for training.

        Returns:
            Logits, shape (batch, num_classes), and the motion of the picture's content from the
            first to the second frame of each of `frame_pairs`, shape (batch, pairs, 4): right and
            down in 1/20 of the side, growth in 1/20 of a natural logarithm, roll in 1/20 rad.
        """
        codes, appearance = self._describe(clip)
        return self._classify(codes, appearance), self.motion(codes)

    def _classify(self, codes: Tensor, appearance: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.cat([codes.flatten(1), appearance], dim=1))
        return logits

    def _describe(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Codes of the frame pairs (batch, pairs, code) and of the appearance (batch, 32)."""
        batch, _, frames, height, width = clip.shape
        pictures = clip.transpose(1, 2).reshape(batch * frames, 3, height, width)
        grey = pictures.mean(dim=1, keepdim=True)
        relative, contrast = _local_contrast(grey)
        features = self.features(torch.cat([grey, relative, contrast], dim=1))
        appearance = self._appearance(contrast, features, batch)
        fine = self._correlate(features, self.cells, batch)
        coarse = self._correlate(functional.avg_pool2d(features, 2), self.coarse_cells, batch)
        detail = torch.cat(self._pair_up(functional.avg_pool2d(contrast, 4), batch), dim=1)
        matched = self.match[0](torch.cat([fine, detail], dim=1))
        matched = matched + self.pair_bias.repeat(batch, 1, 1, 1)
        x = self.halve(functional.relu(self.match[1](matched)))
        x = self.quarter(self.coarse(torch.cat([x, coarse], dim=1)))
        codes = self.encode(x.flatten(1)).reshape(batch, self.num_pairs, -1)
        return codes, appearance

    def _appearance(self, contrast: Tensor, features: Tensor, batch: int) -> Tensor:
        """How much detail each part of each frame shows: what tells a covered lens."""
        detail = functional.adaptive_avg_pool2d(contrast, 4).flatten(1)
        texture = features.abs().mean(dim=(2, 3))
        joined = torch.cat([detail, texture], dim=1).reshape(batch, -1)
        code: Tensor = self.appearance(joined)
        return code

    def _correlate(self, features: Tensor, cells: Tensor, batch: int) -> Tensor:
        """Cosine similarity of each cell with its neighbourhood in the pair's other frame.

        Args:
            features: shape (batch * frames, channels, rows, columns).
            cells: indices into the flattened (cell, padded cell) table; see `_neighbours`.

        Returns:
            Shape (batch * pairs, window, rows, columns).
        """
        rows, columns = features.shape[2], features.shape[3]
        unit = functional.normalize(features, dim=1, eps=1e-3).flatten(2)
        left, right = self._pair_up(unit, batch)
        table = torch.bmm(left.transpose(1, 2), right).flatten(1)
        return table.index_select(1, cells).reshape(left.shape[0], -1, rows, columns)

    def _pair_up(self, frames: Tensor, batch: int) -> tuple[Tensor, Tensor]:
        """First and second frames of all pairs, (batch * pairs, ...) from (batch * frames, ...)."""
        apart = frames.reshape(batch, self.num_frames, *frames.shape[1:])
        first, second = apart.index_select(1, self.first), apart.index_select(1, self.second)
        return first.flatten(0, 1), second.flatten(0, 1)


def frame_pairs(num_frames: int) -> list[tuple[int, int]]:
    """The compared frame pairs: neighbours for fast motion, further apart for slow motion."""
    near = [(i, i + 1) for i in range(num_frames - 1)]
    middle = [(i, i + 3) for i in range(0, num_frames - 3, 4)]
    return [*near, *middle, (0, num_frames - 1)]


def _neighbours(size: int, radius: int) -> Tensor:
    """Indices into a flattened (size^2, size^2) table: for each offset, each cell's neighbour.

    Neighbours outside the picture are replaced by the nearest cell at its edge.
    """
    offsets = torch.arange(-radius, radius + 1)
    row_offset, column_offset = torch.meshgrid(offsets, offsets, indexing="ij")
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    to_row = (row + row_offset.reshape(-1, 1, 1)).clamp(0, size - 1)
    to_column = (column + column_offset.reshape(-1, 1, 1)).clamp(0, size - 1)
    return ((row * size + column) * size**2 + to_row * size + to_column).flatten()


def _local_contrast(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Brightness relative to its surroundings, and the logarithm of the local contrast.

    Exposure, flicker and vignettes cancel out of the first. Shapes (n, 1, height, width).
    """
    centred = grey - _blur(grey)
    energy = _blur(centred * centred)
    deviation = torch.sqrt(energy + _DETAIL_FLOOR**2)
    return centred / deviation, torch.log(deviation)


def _blur(grey: Tensor) -> Tensor:
    """Mean over about 12x12 pixels, smoothly; pooled first, since wide filters are slow."""
    pooled = functional.avg_pool2d(functional.avg_pool2d(grey, 4), 3, 1, 1, count_include_pad=False)
    return functional.interpolate(pooled, scale_factor=4.0, mode="bilinear", align_corners=False)


def _conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int | None = None
) -> nn.Sequential:
    margin = kernel // 2 if padding is None else padding
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, margin, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
