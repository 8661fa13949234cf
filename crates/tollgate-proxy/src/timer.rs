//! A timer for deadlines that mostly move outward.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep};

/// One timer for a sequence of deadlines. Moving a deadline outward costs nothing: the timer fires at the old one and
/// is armed again then.
#[derive(Debug, Default)]
pub(crate) struct LazyTimer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl LazyTimer {
    /// Ready once the deadline has passed; `None` is never.
    pub(crate) fn poll(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_last_deadline_counts_whichever_way_it_moved() {
        let mut timer = LazyTimer::default();
        let start = Instant::now();
        let at = |seconds| Some(start + Duration::from_secs(seconds));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(timer.poll(at(5), &mut cx).is_pending());
        assert!(timer.poll(None, &mut cx).is_pending());
        poll_fn(|cx| timer.poll(at(9), cx)).await;
        assert_eq!(Instant::now(), start + Duration::from_secs(9));
        assert!(timer.poll(at(60), &mut cx).is_pending());
        poll_fn(|cx| timer.poll(at(12), cx)).await;
        assert_eq!(Instant::now(), start + Duration::from_secs(12));
        assert!(timer.poll(at(12), &mut cx).is_ready());
    }
}
