//! To be written.
use crate::collect::SourceKind;

/// The kind.
pub const KIND: SourceKind = SourceKind {
    name: "azure",
    schema: |_| schemars::json_schema!({"type": "object"}),
    build: |_, _, _| None,
};
