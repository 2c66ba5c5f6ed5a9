//! The few statistics that everything here is made of. No allocation, no panic on odd numbers.

/// The median of at most `N` values by insertion sort: for windows of a week or a month, where it
/// is faster than a selection. Zero of nothing.
pub fn median<const N: usize>(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted = [0.0; N];
    let mut held = 0_usize;
    for value in values.take(N) {
        let mut place = held;
        while let Some(before) = place.checked_sub(1)
            && let Some(larger) = sorted.get(before).copied().filter(|kept| *kept > value)
        {
            sorted[place] = larger;
            place = before;
        }
        sorted[place] = value;
        held += 1;
    }
    middle(&sorted[..held])
}

/// The median of values in ascending order. Zero of nothing.
pub fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    match (sorted.get(half), half.checked_sub(1).and_then(|below| sorted.get(below))) {
        (Some(upper), Some(lower)) if sorted.len().is_multiple_of(2) => 0.5 * (lower + upper),
        (Some(upper), _) => *upper,
        (None, _) => 0.0,
    }
}

/// The quantile of the standard normal distribution, to 1.2e-9 relative (Acklam's rational
/// approximation, 2003). Probabilities are cut to 1e-6 and 1 - 1e-6.
pub fn normal_quantile(probability: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
    ];
    let polynomial = |by: &[f64], at: f64| by.iter().fold(0.0, |sum, factor| sum * at + factor);
    let tail = |share: f64| {
        let at = (-2.0 * share.ln()).sqrt();
        polynomial(&C, at) / (polynomial(&D, at) * at + 1.0)
    };
    let probability = probability.clamp(1e-6, 1.0 - 1e-6);
    if probability < 0.02425 {
        tail(probability)
    } else if probability > 1.0 - 0.02425 {
        -tail(1.0 - probability)
    } else {
        let from_middle = probability - 0.5;
        let at = from_middle * from_middle;
        polynomial(&A, at) * from_middle / (polynomial(&B, at) * at + 1.0)
    }
}

/// Student's t quantile over the normal one at the same probability, by the first two terms of the
/// Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5): how much wider an interval from so few
/// independent errors must be.
pub fn student_over_normal(normal: f64, freedom: f64) -> f64 {
    let square = normal * normal;
    let first = (square + 1.0) / 4.0;
    let second = (5.0 * square * square + 16.0 * square + 3.0) / 96.0;
    1.0 + first / freedom + second / (freedom * freedom)
}
