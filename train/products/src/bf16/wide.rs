//! What the matrix unit computes, on vectors of 512 bits: the same bits, at about the speed of products in `f32`.
//!
//! The unit takes denormal numbers for zeros, which the processor does only after it was told, and a program in Rust may not
//! be told: so all between telling and telling back is one piece of assembly. It widens a left tile to `f32`, then holds
//! even and odd sums of four rows by 32 columns in sixteen registers.
#![allow(
    unsafe_code,
    reason = "the control register of vectors may only differ within assembly; what that touches is said beside it"
)]

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{has_vectors, multiply_block};

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use absent::{has_vectors, multiply_block};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;

    use crate::bf16::amx::TileRows;
    use crate::bf16::{BLOCK, INNER, ROWS, Tile};
    use crate::vectorized::VectorLevel;

    /// A left tile in `f32`: its even elements `[row][pair]`, then its odd ones.
    #[repr(C, align(64))]
    struct WideTile([[[f32; INNER / 2]; ROWS]; 2]);

    /// Round to nearest, denormal numbers are zeros on the way in and out, nothing traps.
    const DENORMALS_ARE_ZEROS: u32 = 0x9fc0;

    pub(crate) fn has_vectors() -> bool {
        VectorLevel::detect() == VectorLevel::Avx512
    }

    /// `out` (+)= left x right, a block of 32 x 32 whose rows begin `step` apart.
    ///
    /// # Panics
    /// If the factors have no tiles or not equally many, `out` is too small, or the vectors are not there.
    pub(crate) fn multiply_block(factors: TileRows<'_>, out: &mut [f32], step: usize, is_added: bool) {
        let TileRows { left, right } = factors;
        let depth = left[0].len();
        assert!(depth > 0 && [left[1], right[0], right[1]].iter().all(|row| row.len() == depth), "tiles");
        assert!(step >= BLOCK && out.len() >= (BLOCK - 1) * step + BLOCK, "room for a block");
        assert!(has_vectors(), "vectors of 512 bits where the processor has none");
        if !is_added {
            (0..BLOCK).for_each(|row| out[row * step..][..BLOCK].fill(0.0));
        }
        for (half, left) in left.into_iter().enumerate() {
            let out = &mut out[half * ROWS * step..][..(ROWS - 1) * step + BLOCK];
            // SAFETY: the processor has the vectors; the sizes are those asserted above.
            unsafe { add_half(left, right, out, step) };
        }
    }

    /// What one pair of the left factor adds to a row: to the even and odd sums of its 2 x 16 columns.
    macro_rules! add_pair {
        ($row:literal, $even:literal, $odd:literal, $next_even:literal, $next_odd:literal) => {
            concat!(
                "vbroadcastss zmm20, dword ptr [{left} + 64 * ",
                $row,
                "]\n",
                "vbroadcastss zmm21, dword ptr [{left} + 64 * ",
                $row,
                " + 1024]\n",
                "vfmadd231ps zmm",
                $even,
                ", zmm20, zmm16\n",
                "vfmadd231ps zmm",
                $odd,
                ", zmm21, zmm17\n",
                "vfmadd231ps zmm",
                $next_even,
                ", zmm20, zmm18\n",
                "vfmadd231ps zmm",
                $next_odd,
                ", zmm21, zmm19\n",
            )
        };
    }

    /// Even and odd sums of a row are added, then added to the result.
    macro_rules! add_sums {
        ($even:literal, $odd:literal, $next_even:literal, $next_odd:literal) => {
            concat!(
                "vaddps zmm",
                $even,
                ", zmm",
                $even,
                ", zmm",
                $odd,
                "\n",
                "vaddps zmm",
                $next_even,
                ", zmm",
                $next_even,
                ", zmm",
                $next_odd,
                "\n",
                "vaddps zmm",
                $even,
                ", zmm",
                $even,
                ", [{out}]\n",
                "vaddps zmm",
                $next_even,
                ", zmm",
                $next_even,
                ", [{out} + 64]\n",
                "vmovups [{out}], zmm",
                $even,
                "\n",
                "vmovups [{out} + 64], zmm",
                $next_even,
                "\n",
                "add {out}, {step}\n",
            )
        };
    }

    /// 16 rows by 32 columns, over all tiles along the inner size.
    ///
    /// # Safety
    /// Vectors of 512 bits; `right` has as many tiles as `left`, at least one; `out` has 16 rows of 32 numbers `step` apart.
    #[target_feature(enable = "avx512f")]
    unsafe fn add_half(left: &[Tile], right: [&[Tile]; 2], out: &mut [f32], step: usize) {
        let mut wide = WideTile([[[0.0; INNER / 2]; ROWS]; 2]);
        let mut control = [0u32, DENORMALS_ARE_ZEROS];
        // SAFETY: reads `left.len()` tiles of 1,024 bytes of each of the three slices, writes the wide tile, the first of the two
        // words of `control` and 16 rows of 128 bytes of `out`, all there by the conditions. The control register is as
        // before when it ends.
        unsafe {
            asm!(
                "stmxcsr [{control}]",
                "ldmxcsr [{control} + 4]",
                "vpternlogd zmm22, zmm22, zmm22, 0xff",
                "vpslld zmm22, zmm22, 16",
                // A tile of the left factor becomes f32.
                "2:",
                "mov {rows:e}, 16",
                "3:",
                "vmovdqu32 zmm16, [{tile}]",
                "vpslld zmm17, zmm16, 16",
                "vpandd zmm16, zmm16, zmm22",
                "vmovups [{left}], zmm17",
                "vmovups [{left} + 1024], zmm16",
                "add {tile}, 64",
                "add {left}, 64",
                "dec {rows:e}",
                "jnz 3b",
                "sub {left}, 1024",
                // Four rows of it with two tiles of the right factor.
                "mov {rows:e}, 4",
                "4:",
                "vpxord zmm0, zmm0, zmm0",
                "vpxord zmm1, zmm1, zmm1",
                "vpxord zmm2, zmm2, zmm2",
                "vpxord zmm3, zmm3, zmm3",
                "vpxord zmm4, zmm4, zmm4",
                "vpxord zmm5, zmm5, zmm5",
                "vpxord zmm6, zmm6, zmm6",
                "vpxord zmm7, zmm7, zmm7",
                "vpxord zmm8, zmm8, zmm8",
                "vpxord zmm9, zmm9, zmm9",
                "vpxord zmm10, zmm10, zmm10",
                "vpxord zmm11, zmm11, zmm11",
                "vpxord zmm12, zmm12, zmm12",
                "vpxord zmm13, zmm13, zmm13",
                "vpxord zmm14, zmm14, zmm14",
                "vpxord zmm15, zmm15, zmm15",
                "mov {pairs:e}, 16",
                "5:",
                "vpslld zmm16, [{b0}], 16",
                "vpandd zmm17, zmm22, [{b0}]",
                "vpslld zmm18, [{b1}], 16",
                "vpandd zmm19, zmm22, [{b1}]",
                add_pair!("0", "0", "1", "2", "3"),
                add_pair!("1", "4", "5", "6", "7"),
                add_pair!("2", "8", "9", "10", "11"),
                add_pair!("3", "12", "13", "14", "15"),
                "add {b0}, 64",
                "add {b1}, 64",
                "add {left}, 4",
                "dec {pairs:e}",
                "jnz 5b",
                add_sums!("0", "1", "2", "3"),
                add_sums!("4", "5", "6", "7"),
                add_sums!("8", "9", "10", "11"),
                add_sums!("12", "13", "14", "15"),
                // The next four rows: from the first pair on again.
                "sub {b0}, 1024",
                "sub {b1}, 1024",
                "add {left}, 192",
                "dec {rows:e}",
                "jnz 4b",
                // The next tiles: into the same rows again.
                "sub {left}, 1024",
                "add {b0}, 1024",
                "add {b1}, 1024",
                "mov {rows}, {step}",
                "shl {rows}, 4",
                "sub {out}, {rows}",
                "dec {depth}",
                "jnz 2b",
                "ldmxcsr [{control}]",
                control = in(reg) control.as_mut_ptr(),
                tile = inout(reg) left.as_ptr() => _,
                left = inout(reg) wide.0.as_mut_ptr() => _,
                b0 = inout(reg) right[0].as_ptr() => _,
                b1 = inout(reg) right[1].as_ptr() => _,
                out = inout(reg) out.as_mut_ptr() => _,
                step = in(reg) 4 * step,
                depth = inout(reg) left.len() => _,
                rows = out(reg) _,
                pairs = out(reg) _,
                out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
                out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _, out("zmm16") _, out("zmm17") _,
                out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _, out("zmm22") _,
                options(nostack)
            );
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod absent {
    use crate::bf16::amx::TileRows;

    pub(crate) fn has_vectors() -> bool {
        false
    }

    pub(crate) fn multiply_block(_: TileRows<'_>, _: &mut [f32], _: usize, _: bool) {
        unreachable!("vectors of 512 bits where the architecture has none")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matrix;
    use crate::bf16::amx::TileRows;
    use crate::bf16::{BLOCK, Bf16Left, Bf16Right, emulated};
    use jepa3d_schemas::Draws;

    /// A matrix of numbers of about `2^(+-spread)`, some of them zero.
    fn draw(draws: &mut Draws, spread: f64, len: usize) -> Vec<f32> {
        (0..len)
            .map(|_| match draws.index(16) {
                0 => 0.0,
                _ => (draws.normal() * (spread * draws.normal()).exp2()) as f32,
            })
            .collect()
    }

    fn bits(numbers: &[f32]) -> Vec<u32> {
        numbers.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
    }

    #[test]
    fn wide_vectors_have_the_bits_of_the_definition() {
        if !has_vectors() {
            eprintln!("skipped: this processor has no vectors of 512 bits");
            return;
        }
        let step = BLOCK + 5;
        // Numbers of one size, of all sizes, and so small and large that products vanish and overflow.
        for (spread, seed) in [0.0, 8.0, 40.0].into_iter().flat_map(|s| (0..30).map(move |seed| (s, seed))) {
            let mut draws = Draws::new(seed, "wide", "test");
            let inner = 1 + draws.index(200);
            let [mut left, right] = [(); 2].map(|()| draw(&mut draws, spread, BLOCK * inner));
            if seed == 7 {
                left[0] = f32::INFINITY;
            }
            let left = Bf16Left::pack(Matrix::new(&left, inner));
            let right = Bf16Right::pack(Matrix::new(&right, BLOCK));
            let before = draw(&mut draws, 3.0 * spread, BLOCK * step);
            for is_added in [false, true] {
                let [found, want] = [multiply_block, emulated::multiply_block].map(|multiply| {
                    let mut out = before.clone();
                    let factors = TileRows { left: left.0.block(0), right: right.0.block(0) };
                    multiply(factors, &mut out, step, is_added);
                    bits(&out)
                });
                let differs = found.iter().zip(&want).filter(|(a, b)| a != b).count();
                assert_eq!(differs, 0, "spread {spread}, seed {seed}, inner size {inner}");
            }
        }
    }

    #[test]
    fn denormal_numbers_are_numbers_again_afterwards() {
        if has_vectors() {
            let numbers = vec![1.0; BLOCK * BLOCK];
            let left = Bf16Left::pack(Matrix::new(&numbers, BLOCK));
            let right = Bf16Right::pack(Matrix::new(&numbers, BLOCK));
            let factors = TileRows { left: left.0.block(0), right: right.0.block(0) };
            multiply_block(factors, &mut vec![0.0; BLOCK * BLOCK], BLOCK, false);
        }
        let half = std::hint::black_box(f32::MIN_POSITIVE) / 2.0;
        assert!(half > 0.0 && half.is_subnormal());
    }
}
