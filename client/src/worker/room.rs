//! Limits on concurrent handlers: in total, and per action.

use std::collections::HashMap;

/// Which handlers are running, and how many more may.
pub(super) struct Room {
    /// Maximum number of concurrent handlers.
    concurrency: usize,
    running: usize,
    /// Actions without a limit of their own.
    unbounded: Vec<String>,
    bounded: Vec<Bounded>,
    /// Position of the claim that goes first. It rotates, so that no action is always last.
    turn: usize,
}

struct Bounded {
    action: String,
    most: usize,
    running: usize,
}

/// Arguments of one claim.
#[derive(Debug, PartialEq)]
pub(super) struct Ask {
    pub actions: Vec<String>,
    pub most: usize,
}

impl Room {
    /// Creates room for handlers of these actions, with an overall limit and limits for some of the actions.
    pub fn new<'a>(
        actions: impl Iterator<Item = &'a String>,
        concurrency: usize,
        bounds: &HashMap<String, usize>,
    ) -> Room {
        let (mut unbounded, mut bounded) = (Vec::new(), Vec::new());
        for action in actions {
            match bounds.get(action) {
                Some(most) => bounded.push(Bounded { action: action.clone(), most: *most, running: 0 }),
                None => unbounded.push(action.clone()),
            }
        }
        Room { concurrency, running: 0, unbounded, bounded, turn: 0 }
    }

    /// Counts a handler that starts.
    pub fn take(&mut self, action: &str) {
        self.running += 1;
        self.of(action).into_iter().for_each(|bounded| bounded.running += 1);
    }

    /// Counts a handler that has finished.
    pub fn free(&mut self, action: &str) {
        self.running = self.running.saturating_sub(1);
        self.of(action).into_iter().for_each(|bounded| bounded.running = bounded.running.saturating_sub(1));
    }

    fn of(&mut self, action: &str) -> Option<&mut Bounded> {
        self.bounded.iter_mut().find(|bounded| bounded.action == action)
    }

    /// Whether there is no room for any handler.
    pub fn is_full(&self) -> bool {
        self.asks().next().is_none()
    }

    /// Returns the claims to make, one after the other: one for all actions without a limit, and one for each other
    /// action that has room. A claim takes what has waited longest, whatever its action, so a single claim for several
    /// limited actions could exceed any of their limits.
    pub fn next_asks(&mut self) -> Vec<Ask> {
        let mut asks: Vec<Ask> = self.asks().collect();
        if !asks.is_empty() {
            let first = self.turn % asks.len();
            asks.rotate_left(first);
            self.turn = self.turn.wrapping_add(1);
        }
        asks
    }

    /// Returns how many more handlers may run.
    pub fn left(&self) -> usize {
        self.concurrency.saturating_sub(self.running)
    }

    fn asks(&self) -> impl Iterator<Item = Ask> {
        let left = self.left();
        let unbounded = Ask { actions: self.unbounded.clone(), most: left };
        let unbounded = (!self.unbounded.is_empty()).then_some(unbounded);
        let bounded = self.bounded.iter().map(move |bounded| {
            let most = left.min(bounded.most.saturating_sub(bounded.running));
            Ask { actions: vec![bounded.action.clone()], most }
        });
        unbounded.into_iter().chain(bounded).filter(|ask| ask.most > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(concurrency: usize, bounds: &[(&str, usize)]) -> Room {
        let actions = ["a", "b", "c", "d"].map(str::to_owned);
        let bounds = bounds.iter().map(|(action, most)| ((*action).to_owned(), *most)).collect();
        Room::new(actions.iter(), concurrency, &bounds)
    }

    fn ask(actions: &[&str], most: usize) -> Ask {
        Ask { actions: actions.iter().map(|action| (*action).to_owned()).collect(), most }
    }

    #[test]
    fn without_bounds_there_is_one_claim_for_all() {
        let mut room = room(3, &[]);
        assert_eq!(room.next_asks(), [ask(&["a", "b", "c", "d"], 3)]);
        room.take("a");
        room.take("b");
        assert_eq!(room.next_asks(), [ask(&["a", "b", "c", "d"], 1)]);
        room.take("b");
        assert!(room.is_full() && room.next_asks().is_empty());
        room.free("a");
        assert_eq!(room.next_asks(), [ask(&["a", "b", "c", "d"], 1)]);
    }

    #[test]
    fn an_action_without_room_is_not_asked_for() {
        let mut room = room(10, &[("b", 2), ("d", 1)]);
        assert_eq!(room.next_asks(), [ask(&["a", "c"], 10), ask(&["b"], 2), ask(&["d"], 1)]);
        room.take("d");
        room.take("b");
        assert_eq!(room.next_asks(), [ask(&["b"], 1), ask(&["a", "c"], 8)]);
        room.take("b");
        assert_eq!(room.next_asks(), [ask(&["a", "c"], 7)]);
        room.free("d");
        assert_eq!(room.next_asks(), [ask(&["d"], 1), ask(&["a", "c"], 8)]);
    }

    #[test]
    fn a_bound_beyond_the_whole_room_changes_nothing() {
        let mut room = room(1, &[("a", 5)]);
        assert_eq!(room.next_asks(), [ask(&["b", "c", "d"], 1), ask(&["a"], 1)]);
        assert_eq!(room.next_asks(), [ask(&["a"], 1), ask(&["b", "c", "d"], 1)]);
        room.take("c");
        assert!(room.is_full());
    }
}
