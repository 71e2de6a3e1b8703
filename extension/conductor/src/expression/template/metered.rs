//! Templates in which every walk through a value costs fuel.
//!
//! The amount is `Bounds::template_fuel`, which `expression.rs` gives to each evaluation.
//!
//! MiniJinja meters its instructions and loops, but `~`, comparisons, and conversions of a list to text walk through a
//! value for free, and constant folding does so at compile time. A list can be repeated, or contain another list many
//! times, so a short expression can build one that takes years to walk through. Therefore the tree of a template is
//! copied with a filter around every operand that may be walked through: it takes the fuel, or fails, before the walk.
//! `map`, `select` and similar filters, which walk through their arguments for each item, are replaced with versions
//! that take it each time.
//!
//! Fuel limits how much is done; the time until the host can interrupt it is limited, too. The filters check for
//! interrupts, and pass a large value on as one that checks at each step ([`watched`]). A body that can be repeated
//! checks each time. Where a library works uninterrupted, its input is limited in size: [`MAX_TEXT`] and
//! [`MAX_SORTED`].
//!
//! MiniJinja slices, repeats and reverses lists lazily. A list with many layers of laziness costs a walk through each
//! layer for every item, and stack. Therefore the filters pass on a plain list in place of a lazy one.

use minijinja::tests::is_sameas;
use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State, filters};
use std::borrow::Cow;

use super::watch::{is_plain_map, watched};
use super::watched::unwatched;
use crate::expression::opaque;
use crate::interrupt;

/// The filter around operands that are walked through. Private names are rejected in users' templates.
pub(super) const METERED: &str = "__metered";
/// The filter around a container from which an item is taken: this walks through all of a text, but not through a list.
pub(super) const TOUCHED: &str = "__touched";
/// The filter around a value that is sliced or repeated lazily: each item is stepped over.
pub(super) const SLICED: &str = "__sliced";
/// The filter around a value that may be too long a text.
pub(super) const BOUNDED: &str = "__bounded";
/// The filter around the input of a filter.
pub(super) const FILTERED: &str = "__filtered";
/// The filter around a value that is split into items, which may be the characters of a text.
pub(super) const TAKEN_APART: &str = "__taken_apart";
/// The filter around a value that is sorted.
pub(super) const SORTED: &str = "__sorted";
/// The filter around all of a path except its last name, if the whole may be undefined: an undefined value has no
/// members.
pub(super) const MAYBE: &str = "__maybe";
/// The filter that only checks for interrupts.
pub(super) const CHECKED: &str = "__checked";

/// Filters and tests that examine only what they pay for themselves.
pub(super) const SHALLOW_FILTERS: [&str; 5] = ["attr", "count", "d", "default", "length"];
/// Filters that examine one item, or one item after another.
pub(super) const TOUCHING_FILTERS: [&str; 3] = ["first", "items", "last"];
pub(super) const SHALLOW_TESTS: [&str; 3] = ["defined", "undefined", "none"];
/// Filters that take a sequence.
pub(super) const SEQUENCE_FILTERS: [&str; 15] = [
    "batch",
    "chain",
    "join",
    "list",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "select",
    "selectattr",
    "slice",
    "sum",
    "unique",
    "zip",
];
/// Filters that sort: their comparisons cannot be stopped.
pub(super) const SORTING_FILTERS: [&str; 3] = ["sort", "dictsort", "groupby"];

/// Maximum length in bytes of a text that an operator accepts: operators cannot be interrupted.
pub const MAX_TEXT: usize = 16 << 20;
/// Maximum length in bytes of a text that a filter, test or function accepts: they are slower.
pub const MAX_FILTERED: usize = 4 << 20;
/// Maximum length of a text that is split into characters.
pub const MAX_TAKEN_APART: usize = 1 << 18;
/// Maximum number of items that are sorted at once, and of lists that a list is divided into.
pub const MAX_SORTED: usize = 100_000;
/// Maximum number of items of a lazy list, including nested lists, that is converted to a plain one.
pub const MAX_LAZY: usize = 1_000_000;

/// Maximum number of spaces that lines are indented by.
const MAX_INDENT: usize = 100;
/// Maximum width of a formatted value.
const MAX_WIDTH: usize = 1000;

/// Number of units, each an item of a list or eight bytes of text, that cost one fuel.
const UNITS_PER_FUEL: u64 = 8;

