"""JAX: an epoch is one compiled `lax.scan` over its steps, data and weights resident, variants by `vmap`.

How weights lie and how variants are combined are left open, as what is fastest differs between machines:
`throughput.py` tries each and keeps the fastest. Images are resident as floats; kept as uint8 and converted
in the step they took as long for one variant, and three times as long for 16.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from peers.work import LR, MAX_NORM, Peer, Work


class Way(NamedTuple):
    """One way to write it in JAX."""

    outputs_first: bool = True  # weights [out, in], as in Equinox; else [in, out], as in Flax
    mapped: bool = False  # variants one after the other inside the compiled epoch; else side by side
    threads: bool = True  # XLA may use all cores in a product; `race.py` says it to the process


def jax_epochs(work: Work, way: Way) -> Peer:
    """Compiled at the first call of `train`; weights are donated, so that none is copied."""
    device = jax.devices("gpu" if work.device == "cuda" else "cpu")[0]
    x, y = (jax.device_put(a, device) for a in (work.inputs, work.labels.astype(np.int32)))
    masks = _stacked(way, work.masks)
    first = {name: np.stack([value] * work.lanes) for name, value in _turned(work.initial, way).items()}
    first = {name: value * masks.get(name, 1) for name, value in first.items()}
    epoch = jax.jit(partial(_epoch, way, work.batch), donate_argnums=0)
    masks = jax.device_put(masks, device)
    rng, theta = np.random.default_rng(0), {}

    def prepare() -> None:
        theta.update(jax.block_until_ready(jax.device_put(first, device)))

    def train() -> None:
        for _ in range(work.epochs):
            order = rng.permutation(len(y)) if work.order is None else work.order
            theta.update(epoch(theta, masks, (order.astype(np.int32), x, y)))
        jax.block_until_ready(theta)

    return Peer(prepare, train, lambda: _turned({n: np.asarray(v) for n, v in theta.items()}, way))


def _epoch(way: Way, size: int, theta: dict, masks: dict, data: tuple[jax.Array, ...]) -> dict:
    """All steps of an epoch for all variants; the last batch may be smaller, none is dropped."""
    order, x, y = data
    whole = len(order) // size * size

    def steps(theta: dict, masks: dict, step):
        def body(theta: dict, chosen: jax.Array):
            return step(theta, masks, x[chosen], y[chosen]), None

        theta, _ = lax.scan(body, theta, order[:whole].reshape(-1, size))
        return body(theta, order[whole:])[0] if whole < len(order) else theta

    step = partial(_step, way)
    if len(theta["fc1.weight"]) == 1:  # one variant does not pay for a dimension of lanes
        one = steps(*jax.tree.map(lambda value: value[0], (theta, masks)), step)
        return jax.tree.map(lambda value: value[None], one)
    if way.mapped:
        return lax.map(lambda lane: steps(*lane, step), (theta, masks))
    return steps(theta, masks, jax.vmap(step, in_axes=(0, 0, None, None)))


def _step(way: Way, theta: dict, masks: dict, x: jax.Array, y: jax.Array) -> dict:
    gradient = jax.grad(partial(_loss, way))(theta, x, y)
    gradient = {name: g * masks[name] if name in masks else g for name, g in gradient.items()}
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in gradient.values()))
    rate = LR * jnp.minimum(1.0, MAX_NORM / (norm + 1e-6))
    return {name: value - rate * gradient[name] for name, value in theta.items()}


def _loss(way: Way, theta: dict, x: jax.Array, y: jax.Array) -> jax.Array:
    def linear(name: str, x: jax.Array) -> jax.Array:
        weight = theta[f"{name}.weight"]
        return x @ (weight.T if way.outputs_first else weight) + theta[f"{name}.bias"]

    logits = linear("fc2", jax.nn.relu(linear("fc1", x)))
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * jax.nn.one_hot(y, 10), -1))


def _stacked(way: Way, lanes: list) -> dict[str, np.ndarray]:
    turned = [_turned(lane, way) for lane in lanes]
    return {name: np.stack([lane[name] for lane in turned]) for name in turned[0]}


def _turned(named: dict[str, np.ndarray], way: Way) -> dict[str, np.ndarray]:
    """From torch's [out, in] to this way's and back; biases stay."""
    if way.outputs_first:
        return named
    return {n: np.ascontiguousarray(v.swapaxes(-1, -2)) if "weight" in n else v for n, v in named.items()}
