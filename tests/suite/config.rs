//! The configuration as a user meets it: whole files in, a configuration or every fault out.

use std::collections::BTreeMap;

use costband::app::setup::{Setup, receiver_schemas};
use costband::collect::SOURCES;
use costband::config::file::{Language, LogFormat};
use costband::config::problems::Problems;
use costband::config::{
    Config, Entry, GpuFrom, Kinds, SourceSchema, SslMode, StorePlace, load, load_and_build, schema,
};
use costband::domain::band::Band;
use costband::domain::breakdown::{ChargeCategory, Dimension};
use costband::domain::identity::{Provider, SourceId};
use costband::domain::money::{CostBasis, Currency};
use costband::domain::pods::PodPort;
use costband::domain::price::CapacityType;
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Kinds that take anything with a name and a secret, so that these tests stand on their own.
const FREE: &[SourceSchema] = &[
    SourceSchema { name: "aws", schema: free },
    SourceSchema { name: "gcp", schema: free },
    SourceSchema { name: "azure", schema: free },
];

fn free(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let secret = generator.subschema_for::<costband::config::secret::SecretRef>();
    schemars::json_schema!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "description": "A name."},
            "account": {"type": "string", "description": "An account."},
            "secret_access_key": secret,
        },
    })
}

fn read_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let receivers = receiver_schemas();
    let kinds = Kinds { sources: FREE, receivers: &receivers };
    let build = |entry: Entry<'_>, config: &Config, problems: &mut Problems| {
        if let Entry::Receiver(entry) = entry {
            costband::notify::build(entry, config, problems);
        }
    };
    load_and_build(text, environment, kinds, build).map_err(lines)
}

fn read(text: &str) -> Result<Config, Vec<String>> {
    read_with(text, &[])
}

fn lines(problems: Problems) -> Vec<String> {
    problems.to_string().lines().map(str::to_owned).collect()
}

