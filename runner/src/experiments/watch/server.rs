//! Serves the page of `watch` on loopback: to whoever knows the token in its address, and nothing but reading.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::runs::Watched;
use super::view::{address, now, whole};
use crate::run::REPORT;

/// A request is a line and some headers; browsers send them at once.
const MOST: usize = 16 << 10;
const PATIENCE: Duration = Duration::from_secs(5);
/// The folders are looked at no more often, however many pages are open.
const EVERY: Duration = Duration::from_millis(1500);

/// Nothing is loaded from elsewhere, whatever a report says.
const HEADERS: &str = "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                       connect-src 'self'; img-src 'self' data:\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
                       Cache-Control: no-store\r\nConnection: close\r\n";

/// A page that waits to be asked for.
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    token: String,
    watched: Mutex<(Instant, Watched)>,
}

/// What is sent back.
struct Answer {
    status: &'static str,
    kind: &'static str,
    content: Vec<u8>,
}

impl Server {
    /// Listens on loopback; port 0 is one that is free.
    ///
    /// # Errors
    /// The port is taken.
    pub fn new(watched: Watched, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let shared = Shared { token: token(), watched: Mutex::new((Instant::now(), watched)) };
        Ok(Self { listener, shared: Arc::new(shared) })
    }

    /// The address of the page.
    ///
    /// # Errors
    /// The system does not tell the port.
    pub fn address(&self) -> io::Result<String> {
        let port = self.listener.local_addr().map(|address: SocketAddr| address.port())?;
        Ok(format!("http://127.0.0.1:{port}/{}/", self.shared.token))
    }

    /// Answers for ever.
    pub fn serve(&self) {
        for stream in self.listener.incoming().flatten() {
            let shared = Arc::clone(&self.shared);
            // A browser opens connections on which it says nothing for long: each has a thread of its own.
            _ = thread::Builder::new().name("watch".to_owned()).spawn(move || _ = shared.answer(stream));
        }
    }
}

impl Shared {
    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let Answer { status, kind, content } = match path(&mut stream)? {
            Some(path) => self.of(&path),
            None => said("400 Bad Request", "this answers GET and nothing else\n"),
        };
        let length = content.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {length}\r\n{HEADERS}\r\n"
        )?;
        stream.write_all(&content)?;
        // Who is still talking when the connection is closed never hears the answer.
        stream.shutdown(Shutdown::Write)?;
        io::copy(&mut stream.take(MOST as u64), &mut io::sink()).map(|_| ())
    }

    fn of(&self, path: &str) -> Answer {
        let page = |text: String| Answer { status: "200 OK", kind: "text/html", content: text.into_bytes() };
        let unknown =
            || said("404 Not Found", "there is nothing here; the address is the one that `secateur watch` printed\n");
        // Every browser asks for it by itself, and would complain of a 404 in its console.
        if path == "/favicon.ico" {
            return said("204 No Content", "");
        }
        let Some(path) = path.strip_prefix('/').and_then(|path| path.strip_prefix(&self.token)?.strip_prefix('/'))
        else {
            return unknown();
        };
        let mut state = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0.elapsed() >= EVERY {
            state.1.look();
            state.0 = Instant::now();
        }
        let watched = &state.1;
        let (path, asked) = path.split_once('?').unwrap_or((path, ""));
        match path {
            "" => page(whole(watched)),
            "now" => page(now(watched, &words(asked)).into_string()),
            // Only folders that were found are served, so that no address leads out of them.
            _ => match watched.runs.keys().find(|folder| address(watched, folder) == path) {
                Some(folder) => report(folder).map_or_else(unknown, page),
                None => unknown(),
            },
        }
    }
}

/// The words of `find=...`, which runs are to be named by.
fn words(asked: &str) -> Vec<String> {
    let found = asked.split('&').find_map(|part| part.strip_prefix("find=")).unwrap_or_default();
    let (mut text, mut rest) = (Vec::new(), found.as_bytes());
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *byte == b'%').and_then(|digits| str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(written) => {
                text.push(written);
                rest = &after[2..];
            }
            None => {
                text.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&text).to_lowercase().split_whitespace().map(str::to_owned).collect()
}

