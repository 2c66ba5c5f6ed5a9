//! One entry under `sources.aws`: what a user writes, and what the source makes of it.

use std::time::Duration;

use jiff::SignedDuration;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::collect::Cadence;
use crate::config::problems::Problems;
use crate::config::secret::SecretRef;
use crate::config::values::Span;
use crate::domain::identity::SourceId;
use crate::domain::money::{Currency, Money};

/// A payer account whose bill is read from Cost Explorer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct AwsEntry {
    /// A unique name: the `source` label.
    pub name: String,
    /// The account that the credentials must belong to, 12 digits in quotes: the management
    /// account for the whole organisation's bill, a member account for its own.
    #[schemars(regex(pattern = r"^[0-9]{12}$"))]
    pub account: String,
    /// Where credentials come from. Without it: environment, profile files, web identity (IRSA),
    /// pod identity, container and instance roles, in the SDK's order.
    #[serde(default)]
    pub credentials: AwsCredentials,
    /// The region of STS, `us-east-1` by default. Its partition decides where Cost Explorer is:
    /// `us-gov-west-1`, `cn-northwest-1` and `eusc-de-east-1` have their own.
    #[serde(default = "default_region")]
    #[schemars(regex(pattern = r"^[a-z]{2,4}(-[a-z]+)+-[0-9]+$"))]
    pub region: String,
    /// Other addresses than the partition's own.
    #[serde(default)]
    pub endpoints: AwsEndpoints,
    /// The instance families whose cost is also read by type and region: `p5`, or `p6-*` for all
    /// that begin so. Empty to leave that request out. All GPU families by default.
    #[serde(default = "default_gpu_families")]
    pub gpu_families: Vec<String>,
    /// When it is read, and for how much.
    #[serde(flatten)]
    pub cadence: Cadence,
}

/// Where credentials come from: at most one of `profile` and `static`, and a role on top of any.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct AwsCredentials {
    /// A profile of the shared configuration files.
    #[serde(default)]
    pub profile: Option<String>,
    /// A fixed access key.
    #[serde(default, rename = "static")]
    pub fixed: Option<AwsStaticCredentials>,
    /// A role that is assumed with the credentials above.
    #[serde(default)]
    pub assume_role: Option<AwsAssumeRole>,
}

/// A fixed access key.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct AwsStaticCredentials {
    /// The access key's id, which is not secret.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: SecretRef,
    /// The session token of temporary credentials.
    #[serde(default)]
    pub session_token: Option<SecretRef>,
}

/// A role that is assumed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct AwsAssumeRole {
    /// The role's ARN.
    #[schemars(regex(pattern = r"^arn:[a-z-]+:iam::[0-9]{12}:role/.+$"))]
    pub role_arn: String,
    /// The external id that the role's trust policy asks for, as text or as a secret.
    #[serde(default)]
    pub external_id: Option<AwsExternalId>,
    /// The session's name in CloudTrail, `costband` by default.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[A-Za-z0-9_=,.@-]{2,64}$"))]
    pub session_name: Option<String>,
}

/// An external id: AWS does not treat it as a secret, some organisations do.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AwsExternalId {
    /// As it is.
    Text(String),
    /// From a file or a variable.
    Secret(SecretRef),
}

/// Addresses for a proxying gateway, a private endpoint or a simulated cloud.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct AwsEndpoints {
    /// The address of Cost Explorer, such as `https://ce.internal.example`.
    #[serde(default)]
    pub cost_explorer: Option<String>,
    /// The address of STS, for the identity check and `assume_role`.
    #[serde(default)]
    pub sts: Option<String>,
    /// The address of the Price List query API. Where `cost_explorer` is given and this is not, list
    /// prices are not read.
    #[serde(default)]
    pub price_list: Option<String>,
}

/// What the source works with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) id: SourceId,
    pub(crate) account: String,
    pub(crate) credentials: AwsCredentials,
    pub(crate) region: String,
    pub(crate) endpoints: AwsEndpoints,
    pub(crate) gpu_families: Vec<String>,
    pub(crate) poll_every: Span,
    pub(crate) deadline: Span,
    pub(crate) lag: Span,
    pub(crate) maximum_age: Span,
    pub(crate) final_after: SignedDuration,
    pub(crate) monthly_cap: Money,
    pub(crate) list_prices: bool,
}

