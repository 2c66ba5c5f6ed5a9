//! The command of a kubeconfig's user that brings its credentials, as `kubectl` runs it
//! (Kubernetes documentation, "client-go credential plugins"; `client.authentication.k8s.io`).
//!
//! Its arguments and its environment may be secrets, and so may all that it prints. Nothing of
//! them is told: only its file's name, and how it ended.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;

use crate::domain::report::SourceErrorKind;

/// What the command prints, of which only this is of use.
#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Credential>,
}

/// Credentials that a command brought.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Credential {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<Timestamp>,
}

impl Credential {
    /// Puts them into the place of the command; when they end is the answer.
    pub(super) fn put(self, user: &mut AuthInfo) -> Option<Timestamp> {
        user.exec = None;
        user.token = self.token.map(Into::into);
        if let (Some(certificate), Some(key)) = (self.client_certificate_data, self.client_key_data)
        {
            user.client_certificate_data = Some(BASE64_STANDARD.encode(certificate));
            user.client_key_data = Some(BASE64_STANDARD.encode(key).into());
        }
        self.expiration_timestamp
    }
}

/// The command that brings a user's credentials; none where something goes before it.
pub(super) fn of(user: &AuthInfo) -> Option<&ExecConfig> {
    let has_password = user.username.is_some() && user.password.is_some();
    let has_own = user.auth_provider.is_some() || user.token.is_some() || user.token_file.is_some();
    user.exec.as_ref().filter(|_| !has_password && !has_own)
}

/// Runs the command once; one that is not done in time is killed.
///
/// # Errors
/// What kind of failure it is, and why in words that hold no secret.
pub(super) async fn run(
    exec: &ExecConfig,
    within: Duration,
) -> Result<Credential, (SourceErrorKind, String)> {
    let path = exec.command.as_deref().unwrap_or_default();
    let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
    let failed = |kind, reason: &str| {
        Err((kind, format!("the command `{name}` that brings its credentials {reason}")))
    };
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
        let reason = "asks a person (`interactiveMode: Always`), and nobody is here";
        return failed(SourceErrorKind::Config, reason);
    }
    let mut spec = json!({"interactive": false});
    if let (Some(cluster), Some(spec)) = (&exec.cluster, spec.as_object_mut()) {
        let Ok(cluster) = serde_json::to_value(cluster) else {
            return failed(SourceErrorKind::Config, "cannot be told of its cluster");
        };
        spec.insert("cluster".to_owned(), cluster);
    }
    let told = json!({"apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec});
    let variables = exec.env.iter().flatten();
    let variables = variables.filter_map(|one| Some((one.get("name")?, one.get("value")?)));
    let mut command = Command::new(path);
    command
        .args(exec.args.iter().flatten())
        .envs(variables)
        .env("KUBERNETES_EXEC_INFO", told.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = match tokio::time::timeout(within, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            let reason = format!("failed to start: {error}");
            return failed(SourceErrorKind::Config, &reason);
        }
        Err(_) => {
            let reason = format!("is not done within {within:?}");
            return failed(SourceErrorKind::Timeout, &reason);
        }
    };
    if !output.status.success() {
        let reason = format!("ended with {}; run it by hand to see why", output.status);
        return failed(SourceErrorKind::Auth, &reason);
    }
    // Some commands print YAML, which JSON is too.
    let printed = std::str::from_utf8(&output.stdout).ok();
    let printed = printed.and_then(|text| serde_saphyr::from_str::<ExecCredential>(text).ok());
    let credential = printed.and_then(|printed| printed.status);
    let is_whole = |one: &Credential| {
        one.token.is_some()
            || (one.client_certificate_data.is_some() && one.client_key_data.is_some())
    };
    match credential.filter(is_whole) {
        Some(credential) => Ok(credential),
        None => {
            let reason = "prints no `ExecCredential` with a token, or a certificate and its key";
            failed(SourceErrorKind::Auth, reason)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shell(script: &str) -> ExecConfig {
        let text = json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "/bin/sh",
            "args": ["-c", script, "argument-sesame"],
            "env": [{"name": "SECRET", "value": "variable-sesame"}],
            "interactiveMode": "IfAvailable",
        });
        serde_json::from_value(text).unwrap()
    }

    #[tokio::test]
    async fn a_command_brings_what_it_was_told_to_ask_for() {
        let exec = shell(
            "case $KUBERNETES_EXEC_INFO in *'\"interactive\":false'*) ;; *) exit 1;; esac; \
             printf 'status:\\n  token: %s\\n  expirationTimestamp: \"2026-11-16T10:00:00Z\"\\n' \
             \"$SECRET-$0\"",
        );
        let mut user = AuthInfo { exec: Some(exec.clone()), ..AuthInfo::default() };
        assert!(of(&user).is_some());
        let until = run(&exec, Duration::from_secs(60)).await.ok().unwrap().put(&mut user);
        assert_eq!(until, Some("2026-11-16T10:00:00Z".parse().unwrap()));
        let written = serde_json::to_string(&user).unwrap();
        assert!(written.contains("\"token\":\"variable-sesame-argument-sesame\""), "{written}");
        assert!(of(&user).is_none());
    }

    #[tokio::test]
    async fn a_command_that_fails_is_told_without_its_secrets() {
        use SourceErrorKind as Kind;
        for (script, kind, wanted) in [
            ("echo out-sesame; echo error-sesame >&2; exit 7", Kind::Auth, "exit status: 7"),
            ("echo 'status: {token: [out-sesame]}'", Kind::Auth, "no `ExecCredential`"),
            ("echo 'status: {clientKeyData: out-sesame}'", Kind::Auth, "no `ExecCredential`"),
        ] {
            let (told, reason) = run(&shell(script), Duration::from_secs(60)).await.err().unwrap();
            assert_eq!(told, kind, "{script}");
            assert!(reason.contains(wanted) && reason.contains("`sh`"), "{reason}");
            assert!(!reason.contains("sesame") && !reason.contains("/bin"), "{reason}");
        }
        let mut exec = shell("true");
        exec.command = Some("/no/such/command".to_owned());
        let (kind, reason) = run(&exec, Duration::from_secs(60)).await.err().unwrap();
        assert_eq!(kind, Kind::Config);
        assert!(reason.contains("`command`") && !reason.contains("sesame"), "{reason}");
        let mut exec = shell("true");
        exec.interactive_mode = Some(ExecInteractiveMode::Always);
        assert_eq!(run(&exec, Duration::from_secs(60)).await.err().unwrap().0, Kind::Config);
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let exec = shell(&format!("echo $$ > {}; exec sleep 3600", file.display()));
        let (kind, reason) = run(&exec, Duration::from_secs(2)).await.err().unwrap();
        assert_eq!(kind, SourceErrorKind::Timeout);
        assert!(reason.contains("not done within 2s"), "{reason}");
        let process = std::fs::read_to_string(&file).unwrap();
        let command = format!("/proc/{}/cmdline", process.trim());
        // A process that was killed has no command any more, and no entry once it was waited for.
        let is_gone = || std::fs::read(&command).map_or(true, |command| command.is_empty());
        for _ in 0..600 {
            if is_gone() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it still runs");
    }
}
