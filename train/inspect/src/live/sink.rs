//! Where the messages of a growing recording go: into a writer, or to a viewer; the first failure ends it.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::rerun::{Encoder, GrpcSink, GrpcSinkConnectionState, LogMsg, LogSink, SinkFlushError};

/// Why a recording ended, once it has.
#[derive(Clone, Default)]
pub(super) struct SinkFailure(Arc<Mutex<Option<String>>>);

impl SinkFailure {
    /// Keeps the first reason.
    fn set(&self, reason: impl ToString) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| reason.to_string());
    }

    /// The reason, if there is one.
    ///
    /// # Errors
    /// Fails with it.
    pub(super) fn check(&self) -> Result<(), String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }
}

/// Messages as the bytes of a recording.
pub(super) struct EncodedSink {
    pub encoder: Mutex<Encoder<Box<dyn Write + Send>>>,
    pub failure: SinkFailure,
}

impl LogSink for EncodedSink {
    fn send(&self, message: LogMsg) {
        if self.failure.check().is_err() {
            return;
        }
        let mut encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = encoder.append(&message) {
            encoder.do_not_emit_footer();
            self.failure.set(error);
        }
    }

    fn flush_blocking(&self, _: Duration) -> Result<(), SinkFlushError> {
        Ok(())
    }
}

impl Drop for EncodedSink {
    fn drop(&mut self) {
        if self.failure.check().is_err() {
            return;
        }
        let encoder = self.encoder.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = encoder.finish().and_then(|()| encoder.flush_blocking()) {
            self.failure.set(error);
        }
    }
}

/// Messages to a viewer.
pub(super) struct ViewerSink {
    pub client: GrpcSink,
    pub address: String,
    pub failure: SinkFailure,
}

impl LogSink for ViewerSink {
    fn send(&self, message: LogMsg) {
        if let GrpcSinkConnectionState::Disconnected(_) = self.client.status() {
            self.failure.set(format!("the viewer at {} went away", self.address));
        } else {
            self.client.send(message);
        }
    }

    fn flush_blocking(&self, timeout: Duration) -> Result<(), SinkFlushError> {
        self.client.flush_blocking(timeout)
    }
}
