//! The signals that ask the program to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::worker::Stop;

/// Returns the request to stop. The first SIGINT or SIGTERM asks the program to stop, and the
/// second one makes it stop at once.
pub(super) fn stop() -> std::io::Result<Stop> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = Stop::default();
    let told = stop.clone();
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        tracing::info!("stopping");
        told.graceful.cancel();
        either(&mut interrupt, &mut terminate).await;
        told.immediate.cancel();
    });
    Ok(stop)
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
