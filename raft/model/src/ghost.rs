//! What the properties remember of the past, and the properties of all nodes together.

use kwire_raft::node::RoleName;
use kwire_raft::types::{Epoch, NodeId, Offset, ReplicaKey};

use crate::view::{Place, View};

/// The past, as far as a property needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ghost {
    /// Who led which epoch.
    leaders: Vec<(Epoch, NodeId)>,
    /// The vote of each node that others can know of: the epoch, and for whom.
    votes: Vec<Option<(Epoch, NodeId)>>,
    /// Everything that any node ever took for committed.
    committed: Vec<Place>,
    /// The epoch in which each of these was committed.
    committed_in: Vec<Epoch>,
}

impl Ghost {
    /// Nothing happened yet to so many nodes.
    #[must_use]
    pub fn new(nodes: usize) -> Ghost {
        Ghost {
            votes: vec![None; nodes],
            ..Ghost::default()
        }
    }

    /// Where the committed records end.
    #[must_use]
    pub fn committed_end(&self) -> Offset {
        self.committed.last().map_or(0, |last| last.end)
    }

    /// A node lost its disk: whatever it promised, this is another replica.
    pub fn forget_votes_of(&mut self, node: usize) {
        self.votes[node] = None;
    }

    /// Others can know of a vote.
    ///
    /// # Errors
    /// When that node voted for somebody else in that epoch.
    pub fn vote(&mut self, node: usize, epoch: Epoch, candidate: NodeId) -> Result<(), String> {
        if let Some((known, other)) = self.votes[node]
            && (known > epoch || (known == epoch && other != candidate))
        {
            return Err(format!(
                "node {node} votes for {candidate} in epoch {epoch}, after it voted for {other} in epoch {known}"
            ));
        }
        self.votes[node] = Some((epoch, candidate));
        Ok(())
    }

    /// Looks at a node that changed.
    ///
    /// # Errors
    /// The property that does not hold.
    pub fn look(&mut self, before: &View, after: &View, views: &[&View]) -> Result<(), String> {
        self.one_leader(after)?;
        let id = after.key.id;
        let took_over = after.role == RoleName::Leader
            && (before.role != RoleName::Leader || before.epoch != after.epoch);
        // A leader of an earlier epoch may be elected late: it will not commit anything.
        let mut earlier = self.committed.iter().zip(&self.committed_in);
        let lacks = |(place, epoch): &(&Place, &Epoch)| {
            **epoch < after.epoch && after.content(place.end) != Some(place.content)
        };
        if took_over && let Some((place, _)) = earlier.find(lacks) {
            let (end, epoch) = (place.end, after.epoch);
            return Err(format!(
                "node {id} leads epoch {epoch} without the records up to {end}, which were committed"
            ));
        }
        let Some(upto) = after.high_watermark.filter(|upto| *upto > 0) else {
            return Ok(());
        };
        let Some(content) = after.content(upto) else {
            return Err(format!(
                "node {id}: its high watermark {upto} is within a batch"
            ));
        };
        match self.committed.iter().find(|place| place.end == upto) {
            Some(place) if place.content == content => Ok(()),
            Some(_) => Err(format!(
                "node {id} takes other records up to {upto} for committed than somebody before"
            )),
            None if upto < self.committed_end() => Err(format!(
                "node {id}: offset {upto} is within a batch that is committed"
            )),
            None => self.commit(after, upto, views),
        }
    }

    fn one_leader(&mut self, view: &View) -> Result<(), String> {
        let (epoch, id) = (view.epoch, view.key.id);
        let known = self
            .leaders
            .iter()
            .find(|(led, _)| *led == epoch)
            .map(|(_, id)| *id);
        // Who wins an election while it shuts down resigns in the same step.
        if matches!(view.role, RoleName::Leader | RoleName::Resigned) {
            match known {
                None => self.leaders.push((epoch, id)),
                Some(known) if known == id => {}
                Some(other) => {
                    return Err(format!("nodes {other} and {id} both lead epoch {epoch}"));
                }
            }
        } else if let Some(leader) = view.leader
            && known != Some(leader)
        {
            return Err(format!(
                "node {id} believes that {leader} leads epoch {epoch}, which {known:?} led"
            ));
        }
        Ok(())
    }

    fn commit(&mut self, view: &View, upto: Offset, views: &[&View]) -> Result<(), String> {
        if let Some(last) = self.committed.last()
            && view.content(last.end) != Some(last.content)
        {
            let (id, end) = (view.key.id, last.end);
            return Err(format!(
                "node {id} commits up to {upto} without the records up to {end}, which were committed"
            ));
        }
        let news = view.log.iter().filter(|place| place.end <= upto);
        self.committed = news.copied().collect();
        self.committed_in.resize(self.committed.len(), view.epoch);
        self.majority_has(&view.voters, views)
    }

    /// Whether a majority of voters has everything that is committed, whatever crashes.
    ///
    /// # Errors
    /// When it does not.
    pub fn majority_has(&self, voters: &[ReplicaKey], views: &[&View]) -> Result<(), String> {
        let Some(last) = self.committed.last() else {
            return Ok(());
        };
        let is_voter = |view: &&&View| {
            let same = |voter: &&ReplicaKey| voter.id == view.key.id;
            let voter = voters.iter().find(same);
            voter.is_some_and(|voter| {
                voter.directory_id.is_none() || voter.directory_id == view.key.directory_id
            })
        };
        let has = |view: &&&View| view.durable_content(last.end) == Some(last.content);
        let count = views.iter().filter(is_voter).filter(has).count();
        if count > voters.len() / 2 {
            return Ok(());
        }
        let (end, all) = (last.end, voters.len());
        Err(format!(
            "the records up to {end} are committed, and durable on {count} of {all} voters only"
        ))
    }

    /// Forgets what no property can ask for any more, so that states with the same future are
    /// equal.
    pub fn forget(&mut self, views: &[&View]) {
        for (vote, view) in self.votes.iter_mut().zip(views) {
            if vote.is_some_and(|(epoch, _)| epoch < view.epoch) {
                *vote = None;
            }
        }
        let least = views.iter().map(|view| view.epoch).min().unwrap_or(0);
        self.leaders.retain(|(epoch, _)| *epoch >= least);
        self.leaders.sort_unstable();
    }
}
