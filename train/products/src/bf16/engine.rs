//! What multiplies.

use super::amx;

/// What multiplies tiles; all give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bf16Engine {
    /// Intel's matrix unit.
    Amx,
    /// Ordinary vector instructions, at 512 bits about as fast as products in `f32`: to repeat a run on a machine without the unit.
    Emulated,
}

impl Bf16Engine {
    /// The processor's own, if the processor and the system have one.
    pub fn detect() -> Option<Self> {
        amx::is_permitted().then_some(Self::Amx)
    }
}
