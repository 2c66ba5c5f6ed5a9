//! Shares of a whole: one as a bar beside its figures, or all states of GPUs one after the other.

use maud::{Markup, html};

use crate::domain::gpu_time::GpuState;
use crate::web::reader::Reader;

/// A bar of a share, 0 to 1, as wide as what it stands in. The figure stands beside it.
pub(in crate::web) fn share(share: f64) -> Markup {
    let width = share.clamp(0.0, 1.0) * 100.0;
    html! {
        svg.part-of width="100%" height="8" aria-hidden="true" {
            rect.rail x="0" y="0" width="100%" height="8" rx="2" {}
            rect.share x="0" y="0" width={ (format!("{width:.2}")) "%" } height="8" rx="2" {}
        }
    }
}

/// One state's part of a stack.
pub(in crate::web) struct StatePart {
    /// The state.
    pub state: GpuState,
    /// Its share of the stack, 0 to 1.
    pub share: f64,
    /// It and its figure, in words.
    pub said: String,
}

/// States one after the other, filling `length` (0 to 1) of what it stands in. Needs [`patterns`]
/// on the page.
pub(in crate::web) fn stack(parts: &[StatePart], length: f64, height: u32) -> Markup {
    let mut from = 0.0;
    let places = parts.iter().map(|part| {
        let wide = part.share.clamp(0.0, 1.0) * length.clamp(0.0, 1.0) * 100.0;
        let place = (from, wide);
        from += wide;
        (part, place)
    });
    let places: Vec<_> = places.collect();
    let said: Vec<&str> = parts.iter().map(|part| part.said.as_str()).collect();
    html! {
        svg.stack width="100%" height=(height) role="img" aria-label=(said.join(", ")) {
            rect.rail x="0" y="0" width="100%" height=(height) rx="2" {}
            @for (part, (from, wide)) in &places {
                (filled(part.state, (format!("{from:.2}%"), format!("{wide:.2}%"), height), Some(&part.said)))
            }
        }
    }
}

/// A small field that looks as a state does in a stack.
pub(in crate::web) fn swatch(state: GpuState) -> Markup {
    html! {
        svg.swatch width="24" height="12" aria-hidden="true" {
            (filled(state, ("0".to_owned(), "24".to_owned(), 12), None))
        }
    }
}

fn filled(
    state: GpuState,
    (x, width, height): (String, String, u32),
    said: Option<&str>,
) -> Markup {
    let pattern = (state != GpuState::Busy).then(|| format!("url(#{})", pattern(state)));
    html! {
        g {
            @if let Some(said) = said { title { (said) } }
            rect.part.(class(state)) x=(x) y="0" width=(width) height=(height) {}
            @if let Some(pattern) = pattern { rect x=(x) y="0" width=(width) height=(height) fill=(pattern) {} }
        }
    }
}

fn class(state: GpuState) -> &'static str {
    match state {
        GpuState::Empty => "state-empty",
        GpuState::Unknown => "state-unknown",
        other => other.as_str(),
    }
}

fn pattern(state: GpuState) -> String {
    format!("pattern-{}", state.as_str())
}

/// What tells states apart besides colour; once on a page.
pub(in crate::web) fn patterns() -> Markup {
    let rising = "M-2 2 L2 -2 M0 8 L8 0 M6 10 L10 6";
    let falling = "M-2 6 L2 10 M0 0 L8 8 M6 -2 L10 2";
    let both = format!("{rising} {falling}");
    let marks = |state| match state {
        GpuState::Busy => "",
        GpuState::Low => "M2 2 h1.6 M6 6 h1.6",
        GpuState::HeldIdle => rising,
        GpuState::Empty => falling,
        GpuState::Unallocated => both.as_str(),
        GpuState::Unhealthy => "M0 2 H8 M0 6 H8",
        GpuState::Unknown => "M2 0 V8 M6 0 V8",
    };
    html! {
        svg.patterns width="0" height="0" aria-hidden="true" {
            defs {
                @for state in GpuState::ALL.into_iter().filter(|state| *state != GpuState::Busy) {
                    pattern id=(pattern(state)) width="8" height="8" patternUnits="userSpaceOnUse" {
                        path.pattern d=(marks(state)) {}
                    }
                }
            }
        }
    }
}

/// What the states look like, of those that are there.
pub(in crate::web) fn legend(
    states: impl IntoIterator<Item = GpuState>,
    reader: &Reader,
) -> Markup {
    html! {
        ul.legend { @for state in states { li { (swatch(state)) (reader.language.gpu_state(state)) } } }
    }
}