/// Number of units between two checks on a long walk. A value worth more than this is watched.
const UNITS_BETWEEN_CHECKS: u64 = 1 << 12;

/// The name of a test.
type Name<'a> = Option<Cow<'a, str>>;
/// The arguments that `map` and similar filters pass to their filter or test with each item.
type Others = Rest<ValueOrKwargs>;
type Listed = Result<Vec<Value>, Error>;

/// Registers the meter with an environment; written output passes through it too.
pub fn register(environment: &mut Environment<'static>, depth: usize) {
    let meter = Meter { depth };
    let metered = move |longest| move |state: &State, value: Value| meter.metered(state, value, longest);
    environment.add_filter(METERED, metered(MAX_TEXT));
    environment.add_filter(FILTERED, metered(MAX_FILTERED));
    environment.add_filter(TAKEN_APART, move |state: &State, value: Value| meter.taken_apart(state, value));
    environment.add_filter(TOUCHED, touched);
    environment.add_filter(SLICED, move |state: &State, value: Value| meter.sliced(state, value));
    environment.add_filter(BOUNDED, |value: Value| text_units(&value, MAX_TEXT).map(|_| value));
    environment.add_filter(SORTED, move |state: &State, value: Value| {
        if value.len().is_some_and(|count| count > MAX_SORTED) {
            let message = format!("cannot sort more than {MAX_SORTED} items");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
        meter.taken_apart(state, value)
    });
    environment.add_filter(MAYBE, |value: Value| match value.is_undefined() {
        true => Value::from(()),
        false => value,
    });
    environment.add_filter(CHECKED, |value: Value| {
        interrupt::check();
        value
    });
    environment.set_formatter(move |out, state, value| {
        let value = meter.metered(state, value.clone(), usize::MAX)?;
        minijinja::escape_formatter(out, state, &value)
    });
    environment.add_filter("map", move |state: &mut State, items: Value, others: Others| -> Listed {
        meter.pay_for_each(state, &items, &others)?;
        filters::map(state, items, others)
    });
    environment.add_filter(
        "select",
        move |state: &mut State, items: Value, test: Name<'_>, others: Others| -> Listed {
            meter.pay_for_each(state, &items, &others)?;
            filters::select(state, items, test, others)
        },
    );
    environment.add_filter(
        "reject",
        move |state: &mut State, items: Value, test: Name<'_>, others: Others| -> Listed {
            meter.pay_for_each(state, &items, &others)?;
            filters::reject(state, items, test, others)
        },
    );
    environment.add_filter(
        "selectattr",
        move |state: &mut State, items: Value, attribute: Cow<'_, str>, test: Name<'_>, others: Others| -> Listed {
            meter.pay_for_each(state, &items, &others)?;
            filters::selectattr(state, items, attribute, test, others)
        },
    );
    environment.add_filter(
        "rejectattr",
        move |state: &mut State, items: Value, attribute: Cow<'_, str>, test: Name<'_>, others: Others| -> Listed {
            meter.pay_for_each(state, &items, &others)?;
            filters::rejectattr(state, items, attribute, test, others)
        },
    );
    limit_sizes(environment);
}

/// Registers the filters whose output size is given by a number, whatever their input: the number is limited, because a
/// raised fuel limit could pay for more than there is memory.
fn limit_sizes(environment: &mut Environment<'static>) {
    environment.add_filter("slice", |state: &State, value: Value, count: usize, fill_with: Option<Value>| {
        limited("count", count, MAX_SORTED)?;
        filters::slice(state, value, count, fill_with)
    });
    environment.add_filter("batch", |state: &State, value: Value, count: usize, fill_with: Option<Value>| {
        limited("count", count, MAX_SORTED)?;
        filters::batch(state, value, count, fill_with)
    });
    environment.add_filter("tojson", |value: &Value, indent: Option<Value>, others: Kwargs| {
        let named: Option<Value> = others.get("indent")?;
        let width = indent.as_ref().or(named.as_ref()).and_then(Value::as_usize);
        limited("indent", width.unwrap_or(0), MAX_INDENT)?;
        filters::tojson(value, indent, others)
    });
    environment.add_filter("indent", |state: &State, arguments: Rest<ValueOrKwargs>| {
        let arguments = arguments.into_values();
        let (text, width, first, blank, others): (_, Option<usize>, Option<bool>, Option<bool>, Kwargs) =
            from_args(&arguments)?;
        let named: Option<usize> = others.peek("width").unwrap_or_default();
        limited("width", width.or(named).unwrap_or(0), MAX_INDENT)?;
        let indented = filters::indent(text, width, first, blank, others)?;
        state.consume_fuel(text_units(&indented, MAX_TEXT)? / UNITS_PER_FUEL)?;
        Ok::<_, Error>(indented)
    });
    environment.add_filter("format", |state: &mut State, text: &Value, arguments: Rest<ValueOrKwargs>| {
        let numbers = text.as_str().unwrap_or_default().split(|byte: char| !byte.is_ascii_digit());
        let widest =
            numbers.filter(|digits| !digits.is_empty()).map(|digits| digits.parse().unwrap_or(usize::MAX)).max();
        limited("width", widest.unwrap_or(0), MAX_WIDTH)?;
        filters::format(state, text, arguments)
    });
}

