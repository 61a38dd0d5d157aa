//! The viewer's web page and its recording, served to browsers of this machine and to no one else.
//!
//! There is one port. A page elsewhere that gives its own name this machine's address is refused, because a browser says
//! which name it asked for. The page as rerun made it would fetch a font and report its use to rerun.io: every response has a
//! Content-Security-Policy that lets the browser connect to this port alone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::rerun::WebViewerData;

/// What a page may load, where it may connect, and that no other page may hold it.
const POLICY: &str = "default-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' 'unsafe-eval' blob: data:; \
                      connect-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// What stands in every response besides the policy.
const HEADERS: &str = "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n\
                       Cross-Origin-Resource-Policy: same-origin\r\nConnection: close\r\n";

/// Names under which a browser of this machine may ask.
const HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Where the recording is.
const RECORDING: &str = "/recording.rrd";

/// Bytes of a recording that are kept for browsers, at most.
const ROOM: usize = 1 << 29;

/// Bytes of it that are sent at once.
const PART: usize = 1 << 16;

/// Bytes of a request that are read at most.
const MOST: u64 = 1 << 16;

/// How long a browser may take to ask, or to read on.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the viewer at a port shows the recording.
pub(super) fn url(port: u16) -> String {
    let recording = RECORDING.trim_start_matches('/');
    format!("http://127.0.0.1:{port}/?url=http%3A%2F%2F127.0.0.1%3A{port}%2F{recording}")
}

/// A recording in memory, whole or still growing: every browser gets it from its beginning.
#[derive(Clone, Default)]
pub(super) struct GrowingRecording(Arc<(Mutex<RecordedBytes>, Condvar)>);

#[derive(Default)]
struct RecordedBytes {
    bytes: Vec<u8>,
    is_whole: bool,
}

impl GrowingRecording {
    /// One that grows no more.
    pub(super) fn whole(bytes: Vec<u8>) -> Self {
        Self(Arc::new((Mutex::new(RecordedBytes { bytes, is_whole: true }), Condvar::new())))
    }

    /// Its length, if it is whole.
    fn length(&self) -> Option<usize> {
        let recorded = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.is_whole.then_some(recorded.bytes.len())
    }

    /// Writes all bytes to `out`, as long as it grows.
    fn send(&self, out: &mut impl Write) -> std::io::Result<()> {
        let (bytes, grown) = &*self.0;
        let mut sent = 0;
        loop {
            let recorded = bytes.lock().unwrap_or_else(PoisonError::into_inner);
            let is_waiting =
                |recorded: &mut RecordedBytes| !recorded.is_whole && recorded.bytes.len() == sent;
            let recorded = grown.wait_while(recorded, is_waiting).unwrap_or_else(PoisonError::into_inner);
            let part = recorded.bytes[sent..recorded.bytes.len().min(sent + PART)].to_vec();
            drop(recorded);
            if part.is_empty() {
                return Ok(());
            }
            out.write_all(&part)?;
            sent += part.len();
        }
    }
}

