//! What a user writes for an Azure source, and what the source uses of it.

use std::net::IpAddr;

use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::collect::Cadence;
use crate::config::problems::Problems;
use crate::config::secret::SecretRef;

/// One Azure billing source: a scope whose costs are read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "AzureSource")]
pub struct Entry {
    /// The name of the source, unique in the file: the `source` label.
    pub name: String,
    /// The scope whose costs are read: `/subscriptions/{id}`,
    /// `/providers/Microsoft.Billing/billingAccounts/{id}` or
    /// `/providers/Microsoft.Management/managementGroups/{id}`, or a part of one.
    pub scope: String,
    /// The cloud that holds the scope.
    #[serde(default)]
    pub cloud: Cloud,
    /// Who asks.
    #[serde(default)]
    pub credentials: CredentialsEntry,
    /// Hosts other than the cloud's own: a gateway, a sovereign cloud, a simulated server.
    #[serde(default)]
    pub endpoints: EndpointsEntry,
    /// Which interface tells the costs.
    #[serde(default)]
    pub method: Method,
    /// The `ClientType` header, which gives the requests a quota of their own; `costband` by
    /// default.
    #[serde(default)]
    pub client_type: Option<String>,
    /// When it is read.
    #[serde(flatten)]
    pub cadence: Cadence,
}

/// A cloud with its own hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "AzureCloud")]
pub enum Cloud {
    /// Azure.
    #[default]
    Public,
    /// Azure Government.
    UsGovernment,
    /// Azure in China, operated by 21Vianet.
    China,
}

impl Cloud {
    /// Where Azure Resource Manager listens.
    fn resource_manager(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com",
            Self::UsGovernment => "https://management.usgovcloudapi.net",
            Self::China => "https://management.chinacloudapi.cn",
        }
    }

    /// Where list prices are told: of the public cloud only.
    fn retail_prices(self) -> Option<&'static str> {
        (self == Self::Public).then_some("https://prices.azure.com")
    }

    /// Where Microsoft Entra ID gives tokens.
    fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::UsGovernment => "https://login.microsoftonline.us",
            Self::China => "https://login.chinacloudapi.cn",
        }
    }
}

/// Which interface tells the costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "AzureMethod")]
pub enum Method {
    /// Cost Management Query: aggregates, for every agreement that it serves.
    #[default]
    Query,
    /// Consumption usage details: line items, for agreements that Query does not serve. Many more
    /// pages for the same figures.
    UsageDetails,
}

/// Who asks.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AzureCredentials")]
pub struct CredentialsEntry {
    /// How a token is got.
    #[serde(default)]
    pub method: CredentialMethod,
    /// The application or the user-assigned managed identity.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The application's secret.
    #[serde(default)]
    pub client_secret: Option<SecretRef>,
    /// The tenant. A token of another tenant is refused.
    #[serde(default)]
    pub tenant_id: Option<String>,
}

/// How a token is got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "AzureCredentialMethod")]
pub enum CredentialMethod {
    /// The first that applies: a client secret in this entry, workload identity
    /// (`AZURE_FEDERATED_TOKEN_FILE`), a client secret in the environment
    /// (`AZURE_CLIENT_SECRET`), managed identity, developer tools.
    #[default]
    Auto,
    /// The federated token of a Kubernetes service account.
    WorkloadIdentity,
    /// The identity of the virtual machine or App Service.
    ManagedIdentity,
    /// An application's secret.
    ClientSecret,
    /// Whoever is signed in to `az` or `azd`.
    DeveloperTools,
}

/// Hosts other than the cloud's own.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AzureEndpoints")]
pub struct EndpointsEntry {
    /// Azure Resource Manager: `https://management.azure.com` by default. Plain http is accepted.
    #[serde(default)]
    pub resource_manager: Option<String>,
    /// Microsoft Entra ID: `https://login.microsoftonline.com` by default. Plain http is accepted
    /// on a loopback address only, since the client secret goes there.
    #[serde(default)]
    pub authority: Option<String>,
    /// The Retail Prices API: `https://prices.azure.com` by default in the public cloud. Where
    /// `resource_manager` is given and this is not, list prices are not read. Plain http is
    /// accepted: nothing secret goes there.
    #[serde(default)]
    pub retail_prices: Option<String>,
}

