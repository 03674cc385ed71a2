//! Record batches of 1 MiB, for each compression.
//!
//! Everybody checks the checksum. What is decoded are records that borrow nothing; iterating is
//! for the libraries that can look at records without making values of them. A codec's level is
//! each library's own default.

mod kwire;
mod peers;

use bytes::Bytes;
use kwire_protocol::records::Compression;

use crate::cases::record_batch;
use crate::timing::{Entry, Plan};

/// Times what the plan wants; the cases are called by their compression.
pub fn run(plan: &Plan) {
    for compression in Compression::ALL {
        if plan.wants_case(compression.name()) {
            let batch = Batch {
                compression,
                bytes: record_batch(compression).into(),
            };
            plan.run(compression.name(), batch.entries());
        }
    }
}

struct Batch {
    compression: Compression,
    bytes: Bytes,
}

impl Batch {
    fn entries(&self) -> Vec<Entry<'_>> {
        let mut entries = kwire::entries(self);
        entries.extend(peers::by_hand(self));
        entries.extend(peers::kafka_protocol(self));
        entries.extend(peers::krabka(self));
        entries.extend(peers::kacrab(self));
        entries
    }

    /// Whether a peer wrote the same records: the same bytes, if they are not compressed.
    fn check(&self, peer: &str, written: &[u8]) {
        let values = |bytes: &[u8]| {
            let records = kwire::owned(&Bytes::copy_from_slice(bytes)).expect("decodes");
            records
                .into_iter()
                .map(|record| record.value)
                .collect::<Vec<_>>()
        };
        if self.compression == Compression::None {
            assert!(written == self.bytes, "{peer} writes another batch");
        }
        assert!(
            values(written) == values(&self.bytes),
            "{peer} writes other records, {}",
            self.compression
        );
    }
}
