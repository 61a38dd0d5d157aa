//! What a predictor reads: for every target block the encoded context, then a query for each hidden patch (Point-JEPA, arXiv 2404.16432).
//!
//! Forward, of `rows = [positions of the context; positions of the queries]`: token `t < n` of block `m` of sample `b` is
//! `embedded[b, t] + rows[b, t] + biases`, token `n + l` is `token + rows[queries + (b, m, l)] + bias`. Backward: a row of the context
//! gets the sum of its gradients in all blocks, in their order; sums over rows give those of the biases and of the token.

#include "column_tile.h"

/// `embedded [samples n, width]`, `rows [samples (n + blocks length), width]` without `bias`, `out [samples blocks, n + length, width]`.
KERNEL(join_sequences, (Global<const float> embedded, Global<const float> embed_bias, Global<const float> rows, Global<const float> bias,
    Global<const float> token, Global<float> out, u32 count, u32 width, u32 n, u32 length, u32 blocks, u32 context_rows)) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    u32 c = i % width, row = i / width, t = row % (n + length), sequence = row / (n + length);
    if (t < n) {
        u32 at = (sequence / blocks * n + t) * width + c;
        out[i] = embedded[at] + embed_bias[c] + rows[at] + bias[c];
    } else {
        out[i] = token[c] + rows[(context_rows + sequence * length + t - n) * width + c] + bias[c];
    }
}

/// The gradient of `rows`; `partials [shares, step]` from `column`: sums over the context, over the queries, over both.
KERNEL(split_sequences, (Global<const float> gradient, Global<float> rows, Global<float> partials, u32 count, u32 width, u32 n, u32 length,
    u32 blocks, u32 context_rows, u32 rows_each, u32 step, u32 column)) {
    ColumnTile tile(count, width, rows_each);
    float of_context = 0.0f, of_queries = 0.0f;
    for (u32 row = tile.begin + threadIdx.y; row < tile.end && tile.is_inside; row += blockDim.y) {
        float sum = 0.0f;
        if (row < context_rows) {
            u32 sample = row / n, t = row % n;
            for (u32 m = 0; m < blocks; m++) sum += gradient[((sample * blocks + m) * (n + length) + t) * width + tile.column];
            of_context += sum;
        } else {
            u32 query = row - context_rows;
            sum = gradient[(query / length * (n + length) + n + query % length) * width + tile.column];
            of_queries += sum;
        }
        rows[row * width + tile.column] = sum;
    }
    of_context = tile_sum(of_context);
    of_queries = tile_sum(of_queries);
    if (!tile.is_inside || threadIdx.y > 0) return;
    u32 at = blockIdx.y * step + column + tile.column;
    partials[at] = of_context;
    partials[at + width] = of_queries;
    partials[at + 2 * width] = of_context + of_queries;
}

/// The last `length` of the `n + length` rows of every sequence.
KERNEL(take_tails, (Global<const float> x, Global<float> out, u32 count, u32 width, u32 n, u32 length)) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    u32 row = i / width;
    out[i] = x[(row / length * (n + length) + n + row % length) * width + i % width];
}

/// The way back: zeros for the other rows. `count` numbers of whole sequences.
KERNEL(put_tails, (Global<const float> dy, Global<float> dx, u32 count, u32 width, u32 n, u32 length)) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    u32 row = i / width, t = row % (n + length);
    float value = 0.0f;
    if (t >= n) value = dy[(row / (n + length) * length + t - n) * width + i % width];
    dx[i] = value;
}

/// Adds a bias to rows in place.
KERNEL(add_bias, (Global<float> x, Global<const float> bias, u32 count, u32 width)) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) x[i] += bias[i % width];
}