impl Settings {
    /// The region whose Price List query API is asked; none where list prices are not read. It is in
    /// three regions and in China (AWS Price List endpoints), and knows no other partition.
    pub(crate) fn price_list_region(&self) -> Option<&'static str> {
        let endpoints = &self.endpoints;
        if !self.list_prices
            || (endpoints.price_list.is_none() && endpoints.cost_explorer.is_some())
        {
            return None;
        }
        let begins = |beginnings: &[&str]| {
            beginnings.iter().any(|beginning| self.region.starts_with(beginning))
        };
        if begins(&["us-gov-", "us-iso", "eusc-", "eu-isoe-"]) {
            return endpoints.price_list.as_ref().map(|_| "us-east-1");
        }
        if begins(&["cn-"]) {
            return Some("cn-northwest-1");
        }
        if begins(&["eu-", "me-", "af-", "il-"]) {
            return Some("eu-central-1");
        }
        Some(if begins(&["ap-"]) { "ap-south-1" } else { "us-east-1" })
    }

    /// The region that Cost Explorer requests of the partition are signed for. The SDK signs for
    /// the client's region as soon as an endpoint is given, so the client is made for this one
    /// (endpoint rules of the Cost Explorer SDK).
    pub(crate) fn billing_region(&self) -> &'static str {
        const PARTITIONS: [(&str, &str); 7] = [
            ("cn-", "cn-northwest-1"),
            ("us-gov-", "us-gov-west-1"),
            ("eusc-", "eusc-de-east-1"),
            ("us-iso-", "us-iso-east-1"),
            ("us-isob-", "us-isob-east-1"),
            ("us-isof-", "us-isof-south-1"),
            ("eu-isoe-", "eu-isoe-west-1"),
        ];
        PARTITIONS
            .into_iter()
            .find(|(prefix, _)| self.region.starts_with(prefix))
            .map_or("us-east-1", |(_, region)| region)
    }

    /// The longest that one request may take.
    pub(crate) fn request_timeout(&self) -> Duration {
        self.deadline.duration().min(Duration::from_secs(120))
    }
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

/// The accelerated-computing families with GPUs (EC2 instance types documentation), Inferentia and
/// Trainium not among them.
fn default_gpu_families() -> Vec<String> {
    [
        "g3", "g3s", "g4ad", "g4dn", "g5", "g5g", "g6", "g6e", "g6f", "g7", "g7e", "gr6", "gr6f",
        "p2", "p3", "p3dn", "p4d", "p4de", "p5", "p5e", "p5en", "p6-*", "p6e-*",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Makes settings of an entry, or notes what is wrong with it.
pub(crate) fn parse(
    entry: &serde_json::Value,
    path: &str,
    problems: &mut Problems,
) -> Option<Settings> {
    let entry = match AwsEntry::deserialize(entry) {
        Ok(entry) => entry,
        Err(error) => {
            problems.add(path, describe(&error));
            return None;
        }
    };
    let before = problems.len();
    let mut settings = Settings {
        id: SourceId::new(entry.name.as_str()),
        account: entry.account,
        credentials: entry.credentials,
        region: entry.region,
        endpoints: entry.endpoints,
        gpu_families: entry.gpu_families,
        poll_every: entry.cadence.poll_every.unwrap_or(Span::hours(8)),
        deadline: entry.cadence.deadline.unwrap_or(Span::seconds(600)),
        lag: entry.cadence.lag.unwrap_or(Span::hours(48)),
        final_after: entry.cadence.final_after(),
        maximum_age: entry.cadence.maximum_age.unwrap_or(Span::hours(48)),
        monthly_cap: entry
            .cadence
            .monthly_cap
            .map_or(Money::new(Decimal::from(30), Currency::USD), |cap| cap.0),
        list_prices: entry.cadence.list_prices(),
    };
    check(&settings, path, problems);
    settings.gpu_families.sort();
    settings.gpu_families.dedup();
    (problems.len() == before).then_some(settings)
}

/// A structural error without the value that is wrong: it may be a secret in the wrong place.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("invalid type") || text.starts_with("invalid value") {
        "a value is not of the kind that `costband schema` describes".to_owned()
    } else {
        text
    }
}

