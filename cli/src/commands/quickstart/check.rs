//! Whether anything that was acknowledged got lost.

use kwire_raft::types::NodeId;
use kwire_server::verify::{Found, Promises, look_through};

use super::nodes::Node;
use crate::failure::Failure;

/// Reads the logs of nodes that have stopped, and says what is wrong.
pub(super) fn verify(promises: &Promises, nodes: &[Node]) -> Result<Vec<String>, Failure> {
    let found = |node: &Node| {
        let path = node.partition();
        let found = look_through(&path)
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        Ok((NodeId::try_from(node.id).unwrap_or(NodeId::MAX), found))
    };
    let logs: Result<Vec<(NodeId, Found)>, Failure> = nodes.iter().map(found).collect();
    Ok(promises.hold_against(&logs?))
}
