use tollgate_model::{
    listener::ConnectionLimits,
    overload::{OverloadAction, OverloadThreshold, OverloadTrigger, Resource, ResourceMonitor},
};

use super::*;
use crate::stats::Stats;

fn with(overload: OverloadManager) -> Arc<Snapshot> {
    Arc::new(Snapshot { overload, ..Snapshot::default() })
}

#[test]
fn limits_of_connections() {
    let overload = Overload::new(
        with(OverloadManager { max_downstream_connections: Some(3), ..OverloadManager::default() }),
        None,
    );
    let connections = &overload.connections;
    let (one, other) = (connections.of_listener("one"), connections.of_listener("other"));
    let limited = ConnectionLimits { max_connections: Some(1), ..ConnectionLimits::default() };
    let free = ConnectionLimits::default();
    let first = connections.admit(&one, limited).unwrap();
    assert_eq!(
        connections.admit(&connections.of_listener("one"), limited).unwrap_err(),
        Refused::ListenerLimit
    );
    let kept = [connections.admit(&other, free).unwrap(), connections.admit(&other, free).unwrap()];
    assert_eq!(connections.admit(&other, free).unwrap_err(), Refused::GlobalLimit);
    assert!((connections.pressure() - 1.0).abs() < 1e-9);
    let ignoring = ConnectionLimits { ignore_global_limit: true, ..free };
    drop(connections.admit(&other, ignoring).unwrap());
    drop(first);
    drop(connections.admit(&one, limited).unwrap());
    drop(kept);
    assert!(connections.pressure() < 1e-9);
    // Where none is configured another limit holds.
    let overload = Overload::new(with(OverloadManager::default()), Some(1));
    let kept = overload.connections.admit(&other, free).unwrap();
    assert_eq!(overload.connections.admit(&other, free).unwrap_err(), Refused::GlobalLimit);
    drop(kept);
}

/// The action follows the number in a file, and stops when it is not configured any more.
#[tokio::test]
async fn actions_follow_their_resources() {
    let file = std::env::temp_dir().join(format!("tollgate-{}-pressure", std::process::id()));
    std::fs::write(&file, "0.5").unwrap();
    let scaled = OverloadThreshold::Scaled { scaling: 0.5, saturation: 1.0 };
    let manager = OverloadManager {
        refresh_interval: Duration::from_millis(10),
        resources: vec![Resource {
            name: "file".to_owned(),
            monitor: ResourceMonitor::Injected { filename: file.clone() },
        }],
        actions: vec![
            OverloadAction {
                kind: OverloadActionKind::StopAcceptingConnections,
                triggers: vec![OverloadTrigger { resource: 0, threshold: OverloadThreshold::Fixed(0.9) }],
            },
            OverloadAction {
                kind: OverloadActionKind::ResetHighMemoryStream,
                triggers: vec![OverloadTrigger { resource: 0, threshold: OverloadThreshold::Fixed(0.9) }],
            },
            OverloadAction {
                kind: OverloadActionKind::StopAcceptingRequests,
                triggers: vec![OverloadTrigger { resource: 0, threshold: scaled }],
            },
        ],
        ..OverloadManager::default()
    };
    let overload = Overload::new(with(manager), None);
    let stats = Stats::new();
    overload.clone().watch(WorkerStats::new(stats.clone(), 0), &Handle::current());
    let mut stop = overload.stop_accepting();
    assert!(!*stop.borrow());
    std::fs::write(&file, "0.95").unwrap();
    stop.wait_for(|stop| *stop).await.unwrap();
    // At every look.
    let mut relief = overload.relief();
    for _ in 0..2 {
        relief.changed().await.unwrap();
    }
    while !(0.85..0.95).contains(&overload.value(OverloadActionKind::StopAcceptingRequests)) {
        tokio::task::yield_now().await;
    }
    let text = stats.envoy_text(None);
    assert!(text.contains("overload.file.pressure: 95\n"), "{text}");
    assert!(
        text.contains("overload.envoy.overload_actions.stop_accepting_connections.active: 1\n"),
        "{text}"
    );
    // What is no number is not believed.
    std::fs::write(&file, "much").unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(*stop.borrow());
    overload.configure(with(OverloadManager::default()));
    stop.wait_for(|stop| !*stop).await.unwrap();
    assert!(!overload.applies(OverloadActionKind::StopAcceptingRequests));
    std::fs::remove_file(&file).unwrap();
}
