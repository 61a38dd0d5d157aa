//! Sums over rows in two stages, in an order that is always the same: sums of biases and whatever blocks left as partial sums.
//!
//! A tile of 32 columns and a share of the rows is one block of 32 x 8 threads: `tile_sum` adds what its eight rows of threads
//! found. `sum_partials` then adds the shares in their order. No atomics: the bits are the same in every run.

#include "bf16.h"
#include "column_tile.h"

template <class T>
DEVICE void add_columns(Global<const T> x, Global<float> partials, u32 rows, u32 width, u32 rows_each, u32 step, u32 column) {
    ColumnTile tile(rows, width, rows_each);
    float sum = 0.0f;
    for (u32 row = tile.begin + threadIdx.y; row < tile.end; row += blockDim.y)
        if (tile.is_inside) sum += widen(x[row * width + tile.column]);
    sum = tile_sum(sum);
    if (tile.is_inside && threadIdx.y == 0) partials[blockIdx.y * step + column + tile.column] = sum;
}

KERNEL(column_sums_f32, (Global<const float> x, Global<float> partials, u32 rows, u32 width, u32 rows_each, u32 step, u32 column)) {
    add_columns<float>(x, partials, rows, width, rows_each, step, column);
}

KERNEL(column_sums_bf16, (Global<const Bf16> x, Global<float> partials, u32 rows, u32 width, u32 rows_each, u32 step, u32 column)) {
    add_columns<Bf16>(x, partials, rows, width, rows_each, step, column);
}

/// `out [count, columns]` = the sums of `partials [count, shares, columns]`; the grid's second dimension says which.
KERNEL(sum_partials, (Global<const float> partials, Global<float> out, u32 shares, u32 columns)) {
    u32 column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    Global<const float> own = partials + blockIdx.y * shares * columns;
    double sum = 0.0;
    for (u32 share = 0; share < shares; share++) sum += double(own[share * columns + column]);
    out[blockIdx.y * columns + column] = float(sum);
}
