"""What the kernels do with whole vectors, written as LLVM's instructions: numba alone is four times slower.

numba's cache looks at `numba_kernels.py` alone: a change here or in `kernel_layout.py` takes effect only once
that file has changed, too.
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
ROWS = (8, 1)  # rows of a matrix product that stay there, two vectors wide
INTEGER, INDEX = ir.IntType(64), ir.IntType(32)


class _Vectors:
    """Loads, stores and sums of vectors in a function that is being built."""

    def __init__(self, builder: Any, number: Any) -> None:
        self.builder, self.number, self.type = builder, number, ir.VectorType(number, VECTOR)
        self._undefined = ir.Constant(self.type, ir.Undefined)
        self._all_first = ir.Constant(ir.VectorType(INDEX, VECTOR), [0] * VECTOR)

    def pointer(self, data: Any, *offsets: Any) -> Any:
        """Point to a vector."""
        for offset in offsets:
            data = self.builder.gep(data, [offset])
        return self.builder.bitcast(data, self.type.as_pointer())

    def load(self, pointer: Any) -> Any:
        vector = self.builder.load(pointer)
        vector.align = 4  # numbers, not vectors: numpy promises no more
        return vector

    def store(self, vector: Any, pointer: Any) -> None:
        self.builder.store(vector, pointer).align = 4

    def splat(self, value: Any) -> Any:
        """Make a vector of one number."""
        if isinstance(value.type, ir.IntType):
            value = self.builder.uitofp(value, self.number)
        one = self.builder.insert_element(self._undefined, value, INDEX(0))
        return self.builder.shuffle_vector(one, self._undefined, self._all_first)

    def add_product(self, total: Any, a: Any, b: Any) -> None:
        """Add a · b to a variable."""
        product = self.builder.fmul(a, b, flags=("contract",))
        sum_ = self.builder.fadd(self.builder.load(total), product, flags=("contract",))
        self.builder.store(sum_, total)

    def chunks(self, end: Any, sizes: tuple[int, ...], scale: int, work: Callable[[Any, int], None]) -> None:
        """Call work(first, size) for as many whole chunks as there are, the largest ones first."""
        builder = self.builder
        position = cgutils.alloca_once_value(builder, INTEGER(0))
        for size in sizes:
            test, body, after = (builder.append_basic_block(name) for name in ("test", "body", "after"))
            builder.branch(test)
            builder.position_at_end(test)
            first = builder.load(position)
            stop = builder.add(first, INTEGER(size * scale))
            builder.cbranch(builder.icmp_signed("<=", stop, end), body, after)
            builder.position_at_end(body)
            work(first, size)
            builder.store(stop, position)
            builder.branch(test)
            builder.position_at_end(after)


def _arrays(context: Any, builder: Any, sig: Any, args: Any) -> list[Any]:
    """Return the structs of those arguments that are arrays."""
    pairs = [(t, a) for t, a in zip(sig.args, args, strict=True) if isinstance(t, types.Array)]
    return [context.make_array(kind)(context, builder, value) for kind, value in pairs]


@intrinsic
def add_rows(typing: Any, out: Any, table: Any, index: Any, value: Any, start: Any, stop: Any) -> Any:  # noqa: ARG001
    """Add value[i] · table[index[i]] to `out` for start ≤ i < stop.

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
        to, rows, indices, factors = _arrays(context, builder, sig, args)
        vectors = _Vectors(builder, context.get_value_type(sig.args[0].dtype))
        columns = cgutils.unpack_tuple(builder, rows.shape, 2)[1]

        def add(first: Any, many: int) -> None:
            targets = [vectors.pointer(to.data, first, INTEGER(k * VECTOR)) for k in range(many)]
            sums = [cgutils.alloca_once_value(builder, vectors.load(target)) for target in targets]
            with cgutils.for_range_slice(builder, args[4], args[5], INTEGER(1)) as (i, _):
                row = builder.zext(builder.load(builder.gep(indices.data, [i])), INTEGER)
                factor = vectors.splat(builder.load(builder.gep(factors.data, [i])))
                begin = builder.add(builder.mul(row, columns), first)
                for k, total in enumerate(sums):
                    source = vectors.pointer(rows.data, begin, INTEGER(k * VECTOR))
                    vectors.add_product(total, factor, vectors.load(source))
            for target, total in zip(targets, sums, strict=True):
                vectors.store(builder.load(total), target)

        vectors.chunks(columns, COLUMNS, VECTOR, add)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def multiply(typing: Any, out: Any, a: Any, b: Any, transpose: Any) -> Any:  # noqa: ARG001
    """Add a · b to `out`, or aᵀ · b: a product of small dense matrices.

    Args:
        typing: numba's.
        out: [m, n], n whole vectors.
        a: [m, k and more], or to be transposed [k, m and more].
        b: [k, n].
        transpose: whether a is to be.
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
                vectors.pointer(to.data, ln, edge, INTEGER(v * VECTOR)) for ln in lines for v in range(wide)
            ]
            sums = [cgutils.alloca_once_value(builder, vectors.load(target)) for target in targets]
            corner = builder.gep(left.data, [builder.mul(top, per_row)])
            with cgutils.for_range(builder, depth) as step:
                line = builder.mul(step.index, columns)
                sources = [vectors.pointer(right.data, line, edge, INTEGER(v * VECTOR)) for v in range(wide)]
                loaded = [vectors.load(source) for source in sources]
                column = builder.gep(corner, [builder.mul(step.index, per_step)])
                for r in range(high):
                    factor = builder.load(builder.gep(column, [builder.mul(INTEGER(r), per_row)]))
                    factors = vectors.splat(factor)
                    for v, vector in enumerate(loaded):
                        vectors.add_product(sums[r * wide + v], factors, vector)
            for target, total in zip(targets, sums, strict=True):
                vectors.store(builder.load(total), target)

        def strip(edge: Any, wide: int) -> None:
            vectors.chunks(rows, ROWS, 1, lambda top, high: tile(top, high, edge, wide))

        vectors.chunks(columns, (2, 1), VECTOR, strip)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def matrix_view(typing: Any, flat: Any, start: Any, rows: Any, columns: Any) -> Any:  # noqa: ARG001
    """Return part of a flat array as a matrix [rows, columns] without a reference count.

    Args:
        typing: numba's.
        flat: of one dimension.
        start: where the matrix begins.
        rows: of the matrix.
        columns: of the matrix.
    """
    kind = types.Array(flat.dtype, 2, "C")

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        (source,) = _arrays(context, builder, sig, args)
        matrix, size = context.make_array(kind)(context, builder), source.itemsize
        shape, strides = [args[2], args[3]], [builder.mul(args[3], size), size]
        populate_array(matrix, builder.gep(source.data, [args[1]]), shape, strides, size, meminfo=None)
        return matrix._getvalue()

    return kind(flat, types.intp, types.intp, types.intp), generate


@intrinsic
def uncounted(typing: Any, value: Any) -> Any:  # noqa: ARG001
    """Return the same arrays without reference counts: counting takes longer than a row of numbers.

    Args:
        typing: numba's.
        value: a tuple of arrays and others, which the caller keeps alive.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def strip(kind: Any, value: Any) -> Any:
            if isinstance(kind, types.BaseTuple):
                parts = zip(kind, cgutils.unpack_tuple(builder, value, len(kind)), strict=True)
                return context.make_tuple(builder, kind, [strip(*part) for part in parts])
            if not isinstance(kind, types.Array):
                return value
            array = context.make_array(kind)(context, builder, value)
            for owner in ("meminfo", "parent"):
                setattr(array, owner, cgutils.get_null_value(getattr(array, owner).type))
            return array._getvalue()

        return strip(sig.args[0], args[0])

    return value(value), generate


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:  # noqa: ARG001
    """Fetch the cache line of an element that will be read soon: images lie anywhere in memory.

    Args:
        typing: numba's.
        array: of one dimension.
        index: of the element.
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
