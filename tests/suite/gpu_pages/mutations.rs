//! Twenty thousand spoiled pages from one seed: bytes flipped, lines cut, pages spliced.

use costband::collect::gpu::page::read;

use super::{fixtures, property};

const SEED: u64 = 0x5eed_0f9a_6e00;
const MUTATIONS: u32 = 20_000;
/// What a page holds that the parser looks for.
const WORDS: [&[u8]; 16] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b",",
    b"=",
    b"\n",
    b"# EOF",
    b" NaN",
    b" 1e309",
    b" -1",
    b"\xff",
    b"\xe4\xb8\x80",
    b"UUID=\"\"",
    b"vgpu=\"1\"",
    b"9223372036854775794",
];

/// splitmix64: small, seeded, and the same everywhere.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most.max(1) as u64).unwrap()
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Two places in order.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let (a, b) = (self.below(length + 1), self.below(length + 1));
        a.min(b)..a.max(b)
    }
}

/// A few lines of a page, so that most mutations hit something that is read.
fn excerpt<'a>(dice: &mut Dice, lines: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let count = 1 + dice.below(4);
    (0..count).map(|_| dice.one_of(lines)).collect()
}

/// Flips, cuts, copies or puts in a word.
pub(crate) fn spoil(dice: &mut Dice, words: &[&[u8]], page: &mut Vec<u8>) {
    let at = dice.below(page.len());
    match dice.below(6) {
        0 if !page.is_empty() => page[at] ^= 1 << dice.below(8),
        1 if !page.is_empty() => page[at] = dice.next().to_le_bytes()[0],
        2 => page.truncate(at),
        3 => {
            let range = dice.range(page.len());
            page.drain(range);
        }
        4 => {
            let copy = page[dice.range(page.len())].to_vec();
            page.splice(at..at, copy);
        }
        _ => {
            let word = dice.one_of(words);
            page.splice(at..at, word.iter().copied());
        }
    }
}

#[test]
fn no_spoiled_page_breaks_what_is_promised_of_every_page() {
    let pages = fixtures();
    let lines: Vec<&[u8]> =
        pages.iter().flat_map(|(_, page)| page.split_inclusive(|b| *b == b'\n')).collect();
    let mut dice = Dice(SEED);
    let (mut told, mut refused) = (0_u32, 0_u32);
    for _ in 0..MUTATIONS {
        let mut page = excerpt(&mut dice, &lines).concat();
        for _ in 0..dice.below(4) {
            spoil(&mut dice, &WORDS, &mut page);
        }
        let cuts = dice.next().to_le_bytes();
        match property::check(&page, &cuts) {
            Ok(_) => told += 1,
            Err(_) => refused += 1,
        }
    }
    // A fuzzer whose pages are all good, or all bad, tries nothing.
    assert!(told > MUTATIONS / 5 && refused > MUTATIONS / 5, "{told} told, {refused} refused");
}

#[test]
fn a_fixture_means_the_same_in_any_pieces() {
    for (name, page) in fixtures() {
        for cuts in [[1, 1], [2, 7], [255, 3]] {
            let told = property::check(&page, &cuts).is_ok();
            assert_eq!(told, name != "not_gpu.txt", "{name}");
        }
    }
}

#[test]
fn the_order_of_a_pages_lines_says_nothing() {
    for (name, page) in fixtures() {
        let samples = |page: &[u8]| -> Vec<Vec<u8>> {
            let lines = page.split_inclusive(|b| *b == b'\n');
            lines.filter(|line| !line.starts_with(b"#")).map(<[u8]>::to_vec).collect()
        };
        let forwards = samples(&page);
        let backwards: Vec<_> = forwards.iter().rev().cloned().collect();
        let told = read(&forwards.concat());
        assert_eq!(told, read(&backwards.concat()), "{name}");
        assert_eq!(told, read(&page), "{name}");
    }
}
