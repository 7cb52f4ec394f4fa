//! A process that stands still (SIGSTOP) for longer than its leases hold, and goes on (SIGCONT).

use crate::harness::host::Bug;
use crate::harness::standstill;
use crate::schema;

pub(crate) fn holds() {
    let faults = standstill::run(Bug::None, &schema().0);
    assert!(faults.is_empty(), "{} faults: {faults:#?}", faults.len());
}

pub(crate) fn catches_a_process_that_trusts_its_leases() {
    let faults = standstill::run(Bug::TrustsItsLeases, &schema().0);
    let is_seen = faults.iter().any(|fault| fault.contains("after its lease had ended"));
    assert!(is_seen, "it went unseen: {faults:?}");
}
