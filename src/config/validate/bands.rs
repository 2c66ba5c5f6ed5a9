//! Bands: presets, limits that follow each other, and references to sources and receivers.

use rust_decimal::Decimal;

use super::{Known, Names, label_safe};
use crate::config::SourceEntry;
use crate::config::file::{BandFile, Basis, CloudName, ExtraCategory, ScopeFile};
use crate::config::structure::{Findings, nearest};
use crate::config::values::{CurrencyCode, Figure};
use crate::domain::band::{Band, BandLimits, Scope};
use crate::domain::breakdown::{ChargeCategory, Dimension};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::money::{CostBasis, Currency};

/// Floor and ceiling, USD a month on the effective basis, of one cluster in 24/7 operation: the
/// bands that the project's hardware guide gives for each cloud.
const PRESETS: [(Provider, i64, i64); 3] = [
    (Provider::Aws, 50_000, 100_000),
    (Provider::Gcp, 45_000, 90_000),
    (Provider::Azure, 48_000, 95_000),
];

pub(super) fn bands(
    entries: Option<&[BandFile]>,
    sources: &[SourceEntry],
    receivers: &Known<'_>,
    findings: &mut Findings,
) -> Vec<Band> {
    let Some(entries) = entries else {
        let billed = |provider: &CloudName| {
            sources.iter().any(|source| source.provider == Some(provider_of(*provider)))
        };
        let clouds = [CloudName::Aws, CloudName::Gcp, CloudName::Azure].into_iter().filter(billed);
        let presets: Vec<BandFile> =
            clouds.map(|cloud| BandFile { preset: Some(cloud), ..BandFile::default() }).collect();
        // Sources were looked at already: a preset of them has no fault of its own.
        return read(&presets, sources, receivers, &mut Findings::default());
    };
    read(entries, sources, receivers, findings)
}

fn read(
    entries: &[BandFile],
    sources: &[SourceEntry],
    receivers: &Known<'_>,
    findings: &mut Findings,
) -> Vec<Band> {
    let mut names = Names::default();
    let mut bands = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("bands[{index}]");
        let name = name(entry, &path, &mut names, findings);
        let scope = scope(entry, &path, sources, findings);
        let currency = entry.currency.unwrap_or(CurrencyCode(Currency::USD)).0;
        let limits = limits(entry, currency, &path, findings);
        let receiver = receiver(entry, &path, receivers, findings);
        if let Some(address) = &entry.runbook_url
            && !reqwest::Url::parse(address)
                .is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
        {
            findings.add(
                &format!("{path}.runbook_url"),
                "is not a link: want one that begins with `https://`",
            );
        }
        let Some(name) = name else { continue };
        bands.push(Band {
            name,
            scope,
            basis: match entry.basis.unwrap_or_default() {
                Basis::Billed => CostBasis::Billed,
                Basis::Effective => CostBasis::Effective,
            },
            counts: counts(entry.counts.as_deref().unwrap_or_default()),
            currency,
            limits,
            owner: entry.owner.clone(),
            runbook_url: entry.runbook_url.clone(),
            receiver,
        });
    }
    bands
}

fn name(
    entry: &BandFile,
    path: &str,
    names: &mut Names,
    findings: &mut Findings,
) -> Option<String> {
    let path = format!("{path}.name");
    let name = match (&entry.name, entry.preset) {
        (Some(name), _) => name.clone(),
        (None, Some(preset)) => provider_of(preset).as_str().to_owned(),
        (None, None) => {
            findings.add(&path, "is missing");
            return None;
        }
    };
    names.take(&name, &path, findings).then_some(name)
}

pub(super) fn provider_of(cloud: CloudName) -> Provider {
    match cloud {
        CloudName::Aws => Provider::Aws,
        CloudName::Gcp => Provider::Gcp,
        CloudName::Azure => Provider::Azure,
    }
}

fn scope(entry: &BandFile, path: &str, sources: &[SourceEntry], findings: &mut Findings) -> Scope {
    let provider = entry.provider.or(entry.preset).map(provider_of);
    let sources_path = format!("{path}.sources");
    let named = entry.sources.clone().unwrap_or_default();
    if entry.sources.as_ref().is_some_and(Vec::is_empty) {
        findings.add(&sources_path, "is an empty list: name sources, or leave the key out for all");
    }
    let all_known = findings.is_sound("sources");
    for name in &named {
        match sources.iter().find(|source| source.name.as_str() == name) {
            Some(source) => {
                if let (Some(wanted), Some(billed)) = (provider, source.provider)
                    && wanted != billed
                {
                    findings.add(
                        &sources_path,
                        format!("`{name}` bills `{billed}`, but the band's provider is `{wanted}`"),
                    );
                }
            }
            None if all_known => {
                let known = sources.iter().map(|source| source.name.as_str());
                findings.add(&sources_path, unknown("source", name, known));
            }
            None => {}
        }
    }
    if let Some(wanted) = provider
        && named.is_empty()
        && all_known
        && sources.iter().all(|source| source.provider.is_some_and(|billed| billed != wanted))
    {
        let key = if entry.provider.is_some() { "provider" } else { "preset" };
        findings.add(
            &format!("{path}.{key}"),
            format!("no source under `sources` bills `{wanted}`: the band would never be known"),
        );
    }
    let filters = entry.scope.as_ref().map(|scope| filters(scope, path, findings));
    Scope {
        provider,
        sources: named.into_iter().map(SourceId::new).collect(),
        filters: filters.unwrap_or_default(),
    }
}

pub(super) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let hint = nearest(name, known).map(|meant| format!(": did you mean `{meant}`?"));
    match label_safe(name) {
        Ok(()) => format!("no {what} is named `{name}`{}", hint.unwrap_or_default()),
        Err(_) => format!("no {what} has such a name"),
    }
}