fn band(text: &str) -> Band {
    read(&format!("sources: {{aws: [{{name: a}}], gcp: [{{name: g}}]}}\nbands:\n{text}"))
        .unwrap()
        .bands
        .remove(0)
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

const TEN_FAULTS: &str = r#"
listen: localhost
store:
  retention: 30
languge: ko
sources:
  aws:
    - name: main
      account: 123456789012
      secret_access_key: "AKIAHUNTER2"
gpu:
  - name: main
    url: ftp://node:9400/metrics
bands:
  - preset: aws
  - name: training
    provider: gpc
    floor: 45000
    ceiling: 40000
    cuonts: [tax]
"#;

#[test]
fn ten_faults_of_mixed_kinds_print_ten_lines_with_their_paths() {
    assert_eq!(
        read(TEN_FAULTS).unwrap_err(),
        [
            "`bands[1].ceiling`: 40000 is below the floor 45000",
            "`bands[1].cuonts`: is not a known key: did you mean `counts`?",
            "`bands[1].provider`: `gpc` is not one of `aws`, `gcp`, `azure`: did you mean `gcp`?",
            "`gpu[0].name`: `main` is already the name at `sources.aws[0].name`",
            "`gpu[0].url`: is not an address: want one that begins with `http://` or `https://`",
            "`languge`: is not a known key: did you mean `language`?",
            "`listen`: `localhost` is not an address and a port: want such as `127.0.0.1:9750` or `[::]:9750`",
            "`sources.aws[0].account`: want text, found the number `123456789012`; put it in quotes",
            "`sources.aws[0].secret_access_key`: a secret is never written in the configuration: want `file: PATH` or `env: VARIABLE`",
            "`store.retention`: `30` is not a span of time: want a whole number with a unit, such as `30s`, `15m`, `8h` or `2d`",
        ]
    );
}

#[test]
fn faults_that_only_a_kind_can_see_are_told_with_all_others() {
    let text = "sources: {aws: [{name: a}, {name: b, acount: x}]}\nlisten: x\n";
    let kinds = Kinds { sources: FREE, ..Kinds::default() };
    let faults = load_and_build(text, std::iter::empty(), kinds, |entry, _, problems| {
        let Entry::Source(entry) = entry else { panic!("{entry:?}") };
        assert_eq!((entry.kind.as_str(), entry.name.as_str()), ("aws", "a"));
        problems.add(format!("{}.account", entry.path), "is of nobody");
    });
    assert_eq!(
        lines(faults.unwrap_err()),
        [
            "`listen`: `x` is not an address and a port: want such as `127.0.0.1:9750` or `[::]:9750`",
            "`sources.aws[0].account`: is of nobody",
            "`sources.aws[1].acount`: is not a known key: did you mean `account`?",
        ]
    );
}

#[test]
fn the_least_configuration_has_the_documented_defaults() {
    let config = read("sources: {aws: [{name: main}], gcp: [{name: g1}, {name: g2}]}").unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:9750");
    assert_eq!(config.bearer_token, None);
    assert_eq!(config.language, Language::En);
    assert_eq!((config.log.format, &config.log.filter), (LogFormat::Auto, &None));
    assert_eq!(config.store.place, StorePlace::Path("costband.db".into()));
    assert_eq!(config.store.retention.as_hours(), 800 * 24);
    assert_eq!(config.series_limit_per_dimension, 200);
    assert!(config.exchange_rates.is_empty() && config.receivers.is_empty());
    let sources: Vec<(&str, Option<Provider>, &str)> = config
        .sources
        .iter()
        .map(|entry| (entry.name.as_str(), entry.provider, entry.path.as_str()))
        .collect();
    assert_eq!(
        sources,
        [
            ("main", Some(Provider::Aws), "sources.aws[0]"),
            ("g1", Some(Provider::Gcp), "sources.gcp[0]"),
            ("g2", Some(Provider::Gcp), "sources.gcp[1]"),
        ]
    );
    let bands: Vec<(&str, Option<Provider>, Decimal, Decimal)> = config
        .bands
        .iter()
        .map(|band| {
            (band.name.as_str(), band.scope.provider, band.limits[0].floor, band.limits[0].ceiling)
        })
        .collect();
    assert_eq!(
        bands,
        [
            ("aws", Some(Provider::Aws), decimal("50000"), decimal("100000")),
            ("gcp", Some(Provider::Gcp), decimal("45000"), decimal("90000")),
        ]
    );
    assert!(config.bands.iter().all(|band| {
        band.basis == CostBasis::Effective
            && band.currency == Currency::USD
            && band.counts.is_empty()
            && band.limits[0].effective_from.is_none()
    }));
}

#[test]
fn every_preset_is_the_guides_band() {
    let text = "sources: {azure: [{name: z}]}\nbands: [{preset: azure}]";
    let limits = read(text).unwrap().bands[0].limits[0].clone();
    assert_eq!((limits.floor, limits.ceiling), (decimal("48000"), decimal("95000")));
}

#[test]
fn an_empty_list_of_bands_is_no_band() {
    assert_eq!(read("sources: {aws: [{name: a}]}\nbands: []").unwrap().bands, []);
}

#[test]
fn amounts_are_exact_however_they_are_written() {
    for (written, exact) in [
        ("50000.10", "50000.10"),
        ("50_000", "50000"),
        ("\"50_000.10\"", "50000.10"),
        ("123456789012345678.123456789", "123456789012345678.123456789"),
        ("'0.1'", "0.1"),
        ("0.1", "0.1"),
    ] {
        let band = band(&format!("  - {{name: b, floor: 0, ceiling: {written}}}\n"));
        assert_eq!(band.limits[0].ceiling, decimal(exact), "{written}");
    }
}

#[test]
fn a_band_keeps_everything_that_is_written() {
    let band = band(
        "  - preset: aws
    name: training
    ceiling: 60_000
    sources: [a]
    basis: billed
    counts: [tax, adjustment, tax]
    scope: {service_name: [B, A, B], instance_type: [p5.48xlarge], region_id: [us-east-1]}
    owner: ml
    runbook_url: https://wiki.example/bands
",
    );
    assert_eq!(band.name, "training");
    assert_eq!(band.scope.provider, Some(Provider::Aws));
    assert_eq!(band.scope.sources, [SourceId::new("a")]);
    assert_eq!(
        band.scope.filters,
        [
            (Dimension::ServiceName, vec!["A".to_owned(), "B".to_owned()]),
            (Dimension::RegionId, vec!["us-east-1".to_owned()]),
            (Dimension::InstanceType, vec!["p5.48xlarge".to_owned()]),
        ]
    );
    assert_eq!(band.basis, CostBasis::Billed);
    assert_eq!(band.counts, [ChargeCategory::Tax, ChargeCategory::Adjustment]);
    assert_eq!(
        (band.limits[0].floor, band.limits[0].ceiling),
        (decimal("50000"), decimal("60000"))
    );
    assert_eq!(band.owner.as_deref(), Some("ml"));
}

#[test]
fn limits_follow_each_other() {
    let band = band(
        "  - name: b
    limits:
      - {floor: 1, ceiling: 2}
      - {effective_from: 2026-10-01, floor: 3, ceiling: 4}
      - {effective_from: 2027-01-01, floor: 5.5, ceiling: 6}
",
    );
    let october = "2026-10".parse().unwrap();
    let september = "2026-09".parse().unwrap();
    assert_eq!(band.limits.len(), 3);
    assert_eq!(band.limits_in(october).unwrap().floor, decimal("3"));
    assert_eq!(band.limits_in(september).unwrap().floor, decimal("1"));
}

/// The faults of a file that has one sound source of AWS and one of Google Cloud.
fn faults(text: &str) -> Vec<String> {
    read(&format!("sources: {{aws: [{{name: a}}], gcp: [{{name: g}}]}}\n{text}")).unwrap_err()
}

#[test]
fn each_meaning_that_is_wrong_is_told_once_with_its_path() {
    for (text, told) in [
        ("bands: [{name: b, floor: 1}]", "`bands[0].ceiling`: is missing"),
        ("bands: [{floor: 1, ceiling: 2}]", "`bands[0].name`: is missing"),
        (
            "bands: [{name: 'a b', floor: 1, ceiling: 2}]",
            "`bands[0].name`: is not a name: want 1 to 63 letters, digits, `-`, `_` and `.`, a letter or digit first",
        ),
        (
            "bands: [{preset: aws}, {preset: aws}]",
            "`bands[1].name`: `aws` is already the name at `bands[0].name`",
        ),
        (
            "bands: [{preset: azure}]",
            "`bands[0].preset`: no source under `sources` bills `azure`: the band would never be known",
        ),
        (
            "bands: [{preset: aws, provider: azure}]",
            "`bands[0].provider`: no source under `sources` bills `azure`: the band would never be known",
        ),
        (
            "bands: [{preset: aws, sources: [g]}]",
            "`bands[0].sources`: `g` bills `gcp`, but the band's provider is `aws`",
        ),
        (
            "bands: [{preset: aws, sources: []}]",
            "`bands[0].sources`: is an empty list: name sources, or leave the key out for all",
        ),
        (
            "bands: [{name: b, floor: 1, ceiling: 2, sources: [gg]}]",
            "`bands[0].sources`: no source is named `gg`: did you mean `g`?",
        ),
        (
            "bands: [{preset: aws, scope: {region_id: []}}]",
            "`bands[0].scope.region_id`: is an empty list, which holds no money: leave the key out for all",
        ),
        (
            "bands: [{preset: aws, scope: {region_id: ['']}}]",
            "`bands[0].scope.region_id`: has an empty value",
        ),
        ("bands: [{preset: aws, floor: -1}]", "`bands[0].floor`: -1 is below zero"),
        ("bands: [{preset: aws, floor: 0, ceiling: 0}]", "`bands[0].ceiling`: 0 is not above zero"),
        (
            "bands: [{preset: aws, ceiling: 40000}]",
            "`bands[0].ceiling`: 40000 is below the floor 50000",
        ),
        (
            "bands: [{preset: aws, floor: 5, currency: EUR}]",
            "`bands[0].ceiling`: is missing: the preset's is in USD, not in EUR",
        ),
        (
            "bands: [{preset: aws, currency: euros}]",
            "`bands[0].currency`: `euros` is not a currency: want three letters such as `USD`",
        ),
        (
            "bands: [{preset: aws, runbook_url: wiki}]",
            "`bands[0].runbook_url`: is not a link: want one that begins with `https://`",
        ),
        (
            "bands: [{preset: aws, receiver: ops}]",
            "`bands[0].receiver`: no receiver is named `ops`",
        ),
        (
            "bands: [{name: b, floor: 1, limits: [{floor: 1, ceiling: 2}]}]",
            "`bands[0].floor`: stands beside `limits`: want one of the two",
        ),
        (
            "bands: [{name: b, limits: []}]",
            "`bands[0].limits`: is an empty list: want a floor and a ceiling",
        ),
        (
            "bands: [{name: b, limits: [{floor: 1, ceiling: 2}, {floor: 1, ceiling: 2}]}]",
            "`bands[0].limits[1].effective_from`: is missing: only the first limits can do without",
        ),
        (
            "bands: [{name: b, limits: [{effective_from: 2026-10-01, floor: 1, ceiling: 2}, {effective_from: 2026-10-01, floor: 1, ceiling: 2}]}]",
            "`bands[0].limits[1].effective_from`: `2026-10-01` is not after `2026-10-01` before it",
        ),
        (
            "bands: [{name: b, limits: [{effective_from: 2026-02-30, floor: 1, ceiling: 2}]}]",
            "`bands[0].limits[0].effective_from`: `2026-02-30` is not a day: want one such as `2026-11-01`",
        ),
        (
            "bands: [{name: b, limits: [{floor: 3, ceiling: 2}]}]",
            "`bands[0].limits[0].ceiling`: 2 is below the floor 3",
        ),
        (
            "bands: [{name: b, limts: [{floor: 3, ceiling: 2}]}]",
            "`bands[0].limts`: is not a known key: did you mean `limits`?",
        ),
        (
            "bands: [{preset: aws, florr: 3}]",
            "`bands[0].florr`: is not a known key: did you mean `floor`?",
        ),
        (
            "gpu: [{name: n, url: 'http://h/metrics', every: 5s, timeout: 6s}]",
            "`gpu[0].timeout`: 6s is longer than `every`, 5s",
        ),
        (
            "gpu: [{name: n, url: 'http://h/metrics', every: 100ms}]",
            "`gpu[0].every`: is too often: want at least `1s`",
        ),
        (
            "gpu: [{name: n, url: 'http://$(HOST_IP):9400/metrics'}]",
            "`gpu[0].url`: the environment variable `HOST_IP` is not set",
        ),
        (
            "gpu: [{name: n, url: 'http://$(HOST_IP:9400/metrics'}]",
            "`gpu[0].url`: has a `$(` without its `)`",
        ),
        (
            "gpu: [{name: n}]",
            "`gpu[0]`: says not what is read: want `url`, `kubernetes`, `prometheus` or `nvml`",
        ),
        (
            "gpu: [{name: n, url: 'http://h', kubernetes: {namespace: a}}]\nkubernetes: [{cluster: c}]",
            "`gpu[0]`: wants one of `url`, `kubernetes`, `prometheus` and `nvml`, and has several",
        ),
        (
            "gpu: [{name: n, kubernetes: {namespace: a}}]",
            "`gpu[0].cluster`: is read through a Kubernetes API: want its cluster under `kubernetes`",
        ),
        (
            "gpu: [{name: n, kubernetes: {namespace: a}}]\nkubernetes: [{cluster: c}, {cluster: d}]",
            "`gpu[0].cluster`: is missing: want one of the clusters under `kubernetes`",
        ),
        (
            "gpu: [{name: n, cluster: e, kubernetes: {namespace: a}}]\nkubernetes: [{cluster: c}]",
            "`gpu[0].cluster`: `e` is no cluster under `kubernetes`",
        ),
        (
            "gpu: [{name: n, kubernetes: {selector: 'a=b'}}]\nkubernetes: [{cluster: c}]",
            "`gpu[0].kubernetes.namespace`: is missing",
        ),
        (
            "gpu: [{name: n, kubernetes: {namespace: '../x'}}]\nkubernetes: [{cluster: c}]",
            "`gpu[0].kubernetes.namespace`: `../x` is not a namespace",
        ),
        (
            "gpu: [{name: n, kubernetes: {namespace: a, selector: ''}}]\nkubernetes: [{cluster: c}]",
            "`gpu[0].kubernetes.selector`: is empty: it would match every pod",
        ),
        (
            "gpu: [{name: n, kubernetes: {namespace: a, path: metrics}}]\nkubernetes: [{cluster: c}]",
            "`gpu[0].kubernetes.path`: `metrics` does not begin with `/`",
        ),
        (
            "gpu: [{name: n, url: 'http://h'}]\nkubernetes: [{cluster: c}, {cluster: c}]",
            "`kubernetes[1].cluster`: `c` stands here already",
        ),
        (
            "gpu: [{name: n, url: 'http://h'}]\nkubernetes: [{cluster: 'a b'}]",
            "`kubernetes[0].cluster`: is not a name: want 1 to 63 letters, digits, `-`, `_` and `.`, a letter or digit first",
        ),
        ("lease: {name: Cost_band}", "`lease.name`: `Cost_band` is not the name of a Lease"),
        ("lease: {namespace: 'a.b'}", "`lease.namespace`: `a.b` is not a namespace"),
        (
            "lease: {duration: 15500ms}",
            "`lease.duration`: is not in whole seconds: want such as `15s`",
        ),
        (
            "lease: {duration: 2h}",
            "`lease.duration`: is longer than an hour, in which nobody would poll",
        ),
        (
            "lease: {duration: 10s, renew_deadline: 9s}",
            "`lease.renew_deadline`: leaves no time to stop before another replica may start: want at most 8000 ms, four fifths of `lease.duration`",
        ),
        (
            "lease: {renew_deadline: 3s}",
            "`lease.retry_period`: leaves no second try: want at most half of `lease.renew_deadline`",
        ),
        ("lease: {retry_period: 0s}", "`lease.retry_period`: is nothing: want one such as `2s`"),
        ("lease: {identity: ''}", "`lease.identity`: is empty: want a name"),
        (
            "lease: {address: 'http://me:sesame@h:9750'}",
            "`lease.address`: holds a user or a password, which everyone could read in the Lease",
        ),
        (
            "gpu: [{name: n, url: 'http://h', provider: oracle}]",
            "`gpu[0].provider`: `oracle` is not one of `aws`, `gcp`, `azure`, `none`",
        ),
        (
            "store: {retention: 30d}",
            "`store.retention`: is too short to judge the previous period and to compare it: want at least `93d`",
        ),
        ("store: {path: ''}", "`store.path`: is empty: want the ledger's file"),
        (
            "store: {path: a.db, url: 'postgres://u@h/d'}",
            "`store.url`: stands beside `path`: want one of the two",
        ),
        (
            "store: {url: 'mysql://u@h/d'}",
            "`store.url`: is not the address of a database: want such as `postgres://costband@db:5432/costband`",
        ),
        (
            "store: {url: 'postgres://u:opensesame@h/d'}",
            "`store.url`: holds a password: take it out, and name its file or variable in `store.password`",
        ),
        (
            "store: {url: 'postgres://u@h/d?password=opensesame'}",
            "`store.url`: holds a password: take it out, and name its file or variable in `store.password`",
        ),
        (
            "store: {url: 'postgres://h/d'}",
            "`store.url`: lacks its user, host or database: want such as `postgres://costband@db:5432/costband`",
        ),
        (
            "store: {url: 'postgres://u@h/d?sslmode=allow'}",
            "`store.url`: `sslmode=allow` is not known: want `disable`, `prefer`, `require`, `verify-ca` or `verify-full`",
        ),
        (
            "store: {url: 'postgres://u@h/d?connect_timeout=5'}",
            "`store.url`: has `connect_timeout`: want no parameters but `sslmode`, `host` and `user`",
        ),
        (
            "store: {url: 'postgres://u@h/d?sslrootcert=/ca.pem'}",
            "`store.url`: has `sslrootcert`: want the file in `store.root_certificate`",
        ),
        (
            "store: {path: a.db, password: {env: A}}",
            "`store.password`: is for a database: want `url` beside it",
        ),
        (
            "store: {url: 'postgres://u@localhost/d?sslmode=prefer', root_certificate: ca.pem}",
            "`store.root_certificate`: verifies nothing with `sslmode=prefer`: want `verify-full` there, or take it out",
        ),
        (
            "store: {url: 'postgres://u@h/d?sslmode=disable', root_certificate: ca.pem}",
            "`store.root_certificate`: verifies nothing with `sslmode=disable`: want `verify-full` there, or take it out",
        ),
        (
            "store: {url: 'postgres:///d?host=/run/postgresql&user=u', root_certificate: ca.pem}",
            "`store.root_certificate`: verifies nothing over a Unix socket, which has no TLS: take it out",
        ),
        (
            "store: {root_certificate: ca.pem}",
            "`store.root_certificate`: is for a database: want `url` beside it",
        ),
        (
            "series: {limit_per_dimension: 0}",
            "`series.limit_per_dimension`: `0` is out of range: want a number from 1 to 10000",
        ),
        (
            "exchange_rates: [{from: EUR, to: USD, date: 2026-11-01, rate: 0}]",
            "`exchange_rates[0].rate`: is not above zero",
        ),
        (
            "exchange_rates: [{from: EUR, to: EUR, date: 2026-11-01, rate: 1}]",
            "`exchange_rates[0].to`: `EUR` is worth itself",
        ),
        (
            "exchange_rates: [{from: EUR, to: USD, date: 2026-11-01, rate: 1}, {from: eur, to: USD, date: 2026-11-01, rate: 2}]",
            "`exchange_rates[1].date`: `2026-11-01` has a rate from EUR to USD already",
        ),
        (
            "notify: {webhook: [{name: w, secret: {env: W}}]}",
            "`notify.webhook[0].url`: is missing: want `url` or `url_from`",
        ),
        (
            "notify: {webhook: [{name: w, url: 'https://h', url_from: {env: U}, secret: {env: W}}]}",
            "`notify.webhook[0].url`: stands beside `url_from`: want one of the two",
        ),
        (
            "notify: {webhook: [{name: w, url: 'https://h', secret: whsec_hunter2}]}",
            "`notify.webhook[0].secret`: a secret is never written in the configuration: want `file: PATH` or `env: VARIABLE`",
        ),
        (
            "web: {bearer_token: hunter2}",
            "`web.bearer_token`: a secret is never written in the configuration: want `file: PATH` or `env: VARIABLE`",
        ),
        ("log: {format: yaml}", "`log.format`: `yaml` is not one of `auto`, `text`, `json`"),
    ] {
        assert_eq!(faults(text), [told], "{text}");
    }
}

#[test]
fn a_faulty_entry_is_not_called_unknown_where_it_is_referred_to() {
    let told = read(
        "sources: {aws: [{nmae: a}]}
notify: {webhook: [{name: ops, url: 5, secret: {env: W}}]}
bands: [{name: b, provider: aws, sources: [a], floor: 1, ceiling: 2, receiver: ops}]",
    )
    .unwrap_err();
    assert_eq!(told.len(), 2, "{told:#?}");
}

#[test]
fn a_kind_that_is_not_in_this_build_says_so() {
    let told = load(
        "sources: {gcp: [{name: g}]}",
        std::iter::empty(),
        Kinds { sources: &FREE[..1], ..Kinds::default() },
    );
    assert_eq!(
        lines(told.unwrap_err()),
        ["`sources.gcp`: this build has no such sources, only `aws`"]
    );
}

#[test]
fn a_file_with_nothing_to_read_says_what_is_wanted() {
    for text in ["", "# nothing\n", "\u{feff}", "language: ko", "sources: {aws: []}"] {
        assert_eq!(
            read(text).unwrap_err(),
            ["there is nothing to read: want a bill under `sources` or a page under `gpu`"],
            "{text:?}"
        );
    }
}

#[test]
fn a_file_of_another_kind_is_one_fault() {
    for text in ["just text", "[1, 2]", "a:\n\tb: 1", "a: 1\na: 2", "5"] {
        let told = read(text).unwrap_err();
        assert_eq!(told.len(), 1, "{text:?}: {told:#?}");
    }
}

#[test]
fn pods_are_of_the_only_cluster_and_of_its_cloud() {
    let config = read(
        "kubernetes: [{cluster: train, provider: aws}]
gpu:
  - {name: usual, kubernetes: {namespace: gpu-operator}}
  - {name: other, provider: gcp, kubernetes: {namespace: monitoring, selector: 'app=x', port: http, scheme: https, path: /m}}",
    )
    .unwrap();
    let pods = |at: usize| match &config.gpu[at].from {
        GpuFrom::Pods(pods) => pods.pages.clone(),
        other => panic!("{other}"),
    };
    let of = |at: usize| (config.gpu[at].cluster.clone(), config.gpu[at].provider);
    assert_eq!(of(0), ("train".to_owned(), Some(Provider::Aws)));
    assert_eq!(of(1), ("train".to_owned(), Some(Provider::Gcp)));
    let usual = pods(0);
    assert!(usual.selectors.iter().any(|selector| selector == "app=nvidia-dcgm-exporter"));
    assert_eq!(
        (usual.port, usual.tls, usual.path.as_str()),
        (PodPort::Number(9400), false, "/metrics")
    );
    let other = pods(1);
    assert_eq!(other.selectors, ["app=x"]);
    assert_eq!(other.port, PodPort::Named("http".to_owned()));
    assert_eq!((other.tls, other.path.as_str()), (true, "/m"));
    assert_eq!(
        config.gpu[1].from.to_string(),
        "pods in the namespace `monitoring` of the cluster `train`"
    );
}

#[test]
fn gpu_pages_and_webhooks_take_their_address_from_the_environment() {
    let config = read_with(
        "gpu: [{name: node, url: 'http://$(HOST_IP):9400/metrics', every: 5s, capacity_type: spot}]
notify:
  webhook:
    - {name: a, url: 'https://hooks.example/$(TEAM)', secret: {env: HOOK_SECRET}, timeout: 3s}
    - {name: b, url_from: {file: /run/url}, secret: {file: /run/secret}}",
        &[("HOST_IP", "10.0.0.7"), ("TEAM", "ml")],
    )
    .unwrap();
    let gpu = &config.gpu[0];
    assert_eq!(gpu.from.to_string(), "http://10.0.0.7:9400/metrics");
    assert_eq!((gpu.every.as_secs(), gpu.timeout.as_secs()), (5, 5));
    assert_eq!((gpu.cluster.as_str(), gpu.provider), ("node", None));
    assert_eq!(gpu.capacity_type, CapacityType::Spot);
    assert_eq!(config.receivers[0].value["url"], "https://hooks.example/ml");
    assert!(!format!("{:?}", config.receivers).contains("hooks.example"));
    assert_eq!(config.bands, []);
}

#[test]
fn the_environment_overrides_the_file_and_is_named_where_it_is_wrong() {
    let text = "sources: {aws: [{name: a}]}\nlanguage: en\nstore: {path: x.db}";
    let config = read_with(
        text,
        &[
            ("COSTBAND__STORE__PATH", "/var/lib/costband/ledger.db"),
            ("COSTBAND__LANGUAGE", "ko"),
            ("COSTBAND__BANDS__0__PRESET", "aws"),
            ("COSTBAND__BANDS__0__CEILING", "123456789012345678.05"),
            ("COSTBAND__SOURCES__AWS__0__ACCOUNT", "123456789012"),
            ("COSTBAND_CONFIG", "/etc/costband.yaml"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.store.place, StorePlace::Path("/var/lib/costband/ledger.db".into()));
    assert_eq!(config.language, Language::Ko);
    assert_eq!(config.bands[0].limits[0].ceiling, decimal("123456789012345678.05"));
    assert_eq!(config.sources[0].value, json!({"name": "a", "account": "123456789012"}));
    assert_eq!(
        read_with(
            text,
            &[
                ("COSTBAND__STORE__RETENTION", "30"),
                ("COSTBAND__STROE__PATH", "/x"),
                ("COSTBAND__WEB__BEARER_TOKEN", "hunter2"),
            ],
        )
        .unwrap_err(),
        [
            "the environment variable `COSTBAND__STROE__PATH` matches no key: did you mean `COSTBAND__STORE__PATH`?",
            "`store.retention`: `30` is not a span of time: want a whole number with a unit, such as `30s`, `15m`, `8h` or `2d` (from the environment variable `COSTBAND__STORE__RETENTION`)",
            "`web.bearer_token`: a secret is never written in the configuration: want `file: PATH` or `env: VARIABLE` (from the environment variable `COSTBAND__WEB__BEARER_TOKEN`)",
        ]
    );
}

#[test]
fn a_database_is_taken_apart_and_trusted_as_far_as_it_is_near() {
    let place = |store: &str| {
        let text = format!("sources: {{aws: [{{name: a}}]}}\nstore: {{{store}}}");
        match read_with(&text, &[("DB_HOST", "db.internal")]).unwrap().store.place {
            StorePlace::Postgres(postgres) => postgres,
            StorePlace::Path(path) => panic!("{path:?}"),
        }
    };
    let far = place(
        "url: 'postgres://cost%40band@$(DB_HOST)/led%2Fger', password: {env: DB}, root_certificate: ca.pem",
    );
    assert_eq!((far.host.as_str(), far.port), ("db.internal", 5432));
    assert_eq!((far.user.as_str(), far.database.as_str()), ("cost@band", "led/ger"));
    assert_eq!(far.ssl_mode, SslMode::VerifyFull);
    assert_eq!(far.password.unwrap().env.as_deref(), Some("DB"));
    assert_eq!(far.root_certificate.unwrap().to_str(), Some("ca.pem"));
    for near in ["localhost", "127.0.0.1:6432", "[::1]:6432"] {
        let near = place(&format!("url: 'postgresql://u@{near}/d'"));
        assert_eq!(near.ssl_mode, SslMode::Prefer, "{}", near.host);
        assert!(!near.host.contains('['), "{}", near.host);
    }
    let verified = place("url: 'postgres://u@localhost/d', root_certificate: ca.pem");
    assert_eq!(verified.ssl_mode, SslMode::VerifyFull);
    let socket = place("url: 'postgres:///d?host=/run/postgresql&user=u'");
    assert_eq!((socket.host.as_str(), socket.ssl_mode), ("/run/postgresql", SslMode::Prefer));
    assert_eq!(place("url: 'postgres://u@h/d?sslmode=verify-ca'").ssl_mode, SslMode::VerifyCa);
}

#[test]
fn thousands_of_faults_and_a_megabyte_of_garbage_are_told() {
    let text = format!("bands:\n{}", "- {nmae: x, flor: [1]}\n".repeat(1_500));
    let told = read(&text).unwrap_err();
    assert_eq!(told.len(), 4_501);
    assert_eq!(told[31], "`bands[10].ceiling`: is missing");
    assert!(read(&"{".repeat(1_048_576)).is_err());
}

fn kinds() -> Vec<SourceSchema> {
    SOURCES.iter().map(|kind| SourceSchema { name: kind.name, schema: kind.schema }).collect()
}

fn examples() -> BTreeMap<String, String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

#[test]
fn every_example_loads_its_sources_are_built_and_its_bands_answered() {
    let examples = examples();
    let names: Vec<&str> = examples.keys().map(String::as_str).collect();
    let wanted = [
        "alerts.yaml",
        "aws.yaml",
        "azure.yaml",
        "bands.yaml",
        "costband.yaml",
        "gcp.yaml",
        "gpu.yaml",
        "node.yaml",
        "notify.yaml",
        "replicas.yaml",
        "sidecar.yaml",
    ];
    assert_eq!(names, wanted);
    let environment = || {
        let told = ["HOST_IP", "NODE_NAME", "POD_NAMESPACE", "POD_NAME", "POD_IP"];
        told.into_iter().map(|name| (name.to_owned(), "127.0.0.1".to_owned()))
    };
    for (name, text) in &examples {
        let setup = Setup::from_text(text, environment());
        let setup = setup.unwrap_or_else(|problems| panic!("{name}:\n{problems}"));
        assert_eq!(setup.sources.len(), setup.config.sources.len(), "{name}");
        let answered: usize = setup.selections.iter().map(Vec::len).sum();
        assert!(answered >= setup.config.bands.len(), "{name}: {:?}", setup.selections);
    }
}

#[test]
fn the_examples_show_every_key_of_the_configuration() {
    let all: String = examples().values().cloned().collect();
    let mut unshown = Vec::new();
    walk(
        &schema(Kinds { sources: &kinds(), receivers: &receiver_schemas() }),
        "",
        &mut |path, _| {
            let key = path.rsplit(['.', '/']).next().unwrap_or_default();
            if !all.contains(&format!("{key}:")) {
                unshown.push(path.to_owned());
            }
        },
    );
    assert_eq!(unshown, Vec::<String>::new());
}

/// Every listed key of a schema with its own schema.
fn walk(schema: &Value, path: &str, each: &mut impl FnMut(&str, &Value)) {
    match schema {
        Value::Object(object) => {
            for (key, part) in object {
                match (key.as_str(), part) {
                    ("properties", Value::Object(properties)) => {
                        for (name, property) in properties {
                            let place = format!("{path}.{name}");
                            each(&place, property);
                            walk(property, &place, each);
                        }
                    }
                    ("$defs", Value::Object(definitions)) => {
                        for (name, definition) in definitions {
                            walk(definition, &format!("{path}/{name}"), each);
                        }
                    }
                    _ => walk(part, path, each),
                }
            }
        }
        Value::Array(parts) => parts.iter().for_each(|part| walk(part, path, each)),
        _ => {}
    }
}

#[test]
fn the_schema_describes_every_key_and_refuses_unknown_ones() {
    let schema = schema(Kinds { sources: &kinds(), receivers: &receiver_schemas() });
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["title"], "costband configuration");
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema.get("$id").is_none());
    let mut keys = 0;
    walk(&schema, "", &mut |path, property| {
        keys += 1;
        // The word that tells the variants of a type apart describes itself.
        if property.get("const").is_none() {
            let text = property["description"].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{path} is not described");
        }
    });
    assert!(keys > 50, "{keys}");
    for section in ["store", "web", "log", "heartbeat", "series"] {
        let reference = schema["properties"][section].to_string();
        assert!(reference.contains("$ref"), "{section}: {reference}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic_or_disagree_with_its_schema(
        text in "\\PC{0,120}|[-a-c:\\[\\]{}&*!|>'\"%@`#,? \\n\\t0-9.]{0,120}",
        key in "listen|web|language|log|store|sources|gpu|kubernetes|bands|exchange_rates|notify|series",
        inner in "name|preset|floor|limits|scope|url|secret|path|retention|from|rate|webhook|aws",
        value in "5|-1|x|''|\\[\\]|\\{\\}|\\[1, a\\]|\\{env: A\\}|\\[\\{name: a\\}\\]|null|true|50000.10|aws",
    ) {
        let _ = read(&text);
        for whole in [
            format!("{key}: {value}\n"),
            format!("{key}: {{{inner}: {value}}}\n"),
            format!("{key}: [{{{inner}: {value}}}]\n"),
            format!("{key}: {{{inner}: [{{name: {value}, {key}: {text:?}}}]}}\n"),
        ] {
            if let Err(told) = read(&whole) {
                prop_assert!(!told.is_empty());
                prop_assert!(!told.concat().contains("disagree"), "{}\n{:?}", whole, told);
            }
        }
    }
}
