//! The project's own chores: `cargo xtask --help`.

mod codegen;
mod schemas;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Kafka's schemas: import them from jars.
    #[command(subcommand)]
    Schemas(Schemas),
    /// Write the generated messages of `protocol`.
    Codegen {
        /// Change nothing; fail if something is stale.
        #[arg(long)]
        check: bool,
    },
}

#[derive(Subcommand)]
enum Schemas {
    /// Read the schemas of jars, merge them, and write `schemas/`.
    Import {
        /// A jar of Kafka, under the name that it is published with.
        #[arg(long = "jar", required = true, num_args = 1..)]
        jars: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Schemas(Schemas::Import { jars }) => schemas::import(&jars),
        Command::Codegen { check } => codegen::run(check),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
