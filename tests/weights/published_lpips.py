# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""LPIPS implemented from its paper with PyTorch's layers, under the published names."""

from collections.abc import Mapping
from pathlib import Path

import torch

# Widths of VGG16's convolutions; "M" halves the picture.
LAYERS = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)
TAPS = (3, 8, 15, 22, 29)  # the ReLU before each pooling, and the last one
WIDTHS = (64, 128, 256, 512, 512)


class Published(torch.nn.Module):
    """LPIPS with random weights that keep the magnitude of activations from layer to layer."""

    def __init__(self, seed: int):
        super().__init__()
        torch.manual_seed(seed)
        layers, width = [], 3
        for each in LAYERS:
            if each == "M":
                layers.append(torch.nn.MaxPool2d(2, 2))
                continue
            conv = torch.nn.Conv2d(width, each, 3, padding=1)
            torch.nn.init.kaiming_normal_(conv.weight)
            torch.nn.init.normal_(conv.bias, std=0.1)
            layers += [conv, torch.nn.ReLU()]
            width = each
        self.features = torch.nn.Sequential(*layers)
        for stage, width in enumerate(WIDTHS):
            linear = torch.nn.Conv2d(width, 1, 1, bias=False)
            torch.nn.init.uniform_(linear.weight)
            module = torch.nn.Module()
            module.model = torch.nn.Sequential(torch.nn.Dropout(), linear)
            setattr(self, f"lin{stage}", module)
        self.eval()

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Distances (b) between two batches of pictures (b 3 h w)."""
        distance = torch.zeros(len(x))
        for stage, (g_x, g_y) in enumerate(zip(self._taps(x), self._taps(y))):
            square = (g_x - g_y) ** 2
            distance = distance + getattr(self, f"lin{stage}").model(square).mean(dim=(1, 2, 3))
        return distance

    def _taps(self, x: torch.Tensor) -> list[torch.Tensor]:
        mean, deviation = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
        mean, deviation = (torch.tensor(each).view(3, 1, 1) for each in (mean, deviation))
        x, taps = (x - mean) / deviation, []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in TAPS:
                taps.append(torch.nn.functional.normalize(x, dim=1, eps=1e-10))
        return taps


def save(tensors: Mapping[str, torch.Tensor], file: Path) -> str:
    """Writes a `.pt` file; returns its path."""
    torch.save(dict(tensors), file)
    return str(file)


def whole(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under the names of a saved module of the `lpips` package."""
    found = {"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}
    for name, tensor in tensors.items():
        part, number, *rest = name.split(".")
        if part == "features":
            of_slice = next(i for i, tap in enumerate(TAPS, start=1) if int(number) <= tap)
            found[f"net.slice{of_slice}.{'.'.join((number, *rest))}"] = tensor
        else:
            found[name] = tensor
            found[name.replace("lin", "lins.", 1)] = tensor
    return found
