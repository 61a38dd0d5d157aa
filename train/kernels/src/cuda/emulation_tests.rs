//! What the emulation finds: one planted fault each, and nothing in what is right.

use super::device::{KernelArgument, KernelDevice, LaunchShape, NumberKind};
use super::emulated::EmulatedDevice;

/// The message of a launch of 64 threads on arrays of 64 numbers, or nothing.
fn message(kernel: &str, blocks: u32, arrays: usize) -> String {
    let Some(device) = EmulatedDevice::start().unwrap() else { return String::new() };
    let device: &dyn KernelDevice = &device;
    let arrays: Vec<_> = (0..arrays).map(|_| device.upload(&[1.0; 64]).unwrap()).collect();
    let mut arguments: Vec<_> = arrays.iter().map(KernelArgument::Array).collect();
    if arrays.len() == 2 {
        arguments.push(KernelArgument::Count(64));
    }
    let shape = LaunchShape { grid: [blocks, 1, 1], block: [64, 1, 1], shared_bytes: 0 };
    device.launch(kernel, shape, &arguments).map_or_else(|fault| fault.to_string(), |()| String::new())
}

#[test]
fn planted_faults_are_found() {
    if EmulatedDevice::start().unwrap().is_none() {
        return;
    }
    for (kernel, blocks, arrays, expected) in [
        ("faulty_out_of_bounds", 1, 2, "thread 63: out of bounds: reads number 64 of array 1, which has 64"),
        ("faulty_missing_barrier", 1, 1, "race: number"),
        ("faulty_divergent_barrier", 1, 1, "divergence: 32 threads wait for their block"),
        ("faulty_divergent_shuffle", 1, 1, "divergence: "),
        (
            "faulty_blocks",
            2,
            1,
            "block 1, thread 0: race: number 0 of array 1: writes what was written by block 0",
        ),
        ("faulty_write_after_read", 1, 1, "race: number"),
        ("faulty_unwritten", 1, 1, "not written: reads number 32 of values"),
        ("no_such_kernel", 1, 1, "there is no such kernel"),
        ("faulty_blocks", 1, 2, "arguments that are not those of the kernel"),
    ] {
        let found = message(kernel, blocks, arrays);
        assert!(found.contains(expected), "{kernel}: {found:?}");
    }
    assert_eq!(
        message("faultless_barrier", 3, 1).matches("race: number").count(),
        1,
        "three blocks write the same numbers"
    );
    assert_eq!(message("faultless_barrier", 1, 1), "");
    assert_eq!(message("faulty_blocks", 1, 1), "");
}

#[test]
fn memory_that_nobody_wrote_or_that_is_gone_is_refused() {
    let Some(device) = EmulatedDevice::start().unwrap() else { return };
    let device: &dyn KernelDevice = &device;
    let array = device.allocate(NumberKind::F32, 3).unwrap();
    assert!(device.read(&array).unwrap_err().to_string().contains("no kernel wrote"));
    device.clear(&array).unwrap();
    assert_eq!(device.download(&array.part(1..3)).unwrap(), [0.0, 0.0]);
    assert!(device.write(&array, &[0; 8]).is_err());
}
