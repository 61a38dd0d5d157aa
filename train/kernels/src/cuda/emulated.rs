//! The emulated device: a process that runs the kernels on the CPU, thread by thread, and checks every access.
//!
//! It is made once from the kernels' sources by the host's C++ compiler (`CXX`, or `c++`, `g++`, `clang++`), beside the binary
//! that asks for it, under a name that tells its sources. The commands it takes stand in `cuda/emulation/runner.cpp`. It finds
//! accesses out of bounds or of what nobody wrote, races on shared and on global memory, barriers and shuffles that some
//! threads miss, and wrong arguments. It cannot show speed, what only happens between blocks that run at once, registers
//! spilled, or the last bits of a card's own `expf`, `erff` and tensor cores.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Error, Result, bail};

use super::device::{
    DeviceArray, DeviceFactor, DeviceMemory, DeviceProduct, KernelArgument, KernelDevice, LaunchShape,
    NumberKind,
};
use super::half_copies::HalfCopies;
use super::sources::{EMULATION, HEADERS, PROGRAMS};

/// The process, and how it is talked to.
#[derive(Debug)]
struct Session {
    process: Child,
}

impl Session {
    /// Sends a command; what it is answered.
    fn ask(&mut self, command: &[u8]) -> Result<Vec<u8>> {
        let (Some(input), Some(output)) = (&mut self.process.stdin, &mut self.process.stdout) else {
            bail!("the emulated device has no pipes")
        };
        input.write_all(&(command.len() as u32).to_le_bytes())?;
        input.write_all(command)?;
        input.flush()?;
        let mut length = [0u8; 4];
        output.read_exact(&mut length)?;
        let mut reply = vec![0u8; u32::from_le_bytes(length) as usize];
        output.read_exact(&mut reply)?;
        match reply.split_first() {
            Some((0, data)) => Ok(data.to_vec()),
            Some((_, message)) => bail!("emulated device: {}", String::from_utf8_lossy(message)),
            None => bail!("the emulated device gave an empty reply"),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It ends with its input; a process that is not waited for stays in the table.
        let _ = self.process.wait();
    }
}

/// Memory of the process, by number.
#[derive(Debug)]
struct EmulatedMemory {
    id: u64,
    session: Arc<Mutex<Session>>,
}

impl DeviceMemory for EmulatedMemory {
    fn address(&self) -> u64 {
        self.id
    }
}

impl Drop for EmulatedMemory {
    fn drop(&mut self) {
        // A process that has ended has freed it.
        let _ = ask(&self.session, Message::new(b'F').word(self.id));
    }
}

fn ask(session: &Mutex<Session>, message: Message) -> Result<Vec<u8>> {
    session.lock().unwrap_or_else(PoisonError::into_inner).ask(&message.0)
}

/// A command in the making.
struct Message(Vec<u8>);

impl Message {
    fn new(letter: u8) -> Self {
        Self(vec![letter])
    }

