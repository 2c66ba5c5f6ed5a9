//! The way to AWS: credentials, who they turn out to belong to, and the clients of Cost Explorer and
//! of the Price List.
//!
//! The SDK's own retry is off, since each attempt is paid for and must be reserved first. Proxy and
//! private CA come from the environment: the SDK's connector reads `HTTPS_PROXY`, `HTTP_PROXY`,
//! `NO_PROXY`, `SSL_CERT_FILE` and `SSL_CERT_DIR` itself.

use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_costexplorer::operation::get_cost_and_usage::GetCostAndUsageOutput;
use aws_sdk_costexplorer::types::Granularity;
use aws_sdk_pricing::operation::get_products::GetProductsOutput;
use aws_sdk_pricing::types::{Filter, FilterType};
use aws_sdk_sts::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use jiff::{SignedDuration, Timestamp};

use crate::collect::aws::classify::{credentials_error, quote, sdk_error};
use crate::collect::aws::config::{AwsAssumeRole, AwsExternalId, AwsStaticCredentials, Settings};
use crate::collect::aws::price_list::{EC2, PAGE_PRODUCTS, PRICES};
use crate::collect::aws::request::{OPERATION, Query, time_period};
use crate::config::secret::{Secret, SecretError, SecretRef};
use crate::domain::period::Window;
use crate::domain::report::{SourceError, SourceErrorKind};

/// How long an identity that was checked is trusted.
const TRUST: SignedDuration = SignedDuration::from_hours(1);

/// Credentials that were found, of whichever account.
pub(crate) struct Candidate<'a> {
    settings: &'a Settings,
    sts: SdkConfig,
    provider: SharedCredentialsProvider,
    secrets: Vec<Secret>,
}

/// A client whose identity is the configured account.
pub(crate) struct Session {
    /// Whose it is.
    pub(crate) arn: String,
    cost_explorer: aws_sdk_costexplorer::Client,
    price_list: Option<aws_sdk_pricing::Client>,
    opened_at: Timestamp,
    secrets: Vec<Secret>,
}

impl<'a> Candidate<'a> {
    /// Loads the credentials; `assume_role` asks STS for them.
    ///
    /// # Errors
    /// `Auth` where there are none, `Config` on a machine without CA certificates, `Unavailable`
    /// or `Timeout` where STS is not to be reached.
    pub(crate) async fn find(settings: &'a Settings) -> Result<Self, SourceError> {
        check_roots()?;
        let mut secrets = Vec::new();
        match load(settings, &mut secrets).await {
            Ok((sts, provider)) => Ok(Self { settings, sts, provider, secrets }),
            Err(error) => Err(redacted(error, &secrets)),
        }
    }

    /// Asks STS whose credentials they are.
    ///
    /// # Errors
    /// `Auth` for those of another account, else what [`sdk_error`] makes of the answer.
    pub(crate) async fn identify(self, now: Timestamp) -> Result<Session, SourceError> {
        let arn = check_identity(&self.sts, &self.settings.account)
            .await
            .map_err(|error| redacted(error, &self.secrets))?;
        let region = Region::from_static(self.settings.billing_region());
        let endpoint = self.settings.endpoints.cost_explorer.as_deref();
        let config = loader(self.settings, region, endpoint)
            .credentials_provider(self.provider.clone())
            .load()
            .await;
        let price_list = match self.settings.price_list_region() {
            Some(region) => {
                let endpoint = self.settings.endpoints.price_list.as_deref();
                let config = loader(self.settings, Region::from_static(region), endpoint)
                    .credentials_provider(self.provider)
                    .load()
                    .await;
                Some(aws_sdk_pricing::Client::new(&config))
            }
            None => None,
        };
        Ok(Session {
            arn,
            cost_explorer: aws_sdk_costexplorer::Client::new(&config),
            price_list,
            opened_at: now,
            secrets: self.secrets,
        })
    }
}

