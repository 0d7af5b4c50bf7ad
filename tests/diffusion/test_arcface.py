"""A face is aligned as ArcFace was trained and described by the network that is given."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from limner.errors import NetworkMissing, NetworkUnfit
from limner.stages.arcface import TEMPLATE, ArcFace, align, similarity
from limner.stages.face import Face
from tests.diffusion import tiny

RANDOM = np.random.default_rng(2)


def face_at(points: np.ndarray) -> Face:
    return Face((0, 0, 1, 1), points.astype(np.float32), 1.0)


def test_a_turned_scaled_and_moved_template_is_found_again() -> None:
    """The expected matrix is the inverse of the motion that made the points."""
    angle, scale, shift = 0.4, 2.5, np.array([30.0, -12.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = scale * TEMPLATE @ turn.T + shift
    found = similarity(points, TEMPLATE)
    np.testing.assert_allclose(found[:, :2], turn.T / scale, atol=1e-9)
    np.testing.assert_allclose(found[:, 2], -turn.T @ shift / scale, atol=1e-9)


def test_a_mirrored_face_is_turned_and_never_mirrored() -> None:
    found = similarity(TEMPLATE * [-1, 1], TEMPLATE)
    assert np.linalg.det(found[:, :2]) > 0


def test_the_aligned_face_has_its_landmarks_on_the_template() -> None:
    photo = np.zeros((300, 300, 3), np.uint8)
    points = TEMPLATE * 1.5 + [40, 60]
    for index, (x, y) in enumerate(points):
        cv2.circle(photo, (round(x), round(y)), 4, (50 * index + 50,) * 3, -1)
    for side in (112, 224):
        aligned = align(photo, face_at(points), side)
        for index, (x, y) in enumerate(TEMPLATE * side / 112):
            assert aligned[round(y), round(x)].tolist() == [50 * index + 50] * 3


def test_an_embedding_is_the_networks_answer_of_length_one(weights: Path) -> None:
    """Computed once more by hand from the network's own tensors: RGB, (x − 127.5) / 127.5."""
    import onnx
    from onnx import numpy_helper

    photo = RANDOM.integers(0, 256, (112, 112, 3), dtype=np.uint8)
    path = weights / tiny.ARCFACE
    embedding = ArcFace(path, 1).embed(photo, face_at(TEMPLATE))
    tensors = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    pixels = (photo.astype(np.float32) - 127.5) / 127.5
    blocks = pixels.reshape(7, 16, 7, 16, 3).transpose(0, 2, 4, 1, 3).reshape(49, 768)
    seen = np.maximum(blocks @ tensors["w"].reshape(8, 768).T, 0).T.reshape(-1)
    expected = tensors["fc"] @ seen
    np.testing.assert_allclose(embedding, expected / np.linalg.norm(expected), atol=1e-5)
    assert abs(np.linalg.norm(embedding) - 1) < 1e-6


def test_what_is_no_recogniser_is_refused(weights: Path, networks: Path, tmp_path: Path) -> None:
    with pytest.raises(NetworkMissing):
        ArcFace(tmp_path / "gone.onnx", 1)
    with pytest.raises(NetworkUnfit, match="512 numbers"):
        ArcFace(next(networks.rglob("modnet*.onnx")), 1)
