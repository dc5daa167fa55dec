"""A loop over blocks, and functions of batches, with derivatives of any order that are compiled as they are.

TensorFlow's own gradient of a loop keeps what every step computed, and adds up the gradients of all that the loop
reads as if each step had read the whole, which is quadratic in the number of steps. Here a step is computed again from
what it began with, and its gradient is a loop of the same kind, so that it has a gradient in turn.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

Tensors = list[Any]
#: ``step(carry, x, fixed) -> (carry, y)``
Step = Callable[[Tensors, Tensors, Tensors], tuple[Tensors, Tensors]]
Shape = tuple[tf.DType, tf.TensorShape]


def scan(
    step: Step, carry: Sequence[Any], xs: Sequence[Any], fixed: Sequence[Any] = (), *, backward: bool = False
) -> tuple[Tensors, Tensors]:
    """Go through the rows of `xs`, each step handing on to the next.

    Parameters
    ----------
    step : callable
        ``step(carry, x, fixed) -> (carry, y)``, lists of tensors all; what it computes from must be among these.
    carry : sequence of tensors
        What the first step begins with.
    xs : sequence of tensors, shape (n_steps, ...)
    fixed : sequence of tensors, shape (n_steps, ...)
        Rows as those of `xs`, with regard to which there is no gradient.
    backward : bool, default False
        Begin with the last rows.

    Returns
    -------
    carry, ys : list of tensors
        What the last step handed on, and each of the steps' y, (n_steps, ...).

    Examples
    --------
    >>> add = lambda carry, x, fixed: ([carry[0] + x[0] ** 2], [carry[0]])
    >>> x = tf.constant([1.0, 2.0, 3.0])
    >>> with tf.GradientTape() as tape:
    ...     tape.watch(x)
    ...     (total,), (before,) = scan(add, [tf.constant(0.0)], [x])
    >>> float(total), before.numpy().tolist(), tape.gradient(total, x).numpy().tolist()
    (14.0, [0.0, 1.0, 5.0], [2.0, 4.0, 6.0])
    """
    first = [[each[0] for each in rows] for rows in (xs, fixed)]
    results = _scanned(step, _shapes(step(list(carry), *first)[1]), list(carry), list(xs), fixed, backward)
    return results[: len(carry)], results[len(carry) :]


def _scanned(
    step: Step, of_y: list[Shape], carry: Tensors, xs: Tensors, fixed: Sequence[Any], backward: bool
) -> Tensors:
    """`scan`, of a step whose y have these shapes: one that is traced only to learn them takes as long as the loop."""
    n_carry = len(carry)

    def keeping(carry: Tensors, x: Tensors, fixed: Tensors) -> tuple[Tensors, Tensors]:
        after, y = step(carry, x, fixed)
        return after, [*carry, *y]

    @tf.custom_gradient
    def run(*arguments: Any) -> Any:
        begin, rows = list(arguments[:n_carry]), list(arguments[n_carry:])
        end, kept = _loop(keeping, [*_shapes(begin), *of_y], begin, rows, fixed, backward)

        def gradient(*upstream: Any) -> Tensors:
            back = functools.partial(_step_back, keeping, n_carry, len(rows))
            # the results as the function gave them, whose derivative is this one in turn; that of `kept` would be
            # TensorFlow's own gradient of the loop
            read = [*results[n_carry : 2 * n_carry], *rows, *upstream[n_carry:]]
            of_rows = _shapes([each[0] for each in rows])
            return _scanned(back, of_rows, list(upstream[:n_carry]), read, fixed, not backward)

        return [*end, *kept], gradient

    results = run(*carry, *xs)
    return [*results[:n_carry], *results[2 * n_carry :]]


def _shapes(tensors: Tensors) -> list[Shape]:
    return [(each.dtype, each.shape) for each in tensors]


def _step_back(
    step: Step, n_carry: int, n_xs: int, upstream: Tensors, read: Tensors, fixed: Tensors
) -> tuple[Tensors, Tensors]:
    """The gradient of a step: from that of what it handed on to that of what it began with, and of its rows."""
    inputs, of_y = read[: n_carry + n_xs], read[n_carry + n_xs :]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        after, y = step(inputs[:n_carry], inputs[n_carry:], fixed)
        outputs = [*after, *y]
    gradients = tape.gradient(outputs, inputs, [*upstream, *of_y], tf.UnconnectedGradients.ZERO)
    return gradients[:n_carry], gradients[n_carry:]


def _loop(
    step: Step, of_y: list[Shape], carry: Tensors, xs: Tensors, fixed: Sequence[Any], backward: bool
) -> tuple[Tensors, Tensors]:
    """`scan` as a plain loop of TensorFlow, which is never differentiated."""
    n_steps = int((xs or list(fixed))[0].shape[0])
    written = [tf.TensorArray(dtype, n_steps, element_shape=shape) for dtype, shape in of_y]

    def body(number: Any, carry: Tensors, written: Any) -> tuple[Any, Tensors, Any]:
        place = n_steps - 1 - number if backward else number
        rows = [[tf.gather(each, place) for each in group] for group in (xs, fixed)]
        after, ys = step(carry, *rows)
        return number + 1, after, [array.write(place, y) for array, y in zip(written, ys, strict=True)]

    _, carry, written = tf.while_loop(
        lambda number, *_: number < n_steps, body, (0, carry, written), maximum_iterations=n_steps
    )
    return carry, [array.stack() for array in written]


def in_chunks(function: Callable[..., Any], size: int) -> Callable[..., Any]:
    """A function of batches as one that is compiled once, for `size` rows, with derivatives of any order.

    Parameters
    ----------
    function : callable
        Maps float64 tensors (size, ...) to one, or a tuple of them, (size, ...); no row acts on another. Its results
        have a shape that is known beforehand.
    size : int
        Rows that it is given at a time; the last chunk is filled up with its first row.

    Returns
    -------
    callable
        The same for any number of rows. XLA compiles the function, and each derivative when it is first asked for.

    Examples
    --------
    >>> cube = in_chunks(lambda x: x**3, 4)
    >>> x = tf.constant([1.0, 2.0, 3.0, 4.0, 5.0], tf.float64)
    >>> with tf.GradientTape() as second, tf.GradientTape() as first:
    ...     second.watch(x)
    ...     first.watch(x)
    ...     y = cube(x)
    ...     gradient = first.gradient(y, x)
    >>> y.numpy().tolist(), second.gradient(gradient, x).numpy().tolist()
    ([1.0, 8.0, 27.0, 64.0, 125.0], [6.0, 12.0, 18.0, 24.0, 30.0])
    """
    compiled = tf.function(function, jit_compile=True, autograph=False)

    @functools.cache
    def derivative(n_arguments: int) -> Callable[..., Any]:
        return in_chunks(functools.partial(_vector_jacobian, function, n_arguments), size)

    @tf.custom_gradient
    def call(*arguments: Any) -> Any:
        def gradient(*upstream: Any) -> Any:
            return derivative(len(arguments))(*arguments, *upstream)

        # a tape that saw through it would have XLA hand out what its loops keep, which it cannot
        return _by_chunks(compiled, size, [tf.stop_gradient(each) for each in arguments]), gradient

    return call


def _vector_jacobian(function: Callable[..., Any], n_arguments: int, *given: Any) -> Any:
    """The gradient of a function's results, weighed by what follows its arguments, with regard to these."""
    arguments, upstream = list(given[:n_arguments]), list(given[n_arguments:])
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        results = tf.nest.flatten(function(*arguments))
    gradients = tape.gradient(results, arguments, upstream, tf.UnconnectedGradients.ZERO)
    return gradients[0] if n_arguments == 1 else tuple(gradients)


def _by_chunks(compiled: Any, size: int, arrays: Sequence[Any]) -> Any:
    n = tf.shape(arrays[0])[0]
    n_chunks = (n + size - 1) // size
    # rows beyond the last are the first again, so that nothing odd is computed
    index = tf.reshape(tf.range(n_chunks * size) % tf.maximum(n, 1), (n_chunks, size))
    one = compiled.get_concrete_function(*(tf.TensorSpec((size, *each.shape[1:]), each.dtype) for each in arrays))
    signature = tf.nest.map_structure(lambda result: tf.TensorSpec(result.shape, result.dtype), one.structured_outputs)
    results = tf.map_fn(
        lambda rows: compiled(*(tf.gather(each, rows) for each in arrays)), index, fn_output_signature=signature
    )
    return tf.nest.map_structure(lambda each: tf.reshape(each, (-1, *each.shape[2:]))[:n], results)
