//! The fuzz targets on a fixed number of inputs: a small corpus, mutated with a fixed seed. `cargo fuzz` goes further,
//! guided by coverage.

#[path = "../../fuzz/targets.rs"]
mod targets;

use conductor::testing::simulation::Chance;
use std::path::Path;
use std::time::{Duration, Instant};

/// Number of inputs made from each corpus.
const INPUTS: usize = if cfg!(debug_assertions) { 2_000 } else { 20_000 };

/// Anything longer is a hang, however busy the machine is.
const LONGEST: Duration = Duration::from_secs(30);

/// Returns the files of a corpus, sorted by name.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Returns a text with a few changes: pieces cut, doubled, or swapped for pieces of others or for what parsers stumble
/// over.
fn changed(chance: &mut Chance, corpus: &[Vec<u8>]) -> Vec<u8> {
    const STUMBLING: [&str; 24] = [
        "{{",
        "}}",
        "{%",
        "%}",
        "[",
        "]",
        "{",
        "}",
        ": ",
        "- ",
        "&a ",
        "*a",
        "<<: ",
        "? ",
        "| ",
        "\"",
        "'",
        "\t",
        "\r\n",
        "\u{feff}",
        "\\u0000",
        "99999999999999999999",
        "[[[[[[[[[[[[[[[[",
        "((((((((((((((((",
    ];
    let mut text = corpus[chance.below(corpus.len())].clone();
    for _ in 0..1 + chance.below(6) {
        let at = chance.below(text.len() + 1);
        let end = (at + chance.below(20)).min(text.len());
        match chance.below(5) {
            0 => drop(text.drain(at..end)),
            1 => drop(text.splice(at..at, text[at..end].to_vec())),
            2 => drop(text.splice(at..end, STUMBLING[chance.below(STUMBLING.len())].bytes())),
            3 => {
                let other = &corpus[chance.below(corpus.len())];
                let from = chance.below(other.len() + 1);
                let piece = other[from..(from + chance.below(40)).min(other.len())].to_vec();
                drop(text.splice(at..end, piece));
            }
            _ => text.extend((at < end).then(|| text[at].wrapping_add(chance.below(256) as u8))),
        }
    }
    text
}

/// Runs them on a stack as small as a backend's may be.
fn survive(name: &'static str, target: fn(&[u8])) {
    let work = move || {
        let corpus = corpus(name);
        corpus.iter().for_each(|input| target(input));
        let mut chance = Chance::new(7);
        for number in 0..INPUTS {
            let input = changed(&mut chance, &corpus);
            let begun = Instant::now();
            let survived = std::panic::catch_unwind(|| target(&input));
            let shown = String::from_utf8_lossy(&input);
            assert!(survived.is_ok(), "input {number} of {name} panics: {shown:?}");
            assert!(begun.elapsed() < LONGEST, "input {number} of {name} takes {:?}: {shown:?}", begun.elapsed());
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn no_text_of_a_definition_is_a_panic() {
    survive("definition", targets::definition);
}

#[test]
fn no_expression_is_a_panic() {
    survive("expression", targets::expression);
}

#[test]
fn no_test_file_is_a_panic() {
    survive("script", targets::script);
}