impl Write for GrowingRecording {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        let (bytes, grown) = &*self.0;
        let mut recorded = bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.bytes.len() + part.len() > ROOM {
            let most = ROOM >> 20;
            return Err(std::io::Error::other(format!(
                "{most} MiB are kept for browsers, not more: record to a file"
            )));
        }
        recorded.bytes.extend_from_slice(part);
        grown.notify_all();
        Ok(part.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Serves the viewer and a recording at a free port of the loopback interface, until the process ends; returns the port.
///
/// # Errors
/// Fails if no port is free or this build holds no viewer.
pub(super) fn serve(recording: GrowingRecording) -> std::io::Result<u16> {
    let viewer = WebViewerData::load(None).map_err(std::io::Error::other)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let site = Arc::new(ViewerSite { port, viewer, recording });
    std::thread::Builder::new().name("viewer".to_owned()).spawn(move || {
        for browser in listener.incoming().flatten() {
            let site = site.clone();
            // A browser that left, or a connection too many, is no reason to end.
            let _ = std::thread::Builder::new().spawn(move || site.answer(browser));
        }
    })?;
    Ok(port)
}

/// What is served.
struct ViewerSite {
    port: u16,
    viewer: WebViewerData,
    recording: GrowingRecording,
}

/// What a browser asks for.
struct BrowserRequest {
    method: String,
    /// Without a query.
    path: String,
    /// Every `Host` that it names.
    hosts: Vec<String>,
}

/// Status, media type and body of a response.
struct SiteResponse<'a>(&'static str, &'static str, SiteBody<'a>);

/// What a response holds.
enum SiteBody<'a> {
    Bytes(&'a [u8]),
    Recording(&'a GrowingRecording),
}

impl SiteBody<'_> {
    /// Its length; none while it grows.
    fn length(&self) -> Option<usize> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len()),
            Self::Recording(recording) => recording.length(),
        }
    }

    fn send(&self, out: &mut impl Write) -> std::io::Result<()> {
        match self {
            Self::Bytes(bytes) => out.write_all(bytes),
            Self::Recording(recording) => recording.send(out),
        }
    }
}

impl ViewerSite {
    fn answer(&self, mut browser: TcpStream) -> std::io::Result<()> {
        browser.set_read_timeout(Some(PATIENCE))?;
        browser.set_write_timeout(Some(PATIENCE))?;
        let request = BrowserRequest::read(&browser)?;
        let SiteResponse(status, kind, body) = self.respond(&request);
        // What grows has no length: its end is that of the connection.
        let length = body.length().map_or(String::new(), |length| {
            format!("Content-Length: {length}\r\nrerun-final-length: {length}\r\n")
        });
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Security-Policy: {POLICY}\r\n{HEADERS}Content-Type: {kind}\r\n{length}\r\n"
        );
        browser.write_all(head.as_bytes())?;
        if request.method != "HEAD" {
            body.send(&mut browser)?;
        }
        browser.flush()
    }

    fn respond(&self, request: &BrowserRequest) -> SiteResponse<'_> {
        let refuse = |status: &'static str, why: &'static [u8]| {
            SiteResponse(status, "text/plain", SiteBody::Bytes(why))
        };
        if !self.is_own_host(&request.hosts) {
            return refuse("403 Forbidden", b"this host is served to itself alone\n");
        }
        if !["GET", "HEAD"].contains(&request.method.as_str()) {
            return refuse("405 Method Not Allowed", b"");
        }
        let viewer = &self.viewer;
        let (kind, body) = match request.path.as_str() {
            "/" | "/index.html" => ("text/html", viewer.index_html()),
            "/favicon.ico" => ("image/x-icon", viewer.favicon()),
            "/apple-touch-icon.png" => ("image/png", viewer.apple_touch_icon()),
            "/sw.js" => ("text/javascript", viewer.sw_js()),
            "/re_viewer.js" => ("text/javascript", viewer.viewer_js()),
            "/re_viewer_bg.wasm" => ("application/wasm", viewer.viewer_wasm()),
            RECORDING => {
                let body = SiteBody::Recording(&self.recording);
                return SiteResponse("200 OK", "application/octet-stream", body);
            }
            _ => return refuse("404 Not Found", b""),
        };
        SiteResponse("200 OK", kind, SiteBody::Bytes(body))
    }

    /// Whether a request names this server, once, by a name that no page elsewhere can have.
    fn is_own_host(&self, hosts: &[String]) -> bool {
        let [host] = hosts else { return false };
        HOSTS.iter().any(|name| host.eq_ignore_ascii_case(&format!("{name}:{}", self.port)))
    }
}

