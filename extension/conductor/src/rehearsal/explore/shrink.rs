//! Reduces answers to those that matter.

use super::improviser::Lines;
use crate::interrupt;

/// Maximum number of attempts at reducing a run.
const MAX_TRIES: usize = 500;
/// Maximum number of rows examined in all attempts.
const MAX_LOOKS: usize = 100_000_000;

/// Returns the smallest answers found that still show the flaw. Answers left out are those of the normal course.
/// `shows` also returns the number of rows that it has examined.
pub fn shrink(lines: Lines, mut shows: impl FnMut(&Lines) -> (bool, usize)) -> Lines {
    let mut smallest = lines;
    let (mut tries, mut looks) = (0, 0);
    loop {
        let mut is_smaller = false;
        for candidate in 0.. {
            let Some(smaller) = smaller(&smallest, candidate) else { break };
            if smaller == smallest {
                continue;
            }
            interrupt::check();
            let (is_shown, more) = shows(&smaller);
            (tries, looks) = (tries + 1, looks + more);
            if is_shown {
                smallest = smaller;
                is_smaller = true;
            }
            if tries > MAX_TRIES || looks > MAX_LOOKS {
                return smallest;
            }
        }
        if !is_smaller {
            return smallest;
        }
    }
}

/// Returns one of the ways to reduce the answers, by number, or `None` if there are no more. The coarsest come first.
fn smaller(lines: &Lines, candidate: usize) -> Option<Lines> {
    let keys: Vec<_> = lines.keys().cloned().collect();
    let mut smaller = lines.clone();
    if let Some(key) = keys.get(candidate) {
        smaller.remove(key);
        return Some(smaller);
    }
    let places = keys.iter().flat_map(|key| (0..lines[key].len()).map(move |place| (key, place)));
    let (key, place) = places.clone().nth((candidate - keys.len()) / 3)?;
    let answers = smaller.get_mut(key)?;
    match (candidate - keys.len()) % 3 {
        0 => answers.truncate(place),
        1 => answers[place] = None,
        _ => answers[place].iter_mut().for_each(|answer| answer.after = 0.0),
    }
    Some(smaller)
}