fn report(folder: &Path) -> Option<String> {
    let waiting =
        "<!DOCTYPE html><meta charset=utf-8><p>This run has no report yet: it has one from its first epoch on.";
    if !folder.is_dir() {
        return None;
    }
    Some(fs::read_to_string(folder.join(REPORT)).unwrap_or_else(|_| waiting.to_owned()))
}

fn said(status: &'static str, text: &str) -> Answer {
    Answer { status, kind: "text/plain", content: text.as_bytes().to_vec() }
}

/// The path of a request that asks for something; `None` where it is another request.
fn path(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut read = Vec::new();
    let mut more = [0; 1024];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&read) {
            Ok(status) if status.is_complete() => {
                let asked = request.method == Some("GET");
                return Ok(request.path.filter(|_| asked).map(str::to_owned));
            }
            Ok(_) if read.len() < MOST => {}
            _ => return Ok(None),
        }
        match stream.read(&mut more)? {
            0 => return Ok(None),
            count => read.extend_from_slice(&more[..count]),
        }
    }
}

/// Text that nobody can guess: 128 bits by keys that the system draws for each.
fn token() -> String {
    let word = || {
        let mut hash = RandomState::new().build_hasher();
        hash.write_u32(std::process::id());
        hash.finish()
    };
    format!("{:016x}{:016x}", word(), word())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(server: &Server, request: &str) -> String {
        let address = server.listener.local_addr().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn only_who_knows_the_token_reads_and_nothing_but_reports_of_runs() {
        let out = tempfile::tempdir().unwrap();
        let run = out.path().join("a b");
        fs::create_dir(&run).unwrap();
        fs::write(run.join("events.jsonl"), "").unwrap();
        fs::write(run.join("report.html"), "the report").unwrap();
        fs::write(out.path().join("secret"), "not for you").unwrap();
        let server = Arc::new(Server::new(Watched::new(out.path()), 0).unwrap());
        let serving = Arc::clone(&server);
        thread::spawn(move || serving.serve());
        let get = |path: &str| ask(&server, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let token = &server.shared.token;
        assert!(server.address().unwrap().ends_with(&format!("/{token}/")) && token.len() == 32);
        let whole = get(&format!("/{token}/"));
        assert!(whole.starts_with("HTTP/1.1 200 OK") && whole.contains("default-src 'none'"), "{whole}");
        assert!(whole.contains("run/a%20b") && !whole.contains("http://") && !whole.contains("https://"), "{whole}");
        assert!(get("/favicon.ico").starts_with("HTTP/1.1 204"));
        assert!(get(&format!("/{token}/now")).contains("1 stopped"));
        assert!(get(&format!("/{token}/now?find=A%20B")).contains("run/a%20b"));
        let none = get(&format!("/{token}/now?find=a%20%3Cscript%3E"));
        assert!(none.contains("0 of 1 runs") && !none.contains("run/a%20b") && !none.contains("<script>"), "{none}");
        assert_eq!(words("find=%C3%84b%20x%2&y"), ["äb", "x%2"]);
        assert!(get(&format!("/{token}/run/a%20b")).ends_with("the report"));
        let others = ["/", "/now", &format!("/{token}"), &format!("/{token}x/"), &format!("/{token}/run/secret")];
        for path in others.into_iter().chain([&*format!("/{token}/run/../secret"), &*format!("/{token}/secret")]) {
            let answer = get(path);
            assert!(answer.starts_with("HTTP/1.1 404") && !answer.contains("not for you"), "{path}: {answer}");
        }
        for request in [format!("POST /{token}/ HTTP/1.1\r\n\r\n"), "x".repeat(MOST + 9), "\0\r\n\r\n".to_owned()] {
            assert!(ask(&server, &request).starts_with("HTTP/1.1 400"));
        }
        assert_ne!(super::token(), super::token());
    }
}
