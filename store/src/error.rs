//! Errors of object stores, in words that hold no credentials, and as a disk would report them.

use std::io::ErrorKind;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A URL that leads to no object.
    #[error("expected {expected}, found {found}")]
    Url {
        /// What a URL may be.
        expected: &'static str,
        /// What it is, without what may be secret.
        found: String,
    },
    /// A setting that cannot be.
    #[error("{name}: expected {expected}, found {found}")]
    Setting {
        /// Name of the option or of the variable of the environment.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// The store has no such bucket, and nothing can be told of objects in it.
    #[error("the store has no such bucket: {reason}")]
    NoBucket {
        /// What it answered.
        reason: String,
    },
    /// The store has no such object.
    #[error("the store has none: {reason}")]
    Missing {
        /// What it answered.
        reason: String,
    },
    /// The store refuses these credentials, or there are none.
    #[error("the store refuses: {reason}; {places}", places = CREDENTIALS)]
    Refused {
        /// What it answered.
        reason: String,
    },
    /// An object is there that must not be.
    #[error("the object is there already")]
    Exists,
    /// The store does not answer as it should, however often it is asked.
    #[error("the store fails, after {tries} tries: {reason}")]
    Store {
        /// How often it was asked.
        tries: usize,
        /// What it answered at last.
        reason: String,
    },
    /// What the store does not do.
    #[error("the store cannot do this: {reason}")]
    Unsupported {
        /// What it answered.
        reason: String,
    },
    /// What came is not what the manifest says, however often it was fetched.
    #[error("{what}: expected {expected}, found {found}, after {tries} tries")]
    Altered {
        /// Bytes or hash.
        what: &'static str,
        /// What the manifest states.
        expected: String,
        /// What came.
        found: String,
        /// How often it was fetched.
        tries: usize,
    },
    /// No manifest that was read names this file.
    #[error("expected a shard that the manifest names, found another file")]
    Unlisted,
    /// The cache cannot hold what is in use.
    #[error(
        "the cache {folder} may hold {bound} bytes: expected room for {bytes} more, found {held} bytes of shards in use; raise --cache-bytes"
    )]
    Full {
        /// The cache.
        folder: String,
        /// Bytes that it may hold.
        bound: u64,
        /// Bytes that are wanted.
        bytes: u64,
        /// Bytes that cannot be given up.
        held: u64,
    },
    /// The disk of this machine refuses.
    #[error("{path}: {source}")]
    Disk {
        /// File or folder.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where credentials are looked for.
const CREDENTIALS: &str = "credentials come from the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                           GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY), \
                           the usual files, or the machine's role";

/// Letters of an answer that are shown, at most.
const SHOWN: usize = 300;

impl Error {
    /// An error of the disk at `path`.
    pub(crate) fn disk(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Disk { path: path.display().to_string(), source }
    }

    /// What a store said, after so many tries.
    pub(crate) fn from_store(error: &object_store::Error, tries: usize) -> Self {
        use object_store::Error as Answer;
        let reason = describe(error);
        match error {
            _ if is_about_bucket(&reason) => Self::NoBucket { reason },
            Answer::NotFound { .. } => Self::Missing { reason },
            Answer::AlreadyExists { .. } | Answer::Precondition { .. } => Self::Exists,
            Answer::PermissionDenied { .. } | Answer::Unauthenticated { .. } => Self::Refused { reason },
            Answer::NotSupported { .. } | Answer::NotImplemented { .. } => Self::Unsupported { reason },
            _ if is_about_credentials(&reason) => Self::Refused { reason },
            _ => Self::Store { tries, reason },
        }
    }

    /// Whether asking again may help.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Store { .. } | Self::Altered { .. })
    }
}

fn is_about_bucket(reason: &str) -> bool {
    let words = ["NoSuchBucket", "bucket does not exist", "ContainerNotFound", "container does not exist"];
    words.iter().any(|word| reason.contains(word))
}

fn is_about_credentials(reason: &str) -> bool {
    let lower = reason.to_lowercase();
    ["credential", "instance metadata", "169.254.169.254", "metadata.google.internal", "access token"]
        .iter()
        .any(|word| lower.contains(word))
}

/// The chain of causes in one line, without what may be secret: answers of S3 quote keys and signatures, and URLs may be signed.
fn describe(error: &object_store::Error) -> String {
    let (mut text, mut cause) = (error.to_string(), std::error::Error::source(error));
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    conceal(&text)
}

/// Of an answer in XML its code and message alone; of a URL what stands before its query.
pub(crate) fn conceal(text: &str) -> String {
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0.trim().to_owned())
    };
    let head = text.split('<').next().unwrap_or_default().trim().trim_end_matches(':');
    let shown = match (element("Code"), element("Message")) {
        (None, None) => head.to_owned(),
        (code, message) => {
            let parts: Vec<String> = [Some(head.to_owned()), code, message].into_iter().flatten().collect();
            parts.join(": ")
        }
    };
    let words = shown.split_whitespace().map(|word| match word.split_once('?') {
        Some((url, _)) if url.contains("://") => format!("{url}?.."),
        _ => word.to_owned(),
    });
    let line: String = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}..", &line[..end]),
        None => line,
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Missing { .. } => ErrorKind::NotFound,
            Error::Refused { .. } => ErrorKind::PermissionDenied,
            Error::Exists => ErrorKind::AlreadyExists,
            Error::Store { .. } => ErrorKind::TimedOut,
            Error::Unsupported { .. } => ErrorKind::Unsupported,
            Error::Altered { .. } => ErrorKind::InvalidData,
            Error::Url { .. } | Error::Setting { .. } | Error::NoBucket { .. } | Error::Unlisted => {
                ErrorKind::InvalidInput
            }
            Error::Full { .. } => ErrorKind::StorageFull,
            Error::Disk { source, .. } => source.kind(),
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_shown_without_keys_and_signatures() {
        let answer = "Generic S3 error: status 403 body: <?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code>\
                      <Message>The signature does not match.</Message><AWSAccessKeyId>AKIAX</AWSAccessKeyId>\
                      <StringToSign>AWS4-HMAC</StringToSign></Error>";
        let shown = conceal(answer);
        assert_eq!(
            shown,
            "Generic S3 error: status 403 body: SignatureDoesNotMatch: The signature does not match."
        );
        let signed =
            "error sending request for url (https://a.blob.core.windows.net/c/x?sv=1&sig=SECRET): closed";
        assert_eq!(
            conceal(signed),
            "error sending request for url (https://a.blob.core.windows.net/c/x?..  closed"
                .replace("  ", " ")
        );
        assert!(conceal(&"x".repeat(1000)).len() < 310);
    }
}
