//! `kwire quorum`: how a quorum is doing, and changes of its voters, as `kafka-metadata-quorum` has
//! them.

mod view;

use std::io::Write;
use std::path::{Path, PathBuf};

use kwire_protocol::Uuid;
use kwire_raft::log::files::StdFiles;
use kwire_raft::log::meta::{FILE_NAME, MetaProperties};
use kwire_raft::types::{NodeId, ReplicaKey};
use kwire_raft::voters::Endpoints;
use kwire_server::config::{Properties, StorageConfig};

use crate::failure::Failure;
use crate::input;
use crate::nodes::Quorum;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  kwire quorum status --bootstrap localhost:9093
  kwire quorum status --bootstrap localhost:9093 --topic __raft_performance_test
  kwire quorum replication --bootstrap a:9093,b:9093 --json
  kwire quorum add --bootstrap a:9093 --config d.properties
  kwire quorum remove --bootstrap a:9093 --controller-id 4 \\
    --controller-directory-id J8aAPcfLQt2bqs1JT_rMgQ

Without --topic, the topic may be __cluster_metadata, as Kafka's controllers have it, or
__raft_performance_test, as `kwire server` has it by default.

Any node of the quorum will do: the leader is looked for. Exit code 1 if it refuses, or if there is
none.";

/// Show how a quorum is doing, add voters to it and remove them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The leader, the voters, and how far the farthest is behind
    Status {
        #[command(flatten)]
        quorum: Quorum,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// How far each replica is
    Replication {
        #[command(flatten)]
        quorum: Quorum,
        /// Print JSON, one line for each replica
        #[arg(long)]
        json: bool,
        /// Say how long ago something was, not when
        #[arg(long)]
        human_readable: bool,
    },
    /// Make a controller a voter that follows the quorum as an observer
    Add {
        #[command(flatten)]
        quorum: Quorum,
        /// The properties file of that controller, on its machine: its log directory is read
        #[arg(long, short, value_name = "FILE")]
        config: PathBuf,
        /// Say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a voter an observer
    Remove {
        #[command(flatten)]
        quorum: Quorum,
        /// The id of the voter
        #[arg(long, short = 'i', value_name = "ID")]
        controller_id: NodeId,
        /// The id of its directory
        // Ids in base64 may begin with a dash.
        #[arg(long, short = 'd', value_name = "ID", allow_hyphen_values = true)]
        controller_directory_id: Uuid,
        /// Say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.command {
        Command::Status { quorum, json } => {
            let (mut client, state) = quorum.describe()?;
            let cluster_id = client.cluster_id();
            view::status(&state, cluster_id.as_deref(), *json, out)
        }
        Command::Replication {
            quorum,
            json,
            human_readable,
        } => {
            let (_, state) = quorum.describe()?;
            let now_ms = human_readable.then(input::time_of_day_ms);
            view::replication(&state, now_ms, *json, out)
        }
        Command::Add {
            quorum,
            config,
            dry_run,
            json,
        } => {
            let Controller {
                key,
                endpoints,
                cluster_id,
            } = controller(config)?;
            if !dry_run {
                let mut client = quorum.client()?;
                let added = client.add_voter(key, &endpoints, cluster_id.as_deref());
                added.map_err(Failure::failed)?;
            }
            changed(&Change::Add(&endpoints), key, *dry_run, *json, out)
        }
        Command::Remove {
            quorum,
            controller_id,
            controller_directory_id,
            dry_run,
            json,
        } => {
            let key = ReplicaKey::new(*controller_id, *controller_directory_id);
            if !dry_run {
                let removed = quorum.client()?.remove_voter(key);
                removed.map_err(Failure::failed)?;
            }
            changed(&Change::Remove, key, *dry_run, *json, out)
        }
    }
}

/// Who a controller is.
struct Controller {
    key: ReplicaKey,
    endpoints: Endpoints,
    cluster_id: Option<String>,
}

/// Who it is by its properties and its log directory.
fn controller(path: &Path) -> Result<Controller, Failure> {
    let properties = Properties::load(path).map_err(Failure::failed)?;
    let config = StorageConfig::from_properties(&properties).map_err(Failure::failed)?;
    if !config.is_controller {
        let path = path.display();
        return Err(Failure::failed(format!(
            "{path}: process.roles has no controller, and only those vote"
        )));
    }
    if config.endpoints.get(&config.quorum_listener).is_none() {
        let (path, listener) = (path.display(), &config.quorum_listener);
        return Err(Failure::failed(format!(
            "{path}: neither advertised.listeners nor listeners has {listener}, by which the \
             leader would find the voter"
        )));
    }
    let file = config.metadata_dir.join(FILE_NAME);
    let unformatted = || {
        let file = file.display();
        Failure::failed(format!(
            "{file} is not there: format the directory with `kwire storage format \
             --no-initial-controllers`, and start the controller first"
        ))
    };
    if !file.exists() {
        return Err(unformatted());
    }
    let files = StdFiles::new(&config.metadata_dir).map_err(Failure::failed)?;
    let meta = MetaProperties::load(&files).map_err(Failure::failed)?;
    let meta = meta.ok_or_else(unformatted)?;
    let wrong = |what: &str| Failure::failed(format!("{}: {what}", file.display()));
    if meta.node_id.is_some_and(|id| id != config.node_id) {
        return Err(wrong("node.id is not that of the properties"));
    }
    let directory_id = meta.directory_id;
    let directory_id = directory_id.ok_or_else(|| wrong("there is no directory.id"))?;
    Ok(Controller {
        key: ReplicaKey::new(config.node_id, directory_id),
        endpoints: config.endpoints,
        cluster_id: meta.cluster_id,
    })
}

enum Change<'a> {
    Add(&'a Endpoints),
    Remove,
}

/// Says what was done, in the words of Kafka's tool.
fn changed(
    change: &Change<'_>,
    key: ReplicaKey,
    dry_run: bool,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let directory_id = key.wire_directory_id().to_string();
    let id = key.id;
    let endpoints = match change {
        Change::Add(endpoints) => view::endpoints(endpoints),
        Change::Remove => Vec::new(),
    };
    if json {
        let mut value = serde_json::json!({
            "change": match change { Change::Add(_) => "add", Change::Remove => "remove" },
            "id": id,
            "directoryId": directory_id,
            "dryRun": dry_run,
        });
        if let Change::Add(_) = change {
            value["endpoints"] = endpoints.into();
        }
        return output::json(out, &value, true);
    }
    let start = match (change, dry_run) {
        (Change::Add(_), true) => "DRY RUN of adding controller",
        (Change::Add(_), false) => "Added controller",
        // The second space is Kafka's.
        (Change::Remove, true) => "DRY RUN of removing  KRaft controller",
        (Change::Remove, false) => "Removed  KRaft controller",
    };
    write!(out, "{start} {id} with directory id {directory_id}")?;
    if let Change::Add(_) = change {
        write!(out, " and endpoints: {}", endpoints.join(", "))?;
    }
    Ok(writeln!(out)?)
}
