//! How many paid requests a first start makes of a bill with few and with many accounts.

use std::path::Path;

use anyhow::anyhow;

use crate::poll::{CostExplorer, Counter, collect, first_window};
use crate::table::Table;
use crate::world::{self, Size};

/// Goal 13, for Cost Explorer: the same questions, and pages that grow with the rows alone.
pub fn measure(table: &mut Table, folder: &Path) -> anyhow::Result<()> {
    let folder = folder.join("requests");
    std::fs::create_dir_all(&folder)?;
    let days = i64::try_from(first_window().days().count())?;
    // The same number of rows, told by few and by many accounts.
    for (services, accounts) in [(100, 5), (1, 500)] {
        let cloud = CostExplorer::serve(Size { days, services, accounts })?;
        let setup = world::setup(&folder, Some(cloud.address))?;
        let source = setup.sources.first().ok_or_else(|| anyhow!("no source is configured"))?;
        let paid = source.plan(&first_window()).iter().filter(|r| r.price.is_some()).count();
        // The plan's last paid line is for repeats after a throttle.
        let questions = paid.saturating_sub(1);
        let counter = Counter::default();
        collect(&setup, first_window(), &counter)?;
        let (pages, _) = counter.counted();
        table.row(
            "13",
            &format!("paid requests of a first start, {accounts} accounts x {services} services"),
            format!("{questions} questions, {pages} pages of 1,000"),
            "constant in accounts",
        );
    }
    Ok(())
}
