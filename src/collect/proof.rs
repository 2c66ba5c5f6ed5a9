//! What `check --online` finds of an identity, one permission at a time.

use crate::domain::report::{SourceError, SourceErrorKind};

/// What became of one permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Holds,
    /// It does not hold, or cannot be proved.
    Fails,
    /// A state that passes, or something that a poll can do without.
    Noted,
}

/// One line for a person: who may what, or who may not and what mends it. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What became of it.
    pub outcome: Outcome,
    /// The line.
    pub line: String,
}

impl Proof {
    /// Something that holds.
    pub fn holds(line: impl Into<String>) -> Self {
        Self { outcome: Outcome::Holds, line: line.into() }
    }

    /// Something that does not.
    pub fn fails(line: impl Into<String>) -> Self {
        Self { outcome: Outcome::Fails, line: line.into() }
    }

    /// A state, or something to do without.
    pub fn noted(line: impl Into<String>) -> Self {
        Self { outcome: Outcome::Noted, line: line.into() }
    }

    /// A permission that nothing was asked for, since what comes before it does not hold.
    pub fn unproved(permission: &str) -> Self {
        Self::fails(format!("`{permission}` is not proved: mend what stands above first"))
    }

    /// What an answer says of a permission; `mend` is the command that gives it.
    pub fn of(permission: &str, who: &str, answer: Result<(), SourceError>, mend: &str) -> Self {
        match answer {
            Ok(()) => Self::holds(format!("may `{permission}`")),
            Err(error) if error.kind == SourceErrorKind::Forbidden => {
                Self::fails(format!("{who} may not `{permission}`: {}; {mend}", error.message))
            }
            Err(error) if error.kind == SourceErrorKind::NotReady => {
                Self::noted(format!("may `{permission}`, though {error}"))
            }
            Err(error) => Self::fails(format!("`{permission}` is not proved: {error}")),
        }
    }

    /// What an answer says of a permission that a poll can do without; `lost` completes "so that".
    pub fn of_extra(
        permission: &str,
        lost: &str,
        answer: Result<(), SourceError>,
        mend: &str,
    ) -> Self {
        match answer {
            Ok(()) => Self::holds(format!("may `{permission}`")),
            Err(error) if error.kind == SourceErrorKind::Forbidden => Self::noted(format!(
                "may not `{permission}`, so that {lost}: {}; {mend}",
                error.message
            )),
            Err(error) => Self::noted(format!(
                "`{permission}` could not be asked for ({}): {error}; try again",
                error.kind.as_str()
            )),
        }
    }
}
