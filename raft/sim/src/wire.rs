//! The network: every message is encoded and decoded, and arrives late, twice or never.

use std::collections::BTreeSet;
use std::rc::Rc;

use bytes::Bytes;
use kwire_protocol::ApiKey;
use kwire_protocol::records::{Batches, set_partition_leader_epoch};
use kwire_protocol::runtime::UnknownTags;
use kwire_raft::message::{Request, Response};
use kwire_raft::node::{CallError, CallId, Destination, Incoming, RoleName, Token};

use crate::clock::Micros;
use crate::disk::SimLog;
use crate::host::machine_at;
use crate::marks::Mark;
use crate::swarm::Network;
use crate::versions::Versions;
use crate::world::{Event, Observed, World};

/// A message on its way.
pub(crate) enum Packet {
    Request {
        /// The machine that asks, and how often it was started; `None` for a client.
        from: Option<(usize, u32)>,
        call: CallId,
        to: usize,
        api: ApiKey,
        version: i16,
        bytes: Bytes,
    },
    Answer {
        to: usize,
        incarnation: u32,
        call: CallId,
        api: ApiKey,
        version: i16,
        bytes: Result<Bytes, CallError>,
    },
}

impl Packet {
    pub(crate) fn target(&self) -> usize {
        match self {
            Packet::Request { to, .. } | Packet::Answer { to, .. } => *to,
        }
    }
}

/// A request that a node has and did not answer yet.
pub(crate) struct Pending {
    pub(crate) from: Option<(usize, u32)>,
    call: CallId,
    api: ApiKey,
    version: i16,
    pub(crate) request: Rc<Request>,
}

/// Which machines reach which.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    pub(crate) network: Network,
    /// Nothing gets from the one to the other.
    cut: BTreeSet<(usize, usize)>,
    /// Requests do not get from the one to the other; answers do.
    no_requests: BTreeSet<(usize, usize)>,
}

impl Links {
    pub(crate) fn new(network: Network) -> Links {
        Links {
            network,
            cut: BTreeSet::new(),
            no_requests: BTreeSet::new(),
        }
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    pub(crate) fn cut_requests(&mut self, from: usize, to: usize) {
        self.no_requests.insert((from, to));
    }

    /// All links work again.
    pub(crate) fn mend(&mut self) {
        self.cut.clear();
        self.no_requests.clear();
    }

    /// Of five, each reaches some only: 0-2, 1-3, 2-3, 2-4, 3-4, as in Kafka's own simulation.
    pub(crate) fn ring(&mut self) {
        const LINKS: [(usize, usize); 5] = [(0, 2), (1, 3), (2, 3), (2, 4), (3, 4)];
        for a in 0..5 {
            for b in 0..5 {
                if a != b && !LINKS.contains(&(a, b)) && !LINKS.contains(&(b, a)) {
                    self.cut(a, b);
                }
            }
        }
    }
}

impl<L: SimLog> World<L> {
    /// How long a message takes from one machine to another; `None` if it never arrives.
    fn way(&mut self, from: usize, to: usize) -> Option<Micros> {
        let network = self.links.network.clone();
        let mut delay = network.latency + self.network.exponential(network.jitter);
        if self.network.permille(network.stragglers) {
            delay += 100 * network.latency + 20 * network.jitter;
        }
        if self.links.cut.contains(&(from, to)) {
            self.marks.hit(Mark::LinkCut);
            return None;
        }
        if self.network.permille(network.loss) {
            self.marks.hit(Mark::MessageLost);
            return None;
        }
        Some(delay)
    }

    pub(crate) fn send(
        &mut self,
        from: usize,
        call: CallId,
        to: &Destination,
        mut request: Request,
    ) {
        let incarnation = self.hosts[from].incarnation;
        let sender = Some((from, incarnation));
        let api = request.api_key();
        let Some(target) = machine_at(&to.address) else {
            return self.broken("address", format!("machine {from} sends to {}", to.address));
        };
        if let Request::Fetch(fetch) = &mut request {
            let tags = &mut fetch.topics[0].partitions[0].unknown_tags;
            if !tags.is_empty() {
                self.marks.hit(Mark::FetchedAhead);
            }
            if !self.hosts[target].versions.have_extension() {
                *tags = UnknownTags::EMPTY;
            }
        }
        let version = self.hosts[from]
            .versions
            .common(&self.hosts[target].versions, api);
        let mut bytes = Vec::new();
        let encoded = version.map(|version| request.encode(version, &mut bytes));
        let (Some(version), Some(Ok(()))) = (version, encoded) else {
            return self.unsupported(from, call, api, &request);
        };
        self.note(
            Some(from),
            format_args!("-> {target} {api} v{version} {}", brief_request(&request)),
        );
        let request = Rc::new(request);
        self.observed.push(Observed::Sent {
            from,
            request: Rc::clone(&request),
        });
        if matches!(*request, Request::Fetch(_)) {
            let few = self.luck.permille(100);
            if few {
                self.tempt(from);
            }
        }
        if self.links.no_requests.contains(&(from, target)) {
            self.marks.hit(Mark::LinkCut);
            return self.lose(from, incarnation, call, api, version);
        }
        let late = if self.are_rivals(from, target) && self.network.permille(300) {
            // Between two that both stand, most is decided before a late request arrives.
            self.network.below(self.options.timers.election_timeout_ms) * 1_000
        } else {
            0
        };
        self.transmit(sender, call, (target, late), api, version, bytes.into());
    }

