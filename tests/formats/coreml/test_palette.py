"""Palettes: how near they are to the weights, beside scikit-learn's k-means and the theory."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.formats.coreml.compress.palette import palettize

GENERATOR = np.random.default_rng(0)
COUNTS = (512, 2048, 16384, 200_000)


def normal(count: int) -> np.ndarray:
    return GENERATOR.normal(0, 0.1, count)


def heavy_tailed(count: int) -> np.ndarray:
    return GENERATOR.standard_t(3, count) * 0.05


def with_outliers(count: int) -> np.ndarray:
    far = np.where(GENERATOR.random(count) < 1e-3, 100, 1)
    return GENERATOR.normal(0, 0.05, count) * far


def error(weights: np.ndarray, palette: np.ndarray, indices: np.ndarray) -> float:
    found = palette[indices].astype(np.float64)
    return float(np.linalg.norm(found - weights) / np.linalg.norm(weights.astype(np.float64)))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("bits", [3, 4, 6, 8])
def test_normal_weights_are_as_near_as_theory_says(count, bits):
    weights = normal(count).astype(np.float16)
    palette, indices = palettize(weights, bits)
    assert palette.shape == (1 << bits,)
    assert (np.diff(palette.astype(np.float32)) >= 0).all()
    best = np.sqrt(np.sqrt(3) * np.pi / 2 / 4**bits)  # Panter and Dite, for very many weights
    assert error(weights, palette, indices) < 1.05 * best


@pytest.mark.parametrize("distribution", [normal, heavy_tailed, with_outliers])
@pytest.mark.parametrize("bits", [2, 4, 6])
def test_no_worse_than_k_means_of_scikit_learn(distribution, bits):
    cluster = pytest.importorskip("sklearn.cluster")
    weights = distribution(4096).astype(np.float16)
    column = weights.astype(np.float64).reshape(-1, 1)
    peer = cluster.KMeans(1 << bits, n_init=1, random_state=0).fit(column)
    theirs = np.sqrt(peer.inertia_) / np.linalg.norm(column)
    assert error(weights, *palettize(weights, bits)) < 1.06 * theirs


def test_every_weight_takes_the_nearest_value():
    weights = heavy_tailed(5000).astype(np.float16)
    palette, indices = palettize(weights.reshape(50, 100), 4)
    assert indices.shape == (50, 100)
    apart = np.abs(weights.astype(np.float32)[:, None] - palette.astype(np.float32))
    chosen = apart[np.arange(5000), indices.ravel()]
    np.testing.assert_allclose(chosen, apart.min(1), atol=1e-6)


@pytest.mark.parametrize("values", [[0.0], [-0.0, 0.0], [1.5, -2.0], list(range(-8, 8))])
def test_few_values_are_kept_as_they_are(values):
    weights = np.tile(np.array(values, np.float16), 40)
    palette, indices = palettize(weights, 4)
    np.testing.assert_array_equal(palette[indices], weights)


def test_more_values_than_the_palette_holds_and_two_zeros():
    weights = np.round(normal(4096) * 10).astype(np.float16) / np.float16(10)
    weights[:2] = -0.0
    palette, indices = palettize(weights, 2)
    assert np.isfinite(palette).all()
    assert error(weights, palette, indices) < 0.4
