//! Notifications of changes by the system.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;

/// Watches directories.
#[derive(Debug)]
pub(super) struct Watch {
    /// `None`: the system does not notify.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeMap<PathBuf, Identity>,
    changed: Arc<Notify>,
    /// It was said that something cannot be watched.
    complained: bool,
}

/// Device and number: a directory put in the place of another one is not watched with it.
type Identity = (u64, u64);

impl Watch {
    /// Watches nothing yet.
    pub(super) fn new() -> Self {
        let changed = Arc::new(Notify::new());
        let tell = changed.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Reading the files is not a change of them. What is lost on the way could have been one.
            if event.map_or(true, |event| is_change(event.kind)) {
                tell.notify_one();
            }
        });
        let mut watch = Self { watcher: None, watched: BTreeMap::new(), changed, complained: false };
        match watcher {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => watch.complain(&error),
        }
        watch
    }

    /// Watches these directories and no others.
    pub(super) fn keep(&mut self, places: &[PathBuf]) {
        let Some(mut watcher) = self.watcher.take() else { return };
        let mut before = std::mem::take(&mut self.watched);
        for place in places {
            let Some(identity) = identity(place) else { continue };
            let known = before.remove(place);
            if known.is_some_and(|known| known != identity) {
                let _ = watcher.unwatch(place);
            }
            if known != Some(identity)
                && let Err(error) = watcher.watch(place, RecursiveMode::NonRecursive)
            {
                self.complain(&error);
                continue;
            }
            self.watched.insert(place.clone(), identity);
        }
        for place in before.keys() {
            // It may be gone.
            let _ = watcher.unwatch(place);
        }
        self.watcher = Some(watcher);
    }

    /// Waits for a change since the last one that was waited for.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn complain(&mut self, error: &notify::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!(%error, "some changes of files are seen only after ten seconds");
        }
    }
}

fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn identity(place: &Path) -> Option<Identity> {
    let metadata = fs::metadata(place).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What must happen happens in less.
    const PATIENCE: Duration = Duration::from_secs(20);

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tollgate-{}-watch-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(path.join("a")).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    async fn is_told(watch: &Watch) -> bool {
        tokio::time::timeout(PATIENCE, watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn changes_are_told_and_reading_is_none() {
        let scratch = Scratch::new("changes");
        let file = scratch.0.join("a/file");
        fs::write(&file, "one").unwrap();
        let mut watch = Watch::new();
        watch.keep(&[scratch.0.join("a"), scratch.0.join("missing")]);
        fs::read(&file).unwrap();
        let quiet = tokio::time::timeout(Duration::from_millis(50), watch.changed()).await;
        assert!(quiet.is_err(), "reading is not a change");
        fs::write(&file, "two").unwrap();
        assert!(is_told(&watch).await);
        fs::rename(&file, scratch.0.join("a/other")).unwrap();
        assert!(is_told(&watch).await);
    }

    #[tokio::test]
    async fn a_directory_in_the_place_of_another_is_watched() {
        let scratch = Scratch::new("places");
        let place = scratch.0.join("a");
        let mut watch = Watch::new();
        watch.keep(std::slice::from_ref(&place));
        fs::rename(&place, scratch.0.join("b")).unwrap();
        fs::create_dir(&place).unwrap();
        watch.keep(std::slice::from_ref(&place));
        while tokio::time::timeout(Duration::from_millis(50), watch.changed()).await.is_ok() {}
        fs::write(place.join("file"), "").unwrap();
        assert!(is_told(&watch).await);
    }
}
