"""What the kernels do with whole vectors, written as LLVM's instructions: numba alone is four times slower.

A change here is seen by numba's cache only once `kernels.py` has changed, too.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from explorer.engine.execution.kernel_layout import VECTOR

COLUMNS = (8, 4, 2, 1)  # vectors of a row that stay in registers, as many as there are
ROWS = (8, 1)  # rows of a product that do, two vectors wide
INTEGER, INDEX = ir.IntType(64), ir.IntType(32)


class _Vectors:
    """Loads, stores and sums of vectors in a function that is being built."""

    def __init__(self, builder: Any, number: Any) -> None:
        self.builder, self.number, self.type = builder, number, ir.VectorType(number, VECTOR)
        self._undefined = ir.Constant(self.type, ir.Undefined)
        self._everywhere = ir.Constant(ir.VectorType(INDEX, VECTOR), [0] * VECTOR)

    def at(self, data: Any, *offsets: Any) -> Any:
        """Where a vector lies."""
        for offset in offsets:
            data = self.builder.gep(data, [offset])
        return self.builder.bitcast(data, self.type.as_pointer())

    def load(self, place: Any) -> Any:
        loaded = self.builder.load(place)
        loaded.align = 4
        return loaded

    def store(self, vector: Any, place: Any) -> None:
        self.builder.store(vector, place).align = 4

    def spread(self, value: Any) -> Any:
        """A vector of one number."""
        if isinstance(value.type, ir.IntType):
            value = self.builder.uitofp(value, self.number)
        one = self.builder.insert_element(self._undefined, value, INDEX(0))
        return self.builder.shuffle_vector(one, self._undefined, self._everywhere)

    def add_product(self, total: Any, a: Any, b: Any) -> None:
        """Adds a · b to a variable."""
        product = self.builder.fmul(a, b, flags=("contract",))
        sum_ = self.builder.fadd(self.builder.load(total), product, flags=("contract",))
        self.builder.store(sum_, total)

    def chunks(self, end: Any, sizes: tuple[int, ...], scale: int, work: Callable[[Any, int], None]) -> None:
        """Calls work(first, size) for as many whole chunks as there are, the largest ones first."""
        builder = self.builder
        done = cgutils.alloca_once_value(builder, INTEGER(0))
        for size in sizes:
            test, body, after = (builder.append_basic_block(name) for name in ("test", "body", "after"))
            builder.branch(test)
            builder.position_at_end(test)
            first = builder.load(done)
            stop = builder.add(first, INTEGER(size * scale))
            builder.cbranch(builder.icmp_signed("<=", stop, end), body, after)
            builder.position_at_end(body)
            work(first, size)
            builder.store(stop, done)
            builder.branch(test)
            builder.position_at_end(after)


def _arrays(context: Any, builder: Any, sig: Any, args: Any) -> list[Any]:
    pairs = [(t, a) for t, a in zip(sig.args, args, strict=True) if isinstance(t, types.Array)]
    return [context.make_array(kind)(context, builder, value) for kind, value in pairs]


@intrinsic
def add_rows(typing: Any, out: Any, table: Any, index: Any, value: Any, start: Any, stop: Any) -> Any:  # noqa: ARG001
    """Adds value[i] · table[index[i]] to `out` for start ≤ i < stop.

    Args:
        typing: numba's.
        out: [columns], whole vectors.
        table: [rows, columns].
        index: unsigned integers.
        value: as long; numbers like those of the table, or unsigned integers.
        start: the first place in both.
        stop: the place behind the last.
    """
    signature = types.void(out, table, index, value, types.intp, types.intp)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        to, rows, places, factors = _arrays(context, builder, sig, args)
        vectors = _Vectors(builder, context.get_value_type(sig.args[0].dtype))
        columns = cgutils.unpack_tuple(builder, rows.shape, 2)[1]

        def add(first: Any, many: int) -> None:
            targets = [vectors.at(to.data, first, INTEGER(k * VECTOR)) for k in range(many)]
            sums = [cgutils.alloca_once_value(builder, vectors.load(target)) for target in targets]
            with cgutils.for_range_slice(builder, args[4], args[5], INTEGER(1)) as (i, _):
                row = builder.zext(builder.load(builder.gep(places.data, [i])), INTEGER)
                factor = vectors.spread(builder.load(builder.gep(factors.data, [i])))
                begin = builder.add(builder.mul(row, columns), first)
                for k, total in enumerate(sums):
                    source = vectors.at(rows.data, begin, INTEGER(k * VECTOR))
                    vectors.add_product(total, factor, vectors.load(source))
            for target, total in zip(targets, sums, strict=True):
                vectors.store(builder.load(total), target)

        vectors.chunks(columns, COLUMNS, VECTOR, add)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def multiply(typing: Any, out: Any, a: Any, b: Any, turned: Any) -> Any:  # noqa: ARG001
    """Adds a · b to `out`, or aᵀ · b where `a` is turned: a product of small dense matrices.

    Args:
        typing: numba's.
        out: [m, n], n whole vectors.
        a: [m, k and more], or turned [k, m and more].
        b: [k, n].
        turned: whether it is.
    """
    signature = types.void(out, a, b, types.boolean)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        to, left, right = _arrays(context, builder, sig, args)
        vectors = _Vectors(builder, context.get_value_type(sig.args[0].dtype))
        rows, columns = cgutils.unpack_tuple(builder, to.shape, 2)
        (depth, _), (_, width) = (cgutils.unpack_tuple(builder, each.shape, 2) for each in (right, left))
        per_row = builder.select(args[3], INTEGER(1), width)
        per_step = builder.select(args[3], width, INTEGER(1))

        def tile(top: Any, high: int, edge: Any, wide: int) -> None:
            lines = [builder.mul(builder.add(top, INTEGER(r)), columns) for r in range(high)]
            targets = [
                vectors.at(to.data, ln, edge, INTEGER(v * VECTOR)) for ln in lines for v in range(wide)
            ]
            sums = [cgutils.alloca_once_value(builder, vectors.load(target)) for target in targets]
            corner = builder.gep(left.data, [builder.mul(top, per_row)])
            with cgutils.for_range(builder, depth) as step:
                line = builder.mul(step.index, columns)
                sources = [vectors.at(right.data, line, edge, INTEGER(v * VECTOR)) for v in range(wide)]
                loaded = [vectors.load(source) for source in sources]
                here = builder.gep(corner, [builder.mul(step.index, per_step)])
                for r in range(high):
                    factor = builder.load(builder.gep(here, [builder.mul(INTEGER(r), per_row)]))
                    spread = vectors.spread(factor)
                    for v, vector in enumerate(loaded):
                        vectors.add_product(sums[r * wide + v], spread, vector)
            for target, total in zip(targets, sums, strict=True):
                vectors.store(builder.load(total), target)

        def strip(edge: Any, wide: int) -> None:
            vectors.chunks(rows, ROWS, 1, lambda top, high: tile(top, high, edge, wide))

        vectors.chunks(columns, (2, 1), VECTOR, strip)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def part_of(typing: Any, flat: Any, at: Any, rows: Any, columns: Any) -> Any:  # noqa: ARG001
    """Part of a flat array as a table [rows, columns], whose users nobody counts.

    Args:
        typing: numba's.
        flat: of one dimension.
        at: where the table begins.
        rows: of the table.
        columns: of the table.
    """
    kind = types.Array(flat.dtype, 2, "C")

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        (source,) = _arrays(context, builder, sig, args)
        table, size = context.make_array(kind)(context, builder), source.itemsize
        shape, strides = [args[2], args[3]], [builder.mul(args[3], size), size]
        populate_array(table, builder.gep(source.data, [args[1]]), shape, strides, size, meminfo=None)
        return table._getvalue()

    return kind(flat, types.intp, types.intp, types.intp), generate


@intrinsic
def borrowed(typing: Any, value: Any) -> Any:  # noqa: ARG001
    """The same arrays, whose users nobody counts: counting takes longer than a row of numbers.

    Args:
        typing: numba's.
        value: a tuple of arrays and others, which the caller keeps alive.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def bare(kind: Any, value: Any) -> Any:
            if isinstance(kind, types.BaseTuple):
                parts = zip(kind, cgutils.unpack_tuple(builder, value, len(kind)), strict=True)
                return context.make_tuple(builder, kind, [bare(*part) for part in parts])
            if not isinstance(kind, types.Array):
                return value
            array = context.make_array(kind)(context, builder, value)
            for owner in ("meminfo", "parent"):
                setattr(array, owner, cgutils.get_null_value(getattr(array, owner).type))
            return array._getvalue()

        return bare(sig.args[0], args[0])

    return value(value), generate


@intrinsic
def prefetch(typing: Any, array: Any, place: Any) -> Any:  # noqa: ARG001
    """Asks for a place of an array that will be read soon: images lie anywhere in memory.

    Args:
        typing: numba's.
        array: of one dimension.
        place: which element.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        (source,) = _arrays(context, builder, sig, args)
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, INDEX, INDEX, INDEX])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        pointer = builder.bitcast(builder.gep(source.data, [args[1]]), byte)
        builder.call(function, [pointer, INDEX(0), INDEX(3), INDEX(1)])  # to read, into all caches, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
