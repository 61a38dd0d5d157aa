//! What the factors of a run's matrix products are rounded to.

use candle_core::Device;
use jepa3d_kernels::{Bf16Engine, Precision};

use crate::config::{ProductPrecision, out_of_range};
use crate::error::Result;

/// How the products of a pass are taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PassPrecision {
    /// Those of candle's operators, on other devices than the CPU.
    pub is_bf16: bool,
    /// Those of the kernels.
    pub kernels: Precision,
}

impl PassPrecision {
    /// Of a run on `device`. `emulates`: the CPU may take products in `bf16` with ordinary instructions, to the same bits.
    ///
    /// # Errors
    /// Fails if the CPU has no unit for `bf16` and is not to emulate it.
    pub(crate) fn settle(asked: ProductPrecision, device: &Device, emulates: bool) -> Result<Self> {
        let is_cpu = device.is_cpu();
        if asked.is_f32() {
            return Ok(Self::default());
        }
        if !is_cpu {
            // A CUDA device's kernels take bf16 in one way: the engine is none of theirs.
            return Ok(Self { is_bf16: true, kernels: Precision::Bf16(Bf16Engine::Emulated) });
        }
        let engine = match emulates {
            true => Some(Bf16Engine::Emulated),
            false => Bf16Engine::detect(),
        };
        let Some(engine) = engine else {
            let expected = "\"f32\" on this machine, which has no matrix unit for bf16 (AMX) that may be used; `pretrain \
                            --emulate-bf16` gives the same numbers";
            return Err(out_of_range("run.precision", expected, "\"bf16\""));
        };
        Ok(Self { is_bf16: false, kernels: Precision::Bf16(engine) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_takes_bf16_where_it_has_a_unit_or_is_to_emulate_one() {
        let settle = |asked, emulates| PassPrecision::settle(asked, &Device::Cpu, emulates);
        let plain = settle(ProductPrecision::F32, true).unwrap();
        assert!(!plain.is_bf16 && plain.kernels == Precision::F32);
        let emulated = settle(ProductPrecision::Bf16, true).unwrap();
        assert!(!emulated.is_bf16 && emulated.kernels == Precision::Bf16(Bf16Engine::Emulated));
        match (Bf16Engine::detect(), settle(ProductPrecision::Bf16, false)) {
            (Some(engine), Ok(found)) => assert_eq!(found.kernels, Precision::Bf16(engine)),
            (None, Err(error)) => assert!(error.to_string().contains("run.precision"), "{error}"),
            (unit, found) => panic!("{unit:?}, {found:?}"),
        }
    }
}
