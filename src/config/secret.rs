//! Secrets: named in the configuration by file or environment variable, never written in it.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// A secret's value. It cannot be printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that puts it on the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where a secret comes from. Exactly one of the two is given.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// A file that holds the secret and nothing else. It is read at each use, so that a rotated
    /// secret is picked up; white space at its end is dropped.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// The name of an environment variable.
    #[serde(default)]
    pub env: Option<String>,
}

impl SecretRef {
    /// Reads the secret now.
    ///
    /// # Errors
    /// [`SecretError`] naming the file or variable, never its content.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let value = match (&self.file, &self.env) {
            (Some(path), None) => std::fs::read_to_string(path).map_err(|error| {
                SecretError::File { path: path.clone(), reason: error.kind().to_string() }
            })?,
            (None, Some(name)) => {
                std::env::var(name).map_err(|_| SecretError::Variable(name.clone()))?
            }
            _ => return Err(SecretError::NotOne),
        };
        let value = value.trim_end();
        if value.is_empty() {
            return Err(SecretError::Empty);
        }
        Ok(Secret::new(value))
    }
}

/// Why a secret could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read.
    #[error("failed to read the secret file `{}`: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// The variable is missing or not text.
    #[error("failed to read the environment variable `{0}`: it is not set")]
    Variable(String),
    /// Both or neither are given.
    #[error("want exactly one of `file` and `env`")]
    NotOne,
    /// There is nothing in it.
    #[error("the secret is empty")]
    Empty,
}
