//! Reading HTTP/2 SETTINGS frames from a byte stream. Pure; `settings_watch` feeds it.

use thiserror::Error;

const FRAME_HEAD: usize = 9;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const SETTING: usize = 6;
const MAX_CONCURRENT_STREAMS: u16 = 3;

/// The error of a receiver that allows no stream. RFC 9113 permits that for short times only; if it lasted,
/// requests would wait for a stream for ever.
#[derive(Debug, Error, PartialEq)]
#[error("the receiver allows no request on its HTTP/2 connection (SETTINGS_MAX_CONCURRENT_STREAMS is 0)")]
pub(super) struct NoStreams;

/// A reader of the settings in the bytes of an HTTP/2 connection, however they are split. It ignores all
/// other frames and leaves their validation to the client.
#[derive(Debug, Default)]
pub(super) struct SettingsReader {
    /// The bytes read so far of a frame head or of a setting.
    piece: Vec<u8>,
    /// The number of bytes left in the payload of the current frame.
    payload: usize,
    /// Whether the current frame holds settings.
    settings: bool,
    /// The streams allowed at once. `None` until the first settings have come.
    streams: Option<u32>,
}

impl SettingsReader {
    /// Reads the next bytes. Returns an error once the receiver allows no stream.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), NoStreams> {
        while !bytes.is_empty() {
            let skips = self.payload > 0 && !self.settings;
            let taken = if skips { self.skip(bytes.len()) } else { self.take(bytes)? };
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// Returns the number of streams that the receiver allows at once, once its first settings have come whole.
    /// Without a limit it is `u32::MAX`.
    pub(super) fn streams(&self) -> Option<u32> {
        self.streams
    }

    fn skip(&mut self, most: usize) -> usize {
        let skipped = self.payload.min(most);
        self.payload -= skipped;
        skipped
    }

    /// Adds to the current piece, and parses it when it is whole. Returns how many bytes it took.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, NoStreams> {
        let whole = if self.payload == 0 { FRAME_HEAD } else { SETTING.min(self.payload) };
        let taken = bytes.len().min(whole - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == whole {
            self.read()?;
            self.piece.clear();
        }
        Ok(taken)
    }

    fn read(&mut self) -> Result<(), NoStreams> {
        match *self.piece {
            [a, b, c, kind, flags, ..] if self.payload == 0 => {
                self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
                self.settings = kind == SETTINGS && flags & ACK == 0;
            }
            [a, b, c, d, e, f] if u16::from_be_bytes([a, b]) == MAX_CONCURRENT_STREAMS => {
                self.payload -= SETTING;
                self.streams = Some(u32::from_be_bytes([c, d, e, f]));
            }
            _ => self.payload -= self.piece.len(),
        }
        if self.settings && self.payload == 0 {
            self.streams.get_or_insert(u32::MAX);
        }
        if self.streams == Some(0) { Err(NoStreams) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 0], payload].concat()
    }

    fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
        let each = settings.iter().map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
        frame(SETTINGS, 0, &each.collect::<Vec<_>>().concat())
    }

    /// Returns the result for the bytes, which is the same however they are split.
    fn fed(bytes: &[u8]) -> Result<(), NoStreams> {
        let whole = SettingsReader::default().feed(bytes);
        for at in 0..=bytes.len() {
            let mut cut = SettingsReader::default();
            let verdict = cut.feed(&bytes[..at]).and_then(|()| cut.feed(&bytes[at..]));
            assert_eq!(verdict, whole, "cut at {at}");
        }
        let mut slow = SettingsReader::default();
        assert_eq!(bytes.iter().try_for_each(|byte| slow.feed(&[*byte])), whole);
        whole
    }

    #[test]
    fn no_stream_is_found_wherever_it_is_said() {
        let none = settings(&[(3, 0)]);
        for (before, said) in [
            (vec![], none.clone()),
            (vec![], settings(&[(4, 0), (3, 100), (3, 0), (5, 16384)])),
            (settings(&[]), none.clone()),
            (settings(&[(3, 100)]), none.clone()),
            (frame(SETTINGS, ACK, &[]), none.clone()),
            (frame(PING, 0, &[0; 8]), none.clone()),
            (frame(0, 1, &[4; 300]), none.clone()),
            (frame(200, 255, &[0; 7]), none),
        ] {
            assert_eq!(fed(&before), Ok(()));
            assert_eq!(fed(&[before, said].concat()), Err(NoStreams));
        }
    }

    #[test]
    fn the_allowed_streams_are_known_from_the_first_settings_on() {
        let first = settings(&[(4, 0), (3, 8), (5, 16384)]);
        for (said, streams) in [
            (vec![], None),
            (frame(SETTINGS, ACK, &[]), None),
            (frame(PING, 0, &[0; 8]), None),
            (first[..FRAME_HEAD + SETTING].to_vec(), None),
            (settings(&[]), Some(u32::MAX)),
            (settings(&[(4, 0)]), Some(u32::MAX)),
            (first.clone(), Some(8)),
            ([first.clone(), settings(&[(4, 0)])].concat(), Some(8)),
            ([first, settings(&[(3, 1)])].concat(), Some(1)),
        ] {
            let mut reader = SettingsReader::default();
            assert_eq!(said.iter().try_for_each(|byte| reader.feed(&[*byte])), Ok(()));
            assert_eq!(reader.streams(), streams, "{said:?}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_passed_over() {
        let none = settings(&[(3, 0)]);
        for bytes in [
            settings(&[(3, 1), (1, 0), (2, 0), (4, 0), (3, u32::MAX), (0x0300, 0)]),
            frame(0, 0, &none),
            frame(SETTINGS, ACK, &none[FRAME_HEAD..]),
            frame(SETTINGS, 0, &[0, 3, 0, 0, 0]),
            [frame(SETTINGS, 0, &[0; 7]), settings(&[(3, 9)])].concat(),
            vec![],
        ] {
            assert_eq!(fed(&bytes), Ok(()), "{bytes:?}");
        }
    }
}
