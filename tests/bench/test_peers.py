"""The programs that bench/speed/epoch.py compares with train what lettergpu trains."""

from dataclasses import replace

import numpy as np
import peers
import pytest

from lettergpu.cli.benchmark import Task, letters, training
from lettergpu.config import Config
from lettergpu.nn.draws import stream, uniforms
from lettergpu.nn.pixels import assemble
from lettergpu.nn.warps import composed
from lettergpu.training.distortions import draw_maps

PROGRAMS = ("torch", "jax")


@pytest.fixture(scope="module")
def task():
    config = replace(Config(), hidden=(32, 16), augment="none", schedule="constant", warmup=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LETTERGPU_EMNIST", raising=False)
        images, labels, _ = letters(256)
    return Task(config, images, labels)


def program(name):
    pytest.importorskip(name)
    return pytest.importorskip(f"{name}_peers")


@pytest.mark.parametrize(
    ("name", "way", "recipe"),
    [
        ("torch", "torch_eager", "default"),
        ("torch", "torch_eager", "report"),
        ("torch", "torch_compiled", "default"),  # compiling takes long: once is enough
        ("jax", "jax_scan", "default"),
        ("jax", "jax_scan", "report"),
    ],
)
def test_a_peer_learns_what_lettergpu_learns_from_undistorted_letters(name, way, recipe, task):
    module = program(name)
    if recipe == "report":
        task = replace(task, config=replace(Config.recipe("report"), hidden=(32, 16), augment="none"))
    ours, other = training(task), getattr(module, way)(task)
    loss, accuracy = ours(1)
    assert np.allclose(other(1), (loss, accuracy), rtol=1e-5, atol=1e-5)  # one batch, of the same parameters
    for epoch in range(2, 6):  # of what was learnt from it
        assert np.allclose(other(epoch)[0], ours(epoch)[0], rtol=1e-4)
    assert ours(6)[0] < loss


def drawn_of(task, seed):
    """The numbers that lettergpu draws for an epoch's distortions, (n, DRAWN)."""
    rows = np.arange(len(task.labels))
    return np.concatenate(
        [uniforms(rows, 6, stream(seed, "affine", 1)), uniforms(rows, 50, stream(seed, "elastic", 1))], 1
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_drawn_numbers_move_a_letter_to_the_same_pixels(name, task):
    module = program(name)
    rows, config = np.arange(len(task.labels)), replace(task.config, augment="elastic")
    maps = composed(task.frames(), draw_maps(rows, config, 3, 1))
    expected = assemble(task.images, rows, maps, np.float32)
    drawn, frames = drawn_of(task, 3), task.frames()
    if name == "torch":
        import torch

        theirs = peers.distortions(torch.tensor(drawn), torch.tensor(frames), config)
        pixels = module.torch_pixels(torch.tensor(task.images), theirs, torch.tensor(peers.basis(theirs.shape[2])))
    else:
        import jax.numpy as jnp

        theirs = peers.distortions(jnp.asarray(drawn), jnp.asarray(frames), config)
        pixels = module.jax_pixels(jnp.asarray(task.images), theirs)
    assert np.allclose(np.asarray(theirs), maps, atol=1e-5)
    assert np.abs(np.asarray(pixels) - expected).max() < 1e-4
    assert np.abs(expected - assemble(task.images, rows, frames, np.float32)).max() > 0.5


@pytest.mark.parametrize(("name", "way"), [("torch", "torch_eager"), ("jax", "jax_scan")])
def test_a_peer_distorts_anew_each_epoch(name, way, task):
    still = replace(task, config=replace(task.config, learning_rate=1e-30))  # so that letters alone change the loss
    bent = replace(still, config=replace(still.config, augment="elastic"))
    module = program(name)
    epochs = {kind: getattr(module, way)(of) for kind, of in (("still", still), ("bent", bent))}
    losses = {kind: [epoch(number)[0] for number in (1, 2)] for kind, epoch in epochs.items()}
    assert np.isclose(*losses["still"], rtol=1e-6)
    assert not np.isclose(*losses["bent"], rtol=1e-6)