fn limited(name: &str, number: usize, most: usize) -> Result<(), Error> {
    if number <= most {
        return Ok(());
    }
    let message = format!("{name} is {number}, but at most {most} is allowed");
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// Meter that takes fuel for walks through values.
#[derive(Clone, Copy)]
struct Meter {
    /// Maximum nesting depth of a value.
    depth: usize,
}

impl Meter {
    /// Takes the fuel for one walk through a value and passes it on: plain, and watched if it is large. `longest`
    /// limits the texts in it.
    fn metered(self, state: &State, value: Value, longest: usize) -> Result<Value, Error> {
        interrupt::check();
        if value.as_object().is_none() {
            return paid_text(state, value, longest);
        }
        let mut walk = Walk { state, longest, units: 0, total: 0, checked: 0, found_lazy: false };
        walk.through(&value, self.depth)?;
        let value = if walk.found_lazy { self.plain(&value)? } else { value };
        Ok(if walk.total > UNITS_BETWEEN_CHECKS { watched(value) } else { value })
    }

    /// Like [`Meter::metered`], for a value that is split into items.
    fn taken_apart(self, state: &State, value: Value) -> Result<Value, Error> {
        text_units(&value, MAX_TAKEN_APART)?;
        self.metered(state, value, MAX_FILTERED)
    }

    /// Takes the fuel for one walk through a value. Returns the number of units it is worth.
    fn pay(self, state: &State, value: &Value) -> Result<u64, Error> {
        let mut walk = Walk { state, longest: MAX_FILTERED, units: 0, total: 0, checked: 0, found_lazy: false };
        walk.through(value, self.depth)?;
        Ok(walk.total)
    }

    /// Like [`touched`], but also takes the fuel for stepping over each item of a sequence.
    fn sliced(self, state: &State, value: Value) -> Result<Value, Error> {
        if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
            let units = value.len().unwrap_or(0) as u64;
            state.consume_fuel(units / UNITS_PER_FUEL)?;
            let value = if is_lazy(&value) { self.plain(&value)? } else { value };
            return Ok(if units > UNITS_BETWEEN_CHECKS { watched(value) } else { value });
        }
        touched(state, value)
    }

    /// Returns a copy without lazy lists.
    fn plain(self, value: &Value) -> Result<Value, Error> {
        Plain { items: 0, last: None }.copy(value, self.depth)
    }

    /// Takes the fuel for walking through the other arguments once per item.
    fn pay_for_each(self, state: &State, items: &Value, others: &[ValueOrKwargs]) -> Result<(), Error> {
        let count = match items.len() {
            Some(count) => count,
            None => items.try_iter().map_or(0, |items| interrupt::checked(items).count()),
        };
        for other in others {
            let units = self.pay(state, other)?;
            state.consume_fuel(units.saturating_mul(count as u64) / UNITS_PER_FUEL)?;
        }
        Ok(())
    }
}

/// Takes the fuel for a walk through a text. A sequence that must be walked through to find an item is watched.
fn touched(state: &State, value: Value) -> Result<Value, Error> {
    interrupt::check();
    match value.kind() {
        ValueKind::String => paid_text(state, value, MAX_TEXT),
        ValueKind::Iterable => Ok(watched(value)),
        ValueKind::Seq if value.len().is_some_and(|count| count as u64 > UNITS_BETWEEN_CHECKS) => Ok(watched(value)),
        _ => Ok(value),
    }
}

