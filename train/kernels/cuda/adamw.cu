//! AdamW (Loshchilov, Hutter, arXiv 1711.05101), the norm of all gradients, the moving average of a target encoder, and copies in
//! bf16: a launch each for all tensors of a model, wherever they lie.
//!
//! A table names them: `addresses [tensors, 3]`. A block has one piece of one tensor: `pieces [blocks, 2]` says which, and its first
//! number; `starts [tensors + 1]` where each begins in the flat moments. With the gradient `g`, scaled: `m = b1 m + (1 - b1) g`,
//! `v = b2 v + (1 - b2) g^2`, `p = p keep - rate m / (sqrt(v) root + epsilon)`, where a tensor's `rates` are `keep = 1 - lr decay`,
//! `rate = lr / (1 - b1^t)`, `root = 1 / sqrt(1 - b2^t)`. The average: `copy += share (original - copy)`.

#include "bf16.h"
#include "reduce.h"

/// Numbers of a piece.
#define PIECE 4096

/// The numbers of a block.
struct TablePiece {
    u32 tensor, start, begin, end;

    DEVICE_MEMBER TablePiece(Global<const u32> pieces, Global<const u32> starts) {
        tensor = pieces[2 * blockIdx.x];
        begin = pieces[2 * blockIdx.x + 1];
        start = starts[tensor];
        u32 length = starts[tensor + 1] - start;
        end = begin + PIECE < length ? begin + PIECE : length;
    }
};

/// `partials [blocks]`: sums of squares of pieces of the gradients (second column; address 0: none), in f64.
KERNEL(square_sums, (Global<const u64> addresses, Global<const u32> pieces, Global<const u32> starts, Global<double> partials)) {
    TablePiece piece(pieces, starts);
    Global<const float> gradient = pointer_at<const float>(addresses[3 * piece.tensor + 1]);
    double sum = 0.0;
    for (u32 i = piece.begin + threadIdx.x; gradient && i < piece.end; i += blockDim.x) {
        double value = double(gradient[i]);
        sum += value * value;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

/// One block: `norm [1]`: the root of the sum.
KERNEL(norm_of_sums, (Global<const double> partials, Global<double> norm, u32 count)) {
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) sum += partials[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) norm[0] = sqrt(sum);
}

/// Addresses: parameter, gradient (0: the parameter stays), copy in bf16 (0: none). `rates [tensors, 3]`: keep, rate, root.
KERNEL(adamw_update, (Global<const u64> addresses, Global<const u32> pieces, Global<const u32> starts, Global<const float> rates,
    Global<float> first, Global<float> second, float b1, float rest1, float b2, float rest2, float epsilon, float scale)) {
    TablePiece piece(pieces, starts);
    Global<float> parameter = pointer_at<float>(addresses[3 * piece.tensor]);
    Global<const float> gradient = pointer_at<const float>(addresses[3 * piece.tensor + 1]);
    Global<Bf16> half = pointer_at<Bf16>(addresses[3 * piece.tensor + 2]);
    if (!gradient) return;
    float keep = rates[3 * piece.tensor], rate = rates[3 * piece.tensor + 1], root = rates[3 * piece.tensor + 2];
    for (u32 i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
        u32 at = piece.start + i;
        float g = gradient[i] * scale;
        float m = b1 * first[at] + rest1 * g, v = b2 * second[at] + rest2 * g * g;
        float p = parameter[i] * keep - rate * m / (sqrtf(v) * root + epsilon);
        first[at] = m;
        second[at] = v;
        parameter[i] = p;
        if (half) half[i] = bf16_round(p);
    }
}

/// Addresses: what moves, what it moves to, its copy in bf16 (0: none). A share of 0 makes the copies alone.
KERNEL(move_towards, (Global<const u64> addresses, Global<const u32> pieces, Global<const u32> starts, float share)) {
    TablePiece piece(pieces, starts);
    Global<float> copy = pointer_at<float>(addresses[3 * piece.tensor]);
    Global<const float> original = pointer_at<const float>(addresses[3 * piece.tensor + 1]);
    Global<Bf16> half = pointer_at<Bf16>(addresses[3 * piece.tensor + 2]);
    for (u32 i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
        float value = copy[i];
        value += share * (original[i] - value);
        copy[i] = value;
        if (half) half[i] = bf16_round(value);
    }
}

/// Addresses: sum, what is added (0: nothing).
KERNEL(add_tensors, (Global<const u64> addresses, Global<const u32> pieces, Global<const u32> starts)) {
    TablePiece piece(pieces, starts);
    Global<float> sum = pointer_at<float>(addresses[3 * piece.tensor]);
    Global<const float> part = pointer_at<const float>(addresses[3 * piece.tensor + 1]);
    for (u32 i = piece.begin + threadIdx.x; part && i < piece.end; i += blockDim.x) sum[i] += part[i];
}
