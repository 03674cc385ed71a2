//! A quorum with its clients, a round of faults after the other.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kwire_server::record::Random;

use crate::check;
use crate::clients::Clients;
use crate::disk::Syncs;
use crate::failure::Failure;
use crate::journal::Journal;
use crate::network::{End, Network};
use crate::node::{Kind, Node, lock};
use crate::plan::{Fault, What, Who};
use crate::quorum::{Quorum, Recipe, log_bytes};
use crate::reader::Reader;
use crate::report::Report;

/// Producers of a quorum.
const CLIENTS: u32 = 3;
/// How long clients of a quorum with Java's nodes may take in the end: who leads may not serve them.
const JAVAS_PATIENCE: Duration = Duration::from_secs(3);
/// As finely as anything is seen.
const TICK: Duration = Duration::from_millis(5);

/// A quorum, who uses it, and what was done to it.
pub(crate) struct Scene<'a> {
    network: &'a mut Network,
    quorum: Quorum,
    clients: Clients,
    reader: Reader,
    journal: Journal,
    interrupted: &'a AtomicBool,
    /// Within which a quorum has to go on once nothing is wrong any more.
    patience: Duration,
    report: &'a mut Report,
}

/// What ends a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Undo {
    Start(usize),
    Resume(usize),
    Mend(End, End),
    LetGo(usize),
    Free(usize),
}

