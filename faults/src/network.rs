//! Who reaches whom: each node in a network namespace of its own, and a router between them that
//! drops what it is told to, without a word to anybody.

use std::collections::BTreeMap;
use std::fmt;
use std::net::TcpListener;
use std::process::Command;

use kwire_raft::voters::Address;

use crate::failure::Failure;
use crate::sandbox::run;

/// The port of every node that has an address of its own.
const PORT: u16 = 9093;
const ROUTER: &str = "router";

/// An end of a link. This program is the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Node(usize),
    Clients,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Node(id) => write!(f, "{id}"),
            End::Clients => write!(f, "clients"),
        }
    }
}

pub(crate) enum Network {
    /// All nodes at one address, where nothing can be cut.
    Loopback { ports: Vec<u16> },
    /// Each behind a router. Of each direction that is cut, by how many faults.
    Routed { cut: BTreeMap<(End, End), usize> },
}

impl Network {
    /// One for so many nodes, whose ids are 1 and so on.
    pub(crate) fn new(sandbox: bool, nodes: usize) -> Result<Network, Failure> {
        if !sandbox {
            return loopback(nodes);
        }
        ip(&format!("netns add {ROUTER}"))?;
        connect(End::Clients)?;
        for id in 1..=nodes {
            ip(&format!("netns add node-{id}"))?;
            connect(End::Node(id))?;
        }
        let mut forward = Command::new("nsenter");
        forward.arg(format!("--net=/run/netns/{ROUTER}"));
        forward.args(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
        run(&mut forward)?;
        Ok(Network::Routed {
            cut: BTreeMap::new(),
        })
    }

    /// Where a node listens.
    pub(crate) fn address(&self, id: usize) -> Address {
        match self {
            Network::Loopback { ports } => {
                let port = ports.get(id - 1).copied();
                Address::new("127.0.0.1", port.unwrap_or(0))
            }
            Network::Routed { .. } => Address::new(address(End::Node(id)), PORT),
        }
    }

    /// The words before a command that is to run as a node.
    pub(crate) fn prefix(&self, id: usize) -> Vec<String> {
        match self {
            Network::Loopback { .. } => Vec::new(),
            // It becomes what it starts: the process is the node's own.
            Network::Routed { .. } => {
                vec!["nsenter".to_owned(), format!("--net=/run/netns/node-{id}")]
            }
        }
    }

    /// Drops what one end sends to another from now on.
    pub(crate) fn cut(&mut self, from: End, to: End) -> Result<(), Failure> {
        let Network::Routed { cut } = self else {
            return Ok(());
        };
        let times = cut.entry((from, to)).or_default();
        *times += 1;
        if *times == 1 {
            rule("add", from, to)?;
        }
        Ok(())
    }

    /// Takes back what one fault cut.
    pub(crate) fn mend(&mut self, from: End, to: End) -> Result<(), Failure> {
        let Network::Routed { cut } = self else {
            return Ok(());
        };
        if let Some(times) = cut.get_mut(&(from, to)) {
            *times -= 1;
            if *times == 0 {
                cut.remove(&(from, to));
                rule("del", from, to)?;
            }
        }
        Ok(())
    }
}

fn loopback(nodes: usize) -> Result<Network, Failure> {
    let failed = |error: std::io::Error| Failure::Harness(format!("no free port: {error}"));
    // All at once, so that they differ.
    let bound: Result<Vec<TcpListener>, _> = (0..nodes)
        .map(|_| TcpListener::bind(("127.0.0.1", 0)))
        .collect();
    let bound = bound.map_err(failed)?;
    let ports = bound
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()));
    let ports: Result<Vec<u16>, _> = ports.collect();
    Ok(Network::Loopback {
        ports: ports.map_err(failed)?,
    })
}

/// Lays a cable between an end and the router.
fn connect(end: End) -> Result<(), Failure> {
    let (number, name) = match end {
        End::Clients => (0, "clients".to_owned()),
        End::Node(id) => (id, format!("node-{id}")),
    };
    let (netns, inside) = match end {
        End::Clients => (String::new(), String::new()),
        End::Node(_) => (format!(" netns {name}"), format!("-n {name} ")),
    };
    let (router, own) = (format!("10.77.{number}.1"), address(end));
    ip(&format!(
        "link add {name} netns {ROUTER} type veth peer name router{netns}"
    ))?;
    ip(&format!("-n {ROUTER} addr add {router}/24 dev {name}"))?;
    ip(&format!("-n {ROUTER} link set {name} up"))?;
    ip(&format!("{inside}link set lo up"))?;
    ip(&format!("{inside}addr add {own}/24 dev router"))?;
    ip(&format!("{inside}link set router up"))?;
    ip(&format!("{inside}route add default via {router}"))
}

fn address(end: End) -> String {
    match end {
        End::Clients => "10.77.0.2".to_owned(),
        End::Node(id) => format!("10.77.{id}.2"),
    }
}

fn rule(what: &str, from: End, to: End) -> Result<(), Failure> {
    let (from, to) = (address(from), address(to));
    ip(&format!(
        "-n {ROUTER} rule {what} from {from} to {to} blackhole"
    ))
}

fn ip(arguments: &str) -> Result<(), Failure> {
    run(Command::new("ip").args(arguments.split_whitespace()))
}
