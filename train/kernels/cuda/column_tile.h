//! A block that owns 32 columns of a share of the rows: 32 x 8 threads, a warp reads neighbours.

#pragma once

#include "device.h"

#define TILE_ROWS 8

/// Which numbers a thread sees.
struct ColumnTile {
    u32 column, begin, end;
    bool is_inside;

    DEVICE_MEMBER ColumnTile(u32 rows, u32 width, u32 rows_each) {
        column = blockIdx.x * WARP + threadIdx.x;
        begin = blockIdx.y * rows_each;
        end = begin + rows_each < rows ? begin + rows_each : rows;
        is_inside = column < width;
    }
};

/// The sum over the rows of threads of a tile, in all threads of the first row.
template <class T> DEVICE T tile_sum(T value) {
    SHARED(T, tile_values, WARP * TILE_ROWS);
    tile_values[threadIdx.y * WARP + threadIdx.x] = value;
    __syncthreads();
    T total = T(0);
    for (u32 y = 0; y < TILE_ROWS; y++) total += tile_values[y * WARP + threadIdx.x];
    __syncthreads();
    return total;
}