    /// Whether two machines stand in the same epoch, or one does and the other has won.
    fn are_rivals(&self, one: usize, other: usize) -> bool {
        let epoch_stood_in = |machine: usize| {
            let node = self.hosts[machine].driver()?.node();
            let stands = matches!(node.role(), RoleName::Candidate | RoleName::Leader);
            stands.then_some(node.epoch())
        };
        let epoch = epoch_stood_in(one);
        epoch.is_some() && epoch == epoch_stood_in(other)
    }

    fn transmit(
        &mut self,
        sender: Option<(usize, u32)>,
        call: CallId,
        (to, late): (usize, Micros),
        api: ApiKey,
        version: i16,
        bytes: Bytes,
    ) {
        let origin = sender.map_or(to, |(from, _)| from);
        let packet = |bytes: &Bytes| Packet::Request {
            from: sender,
            call,
            to,
            api,
            version,
            bytes: bytes.clone(),
        };
        match self.way(origin, to) {
            Some(delay) => self.after(delay + late, Event::Packet(packet(&bytes))),
            None => {
                if let Some((from, incarnation)) = sender {
                    self.lose(from, incarnation, call, api, version);
                }
            }
        }
        if self.network.permille(self.links.network.duplicates)
            && let Some(delay) = self.way(origin, to)
        {
            self.marks.hit(Mark::MessageTwice);
            let much_later = self.network.below(3) * self.lasting();
            self.after(delay + much_later, Event::Packet(packet(&bytes)));
        }
    }

    /// A message got lost: its sender hears of it, or has to wait for its own timer. A firewall may
    /// refuse in the name of a machine that is well.
    fn lose(&mut self, to: usize, incarnation: u32, call: CallId, api: ApiKey, version: i16) {
        let refused = self.network.permille(50);
        self.lose_as(refused, (to, incarnation), call, api, version);
    }

    fn lose_as(
        &mut self,
        refused: bool,
        (to, incarnation): (usize, u32),
        call: CallId,
        api: ApiKey,
        version: i16,
    ) {
        if self.network.permille(500) {
            let error = if refused {
                self.marks.hit(Mark::ConnectionRefused);
                CallError::Refused
            } else {
                CallError::Disconnected
            };
            let packet = Packet::Answer {
                to,
                incarnation,
                call,
                api,
                version,
                bytes: Err(error),
            };
            let delay = self.links.network.latency + self.network.below(10_000);
            self.after(delay, Event::Packet(packet));
        }
    }

    fn unsupported(&mut self, from: usize, call: CallId, api: ApiKey, request: &Request) {
        let is_pre_vote =
            matches!(request, Request::Vote(vote) if vote.topics[0].partitions[0].pre_vote);
        if is_pre_vote {
            self.marks.hit(Mark::PreVoteUnknown);
        } else if !matches!(request, Request::AddRaftVoter(_)) {
            let what = format!("machine {from} cannot send {}", brief_request(request));
            return self.broken("encodable", what);
        }
        self.note(Some(from), format_args!("{api} is not supported"));
        let packet = Packet::Answer {
            to: from,
            incarnation: self.hosts[from].incarnation,
            call,
            api,
            version: 0,
            bytes: Err(CallError::UnsupportedVersion),
        };
        self.after(100, Event::Packet(packet));
    }

    /// A client or a tool asks a node something.
    pub(crate) fn ask(&mut self, to: usize, request: &Request) {
        let api = request.api_key();
        let newest = Versions::newest();
        let version = newest.common(&self.hosts[to].versions, api).unwrap_or(0);
        let mut bytes = Vec::new();
        if let Err(error) = request.encode(version, &mut bytes) {
            return self.broken("encodable", format!("{api} v{version}: {error}"));
        }
        self.transmit(None, CallId(0), (to, 0), api, version, bytes.into());
    }

