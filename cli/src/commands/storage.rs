//! `kwire storage`: log directories, as Kafka's `kafka-storage` makes them.

use std::io::Write;
use std::path::PathBuf;

use kwire_server::config::{Properties, StorageConfig};
use kwire_server::directory::random_uuid;
use kwire_server::format::{
    Features, FormatOptions, InitialController, InitialControllers, format, look,
};

use crate::failure::Failure;
use crate::input;

const EXAMPLES: &str = "\
Examples:
  kwire storage format -c raft.properties -t $(kwire storage random-uuid) --standalone
  kwire storage format -c raft.properties -t 4L6g3nShT-eMCtK--X86sw \\
    --initial-controllers 1@a:9093:J8aAPcfLQt2bqs1JT_rMgQ,2@b:9093:7zAK1veTTJeG5c0yQJ8SMw
  kwire storage info -c raft.properties

Kafka's nodes start in these directories, and kwire server in those that kafka-storage made.";

/// Format a node's log directories, and look at them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print a new id, for a cluster or a directory
    RandomUuid,
    /// Mark the log directories as a node's, with the first voters of a new quorum
    Format(Format),
    /// Say what is in the log directories; exit code 1 if a node could not start there
    Info {
        /// Kafka's properties file
        #[arg(long, short, value_name = "FILE")]
        config: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Format {
    /// Kafka's properties file
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    /// The cluster's id
    // Ids in base64 may begin with a dash.
    #[arg(long, short = 't', value_name = "ID", allow_hyphen_values = true)]
    cluster_id: String,
    /// This controller is the first voter, and the only one
    #[arg(long, short, group = "controllers")]
    standalone: bool,
    /// This controller joins a quorum that there is
    #[arg(long, short = 'N', group = "controllers")]
    no_initial_controllers: bool,
    /// The first voters; every one of them has to be formatted with the same list
    #[arg(
        long,
        short = 'I',
        value_name = "ID@HOST:PORT:DIRECTORY,...",
        value_delimiter = ',',
        group = "controllers"
    )]
    initial_controllers: Vec<InitialController>,
    /// Leave alone what is formatted already
    #[arg(long, short = 'g')]
    ignore_formatted: bool,
    /// The release that the cluster begins with, such as 4.3 or 4.3-IV0; by default the latest
    #[arg(long, short, value_name = "RELEASE")]
    release_version: Option<String>,
    /// The level of a feature that the cluster begins with
    #[arg(long, short, value_name = "NAME=LEVEL", value_parser = feature)]
    feature: Vec<(String, i16)>,
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.command {
        Command::RandomUuid => Ok(writeln!(out, "{}", random_uuid())?),
        Command::Format(args) => run_format(args, out),
        Command::Info { config } => run_info(config, out),
    }
}

fn feature(text: &str) -> Result<(String, i16), String> {
    let (name, level) = text.split_once('=').ok_or("NAME=LEVEL is needed")?;
    let level = level.trim().parse();
    let level = level.map_err(|_| "the level is a number from 0 to 32767")?;
    Ok((name.trim().to_owned(), level))
}

fn read(path: &std::path::Path) -> Result<StorageConfig, Failure> {
    let properties = Properties::load(path).map_err(Failure::failed)?;
    StorageConfig::from_properties(&properties).map_err(Failure::failed)
}

fn run_format(args: &Format, out: &mut dyn Write) -> Result<(), Failure> {
    let levels = args.feature.iter();
    let levels: Vec<(&str, i16)> = levels
        .map(|(name, level)| (name.as_str(), *level))
        .collect();
    let features = Features::new(args.release_version.as_deref(), &levels);
    let features = features.map_err(Failure::failed)?;
    let controllers = if args.standalone {
        InitialControllers::Standalone
    } else if args.no_initial_controllers {
        InitialControllers::None
    } else if args.initial_controllers.is_empty() {
        InitialControllers::Unsaid
    } else {
        InitialControllers::These(args.initial_controllers.clone())
    };
    let options = FormatOptions {
        cluster_id: args.cluster_id.clone(),
        controllers,
        features,
        ignore_formatted: args.ignore_formatted,
        now_ms: input::time_of_day_ms(),
    };
    let config = read(&args.config)?;
    let formatted = format(&config, &options).map_err(Failure::failed)?;
    if formatted.is_empty() {
        writeln!(out, "All of the log directories are already formatted.")?;
    }
    for directory in formatted {
        writeln!(
            out,
            "Formatting {} {} with metadata.version {}.",
            directory.kind,
            directory.path.display(),
            options.features.release()
        )?;
    }
    Ok(())
}

fn run_info(config: &std::path::Path, out: &mut dyn Write) -> Result<(), Failure> {
    let info = look(&read(config)?);
    let directories = info.directories.iter().map(|path| path.display());
    list(out, "log director", ["y", "ies"], directories)?;
    if let Some((_, meta)) = info.metadata.first() {
        let mut pairs = vec![("version".to_owned(), "1".to_owned())];
        let mut add = |name: &str, value: Option<String>| {
            pairs.extend(value.map(|value| (name.to_owned(), value)));
        };
        add("cluster.id", meta.cluster_id.clone());
        add("directory.id", meta.directory_id.map(|id| id.to_string()));
        add("node.id", meta.node_id.map(|id| id.to_string()));
        pairs.extend(meta.others.iter().cloned());
        pairs.sort();
        let pairs: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        writeln!(out, "Found metadata: {{{}}}\n", pairs.join(", "))?;
    }
    list(out, "problem", ["", "s"], info.problems.iter())?;
    match info.problems.len() {
        0 => Ok(()),
        1 => Err(Failure::failed("1 problem")),
        many => Err(Failure::failed(format!("{many} problems"))),
    }
}

/// A heading in the singular or the plural, the items, and an empty line; nothing for no items.
fn list(
    out: &mut dyn Write,
    what: &str,
    endings: [&str; 2],
    items: impl ExactSizeIterator<Item = impl std::fmt::Display>,
) -> Result<(), Failure> {
    if items.len() == 0 {
        return Ok(());
    }
    let [one, many] = endings;
    let ending = if items.len() == 1 { one } else { many };
    writeln!(out, "Found {what}{ending}:")?;
    for item in items {
        writeln!(out, "  {item}")?;
    }
    Ok(writeln!(out)?)
}
