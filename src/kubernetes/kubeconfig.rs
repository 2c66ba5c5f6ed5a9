//! From a cluster's configuration to a client: where its API server is, who asks, and through which
//! proxy.

use std::time::Duration;

use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use tower::{BoxError, ServiceExt};

use crate::domain::report::{SourceError, SourceErrorKind, innermost};
use crate::kubernetes::client::{explained, failed};
use crate::kubernetes::{Cluster, exec};

/// How long the command that brings credentials may take; `aws eks get-token` takes a second or two.
const CREDENTIALS_WITHIN: Duration = Duration::from_secs(30);

/// Reads the identity, which may run a command, and sets up TLS; the server is not asked yet. With
/// the client comes until when its credentials are good, where that is known.
///
/// # Errors
/// [`SourceErrorKind::Config`] with the file, context or proxy that is of no use, and what the
/// command's failure means.
pub(super) async fn client(
    cluster: &Cluster,
) -> Result<(kube::Client, Option<Timestamp>), SourceError> {
    let (mut config, proxy) = configuration(cluster).await?;
    if let Some(provider) = &config.auth_info.auth_provider
        && provider.config.contains_key("cmd-path")
    {
        let reason =
            "its user's `auth-provider` is a command, which is out of use since Kubernetes 1.26";
        return Err(failed(cluster, SourceErrorKind::Config, reason)
            .hint("write the kubeconfig anew with an `exec` command"));
    }
    let mut until = None;
    if let Some(command) = exec::of(&config.auth_info) {
        let brought = exec::run(command, CREDENTIALS_WITHIN).await;
        let brought = brought.map_err(|(kind, reason)| {
            failed(cluster, kind, &reason).hint("check the user of the kubeconfig")
        })?;
        until = brought.put(&mut config.auth_info);
    }
    // The watches have a back-off of their own, and say what they wait for.
    config.default_retry = false;
    let client = match proxy {
        Some(proxy) => through(config, &proxy),
        None => kube::Client::try_from(config),
    };
    let client = client.map_err(|error| {
        failed(cluster, SourceErrorKind::Config, &explained(&error))
            .hint("check the certificates and the proxy of the kubeconfig")
    })?;
    Ok((client, until))
}

async fn configuration(
    cluster: &Cluster,
) -> Result<(kube::Config, Option<Intercept>), SourceError> {
    let context = cluster.context.clone();
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let kubeconfig = match &cluster.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        // The server's address is the cluster's own, which no proxy outside of it reaches.
        None if in_cluster => {
            let config = kube::Config::incluster().map_err(|error| {
                failed(cluster, SourceErrorKind::Config, &innermost(&error)).hint(
                    "the pod has no service account's token: mount it (chart: `serviceAccount.automountServiceAccountToken`), or name a `kubeconfig`",
                )
            })?;
            return Ok((config, None));
        }
        None => Kubeconfig::read(),
    };
    let useless = |reason: &str| {
        let file = cluster.kubeconfig.as_ref().map_or_else(
            || "kubeconfig".to_owned(),
            |path| format!("kubeconfig `{}`", path.display()),
        );
        let reason = format!("the {file} is of no use: {reason}");
        failed(cluster, SourceErrorKind::Config, &reason)
    };
    let kubeconfig = kubeconfig.map_err(|error| useless(&unsound(&error)))?;
    let own = own_proxy(&kubeconfig, cluster.context.as_deref());
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| useless(&unsound(&error)))?;
    config.proxy_url = None;
    let environment = |name: &str| std::env::var(name).ok();
    let proxy = proxy(&config.cluster_url, own.as_deref(), &environment)
        .map_err(|reason| failed(cluster, SourceErrorKind::Config, &reason))?;
    Ok((config, proxy))
}

/// The proxy that the kubeconfig's cluster names.
fn own_proxy(kubeconfig: &Kubeconfig, context: Option<&str>) -> Option<String> {
    let context = context.or(kubeconfig.current_context.as_deref());
    let chosen = kubeconfig.contexts.iter().find(|one| Some(one.name.as_str()) == context);
    let name = chosen.and_then(|one| Some(one.context.as_ref()?.cluster.as_str()));
    let cluster = kubeconfig.clusters.iter().find(|one| Some(one.name.as_str()) == name);
    let proxy = cluster.and_then(|one| one.cluster.as_ref()?.proxy_url.clone());
    proxy.filter(|proxy| !proxy.is_empty())
}

