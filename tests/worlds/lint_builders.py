"""The operations of the smallest programs that lint rules match, and of their fixed twins."""

from __future__ import annotations

from typing import Any

import numpy as np
from worlds.lint_programs import half, mb, rms, weights


def stable_softplus(x: Any) -> Any:
    magnitude = mb.mul(x=mb.abs(x=x), y=half(-1))
    tail = mb.log(x=mb.add(x=mb.exp(x=magnitude), y=half(1)), epsilon=half(1e-4))
    return mb.add(x=mb.relu(x=x), y=tail)


def log_sum(x: Any, guarded: bool) -> Any:
    given = mb.sub(x=x, y=mb.reduce_max(x=x, axes=[-1], keep_dims=True)) if guarded else x
    total = mb.reduce_sum(x=mb.exp(x=given), axes=[-1], keep_dims=True)
    return mb.log(x=total, epsilon=half(1e-4))


def layer_norm_twice(x: Any) -> Any:
    both = mb.concat(values=[x, mb.mul(x=x, y=half(-1))], axis=-1)
    return mb.layer_norm(x=both, axes=[-1], epsilon=half(1e-4))


def island(x: Any) -> Any:
    return mb.cast(x=rms(mb.cast(x=x, dtype="fp32")), dtype="fp16")


def rescaled(x: Any, fixed: bool) -> Any:
    largest = mb.reduce_max(x=mb.abs(x=x), axes=[-1], keep_dims=True)
    scaled = mb.real_div(x=x, y=largest)
    mean = mb.reduce_mean(x=mb.square(x=scaled), axes=[-1], keep_dims=True)
    squared = mb.mul(x=largest, y=largest)
    epsilon = mb.real_div(x=half(1e-4), y=squared) if fixed else half(1e-4)
    return mb.mul(x=scaled, y=mb.rsqrt(x=mb.add(x=mean, y=epsilon), epsilon=half(1e-4)))


def masked(value: float, dtype: Any = np.float16) -> Any:
    def build(x: Any) -> Any:
        mask = mb.const(val=np.full((1, 1, 4, 4), value, dtype))
        if dtype is np.float32:
            mask = mb.cast(x=mask, dtype="fp16")
        return mb.softmax(x=mb.add(x=x, y=mask), axis=-1)

    return build


def norm(epsilon: float) -> Any:
    return lambda x: mb.layer_norm(x=x, axes=[-1], epsilon=half(epsilon))


def scaled_weight(*scale: int) -> Any:
    def build(x: Any) -> Any:
        weight = mb.constexpr_blockwise_shift_scale(
            data=np.ones((4, 8), np.int8), scale=np.ones(scale, np.float16)
        )
        return mb.linear(x=x, weight=weight)

    return build


def table(entries: int, groups: int = 1) -> Any:
    bits = {16: "uint4", 64: "uint6", 256: "uint8"}[entries]
    from coremltools.converters.mil.mil import types

    kind = types.np_uint4_dtype if bits == "uint4" else types.np_uint6_dtype
    indices = np.zeros((8, 8), np.uint8).astype(kind)
    return mb.constexpr_lut_to_dense(
        indices=indices, lut=np.ones((groups, 1, entries, 1), np.float16)
    )


def attended(make: Any) -> Any:
    """A linear layer beside fused attention."""

    def build(x: Any) -> Any:
        y = mb.linear(x=x, weight=make())
        return mb.scaled_dot_product_attention(query=y, key=y, value=y)

    return build


def attention(fused: bool) -> Any:
    def build(x: Any) -> Any:
        if fused:
            y = mb.scaled_dot_product_attention(query=x, key=x, value=x)
        else:
            scores = mb.add(x=mb.matmul(x=x, y=x, transpose_y=True), y=half(0.5))
            y = mb.matmul(x=mb.softmax(x=scores, axis=-1), y=x)
        return mb.linear(x=y, weight=weights(4, 8))

    return build


def phase(fixed: bool) -> Any:
    def build(x: Any) -> Any:
        divided = mb.real_div(x=x, y=half(3))
        return mb.sub(x=divided, y=mb.floor(x=divided)) if fixed else mb.mod(x=divided, y=half(1))

    return build


def argmax(cast: bool) -> Any:
    def build(x: Any) -> Any:
        return mb.reduce_argmax(x=mb.cast(x=x, dtype="fp32") if cast else x, axis=-1)

    return build


def hardswish(rank: int) -> Any:
    def build(x: Any) -> Any:
        y = mb.linear(x=x, weight=weights(8, 8))
        if rank == 4:
            y = mb.reshape(x=mb.reshape(x=y, shape=[1, 1, 1, 8]), shape=[1, 1, 1, 8])
            y = mb.relu(x=y)
        return mb.mul(x=y, y=mb.sigmoid_hard(x=y, alpha=half(1 / 6), beta=half(0.5)))

    return build


def spectrum(x: Any) -> Any:
    return mb.log(
        x=mb.add(x=mb.matmul(x=mb.square(x=x), y=weights(8, 8)), y=half(1e-4)), epsilon=half(1e-4)
    )


def magnitudes(x: Any) -> Any:
    return mb.log(
        x=mb.add(x=mb.matmul(x=mb.abs(x=x), y=weights(8, 8)), y=half(1e-4)), epsilon=half(1e-4)
    )