impl<'a> Scene<'a> {
    /// Starts the nodes and their clients.
    pub(crate) fn begin(
        recipe: &Recipe,
        network: &'a mut Network,
        home: &Path,
        seed: u64,
        own_disk: bool,
        interrupted: &'a AtomicBool,
        report: &'a mut Report,
    ) -> Result<Scene<'a>, Failure> {
        let mut quorum = Quorum::prepare(recipe, network, home)?;
        if own_disk {
            let which = Random::new(seed).number() % quorum.nodes.len() as u64;
            quorum.nodes[usize::try_from(which).unwrap_or(0)].mount_disk()?;
        }
        quorum.start()?;
        let has_java = recipe.kinds.iter().any(Kind::is_java);
        Ok(Scene {
            clients: Clients::start(CLIENTS, &quorum.addresses, seed),
            reader: Reader::start(&quorum.addresses),
            journal: Journal::begin(&home.join("journal.txt"))?,
            network,
            quorum,
            interrupted,
            patience: patience(has_java),
            report,
        })
    }

    /// Waits until everybody is there.
    pub(crate) fn settle(&mut self) -> Result<(), Failure> {
        self.recover().map(|_| ())
    }

    /// Lets faults happen, ends them, and waits until the quorum goes on. Returns what to say of it.
    pub(crate) fn round(&mut self, faults: &[Fault], pause: Duration) -> Result<String, Failure> {
        self.journal
            .note(&format!("round {}", self.report.rounds + 1));
        self.pass(pause)?;
        let mut done = Vec::new();
        match faults {
            [wipe] if wipe.what == What::Wipe => {
                done.extend(self.wipe(wipe)?);
            }
            _ => self.hurt(faults, &mut done)?,
        }
        self.heal()?;
        self.journal.note("healed");
        let (to_commit, to_all) = self.recover()?;
        self.report.to_commit.add(to_commit);
        self.report.to_all.add(to_all);
        self.report.rounds += 1;
        self.check_so_far()?;
        if done.is_empty() {
            done.push("nothing".to_owned());
        }
        let (commit, all) = (to_commit.as_millis(), to_all.as_millis());
        Ok(format!(
            "{}; goes on after {commit} ms, all of it after {all} ms",
            done.join(", ")
        ))
    }

    /// Lets time pass.
    fn pass(&mut self, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.look()?;
            thread::sleep(TICK);
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), Failure> {
        if self.interrupted.load(Ordering::SeqCst) {
            return Err(Failure::Interrupted);
        }
        self.quorum.look()
    }

    fn hurt(&mut self, faults: &[Fault], done: &mut Vec<String>) -> Result<(), Failure> {
        let began = Instant::now();
        let mut coming = faults.iter().peekable();
        let mut undo: Vec<(Duration, Vec<Undo>)> = Vec::new();
        while coming.peek().is_some() || !undo.is_empty() {
            let now = began.elapsed();
            while let Some(fault) = coming.next_if(|fault| fault.after <= now) {
                if let Some((what, undoing)) = self.inflict(fault)? {
                    self.journal.note(&what);
                    *self.report.faults.entry(fault.what).or_default() += 1;
                    done.push(format!("{what} for {:.1} s", fault.lasts.as_secs_f64()));
                    undo.push((now + fault.lasts, undoing));
                }
            }
            let (due, later) = undo.into_iter().partition(|(at, _)| *at <= now);
            undo = later;
            let due: Vec<(Duration, Vec<Undo>)> = due;
            for undo in due.into_iter().flat_map(|(_, undo)| undo) {
                self.journal.note(&format!("end of it: {undo:?}"));
                self.undo(undo)?;
            }
            self.look()?;
            thread::sleep(TICK);
        }
        Ok(())
    }

    /// Whom a fault hits, as things are.
    fn victims(&self, fault: &Fault) -> Vec<usize> {
        let count = self.quorum.nodes.len();
        let leader = self.quorum.leader().map_or(1, |(_, leader)| leader);
        let after = |id: usize, steps: usize| (id - 1 + steps) % count + 1;
        let first = match fault.who {
            Who::All => return (1..=count).collect(),
            Who::Leader => leader,
            Who::Follower(steps) => after(leader, steps),
            Who::Node(id) => id,
        };
        let suits = |id: &usize| {
            let node = &self.quorum.nodes[*id - 1];
            match fault.what {
                What::FullDisk => node.has_own_disk(),
                What::Clock => node.has_clock(),
                _ => true,
            }
        };
        let mut order = (0..count).map(|steps| after(first, steps));
        order.find(suits).into_iter().collect()
    }

    /// Does a fault. What to say of it, and what ends it; `None` if it cannot be done now.
    fn inflict(&mut self, fault: &Fault) -> Result<Option<(String, Vec<Undo>)>, Failure> {
        let victims = self.victims(fault);
        let name = fault.what.name();
        let mut undo = Vec::new();
        let mut said = Vec::new();
        for id in victims {
            if !self.quorum.node(id).is_well() {
                continue;
            }
            let also = self.inflict_one(fault, id, &mut undo)?;
            let Some(also) = also else { continue };
            let leads = self.quorum.leader().is_some_and(|(_, leader)| leader == id);
            let leads = if leads { " (leads)" } else { "" };
            said.push(format!("{id}{leads}{also}"));
        }
        let said = (!said.is_empty()).then(|| format!("{name} {}", said.join(" ")));
        Ok(said.map(|said| (said, undo)))
    }

    fn inflict_one(
        &mut self,
        fault: &Fault,
        id: usize,
        undo: &mut Vec<Undo>,
    ) -> Result<Option<String>, Failure> {
        let node = self.quorum.node(id);
        let mut also = String::new();
        match fault.what {
            What::Kill => {
                node.kill();
                undo.push(Undo::Start(id));
            }
            What::Stop => {
                node.stop();
                undo.push(Undo::Start(id));
            }
            What::Pause => {
                node.pause();
                undo.push(Undo::Resume(id));
            }
            What::Isolate | What::Mute | What::Deafen | What::Cut | What::CutOneWay => {
                also = self.cut_off(fault, id, undo)?;
            }
            What::SlowDisk => {
                let ms = 5 + fault.amount % 500;
                if !node.trace(Syncs::Late { ms })? {
                    return Ok(None);
                }
                also = format!(" by {ms} ms");
                undo.push(Undo::LetGo(id));
            }
            What::FailingDisk => {
                if !node.trace(Syncs::Failing)? {
                    return Ok(None);
                }
                undo.push(Undo::LetGo(id));
                undo.push(Undo::Start(id));
            }
            What::FullDisk => {
                node.fill_disk()?;
                undo.push(Undo::Free(id));
                undo.push(Undo::Start(id));
            }
            What::Clock => {
                let hours = i64::try_from(fault.amount % 97).unwrap_or(0) - 48;
                node.set_clock(hours * 3_600)?;
                also = format!(" by {hours:+} h");
            }
            // It is alone in its round, and done elsewhere.
            What::Wipe => return Ok(None),
        }
        Ok(Some(also))
    }

    /// Cuts links of a node. Says which, beside what the fault's name says.
    fn cut_off(
        &mut self,
        fault: &Fault,
        id: usize,
        undo: &mut Vec<Undo>,
    ) -> Result<String, Failure> {
        let count = self.quorum.nodes.len();
        let steps = 1 + usize::try_from(fault.amount % (count as u64 - 1)).unwrap_or(0);
        let other = (id - 1 + steps) % count + 1;
        // A leader that clients reach and others do not is the most tempting of all.
        let with_clients = fault.amount & 64 != 0;
        for (from, to) in links(fault.what, id, other, count, with_clients) {
            self.network.cut(from, to)?;
            undo.push(Undo::Mend(from, to));
        }
        Ok(match fault.what {
            What::Cut | What::CutOneWay => format!(" and {other}"),
            _ if with_clients => String::new(),
            _ => " (not from clients)".to_owned(),
        })
    }

    fn undo(&mut self, undo: Undo) -> Result<(), Failure> {
        match undo {
            // One that has not ended yet is started when everything is healed.
            Undo::Start(id) => self.quorum.node(id).start(),
            Undo::Resume(id) => {
                self.quorum.node(id).resume();
                Ok(())
            }
            Undo::Mend(from, to) => self.network.mend(from, to),
            Undo::LetGo(id) => self.quorum.node(id).let_go(),
            Undo::Free(id) => self.quorum.node(id).free_disk(),
        }
    }

    /// Takes a voter's disk away. It is safe while the two others have everything that is committed,
    /// and stay until it has that again.
    ///
    /// A voter that forgets is as dangerous in Kafka: what only it and the leader had would be lost
    /// with the leader, and it might vote twice in one epoch. Therefore it is down until something
    /// is committed that nobody had while it was up: then the others have all before that, and are
    /// in an epoch in which, and before which, nobody asks for votes any more.
    fn wipe(&mut self, fault: &Fault) -> Result<Option<String>, Failure> {
        let Some(&id) = self.victims(fault).first() else {
            return Ok(None);
        };
        self.journal
            .note(&format!("kill {id}, to take its disk away"));
        self.quorum.node(id).kill();
        let logs = self.quorum.nodes.iter();
        let longest = logs
            .map(|node| log_bytes(&node.partition()))
            .max()
            .unwrap_or(0);
        let began = Instant::now();
        while self.reader.seen().bytes() <= longest {
            self.look()?;
            self.in_time(began, "nothing is committed by two nodes of three")?;
            thread::sleep(TICK);
        }
        self.quorum.node(id).wipe()?;
        self.journal.note(&format!("{id} has lost its disk"));
        self.quorum.node(id).start()?;
        *self.report.faults.entry(What::Wipe).or_default() += 1;
        Ok(Some(format!("wipe {id}")))
    }

    /// Ends everything that may still be wrong.
    fn heal(&mut self) -> Result<(), Failure> {
        self.quorum.wait_for_stops()?;
        self.look()?;
        self.quorum.start()
    }

    /// Waits until something new is committed, and then until all nodes have it and every client was
    /// answered.
    fn recover(&mut self) -> Result<(Duration, Duration), Failure> {
        let began = Instant::now();
        let answered = self.clients.answered();
        let before = self.committed();
        while self.reader.seen().next() <= before {
            self.look()?;
            self.clients.check()?;
            self.in_time(began, "nothing new is committed")?;
            thread::sleep(TICK);
        }
        let to_commit = began.elapsed();
        let target = self.reader.seen().bytes();
        loop {
            self.look()?;
            self.clients.check()?;
            // A log may be long with what is about to be cut off.
            let lags = |node: &&Node| {
                log_bytes(&node.partition()) < target || !self.quorum.is_up_to_date(node)
            };
            let lags = self.quorum.nodes.iter().find(lags).map(|node| node.id);
            let pairs = self.clients.answered().into_iter().zip(&answered);
            let waits = pairs.into_iter().position(|(now, before)| now <= *before);
            match (lags, waits.filter(|_| self.serves_clients())) {
                (Some(id), _) => self.in_time(began, &format!("node {id} does not catch up"))?,
                (None, Some(client)) => {
                    self.in_time(began, &format!("client {client} gets no answer"))?;
                }
                (None, None) => return Ok((to_commit, began.elapsed())),
            }
            thread::sleep(TICK);
        }
    }

    /// Whether clients are answered whoever leads: Java's leaders take nothing from them.
    fn serves_clients(&self) -> bool {
        self.quorum.nodes.iter().all(|node| !node.kind.is_java())
    }

    fn in_time(&self, began: Instant, what: &str) -> Result<(), Failure> {
        if began.elapsed() < self.patience {
            return Ok(());
        }
        let seconds = self.patience.as_secs();
        let what = format!("{what} for {seconds} s, although nothing is wrong any more");
        Err(Failure::broken(what))
    }

    /// The offset up to which anybody knows the log to be committed.
    fn committed(&self) -> i64 {
        let promised = lock(&self.quorum.promises).committed();
        self.reader.seen().next().max(promised)
    }

    fn check_so_far(&self) -> Result<(), Failure> {
        self.clients.check()?;
        let mut wrong = lock(&self.quorum.promises).broken().to_vec();
        let ledger = self.clients.ledger();
        let seen = self.reader.seen();
        wrong.extend(seen.broken.iter().cloned());
        wrong.extend(seen.misplaced(&ledger.acknowledged));
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(Failure::Broken(wrong)),
        }
    }

    /// Where there are both kinds of nodes: sees to it that each has led.
    pub(crate) fn let_both_lead(&mut self) -> Result<(), Failure> {
        const MOST: usize = 12;
        for _ in 0..MOST {
            let Some(wanted) = self.who_has_not_led() else {
                return Ok(());
            };
            let Some((_, leader)) = self.quorum.leader() else {
                self.recover()?;
                continue;
            };
            let others = self.quorum.nodes.iter_mut();
            let others = others.filter(|node| node.id != leader && node.kind.is_java() != wanted);
            let paused: Vec<usize> = others
                .map(|node| {
                    node.pause();
                    node.id
                })
                .collect();
            self.quorum.node(leader).kill();
            let what = format!("kill {leader} (leads) and pause {paused:?}, for others to lead");
            self.journal.note(&what);
            // Those that are left stand for election when their fetch timers end.
            self.pass(Duration::from_millis(2_500))?;
            self.quorum.node(leader).start()?;
            let began = Instant::now();
            while self.who_has_not_led().is_some() && began.elapsed() < Duration::from_secs(5) {
                self.look()?;
                thread::sleep(TICK);
            }
            for id in paused {
                self.quorum.node(id).resume();
            }
            self.recover()?;
        }
        match self.who_has_not_led() {
            None => Ok(()),
            Some(true) => Err(Failure::broken("no Java node comes to lead")),
            Some(false) => Err(Failure::broken("none of ours comes to lead")),
        }
    }

    /// Whether it is the Java nodes that have not led yet, where one kind has not.
    fn who_has_not_led(&self) -> Option<bool> {
        [true, false].into_iter().find(|&java| {
            let mut nodes = self.quorum.nodes.iter();
            nodes.any(|node| node.kind.is_java() == java) && self.quorum.elections(java) == 0
        })
    }

    /// Lets the clients end, kills all nodes, and looks at what they leave.
    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        let mut finished = self.clients.finish();
        let serves = self.serves_clients();
        let patience = if serves {
            self.patience
        } else {
            JAVAS_PATIENCE
        };
        while !finished && began.elapsed() < patience {
            self.look()?;
            thread::sleep(TICK);
            finished = self.clients.finish();
        }
        if !finished && serves {
            return Err(Failure::broken("a batch of a client is not answered"));
        }
        self.recover_for_reader()?;
        let ledger = self.clients.ledger();
        for node in &mut self.quorum.nodes {
            node.kill();
        }
        self.journal.note("killed, to look at the logs");
        let seen = self.reader.seen().clone();
        check::check(&self.quorum, &ledger, &seen, finished)
    }

    /// Lets the consumer read what was acknowledged.
    fn recover_for_reader(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        let committed = self.committed();
        while self.reader.seen().next() < committed {
            self.look()?;
            self.in_time(began, "the consumer gets nothing")?;
            thread::sleep(TICK);
        }
        Ok(())
    }

    /// Adds what is known of this quorum.
    fn add_to_report(&mut self) {
        let ledger = self.clients.ledger();
        let report = &mut *self.report;
        report.quorums += 1;
        report.by_clients += ledger.acknowledged.iter().map(|b| b.count).sum::<u64>();
        report.by_nodes += lock(&self.quorum.promises).records();
        report.offsets += self.reader.seen().next().unsigned_abs();
        report.elections += self.quorum.leaders.len() as u64;
        report.javas_elections += self.quorum.elections(true) as u64;
        report.disk_ends += self.quorum.disk_ends;
    }

    /// Kills what runs, and leaves everything where others can look at it.
    pub(crate) fn keep(&mut self) -> Result<(), Failure> {
        self.add_to_report();
        for node in &mut self.quorum.nodes {
            node.kill();
            node.keep_disk()?;
        }
        Ok(())
    }

    /// Kills what runs, and gives disks back.
    pub(crate) fn clear(&mut self) -> Result<(), Failure> {
        self.add_to_report();
        for node in &mut self.quorum.nodes {
            node.kill();
            node.drop_disk()?;
        }
        Ok(())
    }
}