/// What the source uses.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The scope with a leading and without a trailing slash.
    pub scope: String,
    /// An origin without a path.
    pub resource_manager: Url,
    /// An origin without a path; http only on a loopback address.
    pub authority: Url,
    /// An origin without a path; none where list prices are not read.
    pub retail_prices: Option<Url>,
    /// What a token is asked for: `https://management.azure.com/.default`.
    pub token_scope: String,
    /// How a token is got.
    pub credential_method: CredentialMethod,
    /// The application or user-assigned identity.
    pub client_id: Option<String>,
    /// Where the application's secret is.
    pub client_secret: Option<SecretRef>,
    /// The tenant that a token must be of.
    pub tenant_id: Option<String>,
    /// Which interface tells the costs.
    pub method: Method,
    /// The `ClientType` header.
    pub client_type: String,
}

impl Settings {
    /// Checks an entry. Notes what is wrong under `path` and returns none then.
    pub fn of(entry: &Entry, path: &str, problems: &mut Problems) -> Option<Self> {
        let before = problems.len();
        if entry.name.trim().is_empty() {
            problems.add(format!("{path}.name"), "the name is empty");
        }
        let scope = match scope(&entry.scope) {
            Ok(scope) => scope,
            Err(message) => {
                problems.add(format!("{path}.scope"), message);
                String::new()
            }
        };
        let client_type = entry.client_type.clone().unwrap_or_else(|| "costband".to_owned());
        if client_type.is_empty() || !client_type.bytes().all(|byte| byte.is_ascii_graphic()) {
            problems.add(
                format!("{path}.client_type"),
                format!("`{client_type}` is not a header value: want letters, digits and dashes"),
            );
        }
        check_credentials(&entry.credentials, &format!("{path}.credentials"), problems);
        let resource_manager = origin(
            entry.endpoints.resource_manager.as_deref(),
            entry.cloud.resource_manager(),
            &format!("{path}.endpoints.resource_manager"),
            problems,
        );
        let authority_path = format!("{path}.endpoints.authority");
        let authority = origin(
            entry.endpoints.authority.as_deref(),
            entry.cloud.authority(),
            &authority_path,
            problems,
        );
        if let Some(authority) = &authority
            && authority.scheme() == "http"
            && !is_loopback(authority)
        {
            problems.add(
                authority_path,
                format!(
                    "`{authority}` would carry the client secret in the clear: want https, or http on a loopback address"
                ),
            );
        }
        let retail_prices = retail_prices(entry, path, problems);
        if problems.len() > before {
            return None;
        }
        Some(Self {
            scope,
            resource_manager: resource_manager?,
            authority: authority?,
            retail_prices,
            token_scope: format!("{}/.default", entry.cloud.resource_manager()),
            credential_method: entry.credentials.method,
            client_id: entry.credentials.client_id.clone(),
            client_secret: entry.credentials.client_secret.clone(),
            tenant_id: entry.credentials.tenant_id.clone(),
            method: entry.method,
            client_type,
        })
    }

    /// The number of an Enterprise Agreement enrolment, where the scope is its billing account.
    /// Accounts of other agreements have names that are not numbers.
    pub fn enrollment(&self) -> Option<&str> {
        let (parent, id) = self.scope.rsplit_once('/')?;
        let is_account =
            parent.eq_ignore_ascii_case("/providers/Microsoft.Billing/billingAccounts");
        let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        (is_account && is_number).then_some(id)
    }

    /// Whether the scope exists only under a Microsoft Customer or Partner Agreement.
    pub fn is_modern_agreement(&self) -> bool {
        let scope = self.scope.to_ascii_lowercase();
        scope.starts_with("/providers/microsoft.billing/billingaccounts/")
            && (scope.contains(':') || scope.contains("/billingprofiles/"))
    }
}

