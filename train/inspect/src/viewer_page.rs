//! The viewer's web page, kept from talking to anyone but this machine.
//!
//! The page as rerun serves it fetches a font and reports its use to rerun.io. It is passed on
//! here with a Content-Security-Policy that lets the browser connect to this machine alone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// What the page may load, and where it may connect.
const POLICY: &str = "default-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' 'unsafe-eval' blob: data:; \
                      connect-src 'self' http://127.0.0.1:* http://localhost:* blob: data:";

/// Passes the server at `inner` on at a free port of the loopback interface, until the process
/// ends; returns the port.
pub(super) fn pass_on(inner: u16) -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    std::thread::Builder::new().name("viewer page".to_owned()).spawn(move || {
        for browser in listener.incoming().flatten() {
            // A browser that left, or a connection too many, is no reason to end.
            let _ = std::thread::Builder::new().spawn(move || answer(browser, inner));
        }
    })?;
    Ok(port)
}

/// One request: its path goes to the inner server, the response comes back with the policy.
fn answer(mut browser: TcpStream, inner: u16) -> std::io::Result<()> {
    let mut head = BufReader::new(browser.try_clone()?.take(1 << 16));
    let mut request = String::new();
    head.read_line(&mut request)?;
    let mut line = String::new();
    while head.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, inner))?;
    let head = format!("{}\r\nHost: 127.0.0.1:{inner}\r\nConnection: close\r\n\r\n", request.trim_end());
    server.write_all(head.as_bytes())?;
    let mut response = BufReader::new(server);
    let mut status = String::new();
    response.read_line(&mut status)?;
    browser.write_all(format!("{status}Content-Security-Policy: {POLICY}\r\n").as_bytes())?;
    std::io::copy(&mut response, &mut browser)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_passed_on_with_the_policy() {
        let inner = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = pass_on(inner.local_addr().unwrap().port()).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = inner.accept().unwrap();
            let mut request = String::new();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            while !request.ends_with("\r\n\r\n") {
                lines.read_line(&mut request).unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage").unwrap();
            request
        });
        let mut browser = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        browser.write_all(b"GET /a.js?b HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n").unwrap();
        let mut response = String::new();
        browser.read_to_string(&mut response).unwrap();
        assert!(server.join().unwrap().starts_with("GET /a.js?b HTTP/1.1\r\nHost: 127.0.0.1:"));
        let expected =
            format!("HTTP/1.1 200 OK\r\nContent-Security-Policy: {POLICY}\r\nContent-Length: 4\r\n\r\npage");
        assert_eq!(response, expected);
    }
}