def convolution(kernel: tuple[int, ...] = (3, 3), groups: int = 1, **more: Any) -> Any:
    def build(x: Any) -> Any:
        return mb.conv(
            x=x, weight=weights(4, 4 // groups, *kernel), pad_type="same", groups=groups, **more
        )

    return build


def looked_up(rows: int) -> Any:
    def build(x: Any) -> Any:
        return mb.gather(x=weights(rows, 1), indices=mb.cast(x=x, dtype="int16"), axis=0)

    return build


def updated(rank: int) -> Any:
    shape, begin = [1] * (rank - 1) + [32], [0] * rank

    def build(x: Any) -> Any:
        return mb.slice_update(x=x, update=half(np.ones(shape)), begin=begin, end=shape)

    return build


def written(constant: bool, view: bool = False) -> Any:
    def build(position: Any, cache: Any) -> Any:
        kept = mb.read_state(input=cache)
        if view:
            kept = mb.transpose(x=kept, perm=[1, 0])
            made = mb.transpose(x=mb.add(x=kept, y=half(1)), perm=[1, 0])
            mb.coreml_update_state(state=cache, value=made)
            return mb.relu(x=kept)
        begin = [0, 0] if constant else mb.concat(values=[position, np.int32([0])], axis=0)
        row = half(np.ones((1, 32)))
        end = [1, 32] if constant else mb.add(x=begin, y=np.int32([1, 32]))
        made = mb.slice_update(x=kept, update=row, begin=begin, end=end)
        mb.coreml_update_state(state=cache, value=made)
        return mb.identity(x=made)

    return build


def grown(x: Any, cache: Any) -> Any:
    made = mb.add(x=mb.read_state(input=cache), y=half(1))
    mb.coreml_update_state(state=cache, value=made)
    return mb.add(x=x, y=half(1))


def widened(to: int) -> Any:
    return lambda x: mb.tile(x=x, reps=[1, to // 8])


def pooled(kernel: int) -> Any:
    return lambda x: mb.max_pool(
        x=x, kernel_sizes=[kernel, kernel], strides=[1, 1], pad_type="same"
    )


def enlarged(factor: int) -> Any:
    return lambda x: mb.upsample_nearest_neighbor(
        x=x, scale_factor_height=factor, scale_factor_width=factor
    )


def recurrent(x: Any) -> Any:
    state = np.zeros((1, 4), np.float32)
    return mb.lstm(
        x=x, initial_h=state, initial_c=state, weight_ih=np.ones((16, 8), np.float32),
        weight_hh=np.ones((16, 4), np.float32),
    )[0]  # fmt: skip


def sampled(x: Any) -> Any:
    return mb.resample(
        x=x, coordinates=np.zeros((1, 4, 4, 2), np.float32), sampling_mode="bilinear",
        padding_mode="constant", padding_value=0.0, coordinates_mode="normalized_minus_one_to_one",
        align_corners=True,
    )  # fmt: skip


def plain(x: Any) -> Any:
    return mb.add(x=x, y=half(1))


def wide(x: Any) -> Any:
    return mb.cast(x=mb.exp(x=mb.cast(x=mb.relu(x=plain(x)), dtype="fp32")), dtype="fp16")


def turned(fused: bool) -> Any:
    def build(x: Any) -> Any:
        if fused:
            return mb.scaled_dot_product_attention(query=x, key=x, value=x)
        scores = mb.softmax(x=mb.matmul(x=x, y=x, transpose_y=True), axis=-1)
        return mb.matmul(x=mb.transpose(x=x, perm=[0, 2, 1]), y=scores, transpose_y=True)

    return build


def rename_output(spec: Any) -> None:
    """Give the output the name of the input, as some converters do."""
    function = spec.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    block.outputs[0] = "x"
    spec.description.output[0].name = "x"


def one_axis_more(spec: Any) -> None:
    """Write a rank that coremltools refuses to write, and other tools do not."""
    function = spec.mlProgram.functions["main"]
    made = function.block_specializations[function.opset].operations[-1].outputs[0]
    made.type.tensorType.dimensions.add().constant.size = 1
    made.type.tensorType.rank = 6


def heavy(gigabytes: float) -> Any:
    """Claim that the first constant of `weight.bin` has so many bytes."""

    def edit(spec: Any) -> None:
        function = spec.mlProgram.functions["main"]
        for op in function.block_specializations[function.opset].operations:
            value = op.attributes.get("val")
            if value is not None and value.WhichOneof("value") == "blobFileValue":
                value.type.tensorType.dimensions[0].constant.size = int(gigabytes * (1 << 29) / 64)
                return
        raise AssertionError("no constant in weight.bin")

    return edit


def weighed(x: Any) -> Any:
    return mb.linear(x=x, weight=weights(64, 64))


def gathered(x: Any) -> Any:
    head = mb.linear(x=x, weight=weights(4096, 8))
    return mb.identity(x=head)


def selected(x: Any) -> Any:
    return mb.linear(x=mb.gather(x=x, indices=np.int32([0]), axis=1), weight=weights(4096, 8))


def many(count: int) -> Any:
    """Add copies of the function under other names."""

    def edit(spec: Any) -> None:
        from copy import deepcopy

        first = deepcopy(spec.mlProgram.functions["main"])
        for number in range(count - 1):
            spec.mlProgram.functions[f"f{number}"].CopyFrom(first)

    return edit


def recommended(spec: Any) -> None:
    spec.description.metadata.userDefined["zoo.compute_units"] = "cpuAndGPU"


def by_another_version(spec: Any) -> None:
    spec.description.metadata.userDefined["com.github.apple.coremltools.version"] = "8.3"


def half_spread(x: Any) -> Any:
    """Twenty-six regions, with an operation of the CPU between them."""
    for _ in range(26):
        x = mb.add(x=mb.gather(x=mb.relu(x=x), indices=np.int32([0]), axis=0), y=half(1))
    return x


def state_model(make: Any) -> Any:
    def build(x: Any, cache: Any) -> Any:
        mb.coreml_update_state(state=cache, value=plain(mb.read_state(input=cache)))
        return mb.linear(x=x, weight=make())

    return build
