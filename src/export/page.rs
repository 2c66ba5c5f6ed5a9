//! The metrics page, rendered and compressed when the snapshot changes. A scrape copies bytes and
//! adds the self metrics; it takes no lock and calls nobody.

use bytes::{BufMut, Bytes, BytesMut};
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};

/// The business series of one snapshot, as text and as a piece of a gzip member.
#[derive(Debug, Clone)]
pub struct Page {
    text: Bytes,
    deflated: Bytes,
    checksum: Hasher,
}

/// A gzip member's header: deflate, no name, no time, unknown system (RFC 1952, section 2.3).
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

impl Page {
    /// Compresses a rendered page.
    pub fn new(text: String) -> Self {
        let mut checksum = Hasher::new();
        checksum.update(text.as_bytes());
        let deflated = deflate(text.as_bytes(), FlushCompress::Full);
        Self { text: text.into(), deflated, checksum }
    }

    /// Whether this is the page of a text.
    pub fn is_of(&self, text: &str) -> bool {
        self.text == text.as_bytes()
    }

    /// The page with more text behind it.
    pub fn with_text(&self, more: &str) -> Bytes {
        let mut body = BytesMut::with_capacity(self.text.len() + more.len());
        body.put_slice(&self.text);
        body.put_slice(more.as_bytes());
        body.freeze()
    }

    /// The page with more text behind it, as one gzip member. Members are never strung together:
    /// common clients read the first one only.
    pub fn gzip_with_text(&self, more: &str) -> Bytes {
        let tail = deflate(more.as_bytes(), FlushCompress::Finish);
        let mut checksum = self.checksum.clone();
        let mut rest = Hasher::new();
        rest.update(more.as_bytes());
        checksum.combine(&rest);
        // RFC 1952: the length modulo 2^32.
        let length = u32::try_from((self.text.len() + more.len()) & 0xffff_ffff).unwrap_or(0);
        let mut body =
            BytesMut::with_capacity(GZIP_HEADER.len() + self.deflated.len() + tail.len() + 8);
        body.put_slice(&GZIP_HEADER);
        body.put_slice(&self.deflated);
        body.put_slice(&tail);
        body.put_u32_le(checksum.finalize());
        body.put_u32_le(length);
        body.freeze()
    }
}

/// Compresses to raw deflate: a piece that more can follow, or with `Finish` the last one.
fn deflate(text: &[u8], flush: FlushCompress) -> Bytes {
    let mut compress = Compress::new(Compression::new(6), false);
    let mut out = Vec::with_capacity(text.len() / 8 + 64);
    let mut taken = 0;
    loop {
        let rest = text.get(taken..).unwrap_or_default();
        let before = out.len();
        let status = compress.compress_vec(rest, &mut out, flush).expect("memory to memory");
        taken = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
        let full = out.len() == out.capacity();
        let ended = status == flate2::Status::StreamEnd
            || (!full && taken >= text.len() && flush != FlushCompress::Finish)
            || (!full && out.len() == before && taken >= text.len());
        if ended {
            return out.into();
        }
        out.reserve(out.capacity().max(1024));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn inflate(member: &[u8]) -> String {
        let mut text = String::new();
        // Reads one member only, as curl does.
        flate2::read::GzDecoder::new(member).read_to_string(&mut text).expect("a whole member");
        text
    }

    proptest! {
        #[test]
        fn one_gzip_member_holds_page_and_self_metrics(page in ".{0,4000}", more in ".{0,500}") {
            let whole = format!("{page}{more}");
            let made = Page::new(page);
            prop_assert_eq!(inflate(&made.gzip_with_text(&more)), whole.clone());
            prop_assert_eq!(&made.with_text(&more)[..], whole.as_bytes());
        }
    }

    #[test]
    fn a_large_page_survives() {
        let text: String =
            (0..200_000).map(|n| format!("costband_x{{n=\"{n}\"}} {}\n", n * 7919)).collect();
        let page = Page::new(text.clone());
        assert_eq!(inflate(&page.gzip_with_text("up 1\n")), format!("{text}up 1\n"));
    }
}