fn filters(
    scope: &ScopeFile,
    path: &str,
    findings: &mut Findings,
) -> Vec<(Dimension, Vec<String>)> {
    let mut filters = Vec::new();
    for (dimension, values) in [
        (Dimension::ServiceName, &scope.service_name),
        (Dimension::SubAccountId, &scope.sub_account_id),
        (Dimension::RegionId, &scope.region_id),
        (Dimension::InstanceType, &scope.instance_type),
        (Dimension::Sku, &scope.sku),
    ] {
        let Some(values) = values else { continue };
        let place = format!("{path}.scope.{dimension}");
        if values.is_empty() {
            findings
                .add(&place, "is an empty list, which holds no money: leave the key out for all");
        }
        if values.iter().any(|value| value.trim().is_empty()) {
            findings.add(&place, "has an empty value");
        }
        let mut values = values.clone();
        values.sort();
        values.dedup();
        filters.push((dimension, values));
    }
    filters.sort();
    filters
}

fn counts(categories: &[ExtraCategory]) -> Vec<ChargeCategory> {
    let mut counts: Vec<ChargeCategory> = categories
        .iter()
        .map(|category| match category {
            ExtraCategory::Tax => ChargeCategory::Tax,
            ExtraCategory::Credit => ChargeCategory::Credit,
            ExtraCategory::Adjustment => ChargeCategory::Adjustment,
        })
        .collect();
    counts.sort();
    counts.dedup();
    counts
}

fn receiver(
    entry: &BandFile,
    path: &str,
    receivers: &Known<'_>,
    findings: &mut Findings,
) -> Option<String> {
    let name = entry.receiver.as_deref()?;
    if receivers.complete && !receivers.names.contains(&name) {
        let known = receivers.names.iter().copied();
        findings.add(&format!("{path}.receiver"), unknown("receiver", name, known));
    }
    Some(name.to_owned())
}

fn limits(
    entry: &BandFile,
    currency: Currency,
    path: &str,
    findings: &mut Findings,
) -> Vec<BandLimits> {
    let list_path = format!("{path}.limits");
    let Some(list) = &entry.limits else {
        if !findings.is_sound(&list_path) {
            return Vec::new();
        }
        let floor =
            figure(entry, entry.floor, |(_, floor, _)| floor, currency, path, "floor", findings);
        let ceiling = figure(
            entry,
            entry.ceiling,
            |(_, _, ceiling)| ceiling,
            currency,
            path,
            "ceiling",
            findings,
        );
        return held(floor, ceiling, path, findings)
            .map(|(floor, ceiling)| BandLimits { effective_from: None, floor, ceiling })
            .into_iter()
            .collect();
    };
    for (key, figure) in [("floor", entry.floor), ("ceiling", entry.ceiling)] {
        if figure.is_some() {
            findings.add(&format!("{path}.{key}"), "stands beside `limits`: want one of the two");
        }
    }
    if list.is_empty() {
        findings.add(&list_path, "is an empty list: want a floor and a ceiling");
    }
    let mut limits: Vec<BandLimits> = Vec::new();
    for (index, entry) in list.iter().enumerate() {
        let place = format!("{list_path}[{index}]");
        let from_path = format!("{place}.effective_from");
        let from = entry.effective_from.map(|day| day.0);
        if from.is_none() && index > 0 {
            findings.add(&from_path, "is missing: only the first limits can do without");
        }
        let before = limits.iter().rev().find_map(|limits| limits.effective_from);
        if let (Some(before), Some(from)) = (before, from)
            && from <= before
        {
            findings.add(&from_path, format!("`{from}` is not after `{before}` before it"));
        }
        let (floor, ceiling) = (entry.floor.map(|f| f.0), entry.ceiling.map(|c| c.0));
        if let Some((floor, ceiling)) = held(floor, ceiling, &place, findings) {
            limits.push(BandLimits { effective_from: from, floor, ceiling });
        }
    }
    limits
}

fn figure(
    entry: &BandFile,
    given: Option<Figure>,
    of_preset: impl Fn((Provider, i64, i64)) -> i64,
    currency: Currency,
    path: &str,
    key: &str,
    findings: &mut Findings,
) -> Option<Decimal> {
    let place = format!("{path}.{key}");
    let preset = entry.preset.and_then(|cloud| {
        PRESETS.into_iter().find(|(provider, ..)| *provider == provider_of(cloud))
    });
    match (given, preset) {
        (Some(figure), _) => Some(figure.0),
        (None, Some(_)) if currency != Currency::USD => {
            findings.add(&place, format!("is missing: the preset's is in USD, not in {currency}"));
            None
        }
        (None, Some(preset)) => findings.is_sound(&place).then(|| Decimal::from(of_preset(preset))),
        (None, None) => {
            findings.add(&place, "is missing");
            None
        }
    }
}

/// Floor and ceiling, where both are given and can be held.
fn held(
    floor: Option<Decimal>,
    ceiling: Option<Decimal>,
    path: &str,
    findings: &mut Findings,
) -> Option<(Decimal, Decimal)> {
    let ceiling_path = format!("{path}.ceiling");
    if let Some(floor) = floor
        && floor < Decimal::ZERO
    {
        findings.add(&format!("{path}.floor"), format!("{floor} is below zero"));
        return None;
    }
    if let Some(ceiling) = ceiling
        && ceiling <= Decimal::ZERO
    {
        findings.add(&ceiling_path, format!("{ceiling} is not above zero"));
        return None;
    }
    let (floor, ceiling) = (floor?, ceiling?);
    if ceiling < floor {
        findings.add(&ceiling_path, format!("{ceiling} is below the floor {floor}"));
        return None;
    }
    Some((floor, ceiling))
}
