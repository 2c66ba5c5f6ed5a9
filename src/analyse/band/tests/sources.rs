//! A band of two sources.

use super::*;

/// Judges a band of two sources. One that was never read has told nothing.
fn both(one: &World, other: &World, band: &Band) -> BandJudgement {
    let told = [one, other].map(|world| (world, world.fold(NOON)));
    let sources = told.each_ref().map(|(world, (spend, series))| BandSource {
        rules: &world.rules,
        spend: spend.as_ref(),
        series,
        last_success: world.last_success,
        history: None,
    });
    let gpu = GpuPicture::default();
    judge(band, &sources, &rates(), &gpu, PeriodLabel::Current, at(NOON)).expect("limits in force")
}

#[test]
fn a_band_of_two_sources_is_not_known_by_one_of_them() {
    let (read, unread) = (World::steady(Provider::Aws), World::of(Provider::Azure));
    let judged = both(&read, &unread, &band("1", "90000"));
    assert_eq!(judged.spend, None);
    assert_eq!(judged.views[0].reason.to_string(), "`azure` was not read yet");
}

#[test]
fn money_over_the_ceiling_is_above_whatever_another_source_does_not_tell() {
    let (read, unread) = (World::steady(Provider::Aws), World::of(Provider::Azure));
    let judged = both(&read, &unread, &band("1", "9999"));
    assert_eq!(judged.spend, None);
    assert_eq!(judged.status(BandView::Actual), BandStatus::Above);
    assert_eq!(judged.status(BandView::Forecast), BandStatus::Above);
    assert_eq!(judged.status(BandView::Pace), BandStatus::Unknown);
}

#[test]
fn a_source_without_any_cost_does_not_hold_up_the_pace_of_the_others() {
    let (read, mut idle) = (World::steady(Provider::Aws), World::of(Provider::Azure));
    let band = band("1", "90000");
    for day in window(12).days() {
        idle.empty_day(day, "2026-11-13T18:00:00Z", "2026-11-14T00:00:00Z");
    }
    assert_eq!(both(&read, &idle, &band).complete_days, 10);
    // Whoever read a day once only, or never, does not know that it costs nothing.
    idle.empty[3].since = at("2026-11-13T18:00:01Z");
    idle.empty.remove(7);
    assert_eq!(both(&read, &idle, &band).complete_days, 8);
}
