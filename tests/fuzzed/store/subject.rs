//! The store under test, sound or with a planted fault.

use std::sync::Arc;

use hookwire::clock::ManualClock;
use hookwire::store::{ClaimRequest, Claimed, Settled, Settlement, Store, StoreError};

use super::model::Model;

/// A way in which the store is wrong on purpose.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    ForgetsBackoffs,
    None,
    OneTooMany,
    StaleFence,
}

/// The store under test, the clock that it goes by, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: ManualClock,
    pub(super) fault: Fault,
}

impl Subject {
    pub(super) async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let limit = request.limit + usize::from(self.fault == Fault::OneTooMany);
        self.store.claim(&ClaimRequest { limit, ..*request }).await
    }

    pub(super) async fn settle(&self, model: &Model, item: Settlement) -> Result<Settled, StoreError> {
        let item = match self.fault {
            Fault::StaleFence => {
                let present = model.rows.get(&item.id).and_then(|row| row.fence());
                Settlement { fence: present.unwrap_or(item.fence), ..item }
            }
            Fault::ForgetsBackoffs => Settlement { backoff: None, ..item },
            Fault::None | Fault::OneTooMany => item,
        };
        Ok(self.store.settle(&[item]).await?[0])
    }
}
