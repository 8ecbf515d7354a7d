//! Bodies that are made while they are sent, and break off or pause where they are told to.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Body;
use hyper::body::Bytes;
use hyper::body::Frame;
use tokio::time::Sleep;
use tokio::time::sleep;

/// What comes next.
pub(crate) enum Piece {
    Bytes(Bytes),
    Pause(Duration),
    /// The connection ends here.
    Break,
}

/// A body of pieces.
pub(crate) struct Pieces {
    next: Box<dyn FnMut() -> Option<Piece> + Send>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Pieces {
    pub(crate) fn new(next: impl FnMut() -> Option<Piece> + Send + 'static) -> Self {
        Self { next: Box::new(next), pause: None }
    }

    /// One piece.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        let mut whole = Some(Piece::Bytes(bytes.into()));
        Self::new(move || whole.take())
    }

    /// All of it, in steps of some bytes, each after a pause.
    pub(crate) fn slowly(bytes: impl Into<Bytes>, step: usize, pause: Duration) -> Self {
        let (mut rest, mut is_turn_of_pause): (Bytes, bool) = (bytes.into(), false);
        Self::new(move || {
            is_turn_of_pause = !is_turn_of_pause;
            if rest.is_empty() {
                None
            } else if is_turn_of_pause {
                Some(Piece::Pause(pause))
            } else {
                let len = step.min(rest.len());
                Some(Piece::Bytes(rest.split_to(len)))
            }
        })
    }

    /// All of it, and no end.
    pub(crate) fn then_silence(bytes: impl Into<Bytes>) -> Self {
        let mut whole = Some(Piece::Bytes(bytes.into()));
        Self::new(move || whole.take().or(Some(Piece::Pause(Duration::from_secs(3_600)))))
    }

    /// The first bytes of it, then none.
    pub(crate) fn cut(bytes: impl Into<Bytes>, after: usize) -> Self {
        let mut left: Bytes = bytes.into();
        left.truncate(after);
        // a moment for what was written to leave
        let pause = Piece::Pause(Duration::from_millis(50));
        let mut pieces = vec![Piece::Break, pause, Piece::Bytes(left)];
        Self::new(move || pieces.pop())
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                if pause.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                self.pause = None;
            }
            match (self.next)() {
                Some(Piece::Bytes(bytes)) if bytes.is_empty() => {}
                Some(Piece::Bytes(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Piece::Pause(time)) => self.pause = Some(Box::pin(sleep(time))),
                Some(Piece::Break) => {
                    let broken = io::Error::from(io::ErrorKind::ConnectionReset);
                    return Poll::Ready(Some(Err(broken)));
                }
                None => return Poll::Ready(None),
            }
        }
    }
}
