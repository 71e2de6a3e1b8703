//! Conversions from bytes to lines and columns, and from a position in a scalar's value to its position in the text.

use std::str::Chars;

use super::{NodeId, Source, Style};
use crate::interrupt;

/// Returns the bytes at which lines start. A line ends with LF, CR LF or CR.
pub fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let ends = |&(i, b): &(usize, &u8)| *b == b'\n' || (*b == b'\r' && bytes.get(i + 1) != Some(&b'\n'));
    std::iter::once(0).chain(bytes.iter().enumerate().filter(ends).map(|(i, _)| i + 1)).collect()
}

impl Source {
    /// Returns the line and column of a byte, both from 1.
    pub fn line_and_column(&self, at: usize) -> (u32, u32) {
        interrupt::check();
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let line = self.line_starts.partition_point(|start| *start <= at).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text[start..at].chars().count() + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// Returns the byte in the text that corresponds to a byte in a scalar's value.
    pub fn byte_of(&self, id: NodeId, offset: usize) -> usize {
        let node = self.node(id);
        let Some(value) = self.str(id) else { return node.start };
        let (Some(raw), Some(before)) = (self.text.get(node.start..node.end), value.get(..offset)) else {
            return node.start;
        };
        let mut walk = Alignment::new(raw, node.style);
        interrupt::checked(before.chars()).for_each(|c| walk.pass(c));
        // The position of a character is its own, not the start of the fold before it.
        node.start + value[offset..].chars().next().map_or(walk.at(), |c| walk.stand(c))
    }
}

/// A walk through a scalar as written, in parallel with its value. Apart from escapes, only white space can differ:
/// line folding and indentation drop, add or change nothing else.
struct Alignment<'a> {
    raw: &'a str,
    rest: Chars<'a>,
    style: Style,
}

impl<'a> Alignment<'a> {
    fn new(raw: &'a str, style: Style) -> Self {
        let skip = match style {
            Style::Plain => 0,
            Style::SingleQuoted | Style::DoubleQuoted => usize::from(raw.starts_with(['\'', '"'])),
            // The header line is not part of the value.
            Style::Block if raw.starts_with(['|', '>']) => raw.find(['\n', '\r']).map_or(raw.len(), |i| i + 1),
            Style::Block => 0,
        };
        Alignment { raw, rest: raw[skip..].chars(), style }
    }

    fn at(&self) -> usize {
        self.raw.len() - self.rest.as_str().len()
    }

    /// Returns the position of `c`, the next character of the value.
    fn stand(&mut self, c: char) -> usize {
        loop {
            let at = self.at();
            let mut ahead = self.rest.clone();
            match self.unit(&mut ahead) {
                Some(Unit::Char(raw)) if raw == c => return at,
                Some(Unit::Char(raw)) if raw.is_whitespace() => self.rest = ahead,
                Some(Unit::Nothing) => self.rest = ahead,
                // A space or line feed produced by folding, or the end.
                _ => return at,
            }
        }
    }

    fn pass(&mut self, c: char) {
        self.stand(c);
        let mut ahead = self.rest.clone();
        if matches!(self.unit(&mut ahead), Some(Unit::Char(raw)) if raw == c) {
            self.rest = ahead;
        }
    }

    /// Returns what the next written characters stand for.
    fn unit(&self, rest: &mut Chars<'a>) -> Option<Unit> {
        let c = rest.next()?;
        match (self.style, c) {
            (Style::SingleQuoted, '\'') => rest.next().map(Unit::Char),
            (Style::DoubleQuoted, '\\') => escape(rest),
            _ => Some(Unit::Char(c)),
        }
    }
}

enum Unit {
    Char(char),
    /// An escaped line break.
    Nothing,
}

fn escape(rest: &mut Chars<'_>) -> Option<Unit> {
    let c = match rest.next()? {
        '0' => '\0',
        'a' => '\x07',
        'b' => '\x08',
        't' => '\t',
        'n' => '\n',
        'v' => '\x0b',
        'f' => '\x0c',
        'r' => '\r',
        'e' => '\x1b',
        'N' => '\u{85}',
        '_' => '\u{a0}',
        'L' => '\u{2028}',
        'P' => '\u{2029}',
        'x' => hex(rest, 2)?,
        'u' => hex(rest, 4)?,
        'U' => hex(rest, 8)?,
        '\n' => return Some(Unit::Nothing),
        '\r' => {
            if rest.as_str().starts_with('\n') {
                rest.next();
            }
            return Some(Unit::Nothing);
        }
        other => other,
    };
    Some(Unit::Char(c))
}

fn hex(rest: &mut Chars<'_>, digits: usize) -> Option<char> {
    let number = |rest: &mut Chars<'_>, digits| {
        (0..digits).try_fold(0u32, |n, _| Some(n.wrapping_mul(16).wrapping_add(rest.next()?.to_digit(16)?)))
    };
    let high = number(rest, digits)?;
    if (0xd800..0xdc00).contains(&high) && rest.as_str().starts_with("\\u") {
        rest.nth(1);
        let low = number(rest, 4)?;
        return char::from_u32(0x10000 + ((high - 0xd800) << 10) + low.wrapping_sub(0xdc00) % 0x400);
    }
    char::from_u32(high)
}
