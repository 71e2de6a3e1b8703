//! Draws a picture as PNG, with a font of its own, because the machine may have none.

use crate::exit_status::Failure;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

const FONTS: [&[u8]; 2] =
    [include_bytes!("../../fonts/Roboto-Regular.ttf"), include_bytes!("../../fonts/Roboto-Bold.ttf")];

/// Pixels for each unit of the SVG, so that text is sharp on today's screens.
const SCALE: f32 = 2.0;
/// Maximum width and height in pixels: beyond that viewers give up, and memory becomes noticeable.
const MAX_SIDE: f32 = 16_000.0;
/// Maximum number of pixels; each takes four bytes.
const MAX_PIXELS: f32 = 64e6;

/// A picture, and the factor by which it had to be shrunk; 1 for not at all.
pub struct Png {
    pub bytes: Vec<u8>,
    pub shrunk: f32,
}

/// Draws SVG.
pub fn png(svg: &str) -> Result<Png, Failure> {
    let mut options = Options::default();
    let fonts = options.fontdb_mut();
    FONTS.iter().for_each(|font| fonts.load_font_data(font.to_vec()));
    fonts.set_sans_serif_family("Roboto");
    // Reading all fonts of the system takes a while.
    if svg.chars().any(is_beyond) {
        fonts.load_system_fonts();
    }
    let failed = |why: &dyn std::fmt::Display| Failure::unusable(format!("the picture can't be drawn: {why}"));
    let tree = Tree::from_str(svg, &options).map_err(|error| failed(&error))?;
    let size = tree.size();
    let scale = fitting(size.width(), size.height());
    let pixels = |length: f32| (length * scale).ceil().max(1.0) as u32;
    let mut pixmap =
        Pixmap::new(pixels(size.width()), pixels(size.height())).ok_or_else(|| failed(&"it is too large"))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    let bytes = pixmap.encode_png().map_err(|error| failed(&error))?;
    Ok(Png { bytes, shrunk: scale / SCALE })
}

/// Returns the largest scale, up to the usual one, at which a picture stays within the limits.
fn fitting(width: f32, height: f32) -> f32 {
    SCALE.min(MAX_SIDE / width.max(height)).min((MAX_PIXELS / (width * height)).sqrt())
}

/// Whether our fonts may lack a character: they have Latin, Greek, Cyrillic and common punctuation.
fn is_beyond(c: char) -> bool {
    let c = c as u32;
    c >= 0x530 && !(0x1e00..0x1f00).contains(&c) && !(0x2000..0x2070).contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(width: u32, height: u32, inner: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
             font-size=\"12\"><rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>{inner}</svg>"
        )
    }

    /// Returns how many pixels are not white.
    fn ink(svg: &str) -> usize {
        let drawn = png(svg).unwrap();
        let pixmap = Pixmap::decode_png(&drawn.bytes).unwrap();
        pixmap.pixels().iter().filter(|pixel| pixel.red() < 200).count()
    }

    #[test]
    fn text_is_drawn_with_our_own_font() {
        assert_eq!(ink(&svg(80, 20, "")), 0);
        for word in ["Charge", "Größe", "Оплата", "Πληρωμή"] {
            assert!(!word.chars().any(is_beyond), "{word}");
            let plain = ink(&svg(80, 20, &format!("<text x=\"4\" y=\"14\">{word}</text>")));
            let bold = ink(&svg(80, 20, &format!("<text x=\"4\" y=\"14\" font-weight=\"bold\">{word}</text>")));
            assert!(plain > 100 && bold > plain, "{word}: {plain} and {bold}");
        }
        assert!(is_beyond('漢') && is_beyond('→'));
    }

    #[test]
    fn a_large_picture_is_drawn_smaller() {
        assert_eq!(fitting(100.0, 100.0), SCALE);
        let drawn = png(&svg(32_000, 10, "")).unwrap();
        let pixmap = Pixmap::decode_png(&drawn.bytes).unwrap();
        assert_eq!((pixmap.width(), pixmap.height()), (16_000, 5));
        assert_eq!(drawn.shrunk, 0.25);
        let scale = fitting(20_000.0, 20_000.0);
        assert!((20_000.0 * scale).powi(2) <= MAX_PIXELS * 1.01, "{scale}");
    }
}
