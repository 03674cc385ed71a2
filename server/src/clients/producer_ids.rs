//! InitProducerId (KIP-98): ids for idempotent producers. There are no transactions.

use std::io;

use bytes::Bytes;
use kwire_protocol::ErrorCode;
use kwire_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use super::{Answer, Clients, Head};

impl Clients {
    pub(super) async fn init_producer_id(&self, head: &Head, body: &Bytes) -> io::Result<Answer> {
        let request: InitProducerIdRequest<'static> = head.decode(body)?;
        let mut response = InitProducerIdResponse {
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        if request.transactional_id.is_some() {
            response.error_code = ErrorCode::INVALID_REQUEST.0;
            return head.answer(&response);
        }
        let status = *self.node.status().borrow();
        let id = match status.leads_from {
            Some(_) => self.shared.machine.lock().producers.new_id(status.epoch),
            None => None,
        };
        match id {
            Some(id) => (response.producer_id, response.producer_epoch) = (id, 0),
            // The leader gives them out, and it is not known or does not answer: clients ask again.
            None => response.error_code = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.0,
        }
        head.answer(&response)
    }
}
