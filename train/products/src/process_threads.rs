//! How many threads the process computes with where it cannot say so by a call.
#![allow(unsafe_code, reason = "the environment of a process may only be written while it has one thread")]

/// What candle reads, once, before its own operators share out the first large tensor.
const CANDLE_THREADS: &str = "CANDLE_NUM_THREADS";

/// Asks candle to compute its own operators with `threads` threads instead of one for every core.
///
/// Those threads wait for one another by spinning, and the caller for all of them: where another program has one of the cores,
/// every operator lasts until the system gives it back. Two trainings of one thread each on two cores took 2.4 times as long
/// for it. Nothing happens if the variable is set already, or if the process has other threads, which might be reading
/// the environment; so for the main program, before it starts any.
///
/// ```standalone_crate
/// jepa3d_products::use_candle_threads(3);
/// # #[cfg(target_os = "linux")]
/// assert!(std::env::var("CANDLE_NUM_THREADS").is_ok());
/// ```
pub fn use_candle_threads(threads: usize) {
    if std::env::var_os(CANDLE_THREADS).is_none() && is_alone() {
        // SAFETY: no other thread is there to read the environment meanwhile.
        unsafe { std::env::set_var(CANDLE_THREADS, threads.to_string()) };
    }
}

/// Whether the calling thread is the only one of the process; where nothing tells, it is not.
fn is_alone() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_other_threads_keeps_its_environment() {
        let before = std::env::var_os(CANDLE_THREADS);
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv().is_ok());
        assert!(!is_alone());
        use_candle_threads(77);
        assert_eq!(std::env::var_os(CANDLE_THREADS), before);
        drop(stop);
        other.join().unwrap();
    }
}
