//! Tests of the driver: stores that fail, messages that wait, and what a listener hears.

mod holding;
mod listening;
mod ranges;
mod stores;