/// Whether it produces its items while it is walked through.
fn is_lazy(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
        && !value.is_tuple()
        && opaque::any_source(value).is_none()
        && unwatched(value).downcast_object_ref::<Vec<Value>>().is_none()
}

/// A converter of lazy lists to plain ones.
struct Plain {
    /// Number of items produced so far.
    items: usize,
    /// The last value copied, and its copy: a list that is repeated many times is copied once.
    last: Option<(Value, Value)>,
}

impl Plain {
    /// Returns a copy without lazy lists. The walk that found them has limited the depth.
    fn copy(&mut self, value: &Value, depth: usize) -> Result<Value, Error> {
        let Some(object) = value.as_object().filter(|_| depth > 0 && !value.is_tuple()) else {
            return Ok(value.clone());
        };
        if let Some((_, copy)) = self.last.as_ref().filter(|(last, _)| is_sameas(last, value)) {
            return Ok(copy.clone());
        }
        let copy = match value.kind() {
            _ if opaque::any_source(value).is_some() => return Ok(value.clone()),
            ValueKind::Seq | ValueKind::Iterable => {
                let list = object.try_iter().into_iter().flatten().map(|item| self.part(&item, depth));
                Value::from(list.collect::<Result<Vec<_>, _>>()?)
            }
            // A namespace must remain a namespace; its contents passed the meter when they were set.
            ValueKind::Map if is_plain_map(value) => {
                let pairs = object.try_iter_pairs().into_iter().flatten();
                let entries = pairs.map(|(key, value)| Ok((key, self.part(&value, depth)?)));
                Value::from_pairs(entries.collect::<Result<Vec<_>, Error>>()?)
            }
            _ => return Ok(value.clone()),
        };
        self.last = Some((value.clone(), copy.clone()));
        Ok(copy)
    }

    fn part(&mut self, part: &Value, depth: usize) -> Result<Value, Error> {
        interrupt::check();
        self.items += 1;
        if self.items > MAX_LAZY {
            let message = format!("an intermediate list has more than {MAX_LAZY} items");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
        self.copy(part, depth - 1)
    }
}

/// Takes the fuel for a walk through a text; any other value costs nothing.
fn paid_text(state: &State, value: Value, longest: usize) -> Result<Value, Error> {
    let fuel = text_units(&value, longest)? / UNITS_PER_FUEL;
    if fuel > 0 {
        state.consume_fuel(fuel)?;
    }
    Ok(value)
}

/// Returns the units of a walk through a text, or an error if it is too long; zero for any other value.
fn text_units(value: &Value, longest: usize) -> Result<u64, Error> {
    let bytes = value.as_str().map_or(0, str::len);
    if bytes > longest {
        let message = format!("a text has {bytes} bytes, more than the {longest} allowed here");
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    Ok(bytes as u64 / 8)
}

struct Walk<'a> {
    state: &'a State<'a, 'a>,
    /// Maximum length of a text, in bytes.
    longest: usize,
    /// Units not paid yet.
    units: u64,
    /// Units, paid or not.
    total: u64,
    /// Units since the last check.
    checked: u64,
    /// Whether any list in it is lazy.
    found_lazy: bool,
}

impl Walk<'_> {
    fn spend(&mut self, units: u64) -> Result<(), Error> {
        self.units += units;
        self.total += units;
        self.checked += units;
        if self.checked >= UNITS_BETWEEN_CHECKS {
            self.checked = 0;
            interrupt::check();
        }
        if self.units < UNITS_PER_FUEL {
            return Ok(());
        }
        self.state.consume_fuel(std::mem::take(&mut self.units) / UNITS_PER_FUEL)
    }

    fn through(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let is_map = match value.kind() {
            ValueKind::String => return self.spend(text_units(value, self.longest)?),
            ValueKind::Seq | ValueKind::Iterable => false,
            ValueKind::Map => true,
            _ => return Ok(()),
        };
        if depth == 0 {
            return Err(Error::new(ErrorKind::InvalidOperation, "the value is nested too deeply"));
        }
        self.found_lazy |= !is_map && is_lazy(value);
        for item in value.try_iter()? {
            self.spend(1)?;
            self.through(&item, depth - 1)?;
            if is_map {
                self.through(&value.get_item(&item)?, depth - 1)?;
            }
        }
        Ok(())
    }
}
