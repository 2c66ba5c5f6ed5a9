//! A way to the server that loses the answer to a commit, or the commit.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// What happens to the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Fate {
    Arrives = 0,
    /// It never reaches the server.
    Lost = 1,
    /// The server keeps it, and nobody hears of it.
    AnswerLost = 2,
    /// The same, and the server is out of reach until [`Proxy::open`].
    AnswerLostForLong = 3,
}

/// How a commit begins on the wire: a simple query (`Q`) is its length and its text.
const COMMIT: &[u8] = b"COMMIT\0";

pub(super) struct Proxy {
    pub(super) port: u16,
    fate: Arc<AtomicU8>,
    closed: Arc<AtomicBool>,
}

impl Proxy {
    pub(super) fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let fate = Arc::new(AtomicU8::new(Fate::Arrives as u8));
        let (known, closed) = (fate.clone(), Arc::new(AtomicBool::new(false)));
        let is_closed = closed.clone();
        // It ends with the process of the tests.
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if is_closed.load(Ordering::SeqCst) {
                    continue;
                }
                let far = TcpStream::connect(("127.0.0.1", server)).unwrap();
                pass(near, far, known.clone(), is_closed.clone());
            }
        });
        Self { port, fate, closed }
    }

    pub(super) fn next_commit(&self, fate: Fate) {
        self.fate.store(fate as u8, Ordering::SeqCst);
    }

    /// The server can be reached again.
    pub(super) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
    }

    /// Whether the fate that was set has come true.
    pub(super) fn has_struck(&self) -> bool {
        self.fate.load(Ordering::SeqCst) == Fate::Arrives as u8
    }
}

/// Passes bytes on both ways until either end closes.
fn pass(near: TcpStream, far: TcpStream, fate: Arc<AtomicU8>, closed: Arc<AtomicBool>) {
    let (mut from_near, mut to_far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    let (mut from_far, mut to_near) = (far, near);
    let deaf = Arc::new(AtomicU8::new(0));
    let is_deaf = deaf.clone();
    std::thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(read @ 1..) = from_near.read(&mut bytes) {
            let told = &bytes[..read];
            if told.windows(COMMIT.len()).any(|part| part == COMMIT) {
                let strikes = |wanted: Fate| {
                    let (wanted, none) = (wanted as u8, Fate::Arrives as u8);
                    let changed =
                        fate.compare_exchange(wanted, none, Ordering::SeqCst, Ordering::SeqCst);
                    changed.is_ok()
                };
                if strikes(Fate::Lost) {
                    break;
                }
                if strikes(Fate::AnswerLostForLong) {
                    closed.store(true, Ordering::SeqCst);
                    deaf.store(1, Ordering::SeqCst);
                }
                if strikes(Fate::AnswerLost) {
                    deaf.store(1, Ordering::SeqCst);
                }
            }
            if to_far.write_all(told).is_err() {
                break;
            }
        }
        let _ = to_far.shutdown(Shutdown::Both);
        let _ = from_near.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(read @ 1..) = from_far.read(&mut bytes) {
            if is_deaf.load(Ordering::SeqCst) == 1 || to_near.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = to_near.shutdown(Shutdown::Both);
        let _ = from_far.shutdown(Shutdown::Both);
    });
}
