//! Ten thousand spoiled answers from one seed: bytes flipped, texts cut, answers spliced.

use std::path::Path;

use crate::gpu_pages::mutations::{Dice, spoil};
use crate::gpu_pages::property;

const SEED: u64 = 0x5eed_0f9a_5013;
const MUTATIONS: u32 = 10_000;
/// What an answer holds that the parser looks for.
const WORDS: [&[u8]; 16] = [
    b"\"",
    b"\\",
    b"\\u00e9",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"null",
    b"\"NaN\"",
    b"-1",
    b"1e309",
    b"\xff",
    b"[1763287200,\"1\"],",
    b"\"histograms\":[],",
];

/// The answers under tests/fixtures/promql with their file names.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/promql");
    let mut answers: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    answers.sort();
    answers
}

#[test]
fn an_answer_tells_its_gpus_at_their_steps() {
    let told: Vec<(String, Option<usize>)> = fixtures()
        .into_iter()
        .map(|(name, body)| (name, property::check_answer(&body).ok()))
        .collect();
    // Of dcgm: two whole devices at both steps and a slice, for which its device's row is told.
    let expected = [
        ("amd.json", Some(4)),
        ("dcgm.json", Some(6)),
        ("error.json", None),
        ("escapes.json", Some(1)),
    ];
    assert_eq!(told, expected.map(|(name, gpus)| (name.to_owned(), gpus)));
}

#[test]
fn no_spoiled_answer_breaks_what_is_promised_of_every_answer() {
    let answers = fixtures();
    let mut dice = Dice(SEED);
    let (mut told, mut refused) = (0_u32, 0_u32);
    for _ in 0..MUTATIONS {
        let (_, mut body) = answers[dice.below(answers.len())].clone();
        for _ in 0..dice.below(4) {
            spoil(&mut dice, &WORDS, &mut body);
        }
        match property::check_answer(&body) {
            Ok(_) => told += 1,
            Err(_) => refused += 1,
        }
    }
    // A fuzzer whose answers are all good, or all bad, tries nothing.
    assert!(told > MUTATIONS / 5 && refused > MUTATIONS / 5, "{told} told, {refused} refused");
}
