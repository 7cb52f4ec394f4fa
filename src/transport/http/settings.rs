use thiserror::Error;

const FRAME_HEAD: usize = 9;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const SETTING: usize = 6;
const MAX_CONCURRENT_STREAMS: u16 = 3;

/// The receiver lets us open no stream. RFC 9113 knows that for short times alone; whoever keeps it up keeps
/// what waits for a stream, for ever.
#[derive(Debug, Error, PartialEq)]
#[error("the receiver allows no request on its HTTP/2 connection (SETTINGS_MAX_CONCURRENT_STREAMS is 0)")]
pub(super) struct NoStreams;

/// Follows what comes in on an HTTP/2 connection, however it is cut, for the receiver's settings alone. Whether
/// it is HTTP/2 in all else is for the client to judge.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// What has come of the head of a frame, or of a setting.
    piece: Vec<u8>,
    /// How much is still to come of the payload of the present frame.
    payload: usize,
    /// The present frame has settings in it.
    settings: bool,
}

impl Settings {
    /// The next bytes; an error once the receiver allows no stream.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> Result<(), NoStreams> {
        while !bytes.is_empty() {
            let skips = self.payload > 0 && !self.settings;
            let taken = if skips { self.skip(bytes.len()) } else { self.take(bytes)? };
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn skip(&mut self, most: usize) -> usize {
        let skipped = self.payload.min(most);
        self.payload -= skipped;
        skipped
    }

    /// Adds to the present piece, and reads it when it is whole; gives how many bytes it took.
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
            [a, b, 0, 0, 0, 0] if u16::from_be_bytes([a, b]) == MAX_CONCURRENT_STREAMS => {
                return Err(NoStreams);
            }
            _ => self.payload -= self.piece.len(),
        }
        Ok(())
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

    /// What is made of the bytes, the same however they are cut in two, and byte by byte.
    fn followed(bytes: &[u8]) -> Result<(), NoStreams> {
        let whole = Settings::default().follow(bytes);
        for at in 0..=bytes.len() {
            let mut cut = Settings::default();
            let verdict = cut.follow(&bytes[..at]).and_then(|()| cut.follow(&bytes[at..]));
            assert_eq!(verdict, whole, "cut at {at}");
        }
        let mut slow = Settings::default();
        assert_eq!(bytes.iter().try_for_each(|byte| slow.follow(&[*byte])), whole);
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
            assert_eq!(followed(&before), Ok(()));
            assert_eq!(followed(&[before, said].concat()), Err(NoStreams));
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
            assert_eq!(followed(&bytes), Ok(()), "{bytes:?}");
        }
    }
}
