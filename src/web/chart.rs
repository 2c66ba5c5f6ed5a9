//! Charts as SVG: attributes and classes only, colours from the page's style. Each has a name, a
//! description and, where it is shown, a table of the same figures.

use maud::{Markup, html};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

pub(super) mod band;
pub(super) mod days;
mod month;
pub(super) mod said;
pub(super) mod scale;
pub(super) mod shares;
pub(super) mod track;

/// The drawings of one chart: text keeps its size, so that a phone's has fewer marks, not smaller
/// ones.
pub(super) const SIZES: [Size; 3] = [
    Size { class: "wide", width: 1100.0, height: 340.0, left: 62.0, right: 84.0 },
    Size { class: "middle", width: 700.0, height: 290.0, left: 62.0, right: 80.0 },
    Size { class: "narrow", width: 350.0, height: 230.0, left: 46.0, right: 10.0 },
];

/// How large a drawing is, and what its margins are, in units of its view box.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    class: &'static str,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
}

impl Size {
    const TOP: f64 = 14.0;
    const BOTTOM: f64 = 26.0;

    fn is_wide(&self) -> bool {
        self.class != "narrow"
    }

    /// The places of a scale from 0 to 1 along the width.
    fn across(&self, share: f64) -> f64 {
        self.left + share * (self.width - self.left - self.right)
    }

    /// The places of a scale from 0, at the bottom, to 1.
    fn up(&self, share: f64) -> f64 {
        self.height - Self::BOTTOM - share * (self.height - Self::TOP - Self::BOTTOM)
    }
}

/// A drawing in each size, of which the style shows one.
pub(super) fn drawn(name: &str, said: &str, draw: impl Fn(&Size) -> Markup) -> Markup {
    html! {
        @for size in &SIZES {
            svg.chart.(size.class) viewBox={ "0 0 " (size.width) " " (size.height) }
                role="img" aria-label={ (name) ". " (said) }
            { (draw(size)) }
        }
    }
}

/// What a mark means, in a legend; the mark is drawn in 24 by 12.
fn meaning(mark: &Markup, word: &str) -> Markup {
    html! { li { svg viewBox="0 0 24 12" aria-hidden="true" { (mark) } (word) } }
}

/// A coordinate with what a screen can show of it.
pub(super) fn place(at: f64) -> String {
    let text = format!("{at:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// A path through points, `x y` each.
pub(super) fn path(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (index, (x, y)) in points.into_iter().enumerate() {
        path.push_str(if index == 0 { "M" } else { " L" });
        path.push_str(&format!("{} {}", place(x), place(y)));
    }
    path
}

/// An amount on a screen.
pub(super) fn float(amount: Decimal) -> f64 {
    amount.to_f64().unwrap_or_default()
}
