//! The limit of a client: a broker that takes what producers send, and answers at once, without
//! looking at it. `cargo xtask bench server` holds servers against it, as a client that runs on the
//! same processors cannot be faster with any of them.
//!
//! Prints its port, and serves until its input ends.

use std::error::Error;
use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use bytes::Bytes;
use kwire_protocol::frame::{self, RequestParts};
use kwire_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kwire_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kwire_protocol::messages::{
    InitProducerIdResponse, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
};
use kwire_protocol::negotiate::SupportedVersions;
use kwire_protocol::{ApiKey, Limits, Message, Uuid};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const SERVED: [ApiKey; 4] = [
    ApiKey::API_VERSIONS,
    ApiKey::METADATA,
    ApiKey::INIT_PRODUCER_ID,
    ApiKey::PRODUCE,
];
const TOPIC_ID: Uuid = Uuid::from_bytes([7; 16]);

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() != Some("serve") {
        // `cargo test` runs benchmarks too, without arguments.
        println!("usage: sink serve");
        return Ok(());
    }
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    println!("{port}");
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                if let Err(error) = stream.map_err(Into::into).and_then(|s| serve(s, port)) {
                    eprintln!("{error}");
                }
            });
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn serve(mut stream: TcpStream, port: u16) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut requests = BufReader::with_capacity(1 << 18, stream.try_clone()?);
    let mut out = Vec::new();
    loop {
        let mut len = [0; 4];
        if requests.read_exact(&mut len).is_err() {
            return Ok(());
        }
        let mut request = vec![0; usize::try_from(i32::from_be_bytes(len))?];
        requests.read_exact(&mut request)?;
        let request = Bytes::from(request);
        out.clear();
        answer(&request, port, &mut out)?;
        stream.write_all(&out)?;
    }
}

fn answer(request: &Bytes, port: u16, out: &mut Vec<u8>) -> Result<()> {
    let parts = frame::decode_request_header(request)?;
    let (version, id) = (parts.version(), parts.header.correlation_id);
    match parts.api_key() {
        ApiKey::API_VERSIONS => {
            let versions = SupportedVersions::stable().retain(|key| SERVED.contains(&key));
            let (version, response) = versions.answer(version);
            frame::encode_response(version, id, &response, out)?;
        }
        ApiKey::METADATA => {
            let response = metadata(&decode(&parts)?, port);
            frame::encode_response(version, id, &response, out)?;
        }
        ApiKey::INIT_PRODUCER_ID => {
            let response = InitProducerIdResponse {
                producer_id: 1,
                producer_epoch: 0,
                ..Default::default()
            };
            frame::encode_response(version, id, &response, out)?;
        }
        ApiKey::PRODUCE => {
            let response = produced(&decode(&parts)?);
            frame::encode_response(version, id, &response, out)?;
        }
        other => return Err(format!("{other:?} is not served").into()),
    }
    Ok(())
}

fn decode<'a, M: Message + kwire_protocol::runtime::Read<'a>>(
    parts: &RequestParts<'a>,
) -> Result<M> {
    Ok(M::decode_with(
        parts.body,
        parts.version(),
        &Limits::DEFAULT,
    )?)
}

fn metadata(request: &MetadataRequest<'_>, port: u16) -> MetadataResponse<'static> {
    let broker = MetadataResponseBroker {
        node_id: 1,
        host: "localhost".into(),
        port: port.into(),
        ..Default::default()
    };
    let topics = request.topics.iter().flatten().map(|topic| {
        let partition = MetadataResponsePartition {
            leader_id: 1,
            replica_nodes: vec![1].into(),
            isr_nodes: vec![1].into(),
            ..Default::default()
        };
        MetadataResponseTopic {
            name: topic.name.as_deref().map(|name| name.to_owned().into()),
            topic_id: TOPIC_ID,
            partitions: vec![partition],
            ..Default::default()
        }
    });
    MetadataResponse {
        brokers: vec![broker],
        controller_id: 1,
        topics: topics.collect(),
        ..Default::default()
    }
}

fn produced(request: &ProduceRequest<'_>) -> ProduceResponse<'static> {
    let topics = request.topic_data.iter().map(|topic| TopicProduceResponse {
        name: topic.name.to_string().into(),
        topic_id: topic.topic_id,
        partition_responses: topic
            .partition_data
            .iter()
            .map(|partition| PartitionProduceResponse {
                index: partition.index,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    });
    ProduceResponse {
        responses: topics.collect(),
        ..Default::default()
    }
}
