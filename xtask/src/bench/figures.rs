//! The figures that the programs print, a line each.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

/// A message of some version.
pub(super) struct Case {
    pub(super) id: String,
    pub(super) message: String,
    pub(super) version: String,
    pub(super) bytes: String,
    pub(super) what: String,
}

impl Case {
    /// The cases of `cases.tsv`.
    pub(super) fn parse_all(table: &str) -> Result<Vec<Case>> {
        table
            .lines()
            .map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
                [id, message, version, bytes, what] => Ok(Case {
                    id: id.to_owned(),
                    message: message.to_owned(),
                    version: version.to_owned(),
                    bytes: bytes.to_owned(),
                    what: what.to_owned(),
                }),
                _ => bail!("`{line}` is not a case"),
            })
            .collect()
    }
}

/// Operation, case, contestant.
type Cell = (String, String, String);

/// Everything that was measured.
#[derive(Default)]
pub(super) struct Figures {
    nanos: BTreeMap<Cell, f64>,
    allocations: BTreeMap<Cell, (u64, u64)>,
}

impl Figures {
    /// Takes a line in; of two times for one cell, the lesser stays.
    pub(super) fn add(&mut self, line: &str) -> Result<()> {
        let unknown = || format!("`{line}` is not a figure");
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["time", case, operation, contestant, nanos] => {
                let nanos: f64 = nanos.parse().with_context(unknown)?;
                let cell = (operation.into(), case.into(), contestant.into());
                let least = self.nanos.entry(cell).or_insert(nanos);
                *least = least.min(nanos);
            }
            ["allocations", case, operation, contestant, blocks, bytes] => {
                let cell = (operation.into(), case.into(), contestant.into());
                let blocks = blocks.parse().with_context(unknown)?;
                let bytes = bytes.parse().with_context(unknown)?;
                self.allocations.insert(cell, (blocks, bytes));
            }
            _ => bail!(unknown()),
        }
        Ok(())
    }

    /// The least nanoseconds of a cell.
    pub(super) fn nanos(&self, operation: &str, case: &str, contestant: &str) -> Option<f64> {
        let cell = (operation.into(), case.into(), contestant.into());
        self.nanos.get(&cell).copied()
    }

    /// Blocks and bytes that a call allocates.
    pub(super) fn allocations(
        &self,
        operation: &str,
        case: &str,
        contestant: &str,
    ) -> Option<(u64, u64)> {
        let cell = (operation.into(), case.into(), contestant.into());
        self.allocations.get(&cell).copied()
    }

    /// The cases of an operation, in order of their names.
    pub(super) fn cases(&self, operation: &str) -> BTreeSet<&str> {
        let cells = self.nanos.keys();
        cells
            .filter(|(found, ..)| found == operation)
            .map(|(_, case, _)| case.as_str())
            .collect()
    }

    /// Whether anybody was timed at an operation.
    pub(super) fn has(&self, operation: &str) -> bool {
        self.nanos.keys().any(|(found, _, _)| found == operation)
    }
}

/// The geometric mean; `None` of nothing.
pub(super) fn mean(ratios: &[f64]) -> Option<f64> {
    let logarithms: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
    (!ratios.is_empty()).then(|| (logarithms / ratios.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lesser_of_two_times_stays() {
        let mut figures = Figures::default();
        for nanos in ["7.5", "3.0", "4.0"] {
            figures
                .add(&format!("time\ta\tdecode\tkwire\t{nanos}"))
                .unwrap();
        }
        assert_eq!(figures.nanos("decode", "a", "kwire"), Some(3.0));
        assert_eq!(figures.nanos("decode", "b", "kwire"), None);
        assert!(figures.has("decode") && !figures.has("encode"));
        assert!(figures.add("time\ta").is_err());
        assert!(figures.add("time\ta\tdecode\tkwire\tx").is_err());
    }

    #[test]
    fn means_are_of_ratios() {
        assert_eq!(mean(&[]), None);
        let two = mean(&[1.0, 4.0]).unwrap();
        assert!((two - 2.0).abs() < 1e-9, "{two}");
    }
}
