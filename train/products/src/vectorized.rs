//! Loops compiled for the widest vectors of the processor, chosen at run time.
//!
//! A closure handed to a dispatcher is only compiled for wide vectors where the compiler happens to inline the shim that calls
//! it; where it does not, the loop silently runs at the width of plain x86-64, or element by element. A function that carries
//! the target feature itself leaves nothing to chance. Rust never fuses a product with a sum on its own, so all versions
//! give the same bits.

/// Vectors that a processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VectorLevel {
    /// 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256 bits.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Those that every processor of the architecture has.
    Plain,
}

impl VectorLevel {
    /// Of this processor; asked once, then remembered by the standard library.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let is_wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            match (has_avx2, is_wide) {
                (true, true) => return Self::Avx512,
                (true, false) => return Self::Avx2,
                _ => {}
            }
        }
        Self::Plain
    }
}

/// Defines functions whose bodies are compiled three times each, and run in the version that suits the processor.
#[macro_export]
macro_rules! vectorized {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $body:block)+) => {$(
        $(#[$meta])*
        #[allow(unsafe_code, reason = "functions of a target feature are called where the processor was asked for it")]
        $vis fn $name($($arg: $kind),*) {
            #[inline(always)]
            fn run($($arg: $kind),*) $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn wide($($arg: $kind),*) {
                run($($arg),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn middle($($arg: $kind),*) {
                run($($arg),*);
            }
            match $crate::VectorLevel::detect() {
                // SAFETY: the processor has these features.
                #[cfg(target_arch = "x86_64")]
                $crate::VectorLevel::Avx512 => unsafe { wide($($arg),*) },
                // SAFETY: the processor has these features.
                #[cfg(target_arch = "x86_64")]
                $crate::VectorLevel::Avx2 => unsafe { middle($($arg),*) },
                $crate::VectorLevel::Plain => run($($arg),*),
            }
        }
    )+};
}
