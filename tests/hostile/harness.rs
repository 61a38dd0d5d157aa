//! Runs the binary as a user would, but with an end: every call has a time limit, and tells how it ended.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No call on files as small as those of the campaign may take longer.
pub(crate) fn soon() -> Duration {
    Duration::from_secs(count_from("JEPA3D_HOSTILE_SECONDS", 20) as u64)
}

/// Path of the binary that is tried.
pub(crate) fn binary() -> String {
    std::env::var("JEPA3D_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_jepa3d").to_owned())
}

/// A count that an environment variable sets.
pub(crate) fn count_from(variable: &str, default: usize) -> usize {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}: expected a number, found {text:?}")),
        Err(_) => default,
    }
}

/// How a call ended, and what it said.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub is_late: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub(crate) fn is_done(&self) -> bool {
        self.code == Some(0)
    }

    /// Whether either stream holds `text`.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.stderr.contains(text) || self.stdout.contains(text)
    }

    /// What no input may do: a panic, a signal, or no end.
    pub(crate) fn death(&self) -> Option<String> {
        match (self.is_late, self.signal, self.code) {
            (true, ..) => Some("did not end in time".to_owned()),
            (_, Some(signal), _) => Some(format!("ended by signal {signal}: {}", self.last_words())),
            (_, _, Some(0..=2)) => None,
            (_, _, code) => Some(format!("exit code {code:?}: {}", self.last_words())),
        }
    }

    /// The end of what it said, for a message.
    pub(crate) fn last_words(&self) -> String {
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let is_error = |line: &&str| line.starts_with("error:") || line.contains("panicked");
        let line = said.lines().rfind(is_error).or_else(|| said.lines().next_back()).unwrap_or_default();
        line.chars().take(240).collect()
    }

    /// How it ended, in words.
    pub(crate) fn ending(&self) -> String {
        self.death()
            .unwrap_or_else(|| format!("exit code {}: {}", self.code.unwrap_or(-1), self.last_words()))
    }

    /// The call, after a check that it worked: for what the campaign itself needs.
    #[track_caller]
    pub(crate) fn expect_done(self) -> Self {
        assert!(self.is_done(), "{}\nstdout: {}\nstderr: {}", self.ending(), self.stdout, self.stderr);
        self
    }
}

/// A process that was started, with its streams read by threads so that it never waits for us.
pub(crate) struct Running {
    pub child: std::process::Child,
    started: Instant,
    streams: [JoinHandle<String>; 2],
}

fn read_stream(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A stream that ends early has still said something.
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, started: Instant::now(), streams: [read_stream(stdout), read_stream(stderr)] }
    }

    /// Waits for its end; one that takes longer than `limit` is killed.
    pub(crate) fn finish(mut self, limit: Duration) -> Ran {
        let mut pause = Duration::from_micros(500);
        let mut is_late = false;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            is_late = self.started.elapsed() > limit;
            if is_late {
                self.child.kill().unwrap();
                break self.child.wait().unwrap();
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        };
        let [stdout, stderr] = self.streams.map(|stream| stream.join().unwrap());
        Ran { code: status.code(), signal: status.signal(), is_late, stdout, stderr }
    }
}

/// No call may ever need more memory than this (KiB), so that an endless read harms nobody.
const ENOUGH: &str = "ulimit -v 8388608";

/// The binary below a shell that sets a limit first, such as `ulimit -v 4194304`; the process is the binary's own.
pub(crate) fn limited_command<S: AsRef<std::ffi::OsStr>>(limit: &str, args: &[S]) -> Command {
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("{limit} || exit 99; exec \"$0\" \"$@\"")]).arg(binary()).args(args);
    shell
}

/// The binary with arguments.
pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Command {
    limited_command(ENOUGH, args)
}

/// Runs the binary to its end, which must come soon.
pub(crate) fn jepa3d<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Ran {
    Running::start(command(args)).finish(soon())
}

/// Runs the binary below a limit.
pub(crate) fn limited<S: AsRef<std::ffi::OsStr>>(limit: &str, args: &[S], soon: Duration) -> Ran {
    Running::start(limited_command(limit, args)).finish(soon)
}

/// Numbers that a seed fixes (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    /// A sequence of its own for every `topic` and number.
    pub(crate) fn new(topic: &str, number: usize) -> Self {
        let seed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(topic.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, mix) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}
