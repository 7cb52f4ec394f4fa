//! File descriptors: two for each connection that a proxy carries, and the system's default may be too few.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Error;

/// Has this process open as many as the system lets it.
pub(crate) fn allow_many() -> Result<(), Error> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let done = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    Ok(done.map_err(|error| io::Error::from_raw_os_error(error.raw_os_error()))?)
}
