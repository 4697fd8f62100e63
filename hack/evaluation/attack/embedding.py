"""A small network that puts what is shown of a face and its original near each other, trained on other people's faces.

Two towers of one hidden layer each, onto a sphere, trained such that among a batch of pairs each shown face is nearest
to its own original (InfoNCE, van den Oord et al. 2018) by Adam (Kingma and Ba 2015), in NumPy: the pictures are so
small that nothing deeper learns more from a thousand faces, and an attack that anybody can run beats one that needs a
GPU. It knows nothing of the redaction but examples.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluation.attack.faces import Faces, Pixels
from evaluation.attack.likelihood import Redaction
from evaluation.attack.simple import means

Floats = NDArray[np.float32]
SHOWN, ORIGINAL = (8, 10), (8, 10)
"""Cells (across, down) that each tower sees."""
HIDDEN, OUT = 128, 48
TEMPERATURE = 0.1
COPIES = 4
"""Redactions of each training face, so that the network learns what is noise."""
STEPS, BATCH, RATE, DECAY = 400, 256, 2e-3, 1e-4


@dataclass
class Tower:
    """Two layers: weights and biases, with Adam's moments beside them."""

    parameters: list[Floats]
    moments: list[list[Floats]] = field(default_factory=list)

    @classmethod
    def new(cls, inputs: int, random: np.random.Generator) -> Tower:
        """Random weights of the scale that keeps variances (He et al. 2015)."""
        shapes = ((inputs, HIDDEN), (HIDDEN, OUT))
        parameters = []
        for rows, columns in shapes:
            weights = random.standard_normal((rows, columns), np.float32) * np.float32(np.sqrt(2 / rows))
            parameters += [weights, np.zeros(columns, np.float32)]
        return cls(parameters, [[np.zeros_like(one) for one in parameters] for _ in range(2)])

    def forward(self, inputs: Floats) -> tuple[Floats, tuple[Floats, ...]]:
        """Points on the sphere (N, OUT), and what the way back needs."""
        first, first_bias, second, second_bias = self.parameters
        hidden = np.maximum(inputs @ first + first_bias, 0)
        raw = hidden @ second + second_bias
        length = np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-6)
        return raw / length, (inputs, hidden, raw / length, length)

    def backward(self, gradient: Floats, kept: tuple[Floats, ...]) -> list[Floats]:
        """Gradients of the parameters from that of the points."""
        inputs, hidden, points, length = kept
        raw = (gradient - points * (gradient * points).sum(axis=1, keepdims=True)) / length
        below = (raw @ self.parameters[2].T) * (hidden > 0)
        return [inputs.T @ below, below.sum(axis=0), hidden.T @ raw, raw.sum(axis=0)]

    def step(self, gradients: list[Floats], count: int, rate: float) -> None:
        """One step of Adam with decoupled decay."""
        for index, gradient in enumerate(gradients):
            mean, square = self.moments[0][index], self.moments[1][index]
            mean += 0.1 * (gradient - mean)
            square += 0.01 * (gradient * gradient - square)
            change = mean / (1 - 0.9**count) / (np.sqrt(square / (1 - 0.99**count)) + 1e-8)
            self.parameters[index] -= np.float32(rate) * (change + DECAY * self.parameters[index])


@dataclass(frozen=True)
class Network:
    """The trained towers, and how inputs are brought to mean 0 and deviation 1."""

    shown: Tower
    original: Tower
    scales: tuple[tuple[Floats, Floats], tuple[Floats, Floats]]

    def distances(self, shown: Pixels, originals: Pixels) -> Floats:
        """Minus the cosine between each shown box (row) and each original (column), (N, M)."""
        rows, _ = self.shown.forward(_scaled(_inputs(shown, SHOWN), self.scales[0]))
        columns, _ = self.original.forward(_scaled(_inputs(originals, ORIGINAL), self.scales[1]))
        return -(rows @ columns.T)


def train(redact: Redaction, faces: Faces, random: np.random.Generator) -> Network:
    """Learn from faces that are not in the gallery, redacted COPIES times each."""
    copies = np.stack([_inputs(redact(faces, random), SHOWN) for _ in range(COPIES)])
    originals = _inputs(faces.crops(), ORIGINAL)
    scales = _scale(copies.reshape(-1, copies.shape[2])), _scale(originals)
    copies, originals = _scaled(copies, scales[0]), _scaled(originals, scales[1])
    towers = Tower.new(copies.shape[2], random), Tower.new(originals.shape[1], random)
    for count in range(1, STEPS + 1):
        chosen = random.choice(len(faces), min(BATCH, len(faces)), replace=False)
        pairs = copies[random.integers(0, COPIES, len(chosen)), chosen], originals[chosen]
        points, kept = zip(*(tower.forward(side) for tower, side in zip(towers, pairs, strict=True)), strict=True)
        slope = _slope(points[0] @ points[1].T)
        rate = RATE * 0.5 * (1 + np.cos(np.pi * count / STEPS))
        for tower, gradient, back in zip(towers, (slope @ points[1], slope.T @ points[0]), kept, strict=True):
            tower.step(tower.backward(gradient, back), count, rate)
    return Network(*towers, scales)


def _slope(cosines: Floats) -> Floats:
    """Gradient of the loss by the cosines: both ways, who belongs to this face, and which face to this one?"""
    logits = cosines / TEMPERATURE
    target = np.eye(len(logits), dtype=np.float32)
    slope = sum(_softmax(logits, axis) - target for axis in (0, 1))
    return np.asarray(slope / (2 * TEMPERATURE * len(logits)), np.float32)


def _softmax(logits: Floats, axis: int) -> Floats:
    powers = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True), np.float32)


def _inputs(crops: Pixels, grid: tuple[int, int]) -> Floats:
    return means(crops, *grid).reshape(len(crops), -1)


def _scale(inputs: Floats) -> tuple[Floats, Floats]:
    return inputs.mean(axis=0), inputs.std(axis=0) + np.float32(1)


def _scaled(inputs: Floats, scale: tuple[Floats, Floats]) -> Floats:
    return (inputs - scale[0]) / scale[1]
