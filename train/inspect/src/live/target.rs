//! Where a recording that grows goes: a file, browsers of this machine, or a viewer that is open.

use std::path::PathBuf;
use std::str::FromStr;

/// Where a viewer listens unless told otherwise.
const VIEWER: &str = "127.0.0.1:9876";

/// Where a recording goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveTarget {
    /// Into a file.
    Save(PathBuf),
    /// Behind a web page of this machine.
    Serve,
    /// To a viewer at this `HOST:PORT`.
    Connect(String),
}

impl FromStr for LiveTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, value) = text.split_once('=').map_or((text, None), |(word, value)| (word, Some(value)));
        match (word, value) {
            ("save", Some(file)) if !file.is_empty() => Ok(Self::Save(file.into())),
            ("serve", None) => Ok(Self::Serve),
            ("connect", None) => Ok(Self::Connect(VIEWER.to_owned())),
            ("connect", Some(address)) if address.contains(':') && !address.contains('/') => {
                Ok(Self::Connect(address.to_owned()))
            }
            _ => Err(format!("expected save=F.rrd, serve, connect or connect=HOST:PORT, found {text:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_apart_and_others_refused() {
        assert_eq!("save=a=b.rrd".parse(), Ok(LiveTarget::Save("a=b.rrd".into())));
        assert_eq!("serve".parse(), Ok(LiveTarget::Serve));
        assert_eq!("connect".parse(), Ok(LiveTarget::Connect(VIEWER.into())));
        assert_eq!("connect=[::1]:7".parse(), Ok(LiveTarget::Connect("[::1]:7".into())));
        for text in ["", "save", "save=", "serve=1", "connect=", "connect=host", "connect=http://a:1/b", "x"]
        {
            let error = text.parse::<LiveTarget>().unwrap_err();
            assert!(error.contains(&format!("found {text:?}")), "{error}");
        }
    }
}
