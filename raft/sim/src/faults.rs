//! What fails: machines, disks, the network. Nothing here is more than the protocol has to bear,
//! but for [`Scenario::LostDisk`].

use kwire_raft::message::Request;
use kwire_raft::node::RoleName;
use kwire_raft::types::ReplicaKey;
use kwire_raft::voters::VoterSet;

use crate::clock::Micros;
use crate::disk::SimLog;
use crate::host::{Machine, endpoints};
use crate::marks::Mark;
use crate::setup::directory;
use crate::swarm::Scenario;
use crate::world::{Event, World};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A machine loses its power.
    Crash,
    /// The leader does.
    CrashLeader,
    /// All do.
    PowerCut,
    /// A machine stands still.
    Pause,
    /// The network falls in two.
    Split,
    /// Some links let nothing through, in one direction.
    OneWay,
    /// The leader reaches nobody and is reached by nobody.
    IsolateLeader,
    /// One machine's requests do not get through; answers do.
    NoRequests,
    /// A node is asked to shut down.
    ShutDown,
    /// The log cannot be written.
    LogFails,
    /// A barrier fails.
    SyncFails,
    /// The election state cannot be saved.
    StateFails,
    /// A machine comes back with an empty disk, and so as another replica.
    LoseDisk,
    /// A machine comes back without its election state, at a moment when its log says as much.
    LoseState,
    /// A machine comes back with another address.
    Move,
}

impl Fault {
    /// All of them.
    pub const ALL: &[Fault] = &[
        Fault::Crash,
        Fault::CrashLeader,
        Fault::PowerCut,
        Fault::Pause,
        Fault::Split,
        Fault::OneWay,
        Fault::IsolateLeader,
        Fault::NoRequests,
        Fault::ShutDown,
        Fault::LogFails,
        Fault::SyncFails,
        Fault::StateFails,
        Fault::LoseDisk,
        Fault::LoseState,
        Fault::Move,
    ];
}

impl<L: SimLog> World<L> {
    /// How long something lasts.
    pub(crate) fn lasting(&mut self) -> Micros {
        let mean = self.options.faults.lasting;
        self.luck.exponential(mean)
    }

    /// The next fault.
    pub(crate) fn strike(&mut self) {
        if self.recovery.is_healed() {
            return;
        }
        let fault = self.draw_fault();
        if let Some(fault) = fault {
            self.note(None, format_args!("fault: {fault:?}"));
            self.fault(fault);
        }
        let pause = self.luck.exponential(self.options.faults.period);
        self.after(pause.max(1_000), Event::Fault);
    }

    fn draw_fault(&mut self) -> Option<Fault> {
        let mut weights = self.options.faults.weights.clone();
        if self.options.scenario == Scenario::LostDisk {
            let at = Fault::ALL.iter().position(|f| *f == Fault::LoseDisk);
            weights[at.unwrap_or(0)] = 10;
        }
        let mut drawn = self.luck.below(weights.iter().sum());
        for (fault, weight) in Fault::ALL.iter().zip(weights) {
            if drawn < weight {
                return Some(*fault);
            }
            drawn -= weight;
        }
        None
    }

    fn fault(&mut self, fault: Fault) {
        let leader = self.leaders().last().copied();
        let on: Vec<usize> = (0..self.hosts.len())
            .filter(|host| self.hosts[*host].is_on())
            .collect();
        let Some(&any) = self.luck.pick(&on) else {
            return;
        };
        match fault {
            Fault::Crash => self.bounce(any),
            Fault::CrashLeader => self.bounce(leader.unwrap_or(any)),
            Fault::PowerCut => self.power_cut(&on),
            Fault::Pause => {
                self.marks.hit(Mark::Paused);
                let lasting = self.lasting();
                self.hosts[any].paused_until = self.now + lasting;
            }
            Fault::Split => self.split(),
            Fault::OneWay => {
                let some = self.luck.between(100, 600) as u32;
                self.cut_links(|world, _, _| world.luck.permille(some));
            }
            Fault::IsolateLeader => {
                let alone = leader.unwrap_or(any);
                self.cut_links(|_, a, b| a == alone || b == alone);
            }
            Fault::NoRequests => {
                for to in 0..self.hosts.len() {
                    self.links.cut_requests(any, to);
                }
                self.until_over(fault, Vec::new());
            }
            Fault::ShutDown => self.shut_down(any),
            Fault::LogFails => self.hosts[any].failing.borrow_mut().log = true,
            Fault::SyncFails => self.hosts[any].failing.borrow_mut().sync = true,
            Fault::StateFails => self.hosts[any].failing.borrow_mut().state = true,
            Fault::LoseDisk => self.lose_disk(any),
            Fault::LoseState => self.lose_state(any),
            Fault::Move => {
                let generation = self.luck.between(1, 9) as u16;
                let index = self.hosts[any].index;
                self.hosts[any].config.endpoints = endpoints(index, generation);
                self.bounce(any);
            }
        }
    }

    fn until_over(&mut self, fault: Fault, hosts: Vec<usize>) {
        let lasting = self.lasting();
        self.after(lasting, Event::Over(fault, hosts));
    }

    /// A fault is over.
    pub(crate) fn relieve(&mut self, fault: Fault, _: &[usize]) {
        if self.recovery.is_healed() || self.options.scenario == Scenario::StableLeader {
            return;
        }
        self.note(None, format_args!("over: {fault:?}"));
        self.links.mend();
    }

