//! Every state within the bounds, breadth first, so that the first violation has the shortest
//! trace.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use crate::witness::Witnesses;
use crate::world::{Action, Model, World};

/// What an exploration found.
pub struct Found {
    /// Distinct states.
    pub states: usize,
    /// Steps from one to another.
    pub transitions: u64,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    /// Steps that led beyond the bound of epochs.
    pub beyond: u64,
    /// Steps after which a late message was lost because too many were late.
    pub lost: u64,
    /// What was seen.
    pub witnesses: Witnesses,
    /// How long it took.
    pub took: Duration,
    /// Why it ended, unless every state was looked at.
    pub failure: Option<Failure>,
    /// States of nodes, messages, and steps of nodes.
    pub sizes: (usize, usize, usize),
}

/// Why an exploration failed.
pub struct Failure {
    /// The property, or the cap.
    pub what: String,
    /// What happened, and the nodes after each.
    pub trace: Vec<(String, String)>,
}

#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("fingerprints are numbers");
    }

    fn write_u64(&mut self, i: u64) {
        self.0 = i;
    }
}

/// From each state to the one that it was first reached from.
type Parents = HashMap<u64, u64, BuildHasherDefault<Itself>>;

/// Looks at every state that can be reached from one.
pub fn explore(model: &mut Model, root: World) -> Found {
    let start = Instant::now();
    let mut found = Found {
        states: 1,
        transitions: 0,
        depth: 0,
        beyond: 0,
        lost: 0,
        witnesses: Witnesses::default(),
        took: Duration::ZERO,
        failure: None,
        sizes: (0, 0, 0),
    };
    let mut parents = Parents::default();
    parents.insert(root.fingerprint(), root.fingerprint());
    let mut level = vec![root];
    'levels: while !level.is_empty() {
        let mut next = Vec::new();
        for world in &level {
            let ended = expand(model, world, &mut parents, &mut next, &mut found);
            if let Err((action, what)) = ended {
                let mut trace = trace(model, root, world, &parents);
                trace.push((model.describe(action), String::new()));
                found.failure = Some(Failure { what, trace });
                break 'levels;
            }
            if parents.len() > model.bounds.max_states {
                let what = format!("more than {} states", model.bounds.max_states);
                let trace = Vec::new();
                found.failure = Some(Failure { what, trace });
                break 'levels;
            }
        }
        found.depth += usize::from(!next.is_empty());
        level = next;
    }
    found.states = parents.len();
    found.took = start.elapsed();
    found.sizes = model.catalog.sizes();
    found
}

fn expand(
    model: &mut Model,
    world: &World,
    parents: &mut Parents,
    next: &mut Vec<World>,
    found: &mut Found,
) -> Result<(), (Action, String)> {
    let from = world.fingerprint();
    for action in model.actions(world) {
        let outcome = model.apply(world, action).map_err(|what| (action, what))?;
        found.witnesses.merge(outcome.witnesses);
        found.beyond += u64::from(outcome.is_beyond);
        found.lost += u64::from(outcome.lost);
        for after in outcome.worlds {
            found.transitions += 1;
            parents.entry(after.fingerprint()).or_insert_with(|| {
                next.push(after);
                from
            });
        }
    }
    Ok(())
}

/// How a state was reached.
fn trace(model: &mut Model, root: World, last: &World, parents: &Parents) -> Vec<(String, String)> {
    let mut way = vec![last.fingerprint()];
    while let Some(&at) = way.last()
        && at != root.fingerprint()
        && let Some(&parent) = parents.get(&at)
    {
        way.push(parent);
    }
    way.reverse();
    let mut world = root;
    let mut trace = vec![("the start".to_owned(), model.show(&root))];
    for wanted in way.into_iter().skip(1) {
        let step = model.actions(&world).into_iter().find_map(|action| {
            let worlds = model.apply(&world, action).ok()?.worlds;
            let after = worlds.into_iter().find(|w| w.fingerprint() == wanted)?;
            Some((action, after))
        });
        let Some((action, after)) = step else { break };
        trace.push((model.describe(action), model.show(&after)));
        world = after;
    }
    trace
}
