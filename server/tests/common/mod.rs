//! Servers on this machine, and a client that says exactly what it is told to.

#![allow(dead_code)] // Each test program needs some of it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use kwire_protocol::frame::{self, RequestHead};
use kwire_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kwire_protocol::messages::{FetchRequest, ProduceRequest, ProduceResponse, produce_request};
use kwire_protocol::records::{Append, BatchBuilder, BatchOptions, NewRecord};
use kwire_protocol::runtime::{Read as ReadMessage, Request};
use kwire_protocol::{ApiKey, Limits, Message};
use kwire_raft::types::Topic;
use kwire_server::config::{Properties, ServerConfig};
use kwire_server::directory::Unformatted;
use kwire_server::runner::{FileDriver, Handle};
use kwire_server::server::{Options, Server};
use tempfile::TempDir;

pub(crate) const TOPIC: &str = "__raft_performance_test";

pub(crate) fn skip(what: &str, why: &str) {
    let required = std::env::var("KWIRE_REQUIRE_JAVA").is_ok_and(|value| value == "1");
    assert!(!required, "KWIRE_REQUIRE_JAVA is set, but {why}");
    // Past the test harness, which shows nothing of tests that pass.
    let _ = writeln!(std::io::stderr(), "{what}: skipped: {why}");
}

/// The words of a command for one of Kafka's programs, if a variable has it.
pub(crate) fn java(variable: &str, program: &str) -> Option<Vec<String>> {
    let Ok(words) = std::env::var(variable) else {
        let why = format!(
            "{variable} is not set; `cargo xtask kafka {program} --print-command` prints what to \
             set it to"
        );
        skip("Kafka's programs with our nodes", &why);
        return None;
    };
    Some(serde_json::from_str(&words).expect("a JSON array of words"))
}

/// Some nodes, each with a directory of its own.
pub(crate) struct Cluster {
    dir: TempDir,
    ports: Vec<u16>,
    topic: Topic,
    properties: Vec<(String, String)>,
    nodes: Vec<Option<Server>>,
}

impl Cluster {
    pub(crate) fn start(count: usize, topic: Topic, properties: &[(&str, &str)]) -> Cluster {
        // All at once, so that they differ.
        let bound: Vec<TcpListener> = (0..count)
            .map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a port"))
            .collect();
        let ports = bound
            .iter()
            .map(|listener| listener.local_addr().expect("it is bound").port())
            .collect();
        drop(bound);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut cluster = Cluster {
            dir: tempfile::tempdir().expect("a directory"),
            ports,
            topic,
            properties: properties.iter().map(owned).collect(),
            nodes: (0..count).map(|_| None).collect(),
        };
        for index in 0..count {
            cluster.start_node(index);
        }
        cluster
    }

    pub(crate) fn one() -> Cluster {
        Cluster::start(1, Topic::performance_test(), &[])
    }

    pub(crate) fn start_node(&mut self, index: usize) {
        let text = self.text(index, &self.log_dir(index));
        let mut properties = Properties::parse(Path::new("test"), &text).expect("properties");
        for (name, value) in &self.properties {
            properties.set(name, value);
        }
        let options = Options {
            config: ServerConfig::from_properties(&properties).expect("a configuration"),
            topic: self.topic.clone(),
            load: None,
            directory_id: None,
            unformatted: Unformatted::Adopt,
            accept_lost_state: false,
        };
        self.nodes[index] = Some(Server::start(&options).expect("it starts"));
    }

    fn text(&self, index: usize, log_dir: &Path) -> String {
        let voters = self.ports.iter().enumerate();
        let voters: Vec<String> = voters
            .map(|(index, port)| format!("{}@localhost:{port}", index + 1))
            .collect();
        format!(
            "node.id={}\nlisteners=CONTROLLER://localhost:{}\n\
             controller.listener.names=CONTROLLER\ncontroller.quorum.voters={}\nlog.dirs={}\n\
             group.initial.rebalance.delay.ms=100\n",
            index + 1,
            self.ports[index],
            voters.join(","),
            log_dir.display(),
        )
    }

    /// A file with a node's properties, for a program that runs it in an empty directory.
    pub(crate) fn properties_elsewhere(&self, index: usize) -> std::path::PathBuf {
        let log_dir = self.dir.path().join("elsewhere");
        std::fs::create_dir(&log_dir).expect("a directory");
        let file = self.dir.path().join("properties");
        let text = self.text(index, &log_dir);
        let text = format!("{text}process.roles=controller\n");
        std::fs::write(&file, text).expect("a file");
        file
    }

    /// Stops a node, as a crash would.
    pub(crate) fn kill(&mut self, index: usize) {
        let node = self.nodes[index].take().expect("it runs");
        node.stop().expect("it ran");
    }

    /// Takes the disk of a node that was killed.
    pub(crate) fn wipe(&self, index: usize) {
        std::fs::remove_dir_all(self.log_dir(index)).expect("it had a directory");
    }

