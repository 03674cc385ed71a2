//! The project's own chores: `cargo xtask --help`.

mod bench;
mod capture;
mod codegen;
mod constants;
mod faults;
mod fuzz;
mod jars;
mod java;
mod kafka;
mod model;
mod oracle;
mod paths;
mod replay;
mod schemas;
mod sim;
mod tables;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Bench(bench::Args),
    Capture(capture::Args),
    Codegen(codegen::Args),
    Faults(faults::Args),
    #[command(subcommand)]
    Fuzz(fuzz::Command),
    Kafka(kafka::Args),
    Oracle(oracle::Args),
    Model(model::Args),
    #[command(subcommand)]
    Schemas(schemas::Command),
    Sim(sim::Args),
    Tables(tables::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Bench(args) => bench::run(args),
        Command::Capture(args) => capture::run(args),
        Command::Codegen(args) => codegen::run(args),
        Command::Faults(args) => faults::run(args),
        Command::Fuzz(command) => fuzz::run(command),
        Command::Kafka(args) => kafka::run(args),
        Command::Model(args) => model::run(args),
        Command::Oracle(args) => oracle::run(args),
        Command::Schemas(command) => schemas::run(command),
        Command::Sim(args) => sim::run(args),
        Command::Tables(args) => tables::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