/// The proxy for an address: the kubeconfig's own, else the environment's, as every other client of
/// the agent has it.
fn proxy(
    address: &http::Uri,
    own: Option<&str>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Intercept>, String> {
    let of_scheme = match address.scheme_str() {
        Some("https") => ["HTTPS_PROXY", "https_proxy"],
        _ => ["HTTP_PROXY", "http_proxy"],
    };
    let set = |names: [&'static str; 2]| {
        let found = names.into_iter().find_map(|name| Some((name, environment(name)?)));
        found.filter(|(_, text)| !text.is_empty())
    };
    let (named, text, exempt) = match own {
        Some(own) => ("proxy-url", own.to_owned(), None),
        None => {
            let found = set(of_scheme).or_else(|| set(["ALL_PROXY", "all_proxy"]));
            let Some((name, text)) = found else { return Ok(None) };
            (name, text, set(["NO_PROXY", "no_proxy"]))
        }
    };
    let exempt = exempt.map(|(_, hosts)| hosts).unwrap_or_default();
    let through =
        |proxy: &str| Matcher::builder().all(proxy).no(&*exempt).build().intercept(address);
    if through("http://any").is_none() {
        return Ok(None);
    }
    // The text may hold a password.
    let proxy =
        through(&text).ok_or_else(|| format!("the proxy in `{named}` is not an address"))?;
    match proxy.uri().scheme_str() {
        Some("http" | "https") => Ok(Some(proxy)),
        _ => Err(format!("the proxy in `{named}` is neither http nor https")),
    }
}

/// As `kube` builds a client, but that a proxy's user and password may hold any character: it sends
/// them as they are written in an address.
fn through(config: kube::Config, proxy: &Intercept) -> Result<kube::Client, kube::Error> {
    let mut direct = HttpConnector::new();
    direct.enforce_http(false);
    direct.set_connect_timeout(config.connect_timeout);
    let to_proxy = config.rustls_https_connector_with_connector(direct)?;
    let mut tunnel = Tunnel::new(proxy.uri().clone(), to_proxy);
    if let Some(user) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(user.clone());
    }
    let to_server = config.rustls_https_connector_with_connector(tunnel)?;
    let client = legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(to_server);
    let client = client.map_err(BoxError::from);
    let builder = ClientBuilder::new(client, config.default_namespace.clone())
        .with_layer(&config.extra_headers_layer()?);
    let base = config.base_uri_layer();
    Ok(match config.auth_layer()? {
        Some(identity) => builder.with_layer(&identity).with_layer(&base).build(),
        None => builder.with_layer(&base).build(),
    })
}

/// What is wrong with a kubeconfig, without what stands in it.
fn unsound(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        KubeconfigError::CurrentContextNotSet => "it has no current context".to_owned(),
        KubeconfigError::LoadContext(name) => format!("it has no context `{name}`"),
        KubeconfigError::LoadClusterOfContext(name) => format!("it has no cluster `{name}`"),
        KubeconfigError::FindPath => "there is none, and this is not a pod".to_owned(),
        KubeconfigError::Parse(_) => "it is not YAML of a kubeconfig".to_owned(),
        KubeconfigError::MissingClusterUrl => "its cluster has no `server`".to_owned(),
        KubeconfigError::ParseClusterUrl(error) => format!("its `server`: {error}"),
        KubeconfigError::ParseProxyUrl(_) => {
            "its `proxy-url`, or else `HTTPS_PROXY`, is not an address".to_owned()
        }
        KubeconfigError::LoadCertificateAuthority(_) | KubeconfigError::ParseCertificates(_) => {
            "its certificate authority cannot be read".to_owned()
        }
        KubeconfigError::LoadClientCertificate(_) => {
            "its client certificate cannot be read".to_owned()
        }
        KubeconfigError::LoadClientKey(_) => "its client key cannot be read".to_owned(),
        _ => "it does not fit together".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn found(
        address: &str,
        own: Option<&str>,
        environment: &[(&str, &str)],
    ) -> Result<Option<(String, Option<String>)>, String> {
        let value = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let proxy = proxy(&address.parse().unwrap(), own, &value)?;
        Ok(proxy.map(|proxy| {
            let user = proxy.basic_auth().map(|value| value.to_str().unwrap().to_owned());
            (proxy.uri().to_string(), user)
        }))
    }

    #[test]
    fn a_proxy_is_the_kubeconfig_s_own_else_the_environment_s_with_its_password() {
        let address = "https://api.example";
        // Of `me:p@ss/word`.
        let user = Some("Basic bWU6cEBzcy93b3Jk".to_owned());
        let with_user = "http://me:p%40ss%2Fword@way.example:3128";
        let way =
            |user: &Option<String>| Ok(Some(("http://way.example:3128/".to_owned(), user.clone())));
        assert_eq!(found(address, None, &[("HTTPS_PROXY", with_user)]), way(&user));
        assert_eq!(found(address, Some(with_user), &[("HTTPS_PROXY", "http://other")]), way(&user));
        assert_eq!(found(address, None, &[("all_proxy", "way.example:3128")]), way(&None));
        assert_eq!(found(address, None, &[("HTTP_PROXY", with_user)]), Ok(None));
        let exempt = [("https_proxy", with_user), ("NO_PROXY", "localhost,.example")];
        assert_eq!(found(address, None, &exempt), Ok(None));
        assert_eq!(found(address, Some(with_user), &exempt), way(&user));
        assert_eq!(found(address, None, &[("HTTPS_PROXY", "")]), Ok(None));
    }

    #[test]
    fn a_proxy_that_is_of_no_use_is_named_without_its_password() {
        for text in ["http://me:se same@way", "ftp://me:sesame@way", "socks5://me:sesame@way"] {
            let wrong = found("https://api.example", None, &[("HTTPS_PROXY", text)]).unwrap_err();
            assert!(wrong.contains("`HTTPS_PROXY` is n") && !wrong.contains("same"), "{wrong}");
            let wrong = found("https://api.example", Some(text), &[]).unwrap_err();
            assert!(wrong.contains("`proxy-url` is n") && !wrong.contains("same"), "{wrong}");
        }
    }
}