    /// A message arrives. Returns the machine that it concerned.
    pub(crate) fn arrive(&mut self, packet: Packet) -> Option<usize> {
        match packet {
            Packet::Request {
                from,
                call,
                to,
                api,
                version,
                bytes,
            } => {
                if !self.hosts[to].is_on() {
                    // A machine that is down as a whole refuses nothing.
                    let refused = self.network.permille(700);
                    self.lose_as(refused, from?, call, api, version);
                    return None;
                }
                let request = match Request::decode(api, version, &bytes) {
                    Some(Ok(request)) => request,
                    other => {
                        let what = format!("{api} v{version} cannot be read: {other:?}");
                        self.broken("decodable", what);
                        return None;
                    }
                };
                if !self.is_sensible(to, &request) {
                    return None;
                }
                self.deliver(from, call, to, api, version, request);
                Some(to)
            }
            Packet::Answer {
                to,
                incarnation,
                call,
                api,
                version,
                bytes,
            } => {
                let host = &self.hosts[to];
                if host.incarnation != incarnation || !host.is_on() {
                    return None;
                }
                let answer = match bytes {
                    Err(error) => Err(error),
                    Ok(bytes) => match Response::decode(api, version, &bytes) {
                        Some(Ok(response)) => Ok(response),
                        other => {
                            let what = format!("{api} v{version} cannot be read: {other:?}");
                            self.broken("decodable", what);
                            return None;
                        }
                    },
                };
                let brief = answer.as_ref().map(brief_response);
                self.note(Some(to), format_args!("<- {api} v{version} {brief:?}"));
                self.input(to, |driver, now| driver.answer(now, call, answer));
                Some(to)
            }
        }
    }

    fn deliver(
        &mut self,
        from: Option<(usize, u32)>,
        call: CallId,
        to: usize,
        api: ApiKey,
        version: i16,
        request: Request,
    ) {
        self.note(
            Some(to),
            format_args!("gets {api} v{version} {}", brief_request(&request)),
        );
        self.next_token += 1;
        let token = Token(self.next_token);
        let shared = Rc::new(request.clone());
        self.observed.push(Observed::Received {
            at: to,
            request: Rc::clone(&shared),
        });
        let pending = Pending {
            from,
            call,
            api,
            version,
            request: shared,
        };
        self.tokens.insert(token, pending);
        let incoming = Incoming {
            token,
            version,
            request,
        };
        let before = self.leader_known(to);
        self.input(to, |driver, now| driver.request(now, incoming));
        if api == ApiKey::BEGIN_QUORUM_EPOCH && self.leader_known(to) != before {
            self.marks.hit(Mark::Begun);
        }
        if api == ApiKey::FETCH && self.tokens.contains_key(&token) {
            self.marks.hit(Mark::FetchParked);
        }
    }

    fn leader_known(&self, at: usize) -> Option<(i32, Option<i32>)> {
        let node = self.hosts[at].driver()?.node();
        Some((node.epoch(), node.leader()))
    }

    pub(crate) fn reply(&mut self, from: usize, token: Token, response: Response) {
        let Some(pending) = self.tokens.remove(&token) else {
            return self.broken("answers", format!("machine {from} answers twice"));
        };
        let mut response = self.maybe_lie(response);
        if let Response::Fetch(fetch) = &mut response
            && !self.hosts[from].versions.have_extension()
        {
            let partitions = fetch.responses.iter_mut().flat_map(|t| &mut t.partitions);
            partitions.for_each(|partition| partition.unknown_tags = UnknownTags::EMPTY);
        }
        let mut bytes = Vec::new();
        if let Err(error) = response.encode(pending.version, &mut bytes) {
            let (api, version) = (pending.api, pending.version);
            let what = format!("answer to {api} v{version}: {error}");
            return self.broken("encodable", what);
        }
        self.mark_reply(&pending.request, &response);
        self.note(
            Some(from),
            format_args!("answers {}", brief_response(&response)),
        );
        if matches!(&response, Response::Vote(r) if r.topics.iter().any(|t| t.partitions.iter().any(|p| p.vote_granted)))
        {
            self.tempt(from);
        }
        let Some((to, incarnation)) = pending.from else {
            self.client_answered(from, &pending.request, &response);
            return;
        };
        self.observed.push(Observed::Replied {
            from,
            request: Rc::clone(&pending.request),
            response: Rc::new(response),
        });
        let (call, api, version) = (pending.call, pending.api, pending.version);
        match self.way(from, to) {
            Some(delay) => {
                let packet = Packet::Answer {
                    to,
                    incarnation,
                    call,
                    api,
                    version,
                    bytes: Ok(bytes.into()),
                };
                self.after(delay, Event::Packet(packet));
            }
            None => self.lose(to, incarnation, call, api, version),
        }
    }