    fn word(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn half(mut self, value: usize) -> Self {
        self.0.extend((value as u32).to_le_bytes());
        self
    }

    fn float(mut self, value: f32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn place(self, array: &DeviceArray) -> Self {
        self.word(array.address()).word(array.offset() as u64)
    }

    fn argument(self, argument: KernelArgument<'_>) -> Self {
        match argument {
            KernelArgument::Array(array) | KernelArgument::Optional(Some(array)) => {
                self.bytes(&[1]).place(array)
            }
            KernelArgument::Optional(None) => self.bytes(&[1]).word(0).word(0),
            KernelArgument::Count(count) => self.bytes(&[0]).word(count as u64),
            KernelArgument::Key(key) => self.bytes(&[0]).word(key),
            KernelArgument::Float(value) => self.bytes(&[0]).word(u64::from(value.to_bits())),
        }
    }

    fn factor(self, factor: DeviceFactor<'_>) -> Self {
        let is_bf16 = factor.array.kind() == NumberKind::Bf16;
        self.place(factor.array).half(factor.step).bytes(&[u8::from(factor.is_transposed), u8::from(is_bf16)])
    }
}

/// A device in a process of its own; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct EmulatedDevice {
    session: Arc<Mutex<Session>>,
    next: Arc<AtomicU64>,
    halves: HalfCopies,
}

impl EmulatedDevice {
    /// Starts it; `None` where no C++ compiler is.
    ///
    /// # Errors
    /// Fails if the compiler does not take the sources, or the process does not start.
    pub(crate) fn start() -> Result<Option<Self>> {
        // Tests ask for it at once: one of them builds.
        static BUILDS: Mutex<()> = Mutex::new(());
        let Some(compiler) = find_compiler() else { return Ok(None) };
        let program = {
            let _alone = BUILDS.lock().unwrap_or_else(PoisonError::into_inner);
            build(&compiler)?
        };
        let process = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let session = Arc::new(Mutex::new(Session { process }));
        Ok(Some(Self { session, next: Arc::new(AtomicU64::new(1)), halves: HalfCopies::default() }))
    }
}

/// The first of the usual names that answers.
fn find_compiler() -> Option<String> {
    let named = std::env::var("CXX").ok().filter(|name| !name.is_empty());
    let usual = ["c++", "g++", "clang++"].map(str::to_owned);
    let answers = |name: &String| {
        let run = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    };
    named.into_iter().chain(usual).find(answers)
}

/// Makes the program beside the binary that runs, unless it is there.
fn build(compiler: &str) -> Result<PathBuf> {
    let sources = || HEADERS.iter().chain(&PROGRAMS).chain(&EMULATION);
    let mut hasher = DefaultHasher::new();
    compiler.hash(&mut hasher);
    sources().for_each(|source| source.text.hash(&mut hasher));
    let own = std::env::current_exe()?;
    let folder = own.parent().unwrap_or(Path::new("."));
    let program = folder.join(format!("emulated-device-{:016x}", hasher.finish()));
    if program.exists() {
        return Ok(program);
    }
    // Several test binaries may come here at once: each builds in a folder of its own, the last rename stays.
    let place = folder.join(format!("emulated-device-{}", std::process::id()));
    for source in sources() {
        let path = place.join(source.path);
        std::fs::create_dir_all(path.parent().unwrap_or(&place))?;
        std::fs::write(path, source.text)?;
    }
    let made = place.join("device");
    let files = ["runner.cpp", "grid.cpp"].map(|name| place.join("emulation").join(name));
    let output =
        Command::new(compiler).args(["-std=c++17", "-O1", "-w", "-o"]).arg(&made).args(files).output()?;
    if !output.status.success() {
        bail!("{compiler} does not take the kernels: {}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::rename(made, &program)?;
    std::fs::remove_dir_all(place)?;
    Ok(program)
}

impl KernelDevice for EmulatedDevice {
    fn allocate(&self, kind: NumberKind, len: usize) -> Result<DeviceArray> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        ask(&self.session, Message::new(b'A').word(id).word((len * kind.bytes()) as u64))?;
        let memory = EmulatedMemory { id, session: self.session.clone() };
        Ok(DeviceArray::new(Arc::new(memory), kind, len))
    }

    fn write(&self, array: &DeviceArray, bytes: &[u8]) -> Result<()> {
        if bytes.len() != array.bytes() {
            return Err(Error::Msg(format!("{} bytes for an array of {}", bytes.len(), array.bytes())));
        }
        ask(&self.session, Message::new(b'W').place(array).bytes(bytes)).map(drop)
    }

    fn read(&self, array: &DeviceArray) -> Result<Vec<u8>> {
        ask(&self.session, Message::new(b'R').word(array.bytes() as u64).place(array))
    }

    fn clear(&self, array: &DeviceArray) -> Result<()> {
        ask(&self.session, Message::new(b'Z').word(array.bytes() as u64).place(array)).map(drop)
    }

    fn pointer(&self, array: &DeviceArray) -> u64 {
        array.address() << 32 | array.offset() as u64
    }

    fn halves(&self) -> &HalfCopies {
        &self.halves
    }

    fn launch(&self, kernel: &str, shape: LaunchShape, arguments: &[KernelArgument<'_>]) -> Result<()> {
        let mut message = Message::new(b'L').half(kernel.len()).bytes(kernel.as_bytes());
        for size in shape.grid.into_iter().chain(shape.block) {
            message = message.half(size as usize);
        }
        message = message.half(shape.shared_bytes).half(arguments.len());
        ask(&self.session, arguments.iter().fold(message, |message, argument| message.argument(*argument)))
            .map(drop)
    }

    fn multiply(&self, product: DeviceProduct<'_>) -> Result<()> {
        if product.is_empty() {
            return Ok(());
        }
        let message = Message::new(b'P').half(product.rows).half(product.columns).half(product.depth);
        let message = message.float(1.0).float(if product.adds { 1.0 } else { 0.0 });
        let message = message.factor(product.left).factor(product.right).factor(product.out);
        ask(&self.session, message).map(drop)
    }
}