    /// Looks at a node that runs.
    pub(crate) fn look<T: Send + 'static>(
        &self,
        index: usize,
        look: impl FnOnce(&FileDriver) -> T + Send + 'static,
    ) -> T {
        let handle = self.handle(index);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let looked = runtime.expect("a runtime").block_on(handle.ask(look));
        looked.expect("it runs")
    }

    /// Looks at a node until it is as is waited for.
    #[track_caller]
    pub(crate) fn wait_for(
        &self,
        index: usize,
        is_it: impl Fn(&FileDriver) -> bool + Clone + Send + 'static,
    ) {
        let patience = Instant::now() + Duration::from_secs(60);
        while !self.look(index, is_it.clone()) {
            assert!(Instant::now() < patience, "it never is as it ought to be");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The way to a node's thread.
    pub(crate) fn handle(&self, index: usize) -> Handle {
        self.nodes[index].as_ref().expect("it runs").handle()
    }

    /// Where a node has its log.
    pub(crate) fn log_dir(&self, index: usize) -> std::path::PathBuf {
        self.dir.path().join(index.to_string())
    }

    pub(crate) fn address(&self, index: usize) -> (&'static str, u16) {
        ("localhost", self.ports[index])
    }

    /// All addresses, as tools want them.
    pub(crate) fn bootstrap(&self) -> String {
        let addresses = self.ports.iter().map(|port| format!("localhost:{port}"));
        addresses.collect::<Vec<_>>().join(",")
    }

    /// The node that leads and has committed something.
    pub(crate) fn leader(&self) -> usize {
        let patience = Instant::now() + Duration::from_secs(30);
        while Instant::now() < patience {
            for (index, node) in self.nodes.iter().enumerate() {
                let Some(node) = node else { continue };
                let status = *node.handle().status().borrow();
                if status.leads_from.is_some() && status.high_watermark > status.leads_from {
                    return index;
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nobody leads");
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address(self.leader()))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in self.nodes.iter_mut().filter_map(Option::take) {
            // A failing test has more to say.
            let _ = node.stop();
        }
    }
}

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    correlation_id: i32,
    answered: i32,
}

impl Client {
    pub(crate) fn connect(address: (&str, u16)) -> Client {
        let stream = TcpStream::connect(address).expect("it listens");
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).expect("a timeout");
        Client {
            stream,
            correlation_id: 0,
            answered: 0,
        }
    }

    pub(crate) fn send<R: Request>(&mut self, version: i16, request: &R) {
        self.correlation_id += 1;
        let head = RequestHead {
            version,
            correlation_id: self.correlation_id,
            client_id: Some("test"),
        };
        let mut out = Vec::new();
        frame::encode_request(&head, request, &mut out).expect("it can be said");
        self.stream.write_all(&out).expect("it is read");
    }

    /// The body of the next answer. `None` if the connection ends.
    pub(crate) fn receive_body(&mut self, api_key: ApiKey, version: i16) -> Option<Vec<u8>> {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).ok()?;
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(len)).expect("a length")];
        self.stream.read_exact(&mut frame).expect("a whole frame");
        let parts = frame::decode_response_header(api_key, version, &frame).expect("a header");
        self.answered += 1;
        assert_eq!(parts.header.correlation_id, self.answered, "in order");
        Some(parts.body.to_vec())
    }

    pub(crate) fn receive<R: Request, M: Message + ReadMessage<'static>>(
        &mut self,
        version: i16,
    ) -> M {
        let body = self.receive_body(R::API_KEY, version).expect("an answer");
        M::decode_shared(&body.into(), version, &Limits::DEFAULT).expect("a response")
    }

    pub(crate) fn ask<R: Request, M: Message + ReadMessage<'static>>(
        &mut self,
        version: i16,
        request: &R,
    ) -> M {
        self.send(version, request);
        self.receive::<R, M>(version)
    }

    /// The next answer is to be none of this one.
    pub(crate) fn skip_answer(&mut self) {
        self.answered += 1;
    }

    pub(crate) fn produce(&mut self, records: Vec<u8>) -> (i16, i64) {
        let response: ProduceResponse<'static> = self.ask(9, &produce(-1, records));
        let partition = &response.responses[0].partition_responses[0];
        (partition.error_code, partition.base_offset)
    }
}

/// A batch of an idempotent producer, or of another one if the id is -1.
pub(crate) fn batch(producer_id: i64, epoch: i16, sequence: i32, values: &[&str]) -> Vec<u8> {
    batch_of(1_000, producer_id, epoch, sequence, values)
}

/// The same of another time, in milliseconds.
pub(crate) fn batch_of(
    timestamp: i64,
    producer_id: i64,
    epoch: i16,
    sequence: i32,
    values: &[&str],
) -> Vec<u8> {
    let (producer_epoch, base_sequence) = match producer_id {
        -1 => (-1, -1),
        _ => (epoch, sequence),
    };
    let options = BatchOptions {
        producer_id,
        producer_epoch,
        base_sequence,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options).expect("options");
    for (timestamp, value) in (timestamp..).zip(values) {
        let record = NewRecord {
            timestamp,
            key: None,
            value: Some(value.as_bytes()),
            headers: &[],
        };
        let appended = builder.try_append(&record).expect("a record");
        assert!(matches!(appended, Append::Done { .. }));
    }
    builder.finish().expect("a batch")
}

pub(crate) fn produce(acks: i16, records: Vec<u8>) -> ProduceRequest<'static> {
    ProduceRequest {
        acks,
        timeout_ms: 10_000,
        topic_data: vec![produce_request::TopicProduceData {
            name: TOPIC.into(),
            partition_data: vec![produce_request::PartitionProduceData {
                index: 0,
                records: Some(records.into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A consumer's Fetch. It names the topic by name and by id.
pub(crate) fn fetch(offset: i64, max_wait_ms: i32, min_bytes: i32) -> FetchRequest<'static> {
    FetchRequest {
        max_wait_ms,
        min_bytes,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic {
            topic: TOPIC.into(),
            topic_id: Topic::performance_test().id,
            partitions: vec![FetchPartition {
                fetch_offset: offset,
                current_leader_epoch: -1,
                last_fetched_epoch: -1,
                log_start_offset: -1,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}
