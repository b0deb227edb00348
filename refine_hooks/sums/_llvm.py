"""Two operations on four floats at once, written for LLVM by hand; `refine_hooks.sums._spreading` says where they are used."""

# numba compiles these functions by what they are called with; annotations would say nothing to it.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, call-arg, untyped-decorator"

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def spread(typing, sums, at, values, source, sign, left, right):
    """sums[at:at+4] += left * v and sums[at+4:at+8] += right * v, v = values[source:source+4] with its imaginary part * sign."""
    f32 = types.float32
    signature = types.void(sums, types.intp, values, types.intp, f32, f32, f32)

    def build(context, builder, sig, args):
        vector = ir.VectorType(ir.FloatType(), 4)
        lane = ir.IntType(32)

        def pointer(array, kind, index):
            data = context.make_array(kind)(context, builder, array).data
            return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())

        def everywhere(scalar):
            filled = ir.Constant(vector, ir.Undefined)
            for k in range(4):
                filled = builder.insert_element(filled, scalar, ir.Constant(lane, k))
            return filled

        flip = builder.insert_element(ir.Constant(vector, [1.0] * 4), args[4], ir.Constant(lane, 1))
        value = builder.fmul(builder.load(pointer(args[2], sig.args[2], args[3]), align=16), flip)
        for step, weight in ((0, args[5]), (4, args[6])):
            place = pointer(args[0], sig.args[0], builder.add(args[1], ir.Constant(args[1].type, step)))
            product = builder.fmul(value, everywhere(weight), flags=("contract",))
            builder.store(builder.fadd(builder.load(place, align=16), product, flags=("contract",)), place, align=16)
        return context.get_dummy_value()

    return signature, build


@intrinsic
def prefetch(typing, array, at):
    """Ask for the cache line of array[at], for writing."""
    signature = types.void(array, types.intp)

    def build(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        byte, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        address = builder.bitcast(builder.gep(data, [args[1]]), byte)
        builder.call(call, [address, ir.Constant(i32, 1), ir.Constant(i32, 3), ir.Constant(i32, 1)])
        return context.get_dummy_value()

    return signature, build