fn check(settings: &Settings, path: &str, problems: &mut Problems) {
    if settings.id.as_str().trim().is_empty() {
        problems.add(format!("{path}.name"), "is empty: want a name for the `source` label");
    }
    if !is_account(&settings.account) {
        problems.add(
            format!("{path}.account"),
            format!("`{}` is not an account: want 12 digits in quotes", settings.account),
        );
    }
    if settings.region.trim().is_empty() {
        problems.add(format!("{path}.region"), "is empty: want a region such as `us-east-1`");
    }
    check_credentials(settings, &format!("{path}.credentials"), problems);
    for (key, address) in [
        ("cost_explorer", &settings.endpoints.cost_explorer),
        ("sts", &settings.endpoints.sts),
        ("price_list", &settings.endpoints.price_list),
    ] {
        if address.as_deref().is_some_and(|address| !is_address(address)) {
            problems.add(
                format!("{path}.endpoints.{key}"),
                "is not an address: want one such as `https://ce.internal.example`",
            );
        }
    }
    for (index, family) in settings.gpu_families.iter().enumerate() {
        let name = family.strip_suffix('*').unwrap_or(family);
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(known) {
            problems.add(
                format!("{path}.gpu_families[{index}]"),
                format!("`{family}` is not an instance family: want one such as `p5` or `p6-*`"),
            );
        }
    }
    for (key, span) in [("poll_every", settings.poll_every), ("deadline", settings.deadline)] {
        if span.duration().is_zero() {
            problems.add(format!("{path}.{key}"), "is zero: want a span such as `8h`");
        }
    }
    if settings.monthly_cap.currency != Currency::USD {
        problems.add(
            format!("{path}.monthly_cap"),
            format!(
                "`{}` is not in USD, in which Cost Explorer prices its requests",
                settings.monthly_cap
            ),
        );
    }
}

fn check_credentials(settings: &Settings, path: &str, problems: &mut Problems) {
    let credentials = &settings.credentials;
    if credentials.profile.is_some() && credentials.fixed.is_some() {
        problems.add(path, "has both `profile` and `static`: want at most one of them");
    }
    if let Some(fixed) = &credentials.fixed {
        if fixed.access_key_id.trim().is_empty() {
            problems.add(format!("{path}.static.access_key_id"), "is empty");
        }
        check_secret(
            Some(&fixed.secret_access_key),
            format!("{path}.static.secret_access_key"),
            problems,
        );
        check_secret(
            fixed.session_token.as_ref(),
            format!("{path}.static.session_token"),
            problems,
        );
    }
    if let Some(role) = &credentials.assume_role {
        match role.role_arn.split(':').nth(4) {
            Some(account) if role.role_arn.starts_with("arn:") && is_account(account) => {
                if account != settings.account && is_account(&settings.account) {
                    problems.add(
                        format!("{path}.assume_role.role_arn"),
                        format!(
                            "`{}` is a role of account `{account}`, but `account` is `{}`",
                            role.role_arn, settings.account
                        ),
                    );
                }
            }
            _ => problems.add(
                format!("{path}.assume_role.role_arn"),
                format!(
                    "`{}` is not a role: want one such as `arn:aws:iam::123456789012:role/costband`",
                    role.role_arn
                ),
            ),
        }
        if let Some(AwsExternalId::Secret(secret)) = &role.external_id {
            check_secret(Some(secret), format!("{path}.assume_role.external_id"), problems);
        }
    }
}

fn check_secret(secret: Option<&SecretRef>, path: String, problems: &mut Problems) {
    if secret.is_some_and(|secret| secret.file.is_some() == secret.env.is_some()) {
        problems.add(path, "want exactly one of `file` and `env`");
    }
}

/// Whether a text is an AWS account number.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit())
}

fn is_address(text: &str) -> bool {
    reqwest::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
mod tests;
