//! `costband schema`: the configuration's JSON Schema, generated from its types.

use crate::app::setup::{receiver_schemas, schemas};
use crate::cli::{Failure, print};
use crate::config;

#[derive(Debug, clap::Args)]
#[command(
    about = "Print the configuration's JSON Schema",
    after_help = "Example:\n  costband schema > costband.schema.json\n\nAn editor that reads YAML schemas completes and checks a configuration with it."
)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(self) -> Result<(), Failure> {
        let schema =
            config::schema(config::Kinds { sources: &schemas(), receivers: &receiver_schemas() });
        let text = serde_json::to_string_pretty(&schema).map_err(anyhow::Error::from)?;
        print(&format!("{text}\n"))
    }
}
