//! What is to go wrong in a round, and when: drawn from a seed.

use std::time::Duration;

use clap::ValueEnum;
use kwire_server::record::Random;

use crate::node::Kind;
use crate::sandbox::Abilities;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum What {
    /// `kill -9`, and started again.
    Kill,
    /// `SIGTERM`, which hands over, and started again.
    Stop,
    /// `SIGSTOP`, and later `SIGCONT`.
    Pause,
    /// Cut off from all others, and perhaps from the clients.
    Isolate,
    /// Nothing that it sends arrives.
    Mute,
    /// Nothing that is sent to it arrives.
    Deafen,
    /// It and another node do not reach each other.
    Cut,
    /// Nothing that it sends to one other node arrives.
    CutOneWay,
    /// Syncs of its disk take longer.
    SlowDisk,
    /// Syncs of its disk fail: it has to end.
    FailingDisk,
    /// There is no room on its disk: it has to end.
    FullDisk,
    /// Its clock jumps by hours, and stays so.
    Clock,
    /// It ends and loses its disk; nothing else happens in that round.
    Wipe,
}

/// To whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Who leads when it happens.
    Leader,
    /// Somebody else: the next after the leader, or the one after that.
    Follower(usize),
    /// One of them, whatever it is.
    Node(usize),
    /// All of them.
    All,
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) what: What,
    pub(crate) who: Who,
    /// From the beginning of the round.
    pub(crate) after: Duration,
    pub(crate) lasts: Duration,
    /// How much of it, for what there is more or less of.
    pub(crate) amount: u64,
}

impl What {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it can be done on this machine, to such nodes.
    fn is_possible(self, abilities: &Abilities, kinds: &[Kind]) -> bool {
        let has_ours = kinds.contains(&Kind::Ours);
        match self {
            What::Kill | What::Stop | What::Pause | What::Wipe => true,
            What::Isolate | What::Mute | What::Deafen | What::Cut | What::CutOneWay => {
                abilities.sandbox
            }
            What::SlowDisk | What::FailingDisk => abilities.strace,
            What::FullDisk => abilities.sandbox,
            What::Clock => abilities.faketime.is_some() && has_ours,
        }
    }

    /// Everything that can be done, and was asked for.
    pub(crate) fn possible(abilities: &Abilities, kinds: &[Kind], only: &[What]) -> Vec<What> {
        let all = What::value_variants().iter().copied();
        all.filter(|what| what.is_possible(abilities, kinds))
            .filter(|what| only.is_empty() || only.contains(what))
            .collect()
    }
}

/// Draws the faults of a round.
pub(crate) fn draw(random: &mut Random, possible: &[What], nodes: usize) -> Vec<Fault> {
    // One alone as often as several at once.
    let count = [1, 1, 2, 3][below(random, 4)];
    let mut faults: Vec<Fault> = (0..count).map(|_| fault(random, possible, nodes)).collect();
    if let Some(wipe) = faults
        .iter()
        .copied()
        .find(|fault| fault.what == What::Wipe)
    {
        faults = vec![wipe];
    }
    faults.sort_by_key(|fault| fault.after);
    faults
}

fn fault(random: &mut Random, possible: &[What], nodes: usize) -> Fault {
    let what = possible[below(random, possible.len())];
    let who = match below(random, 8) {
        0..=2 => Who::Leader,
        3..=4 => Who::Follower(1 + below(random, nodes - 1)),
        5 if matches!(what, What::Kill | What::Stop | What::Pause) => Who::All,
        _ => Who::Node(1 + below(random, nodes)),
    };
    // Short ones more often: the timers are about a second.
    let lasts = match below(random, 3) {
        0 => 100 + below(random, 400),
        1 => 500 + below(random, 1_500),
        _ => 2_000 + below(random, 3_000),
    };
    Fault {
        what,
        who,
        after: Duration::from_millis(below(random, 1_500) as u64),
        lasts: Duration::from_millis(lasts as u64),
        amount: random.number(),
    }
}

fn below(random: &mut Random, bound: usize) -> usize {
    usize::try_from(random.number() % bound as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(java: usize) -> Vec<Kind> {
        let java = (0..java).map(|_| Kind::Java("4.3.1".to_owned()));
        java.chain([Kind::Ours, Kind::Ours]).take(3).collect()
    }

    #[test]
    fn a_seed_draws_the_same_again() {
        let possible = What::value_variants();
        let draw = |seed| draw(&mut Random::new(seed), possible, 3);
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn a_machine_without_anything_still_kills() {
        let possible = What::possible(&Abilities::default(), &kinds(1), &[]);
        let expected = [What::Kill, What::Stop, What::Pause, What::Wipe];
        assert_eq!(possible, expected);
        let possible = What::possible(&Abilities::default(), &kinds(1), &[What::Kill, What::Cut]);
        assert_eq!(possible, [What::Kill]);
    }

    #[test]
    fn a_lost_disk_is_alone_in_its_round() {
        let possible = [What::Wipe, What::Kill];
        let mut random = Random::new(1);
        for _ in 0..100 {
            let faults = draw(&mut random, &possible, 3);
            let wipes = faults.iter().any(|fault| fault.what == What::Wipe);
            assert!(!wipes || faults.len() == 1, "{faults:?}");
        }
    }
}