impl BrowserRequest {
    /// The first line and the headers of a request.
    fn read(browser: &TcpStream) -> std::io::Result<Self> {
        let mut lines = BufReader::new(browser.take(MOST));
        let mut first = String::new();
        lines.read_line(&mut first)?;
        let mut words = first.split_whitespace();
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default().to_owned();
        let (mut hosts, mut line) = (Vec::new(), String::new());
        while lines.read_line(&mut line)? > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("host")
            {
                hosts.push(value.trim().to_owned());
            }
            line.clear();
        }
        Ok(Self { method, path, hosts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(port: u16, request: &str) -> Vec<u8> {
        let mut browser = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        browser.write_all(request.as_bytes()).unwrap();
        let mut response = Vec::new();
        browser.read_to_end(&mut response).unwrap();
        response
    }

    fn get(port: u16, path: &str, host: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nAccept: */*\r\nhost: {host}\r\n\r\n");
        String::from_utf8_lossy(&ask(port, &request)).into_owned()
    }

    #[test]
    fn page_and_recording_come_from_one_port_with_the_policy() {
        let port = serve(GrowingRecording::whole(b"recorded".to_vec())).unwrap();
        for host in ["127.0.0.1", "localhost", "LocalHost", "[::1]"] {
            let page = get(port, "/?url=a", &format!("{host}:{port}"));
            assert!(
                page.starts_with("HTTP/1.1 200 OK\r\nContent-Security-Policy: default-src 'self'"),
                "{page}"
            );
            assert!(
                page.contains("\r\nX-Content-Type-Options: nosniff\r\n") && page.contains("re_viewer.js")
            );
        }
        let recording = get(port, RECORDING, &format!("localhost:{port}"));
        assert!(recording.ends_with("\r\nrerun-final-length: 8\r\n\r\nrecorded"), "{recording}");
        assert!(recording.contains(&format!("\r\nContent-Security-Policy: {POLICY}\r\n")), "{recording}");
        let head = ask(port, &format!("HEAD {RECORDING} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"));
        assert!(head.ends_with(b"\r\n\r\n"));
    }

    #[test]
    fn a_recording_that_grows_reaches_a_browser_as_it_does() {
        let mut recording = GrowingRecording::default();
        let port = serve(recording.clone()).unwrap();
        recording.write_all(b"first ").unwrap();
        let mut browser = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let request = format!("GET {RECORDING} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
        browser.write_all(request.as_bytes()).unwrap();
        let mut found = String::new();
        let mut read_until = |end: &str| {
            let mut part = [0; 64];
            while !found.ends_with(end) {
                let count = browser.read(&mut part).unwrap();
                assert!(count > 0, "ended before {end:?}: {found}");
                found += std::str::from_utf8(&part[..count]).unwrap();
            }
            found.clone()
        };
        assert!(!read_until("\r\n\r\nfirst ").contains("ength:"));
        recording.write_all(b"second").unwrap();
        read_until("first second");
        // A browser that left stops nobody.
        drop(browser);
        recording.write_all(b" third").unwrap();
        let full = recording.write_all(&vec![0; ROOM]).unwrap_err().to_string();
        assert!(full.contains("512 MiB"), "{full}");
    }

    #[test]
    fn other_names_and_other_questions_are_refused() {
        let port = serve(GrowingRecording::whole(b"recorded".to_vec())).unwrap();
        let local = format!("localhost:{port}");
        let twice = format!("{local}\r\nHost: {local}");
        let others = ["evil.example".to_owned(), format!("evil.example:{port}"), "localhost".to_owned()];
        let odd = [String::new(), twice, format!("localhost:{}", port ^ 1), format!("{local}.evil.example")];
        for host in others.iter().chain(&odd) {
            for path in [RECORDING, "/"] {
                let refused = get(port, path, host);
                assert!(refused.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{host}: {refused}");
                assert!(refused.contains("Content-Security-Policy") && !refused.contains("recorded"));
            }
        }
        assert!(ask(port, &format!("GET {RECORDING} HTTP/1.0\r\n\r\n")).starts_with(b"HTTP/1.1 403"));
        let post = ask(port, &format!("POST / HTTP/1.1\r\nHost: {local}\r\n\r\n"));
        assert!(post.starts_with(b"HTTP/1.1 405"));
        assert!(get(port, "/../etc/passwd", &local).starts_with("HTTP/1.1 404"));
    }
}