    /// Now and then records arrive otherwise than they were sent: nodes have to refuse them.
    fn maybe_lie(&mut self, mut response: Response) -> Response {
        let lies = self.links.network.lies;
        let Response::Fetch(fetch) = &mut response else {
            return response;
        };
        let partition = fetch
            .responses
            .first_mut()
            .and_then(|t| t.partitions.first_mut());
        let Some(partition) = partition.filter(|p| p.records.is_some()) else {
            return response;
        };
        let sent = partition.records.clone().unwrap_or_default().into_bytes();
        if sent.is_empty() || !self.network.permille(lies) {
            return response;
        }
        self.marks.hit(Mark::Lied);
        let mut bytes = sent.to_vec();
        let first = Batches::new(&sent).filter_map(Result::ok).next();
        let first = first.map_or(0, |batch| batch.bytes().len());
        match self.network.below(3) {
            0 => {
                bytes.drain(..first);
            }
            1 => {
                let above = partition.current_leader.leader_epoch + 1;
                let changed = set_partition_leader_epoch(&mut bytes[..first], above);
                debug_assert!(changed.is_ok());
            }
            _ => {
                // Under the checksum.
                let at = 21 + self.network.index(first - 21);
                bytes[at] ^= 1 << self.network.below(8);
            }
        }
        partition.records = Some(Bytes::from(bytes).into());
        response
    }
}

/// A request in a few words.
pub(crate) fn brief_request(request: &Request) -> String {
    match request {
        Request::Vote(r) => {
            let p = &r.topics[0].partitions[0];
            let kind = if p.pre_vote { "pre-vote" } else { "vote" };
            format!(
                "{kind} for {} in epoch {}, log {} of {}",
                p.replica_id, p.replica_epoch, p.last_offset, p.last_offset_epoch
            )
        }
        Request::Fetch(r) => {
            let p = &r.topics[0].partitions[0];
            format!(
                "from {} of {} in epoch {}, knows {}",
                p.fetch_offset, p.last_fetched_epoch, p.current_leader_epoch, p.high_watermark
            )
        }
        Request::FetchSnapshot(r) => {
            let p = &r.topics[0].partitions[0];
            format!("{:?} at {}", p.snapshot_id.end_offset, p.position)
        }
        Request::BeginQuorumEpoch(r) => {
            let p = &r.topics[0].partitions[0];
            format!("{} leads {}", p.leader_id, p.leader_epoch)
        }
        Request::EndQuorumEpoch(r) => {
            let p = &r.topics[0].partitions[0];
            format!("{} leaves {}", p.leader_id, p.leader_epoch)
        }
        Request::AddRaftVoter(r) => format!("add {}", r.voter_id),
        Request::RemoveRaftVoter(r) => format!("remove {}", r.voter_id),
        Request::UpdateRaftVoter(r) => format!("update {}", r.voter_id),
        _ => String::new(),
    }
}

/// A response in a few words.
pub(crate) fn brief_response(response: &Response) -> String {
    match response {
        Response::Vote(r) => match r.topics.first().and_then(|t| t.partitions.first()) {
            Some(p) => format!(
                "granted {} in {} (error {})",
                p.vote_granted, p.leader_epoch, p.error_code
            ),
            None => format!("error {}", r.error_code),
        },
        Response::Fetch(r) => match r.responses.first().and_then(|t| t.partitions.first()) {
            Some(p) => format!(
                "{} bytes, high watermark {}, diverging {}/{}, snapshot {}, {} leads {} (error {})",
                p.records.as_ref().map_or(0, |records| records.len()),
                p.high_watermark,
                p.diverging_epoch.epoch,
                p.diverging_epoch.end_offset,
                p.snapshot_id.end_offset,
                p.current_leader.leader_id,
                p.current_leader.leader_epoch,
                p.error_code
            ),
            None => format!("error {}", r.error_code),
        },
        Response::FetchSnapshot(r) => match r.topics.first().and_then(|t| t.partitions.first()) {
            Some(p) => format!(
                "{} of {} bytes at {} (error {})",
                p.unaligned_records.len(),
                p.size,
                p.position,
                p.error_code
            ),
            None => format!("error {}", r.error_code),
        },
        Response::AddRaftVoter(r) => format!("error {}", r.error_code),
        Response::RemoveRaftVoter(r) => format!("error {}", r.error_code),
        Response::UpdateRaftVoter(r) => format!("error {}", r.error_code),
        _ => String::new(),
    }
}
