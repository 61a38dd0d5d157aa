//! The matrix unit of Intel's server processors (AMX), by inline assembly: its intrinsics are not stable yet.
//!
//! Eight registers of 16 rows of 64 bytes: four hold 32 x 32 sums, two the left factor, two the right one. A product of 16 x 32
//! with 32 x 16 elements of `bf16` takes 16 cycles, 2 x 2 of them read four tiles.
#![allow(
    unsafe_code,
    reason = "instructions that the compiler has no functions for; each says what it may touch"
)]

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) use linux::{is_permitted, multiply_block, with_tiles};

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub(crate) use absent::{is_permitted, multiply_block, with_tiles};

use super::Tile;

/// The tiles that one block of 32 x 32 sums is made from: two rows of tiles of each factor, equally many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TileRows<'a> {
    pub left: [&'a [Tile]; 2],
    pub right: [&'a [Tile]; 2],
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod linux {
    use std::arch::asm;
    use std::arch::x86_64::__cpuid_count;
    use std::sync::OnceLock;

    use super::TileRows;
    use crate::bf16::BLOCK;

    /// How the registers are cut: `palette_id` 1, and for each of eight its bytes a row and its rows.
    #[repr(C, align(64))]
    struct TileConfig {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        row_bytes: [u16; 16],
        rows: [u8; 16],
    }

    static WHOLE_TILES: TileConfig = TileConfig {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
        rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    };

    /// Whether the processor has the unit and the system lets this process use it; asked once.
    pub(crate) fn is_permitted() -> bool {
        static ANSWER: OnceLock<bool> = OnceLock::new();
        *ANSWER.get_or_init(|| has_unit() && ask_system())
    }

    fn has_unit() -> bool {
        const BF16_AND_TILES: u32 = 1 << 22 | 1 << 24;
        // Leaf 0 is the number of the last leaf.
        let last = __cpuid_count(0, 0).eax;
        last >= 7 && __cpuid_count(7, 0).edx & BF16_AND_TILES == BF16_AND_TILES
    }

    /// `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`: for all threads of the process, also later ones.
    fn ask_system() -> bool {
        const ARCH_PRCTL: i64 = 158;
        const ASK_FOR_STATE: u64 = 0x1023;
        const TILE_DATA: u64 = 18;
        let answer: i64;
        // SAFETY: the call takes two numbers and touches no memory of ours; the kernel keeps all registers but these three.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") ARCH_PRCTL => answer,
                in("rdi") ASK_FOR_STATE,
                in("rsi") TILE_DATA,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack)
            );
        }
        answer == 0
    }

    /// Runs `work` with the registers cut into whole tiles, and frees them afterwards, so that switching threads is cheap.
    ///
    /// # Panics
    /// If the unit is not there.
    pub(crate) fn with_tiles(work: impl FnOnce()) {
        assert!(is_permitted(), "AMX where the processor or the system does not have it");
        // SAFETY: the unit is there, and the configuration is one of palette 1 within its bounds.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const WHOLE_TILES, options(nostack, readonly)) };
        work();
        // SAFETY: as above.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }

    /// `out` (+)= left x right, a block of 32 x 32 whose rows begin `step` apart. Only within [`with_tiles`].
    ///
    /// # Panics
    /// If the factors have no tiles or not equally many, or `out` is too small.
    pub(crate) fn multiply_block(factors: TileRows<'_>, out: &mut [f32], step: usize, is_added: bool) {
        let TileRows { left: [a0, a1], right: [b0, b1] } = factors;
        let depth = a0.len();
        assert!(depth > 0 && [a1, b0, b1].iter().all(|row| row.len() == depth), "tiles of a block");
        assert!(step >= BLOCK && out.len() >= (BLOCK - 1) * step + BLOCK, "room for a block");
        let upper = out.as_mut_ptr();
        // SAFETY: 16 rows of `step` numbers lie before the lower half, by the assertion above.
        let lower = unsafe { upper.add(16 * step) };
        // SAFETY: the loop reads `depth` tiles of 1,024 bytes of each of the four slices, which have as many. Rows of sums are
        // 4 * step bytes apart, 32 of them of 128 bytes each: within `out`, by the assertion above. The registers are cut into
        // whole tiles by `with_tiles`.
        unsafe {
            asm!(
                "test {is_added:e}, {is_added:e}",
                "jz 3f",
                "tileloadd tmm0, [{upper} + {step}]",
                "tileloadd tmm1, [{upper} + {step} + 64]",
                "tileloadd tmm2, [{lower} + {step}]",
                "tileloadd tmm3, [{lower} + {step} + 64]",
                "jmp 2f",
                "3:",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{a0} + {row}]",
                "tileloadd tmm6, [{b0} + {row}]",
                "tileloadd tmm5, [{a1} + {row}]",
                "tileloadd tmm7, [{b1} + {row}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {a0}, 1024",
                "add {a1}, 1024",
                "add {b0}, 1024",
                "add {b1}, 1024",
                "dec {depth}",
                "jnz 2b",
                "tilestored [{upper} + {step}], tmm0",
                "tilestored [{upper} + {step} + 64], tmm1",
                "tilestored [{lower} + {step}], tmm2",
                "tilestored [{lower} + {step} + 64], tmm3",
                upper = in(reg) upper,
                lower = in(reg) lower,
                step = in(reg) 4 * step,
                row = in(reg) 64usize,
                a0 = inout(reg) a0.as_ptr() => _,
                a1 = inout(reg) a1.as_ptr() => _,
                b0 = inout(reg) b0.as_ptr() => _,
                b1 = inout(reg) b1.as_ptr() => _,
                depth = inout(reg) depth => _,
                is_added = in(reg) u32::from(is_added),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack)
            );
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod absent {
    use super::TileRows;

    pub(crate) fn is_permitted() -> bool {
        false
    }

    pub(crate) fn with_tiles(_: impl FnOnce()) {
        unreachable!("AMX is not permitted here")
    }

    pub(crate) fn multiply_block(_: TileRows<'_>, _: &mut [f32], _: usize, _: bool) {
        unreachable!("AMX is not permitted here")
    }
}