impl Session {
    /// Whether the identity was checked lately enough, by the agent's clock.
    pub(crate) fn is_trusted(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.opened_at);
        !age.is_negative() && age < TRUST
    }

    /// Asks for one page. Each call is one paid request.
    ///
    /// # Errors
    /// What [`sdk_error`] makes of the answer.
    pub(crate) async fn page(
        &self,
        query: &Query,
        window: &Window,
        token: Option<&str>,
    ) -> Result<GetCostAndUsageOutput, SourceError> {
        let period = time_period(window).map_err(|error| {
            SourceError::new(
                SourceErrorKind::Config,
                format!("failed to ask for {window}: {error}"),
            )
        })?;
        self.cost_explorer
            .get_cost_and_usage()
            .time_period(period)
            .granularity(Granularity::Daily)
            .set_metrics(Some(query.metrics()))
            .set_group_by(query.group_by())
            .set_filter(query.filter())
            .set_next_page_token(token.map(str::to_owned))
            .send()
            .await
            .map_err(|error| self.redacted(sdk_error(OPERATION, &error)))
    }

    /// Asks for one page of products that have these attributes. Free.
    ///
    /// # Errors
    /// What [`sdk_error`] makes of the answer.
    pub(crate) async fn products(
        &self,
        filters: &[(&'static str, &str)],
        token: Option<&str>,
    ) -> Result<GetProductsOutput, SourceError> {
        let client = self.price_list.as_ref().ok_or_else(|| {
            SourceError::new(SourceErrorKind::Config, "the source reads no list prices")
        })?;
        let mut asked = client
            .get_products()
            .service_code(EC2)
            .format_version("aws_v1")
            .max_results(PAGE_PRODUCTS)
            .set_next_token(token.map(str::to_owned));
        for (field, value) in filters {
            let filter = Filter::builder()
                .r#type(FilterType::TermMatch)
                .field(*field)
                .value(*value)
                .build()
                .map_err(|error| SourceError::new(SourceErrorKind::Config, error.to_string()))?;
            asked = asked.filters(filter);
        }
        asked.send().await.map_err(|error| self.redacted(sdk_error(PRICES, &error)))
    }

    /// An error without the secrets of this session.
    pub(crate) fn redacted(&self, error: SourceError) -> SourceError {
        redacted(error, &self.secrets)
    }
}

/// The SDK trusts the machine's CA certificates and breaks off (a debug assertion) where there are
/// none. `reqwest` reads the same certificates and says so with an error.
fn check_roots() -> Result<(), SourceError> {
    reqwest::Client::builder().build().map(drop).map_err(|_| {
        SourceError::new(
            SourceErrorKind::Config,
            "failed to set up TLS: no CA certificate was found on this machine",
        )
        .hint("install `ca-certificates`, or name a bundle in `SSL_CERT_FILE`")
    })
}

/// The configuration for STS and the provider of the credentials that it ends in. `secrets` takes
/// every secret on the way.
async fn load(
    settings: &Settings,
    secrets: &mut Vec<Secret>,
) -> Result<(SdkConfig, SharedCredentialsProvider), SourceError> {
    let region = Region::new(settings.region.clone());
    let mut loader = loader(settings, region.clone(), settings.endpoints.sts.as_deref());
    if let Some(own) = own_credentials(settings, region, secrets)? {
        loader = loader.credentials_provider(own);
    }
    let mut sts = loader.load().await;
    if let Some(role) = &settings.credentials.assume_role {
        let provider = assumed(role, &sts, secrets).await?;
        sts = sts.into_builder().credentials_provider(provider).build();
    }
    let provider = sts.credentials_provider().ok_or_else(|| {
        SourceError::new(SourceErrorKind::Auth, "no credentials provider is configured")
    })?;
    let found = provider.provide_credentials().await.map_err(|error| credentials_error(&error))?;
    secrets.push(Secret::new(found.secret_access_key()));
    secrets.extend(found.session_token().map(Secret::new));
    Ok((sts, provider))
}

fn loader(settings: &Settings, region: Region, endpoint: Option<&str>) -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(10).min(settings.request_timeout()))
        .operation_timeout(settings.request_timeout())
        .build();
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        // A slow body ends with the request's time, as a slow start does.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    let loader = match AppName::new("costband") {
        Ok(name) => loader.app_name(name),
        Err(_) => loader,
    };
    match endpoint {
        Some(address) => loader.endpoint_url(address),
        None => loader,
    }
}

