//! The viewer's web page and its recording, served to browsers of this machine and to no one else.
//!
//! There is one port. A page elsewhere that gives its own name this machine's address is refused, because a browser says
//! which name it asked for. The page as rerun made it would fetch a font and report its use to rerun.io: every response has a
//! Content-Security-Policy that lets the browser connect to this port alone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
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
pub(super) const RECORDING: &str = "/recording.rrd";

/// Bytes of a request that are read at most.
const MOST: u64 = 1 << 16;

/// How long a browser may take to ask, or to read on.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves the viewer and a recording at a free port of the loopback interface, until the process ends; returns the port.
///
/// # Errors
/// Fails if no port is free or this build holds no viewer.
pub(super) fn serve(recording: Vec<u8>) -> std::io::Result<u16> {
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
    recording: Vec<u8>,
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
struct SiteResponse<'a>(&'static str, &'static str, &'a [u8]);

impl ViewerSite {
    fn answer(&self, mut browser: TcpStream) -> std::io::Result<()> {
        browser.set_read_timeout(Some(PATIENCE))?;
        browser.set_write_timeout(Some(PATIENCE))?;
        let request = BrowserRequest::read(&browser)?;
        let SiteResponse(status, kind, body) = self.respond(&request);
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Security-Policy: {POLICY}\r\n{HEADERS}Content-Type: {kind}\r\n\
             Content-Length: {length}\r\nrerun-final-length: {length}\r\n\r\n"
        );
        browser.write_all(head.as_bytes())?;
        if request.method != "HEAD" {
            browser.write_all(body)?;
        }
        browser.flush()
    }

    fn respond(&self, request: &BrowserRequest) -> SiteResponse<'_> {
        if !self.is_own_host(&request.hosts) {
            return SiteResponse("403 Forbidden", "text/plain", b"this host is served to itself alone\n");
        }
        if !["GET", "HEAD"].contains(&request.method.as_str()) {
            return SiteResponse("405 Method Not Allowed", "text/plain", b"");
        }
        let viewer = &self.viewer;
        let (kind, body) = match request.path.as_str() {
            "/" | "/index.html" => ("text/html", viewer.index_html()),
            "/favicon.ico" => ("image/x-icon", viewer.favicon()),
            "/apple-touch-icon.png" => ("image/png", viewer.apple_touch_icon()),
            "/sw.js" => ("text/javascript", viewer.sw_js()),
            "/re_viewer.js" => ("text/javascript", viewer.viewer_js()),
            "/re_viewer_bg.wasm" => ("application/wasm", viewer.viewer_wasm()),
            RECORDING => ("application/octet-stream", &self.recording[..]),
            _ => return SiteResponse("404 Not Found", "text/plain", b""),
        };
        SiteResponse("200 OK", kind, body)
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
        let port = serve(b"recorded".to_vec()).unwrap();
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
    fn other_names_and_other_questions_are_refused() {
        let port = serve(b"recorded".to_vec()).unwrap();
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
