//! A text with expressions in a definition.

use super::sites::Site;
use super::{Check, Spot};
use crate::language::parse::Place;

/// A text with expressions, and its location.
pub struct Text<'t> {
    /// Where it is.
    pub site: &'t Site<'t>,
    /// The text itself.
    pub text: &'t str,
    /// Where it begins in the source.
    pub(super) place: Option<Place>,
}

impl Text<'_> {
    /// Returns the place of a byte of it, for a finding.
    pub fn spot<'c, 'a>(&'c self, check: &'c mut Check<'a>, at: usize) -> Spot<'c, 'a> {
        let mut spot = check.at(&self.site.path).task(self.site.task);
        spot.place = self.place.map(|place| Place { offset: at, ..place });
        spot.inside = true;
        spot.expression = Some(self.text);
        spot
    }
}