/// The configured credentials, none for the SDK's chain. A profile is asked itself, since the chain
/// prefers the keys of the environment to any profile.
fn own_credentials(
    settings: &Settings,
    region: Region,
    secrets: &mut Vec<Secret>,
) -> Result<Option<SharedCredentialsProvider>, SourceError> {
    if let Some(fixed) = &settings.credentials.fixed {
        let credentials = fixed_credentials(fixed, secrets)?;
        return Ok(Some(SharedCredentialsProvider::new(credentials)));
    }
    Ok(settings.credentials.profile.as_ref().map(|profile| {
        let config = ProviderConfig::default()
            .with_region(Some(region))
            .with_behavior_version(Some(BehaviorVersion::latest()));
        let provider = ProfileFileCredentialsProvider::builder()
            .configure(&config)
            .profile_name(profile)
            .build();
        SharedCredentialsProvider::new(provider)
    }))
}

fn fixed_credentials(
    fixed: &AwsStaticCredentials,
    secrets: &mut Vec<Secret>,
) -> Result<Credentials, SourceError> {
    let key = read(&fixed.secret_access_key, "static.secret_access_key", secrets)?;
    let token = match &fixed.session_token {
        Some(token) => Some(read(token, "static.session_token", secrets)?),
        None => None,
    };
    Ok(Credentials::new(
        fixed.access_key_id.as_str(),
        key.expose(),
        token.map(|token| token.expose().to_owned()),
        None,
        "costband",
    ))
}

async fn assumed(
    role: &AwsAssumeRole,
    sts: &SdkConfig,
    secrets: &mut Vec<Secret>,
) -> Result<SharedCredentialsProvider, SourceError> {
    let mut builder = AssumeRoleProvider::builder(role.role_arn.as_str())
        .configure(sts)
        .session_name(role.session_name.as_deref().unwrap_or("costband"));
    builder = match &role.external_id {
        Some(AwsExternalId::Text(id)) => builder.external_id(id.as_str()),
        Some(AwsExternalId::Secret(secret)) => {
            builder.external_id(read(secret, "assume_role.external_id", secrets)?.expose())
        }
        None => builder,
    };
    Ok(SharedCredentialsProvider::new(builder.build().await))
}

fn read(secret: &SecretRef, key: &str, secrets: &mut Vec<Secret>) -> Result<Secret, SourceError> {
    let value = secret.read().map_err(|error: SecretError| {
        SourceError::new(
            SourceErrorKind::Auth,
            format!("failed to read `credentials.{key}`: {error}"),
        )
    })?;
    secrets.push(value.clone());
    Ok(value)
}

/// The ARN of an identity of the configured account.
async fn check_identity(sts: &SdkConfig, account: &str) -> Result<String, SourceError> {
    let identity = aws_sdk_sts::Client::new(sts)
        .get_caller_identity()
        .send()
        .await
        .map_err(|error| sdk_error("GetCallerIdentity", &error))?;
    let found = identity.account().unwrap_or_default();
    if found == account {
        return Ok(identity.arn().unwrap_or_default().to_owned());
    }
    Err(SourceError::new(
        SourceErrorKind::Auth,
        format!(
            "identity {} is account {}, configured is `{account}`",
            quote(identity.arn().unwrap_or_default()),
            quote(found)
        ),
    )
    .hint("use credentials of the configured account, or correct `account`"))
}

/// An error without secrets, whoever repeated them.
fn redacted(mut error: SourceError, secrets: &[Secret]) -> SourceError {
    for secret in secrets {
        if !secret.expose().is_empty() && error.message.contains(secret.expose()) {
            error.message = error.message.replace(secret.expose(), "[secret]");
        }
    }
    error
}
