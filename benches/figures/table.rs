//! The table that is printed: a goal's number, the figure, what was measured, the goal.

use std::fmt;

/// Rows in the order in which they were measured.
#[derive(Default)]
pub struct Table(Vec<[String; 4]>);

impl Table {
    /// Adds a figure. `number` is the goal's in the list of goals, empty for a figure without one.
    pub fn row(&mut self, number: &str, figure: &str, measured: String, goal: &str) {
        eprintln!("{figure}: {measured}");
        self.0.push([number.to_owned(), figure.to_owned(), measured, goal.to_owned()]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["#", "figure", "measured", "goal"].map(str::to_owned);
        let rows = || std::iter::once(&head).chain(&self.0);
        let mut widths = [0; 4];
        for row in rows() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for (place, row) in rows().enumerate() {
            for (width, cell) in widths.iter().zip(row) {
                write!(f, "| {cell:<width$} ")?;
            }
            writeln!(f, "|")?;
            if place == 0 {
                for width in widths {
                    write!(f, "|{}", "-".repeat(width + 2))?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}
