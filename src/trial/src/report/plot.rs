//! What all pictures have in common: letters, colours, labels.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// All text.
pub const FONT: &str = "sans-serif";
/// Text and axes.
pub const INK: RGBColor = RGBColor(40, 40, 40);
/// Lines at labelled values.
pub const GRID: RGBColor = RGBColor(210, 210, 210);
/// Lines between these.
pub const FINE_GRID: RGBColor = RGBColor(240, 240, 240);

// Distinguishable without red and green (Okabe and Ito).
/// See above.
pub const VERMILION: RGBColor = RGBColor(213, 94, 0);
/// See above.
pub const ORANGE: RGBColor = RGBColor(230, 159, 0);
/// See above.
pub const GREEN: RGBColor = RGBColor(0, 158, 115);
/// See above.
pub const BLUE: RGBColor = RGBColor(0, 114, 178);
/// See above.
pub const SKY: RGBColor = RGBColor(86, 180, 233);
/// See above.
pub const PURPLE: RGBColor = RGBColor(204, 121, 167);
/// For what others are compared with.
pub const GREY: RGBColor = RGBColor(130, 130, 130);

/// Where pictures are drawn.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// What came of drawing.
pub type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// The end of a line.
pub struct End {
    /// Where it is in the picture.
    pub at: (i32, i32),
    /// The line's name.
    pub name: &'static str,
    /// Its colour.
    pub color: RGBColor,
}

/// Writes each line's name at its end: no legend to look up. Names that would overlap move down.
pub fn label_ends(panel: &Area<'_>, mut ends: Vec<End>) -> Drawn {
    const LINE_HEIGHT: i32 = 18;
    ends.sort_by_key(|end| end.at.1);
    let mut free = i32::MIN;
    let (left, top) = panel.get_base_pixel();
    for End {
        at: (x, y),
        name,
        color,
    } in ends
    {
        let y = y.max(free);
        free = y + LINE_HEIGHT;
        let style = TextStyle::from((FONT, 16).into_font())
            .color(&color)
            .pos(Pos::new(HPos::Left, VPos::Center));
        panel.draw(&Text::new(name, (x - left + 8, y - top), style))?;
    }
    Ok(())
}

/// A latency in the unit that fits.
pub fn latency_label(ms: f64) -> String {
    match ms {
        ms if ms >= 999.0 => format!("{:.0} s", ms / 1000.0),
        ms if ms >= 0.99 => format!("{ms:.0} ms"),
        ms => format!("{:.0} µs", ms * 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wrong unit would be a false claim.
    #[test]
    fn labels_have_the_unit_that_fits() {
        assert_eq!(latency_label(0.1), "100 µs");
        assert_eq!(latency_label(10.0), "10 ms");
        assert_eq!(latency_label(1000.0), "1 s");
    }
}