    /// Takes a machine's power, and gives it back some time later.
    fn bounce(&mut self, host: usize) {
        if !self.hosts[host].is_on() {
            return;
        }
        self.crash(host);
        let quick = self.luck.permille(300);
        let down = if quick {
            self.luck.between(100, 20_000)
        } else {
            self.lasting()
        };
        self.after(down, Event::Start { host });
    }

    pub(crate) fn power_cut(&mut self, on: &[usize]) {
        let down = self.lasting();
        for &host in on {
            self.crash(host);
            self.after(down, Event::Start { host });
        }
    }

    fn split(&mut self) {
        let sides: Vec<bool> = (0..self.hosts.len())
            .map(|_| self.luck.permille(500))
            .collect();
        self.cut_links(|_, a, b| sides[a] != sides[b]);
    }

    fn cut_links(&mut self, mut is_cut: impl FnMut(&mut Self, usize, usize) -> bool) {
        let count = self.hosts.len();
        for a in 0..count {
            for b in 0..count {
                if a != b && is_cut(self, a, b) {
                    self.links.cut(a, b);
                }
            }
        }
        self.until_over(Fault::Split, Vec::new());
    }

    fn shut_down(&mut self, host: usize) {
        self.hosts[host].is_stopping = true;
        let timeout = self.options.timers.election_timeout_ms * self.luck.between(1, 5);
        self.input(host, |driver, now| {
            driver.command(now, |node| node.shut_down(now, timeout))
        });
    }

    /// A shutdown is over.
    pub(crate) fn stopped(&mut self, host: usize) {
        self.doomed = Some(host);
    }

    fn lose_disk(&mut self, host: usize) {
        if !self.may_lose_disk(host) {
            return;
        }
        self.marks.hit(Mark::DiskLost);
        self.crash(host);
        self.forget_disk(host);
        let down = self.lasting();
        self.after(down, Event::Start { host });
    }

    fn forget_disk(&mut self, host: usize) {
        let generation = self.lost.len() as u64 + 1;
        let key = self.hosts[host].key();
        let new = directory(host, generation);
        if let Some(old) = self.hosts[host].lose_disk(new)
            && let Some(key) = key
        {
            self.lost.push((key, old.shadow().clone()));
        }
        self.note(Some(host), format_args!("has an empty disk"));
    }

    /// Whether what is committed stays with a majority that can still vote. Voters that are known
    /// by their ids alone would vote on without knowing what they voted for and had.
    fn may_lose_disk(&self, host: usize) -> bool {
        if self.options.scenario == Scenario::LostDisk {
            return host < self.options.voters && self.lost.len() < 2;
        }
        if self.options.kraft_version == 0 {
            return false;
        }
        let Some(losing) = self.hosts[host].key() else {
            return false;
        };
        let joins = |pending: &crate::wire::Pending| matches!(&*pending.request, Request::AddRaftVoter(r) if r.voter_id == losing.id);
        if self.tokens.values().any(joins) {
            return false;
        }
        let intact = |key: ReplicaKey| key != losing && self.is_intact(key);
        self.voter_sets().iter().all(|voters| {
            let left = voters.iter().filter(|voter| intact(voter.key)).count();
            left >= voters.majority()
        })
    }

    /// The voter sets that count somewhere: the last that is committed, and later ones.
    pub(crate) fn voter_sets(&self) -> Vec<&VoterSet> {
        let committed = self.oracle.end();
        let mut sets: Vec<&VoterSet> = Vec::new();
        for host in &self.hosts {
            let all = host.shadow().all_voters();
            let below = all.partition_point(|(offset, _)| *offset < committed);
            let from = below.saturating_sub(1);
            let in_log = all[from..].iter().map(|(_, voters)| voters);
            let configured = Some(&host.config.static_voters);
            let configured = configured.filter(|set| below == 0 && !set.is_empty());
            for set in in_log.chain(configured) {
                if !sets.contains(&set) {
                    sets.push(set);
                }
            }
        }
        sets
    }

    /// An election state may be lost when the log is of the same epoch: who led that was elected,
    /// and nobody else can be.
    fn lose_state(&mut self, host: usize) {
        let shadow = self.hosts[host].shadow();
        let durable = self.hosts[host].durable();
        let saved = self.hosts[host].saved().unwrap_or_default();
        // Who led it would not know, and believe nobody who says so: others have to be elected,
        // who may lack what it has.
        let led = saved.leader.is_some() && saved.leader == self.hosts[host].id();
        let epoch = saved.epoch;
        let is_told = durable == shadow.end() && shadow.last_epoch() == epoch && epoch > 0 && !led;
        if !is_told {
            return;
        }
        self.marks.hit(Mark::StateLost);
        self.crash(host);
        if let Machine::Off(off) = &mut self.hosts[host].machine {
            off.1.lose();
        }
        self.note(Some(host), format_args!("has no election state"));
        let down = self.lasting();
        self.after(down, Event::Start { host });
    }

    /// The nodes that take themselves for leaders, the latest last.
    pub(crate) fn leaders(&self) -> Vec<usize> {
        let mut leaders: Vec<(i32, usize)> = self
            .hosts
            .iter()
            .filter_map(|host| {
                let node = host.driver()?.node();
                (node.role() == RoleName::Leader).then(|| (node.epoch(), host.index))
            })
            .collect();
        leaders.sort_unstable();
        leaders.into_iter().map(|(_, host)| host).collect()
    }
}