/// Java starts slowly where much else runs.
fn patience(has_java: bool) -> Duration {
    Duration::from_secs(if has_java { 60 } else { 30 })
}

/// The directions that a partition cuts.
fn links(what: What, id: usize, other: usize, count: usize, with_clients: bool) -> Vec<(End, End)> {
    let one = End::Node(id);
    let others = (1..=count).filter(|other| *other != id).map(End::Node);
    let clients = with_clients.then_some(End::Clients);
    let others: Vec<End> = others.chain(clients).collect();
    let out = others.iter().map(|other| (one, *other));
    let into = others.iter().map(|other| (*other, one));
    let other = End::Node(other);
    match what {
        What::Isolate => out.chain(into).collect(),
        What::Mute => out.collect(),
        What::Deafen => into.collect(),
        What::Cut => vec![(one, other), (other, one)],
        What::CutOneWay => vec![(one, other)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_cut_what_they_say() {
        let (one, two, three) = (End::Node(1), End::Node(2), End::Node(3));
        let mute = [(two, one), (two, three), (two, End::Clients)];
        let links = |what, with_clients| links(what, 2, 1, 3, with_clients);
        assert_eq!(links(What::Mute, true), mute);
        assert_eq!(links(What::Mute, false), mute[..2]);
        let deafen = mute.map(|(from, to)| (to, from));
        assert_eq!(links(What::Deafen, true), deafen);
        assert_eq!(links(What::Isolate, true), [mute, deafen].concat());
        assert_eq!(links(What::Cut, true), [(two, one), (one, two)]);
        assert_eq!(links(What::CutOneWay, true), [(two, one)]);
    }
}
