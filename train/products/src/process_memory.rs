//! How the process keeps memory.
#![allow(unsafe_code, reason = "a function of the C library that has no safe twin")]

/// Asks the C library to keep freed memory for what is allocated next, whatever its size, instead of giving it back.
///
/// A training step frees hundreds of megabytes that the next one asks for again; given back, every page is mapped, zeroed and
/// faulted in anew, a tenth of a step and more. Only glibc on Linux is asked; elsewhere nothing happens. For the main program of
/// a training run: it holds for the whole process.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const TRIM_THRESHOLD: i32 = -1;
        const MOST_MAPPINGS: i32 = -4;
        unsafe extern "C" {
            fn mallopt(parameter: i32, value: i32) -> i32;
        }
        // SAFETY: the function sets two numbers of the allocator, under its own lock.
        unsafe {
            mallopt(MOST_MAPPINGS, 0);
            mallopt(TRIM_THRESHOLD, -1);
        }
    }
}
