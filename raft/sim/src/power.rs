//! Machines are switched on, and lose their power.

use kwire_raft::node::RoleName;

use crate::app::App;
use crate::clock::Micros;
use crate::disk::SimLog;
use crate::host::{Machine, SimDriver};
use crate::marks::Mark;
use crate::world::World;

impl<L: SimLog> World<L> {
    /// Something of importance has just left this machine: the worst moment to lose power.
    pub(crate) fn tempt(&mut self, host: usize) {
        if !self.recovery.is_healed() && self.luck.permille(self.options.faults.at_the_worst) {
            self.doomed = Some(host);
        }
    }

    /// Starts a machine.
    pub(crate) fn start(&mut self, host: usize) {
        let now = self.hosts[host].now(self.now);
        let machine = &mut self.hosts[host];
        if machine.is_gone || machine.is_on() {
            return;
        }
        let Machine::Off(off) = std::mem::replace(&mut machine.machine, Machine::Between) else {
            unreachable!("it was asked");
        };
        machine.incarnation += 1;
        machine.timer_at = Micros::MAX;
        machine.is_stopping = false;
        let mut config = machine.config.clone();
        config.seed = self.options.seed ^ (u64::from(machine.incarnation) << 8) ^ host as u64;
        let disk = if self.options.asynchronous {
            kwire_raft::driver::Disk::Asynchronous
        } else {
            kwire_raft::driver::Disk::Synchronous
        };
        let (log, state) = *off;
        match SimDriver::new(now, config, disk, log, state) {
            Ok(driver) => {
                let role = driver.node().role();
                machine.machine = Machine::On(Box::new((driver, App::default())));
                self.started(host, role);
            }
            Err(error) => {
                // The disk went down with it.
                self.hosts[host].machine = Machine::Off(Box::new((
                    crate::disk::Disk::format(None),
                    Default::default(),
                )));
                self.broken("start", format!("machine {host}: {error}"));
            }
        }
    }

    fn started(&mut self, host: usize, role: RoleName) {
        self.note(Some(host), format_args!("starts as {role:?}"));
        match role {
            RoleName::Resigned => self.marks.hit(Mark::RestartedResigned),
            RoleName::Candidate => self.marks.hit(Mark::RestartedCandidate),
            RoleName::Follower => self.marks.hit(Mark::RestartedFollower),
            _ => {}
        }
        self.roles[host] = Some(role);
        self.cuts[host] = (0, 0);
        if role == RoleName::Leader {
            self.marks.hit(Mark::Elected);
        }
        self.drain(host);
    }

    /// Takes the power from a machine.
    pub(crate) fn crash(&mut self, host: usize) {
        let seed = match self.disk.below(4) {
            0 => 0,
            1 => u64::MAX,
            _ => self.disk.draw(),
        };
        self.look_at_ranges_of(host);
        let machine = &mut self.hosts[host];
        let Machine::On(on) = std::mem::replace(&mut machine.machine, Machine::Between) else {
            unreachable!("only a running machine crashes");
        };
        let (mut log, mut state) = on.0.into_stores();
        state.crash();
        let lost = log.crash(seed);
        machine.machine = Machine::Off(Box::new((log, state)));
        machine.paused_until = 0;
        self.roles[host] = None;
        match lost {
            Ok(lost) => {
                if lost > 0 {
                    self.marks.hit(Mark::CrashLostRecords);
                }
                self.note(Some(host), format_args!("is off, without {lost} records"));
            }
            Err(error) => self.broken("store", format!("machine {host}: {error}")),
        }
    }
}
