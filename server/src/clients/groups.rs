//! stub
use std::io;

use bytes::Bytes;

use super::{Answer, Caller, Clients, Head, refuse};

/// Stub.
#[derive(Clone)]
pub struct Coordinator;

impl Coordinator {
    /// Stub.
    #[must_use]
    pub fn new(_: u64) -> Coordinator {
        Coordinator
    }
}

impl Clients {
    pub(super) async fn group_request(
        &self,
        _: Caller,
        head: &Head,
        _: &Bytes,
    ) -> io::Result<Answer> {
        let _ = &self.coordinator;
        refuse::unsupported(head)
    }
}
