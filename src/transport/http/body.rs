//! Reading a response's body, which never undoes the head.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Extensions, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::transport::incomplete::IncompleteBody;

/// How long the body may take after the head. The head has the outcome; the body is for the log.
pub(super) const MAX_TIME: Duration = Duration::from_secs(2);

/// Reads up to `most` bytes of the body for up to `time`, and marks the response if the body did not come to its
/// end in that time.
pub(super) async fn collect(response: Response<Incoming>, most: usize, time: Duration) -> Response<Bytes> {
    let (mut head, mut body) = response.into_parts();
    // The client's own extensions hold the connection.
    head.extensions = Extensions::new();
    let mut kept = BytesMut::new();
    if !matches!(timeout(time.min(MAX_TIME), read(&mut body, &mut kept, most)).await, Ok(Ok(()))) {
        head.extensions.insert(IncompleteBody);
    }
    kept.truncate(most);
    Response::from_parts(head, kept.freeze())
}

/// Reads to the end of the body, or until more than `most` bytes have come. Dropping the rest unread ends the
/// exchange.
async fn read(body: &mut Incoming, kept: &mut BytesMut, most: usize) -> Result<(), hyper::Error> {
    while kept.len() <= most
        && let Some(frame) = body.frame().await.transpose()?
    {
        if let Ok(data) = frame.into_data() {
            kept.extend_from_slice(&data);
        }
    }
    Ok(())
}