fn check_credentials(entry: &CredentialsEntry, path: &str, problems: &mut Problems) {
    let mut want = |key: &str, given: bool| {
        if !given {
            problems.add(
                format!("{path}.{key}"),
                "is missing: the method `client_secret` needs `tenant_id`, `client_id` and `client_secret`",
            );
        }
    };
    if entry.method == CredentialMethod::ClientSecret || entry.client_secret.is_some() {
        want("tenant_id", entry.tenant_id.is_some());
        want("client_id", entry.client_id.is_some());
        want("client_secret", entry.client_secret.is_some());
    }
    if let Some(secret) = &entry.client_secret {
        if secret.file.is_some() == secret.env.is_some() {
            problems.add(format!("{path}.client_secret"), "want exactly one of `file` and `env`");
        }
        if !matches!(entry.method, CredentialMethod::Auto | CredentialMethod::ClientSecret) {
            problems.add(
                format!("{path}.client_secret"),
                "is not used by this `method`: remove it, or set the method to `client_secret`",
            );
        }
    }
    for (key, value) in [("tenant_id", &entry.tenant_id), ("client_id", &entry.client_id)] {
        if let Some(value) = value
            && (value.is_empty()
                || !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)))
        {
            problems.add(format!("{path}.{key}"), format!("`{value}` is not an id or a domain"));
        }
    }
}

fn retail_prices(entry: &Entry, path: &str, problems: &mut Problems) -> Option<Url> {
    let endpoints = &entry.endpoints;
    let path = format!("{path}.endpoints.retail_prices");
    let url = match (&endpoints.retail_prices, &endpoints.resource_manager) {
        (Some(given), _) => origin(Some(given), "", &path, problems),
        (None, Some(_)) => None,
        (None, None) => {
            entry.cloud.retail_prices().and_then(|preset| origin(None, preset, &path, problems))
        }
    };
    url.filter(|_| entry.cadence.list_prices())
}

fn origin(given: Option<&str>, preset: &str, path: &str, problems: &mut Problems) -> Option<Url> {
    let text = given.unwrap_or(preset);
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    if url.is_none() {
        problems.add(
            path,
            "want a scheme and a host without a path, such as `https://management.azure.com`",
        );
    }
    url
}

/// Whether a URL's host is this machine.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Scopes of Cost Management Query ("Understand and work with scopes"); `*` stands for a name.
const SCOPES: [&[&str]; 9] = [
    &["subscriptions", "*"],
    &["subscriptions", "*", "resourceGroups", "*"],
    &["providers", "Microsoft.Management", "managementGroups", "*"],
    &["providers", "Microsoft.Billing", "billingAccounts", "*"],
    &["providers", "Microsoft.Billing", "billingAccounts", "*", "departments", "*"],
    &["providers", "Microsoft.Billing", "billingAccounts", "*", "enrollmentAccounts", "*"],
    &["providers", "Microsoft.Billing", "billingAccounts", "*", "customers", "*"],
    &["providers", "Microsoft.Billing", "billingAccounts", "*", "billingProfiles", "*"],
    &[
        "providers",
        "Microsoft.Billing",
        "billingAccounts",
        "*",
        "billingProfiles",
        "*",
        "invoiceSections",
        "*",
    ],
];

fn scope(text: &str) -> Result<String, String> {
    let wrong = || {
        format!(
            "`{text}` is not a scope: want `/subscriptions/{{id}}`, `/providers/Microsoft.Billing/billingAccounts/{{id}}` or `/providers/Microsoft.Management/managementGroups/{{id}}`"
        )
    };
    let inner = text.strip_prefix('/').ok_or_else(wrong)?.trim_end_matches('/');
    let parts: Vec<&str> = inner.split('/').collect();
    let is_name = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:()-".contains(&byte))
    };
    let known = SCOPES.iter().any(|scope| {
        scope.len() == parts.len()
            && scope.iter().zip(&parts).all(|(want, part)| {
                if *want == "*" { is_name(part) } else { want.eq_ignore_ascii_case(part) }
            })
    });
    if known { Ok(format!("/{inner}")) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests;
